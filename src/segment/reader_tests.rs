//! What a reader says of a segment: frames as they were written, damage below the durable mark, a torn tail above, and
//! what is no segment at all.

use super::format::{
    Extent, FRAME_HEADER_BYTES, FRAMES_OFFSET, FrameError, FrameHeader, HEADER_BYTES, LogIdentity, MARK_BYTES, Mark,
};
use super::reader::{Damage, Item, SegmentReader, Stop};
use super::syncer::SegmentSyncer;
use super::writer::{PreparedSegment, SegmentWriter};
use crate::ground::error::{HeaderFault, SegmentError};
use crate::ground::position::{Offset, SegmentId, Sequence, WriterId};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A segment on disk with verbs.
struct Fixture {
    _dir: tempfile::TempDir,
    path: PathBuf,
    writer: Option<SegmentWriter>,
    syncer: Option<SegmentSyncer>,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let prepared = PreparedSegment::create(dir.path(), SegmentId(1), 64 * 1024).unwrap();
        let (writer, syncer) = prepared.activate(LogIdentity::sample(WriterId([7; 16])), Sequence(101), 5).unwrap();
        let path = writer.path().to_owned();
        Self { _dir: dir, path, writer: Some(writer), syncer: Some(syncer) }
    }

    fn write(&mut self, payload: &[u8]) -> Sequence {
        self.writer.as_mut().unwrap().append(payload).unwrap()
    }

    fn sync(&mut self) -> Extent {
        self.syncer.as_mut().unwrap().sync().unwrap()
    }

    fn seal(&mut self) {
        let extent = self.writer.take().unwrap().finish();
        self.syncer.take().unwrap().seal(extent, true).unwrap();
    }

    fn patch(&self, offset: u32, bytes: &[u8]) {
        let file = OpenOptions::new().write(true).open(&self.path).unwrap();
        file.write_all_at(bytes, u64::from(offset)).unwrap();
    }

    fn open(&self) -> SegmentReader {
        SegmentReader::open(&self.path).unwrap()
    }
}

/// Offset, sequence, payload.
type Found = (u32, u64, Vec<u8>);

/// Everything up to the stop.
fn read_all(reader: &mut SegmentReader) -> (Vec<Found>, Vec<Damage>, Stop) {
    let (mut frames, mut damage) = (Vec::new(), Vec::new());
    loop {
        match reader.next().unwrap() {
            Item::Frame(frame) => frames.push((frame.offset.0, frame.sequence.0, frame.payload.to_vec())),
            Item::Damage(found) => damage.push(found),
            Item::WrongMark(wrong) => panic!("{wrong}"),
            Item::Stop(stop) => return (frames, damage, stop),
        }
    }
}

#[test]
fn a_live_segment_is_read_as_it_grows_and_to_its_seal() {
    let mut segment = Fixture::new();
    let mut reader = segment.open();
    assert_eq!(reader.next().unwrap(), Item::Stop(Stop::Open));
    for round in 0..3_u64 {
        assert_eq!(segment.write(b"payload"), Sequence(101 + round));
        assert!(matches!(reader.next().unwrap(), Item::Frame(frame) if frame.sequence.0 == 101 + round));
        assert_eq!(reader.next().unwrap(), Item::Stop(Stop::Open));
    }
    segment.seal();
    assert_eq!(reader.next().unwrap(), Item::Stop(Stop::Sealed));
    assert_eq!(std::fs::metadata(&segment.path).unwrap().len(), u64::from(reader.position().end.0));
}

#[test]
fn a_frame_larger_than_the_read_ahead_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let prepared = PreparedSegment::create(dir.path(), SegmentId(1), 4 * 1024 * 1024).unwrap();
    let (mut writer, _syncer) = prepared.activate(LogIdentity::sample(WriterId([7; 16])), Sequence(1), 5).unwrap();
    let large = vec![0xab; 1024 * 1024];
    writer.append(b"small").unwrap();
    writer.append(&large).unwrap();
    writer.append(b"small").unwrap();
    let (frames, _, stop) = read_all(&mut SegmentReader::open(writer.path()).unwrap());
    assert_eq!(frames.iter().map(|frame| frame.2.len()).collect::<Vec<_>>(), [5, large.len(), 5]);
    assert_eq!(stop, Stop::Open);
}

