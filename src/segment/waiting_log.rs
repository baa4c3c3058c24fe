//! What a log holds beyond what is folded.
//!
//! Runs on the caller's thread, in any process, also while the writer appends. It only reads: headers, marks, and the
//! frames behind the marks of segments that are not sealed. So it takes about as long for a gigabyte that waits as for
//! a record. What a seal says is believed; who folds finds out where it is wrong.

use super::directory::{SegmentFile, list_whole};
use super::file_numbers::frames;
use super::folder_listing::gone;
use super::log_item::{LogItem, Owner, Waits};
use super::log_reader::LogReader;
use super::next_file::{NextFile, Wanted};
use super::number_set::NumberSet;
use super::place::Place;
use super::reader::SegmentReader;
use super::writer_folder::WriterFolder;
use crate::ground::error::SegmentError;
use crate::ground::finding::FindingKind;
use crate::ground::position::{Sequence, StoreId};

/// The log beyond what is folded.
#[derive(Debug, Default)]
pub(crate) struct WaitingLog {
    /// The numbers that its segments have from the one on in which folding goes on.
    numbers: NumberSet,
    /// Files in which nothing tells what they hold, and behind which nothing can be read: of others, the numbers tell
    /// what is missing.
    pub(crate) unreadable_files: u64,
    /// Why the log waits, if it does.
    pub(crate) waits: Option<Waits>,
}

impl WaitingLog {
    /// Looks at a log that is folded up to a place, by somebody who knows records of that level.
    ///
    /// # Errors
    /// A file can't be read, or is gone.
    pub(crate) fn look(
        folder: &WriterFolder,
        store: Option<StoreId>,
        from: Place,
        level: u16,
    ) -> Result<Self, SegmentError> {
        let wanted = Wanted { writer: folder.writer, store, level: Some(level), passes_refused: false };
        let mut log = Self::default();
        for file in &list_whole(&folder.path).map_err(gone)? {
            if file.id < from.segment {
                log.add_read(&wanted, file)?;
            } else if !log.add(&wanted, file)? {
                break;
            }
        }
        Ok(log)
    }

