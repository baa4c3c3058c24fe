//! What a crash left, made whole: every segment is sealed, and the store knows where to go on.
//!
//! Runs once, while the store opens, before any other thread. It is the only place that cuts frames off. It never
//! appends to an old segment: whoever opens a store starts a new one, so that no position is ever used twice.
//!
//! First everything is looked at, then [`super::verdict`] decides, then it is carried out, in this order: what was being
//! prepared is removed; segment by segment, by ascending id, files are removed, moved, or cut and then sealed; the
//! directory is synced. Each step leaves a log of which the next opening makes the same. So a crash in between is a
//! crash like any other, and recovering twice changes nothing the second time. Nothing here waits for the disk but moving
//! a file to quarantine and syncing the directory.

use super::directory::{self, SegmentFile};
use super::examined::Examined;
pub(crate) use super::examined::Torn;
use super::format::{Extent, FRAME_ALIGNMENT, FRAME_HEADER_BYTES, FRAMES_OFFSET, Mark, SegmentHeader};
use super::quarantine::{self, Damaged, Note};
use super::reader::SegmentReader;
use super::syncer::UnsyncedSegment;
use super::verdict::{
    Action, Header, Link, NUMBER_MAX, NumberRange, Numbers, Seal, Tail, behind_gap, decide, reading_order, resume,
};
use crate::ground::error::{AtPath, OpenError, PathError, SegmentError};
use crate::ground::position::{SegmentId, Sequence, WriterId};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What recovery found, and what it left.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// The segments, sealed, in the order of their sequence numbers.
    pub(crate) segments: Vec<SealedSegment>,
    /// Segments of which nothing is read: others have their records, or they have none.
    pub(crate) superseded: Vec<SealedSegment>,
    /// Whose log it is; `None` if there is no segment.
    pub(crate) writer_id: Option<WriterId>,
    /// The last sequence number in use, or that may be in use; 0 for none.
    pub(crate) last_sequence: Sequence,
    /// The highest segment id in use, by header or by name; 0 for none.
    pub(crate) last_segment: SegmentId,
    /// Segments that may not be on the disk to their end, in the order of their sequence numbers. Opening does not wait
    /// for that: whoever syncs the log owes them a sync before anything after them is called durable.
    pub(crate) unsynced: Vec<UnsyncedSegment>,
    /// What had to be done, for people.
    pub(crate) repairs: Vec<Repair>,
    /// What is in quarantine, now and from before, and what is to be there once it is folded.
    pub(crate) quarantined: Vec<Note>,
}

/// A segment that nobody will append to.
#[derive(Clone, Debug)]
pub(crate) struct SealedSegment {
    pub(crate) path: PathBuf,
    pub(crate) header: SegmentHeader,
    pub(crate) extent: Extent,
}

impl SealedSegment {
    fn numbers(&self) -> NumberRange {
        NumberRange { first: self.header.base_sequence.0, count: u64::from(self.extent.frames) }
    }
}

/// Something that recovery had to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Repair {
    /// A segment whose writer died was sealed behind its last frame.
    Sealed { segment: SegmentId, at: u32 },
    /// A torn tail was cut off.
    Cut { segment: SegmentId, at: u32, torn: Torn },
    /// A segment was moved aside, with so many frames, all intact: records before them are missing. After a power cut that is
    /// because its pages reached the disk before theirs, and nobody was promised any of it. But the file of a failed sync that
    /// could not be read back looks the same after a kill, and then this is all that is left.
    SetAside { segment: SegmentId, frames: u32, to: PathBuf },
    /// A mark says that its segment ends before frames that are intact. They count, and the mark does not.
    Disproved { segment: SegmentId, damaged: Damaged },
    /// A file that is no segment of this log was moved aside.
    Quarantined { from: PathBuf, to: PathBuf, reason: String },
}

/// The segment files of a log, every header looked at, nothing changed.
///
/// Comes first, so that a log of a newer version stays untouched.
#[derive(Debug)]
pub(crate) struct Survey {
    wal_dir: PathBuf,
    files: Vec<(SegmentFile, Surveyed)>,
}

/// What a header says about its file. Keeps no file open: a log may have more segments than a process may have files.
#[derive(Debug)]
enum Surveyed {
    Segment(SegmentHeader),
    NeverStarted,
    Damaged(String),
}

