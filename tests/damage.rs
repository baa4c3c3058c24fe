//! Every way in which a small segment can be hurt, one by one: what is read is what was written, and what is missing is
//! named.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use mcplog::segment::format::{Extent, FRAME_HEADER_BYTES, FRAMES_OFFSET, HEADER_BYTES, MARK_BYTES, MARK_OFFSETS};
use mcplog::segment::marks::Marks;
use mcplog::segment::{Item, SegmentReader, Stop};
use mcplog::{Store, SyncPolicy};
use mcplog_fixture::{Fixture, PATIENCE, event};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A frame: where it starts and ends, its sequence number, its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    place: Range<usize>,
    sequence: u64,
    payload: Vec<u8>,
}

/// How far the log was vouched for when it was hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Sealed, all of it durable.
    Sealed,
    /// Active, all of it durable, with room behind it.
    Synced,
    /// Active; nothing is durable yet.
    Unsynced,
}

/// A segment that a store wrote, and a file in which it is hurt again and again.
struct Patient {
    dir: tempfile::TempDir,
    healthy: Vec<u8>,
    frames: Vec<Written>,
    state: State,
}

/// What a reader says of a hurt segment.
struct Read {
    frames: Vec<Written>,
    /// How many records the reader says are lost to damage.
    lost: u32,
    stop: Stop,
}

impl Patient {
    fn new(state: State) -> Self {
        let mut fixture = Fixture::new();
        fixture.config.sync = SyncPolicy::Never;
        fixture.config.keep_segments_bytes = Some(u64::MAX);
        fixture.open();
        // Five records, of which the first one says who writes, and the last one of a sealed log that it ended.
        let events = if state == State::Sealed { 3 } else { 4 };
        fixture.record(1..=events);
        let mut kept = None;
        match state {
            State::Sealed => {
                fixture.store().flush(PATIENCE).unwrap();
                kept = Some(fixture.dir().join("kept").join(fixture.store().writer().unwrap().to_string()));
                fixture.shut_down();
            }
            State::Synced => fixture.store().flush(PATIENCE).unwrap(),
            // Not by waiting for the folder: that makes it durable first.
            State::Unsynced => {
                while fixture.store().stats().appended < events {
                    std::thread::yield_now();
                }
            }
        }
        let segment = match kept {
            Some(kept) => mcplog::segment::list(&kept).unwrap()[0].path.clone(),
            None => fixture.segments()[0].clone(),
        };
        let mut healthy = std::fs::read(&segment).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut patient = Self { dir, healthy: Vec::new(), frames: Vec::new(), state };
        patient.frames = patient.read(&healthy).expect("a segment").frames;
        assert_eq!(patient.frames.len(), 5);
        // Some of the room behind the last frame is enough.
        healthy.truncate(patient.end() + if state == State::Sealed { 0 } else { 64 });
        let mark = SegmentReader::open(&patient.path()).unwrap().mark();
        let all = Extent { end: mcplog::position::Offset(patient.end().try_into().unwrap()), frames: 5 };
        let expected = match state {
            State::Sealed => (all, Some(all)),
            State::Synced => (all, None),
            State::Unsynced => (Extent::EMPTY, None),
        };
        assert_eq!((mark.durable, mark.sealed), expected);
        patient.healthy = healthy;
        patient
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("000000000001.seg")
    }

    fn end(&self) -> usize {
        self.frames[4].place.end
    }

    /// `None`: not a segment any more.
    fn read(&self, bytes: &[u8]) -> Option<Read> {
        // Not truncated first: some file systems take that, and closing the file, for a reason to write it to the disk.
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(self.path()).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file.set_len(bytes.len() as u64).unwrap();
        let mut reader = SegmentReader::open(&self.path()).ok()?;
        let (mut frames, mut lost) = (Vec::new(), 0);
        loop {
            match reader.next().unwrap() {
                Item::Frame(frame) => {
                    let start = frame.offset.0 as usize;
                    let end = start + (FRAME_HEADER_BYTES as usize + frame.payload.len()).next_multiple_of(4);
                    frames.push(Written {
                        place: start..end,
                        sequence: frame.sequence.0,
                        payload: frame.payload.to_vec(),
                    });
                }
                Item::Damage(damage) => lost += damage.records,
                Item::WrongMark(wrong) => panic!("{wrong}"),
                Item::Stop(stop) => return Some(Read { frames, lost, stop }),
            }
        }
    }