    /// Adds a file's numbers. `false`: the log waits at it.
    fn add(&mut self, wanted: &Wanted, file: &SegmentFile) -> Result<bool, SegmentError> {
        let next = match wanted.look(file) {
            // It was folded since the folder was listed, and is retired. Those behind it may wait all the same.
            Err(SegmentError::Gone { .. }) => return Ok(true),
            next => next?,
        };
        match next {
            NextFile::Segment(reader) => self.add_segment(reader)?,
            NextFile::Bad(finding, _) => {
                self.unreadable_files += u64::from(finding.kind != FindingKind::UnstartedSegment);
            }
            NextFile::Waits(waits) => {
                self.waits = Some(waits);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Adds the numbers of a file before the place in which folding goes on: somebody may have put it back, with more than
    /// there was. Nothing else about it is news.
    fn add_read(&mut self, wanted: &Wanted, file: &SegmentFile) -> Result<(), SegmentError> {
        match wanted.look(file) {
            Ok(NextFile::Segment(reader)) => self.add_segment(reader),
            // It was folded, and is retired.
            Ok(_) | Err(SegmentError::Gone { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn add_segment(&mut self, mut reader: SegmentReader) -> Result<(), SegmentError> {
        let (base, frames) = (reader.header().base_sequence, frames(&mut reader)?);
        if frames > 0 {
            self.numbers.insert_all(base.0, base.0 + u64::from(frames) - 1);
            self.unreadable_files = 0;
        }
        Ok(())
    }

    /// How many records lie beyond that number.
    pub(crate) fn records_beyond(&self, folded: Sequence) -> u64 {
        self.numbers.count_within(folded.0.saturating_add(1), u64::MAX - 1)
    }

    /// How many numbers beyond that one no segment has, though there are higher ones.
    pub(crate) fn missing_beyond(&self, folded: Sequence) -> u64 {
        self.last().0.saturating_sub(folded.0).saturating_sub(self.records_beyond(folded))
    }

    /// The number of the last record; 0 for none.
    pub(crate) fn last(&self) -> Sequence {
        Sequence(self.numbers.last().unwrap_or(0))
    }
}

/// So many records of a log are looked at for one of which something can be told: the first ones may be the log's own.
const LOOKED_AT_MAX: u32 = 16;

/// What `tell` says of the first record of a log beyond a place of which it says anything; `None`: there is none, or it
/// can't be read.
pub(crate) fn first_told<T>(
    folder: &WriterFolder,
    store: Option<StoreId>,
    from: Place,
    tell: impl Fn(&[u8]) -> Option<T>,
) -> Option<T> {
    let mut reader = LogReader::open(folder, store, from).ok()?;
    let mut looked_at = 0;
    while looked_at < LOOKED_AT_MAX {
        match reader.next(Owner::Living).ok()? {
            LogItem::Frame { frame, .. } => match tell(frame.payload) {
                Some(told) => return Some(told),
                None => looked_at += 1,
            },
            LogItem::NotYet | LogItem::End | LogItem::Waits(_) => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::position::{SegmentId, WriterId};
    use crate::ground::sabotage::{self, Spot};
    use crate::segment::directory::file_name;
    use crate::segment::folder_birth::NewFolder;
    use crate::segment::format::LogIdentity;
    use crate::segment::syncer::SegmentSyncer;
    use crate::segment::writer::{PreparedSegment, SegmentWriter};

    const STORE: StoreId = StoreId([5; 16]);

    fn begin(folder: &WriterFolder, needs: u16, id: u64, base: u64, records: u64) -> (SegmentWriter, SegmentSyncer) {
        let log = LogIdentity { store: STORE, writer: folder.writer, needs };
        let prepared = PreparedSegment::create(&folder.path, SegmentId(id), 64 * 1024).unwrap();
        let (mut writer, syncer) = prepared.activate(log, Sequence(base), 5).unwrap();
        for number in base..base + records {
            writer.append(format!("record {number}").as_bytes()).unwrap();
        }
        (writer, syncer)
    }

    fn place(segment: u64, sequence: u64) -> Place {
        Place { segment: SegmentId(segment), sequence: Sequence(sequence), ..Place::START }
    }

    #[test]
    fn what_waits_is_counted_with_what_is_missing_and_the_first_of_it_is_found() {
        let wal = tempfile::tempdir().unwrap();
        let (folder, _lock) = NewFolder::create(wal.path(), STORE, WriterId([7; 16])).unwrap().into_place().unwrap();
        let (writer, mut syncer) = begin(&folder, 1, 1, 1, 5);
        syncer.sync().unwrap();
        syncer.seal(writer.finish(), true).unwrap();
        // One whose sync failed behind 7, and the second writing, which goes further.
        let (mut writer, mut syncer) = begin(&folder, 1, 2, 6, 2);
        syncer.sync().unwrap();
        writer.append(b"record 8").unwrap();
        let _third = begin(&folder, 1, 3, 8, 3);
        let _fifth = begin(&folder, 1, 5, 13, 2);
        let look = |from| WaitingLog::look(&folder, Some(STORE), from, 1).unwrap();
        let log = look(Place::START);
        assert_eq!(
            (log.records_beyond(Sequence(0)), log.missing_beyond(Sequence(0)), log.last()),
            (12, 2, Sequence(14))
        );
        assert_eq!((log.records_beyond(Sequence(9)), log.missing_beyond(Sequence(9))), (3, 2));
        assert_eq!((log.records_beyond(Sequence(99)), log.missing_beyond(Sequence(99))), (0, 0));
        let log = look(place(3, 7));
        assert_eq!((log.records_beyond(Sequence(7)), log.unreadable_files), (5, 0));
        let told = |payload: &[u8]| payload.ends_with(b"9").then(|| payload.to_vec());
        let first = |from| first_told(&folder, Some(STORE), from, told);
        assert_eq!(first(place(3, 7)).as_deref(), Some(&b"record 9"[..]));
        assert_eq!((first(place(3, 9)), first(place(9, 14))), (None, None));
        // Files of which nobody knows what they hold count where no number behind them tells what is missing.
        for id in [4, 6] {
            std::fs::write(folder.path.join(file_name(SegmentId(id))), [1; 8192]).unwrap();
        }
        std::fs::write(folder.path.join(file_name(SegmentId(7))), [0; 8192]).unwrap();
        assert_eq!(look(Place::START).unreadable_files, 1);
        let _eighth = begin(&folder, 2, 8, 15, 4);
        let log = look(Place::START);
        assert!(matches!(log.waits, Some(Waits::Level { supported: 1, found: 2, .. })));
        assert_eq!(log.last(), Sequence(14));
        let knows = WaitingLog::look(&folder, Some(STORE), Place::START, 2).unwrap();
        assert_eq!((knows.records_beyond(Sequence(0)), knows.waits), (16, None));
        let other = WaitingLog::look(&folder, Some(StoreId([6; 16])), Place::START, 2).unwrap();
        assert!(matches!(other.waits, Some(Waits::OtherStore { .. })));
    }
    #[test]
    fn a_segment_that_is_retired_amid_the_look_hides_none_behind_it() {
        let wal = tempfile::tempdir().unwrap();
        let (folder, _lock) = NewFolder::create(wal.path(), STORE, WriterId([7; 16])).unwrap().into_place().unwrap();
        let segments: Vec<_> = (1..4).map(|id| begin(&folder, 1, id, id * 5 - 4, 5)).collect();
        let [first, second] = [1, 2].map(|id| folder.path.join(file_name(SegmentId(id))));
        sabotage::order(&first, Spot::Read { from: 0, to: 1 }, 0, 1, move || {
            std::fs::remove_file(&second).unwrap();
            Ok(())
        });
        let log = WaitingLog::look(&folder, Some(STORE), Place::START, 1).unwrap();
        assert_eq!((log.records_beyond(Sequence(0)), log.last()), (10, Sequence(15)));
        drop(segments);
    }
}