impl Survey {
    /// Looks at every header.
    ///
    /// # Errors
    /// A file can't be read, or is of a newer version.
    pub(crate) fn of(wal_dir: &Path) -> Result<Self, SegmentError> {
        let mut files = Vec::new();
        for file in directory::list(wal_dir)? {
            let surveyed = match SegmentReader::open(&file.path) {
                Ok(reader) => Surveyed::Segment(*reader.header()),
                Err(SegmentError::Header { never_started: true, .. }) => Surveyed::NeverStarted,
                Err(SegmentError::Header { expected, found, .. }) => {
                    Surveyed::Damaged(format!("expected {expected}, found {found}"))
                }
                Err(SegmentError::Io(error)) if error.is_unreadable() => Surveyed::Damaged(error.to_string()),
                Err(error) => return Err(error),
            };
            files.push((file, surveyed));
        }
        Ok(Self { wal_dir: wal_dir.to_owned(), files })
    }

    /// Whose log it is by what its newest segment says; `None` if there is no segment. The newest, because a log always keeps
    /// that one: an older one may be another store's that came back from somewhere, and would have the whole log moved aside.
    fn writer_id(&self) -> Option<WriterId> {
        let headers = self.files.iter().filter_map(|(file, surveyed)| match surveyed {
            Surveyed::Segment(header) if header.segment_id == file.id && is_reachable(header) => Some(header),
            _ => None,
        });
        headers.max_by_key(|header| (header.created_at, header.segment_id)).map(|header| header.writer_id)
    }

    /// Makes the log whole. `folded` is what the database knows: whose log it is, and the last number that is folded.
    pub(crate) fn recover(
        self,
        quarantine_dir: &Path,
        folded: Option<(WriterId, Sequence)>,
    ) -> Result<Recovered, OpenError> {
        let writer_id = folded.map(|(writer_id, _)| writer_id).or_else(|| self.writer_id());
        let mut found = Vec::new();
        for (file, surveyed) in self.files {
            found.push(Found::new(file, surveyed, writer_id)?);
        }
        let folded = folded.map_or(Sequence(0), |(_, sequence)| sequence);
        let links: Vec<_> = found.iter().map(Found::link).collect();
        let behind_gap = behind_gap(&links, folded);
        let numbers = |place: usize| if behind_gap[place] { NumberRange::NONE } else { found[place].numbers() };
        let ranges: Vec<_> = (0..found.len()).map(numbers).collect();
        let order = reading_order(&ranges);
        let mut is_read = vec![false; found.len()];
        order.iter().for_each(|place| is_read[*place] = true);
        let mut recovered = Recovered {
            segments: order.iter().filter_map(|place| found[*place].sealed()).collect(),
            superseded: Vec::new(),
            writer_id,
            last_sequence: folded,
            last_segment: SegmentId(0),
            unsynced: Vec::new(),
            repairs: Vec::new(),
            quarantined: quarantine::notes(quarantine_dir),
        };
        for note in &recovered.quarantined {
            let held = Some(note.last_sequence()).filter(|last| last.0 <= NUMBER_MAX);
            recovered.last_sequence = resume(held.unwrap_or(Sequence(0)), recovered.last_sequence);
        }
        directory::remove_prepared(&self.wal_dir)?;
        // The last one first, and before anything is sealed: as long as one is there, so is what tells that it is to go.
        for place in (0..found.len()).rev().filter(|place| behind_gap[*place]) {
            let any = found[place].numbers().count > 0;
            let numbers = if any { Numbers::BehindGap } else { Numbers::NoneBehindGap };
            recovered.carry_out(&found[place], numbers, quarantine_dir)?;
        }
        let mut unsynced: Vec<Option<UnsyncedSegment>> = vec![None; found.len()];
        for (place, file) in found.iter().enumerate().filter(|(place, _)| !behind_gap[*place]) {
            let numbers = match ranges[place].count {
                0 => Numbers::None,
                _ if is_read[place] => Numbers::Own,
                _ => Numbers::Covered,
            };
            unsynced[place] = recovered.carry_out(file, numbers, quarantine_dir)?;
        }
        // Segments without frames have no place in the order; there is nothing in them to be synced either.
        recovered.unsynced = order.iter().filter_map(|place| unsynced[*place].take()).collect();
        // Names that a crash left in memory only are durable from here on, like what they name.
        directory::sync_directory(&self.wal_dir)?;
        Ok(recovered)
    }
}

