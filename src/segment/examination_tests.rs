//! What is said of a segment's file: each way in which it can end, each state of header and marks, each contradiction,
//! and the word for it.

use super::examination::{Ending, Examination, HeaderState};
use super::format::{Extent, FRAMES_OFFSET, LogIdentity, MARK_OFFSETS, Mark, frame_bytes};
use super::reader::Item;
use super::writer::PreparedSegment;
use super::wrong_mark::{Contradiction, MarkEnd};
use crate::ground::error::SegmentError;
use crate::ground::position::{Offset, SegmentId, Sequence, WriterId};
use crate::ground::severity::Severity;
use std::path::PathBuf;

/// Ten frames of 24 bytes, sealed and synced: a file in memory, to be changed.
struct Segment {
    dir: tempfile::TempDir,
    bytes: Vec<u8>,
    salt: u32,
}

const FRAME_BYTES: u32 = 24;
const WHOLE: Extent = Extent { end: Offset(FRAMES_OFFSET + 10 * FRAME_BYTES), frames: 10 };

impl Segment {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let prepared = PreparedSegment::create(dir.path(), SegmentId(1), 65536).unwrap();
        let (mut writer, mut syncer) =
            prepared.activate(LogIdentity::sample(WriterId([7; 16])), Sequence(101), 5).unwrap();
        let (path, salt) = (writer.path().to_owned(), writer.header().salt);
        for number in 0..10 {
            writer.append(format!("payload {number:03}").as_bytes()).unwrap();
        }
        syncer.sync().unwrap();
        syncer.seal(writer.finish(), true).unwrap();
        Self { dir, bytes: std::fs::read(path).unwrap(), salt }
    }

    /// In place of both marks, one that says that.
    fn marked(mut self, durable: Extent, sealed: Option<Extent>) -> Self {
        for offset in MARK_OFFSETS {
            self.bytes[offset as usize..][..32].fill(0);
        }
        let mark = Mark { generation: 2, durable, sealed }.encode(self.salt);
        self.patch(MARK_OFFSETS[0], &mark)
    }

    fn patch(mut self, offset: u32, bytes: &[u8]) -> Self {
        let end = offset as usize + bytes.len();
        self.bytes.resize(self.bytes.len().max(end), 0);
        self.bytes[offset as usize..end].copy_from_slice(bytes);
        self
    }

    fn cut(mut self, length: u32) -> Self {
        self.bytes.resize(length as usize, 0);
        self
    }

    fn path(&self) -> PathBuf {
        let path = self.dir.path().join("000000000001.seg");
        std::fs::write(&path, &self.bytes).unwrap();
        path
    }

    /// What is said of it, and which frames passed by.
    fn examine(&self) -> (Examination, Vec<u32>) {
        let mut frames = Vec::new();
        let found = Examination::of(&self.path(), |item| {
            if let Item::Frame(frame) = item {
                frames.push((frame.offset.0 - FRAMES_OFFSET) / FRAME_BYTES);
            }
            Ok::<_, SegmentError>(())
        });
        (found.unwrap(), frames)
    }
}

fn at(frames: u32) -> Extent {
    Extent { end: Offset(FRAMES_OFFSET + frames * FRAME_BYTES), frames }
}

fn all() -> Vec<u32> {
    (0..10).collect()
}

#[test]
fn a_sound_segment_is_called_so_whatever_lies_behind_its_seal() {
    assert_eq!(frame_bytes(11), FRAME_BYTES);
    let (found, frames) = Segment::new().examine();
    assert_eq!((found.severity(), frames), (Severity::Sound, all()));
    assert_eq!((found.extent, found.ending), (WHOLE, Ending::Sealed { leftover: None }));
    assert!(matches!(found.header, HeaderState::Intact(_)) && !found.is_misnamed);
    let (found, frames) = Segment::new().patch(WHOLE.end.0 + 100, b"whatever").examine();
    let leftover = Some(WHOLE.end.0 + 100..WHOLE.end.0 + 108);
    assert_eq!((found.severity(), frames, found.ending), (Severity::Sound, all(), Ending::Sealed { leftover }));
}

