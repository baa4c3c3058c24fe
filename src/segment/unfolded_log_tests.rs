//! What waits in a log is what recovery then has to read, and what it sets aside is known before.

use super::directory;
use super::format::{FRAMES_OFFSET, LogIdentity};
use super::recovery::{Repair, SealedSegment, recover};
use super::segment_list::{LogSegment, SegmentList};
use super::survey::Survey;
use super::unfolded_log::{FirstRecord, SetAside, UnfoldedLog, set_aside_before};
use super::writer::PreparedSegment;
use crate::ground::position::{Offset, SegmentId, Sequence, WriterId};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

const WRITER: WriterId = WriterId([1; 16]);
const NOWHERE: (SegmentId, Offset) = (SegmentId(0), Offset(FRAMES_OFFSET));

/// How a segment was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// Its writer died.
    Open,
    Synced,
    Unsynced,
    /// Its first page never came.
    NeverStarted,
}

struct Log {
    dir: tempfile::TempDir,
}

impl Log {
    fn new() -> Self {
        let log = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(log.wal()).unwrap();
        log
    }

    fn wal(&self) -> PathBuf {
        self.dir.path().join("wal")
    }

    fn quarantine(&self) -> PathBuf {
        self.dir.path().join("quarantine")
    }

    /// A segment with so many records from that number on.
    fn segment(&self, id: u64, first: u64, count: u64, left: Left) -> PathBuf {
        let prepared = PreparedSegment::create(&self.wal(), SegmentId(id), 65536).unwrap();
        let (mut writer, syncer) = prepared.activate(LogIdentity::sample(WRITER), Sequence(first), 5).unwrap();
        let path = writer.path().to_owned();
        for number in first..first + count {
            writer.append(format!("record {number}").as_bytes()).unwrap();
        }
        if left == Left::NeverStarted {
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            file.write_all_at(&[0; FRAMES_OFFSET as usize], 0).unwrap();
        } else if left != Left::Open {
            let extent = writer.finish();
            syncer.seal(extent, left == Left::Synced).unwrap();
        }
        path
    }

    fn look(&self, folded: u64, in_use: bool) -> UnfoldedLog {
        let survey = Survey::beyond(&self.wal(), Sequence(folded)).unwrap();
        let owner = survey.owners().told();
        UnfoldedLog::look(survey, owner, Sequence(folded), in_use).unwrap()
    }

    fn first_beyond(&self, folded: u64) -> FirstRecord {
        self.look(folded, true).first_beyond(Sequence(folded), NOWHERE)
    }

    /// What an opening finds to be folded beyond that number, and what it sets aside.
    fn recovered(&self, folded: u64) -> (u64, u64) {
        let survey = Survey::of(&self.wal()).unwrap();
        let owner = survey.owners().told();
        let recovered = recover(survey, &self.quarantine(), owner, Sequence(folded)).unwrap();
        let segment = |SealedSegment { path, header, extent }: SealedSegment| LogSegment::sealed(path, &header, extent);
        let log = SegmentList::new(recovered.segments.into_iter().map(segment), []);
        let records = log.all_beyond(Sequence(folded)).into_iter().map(|part| {
            let first = part.segment.base_sequence.0.max(folded + 1);
            (part.last.0 + 1).saturating_sub(first)
        });
        let set_aside = recovered.repairs.iter().map(|repair| match repair {
            Repair::SetAside { frames, .. } => u64::from(*frames),
            _ => 0,
        });
        (records.sum(), set_aside.sum())
    }

    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let files = directory::list(&self.wal()).unwrap().into_iter();
        files.map(|file| (file.path.clone(), std::fs::read(file.path).unwrap())).collect()
    }
}

fn records(set_aside: &[SetAside]) -> u64 {
    set_aside.iter().map(|segment| segment.records).sum()
}

fn record(number: u64) -> FirstRecord {
    FirstRecord::Payload(format!("record {number}").into_bytes())
}

#[test]
fn what_waits_and_what_is_set_aside_is_what_the_next_opening_makes_of_it() {
    let mut seen_aside = 0;
    for first in [Left::Open, Left::Synced, Left::Unsynced, Left::NeverStarted] {
        for (second, count) in [(3, 3), (6, 0), (6, 3), (8, 3)] {
            for left in [Left::Open, Left::Synced] {
                for third in [9, 14] {
                    for folded in [0, 5, 7] {
                        let log = Log::new();
                        log.segment(1, 1, 5, first);
                        log.segment(2, second, count, left);
                        log.segment(3, third, 2, Left::Open);
                        let before = log.files();
                        let found = log.look(folded, false);
                        assert_eq!(log.files(), before, "looking changes nothing");
                        let told = (found.records_beyond(Sequence(folded)), records(&found.set_aside));
                        let case = format!("{first:?}; {count} from {second} on, {left:?}; from {third} on; {folded}");
                        assert_eq!(told, log.recovered(folded), "{case}");
                        seen_aside += told.1;
                        assert_eq!(records(&set_aside_before(&log.quarantine(), Some(WRITER))), told.1, "{case}");
                    }
                }
            }
        }
    }
    assert!(seen_aside > 0, "no case sets anything aside");
}