/// A file, and all that the decision about it depends on.
struct Found {
    file: SegmentFile,
    header: Header,
    /// What is wrong with the header.
    reason: String,
    /// The number before the first one, if a header says so.
    before: Sequence,
    segment: Option<Examined>,
}

impl Found {
    fn new(file: SegmentFile, surveyed: Surveyed, writer_id: Option<WriterId>) -> Result<Self, OpenError> {
        let before = match &surveyed {
            Surveyed::Segment(header) if header.base_sequence.0 <= NUMBER_MAX => Sequence(header.base_sequence.0 - 1),
            _ => Sequence(0),
        };
        let (mut header, mut reason) = match surveyed {
            Surveyed::NeverStarted => (Header::NeverStarted, String::new()),
            Surveyed::Damaged(reason) => (Header::Damaged, reason),
            Surveyed::Segment(header) => {
                let (id, base) = (header.segment_id, header.base_sequence);
                if let Some(expected) = writer_id.filter(|expected| *expected != header.writer_id) {
                    let reason = format!("expected a segment of store {expected}, found one of {}", header.writer_id);
                    (Header::Foreign, reason)
                } else if id != file.id {
                    (Header::Misnamed, format!("expected segment {} as the name says, found segment {id}", file.id))
                } else if !is_reachable(&header) {
                    let reason =
                        format!("expected numbers that a store can reach, found segment {id}, sequence {base}");
                    (Header::Unreachable, reason)
                } else {
                    (Header::Sound, String::new())
                }
            }
        };
        let mut segment = None;
        if header == Header::Sound {
            match Examined::new(&file.path) {
                // As good as damaged: moving it aside needs no reading, and keeps what may be read some day.
                Err(SegmentError::Io(error)) if error.is_unreadable() => {
                    (header, reason) = (Header::Damaged, error.to_string());
                }
                examined => segment = Some(examined?),
            }
        }
        Ok(Self { file, header, reason, before, segment })
    }

    fn sealed(&self) -> Option<SealedSegment> {
        let Examined { header, extent, .. } = *self.segment.as_ref()?;
        Some(SealedSegment { path: self.file.path.clone(), header, extent })
    }

    fn numbers(&self) -> NumberRange {
        self.sealed().map_or(NumberRange::NONE, |segment| segment.numbers())
    }

    fn link(&self) -> Link {
        match &self.segment {
            Some(segment) => Link::Segment {
                numbers: self.numbers(),
                vouched: segment.mark.durable.frames > 0,
                open_ended: segment.seal == Seal::Open || segment.torn.is_some(),
            },
            None if self.header == Header::NeverStarted => Link::NeverStarted,
            None => Link::Unknown,
        }
    }

    /// How many numbers a file may hold whose header can't be read, or does not belong here.
    fn numbers_possible(&self) -> Result<u64, PathError> {
        let metadata = std::fs::symlink_metadata(&self.file.path).at("inspect", &self.file.path)?;
        // Somebody may have put a segment elsewhere, of whatever length, and a link in its place.
        let bytes = if metadata.is_symlink() { u64::MAX } else { metadata.len() };
        // No offset in a segment is larger than 32 bits, however long the file.
        let bytes = bytes.min(u64::from(u32::MAX)).saturating_sub(u64::from(FRAMES_OFFSET));
        Ok(bytes / u64::from(FRAME_HEADER_BYTES + FRAME_ALIGNMENT))
    }
}

