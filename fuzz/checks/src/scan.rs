//! What must hold of reading a segment, whatever its bytes: the reader finds what a plain scan over the bytes in memory
//! finds, nothing else, and names what is damaged.

use crate::forged::segment;
use crate::input::Input;
use crate::plain_scan::{Found, header, plain_scan};
use mcplog::position::Offset;
use mcplog::segment::format::{Extent, FRAMES_OFFSET, frame_bytes};
use mcplog::segment::{Item, SegmentReader, Stop};
use std::path::Path;

/// Makes a segment from the input and reads it.
pub fn check(input: &[u8]) {
    thread_local! {
        static DIR: tempfile::TempDir = tempfile::tempdir().expect("a temporary directory");
    }
    let forged = segment(&mut Input::new(input), 1, 1);
    DIR.with(|dir| {
        let path = dir.path().join("000000000001.seg");
        std::fs::write(&path, &forged.bytes).expect("write");
        check_file(&path, &forged.bytes);
    });
}

fn check_file(path: &Path, bytes: &[u8]) {
    let opened = SegmentReader::open(path);
    let Some(header) = header(bytes) else {
        assert!(opened.is_err(), "a segment without a header");
        return;
    };
    let mut reader = opened.expect("a segment with a header");
    assert_eq!(*reader.header(), header);
    let Some(expected) = plain_scan(bytes) else {
        // Whoever forges a file in which everything looks like a frame gets what he deserves, but he gets it soon.
        read_all(&mut reader);
        return;
    };
    let found = read_all(&mut reader);
    assert_eq!(found, expected);
    assert_in_order(header.base_sequence.0, &found);
    assert_eq!(read_all(&mut reader), found[found.len() - 1..], "at the end once more");
    prefix_up_to_a_limit(path, &found);
}

/// What [`SegmentReader::next`] says until it says stop.
fn read_all(reader: &mut SegmentReader) -> Vec<Found> {
    let mut all = Vec::new();
    loop {
        let found = match reader.next().expect("read") {
            Item::Frame(frame) => {
                Found::Frame { offset: frame.offset.0, sequence: frame.sequence.0, payload: frame.payload.to_vec() }
            }
            Item::Damage(damage) => Found::Damage {
                offset: damage.offset.0,
                bytes: damage.bytes,
                records: damage.records,
                reason: damage.reason,
            },
            Item::WrongMark(wrong) => Found::WrongMark(wrong),
            Item::Stop(stop) => Found::Stop(stop),
        };
        all.push(found);
        if matches!(all.last(), Some(Found::Stop(_))) {
            return all;
        }
    }
}

/// Bytes and sequence numbers: nothing is passed over in silence, nothing comes twice.
fn assert_in_order(base: u64, found: &[Found]) {
    let (mut end, mut next) = (FRAMES_OFFSET, base);
    for item in found {
        match item {
            Found::Frame { offset, sequence, payload } => {
                assert_eq!((*offset, *sequence), (end, next), "{found:?}");
                next += 1;
                end += frame_bytes(u32::try_from(payload.len()).expect("a short payload"));
            }
            Found::Damage { offset, bytes, records, .. } => {
                assert_eq!(*offset, end, "{found:?}");
                next += u64::from(*records);
                end += bytes;
            }
            Found::WrongMark(wrong) => assert_eq!(wrong.offset().0, end, "{found:?}"),
            Found::Stop(_) => {}
        }
    }
}

/// A reader that is told to stop behind a frame stops there, having found the same.
fn prefix_up_to_a_limit(path: &Path, found: &[Found]) {
    let Some(Found::Frame { offset, payload, .. }) = found.first() else { return };
    let mut reader = SegmentReader::open(path).expect("a segment with a header");
    let end = offset + frame_bytes(u32::try_from(payload.len()).expect("a short payload"));
    reader.set_limit(Extent { end: Offset(end), frames: 1 });
    let mut read = read_all(&mut reader);
    // At the limit, the mark may be contradicted.
    read.retain(|found| !matches!(found, Found::WrongMark(_)));
    assert_eq!(read, [found[0].clone(), Found::Stop(Stop::Limit)]);
}