#[test]
fn each_end_of_a_segment_has_its_name() {
    let open = || Segment::new().marked(Extent::EMPTY, None);
    let torn = |bytes| Some(bytes);
    let end = WHOLE.end.0;
    let cases: [(&str, Segment, u32, Option<u32>); 12] = [
        ("nothing behind its last frame", open(), 10, None),
        ("zeros to the end of the file", open().cut(1 << 20), 10, None),
        ("one zero", open().cut(end + 1), 10, None),
        ("three zeros", open().cut(end + 3), 10, None),
        ("three bytes that are none", open().patch(end + 2, b"x"), 10, torn(3)),
        ("a length of zero, and other bytes behind it", open().patch(end + 4, b"x").cut(1 << 20), 10, torn(5)),
        ("the same far away", open().patch(end + 900_000, b"x").cut(1 << 20), 10, torn(900_001)),
        ("no frame", open().patch(end, b"no frame"), 10, torn(8)),
        (
            "a frame that is none, and good ones behind it",
            open().patch(at(4).end.0 + 13, b"X"),
            4,
            torn(6 * FRAME_BYTES - 1),
        ),
        ("cut within a frame", open().cut(at(4).end.0 + 9), 4, torn(9)),
        (
            "sealed with more than there is",
            Segment::new().marked(at(2), Some(WHOLE)).cut(at(4).end.0),
            4,
            torn(6 * FRAME_BYTES),
        ),
        (
            "the same, and zeros in their place",
            Segment::new().marked(at(2), Some(WHOLE)).cut(at(4).end.0).cut(1 << 20),
            4,
            torn(6 * FRAME_BYTES),
        ),
    ];
    for (case, segment, taken, expected) in cases {
        let (found, frames) = segment.examine();
        assert_eq!(frames, (0..taken).collect::<Vec<_>>(), "{case}");
        assert_eq!(found.extent, at(taken), "{case}");
        let ends = match found.ending {
            Ending::Torn { bytes, .. } => Some(bytes),
            Ending::Open => None,
            ref other => panic!("{case}: {other:?}"),
        };
        assert_eq!(ends, expected, "{case}");
        let severity = if expected.is_some() { Severity::Attention } else { Severity::Sound };
        assert_eq!(found.severity(), severity, "{case}");
    }
}

