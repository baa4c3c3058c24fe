//! What reading a log comes upon: living and rotating, dead and damaged, written twice, retired meanwhile, of others.

use super::directory::{SegmentFile, file_name};
use super::folder_birth::NewFolder;
use super::folder_lock::FolderLock;
use super::format::{FRAME_HEADER_BYTES, FRAMES_OFFSET, HEADER_BYTES, LogIdentity, MARK_OFFSETS, SegmentHeader};
use super::log_examination::LogExamination;
use super::log_file::LogPart;
use super::log_item::{LogItem, Owner, Waits};
use super::log_reader::LogReader;
use super::place::Place;
use super::reader::{Item, SegmentReader};
use super::syncer::SegmentSyncer;
use super::writer::{PreparedSegment, SegmentWriter};
use super::writer_folder::WriterFolder;
use crate::ground::error::SegmentError;
use crate::ground::finding::FindingKind;
use crate::ground::position::{Offset, SegmentId, Sequence, StoreId, WriterId};
use crate::ground::sabotage::{self, Spot};
use parking_lot::Mutex;
use proptest::prelude::*;
use std::collections::{BTreeSet, HashSet};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const STORE: StoreId = StoreId([5; 16]);
const WRITER: WriterId = WriterId([7; 16]);
const SEGMENT_BYTES: u32 = 64 * 1024;

/// What came, without borrowing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Frame(u64),
    Hole(u64, u64, u64),
    /// Segment, offset, lost records.
    Damage(u64, u32, u64),
    WrongMark(u64),
    BadFile(u64, FindingKind),
    Torn(u64),
    Vouched(u64),
    DamagedMarks(u64),
    NotYet,
    End,
    Waits,
}

/// A log on disk with verbs.
struct Log {
    _wal: tempfile::TempDir,
    folder: WriterFolder,
    _lock: FolderLock,
    active: Option<(SegmentWriter, SegmentSyncer)>,
}

/// The record with that number, of one of several lengths.
fn payload(number: u64) -> Vec<u8> {
    format!("record {number}{}", "x".repeat(usize::try_from(number % 7).unwrap())).into_bytes()
}

impl Log {
    fn new() -> Self {
        let wal = tempfile::tempdir().unwrap();
        let (folder, lock) = NewFolder::create(wal.path(), STORE, WRITER).unwrap().into_place().unwrap();
        Self { _wal: wal, folder, _lock: lock, active: None }
    }

    fn path(&self, id: u64) -> PathBuf {
        self.folder.path.join(file_name(SegmentId(id)))
    }

    /// Begins a segment; the one before is neither sealed nor synced.
    fn begin(&mut self, id: u64, base: u64) -> &mut Self {
        self.begin_as(LogIdentity { store: STORE, writer: WRITER, needs: 1 }, id, base)
    }

    fn begin_as(&mut self, log: LogIdentity, id: u64, base: u64) -> &mut Self {
        let prepared = PreparedSegment::create(&self.folder.path, SegmentId(id), SEGMENT_BYTES).unwrap();
        self.active = Some(prepared.activate(log, Sequence(base), 5).unwrap());
        self
    }

    fn write(&mut self, count: u64) -> &mut Self {
        let (writer, _) = self.active.as_mut().unwrap();
        for _ in 0..count {
            let number = writer.extent().next_sequence(writer.header().base_sequence).0;
            assert_eq!(writer.append(&payload(number)).unwrap(), Sequence(number));
        }
        self
    }

    fn sync(&mut self) -> &mut Self {
        self.active.as_mut().unwrap().1.sync().unwrap();
        self
    }

    fn seal(&mut self, with_sync: bool) -> &mut Self {
        let (writer, syncer) = self.active.take().unwrap();
        syncer.seal(writer.finish(), with_sync).unwrap();
        self
    }

    fn patch(&self, id: u64, offset: u32, bytes: &[u8]) {
        let file = std::fs::OpenOptions::new().write(true).open(self.path(id)).unwrap();
        file.write_all_at(bytes, u64::from(offset)).unwrap();
    }

    /// Where the frame of that number is in that segment.
    fn offset_of(&self, id: u64, number: u64) -> u32 {
        let mut reader = SegmentReader::open(&self.path(id)).unwrap();
        loop {
            match reader.next().unwrap() {
                Item::Frame(frame) if frame.sequence.0 == number => return frame.offset.0,
                Item::Frame(_) | Item::Damage(_) => {}
                other => panic!("{other:?} before {number}"),
            }
        }
    }

    /// Changes the payload of that record there.
    fn damage(&self, id: u64, number: u64) -> u32 {
        let offset = self.offset_of(id, number);
        self.patch(id, offset + FRAME_HEADER_BYTES, b"X");
        offset
    }

    fn reader(&self) -> LogReader {
        self.reader_from(Place::START)
    }