#[test]
fn the_same_bad_bytes_are_damage_below_the_durable_mark_and_a_torn_tail_above() {
    for synced in [true, false] {
        let mut segment = Fixture::new();
        for payload in [b"first ", b"second", b"third "] {
            segment.write(payload);
        }
        if synced {
            segment.sync();
        }
        let (whole, _, _) = read_all(&mut segment.open());
        segment.patch(whole[1].0 + FRAME_HEADER_BYTES, b"X");
        let (frames, damage, stop) = read_all(&mut segment.open());
        if synced {
            assert_eq!(frames, [whole[0].clone(), whole[2].clone()]);
            assert_eq!((damage[0].offset.0, damage[0].records), (whole[1].0, 1));
            assert_eq!(damage[0].bytes, whole[2].0 - whole[1].0);
            assert_eq!(stop, Stop::Open);
        } else {
            assert_eq!(frames, [whole[0].clone()]);
            assert!(damage.is_empty());
            assert!(matches!(stop, Stop::Torn { reason: FrameError::Checksum { .. }, .. }), "{stop:?}");
        }
    }
}

#[test]
fn damage_up_to_the_mark_loses_the_rest_and_says_how_much() {
    let mut segment = Fixture::new();
    for _ in 0..3 {
        segment.write(b"payload");
    }
    let durable = segment.sync();
    segment.patch(FRAMES_OFFSET, &vec![0; (durable.end.0 - FRAMES_OFFSET) as usize]);
    let (frames, damage, stop) = read_all(&mut segment.open());
    assert!(frames.is_empty());
    assert_eq!((damage[0].records, damage[0].reason), (3, FrameError::Unwritten));
    assert_eq!(stop, Stop::Open);
}

#[test]
fn lengths_that_reach_into_the_room_behind_the_mark_cost_their_records_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    // Much more room than frames: reading what the length says would take all the effort that the search may take.
    let prepared = PreparedSegment::create(dir.path(), SegmentId(1), 1024 * 1024).unwrap();
    let (mut writer, mut syncer) = prepared.activate(LogIdentity::sample(WriterId([7; 16])), Sequence(1), 5).unwrap();
    for payload in [b"first ", b"second", b"third "] {
        writer.append(payload).unwrap();
    }
    syncer.sync().unwrap();
    for bit in 0..32 {
        let file = OpenOptions::new().write(true).open(writer.path()).unwrap();
        for frame in [0, 20] {
            let length = (6_u32 ^ 1 << bit).to_le_bytes();
            file.write_all_at(&length, u64::from(FRAMES_OFFSET + frame)).unwrap();
        }
        let (frames, damage, _) = read_all(&mut SegmentReader::open(writer.path()).unwrap());
        assert_eq!((frames.len(), damage.len(), damage[0].records), (1, 1, 2), "bit {bit}");
    }
}

#[test]
fn a_frame_that_stands_in_the_place_of_a_missing_one_is_read() {
    let mut segment = Fixture::new();
    for payload in [b"first ", b"second", b"third "] {
        segment.write(payload);
    }
    segment.sync();
    let bytes = std::fs::read(&segment.path).unwrap();
    let (frame, start) = (20, FRAMES_OFFSET as usize);
    segment.patch(FRAMES_OFFSET, &bytes[start + frame..start + 3 * frame]);
    let (frames, damage, _) = read_all(&mut segment.open());
    assert_eq!(frames.iter().map(|frame| frame.1).collect::<Vec<_>>(), [102, 103]);
    assert_eq!((damage[0].bytes, damage[0].records), (0, 1));
}

#[test]
fn a_limit_is_kept_and_vouches_for_what_lies_before() {
    let mut segment = Fixture::new();
    segment.write(b"first");
    let limit = segment.writer.as_ref().unwrap().extent();
    segment.write(b"second");
    let mut reader = segment.open();
    reader.set_limit(limit);
    let (frames, _, stop) = read_all(&mut reader);
    assert_eq!((frames.len(), stop), (1, Stop::Limit));
    segment.patch(FRAMES_OFFSET + 12, b"X");
    let mut reader = segment.open();
    reader.set_limit(limit);
    let (frames, damage, stop) = read_all(&mut reader);
    assert_eq!((frames.len(), damage.len(), stop), (0, 1, Stop::Limit));
}

#[test]
fn what_is_no_segment_is_refused_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("000000000001.seg");
    let expect = |text: &str| {
        let error = SegmentReader::open(&path).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    };
    expect("No such file");
    std::fs::write(&path, b"").unwrap();
    expect("found 0 bytes");
    std::fs::write(&path, [0; 8192]).unwrap();
    expect("never started");
    std::fs::write(&path, [b'x'; 8192]).unwrap();
    expect("expected the magic");
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
    expect("found a symbolic link");
    std::fs::remove_file(&path).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
    expect("a regular file");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    expect("a regular file");
}