impl Recovered {
    /// Does with a file what is decided. Returns the segment if it is owed a sync.
    fn carry_out(
        &mut self,
        found: &Found,
        numbers: Numbers,
        quarantine_dir: &Path,
    ) -> Result<Option<UnsyncedSegment>, OpenError> {
        let path = &found.file.path;
        // Beyond that, no number comes again by itself.
        if found.file.id.0 <= NUMBER_MAX {
            self.last_segment = self.last_segment.max(found.file.id);
        }
        let (seal_found, tail) = match &found.segment {
            Some(segment) => (segment.seal, segment.tail()),
            None => (Seal::Open, Tail::Clean),
        };
        let (action, row) = decide(found.header, seal_found, tail, numbers);
        tracing::debug!(path = %path.display(), row, ?action, "recovery");
        if action == Action::Remove {
            std::fs::remove_file(path).at("remove", path)?;
            return Ok(None);
        }
        let Some(segment) = found.segment.as_ref().filter(|_| numbers != Numbers::BehindGap) else {
            return self.quarantine(found, action, quarantine_dir).map(|()| None);
        };
        let id = segment.header.segment_id;
        if matches!(action, Action::SealAndSync | Action::CutAndSync) {
            let at = segment.extent.end.0;
            self.repairs.push(match segment.torn {
                Some(torn) => Repair::Cut { segment: id, at, torn },
                None => Repair::Sealed { segment: id, at },
            });
        }
        let unsynced = matches!(action, Action::KeepAndSync | Action::SealAndSync | Action::CutAndSync);
        if let Some(from) = segment.denied_from {
            // As it is, so that every opening finds the same until it is folded, and moved aside for this.
            let bytes = u64::from(segment.extent.end.0.saturating_sub(from.0));
            let reason = "expected the end that the mark gives, found an intact frame".to_owned();
            let damaged = Damaged { offset: from.0, bytes, reason };
            self.quarantined.push(Note { segment: id.0, damage: vec![damaged.clone()], last_sequence: None });
            self.repairs.push(Repair::Disproved { segment: id, damaged });
        } else if unsynced {
            seal(path, &segment.header, segment.mark, segment.extent)?;
        }
        if matches!(numbers, Numbers::None | Numbers::Covered) {
            self.superseded.extend(found.sealed());
        }
        self.last_sequence = self.last_sequence.max(segment.last_sequence());
        Ok(unsynced.then(|| UnsyncedSegment {
            segment: id,
            path: path.clone(),
            base_sequence: segment.header.base_sequence,
            durable: segment.mark.durable,
        }))
    }

    fn quarantine(&mut self, found: &Found, action: Action, quarantine_dir: &Path) -> Result<(), OpenError> {
        let SegmentFile { id, path } = &found.file;
        let last_sequence = match &found.segment {
            Some(segment) => Some(segment.last_sequence()),
            // If no header says where its numbers begin, they follow those of the segments before it.
            None if action == Action::QuarantineReservingNumbers => {
                Some(Sequence(self.last_sequence.max(found.before).0 + found.numbers_possible()?))
            }
            None => None,
        };
        self.last_sequence = self.last_sequence.max(last_sequence.unwrap_or(Sequence(0)));
        let mut note = Note { segment: id.0, damage: Vec::new(), last_sequence: last_sequence.map(|last| last.0) };
        if found.segment.is_none() {
            let bytes = std::fs::symlink_metadata(path).at("inspect", path)?.len();
            note.damage.push(Damaged { offset: 0, bytes, reason: found.reason.clone() });
        }
        let to = quarantine::move_aside(path, quarantine_dir, &note)?;
        self.quarantined.push(note);
        self.repairs.push(match &found.segment {
            Some(segment) => Repair::SetAside { segment: *id, frames: segment.extent.frames, to },
            None => Repair::Quarantined { from: path.clone(), to, reason: found.reason.clone() },
        });
        Ok(())
    }
}

/// Whether a store can get to these numbers.
fn is_reachable(header: &SegmentHeader) -> bool {
    header.segment_id.0 <= NUMBER_MAX && header.base_sequence.0 <= NUMBER_MAX
}

