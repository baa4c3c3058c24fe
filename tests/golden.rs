//! Segments written by released versions are read for ever. The files under tests/golden are never made again.

use mcplog::record::Record;
use mcplog::segment::{Item, SegmentReader};
use std::fmt::Write;
use std::path::Path;

/// Everything a reader sees in a segment, as text.
fn describe(path: &Path) -> String {
    let mut reader = SegmentReader::open(path).expect("a segment");
    let mut text = format!("{:?}\n{:?}\n", reader.header(), reader.mark());
    loop {
        match reader.next().expect("readable") {
            Item::Frame(frame) => {
                let record = Record::decode(frame.payload).expect("a record");
                writeln!(text, "{} {} {record:?}", frame.offset, frame.sequence).expect("memory");
            }
            Item::Damage(damage) => panic!("{damage:?}"),
            Item::Stop(stop) => {
                writeln!(text, "{stop:?}").expect("memory");
                return text;
            }
        }
    }
}

/// Version 1 is frozen: a change that needs one of these files made again needs a new version instead.
#[test]
fn the_golden_files_of_version_1_are_never_made_again() {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1"));
    let frozen = [
        ("killed.seg", 0x967b_dfd3),
        ("killed.txt", 0x86bc_7d1d),
        ("sealed.seg", 0xa9b0_c260),
        ("sealed.txt", 0xabc3_1bf0),
    ];
    for (name, checksum) in frozen {
        let bytes = std::fs::read(dir.join(name)).expect(name);
        assert_eq!(crc32fast::hash(&bytes), checksum, "{name} changed");
    }
}

#[test]
fn segments_of_version_1_are_read_as_they_were_written() {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1"));
    for name in ["sealed", "killed"] {
        let expected = std::fs::read_to_string(dir.join(format!("{name}.txt"))).expect("the description");
        assert_eq!(describe(&dir.join(format!("{name}.seg"))), expected, "{name}");
    }
}