#[test]
fn a_file_was_never_started_only_if_every_byte_is_zero_and_has_lost_its_first_page_if_that_is_short_or_begins_with_zeros()
 {
    let fault = |path: &Path| match SegmentReader::open(path) {
        Err(SegmentError::Header { fault, .. }) => fault,
        other => panic!("{other:?}"),
    };
    let lost = |begins_with_zeros| HeaderFault::FirstPageLost { begins_with_zeros };
    let mut segment = Fixture::new();
    segment.write(b"payload");
    segment.sync();
    let whole = std::fs::read(&segment.path).unwrap();
    let written = |bytes: &[u8]| {
        std::fs::write(&segment.path, bytes).unwrap();
        fault(&segment.path)
    };
    for length in [0, 1, HEADER_BYTES - 1, HEADER_BYTES, 4096, 400_000] {
        assert_eq!(written(&vec![0; length]), HeaderFault::NeverStarted, "{length} zeros");
        // Wherever the one byte is that is not zero.
        let mut bytes = vec![0; length];
        if let Some(last) = bytes.last_mut() {
            *last = 1;
            assert_eq!(written(&bytes), lost(length > HEADER_BYTES), "{length} bytes, the last of which is not zero");
        }
    }
    for length in [1, HEADER_BYTES - 1, HEADER_BYTES, 1024, 4095] {
        assert_eq!(written(&whole[..length]), lost(false), "cut to {length}");
    }
    let mut zeroed = whole.clone();
    zeroed[..HEADER_BYTES].fill(0);
    assert_eq!(written(&zeroed), lost(true), "a mark is left");
    zeroed[..FRAMES_OFFSET as usize].fill(0);
    assert_eq!(written(&zeroed), lost(true), "frames are left");
    let mut flipped = whole.clone();
    flipped[8] ^= 2;
    assert_eq!(written(&flipped), HeaderFault::Damaged, "a flipped bit makes no newer version");
    // A hole in the file is read as zeros, however long it is.
    std::fs::write(&segment.path, b"").unwrap();
    let file = OpenOptions::new().write(true).open(&segment.path).unwrap();
    file.set_len(3 << 30).unwrap();
    assert_eq!(fault(&segment.path), HeaderFault::NeverStarted);
    file.write_all_at(b"1", (3 << 30) - 1).unwrap();
    assert_eq!(fault(&segment.path), lost(true));
}

#[test]
fn plain_bytes_are_given_as_far_as_the_file_goes() {
    let mut segment = Fixture::new();
    segment.write(b"payload");
    let (mut some, mut rest) = ([0; 7], [0xff; 64]);
    let reader = segment.open();
    assert_eq!(reader.read_at(Offset(FRAMES_OFFSET + FRAME_HEADER_BYTES), &mut some).unwrap(), 7);
    assert_eq!(&some, b"payload");
    assert_eq!(reader.read_at(Offset(64 * 1024 - 10), &mut rest).unwrap(), 10);
    assert_eq!(reader.position(), Extent::EMPTY);
}

#[test]
fn a_frame_that_ends_beyond_the_last_offset_is_refused() {
    let segment = Fixture::new();
    let salt = segment.writer.as_ref().unwrap().header().salt;
    let header = FrameHeader::for_payload(salt, 0, b"payload");
    let offset = u32::MAX - 15;
    let file = OpenOptions::new().write(true).open(&segment.path).unwrap();
    for (at, word) in [header.length, header.index, header.crc].iter().enumerate() {
        file.write_all_at(&word.to_le_bytes(), u64::from(offset) + 4 * at as u64).unwrap();
    }
    file.write_all_at(b"payload\0", u64::from(offset) + 12).unwrap();
    let mut reader = segment.open();
    reader.seek(Extent { end: Offset(offset), frames: 0 });
    assert!(matches!(reader.next().unwrap(), Item::Stop(Stop::Torn { reason: FrameError::Length(7), .. })));
}

#[test]
fn a_mark_with_a_forged_extent_is_no_mark() {
    let mut segment = Fixture::new();
    segment.write(b"payload");
    let salt = segment.writer.as_ref().unwrap().header().salt;
    let forged = Mark { generation: 9, durable: Extent { end: Offset(7), frames: 1 }, sealed: None };
    let bytes: [u8; MARK_BYTES] = forged.encode(salt);
    segment.patch(Mark::offset(9), &bytes);
    let (frames, damage, stop) = read_all(&mut segment.open());
    assert_eq!((frames.len(), damage.len(), stop), (1, 0, Stop::Open));
}