/// Cuts a segment at `extent` and seals it there, without waiting for the disk: a log of 1 GiB that was never synced
/// takes longer to write than to check. The durable mark stays where it is. So if the power goes before the segment is
/// synced, whatever part of all this is on the disk is checked again like what any crash leaves.
fn seal(path: &Path, header: &SegmentHeader, mark: Mark, extent: Extent) -> Result<(), PathError> {
    let file = OpenOptions::new().write(true).open(path).at("open", path)?;
    // Never lengthens: a file cut below its durable mark keeps telling so.
    if file.metadata().at("inspect", path)?.len() > u64::from(extent.end.0) {
        file.set_len(u64::from(extent.end.0)).at("cut", path)?;
    }
    if mark.sealed == Some(extent) {
        return Ok(());
    }
    let mark = Mark { generation: mark.generation + 1, durable: mark.durable, sealed: Some(extent) };
    file.write_all_at(&mark.encode(header.salt), u64::from(Mark::offset(mark.generation))).at("write", path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::format::FRAMES_OFFSET;
    use crate::segment::syncer::{SegmentSyncer, sync_sealed_file};
    use crate::segment::writer::{PreparedSegment, SegmentWriter};

    const WRITER: WriterId = WriterId([1; 16]);

    struct Fixture {
        dir: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let fixture = Self { dir: tempfile::tempdir().unwrap() };
            std::fs::create_dir(fixture.wal()).unwrap();
            fixture
        }
        fn wal(&self) -> PathBuf {
            self.dir.path().join("wal")
        }
        fn segment(&self, id: u64, base: u64, writer_id: WriterId) -> (SegmentWriter, SegmentSyncer) {
            let prepared = PreparedSegment::create(&self.wal(), SegmentId(id), 65536).unwrap();
            prepared.activate(writer_id, Sequence(base), 5).unwrap()
        }
        fn recover(&self) -> Recovered {
            self.recover_after(None)
        }
        fn recover_after(&self, folded: Option<(WriterId, Sequence)>) -> Recovered {
            Survey::of(&self.wal()).unwrap().recover(&self.dir.path().join("quarantine"), folded).unwrap()
        }
        /// A segment that holds these numbers, as a killed writer leaves it.
        fn holding(&self, id: u64, numbers: std::ops::RangeInclusive<u64>) {
            let (mut writer, _syncer) = self.segment(id, *numbers.start(), WRITER);
            for number in numbers {
                writer.append(format!("record {number}").as_bytes()).unwrap();
            }
        }
    }

    fn snapshot(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files: Vec<_> = directory::list(dir)
            .unwrap()
            .into_iter()
            .map(|f| (f.path.clone(), std::fs::read(f.path).unwrap()))
            .collect();
        files.sort();
        files
    }

    #[test]
    fn torn_tail_is_dropped_without_error_and_recovering_twice_changes_nothing() {
        let fixture = Fixture::new();
        let (mut writer, _syncer) = fixture.segment(1, 1, WRITER);
        writer.append(b"first").unwrap();
        let good = writer.extent();
        writer.append(b"second").unwrap();
        let file = OpenOptions::new().write(true).open(writer.path()).unwrap();
        file.write_all_at(b"X", u64::from(good.end.0) + 13).unwrap();
        let recovered = fixture.recover();
        // The frame's header, its payload, and nothing behind.
        let torn = Torn { bytes: 12 + 6, frames_follow: false };
        assert_eq!(recovered.repairs, [Repair::Cut { segment: SegmentId(1), at: good.end.0, torn }]);
        assert_eq!((recovered.last_sequence, recovered.segments[0].extent), (Sequence(1), good));
        let before = snapshot(&fixture.wal());
        let again = fixture.recover();
        assert!(again.repairs.is_empty());
        assert_eq!(snapshot(&fixture.wal()), before);
    }

    #[test]
    fn a_sealed_segment_is_left_as_it_is() {
        let fixture = Fixture::new();
        let (mut writer, syncer) = fixture.segment(1, 11, WRITER);
        writer.append(b"first").unwrap();
        let extent = writer.finish();
        syncer.seal(extent, true).unwrap();
        let before = snapshot(&fixture.wal());
        let recovered = fixture.recover();
        assert!(recovered.repairs.is_empty());
        assert_eq!((recovered.last_sequence, recovered.writer_id), (Sequence(11), Some(WRITER)));
        assert_eq!(snapshot(&fixture.wal()), before);
    }

    #[test]
    fn a_seal_that_was_never_synced_is_checked_like_a_crash() {
        let fixture = Fixture::new();
        let (mut writer, syncer) = fixture.segment(1, 1, WRITER);
        writer.append(b"first").unwrap();
        let good = writer.extent();
        writer.append(b"second").unwrap();
        let path = writer.path().to_owned();
        let extent = writer.finish();
        syncer.seal(extent, false).unwrap();
        // The power went before the second frame's page was written.
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[0; 16], u64::from(good.end.0)).unwrap();
        let recovered = fixture.recover();
        assert_eq!(recovered.segments[0].extent, good);
    }

    #[test]
    fn foreign_and_headless_files_are_moved_aside_and_never_reused() {
        let fixture = Fixture::new();
        let (mut writer, _syncer) = fixture.segment(1, 1, WRITER);
        writer.append(b"mine").unwrap();
        let _foreign = fixture.segment(2, 1, WriterId([9; 16]));
        std::fs::write(fixture.wal().join("000000000003.seg"), [b'x'; 8192]).unwrap();
        std::fs::write(fixture.wal().join("000000000004.new"), [0; 8192]).unwrap();
        let recovered = fixture.recover_after(Some((WRITER, Sequence(0))));
        assert_eq!(recovered.segments.len(), 1);
        assert_eq!(recovered.last_segment, SegmentId(3), "an id that a file once had must not come again");
        let moved = recovered.repairs.iter().filter(|r| matches!(r, Repair::Quarantined { .. })).count();
        assert_eq!(moved, 2, "{:?}", recovered.repairs);
        assert!(fixture.dir.path().join("quarantine/000000000002.seg").exists());
        assert!(!fixture.wal().join("000000000004.new").exists());
    }

    #[test]
    fn a_log_of_a_newer_version_is_refused_untouched() {
        let fixture = Fixture::new();
        let (mut writer, _syncer) = fixture.segment(1, 1, WRITER);
        writer.append(b"old").unwrap();
        let (newer, _syncer) = fixture.segment(2, 2, WRITER);
        let file = OpenOptions::new().write(true).open(newer.path()).unwrap();
        file.write_all_at(&[2], 8).unwrap();
        let before = snapshot(&fixture.wal());
        let error = Survey::of(&fixture.wal()).unwrap_err();
        assert!(matches!(error, SegmentError::UnsupportedVersion { found: 2, .. }), "{error}");
        assert_eq!(snapshot(&fixture.wal()), before);
    }

    #[test]
    fn what_was_recovered_is_checked_again_until_it_is_synced() {
        let fixture = Fixture::new();
        let (mut writer, _syncer) = fixture.segment(1, 1, WRITER);
        writer.append(b"first").unwrap();
        let good = writer.extent();
        writer.append(b"second").unwrap();
        let path = writer.path().to_owned();
        let owed = UnsyncedSegment {
            segment: SegmentId(1),
            path: path.clone(),
            base_sequence: Sequence(1),
            durable: Extent::EMPTY,
        };
        assert_eq!(fixture.recover().unsynced, std::slice::from_ref(&owed));
        // The power went: the seal is on the disk, the second frame is not.
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[0; 16], u64::from(good.end.0)).unwrap();
        let recovered = fixture.recover();
        assert_eq!((recovered.segments[0].extent, recovered.unsynced), (good, vec![owed]));
        sync_sealed_file(&path).unwrap();
        let recovered = fixture.recover();
        assert_eq!((recovered.segments[0].extent, recovered.unsynced), (good, vec![]));
    }

    #[test]
    fn an_empty_segment_is_sealed_empty() {
        let fixture = Fixture::new();
        let _active = fixture.segment(1, 1, WRITER);
        let recovered = fixture.recover();
        assert_eq!((recovered.last_sequence, recovered.segments.len()), (Sequence(0), 0));
        assert_eq!(recovered.superseded[0].extent, Extent::EMPTY);
        assert_eq!(std::fs::metadata(&recovered.superseded[0].path).unwrap().len(), u64::from(FRAMES_OFFSET));
    }

    #[test]
    fn intact_frames_behind_a_torn_one_are_cut_with_it_and_told() {
        // Pages reach the disk in any order: of three records the second was lost, in part or whole.
        for lost in [&[b'X'; 20][..], &[0; 20]] {
            let fixture = Fixture::new();
            let (mut writer, _syncer) = fixture.segment(1, 1, WRITER);
            writer.append(b"first").unwrap();
            let good = writer.extent();
            writer.append(b"payload!").unwrap();
            writer.append(b"third").unwrap();
            let file = OpenOptions::new().write(true).open(writer.path()).unwrap();
            file.write_all_at(lost, u64::from(good.end.0)).unwrap();
            let recovered = fixture.recover();
            let torn = Torn { bytes: 20 + 12 + 5, frames_follow: true };
            assert_eq!(recovered.repairs, [Repair::Cut { segment: SegmentId(1), at: good.end.0, torn }]);
            assert_eq!(recovered.last_sequence, Sequence(1), "nobody was promised the third");
            assert!(fixture.recover().repairs.is_empty());
        }
    }

    #[test]
    fn what_was_written_again_counts_if_it_reaches_as_far_and_a_second_opening_says_the_same() {
        for (again, order, superseded, last) in
            [(3..=8, vec![1, 3], vec![2], 8), (3..=6, vec![1, 3], vec![2], 6), (3..=5, vec![1, 2], vec![3], 6)]
        {
            let fixture = Fixture::new();
            fixture.holding(1, 1..=4);
            fixture.holding(2, 5..=6);
            fixture.holding(3, again);
            let mut before = Vec::new();
            for _ in 0..2 {
                let recovered = fixture.recover();
                let ids = |segments: &[SealedSegment]| -> Vec<_> {
                    segments.iter().map(|segment| segment.header.segment_id.0).collect()
                };
                assert_eq!(ids(&recovered.segments), order);
                assert_eq!(ids(&recovered.superseded), superseded);
                assert_eq!(recovered.last_sequence, Sequence(last));
                assert!(before.is_empty() || before == snapshot(&fixture.wal()));
                before = snapshot(&fixture.wal());
            }
        }
    }

    #[test]
    fn no_number_that_an_unreadable_segment_may_hold_is_used_again() {
        let fixture = Fixture::new();
        fixture.holding(1, 1..=3);
        fixture.holding(2, 4..=6);
        let file = OpenOptions::new().write(true).open(fixture.wal().join("000000000002.seg")).unwrap();
        file.write_all_at(b"X", 17).unwrap();
        let possible = (65536 - 4096) / 16;
        let first = fixture.recover_after(Some((WRITER, Sequence(2))));
        assert_eq!(first.last_sequence, Sequence(3 + possible));
        let damage = vec![Damaged { offset: 0, bytes: 65536, reason: first.quarantined[0].damage[0].reason.clone() }];
        let note = Note { segment: 2, damage, last_sequence: Some(3 + possible) };
        assert_eq!(first.quarantined, std::slice::from_ref(&note));
        // The file is gone from the log; a crash before a new segment began must not make its numbers free.
        let second = fixture.recover_after(Some((WRITER, Sequence(3))));
        assert_eq!((second.last_sequence, second.quarantined), (Sequence(3 + possible), vec![note]));
        assert!(second.repairs.is_empty());
    }

    #[test]
    fn no_number_that_a_segment_behind_a_link_may_hold_is_used_again() {
        let fixture = Fixture::new();
        fixture.holding(1, 1..=3);
        fixture.holding(2, 4..=6);
        let (path, elsewhere) = (fixture.wal().join("000000000002.seg"), fixture.dir.path().join("elsewhere"));
        std::fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        let recovered = fixture.recover();
        assert!(recovered.last_sequence >= Sequence(6), "{}", recovered.last_sequence);
        assert!(fixture.dir.path().join("quarantine/000000000002.seg").is_symlink());
        assert_eq!(fixture.recover().last_sequence, recovered.last_sequence);
    }

    #[test]
    fn a_forged_header_with_numbers_that_no_store_reaches_is_moved_aside() {
        let fixture = Fixture::new();
        fixture.holding(1, 1..=3);
        let _forged = fixture.segment(2, i64::MAX as u64, WRITER);
        let _forged = fixture.segment(i64::MAX as u64, 4, WRITER);
        let recovered = fixture.recover();
        assert_eq!((recovered.last_sequence, recovered.last_segment), (Sequence(3), SegmentId(2)));
        assert_eq!(recovered.repairs.len(), 3, "{:?}", recovered.repairs);
    }

    #[test]
    fn segments_behind_missing_records_go_and_their_numbers_stay_taken() {
        let fixture = Fixture::new();
        let (mut first, _syncer) = fixture.segment(1, 1, WRITER);
        first.append(b"kept").unwrap();
        let good = first.extent();
        first.append(b"lost").unwrap();
        let (mut second, _syncer) = fixture.segment(2, 3, WRITER);
        second.append(b"behind").unwrap();
        let behind = std::fs::read(second.path()).unwrap();
        // The third one's header, too.
        let _third = fixture.segment(3, 4, WRITER);
        // The power went after Linux had written the second segment's pages, and not all of the first one's.
        let file = OpenOptions::new().write(true).open(first.path()).unwrap();
        file.write_all_at(&[0; 32], u64::from(good.end.0)).unwrap();
        let recovered = fixture.recover();
        assert_eq!(recovered.segments.iter().map(|segment| segment.extent).collect::<Vec<_>>(), [good]);
        let to = fixture.dir.path().join("quarantine/000000000002.seg");
        assert_eq!(std::fs::read(&to).unwrap(), behind, "nobody was promised it, but it is all there");
        assert!(recovered.repairs.contains(&Repair::SetAside { segment: SegmentId(2), frames: 1, to }));
        assert_eq!((recovered.last_segment, recovered.last_sequence), (SegmentId(3), Sequence(3)));
        let before = snapshot(&fixture.wal());
        let again = fixture.recover();
        assert_eq!(
            (again.repairs, again.last_sequence),
            (vec![], Sequence(3)),
            "if nothing was recorded before a crash"
        );
        assert_eq!(snapshot(&fixture.wal()), before);
    }

    #[test]
    fn segments_behind_missing_records_stay_if_the_database_has_those() {
        let fixture = Fixture::new();
        let (mut first, _syncer) = fixture.segment(1, 1, WRITER);
        first.append(b"lost").unwrap();
        let (mut second, _syncer) = fixture.segment(2, 2, WRITER);
        second.append(b"behind").unwrap();
        let file = OpenOptions::new().write(true).open(first.path()).unwrap();
        file.write_all_at(&[0; 32], u64::from(FRAMES_OFFSET)).unwrap();
        let recovered = fixture.recover_after(Some((WRITER, Sequence(1))));
        assert!(!recovered.repairs.iter().any(|repair| matches!(repair, Repair::SetAside { .. })));
        assert_eq!(recovered.last_sequence, Sequence(2));
    }

    #[test]
    fn a_renamed_segment_is_moved_aside_and_its_numbers_stay_taken() {
        let fixture = Fixture::new();
        fixture.holding(1, 1..=3);
        fixture.holding(2, 100..=103);
        std::fs::rename(fixture.wal().join("000000000002.seg"), fixture.wal().join("000000000009.seg")).unwrap();
        let recovered = fixture.recover();
        assert!(recovered.last_sequence >= Sequence(103));
        assert_eq!(recovered.segments.len(), 1);
    }

    #[test]
    fn without_a_database_the_newest_segment_tells_whose_log_it_is() {
        let fixture = Fixture::new();
        let (mut foreign, _syncer) = fixture.segment(1, 1, WriterId([9; 16]));
        foreign.append(b"theirs").unwrap();
        fixture.holding(2, 8..=9);
        fixture.holding(3, 10..=12);
        let recovered = fixture.recover();
        assert_eq!((recovered.writer_id, recovered.last_sequence), (Some(WRITER), Sequence(12)));
        assert_eq!(recovered.segments.len(), 2);
        assert!(fixture.dir.path().join("quarantine/000000000001.seg").exists());
    }

    #[test]
    fn a_segment_of_which_the_disk_can_not_read_a_place_is_moved_aside_and_its_numbers_stay_taken() {
        for place in [0..1, 5000..5001] {
            let fixture = Fixture::new();
            fixture.holding(1, 1..=200);
            fixture.holding(2, 201..=203);
            crate::ground::sabotage::spoil(&fixture.wal().join("000000000001.seg"), place);
            let recovered = fixture.recover();
            assert_eq!(recovered.segments.len(), 1);
            assert!(recovered.last_sequence >= Sequence(203));
            assert!(recovered.quarantined[0].last_sequence() >= Sequence(200));
            assert!(fixture.dir.path().join("quarantine/000000000001.seg").exists());
        }
    }
}
