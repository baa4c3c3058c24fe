//! What a crash left, made whole: every segment is sealed, and the store knows where to go on.
//!
//! Runs once, while the store opens, before any other thread. It is the only place that cuts frames off. It never
//! appends to an old segment: whoever opens a store starts a new one, so that no position is ever used twice.

use super::directory::{self, SegmentFile};
use super::reader::{Item, SegmentReader, Stop};
use crate::error::{AtPath, OpenError, PathError, SegmentError};
use crate::format::{Extent, Mark, SegmentHeader, SegmentId, Sequence, WriterId};
use crate::lock::create_private_dir;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What recovery found, and what it left.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// The segments, sealed, oldest first.
    pub(crate) segments: Vec<SealedSegment>,
    /// Whose log it is; `None` if there is no segment.
    pub(crate) writer_id: Option<WriterId>,
    /// The last sequence number in use; 0 for none.
    pub(crate) last_sequence: Sequence,
    /// The highest segment id in use, by header or by name; 0 for none.
    pub(crate) last_segment: SegmentId,
    /// Segments that may not be on the disk to their end. Opening does not wait for that: whoever syncs the log owes
    /// them a sync before anything after them is called durable.
    pub(crate) unsynced: Vec<PathBuf>,
    /// What had to be done, for people.
    pub(crate) repairs: Vec<Repair>,
}

/// A segment that nobody will append to.
#[derive(Debug)]
pub(crate) struct SealedSegment {
    pub(crate) path: PathBuf,
    pub(crate) header: SegmentHeader,
    pub(crate) extent: Extent,
}

/// Something that recovery had to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Repair {
    /// A segment that was not sealed was cut behind its last good frame.
    Cut { segment: SegmentId, at: u32, torn: bool },
    /// A file that is no segment of this log was moved aside.
    Quarantined { from: PathBuf, to: PathBuf, reason: String },
}

/// The segment files of a log, every header looked at, nothing changed.
///
/// Comes first, so that a log of a newer version stays untouched.
#[derive(Debug)]
pub(crate) struct Survey {
    wal_dir: PathBuf,
    files: Vec<(SegmentFile, Finding)>,
}

/// What a header says about its file. Keeps no file open: a log may have more segments than a process may have files.
#[derive(Debug)]
enum Finding {
    Segment,
    /// What a power cut leaves of a segment that was never synced.
    NeverStarted,
    Corrupt(String),
}

impl Survey {
    /// Looks at every header.
    ///
    /// # Errors
    /// A file can't be read, or is of a newer version.
    pub(crate) fn of(wal_dir: &Path) -> Result<Self, SegmentError> {
        let mut files = Vec::new();
        for file in directory::list(wal_dir)? {
            let finding = match SegmentReader::open(&file.path) {
                Ok(_) => Finding::Segment,
                Err(SegmentError::Header { never_started: true, .. }) => Finding::NeverStarted,
                Err(SegmentError::Header { expected, found, .. }) => {
                    Finding::Corrupt(format!("expected {expected}, found {found}"))
                }
                Err(error) => return Err(error),
            };
            files.push((file, finding));
        }
        Ok(Self { wal_dir: wal_dir.to_owned(), files })
    }

    /// Makes the log whole. `expected` is the writer id that the database knows.
    pub(crate) fn recover(self, quarantine_dir: &Path, expected: Option<WriterId>) -> Result<Recovered, OpenError> {
        directory::remove_prepared(&self.wal_dir)?;
        let mut recovered = Recovered {
            segments: Vec::new(),
            writer_id: expected,
            last_sequence: Sequence(0),
            last_segment: SegmentId(0),
            unsynced: Vec::new(),
            repairs: Vec::new(),
        };
        for (file, finding) in self.files {
            recovered.last_segment = recovered.last_segment.max(file.id);
            let belonging = match finding {
                Finding::Segment => recovered.belongs(&file, SegmentReader::open(&file.path)?),
                Finding::NeverStarted => {
                    std::fs::remove_file(&file.path).at("remove", &file.path)?;
                    continue;
                }
                Finding::Corrupt(reason) => Err(reason),
            };
            match belonging {
                Ok(reader) => recovered.add(file.id, reader)?,
                Err(reason) => recovered.repairs.push(quarantine(&file, quarantine_dir, reason)?),
            }
        }
        // Names that a crash left in memory only are durable from here on, like what they name.
        directory::sync_directory(&self.wal_dir)?;
        Ok(recovered)
    }
}

