//! Segments written by released versions are read for ever. None is released yet: until version 1 is, its bytes may change,
//! and the files under tests/golden with them, on purpose. From then on they are never made again, but for `folded.txt`, which
//! says what a store makes of them: tables beside the five that other tools read may change.

use mcplog::record::Record;
use mcplog::segment::{Item, SegmentReader};
use mcplog_fixture::Fixture;
use rusqlite::types::Value;
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

/// Once version 1 is released, a change that needs one of these files made again needs a new version instead. Until then,
/// whoever makes them again writes the new checksums here, and says why.
#[test]
fn the_golden_files_of_version_1_do_not_change_by_accident() {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1"));
    let checksums = [
        ("killed.seg", 0x967b_dfd3),
        ("killed.txt", 0x86bc_7d1d),
        ("sealed.seg", 0xa9b0_c260),
        ("sealed.txt", 0xabc3_1bf0),
    ];
    for (name, checksum) in checksums {
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

/// All rows of all tables and views but for the time at which the database was made, as text.
fn describe_tables(fixture: &Fixture) -> String {
    let mut text = String::new();
    let names =
        "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY name";
    for name in fixture.rows(names) {
        let [Value::Text(name)] = name.as_slice() else { panic!("{name:?}") };
        writeln!(text, "{name}").expect("memory");
        for row in fixture.rows(&format!("SELECT * FROM {name} ORDER BY 1")) {
            if row.first() != Some(&Value::Text("created_at".into())) {
                let columns: Vec<_> = row.iter().map(describe_value).collect();
                writeln!(text, "    {}", columns.join(" | ")).expect("memory");
            }
        }
    }
    text
}

fn describe_value(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => format!("{text:?}"),
        Value::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

#[test]
fn segments_of_version_1_are_opened_and_folded_to_the_rows_that_they_always_gave() {
    let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1"));
    let expected = std::fs::read_to_string(golden.join("folded.txt")).expect("the description");
    // The writer of one died before it was sealed. Both hold the same records.
    for name in ["sealed.seg", "killed.seg"] {
        let mut fixture = Fixture::new();
        std::fs::create_dir_all(fixture.wal()).expect("the log's directory");
        std::fs::copy(golden.join(name), fixture.wal().join("000000000001.seg")).expect("copy");
        fixture.open();
        fixture.fold();
        let report = fixture.shut_down();
        assert!(report.health.is_ok(), "{name}: {}", report.health);
        assert_eq!(describe_tables(&fixture), expected, "{name}");
    }
}