    fn reader_from(&self, from: Place) -> LogReader {
        LogReader::open(&self.folder, Some(STORE), from).unwrap()
    }

    fn read_dead(&self) -> Vec<Told> {
        read(&mut self.reader(), Owner::Dead)
    }
}

fn told(item: &LogItem<'_>) -> Told {
    match item {
        LogItem::Frame { frame, .. } => {
            assert_eq!(frame.payload, payload(frame.sequence.0), "record {}", frame.sequence);
            Told::Frame(frame.sequence.0)
        }
        LogItem::Hole { first, last, behind } => Told::Hole(first.0, last.0, behind.0),
        LogItem::Damage { segment, damage, lost } => Told::Damage(segment.0, damage.offset.0, *lost),
        LogItem::WrongMark { segment, .. } => Told::WrongMark(segment.0),
        LogItem::BadFile { file, finding, .. } => Told::BadFile(file.id.0, finding.kind),
        LogItem::Torn { segment, is_vouched_for: true, .. } => Told::Vouched(segment.0),
        LogItem::Torn { segment, .. } => Told::Torn(segment.0),
        LogItem::DamagedMarks { segment } => Told::DamagedMarks(segment.0),
        LogItem::NotYet => Told::NotYet,
        LogItem::End => Told::End,
        LogItem::Waits(_) => Told::Waits,
    }
}

/// All that comes, the end included.
fn read(reader: &mut LogReader, owner: Owner) -> Vec<Told> {
    let mut all = Vec::new();
    loop {
        all.push(told(&reader.next(owner).unwrap()));
        if matches!(all.last(), Some(Told::NotYet | Told::End | Told::Waits)) {
            return all;
        }
    }
}

fn frames(first: u64, last: u64) -> Vec<Told> {
    (first..=last).map(Told::Frame).collect()
}

#[test]
fn a_living_log_is_read_as_it_grows_and_to_its_end_once_its_writer_is_dead() {
    let mut log = Log::new();
    let mut reader = log.reader();
    assert_eq!(read(&mut reader, Owner::Living), [Told::NotYet]);
    log.begin(1, 1).write(3);
    assert_eq!(read(&mut reader, Owner::Living), [frames(1, 3), vec![Told::NotYet]].concat());
    log.write(2).sync();
    assert_eq!(read(&mut reader, Owner::Living), [frames(4, 5), vec![Told::NotYet]].concat());
    log.write(1).seal(true);
    assert_eq!(read(&mut reader, Owner::Living), [frames(6, 6), vec![Told::NotYet]].concat());
    log.begin(2, 7);
    assert_eq!(read(&mut reader, Owner::Living), [Told::NotYet]);
    assert_eq!(reader.place(), Place { segment: SegmentId(2), offset: Offset(FRAMES_OFFSET), sequence: Sequence(6) });
    log.write(2);
    assert_eq!(read(&mut reader, Owner::Dead), [frames(7, 8), vec![Told::End]].concat());
    assert_eq!(read(&mut reader, Owner::Dead), [Told::End], "and so it stays");
    let end = reader.place();
    assert_eq!((end.segment, end.sequence), (SegmentId(2), Sequence(8)), "the end of the last one");
    assert_eq!(read(&mut log.reader_from(end), Owner::Dead), [Told::End]);
}

#[test]
fn what_is_put_back_behind_the_place_with_higher_numbers_is_read() {
    // The last segment was shorter, a segment was damaged as a whole behind which nothing was, or one was not there.
    type Harm = fn(&Log);
    let harms: [(&str, Harm, u64); 3] = [
        ("shorter", |log| log.patch(2, log.offset_of(2, 9), &[0; 256]), 8),
        ("damaged", |log| log.patch(3, 20, b"X"), 10),
        ("not there", |log| std::fs::remove_file(log.path(3)).unwrap(), 10),
    ];
    for (what, harm, last) in harms {
        for owner in [Owner::Living, Owner::Dead] {
            let mut log = Log::new();
            log.begin(1, 1).write(5).seal(true).begin(2, 6).write(5);
            if what != "shorter" {
                log.seal(true).begin(3, 11).write(2).sync();
            }
            let whole = [2, 3].map(|id| std::fs::read(log.path(id)).ok());
            harm(&log);
            let mut reader = log.reader();
            read(&mut reader, owner);
            assert_eq!(reader.place().sequence, Sequence(last), "{what}");
            for (id, bytes) in [2, 3].into_iter().zip(&whole) {
                bytes.iter().for_each(|bytes| std::fs::write(log.path(id), bytes).unwrap());
            }
            let found = read(&mut log.reader_from(reader.place()), owner);
            let end = if owner == Owner::Dead { Told::End } else { Told::NotYet };
            let there = if what == "shorter" { 10 } else { 12 };
            assert_eq!(found, [frames(last + 1, there), vec![end]].concat(), "{what}");
        }
    }
}