#[test]
fn who_has_the_store_open_folds_what_another_opening_would_set_aside() {
    let log = Log::new();
    log.segment(1, 1, 5, Left::Open);
    let behind = log.segment(2, 11, 7, Left::Open);
    let found = log.look(0, false);
    assert_eq!((found.records_beyond(Sequence(0)), found.last()), (5, Sequence(5)));
    assert_eq!(found.set_aside, [SetAside { path: behind, first: 11, records: 7 }]);
    let found = log.look(0, true);
    assert_eq!((found.records_beyond(Sequence(0)), found.last()), (12, Sequence(17)));
    assert_eq!(found.set_aside, []);
}

#[test]
fn a_record_that_two_segments_hold_waits_once() {
    let log = Log::new();
    log.segment(1, 1, 10, Left::Open);
    log.segment(2, 6, 20, Left::Open);
    let found = log.look(0, true);
    assert_eq!([0, 3, 5, 24, 25, 99].map(|folded| found.records_beyond(Sequence(folded))), [25, 22, 20, 1, 0, 0]);
}

#[test]
fn the_first_record_that_waits_is_found_with_a_checkpoint_and_without() {
    let log = Log::new();
    log.segment(1, 1, 5, Left::Synced);
    let second = log.segment(2, 6, 3, Left::Open);
    for (folded, number) in [(0, 1), (4, 5), (5, 6), (7, 8)] {
        assert_eq!(log.first_beyond(folded), record(number), "{folded}");
    }
    assert_eq!(log.first_beyond(8), FirstRecord::Folded);
    let mut reader = super::reader::SegmentReader::open(&second).unwrap();
    for folded in [6, 7] {
        reader.next().unwrap();
        let at = (SegmentId(2), reader.position().end);
        assert_eq!(log.look(folded, true).first_beyond(Sequence(folded), at), record(folded + 1));
    }
    let seen = log.look(5, true);
    std::fs::remove_file(second).unwrap();
    assert_eq!(seen.first_beyond(Sequence(5), NOWHERE), FirstRecord::Folded, "retired since");
}

#[test]
fn a_file_that_nothing_can_be_told_of_is_counted_as_one() {
    let log = Log::new();
    log.segment(1, 1, 5, Left::Synced);
    let damaged = log.segment(2, 6, 3, Left::Open);
    OpenOptions::new().write(true).open(damaged).unwrap().write_all_at(b"x", 20).unwrap();
    log.segment(3, 9, 0, Left::NeverStarted);
    let found = log.look(0, false);
    assert_eq!((found.unreadable_files, found.records_beyond(Sequence(0))), (1, 5));
}

#[test]
fn numbers_that_no_segment_has_are_lost_unless_they_are_folded_retired_or_set_aside() {
    let log = Log::new();
    log.segment(3, 11, 10, Left::Synced);
    log.segment(5, 31, 10, Left::Synced);
    log.segment(6, 51, 5, Left::Synced);
    let aside = [SetAside { path: PathBuf::new(), first: 41, records: 4 }];
    for (folded, lost) in
        [(None, 10 + 6), (Some(0), 10 + 10 + 6), (Some(5), 5 + 10 + 6), (Some(20), 16), (Some(25), 11), (Some(50), 0)]
    {
        let found = log.look(folded.unwrap_or(0), false);
        assert_eq!(found.lost_beyond(folded.map(Sequence), &aside), lost, "{folded:?}");
    }
    assert_eq!(log.look(0, false).lost_beyond(None, &[]), 20);
}

#[test]
fn what_is_folded_and_kept_for_long_is_not_looked_at() {
    let log = Log::new();
    let oldest = log.segment(1, 1, 1, Left::Synced);
    for id in 2..=100 {
        log.segment(id, id, 1, Left::Synced);
    }
    OpenOptions::new().write(true).open(oldest).unwrap().write_all_at(b"x", 20).unwrap();
    let seen = |folded: u64| {
        let found = log.look(folded, false);
        (found.unreadable_files, found.records_beyond(Sequence(folded)))
    };
    assert_eq!([0, 1, 60].map(seen), [(0, 99), (0, 99), (0, 40)]);
    let lost = |folded: Option<u64>| {
        let log = log.look(folded.unwrap_or(0), false);
        log.lost_beyond(folded.map(Sequence), &[])
    };
    assert_eq!([None, Some(0), Some(1), Some(60)].map(lost), [0, 1, 0, 0]);
    assert_eq!([70, 99, 100].map(seen), [(0, 30), (0, 1), (0, 0)]);
}