#[test]
fn a_mark_that_the_frames_contradict_is_named_once_for_each_end_and_takes_no_frame_away() {
    use Contradiction::{Across, Behind, Count};
    use MarkEnd::{Durable, Sealed};
    let inside = |frames| Extent { end: Offset(at(frames).end.0 + 8), frames };
    let many = |extent: Extent| Extent { frames: extent.frames + 1, ..extent };
    let few = |extent: Extent| Extent { frames: extent.frames - 1, ..extent };
    type Named<'a> = &'a [(MarkEnd, Contradiction, u32)];
    let cases: [(&str, Extent, Option<Extent>, Named<'_>); 14] = [
        ("as it is", WHOLE, Some(WHOLE), &[]),
        ("durable up to a frame", at(3), None, &[]),
        ("too few durable frames", few(at(3)), None, &[(Durable, Count, 3)]),
        ("too many durable frames", many(at(3)), None, &[(Durable, Count, 3)]),
        ("a durable end within a frame", inside(3), None, &[(Durable, Across, 3)]),
        (
            "a durable end within the first frame",
            Extent { end: Offset(FRAMES_OFFSET + 16), frames: 1 },
            None,
            &[(Durable, Across, 0)],
        ),
        ("sealed early", at(3), Some(at(3)), &[(Sealed, Behind, 3)]),
        ("sealed early, and durable before that", at(2), Some(at(3)), &[(Sealed, Behind, 3)]),
        ("sealed within a frame", inside(3), Some(inside(3)), &[(Sealed, Across, 3)]),
        ("sealed with too few frames", few(WHOLE), Some(few(WHOLE)), &[(Sealed, Count, 10)]),
        ("sealed with too many frames", WHOLE, Some(many(WHOLE)), &[(Sealed, Count, 10)]),
        ("sealed early with too few frames", few(at(3)), Some(few(at(3))), &[(Sealed, Count, 3)]),
        ("both ends", few(at(3)), Some(inside(6)), &[(Durable, Count, 3), (Sealed, Across, 6)]),
        ("sealed as empty", Extent::EMPTY, Some(Extent::EMPTY), &[(Sealed, Behind, 0)]),
    ];
    for (case, durable, sealed, expected) in cases {
        let (found, frames) = Segment::new().marked(durable, sealed).examine();
        assert_eq!(frames, all(), "{case}");
        let named: Vec<_> =
            found.wrong_marks.iter().map(|wrong| (wrong.end, wrong.contradiction, wrong.found.frames)).collect();
        assert_eq!(named, expected, "{case}");
        for wrong in &found.wrong_marks {
            assert_eq!(wrong.offset(), at(wrong.found.frames).end, "{case}");
            let says = if wrong.end == Sealed { sealed } else { Some(durable) };
            assert_eq!(Some(wrong.expected), says, "{case}");
            assert!(wrong.to_string().starts_with("the mark is wrong: expected the "), "{wrong}");
        }
        let severity = if expected.is_empty() { Severity::Sound } else { Severity::Damaged };
        assert_eq!((found.severity(), found.damaged_places), (severity, 0), "{case}");
    }
}

#[test]
fn damage_is_counted_and_the_next_frame_is_found_up_to_and_at_the_durable_end() {
    let broken = |frame: u32, durable| Segment::new().marked(durable, None).patch(at(frame).end.0 + 13, b"X");
    let cases: [(&str, Segment, u64, Vec<u32>); 6] = [
        ("in the middle", broken(3, WHOLE), 1, vec![0, 1, 2, 4, 5, 6, 7, 8, 9]),
        ("the last one that is vouched for", broken(3, at(4)), 1, vec![0, 1, 2, 4, 5, 6, 7, 8, 9]),
        ("the last of all", broken(9, WHOLE), 1, (0..9).collect()),
        ("two beside each other", broken(3, WHOLE).patch(at(4).end.0 + 13, b"X"), 2, vec![0, 1, 2, 5, 6, 7, 8, 9]),
        ("all", Segment::new().marked(WHOLE, None).cut(FRAMES_OFFSET).cut(65536), 10, vec![]),
        ("cut", Segment::new().cut(at(6).end.0 + 3), 4, (0..6).collect()),
    ];
    for (case, segment, lost, expected) in cases {
        let (found, frames) = segment.examine();
        assert_eq!((frames, found.lost_records), (expected, lost), "{case}");
        assert_eq!((found.damaged_places, found.damage.len(), found.extent), (1, 1, WHOLE), "{case}");
        assert_eq!((found.severity(), found.wrong_marks.len()), (Severity::Damaged, 0), "{case}");
    }
    // A frame across the durable end is found as well, and the mark is wrong with it.
    let within = Extent { end: Offset(at(5).end.0 + 8), frames: 5 };
    let (found, frames) = broken(4, within).examine();
    assert_eq!((frames, found.lost_records, found.wrong_marks.len()), (vec![0, 1, 2, 3, 5, 6, 7, 8, 9], 1, 1));
}

#[test]
fn each_state_of_header_and_marks_has_its_word() {
    let header = |segment: Segment| segment.examine().0;
    let newer = Segment::new();
    let HeaderState::Intact(intact) = newer.examine().0.header else { panic!("intact") };
    let cases: [(&str, Segment, Severity); 12] = [
        ("zeros", Segment::new().cut(0).cut(65536), Severity::Attention),
        ("no byte", Segment::new().cut(0), Severity::Attention),
        ("the first page is zero", Segment::new().patch(0, &[0; 4096]), Severity::Attention),
        ("short", Segment::new().cut(4095), Severity::Damaged),
        ("a flipped bit", Segment::new().patch(8, &[3]), Severity::Damaged),
        ("no header", Segment::new().patch(0, b"nothing"), Severity::Damaged),
        ("newer", newer.patch(0, &intact.encode_as(2)), Severity::Unreadable),
        ("newer and short", Segment::new().patch(0, &intact.encode_as(2)).cut(100), Severity::Unreadable),
        ("no marks", Segment::new().patch(512, &[0; 32]).patch(1024, &[0; 32]), Severity::Sound),
        ("one damaged mark", Segment::new().patch(513, b"XX"), Severity::Attention),
        ("two damaged marks", Segment::new().patch(513, b"XX").patch(1025, b"XX"), Severity::Damaged),
        ("what is reserved", Segment::new().patch(100, b"XX").patch(2000, b"XX"), Severity::Sound),
    ];
    for (case, segment, expected) in cases {
        assert_eq!(header(segment).severity(), expected, "{case}");
    }
    let renamed = Segment::new();
    let other = renamed.dir.path().join("000000000002.seg");
    std::fs::rename(renamed.path(), &other).unwrap();
    let found = Examination::of(&other, |_| Ok::<_, SegmentError>(())).unwrap();
    assert_eq!((found.is_misnamed, found.severity(), found.extent), (true, Severity::Damaged, WHOLE));
    Examination::of(&renamed.dir.path().join("none"), |_| Ok::<_, SegmentError>(())).unwrap_err();
    let found = Examination::of(renamed.dir.path(), |_| Ok::<_, SegmentError>(())).unwrap();
    assert!(matches!(found.header, HeaderState::Damaged { .. }), "a directory");
}

#[test]
fn a_frame_that_passes_by_may_end_the_reading() {
    let mut seen = 0;
    let stopped = Examination::of(&Segment::new().path(), |_| {
        seen += 1;
        if seen == 3 {
            Err(SegmentError::UnsupportedVersion { path: PathBuf::new(), supported: 1, found: 2 })
        } else {
            Ok(())
        }
    });
    assert!(stopped.is_err() && seen == 3);
}