impl Recovered {
    /// Whether the file is the next part of this log, or why not.
    fn belongs(&self, file: &SegmentFile, reader: SegmentReader) -> Result<SegmentReader, String> {
        let header = reader.header();
        if header.segment_id != file.id {
            return Err(format!("expected segment {} as the name says, found segment {}", file.id, header.segment_id));
        }
        if let Some(expected) = self.writer_id.filter(|expected| *expected != header.writer_id) {
            return Err(format!("expected a segment of store {expected}, found one of {}", header.writer_id));
        }
        if header.base_sequence <= self.last_sequence {
            let (last, found) = (self.last_sequence, header.base_sequence);
            return Err(format!("expected sequence numbers above {last}, found {found}"));
        }
        Ok(reader)
    }

    fn add(&mut self, id: SegmentId, mut reader: SegmentReader) -> Result<(), PathError> {
        let header = *reader.header();
        let extent = match reader.mark() {
            // Sealed and synced: nothing to do.
            Mark { sealed: Some(sealed), durable, .. } if durable == sealed => sealed,
            mark => {
                let (extent, torn) = last_good_frame(&mut reader, mark)?;
                if torn || mark.sealed.is_none() {
                    self.repairs.push(Repair::Cut { segment: id, at: extent.end.0, torn });
                }
                seal(reader.path(), &header, mark, extent)?;
                self.unsynced.push(reader.path().to_owned());
                extent
            }
        };
        self.writer_id = Some(header.writer_id);
        let last = Sequence(header.base_sequence.0 + u64::from(extent.frames) - 1);
        self.last_sequence = self.last_sequence.max(last);
        self.segments.push(SealedSegment { path: reader.path().to_owned(), header, extent });
        Ok(())
    }
}

/// Where the last good frame ends, and whether something that is no frame follows.
///
/// Looks only behind the durable mark. What lies before it was synced once: if it is damaged now, that is not a crash's
/// doing, and whoever folds it reports it.
fn last_good_frame(reader: &mut SegmentReader, mark: Mark) -> Result<(Extent, bool), PathError> {
    reader.seek(mark.durable);
    loop {
        match reader.next()? {
            Item::Frame(_) | Item::Damage(_) => {}
            Item::Stop(stop) => {
                let torn = matches!(stop, Stop::Torn { .. });
                return Ok((reader.position(), torn));
            }
        }
    }
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

fn quarantine(file: &SegmentFile, quarantine_dir: &Path, reason: String) -> Result<Repair, OpenError> {
    create_private_dir(quarantine_dir)?;
    let name = file.path.file_name().unwrap_or_default();
    let mut to = quarantine_dir.join(name);
    // A file of that name may have been quarantined before.
    for attempt in 2.. {
        if std::fs::symlink_metadata(&to).is_err() {
            break;
        }
        to = quarantine_dir.join(format!("{}.{attempt}", name.to_string_lossy()));
    }
    std::fs::rename(&file.path, &to).at("move to quarantine", &file.path)?;
    directory::sync_directory(quarantine_dir)?;
    Ok(Repair::Quarantined { from: file.path.clone(), to, reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::FRAMES_OFFSET;
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
            Survey::of(&self.wal()).unwrap().recover(&self.dir.path().join("quarantine"), None).unwrap()
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
        assert_eq!(recovered.repairs, [Repair::Cut { segment: SegmentId(1), at: good.end.0, torn: true }]);
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
        let recovered = fixture.recover();
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
        assert_eq!(fixture.recover().unsynced, vec![path.clone()]);
        // The power went: the seal is on the disk, the second frame is not.
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[0; 16], u64::from(good.end.0)).unwrap();
        let recovered = fixture.recover();
        assert_eq!((recovered.segments[0].extent, &recovered.unsynced), (good, &vec![path.clone()]));
        sync_sealed_file(&path).unwrap();
        let recovered = fixture.recover();
        assert_eq!((recovered.segments[0].extent, recovered.unsynced), (good, vec![]));
    }

    #[test]
    fn an_empty_segment_is_sealed_empty() {
        let fixture = Fixture::new();
        let _active = fixture.segment(1, 1, WRITER);
        let recovered = fixture.recover();
        assert_eq!((recovered.last_sequence, recovered.segments[0].extent), (Sequence(0), Extent::EMPTY));
        assert_eq!(std::fs::metadata(&recovered.segments[0].path).unwrap().len(), u64::from(FRAMES_OFFSET));
    }
}
