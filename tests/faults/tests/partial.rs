//! Power cuts after Linux has written some pages of a log that nobody synced, in no order: no record past the first gap
//! comes back, every record before it does, and none of it is taken for corruption.

use mcplog::segment::format::HEADER_BYTES;
use mcplog::segment::{Item, SegmentReader};
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
fn behind_the_first_gap_in_a_row_of_segments_nothing_comes_back_and_before_it_everything_does() {
    rounds("behind_the_first_gap_in_a_row_of_segments_nothing_comes_back_and_before_it_everything_does", "65536");
}

/// Does the rounds of a test on each file system.
fn rounds(test: &str, segment_bytes: &str) {
    let mut random = Random::for_test(test);
    let (mut rounds, mut with_hole) = (0, 0);
    for kind in Disk::KINDS {
        for _ in 0..Scale::chosen().rounds(1, 2, 25) {
            let Some(mut ordeal) = Ordeal::or_skip(test, env!("CARGO_BIN_EXE_victim"), kind) else { break };
            for round in 0..ROUNDS_PER_DISK {
                let written = record_and_write_some_pages(&mut ordeal, segment_bytes, &mut random);
                let (before_gap, behind_gap) = (written.before_gap(0), written.behind_gap());
                // What was folded by then may be safe in the database, and the log may go on from there.
                let folded = ordeal.folded();
                let expected = before_gap.max(folded)..=written.before_gap(folded);
                let context = format!(
                    "{kind:?}, round {round}: {before_gap} before the gap, {behind_gap} behind it, {folded} folded"
                );
                match ordeal.survivors(*expected.start()) {
                    Ok(survived) => assert!(expected.contains(&survived), "{context}, {survived} survived"),
                    Err(error) => panic!("{context}: {error}"),
                }
                rounds += 1;
                with_hole += u64::from(behind_gap > 0);
            }
        }
    }
    println!("{test}: {rounds} rounds, intact frames behind a gap in {with_hole}");
    // Otherwise this test would show nothing.
    assert!(
        rounds == 0 || with_hole > rounds / 8,
        "only {with_hole} of {rounds} rounds had intact frames behind a gap"
    );
}

/// What was written of a run's log, in the order of its records: whether each frame is on the disk.
struct Written(Vec<bool>);

impl Written {
    /// How many are there without a gap, if the first `folded` need not be in the log.
    fn before_gap(&self, folded: u64) -> u64 {
        (0..).zip(&self.0).take_while(|(number, on_disk)| *number < folded || **on_disk).count() as u64
    }

    fn behind_gap(&self) -> u64 {
        self.0.iter().skip_while(|on_disk| **on_disk).filter(|on_disk| **on_disk).count() as u64
    }
}

/// A segment as the victim saw it in its last moment.
struct Snapshot {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Where each frame lies.
    frames: Vec<Range<usize>>,
}

/// Has a victim record without syncing, forces random pages of its segments to the disk, and cuts the power.
fn record_and_write_some_pages(ordeal: &mut Ordeal, segment_bytes: &str, random: &mut Random) -> Written {
    let events = 1 + random.below(3000);
    // Some of it may have been synced the proper way, so that a mark vouches for it.
    let flush_every: u64 = random.one_of(&[0, 0, 900]);
    let wal_dir = ordeal.store().join("wal");
    let before = mcplog::segment::list(&wal_dir).unwrap_or_default().last().map(|segment| segment.id);
    let mut victim = ordeal
        .victim()
        .with(["--sync", "never", "--linger", "--keep-segments-bytes", "1000000000", "--segment-bytes", segment_bytes])
        .with(["--events", &events.to_string(), "--flush-every", &flush_every.to_string()])
        .start();
    victim.wait_until(|said| said.appended == events);
    let segments = mcplog::segment::list(&wal_dir).expect("the log can be read");
    let segments: Vec<_> =
        segments.into_iter().filter(|file| Some(file.id) > before).map(|file| Snapshot::of(file.path)).collect();
    for segment in &segments {
        segment.write_some_pages(random);
    }
    commit_journal(&ordeal.disk().path());
    ordeal.cut(victim);
    Written(segments.iter().flat_map(Snapshot::frames_on_disk).collect())
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
        Self { path, bytes, frames }
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

    /// Which of the frames are on the disk now, in a segment that has a header.
    fn frames_on_disk(&self) -> impl Iterator<Item = bool> {
        let now = std::fs::read(&self.path).unwrap_or_default();
        let same = move |range: Range<usize>| now.get(range.clone()) == Some(&self.bytes[range]);
        let header = same(0..HEADER_BYTES);
        self.frames.iter().map(move |frame| header && same(frame.clone()))
    }
}

/// Makes the file system's journal durable without writing anybody's pages: the files were allocated without content, and
/// that a page has content now is in the journal.
fn commit_journal(disk: &Path) {
    let path = disk.join("journal-commit");
    File::create(&path).and_then(|file| file.sync_all()).expect("a disk that works");
    std::fs::remove_file(&path).expect("a disk that works");
}