    /// Reads the hurt segment, of which the bytes of these frames were changed, and judges what the reader says.
    fn judge(&self, bytes: &[u8], hurt: &BTreeSet<usize>, what: &str) {
        let (state, what) = (self.state, format!("{:?}, {what}", self.state));
        let read = self.read(bytes).unwrap_or_else(|| panic!("{what}: not a segment any more"));
        let intact: Vec<_> = (0..5).filter(|index| !hurt.contains(index)).map(|index| &self.frames[index]).collect();
        if state == State::Unsynced {
            // Nothing vouches for anything: what a crash leaves, up to the first bad frame.
            let prefix = hurt.first().copied().unwrap_or(5);
            assert_eq!(read.frames, self.frames[..prefix], "{what}");
            assert_eq!(read.lost, 0, "{what}");
            self.judge_tail(bytes, &read, &what);
            return;
        }
        // An intact frame that was moved may still be found, and it is what was written, with its own number.
        let records = |frames: &[Written]| -> BTreeMap<u64, Vec<u8>> {
            frames.iter().map(|frame| (frame.sequence, frame.payload.clone())).collect()
        };
        let (found, written) = (records(&read.frames), records(&self.frames));
        assert!(found.iter().all(|(sequence, payload)| written.get(sequence) == Some(payload)), "{what}: {found:?}");
        assert!(intact.iter().all(|frame| found.contains_key(&frame.sequence)), "{what}: {found:?}");
        assert!(read.frames.is_sorted_by_key(|frame| frame.sequence), "{what}: {found:?}");
        assert_eq!(read.lost as usize, 5 - found.len(), "{what}: what is missing is not named");
        let expected = if state == State::Sealed { Stop::Sealed } else { Stop::Open };
        assert_eq!(read.stop, expected, "{what}");
    }

    /// What nothing vouches for is torn, unless nothing was written there: then its first word is zero.
    fn judge_tail(&self, bytes: &[u8], read: &Read, what: &str) {
        let end = read.frames.last().map_or(FRAMES_OFFSET as usize, |frame| frame.place.end);
        let tail = bytes.get(end..).unwrap_or_default();
        // Of less than a frame's header nobody can tell, unless it is all zeros.
        let is_header = tail.len() >= FRAME_HEADER_BYTES as usize;
        let is_unwritten = is_header && tail.starts_with(&[0; 4]) || tail.iter().all(|byte| *byte == 0);
        let written = !tail.is_empty() && !is_unwritten;
        let torn = matches!(read.stop, Stop::Torn { bytes, .. } if bytes as usize == tail.len());
        assert_eq!((torn, read.stop == Stop::Open), (written, !written), "{what}: {:?}", read.stop);
    }

    /// The frames that have bytes in that range.
    fn frames_in(&self, range: &Range<usize>) -> BTreeSet<usize> {
        let meets = |frame: &Written| frame.place.start < range.end && range.start < frame.place.end;
        (0..5).filter(|index| meets(&self.frames[*index])).collect()
    }
}

const STATES: [State; 3] = [State::Sealed, State::Synced, State::Unsynced];

