//! Power cuts after Linux has written some pages of a log that nobody synced, in no order: behind the first gap of a segment
//! no record of that segment comes back, every record before it does, what is missing before others is counted, and none
//! of it is taken for corruption.

use mcplog::segment::format::HEADER_BYTES;
use mcplog::segment::{Item, SegmentReader};
use mcplog_faults::placed::folders;
use mcplog_faults::{Disk, Ordeal, Random, Scale};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

const PAGE_BYTES: u64 = 4096;
const ROUNDS_PER_DISK: u64 = 10;

#[test]
fn behind_the_first_gap_in_a_segment_nothing_comes_back_and_before_it_everything_does() {
    rounds("behind_the_first_gap_in_a_segment_nothing_comes_back_and_before_it_everything_does", "1048576");
}

#[test]
fn behind_gaps_in_a_row_of_segments_nothing_of_them_comes_back_and_what_is_missing_is_counted() {
    rounds("behind_gaps_in_a_row_of_segments_nothing_of_them_comes_back_and_what_is_missing_is_counted", "65536");
}

/// Does the rounds of a test on each file system.
fn rounds(test: &str, segment_bytes: &str) {
    let mut random = Random::for_test(test);
    let (mut rounds, mut with_hole, mut missing) = (0, 0, 0);
    for kind in Disk::KINDS {
        for _ in 0..Scale::chosen().rounds(1, 2, 25) {
            let Some(mut ordeal) = Ordeal::or_skip(test, env!("CARGO_BIN_EXE_victim"), kind) else { break };
            for round in 0..ROUNDS_PER_DISK {
                let written = record_and_write_some_pages(&mut ordeal, segment_bytes, &mut random);
                let behind_gap = written.behind_gap();
                // What was folded by then may be safe in the database, and folding goes on behind it.
                let folded = ordeal.folded();
                let expected = written.expected(folded);
                let context =
                    format!("{kind:?}, round {round}: {folded} folded, {behind_gap} behind a gap, {expected:?}");
                match ordeal.survivors(&[expected.prefix]) {
                    Ok(survived) => {
                        assert_eq!(survived.events[0], expected.events, "{context}");
                        // Who writes may have been folded, or not, where no event was.
                        let is_as_expected = expected.missing.saturating_sub(1)..=expected.missing;
                        assert!(is_as_expected.contains(&survived.missing), "{context}: {} missing", survived.missing);
                        missing += survived.missing;
                    }
                    Err(error) => panic!("{context}: {error}"),
                }
                rounds += 1;
                with_hole += u64::from(behind_gap > 0);
            }
        }
    }
    println!("{test}: {rounds} rounds, intact frames behind a gap in {with_hole}, {missing} records missing");
    // Otherwise this test would show nothing.
    assert!(
        rounds == 0 || with_hole > rounds / 8,
        "only {with_hole} of {rounds} rounds had intact frames behind a gap"
    );
}

/// What was written of a run's log: its segments, in their order.
struct Written(Vec<WrittenSegment>);

/// What was written of a segment.
struct WrittenSegment {
    /// The number of its first record.
    base: u64,
    has_header: bool,
    /// How many frames its seal tells of; 0 if it has none.
    sealed: u64,
    /// Whether each frame is on the disk, in the order of its records.
    frames: Vec<bool>,
}

/// What is owed after the power cut.
#[derive(Debug)]
struct Expected {
    /// How many of the first events are there without a hole.
    prefix: u64,
    /// How many in all.
    events: u64,
    /// How many records are missing before others, or before what a header tells of.
    missing: u64,
}

impl Written {
    /// What is owed if the first `folded` events are safe already. The first record is no event: it says who writes.
    fn expected(&self, folded: u64) -> Expected {
        let folded = if folded > 0 { folded + 1 } else { 0 };
        let (mut records, mut due, mut missing, mut prefix) = (folded, folded + 1, 0, None);
        for segment in self.0.iter().filter(|segment| segment.has_header) {
            if segment.base > due {
                prefix.get_or_insert(records);
                missing += segment.base - due;
                due = segment.base;
            }
            let from = usize::try_from(due - segment.base).unwrap_or(usize::MAX);
            let read = segment.frames.iter().skip(from).take_while(|on_disk| **on_disk).count() as u64;
            (records, due) = (records + read, due + read);
            let sealed = segment.base + segment.sealed;
            if sealed > due {
                prefix.get_or_insert(records);
                missing += sealed - due;
                due = sealed;
            }
        }
        let prefix = prefix.unwrap_or(records).saturating_sub(1);
        // Where the first record is missing, all that are there are events.
        let first_is_there = folded > 0 || self.0.first().is_some_and(|first| first.has_header && first.frames[0]);
        Expected { prefix, events: records - u64::from(first_is_there), missing }
    }

    /// How many frames are on the disk behind a gap in their segment.
    fn behind_gap(&self) -> u64 {
        let behind = |segment: &WrittenSegment| {
            let rest = segment.frames.iter().skip_while(|on_disk| **on_disk);
            rest.filter(|on_disk| **on_disk).count() as u64
        };
        self.0.iter().filter(|segment| segment.has_header).map(behind).sum()
    }
}