/// A follower as it must not be: it looks for the successor when it has read a segment to its end, and goes on there.
struct Naive {
    reader: SegmentReader,
    folder: PathBuf,
}

impl Naive {
    fn read(&mut self, between: impl FnOnce()) -> Vec<u64> {
        let mut numbers = Vec::new();
        self.read_segment(&mut numbers);
        between();
        let next = self.folder.join(file_name(self.reader.header().segment_id.next()));
        self.reader = SegmentReader::open(&next).unwrap();
        self.read_segment(&mut numbers);
        numbers
    }

    fn read_segment(&mut self, numbers: &mut Vec<u64>) {
        while let Item::Frame(frame) = self.reader.next().unwrap() {
            numbers.push(frame.sequence.0);
        }
    }
}

#[test]
fn nothing_is_lost_of_a_writer_that_goes_on_and_rotates_between_a_look_at_its_frames_and_one_for_the_next_segment() {
    for (sealed, synced) in [(true, true), (true, false), (false, false)] {
        let mut log = Log::new();
        log.begin(1, 1).write(3);
        let (mut reader, folder) = (log.reader(), log.folder.path.clone());
        let log = Arc::new(Mutex::new(log));
        let between = {
            let log = Arc::clone(&log);
            move || {
                let mut log = log.lock();
                log.write(2);
                if sealed {
                    log.seal(synced);
                }
                log.begin(2, 6).write(1);
            }
        };
        sabotage::order(&folder, Spot::SegmentEnd, 0, 1, move || {
            between();
            Ok(())
        });
        assert_eq!(read(&mut reader, Owner::Living), [frames(1, 6), vec![Told::NotYet]].concat());
        assert_eq!(reader.place().segment, SegmentId(2));
        // The same interleaving takes records from who looks in the other order: the test would notice.
        let mut other = Log::new();
        other.begin(1, 1).write(3);
        let mut naive =
            Naive { reader: SegmentReader::open(&other.path(1)).unwrap(), folder: other.folder.path.clone() };
        let found = naive.read(|| {
            other.write(2).begin(2, 6).write(1);
        });
        assert_eq!(found, [1, 2, 3, 6]);
    }
}

#[test]
fn the_last_segments_of_a_writer_that_dies_between_two_looks_are_read() {
    let mut log = Log::new();
    log.begin(1, 1).write(2);
    let mut reader = log.reader();
    assert_eq!(read(&mut reader, Owner::Living), [frames(1, 2), vec![Told::NotYet]].concat());
    log.write(2).seal(false).begin(2, 5).write(3).begin(3, 8).write(1);
    assert_eq!(read(&mut reader, Owner::Dead), [frames(3, 8), vec![Told::End]].concat());
}

#[test]
fn of_a_living_log_nothing_is_torn_until_its_writer_is_dead_or_has_gone_on() {
    for gone_on in [true, false] {
        let mut log = Log::new();
        log.begin(1, 1).write(4);
        let offset = log.offset_of(1, 4);
        let mut word = [0; 4];
        let reader = SegmentReader::open(&log.path(1)).unwrap();
        reader.read_at(Offset(offset + FRAME_HEADER_BYTES), &mut word).unwrap();
        // What read(2) saw of a frame that was being written: the length is there, and the bytes are not.
        log.patch(1, offset + FRAME_HEADER_BYTES, &[0; 4]);
        let mut reader = log.reader();
        for _ in 0..2 {
            let expected = if reader.place().sequence.0 == 0 { frames(1, 3) } else { vec![] };
            assert_eq!(read(&mut reader, Owner::Living), [expected, vec![Told::NotYet]].concat());
        }
        if gone_on {
            log.patch(1, offset + FRAME_HEADER_BYTES, &word);
            assert_eq!(read(&mut reader, Owner::Living), [frames(4, 4), vec![Told::NotYet]].concat());
        } else {
            assert_eq!(read(&mut reader, Owner::Dead), [Told::Torn(1), Told::End]);
        }
        let (mut follower, kept) = (log.reader(), log.offset_of(1, 3));
        log.patch(1, kept + FRAME_HEADER_BYTES, b"X");
        log.begin(2, 3).write(3);
        let expected = [frames(1, 2), vec![Told::Torn(1)], frames(3, 5), vec![Told::NotYet]].concat();
        assert_eq!(read(&mut follower, Owner::Living), expected, "a writer that could not write went on");
    }
}