#[test]
fn every_flipped_bit_of_every_frame_costs_that_frame_and_no_other() {
    for state in STATES {
        let patient = Patient::new(state);
        let mut bytes = patient.healthy.clone();
        for bit in FRAMES_OFFSET as usize * 8..patient.end() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let hurt = patient.frames_in(&(bit / 8..bit / 8 + 1));
            patient.judge(&bytes, &hurt, &format!("bit {bit}"));
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn every_flipped_bit_of_the_first_page_costs_the_header_or_nothing() {
    for state in STATES {
        let patient = Patient::new(state);
        let mut bytes = patient.healthy.clone();
        // What is reserved has no meaning: one bit of each byte will do.
        let reserved = (0..FRAMES_OFFSET as usize * 8).filter(|bit| bit % 8 == bit / 8 % 8);
        let meaningful =
            [0, MARK_OFFSETS[0] as usize, MARK_OFFSETS[1] as usize].map(|start| start * 8..(start + HEADER_BYTES) * 8);
        for bit in meaningful.into_iter().flatten().chain(reserved) {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let read = patient.read(&bytes);
            assert_eq!(read.is_none(), bit / 8 < HEADER_BYTES, "{state:?}, bit {bit}");
            // A mark that is lost vouches for less, and takes nothing away.
            assert!(read.is_none_or(|read| read.frames == patient.frames && read.lost == 0), "{state:?}, bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn a_segment_that_is_cut_at_any_length_gives_what_lies_before_and_names_what_does_not() {
    for state in STATES {
        let patient = Patient::new(state);
        // Between the marks and the frames there is nothing to be cut; a length here and there will do.
        let lengths = (0..1100).chain((1100..4090).step_by(101)).chain(4090..patient.healthy.len());
        for length in lengths {
            let what = format!("{state:?}, cut at {length}");
            let Some(read) = patient.read(&patient.healthy[..length]) else {
                assert!(length < FRAMES_OFFSET as usize, "{what}");
                continue;
            };
            assert!(length >= FRAMES_OFFSET as usize, "{what}");
            let whole = patient.frames.iter().filter(|frame| frame.place.end <= length).count();
            assert_eq!(read.frames, patient.frames[..whole], "{what}");
            // Where no mark is left, nobody knows that there was more.
            let page = &patient.healthy[..length.min(FRAMES_OFFSET as usize)];
            let mark = Marks::read(page, salt(&patient.healthy)).newest();
            assert_eq!(read.lost as usize, (mark.durable.frames as usize).saturating_sub(whole), "{what}");
            match mark.sealed {
                Some(_) => assert_eq!(read.stop, Stop::Sealed, "{what}"),
                None if whole < mark.durable.frames as usize => assert_eq!(read.stop, Stop::Open, "{what}"),
                None => patient.judge_tail(&patient.healthy[..length], &read, &what),
            }
        }
    }
}

fn salt(bytes: &[u8]) -> u32 {
    mcplog::segment::format::SegmentHeader::decode(bytes.first_chunk().unwrap()).unwrap().salt
}

#[test]
fn every_sector_of_zeros_costs_the_frames_in_it() {
    for state in STATES {
        let patient = Patient::new(state);
        for start in (0..patient.healthy.len()).step_by(512) {
            let range = start..(start + 512).min(patient.healthy.len());
            let mut bytes = patient.healthy.clone();
            bytes[range.clone()].fill(0);
            let what = format!("sector at {start}");
            match start {
                // The header: what stays is no segment, and is not taken for one that was never started where a mark
                // says otherwise.
                0 => assert!(patient.read(&bytes).is_none(), "{what}"),
                1..4096 => {
                    let read = patient.read(&bytes).expect("a segment");
                    assert!(read.frames == patient.frames && read.lost == 0, "{what}");
                }
                _ => patient.judge(&bytes, &patient.frames_in(&range), &what),
            }
        }
    }
}

#[test]
fn frames_that_change_places_do_not_pass() {
    for state in STATES {
        let patient = Patient::new(state);
        for one in 0..5 {
            // Frames of one length fit into each other's places.
            let bytes = |at: usize| patient.frames[at].place.len();
            for other in (0..5).filter(|other| *other != one && bytes(*other) == bytes(one)) {
                let (from, to) = (patient.frames[one].place.clone(), patient.frames[other].place.clone());
                // Swapped, and copied over.
                let mut swapped = patient.healthy.clone();
                swapped[to.clone()].copy_from_slice(&patient.healthy[from.clone()]);
                let copied = swapped.clone();
                swapped[from].copy_from_slice(&patient.healthy[to]);
                patient.judge(&swapped, &BTreeSet::from([one, other]), &format!("{one} and {other} swapped"));
                patient.judge(&copied, &BTreeSet::from([other]), &format!("{one} over {other}"));
            }
        }
    }
}

#[test]
fn frames_of_another_segment_do_not_pass() {
    for state in STATES {
        let (patient, donor) = (Patient::new(state), Patient::new(state));
        for from in 0..5 {
            for to in 0..5 {
                let mut bytes = patient.healthy.clone();
                let place = patient.frames[to].place.clone();
                if place.len() != donor.frames[from].place.len() {
                    continue;
                }
                bytes[place].copy_from_slice(&donor.healthy[donor.frames[from].place.clone()]);
                patient.judge(&bytes, &BTreeSet::from([to]), &format!("{from} of another segment as {to}"));
            }
        }
        // A whole page of frames, and the marks, which then vouch for nothing.
        let mut bytes = patient.healthy.clone();
        bytes[FRAMES_OFFSET as usize..].copy_from_slice(&donor.healthy[FRAMES_OFFSET as usize..]);
        patient.judge(&bytes, &(0..5).collect(), "all frames of another segment");
        let mut bytes = patient.healthy.clone();
        for offset in MARK_OFFSETS {
            let place = offset as usize..offset as usize + MARK_BYTES;
            bytes[place.clone()].copy_from_slice(&donor.healthy[place]);
        }
        let read = patient.read(&bytes).expect("a segment");
        assert_eq!((read.frames.len(), read.lost, read.stop), (5, 0, Stop::Open), "marks of another segment");
    }
}

/// What a store that is opened on such a log, without a database, folds; and whether it names a problem.
fn open_store(patient: &Patient, bytes: &[u8]) -> (BTreeSet<String>, bool) {
    let fixture = Fixture::new();
    patient.read(&patient.healthy).expect("a segment");
    let header = *SegmentReader::open(&patient.path()).unwrap().header();
    let log = fixture.wal().join(header.writer_id.to_string());
    std::fs::create_dir_all(&log).unwrap();
    std::fs::set_permissions(&fixture.config.dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::write(fixture.dir().join("store-id"), format!("{}\n", header.store_id)).unwrap();
    std::fs::write(log.join("000000000001.seg"), bytes).unwrap();
    let mut config = fixture.config.clone();
    config.sync = SyncPolicy::Never;
    let store = Store::open(config).expect("damage is no reason not to open");
    mcplog_fixture::wait_until("the log is folded, and gone", || !log.exists());
    let health = store.shutdown(PATIENCE).health;
    let database = rusqlite::Connection::open(Path::new(&fixture.config.dir).join("store.db")).unwrap();
    let mut statement = database.prepare("SELECT request_id FROM requests").unwrap();
    let ids = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let moved = fixture.config.dir.join("quarantine").exists();
    let rows: u64 = database.query_row("SELECT count(*) FROM quarantine", [], |row| row.get(0)).unwrap();
    (ids, !health.is_ok() || moved || rows > 0)
}

/// A sample of all the above, for a whole store: each takes some milliseconds.
#[test]
fn a_store_folds_what_is_intact_and_names_what_is_not() {
    let patient = Patient::new(State::Sealed);
    // The first record says who writes, and the last one that it ended.
    let id = |index: usize| event::request_id(index as u64);
    let expect = |bytes: &[u8], hurt: &BTreeSet<usize>, what: &str| {
        let (ids, named) = open_store(&patient, bytes);
        let intact: BTreeSet<_> = (1..4).filter(|index| !hurt.contains(index)).map(id).collect();
        assert_eq!(ids, intact, "{what}");
        assert_eq!(named, !hurt.is_empty(), "{what}");
    };
    expect(&patient.healthy, &BTreeSet::new(), "healthy");
    for bit in (FRAMES_OFFSET as usize * 8..patient.end() * 8).step_by(61) {
        let mut bytes = patient.healthy.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        expect(&bytes, &patient.frames_in(&(bit / 8..bit / 8 + 1)), &format!("bit {bit}"));
    }
    for bit in (0..HEADER_BYTES * 8).step_by(61) {
        let mut bytes = patient.healthy.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        // A version that is higher is refused, not folded.
        if !(64..80).contains(&bit) {
            expect(&bytes, &(0..5).collect(), &format!("bit {bit} of the header"));
        }
    }
    for length in (FRAMES_OFFSET as usize..patient.end()).step_by(29) {
        let hurt = (0..5).filter(|index| patient.frames[*index].place.end > length).collect();
        expect(&patient.healthy[..length], &hurt, &format!("cut at {length}"));
    }
    for (one, other) in [(1, 2), (2, 3), (3, 1)] {
        let mut bytes = patient.healthy.clone();
        let (from, to) = (patient.frames[one].place.clone(), patient.frames[other].place.clone());
        bytes[to.clone()].copy_from_slice(&patient.healthy[from.clone()]);
        bytes[from].copy_from_slice(&patient.healthy[to]);
        let (ids, named) = open_store(&patient, &bytes);
        let missing = (1..4).filter(|index| !ids.contains(&id(*index))).collect::<Vec<_>>();
        assert!(named && ids.len() + missing.len() == 3, "{one} and {other} swapped: {ids:?}");
        assert!(missing.iter().all(|index| [one, other].contains(index)), "{one} and {other} swapped: {ids:?}");
    }
}