/// A segment as the victim saw it in its last moment.
struct Snapshot {
    path: PathBuf,
    base: u64,
    bytes: Vec<u8>,
    /// Where each frame lies.
    frames: Vec<Range<usize>>,
}

/// Has a victim record without syncing, forces random pages of its segments to the disk, and cuts the power.
fn record_and_write_some_pages(ordeal: &mut Ordeal, segment_bytes: &str, random: &mut Random) -> Written {
    let events = 1 + random.below(3000);
    // Some of it may have been synced the proper way, so that a mark vouches for it.
    let flush_every: u64 = random.one_of(&[0, 0, 900]);
    let (wal, kept) = (ordeal.store().join("wal"), ordeal.store().join("kept"));
    let mut victim = ordeal
        .victim()
        .with(["--sync", "never", "--linger", "--keep-segments-bytes", "1000000000", "--segment-bytes", segment_bytes])
        .with(["--events", &events.to_string(), "--flush-every", &flush_every.to_string()])
        .start();
    victim.wait_until(|said| said.appended == events);
    // So that nothing is folded, and moved elsewhere, between one look and the next.
    victim.stop();
    // Nobody else has a folder there: what was there before is folded and gone.
    let [folder] = folders(&wal).try_into().unwrap_or_else(|found| panic!("one folder, not {found:?}"));
    let kept = kept.join(folder.file_name().expect("a name"));
    let mut segments: Vec<_> = [&kept, &folder].into_iter().flat_map(|dir| list(dir)).collect();
    segments.sort_by_key(|segment| segment.base);
    for segment in &segments {
        segment.write_some_pages(random);
    }
    commit_journal(&ordeal.disk().path());
    ordeal.cut(vec![victim]);
    Written(segments.iter().map(Snapshot::written).collect())
}

fn list(dir: &Path) -> Vec<Snapshot> {
    let files = mcplog::segment::list(dir).unwrap_or_default();
    files.into_iter().map(|file| Snapshot::of(file.path)).collect()
}

impl Snapshot {
    fn of(path: PathBuf) -> Self {
        let mut reader = SegmentReader::open(&path).expect("a segment that is being written has a header");
        let mut frames = Vec::new();
        loop {
            let start = reader.position().end.0 as usize;
            match reader.next().expect("the segment can be read") {
                Item::Frame(_) => frames.push(start..reader.position().end.0 as usize),
                Item::Stop(_) => break,
                Item::Damage(damage) => panic!("{}: {damage:?}", path.display()),
                Item::WrongMark(wrong) => panic!("{wrong}"),
            }
        }
        let bytes = std::fs::read(&path).expect("the segment can be read");
        Self { path, base: reader.header().base_sequence.0, bytes, frames }
    }

    /// Forces some pages to the disk, as Linux does with whatever pages it likes: none, all, or some ranges.
    fn write_some_pages(&self, random: &mut Random) {
        let pages = (self.frames.last().map_or(0, |frame| frame.end) as u64).div_ceil(PAGE_BYTES);
        let kind = random.below(8);
        let mut range = |at_most: u64| {
            let start = random.below(pages);
            start..(start + 1 + random.below(at_most)).min(pages)
        };
        let ranges = match kind {
            _ if pages == 0 => return,
            0 => return,
            1 | 2 => Vec::from([0..1, 1..pages]),
            // Without its first page a segment was never started, whatever else is there.
            3 => Vec::from([range(pages), range(pages)]),
            _ => Vec::from([0..1, range(pages), range(3), range(3)]),
        };
        let mut xfs_io = Command::new("xfs_io");
        for range in ranges {
            let (offset, bytes) = (range.start * PAGE_BYTES, (range.end - range.start) * PAGE_BYTES);
            // One at a time: xfs_io 6.1 obeys only the last of several flags.
            for flag in ["-w", "-a"] {
                xfs_io.args(["-c", &format!("sync_range {flag} {offset} {bytes}")]);
            }
        }
        let output = xfs_io.arg(&self.path).output().expect("xfs_io is there: the disk came by it");
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }

    /// What of it is on the disk now.
    fn written(&self) -> WrittenSegment {
        let now = std::fs::read(&self.path).unwrap_or_default();
        let same = |range: Range<usize>| now.get(range.clone()) == Some(&self.bytes[range]);
        let frames = self.frames.iter().map(|frame| same(frame.clone())).collect();
        let has_header = same(0..HEADER_BYTES);
        let mark = SegmentReader::open(&self.path).ok().filter(|_| has_header).map(|reader| reader.mark());
        let sealed = mark.and_then(|mark| mark.sealed).map_or(0, |sealed| u64::from(sealed.frames));
        WrittenSegment { base: self.base, has_header, sealed, frames }
    }
}

/// Makes the file system's journal durable without writing anybody's pages: the files were allocated without content, and
/// that a page has content now is in the journal.
fn commit_journal(disk: &Path) {
    let path = disk.join("journal-commit");
    File::create(&path).and_then(|file| file.sync_all()).expect("a disk that works");
    std::fs::remove_file(&path).expect("a disk that works");
}