#[test]
fn what_a_living_writer_may_still_write_again_is_not_missing_yet() {
    // A sync failed behind 5, the disk lost 8, and the next segment was begun before the writer knew.
    let doubtful = |log: &mut Log| {
        log.begin(1, 1).write(5).sync().write(5).begin(2, 11).write(3);
        log.damage(1, 8);
    };
    let mut log = Log::new();
    doubtful(&mut log);
    let mut reader = log.reader();
    let first = [frames(1, 7), vec![Told::Torn(1), Told::NotYet]].concat();
    assert_eq!(read(&mut reader, Owner::Living), first);
    assert_eq!(read(&mut reader, Owner::Living), [Told::NotYet]);
    // Nor does who takes over call it missing.
    assert_eq!(read(&mut log.reader_from(reader.place()), Owner::Living).last(), Some(&Told::NotYet));
    // Who only looks says what is there, behind them as well, and calls nothing missing.
    let looked_at = LogExamination::of(log.reader(), Owner::Living, |_| ()).unwrap();
    let parts: Vec<_> = looked_at.files.iter().map(|file| file.part.clone()).collect();
    let read_part = |first, last| LogPart::Read(Sequence(first), Sequence(last));
    assert_eq!(parts, [read_part(1, 7), read_part(11, 13)]);
    assert!(looked_at.missing.is_empty() && looked_at.is_foldable(), "{looked_at:?}");
    log.begin(3, 6).write(4);
    assert_eq!(read(&mut reader, Owner::Living), [frames(8, 9), vec![Told::NotYet]].concat());
    let taken_over = read(&mut log.reader_from(reader.place()), Owner::Living);
    assert_eq!(taken_over, [Told::Torn(1), Told::NotYet]);
    log.write(5);
    assert_eq!(read(&mut reader, Owner::Living), [frames(10, 14), vec![Told::NotYet]].concat());

    // It died, or could not read it back and went on.
    for is_dead in [true, false] {
        let mut log = Log::new();
        doubtful(&mut log);
        let mut reader = log.reader();
        assert_eq!(read(&mut reader, Owner::Living), first);
        let rest = [vec![Told::Hole(8, 10, 2)], frames(11, 13)].concat();
        if is_dead {
            assert_eq!(read(&mut reader, Owner::Dead), [rest, vec![Told::End]].concat());
        } else {
            log.sync();
            assert_eq!(read(&mut reader, Owner::Living), [rest, vec![Told::NotYet]].concat());
        }
    }
}

#[test]
fn a_reader_that_follows_a_writer_in_another_thread_reads_each_record_once() {
    const LAST: u64 = 20_000;
    let mut log = Log::new();
    log.begin(1, 1);
    let (mut reader, ended) = (log.reader(), std::sync::atomic::AtomicBool::new(false));
    let mut all = Vec::new();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let (mut number, mut id) = (0, 1);
            while number < LAST {
                log.write(50);
                number += 50;
                if number % 500 == 0 {
                    log.seal(false);
                    id += 1;
                    log.begin(id, number + 1);
                }
            }
            ended.store(true, Ordering::Release);
        });
        let mut owner = Owner::Living;
        loop {
            let is_ended = ended.load(Ordering::Acquire);
            all.append(&mut read(&mut reader, owner));
            match all.pop() {
                Some(Told::End) => break,
                _ if is_ended => owner = Owner::Dead,
                _ => {}
            }
        }
        writer.join().unwrap();
    });
    assert_eq!(all, frames(1, LAST));
}

#[test]
fn looking_at_a_log_in_which_nothing_happens_takes_two_small_reads() {
    let mut log = Log::new();
    log.begin(1, 1).write(3).sync();
    let mut reader = log.reader();
    read(&mut reader, Owner::Living);
    let reads = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&reads);
    let count = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    sabotage::order(&log.folder.path, Spot::Read { from: 0, to: u64::MAX }, 0, u32::MAX, count);
    for look in 1..=10 {
        assert_eq!(read(&mut reader, Owner::Living), [Told::NotYet]);
        assert_eq!(reads.load(Ordering::Relaxed), 2 * look);
    }
    log.write(1);
    assert_eq!(read(&mut reader, Owner::Living), [frames(4, 4), vec![Told::NotYet]].concat());
}

/// A dead log's name, how it is made, and all that comes.
type Case = (&'static str, fn(&mut Log), Vec<Told>);

#[test]
fn a_dead_log_is_read_in_the_order_of_its_numbers_with_all_that_is_wrong_or_missing() {
    use FindingKind as K;
    use Told::{BadFile, Damage, End, Frame, Hole, Torn};
    let cases: Vec<Case> = vec![
        ("nothing", |_| {}, vec![End]),
        (
            "whole",
            |log| _ = log.begin(1, 1).write(5).seal(true).begin(2, 6).write(3),
            [frames(1, 8), vec![End]].concat(),
        ),
        (
            "written again after a failed sync, to the end",
            |log| _ = log.begin(1, 1).write(5).sync().write(5).begin(2, 6).write(7),
            [frames(1, 12), vec![End]].concat(),
        ),
        (
            "written again, and cut short",
            |log| _ = log.begin(1, 1).write(5).sync().write(5).begin(2, 6).write(2),
            [frames(1, 10), vec![End]].concat(),
        ),
        (
            "written again twice, the first time cut short",
            |log| _ = log.begin(1, 1).write(5).sync().write(5).begin(2, 6).write(2).begin(3, 6).write(8),
            [frames(1, 13), vec![End]].concat(),
        ),
        (
            "written again, and torn where it was written first",
            |log| {
                log.begin(1, 1).write(5).sync().write(5).begin(2, 6).write(7);
                log.damage(1, 8);
            },
            [frames(1, 7), vec![Torn(1)], frames(8, 12), vec![End]].concat(),
        ),
        (
            "torn at its end",
            |log| {
                log.begin(1, 1).write(5);
                log.damage(1, 4);
            },
            [frames(1, 3), vec![Torn(1), End]].concat(),
        ),
        (
            "torn in the middle",
            |log| {
                log.begin(1, 1).write(5).begin(2, 6).write(2);
                log.damage(1, 4);
            },
            [frames(1, 3), vec![Torn(1), Hole(4, 5, 2)], frames(6, 7), vec![End]].concat(),
        ),
        (
            "torn where the seal tells how much there was, and nothing follows",
            |log| {
                log.begin(1, 1).write(10).seal(false);
                log.damage(1, 8);
            },
            [frames(1, 7), vec![Torn(1), Hole(8, 10, 1), End]].concat(),
        ),
        (
            "the same, written again and cut short",
            |log| {
                log.begin(1, 1).write(10).seal(false).begin(2, 4).write(5);
                log.damage(1, 7);
            },
            [frames(1, 6), vec![Torn(1)], frames(7, 8), vec![Hole(9, 10, 1), End]].concat(),
        ),
        (
            "a segment is missing",
            |log| {
                log.begin(1, 1).write(5).seal(true).begin(2, 6).write(3).seal(true).begin(3, 9).write(1);
                std::fs::remove_file(log.path(2)).unwrap();
            },
            [frames(1, 5), vec![Hole(6, 8, 3), Frame(9), End]].concat(),
        ),
        (
            "the first segment is missing, and the last has no frames",
            |log| {
                log.begin(1, 1).write(5).seal(true).begin(2, 6);
                std::fs::remove_file(log.path(1)).unwrap();
            },
            vec![Hole(1, 5, 2), End],
        ),
        (
            "a header is damaged, in the middle and at the end",
            |log| {
                log.begin(1, 1).write(5).seal(true).begin(2, 6).write(3).seal(true).begin(3, 9).write(1);
                log.begin(4, 10).write(1);
                [2, 4].into_iter().for_each(|id| log.patch(id, 20, b"X"));
            },
            [
                frames(1, 5),
                vec![BadFile(2, K::DamagedHeader), Hole(6, 8, 3), Frame(9), BadFile(4, K::DamagedHeader), End],
            ]
            .concat(),
        ),
        (
            "a segment was never started",
            |log| {
                log.begin(1, 1).write(5);
                std::fs::write(log.path(2), [0; 8192]).unwrap();
            },
            [frames(1, 5), vec![BadFile(2, K::UnstartedSegment), End]].concat(),
        ),
        (
            "a segment under another one's name, whose header tells what is missing",
            |log| {
                log.begin(1, 1).write(5).seal(true).begin(2, 6).write(3).seal(true);
                std::fs::rename(log.path(2), log.path(3)).unwrap();
            },
            [frames(1, 5), vec![BadFile(3, K::MisnamedSegment), Hole(6, 8, 2), End]].concat(),
        ),
        (
            "a segment of another writer",
            |log| {
                let other = LogIdentity { store: STORE, writer: WriterId([9; 16]), needs: 1 };
                log.begin(1, 1).write(5).seal(true).begin_as(other, 2, 90).write(2).seal(true);
            },
            [frames(1, 5), vec![BadFile(2, K::MisnamedSegment), End]].concat(),
        ),
        (
            "damage, of which a second writing has some",
            |log| {
                log.begin(1, 1).write(6).seal(true).begin(2, 4).write(4).seal(true);
                [3, 4].into_iter().for_each(|number| _ = log.damage(1, number));
            },
            [frames(1, 2), vec![Damage(1, 4144, 1), Hole(3, 3, 1), Frame(4)], frames(5, 7), vec![End]].concat(),
        ),
        (
            "torn, though what is behind it is durable",
            |log| {
                log.begin(1, 1).write(5).begin(2, 6).write(2).sync();
                log.damage(1, 4);
            },
            [frames(1, 3), vec![Told::Vouched(1), Hole(4, 5, 2)], frames(6, 7), vec![End]].concat(),
        ),
        (
            "both marks are damaged",
            |log| {
                log.begin(1, 1).write(3).sync().write(1).seal(true).begin(2, 5).write(1);
                MARK_OFFSETS.iter().for_each(|offset| log.patch(1, *offset, &[0x5a; 32]));
            },
            [frames(1, 4), vec![Told::DamagedMarks(1), Frame(5), End]].concat(),
        ),
        (
            "damage, of which several later segments have some each",
            |log| {
                log.begin(1, 1).write(4).sync().write(2).begin(2, 3).write(1).begin(3, 4).write(1).begin(4, 4).write(5);
                [3, 4].into_iter().for_each(|number| _ = log.damage(1, number));
            },
            [frames(1, 2), vec![Damage(1, 4144, 0)], frames(3, 8), vec![End]].concat(),
        ),
        (
            "damage in what came already",
            |log| {
                log.begin(1, 1).write(6).seal(true).begin(2, 4).write(4).seal(true);
                log.damage(2, 5);
            },
            [frames(1, 6), vec![Damage(2, 4120, 0), Frame(7), End]].concat(),
        ),
    ];
    for (case, make, expected) in cases {
        let mut log = Log::new();
        make(&mut log);
        assert_eq!(log.read_dead(), expected, "{case}");
    }
}

#[test]
fn a_mark_that_the_frames_contradict_is_told_and_the_frames_are_read() {
    let mut log = Log::new();
    log.begin(1, 1).write(5).seal(true);
    let header = *SegmentReader::open(&log.path(1)).unwrap().header();
    let mut mark = SegmentReader::open(&log.path(1)).unwrap().mark();
    mark.durable.frames += 1;
    mark.sealed = Some(mark.durable);
    for offset in MARK_OFFSETS {
        mark.generation = u64::from(offset == MARK_OFFSETS[1]) + 10;
        log.patch(1, offset, &mark.encode(header.salt));
    }
    assert_eq!(log.read_dead(), [frames(1, 5), vec![Told::WrongMark(1), Told::End]].concat());
}

#[test]
fn numbers_in_front_of_the_first_segment_are_folded_or_missing_as_the_place_says() {
    let mut log = Log::new();
    log.begin(1, 1).write(5).seal(true).begin(2, 6).write(3);
    std::fs::remove_file(log.path(1)).unwrap();
    for (folded, expected) in [
        (0, [vec![Told::Hole(1, 5, 2)], frames(6, 8)].concat()),
        (3, [vec![Told::Hole(4, 5, 2)], frames(6, 8)].concat()),
        (5, frames(6, 8)),
        (7, frames(8, 8)),
    ] {
        let mut reader = log.reader();
        reader.pass_over(Sequence(folded));
        assert_eq!(read(&mut reader, Owner::Dead), [expected, vec![Told::End]].concat(), "{folded}");
    }
}

#[test]
fn a_log_waits_from_the_file_on_that_is_not_for_this_build_or_not_of_this_store() {
    let other_store = LogIdentity { store: StoreId([6; 16]), writer: WRITER, needs: 1 };
    let newer = LogIdentity { store: STORE, writer: WRITER, needs: 4 };
    for case in 0..3 {
        let mut log = Log::new();
        log.begin(1, 1).write(2).seal(true);
        log.begin_as([other_store, newer, newer][case], 2, 3).write(2).seal(true);
        if case == 2 {
            let header = *SegmentReader::open(&log.path(2)).unwrap().header();
            log.patch(2, 0, &header.encode_as(9));
        }
        log.begin(3, 5).write(1);
        let path = log.path(2);
        let waits = match case {
            0 => Waits::OtherStore { path, store: other_store.store },
            1 => Waits::Level { path, supported: 3, found: 4 },
            _ => Waits::Version { path, supported: 1, found: 9 },
        };
        let mut reader = log.reader();
        reader.know_level(3);
        for owner in [Owner::Living, Owner::Dead] {
            let expected = if owner == Owner::Living { frames(1, 2) } else { vec![] };
            assert_eq!(read(&mut reader, owner), [expected, vec![Told::Waits]].concat());
        }
        assert!(matches!(reader.next(Owner::Dead).unwrap(), LogItem::Waits(found) if found == waits));
        assert_eq!(reader.place().sequence, Sequence(2));
        if case < 2 {
            // Who knows the level, and takes any store, reads on.
            let mut reader = LogReader::open(&log.folder, None, Place::START).unwrap();
            reader.know_level(4);
            assert_eq!(read(&mut reader, Owner::Dead), [frames(1, 5), vec![Told::End]].concat());
        }
    }
}

#[test]
fn what_was_retired_meanwhile_is_gone_and_not_unreadable() {
    let mut log = Log::new();
    log.begin(1, 1).write(2).seal(true).begin(2, 3).write(2).seal(true).begin(3, 5);
    let is_gone = |reader: &mut LogReader, expected: &Path| {
        let found = reader.next(Owner::Living);
        matches!(found, Err(SegmentError::Gone { path }) if path == expected)
    };
    let (mut first, mut second) = (log.reader(), log.reader());
    assert_eq!(told(&second.next(Owner::Living).unwrap()), Told::Frame(1));
    std::fs::remove_file(log.path(1)).unwrap();
    assert!(is_gone(&mut first, &log.path(1)));
    // What is open is read to its end.
    assert_eq!(read(&mut second, Owner::Living), [frames(2, 4), vec![Told::NotYet]].concat());
    std::fs::remove_dir_all(&log.folder.path).unwrap();
    assert!(is_gone(&mut second, &log.folder.path));
    assert!(matches!(second.next(Owner::Dead), Err(SegmentError::Gone { .. })));
    let opened = LogReader::open(&log.folder, Some(STORE), Place::START);
    assert!(matches!(opened, Err(SegmentError::Gone { path }) if path == log.folder.path));
}

#[test]
fn what_the_disk_can_not_give_back_is_an_error_or_zeros_as_the_reader_says() {
    let mut log = Log::new();
    log.begin(1, 1).write(300).seal(true).begin(2, 301).write(1);
    let place = u64::from(log.offset_of(1, 290)) / 4096 * 4096;
    sabotage::spoil(&log.path(1), place..place + 4096);
    let mut reader = log.reader();
    let mut numbers = Vec::new();
    let refused = loop {
        match reader.next(Owner::Dead) {
            Ok(item) => numbers.push(told(&item)),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, SegmentError::Io(error) if error.is_unreadable()));
    reader.pass_unreadable();
    numbers.append(&mut read(&mut reader, Owner::Dead));
    let lost: u64 =
        numbers.iter().map(|told| if let Told::Hole(first, last, 1) = told { last + 1 - first } else { 0 }).sum();
    let found = numbers.iter().filter(|told| matches!(told, Told::Frame(_))).count() as u64;
    assert!(lost > 50, "{lost}");
    assert_eq!((found + lost, numbers.last()), (301, Some(&Told::End)));
}

#[test]
fn files_from_several_places_are_read_as_one_log() {
    let mut log = Log::new();
    log.begin(1, 1).write(4).seal(true).begin(2, 5).write(4).seal(true).begin(3, 9).write(2).seal(true);
    let aside = tempfile::tempdir().unwrap();
    let file = |id: u64, name: String| SegmentFile { id: SegmentId(id), path: aside.path().join(name) };
    let [first, damaged] = [file(1, file_name(SegmentId(1))), file(2, format!("{}.2", file_name(SegmentId(2))))];
    std::fs::rename(log.path(1), &first.path).unwrap();
    std::fs::copy(log.path(2), &damaged.path).unwrap();
    let offset = log.damage(2, 6);
    let whole = damaged.clone();
    let files = vec![
        SegmentFile { id: SegmentId(3), path: log.path(3) },
        SegmentFile { id: SegmentId(2), path: log.path(2) },
        whole,
        first,
    ];
    let mut reader = LogReader::over(WRITER, Some(STORE), files, Place::START);
    let expected = [frames(1, 5), vec![Told::Damage(2, offset, 0)], frames(6, 10), vec![Told::End]].concat();
    assert_eq!(read(&mut reader, Owner::Dead), expected);
}

/// A log with all that honest writers leave: sealed with and without a sync, poisoned and written again, cut short, and
/// a last segment that is open. The number of its last record.
fn rich_log() -> (Log, u64) {
    let mut log = Log::new();
    log.begin(1, 1).write(4).seal(true).begin(2, 5).write(3).sync().write(3);
    log.begin(3, 8).write(2).sync().begin(4, 10).write(4).seal(false).begin(5, 14).write(3).sync().write(1);
    (log, 17)
}

/// Checks what must hold of all that comes of [`rich_log`], whatever was done to it, and returns the numbers that came.
fn accounted(all: &[Told], last_place: Sequence) -> BTreeSet<u64> {
    let (mut numbers, mut due) = (BTreeSet::new(), 1);
    for told in all {
        match told {
            Told::Frame(number) => {
                assert_eq!(*number, due, "each number comes once, or is in a hole: {all:?}");
                due += 1;
                numbers.insert(*number);
            }
            Told::Hole(first, last, _) => {
                assert!(*first == due && first <= last, "{all:?}");
                due = last + 1;
            }
            _ => {}
        }
    }
    assert_eq!(due, last_place.0 + 1);
    numbers
}

fn read_counting(log: &Log) -> (Vec<Told>, Sequence) {
    let mut reader = log.reader();
    let all = read(&mut reader, Owner::Dead);
    (all, reader.place().sequence)
}

#[test]
fn whatever_one_byte_of_a_dead_log_is_no_number_comes_twice_or_goes_uncounted_and_only_its_own_record_is_lost() {
    let (log, last) = rich_log();
    let (whole, _) = read_counting(&log);
    assert_eq!(whole, [frames(1, last), vec![Told::End]].concat());
    for id in 1..=5 {
        let bytes = std::fs::read(log.path(id)).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        for at in (0..HEADER_BYTES + 544).chain(FRAMES_OFFSET as usize..end) {
            if at >= HEADER_BYTES && at < MARK_OFFSETS[0] as usize {
                continue;
            }
            let offset = u32::try_from(at).unwrap();
            log.patch(id, offset, &[bytes[at] ^ 0x41]);
            let (all, reached) = read_counting(&log);
            let numbers = accounted(&all, reached);
            let missing = (1..=last).filter(|number| !numbers.contains(number)).count();
            // A file whose header is gone, and all behind a torn place of the last one, is more than a record.
            let is_frame = at >= FRAMES_OFFSET as usize;
            let missing_max = if !is_frame && id < 5 {
                4
            } else if is_frame && id != 4 {
                1
            } else {
                4
            };
            assert!(missing <= missing_max, "segment {id}, byte {at}: {all:?}");
            log.patch(id, offset, &bytes[at..=at]);
        }
    }
}

#[test]
fn who_goes_on_from_any_place_reads_what_who_never_stopped_reads() {
    let (log, _) = rich_log();
    [(1, 2), (2, 5), (2, 9), (3, 8), (4, 12)].into_iter().for_each(|(id, number)| _ = log.damage(id, number));
    std::fs::remove_file(log.path(3)).unwrap();
    let (whole, reached) = read_counting(&log);
    accounted(&whole, reached);
    for stop in 0..whole.len() {
        let mut reader = log.reader();
        let mut all: Vec<_> = (0..stop).map(|_| told(&reader.next(Owner::Dead).unwrap())).collect();
        let mut second = log.reader_from(reader.place());
        all.append(&mut read(&mut second, Owner::Dead));
        assert_eq!(second.place().sequence, reached);
        let mut places = HashSet::new();
        // A place of damage that comes again counts once, and so does what is torn.
        all.retain(|told| match told {
            Told::Damage(segment, offset, _) => places.insert((*segment, *offset)),
            _ => true,
        });
        all.dedup();
        assert_eq!(all, whole, "stopped after {stop}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Several bytes, anywhere, files that are gone, and a reader that stops anywhere.
    #[test]
    fn no_damage_makes_a_number_come_twice_or_go_uncounted(
        patches in prop::collection::vec((1_u64..=5, 0_u32..600, prop::collection::vec(any::<u8>(), 1..24)), 0..6),
        removed in prop::collection::btree_set(1_u64..=5, 0..3),
        cut in prop::option::of((1_u64..=5, 0_u64..6000)),
    ) {
        let (log, _) = rich_log();
        for (id, at, bytes) in patches {
            let offset = if at < 200 { at / 2 } else if at < 300 { MARK_OFFSETS[0] + at % 32 } else { FRAMES_OFFSET + at - 300 };
            log.patch(id, offset, &bytes);
        }
        if let Some((id, bytes)) = cut {
            std::fs::OpenOptions::new().write(true).open(log.path(id)).unwrap().set_len(bytes).unwrap();
        }
        for id in removed {
            std::fs::remove_file(log.path(id)).unwrap();
        }
        let (all, reached) = read_counting(&log);
        accounted(&all, reached);
        prop_assert_eq!(read_counting(&log), (all, reached));
    }
}

#[test]
fn a_header_is_told_while_its_segment_is_read() {
    let mut log = Log::new();
    log.begin(1, 1).write(1);
    let mut reader = log.reader();
    assert_eq!((reader.header().copied(), reader.writer()), (None, WRITER));
    assert_eq!(told(&reader.next(Owner::Living).unwrap()), Told::Frame(1));
    let header: SegmentHeader = *reader.header().unwrap();
    assert_eq!((header.segment_id, header.base_sequence), (SegmentId(1), Sequence(1)));
}

#[test]
fn numbers_that_went_with_what_was_read_before_them_are_retired_and_no_hole() {
    for retires in [true, false] {
        let mut log = Log::new();
        log.begin(1, 1).write(3);
        let mut reader = log.reader();
        assert_eq!(read(&mut reader, Owner::Living), [frames(1, 3), vec![Told::NotYet]].concat());
        log.seal(true);
        log.begin(2, 4).write(2).seal(true);
        log.begin(3, 6).write(2).sync();
        // Before the reader saw that there is a second one.
        if retires {
            std::fs::remove_file(log.path(1)).unwrap();
        }
        std::fs::remove_file(log.path(2)).unwrap();
        let lacks = [vec![Told::Hole(4, 5, 3)], frames(6, 7), vec![Told::NotYet]].concat();
        if !retires {
            assert_eq!(read(&mut reader, Owner::Living), lacks, "nobody retires what is behind one that stays");
            continue;
        }
        let first = log.path(1);
        assert!(matches!(reader.next(Owner::Living), Err(SegmentError::Gone { path }) if path == first));
        // Who asks how far it is folded, and reads on from there, is told what nobody has.
        assert_eq!(read(&mut log.reader_from(reader.place()), Owner::Living), lacks);
    }
}
