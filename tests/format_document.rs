//! The worked example in format.md, checked both ways: the bytes of the document are what this code writes, and what
//! it reads out of them is what the document says.
#![expect(clippy::cast_possible_truncation, reason = "the example is small")]

use mcplog::position::{Offset, SegmentId, Sequence, StoreId, WriterId};
use mcplog::record::{GapRecord, Kind, LEVEL, Record};
use mcplog::segment::format::{Extent, FrameHeader, HEADER_BYTES, Mark, SegmentHeader, frame_bytes};
use mcplog::segment::{Item, SegmentReader, Stop};
use mcplog::{Event, Request, Status};
use std::collections::BTreeMap;

const SALT: u32 = 0x5eed_cafe;

fn header() -> SegmentHeader {
    SegmentHeader {
        needs: LEVEL,
        salt: SALT,
        store_id: StoreId(*b"\x73\x74\x6f\x72\x65\x00\x4f\x02\x81\x11\x12\x13\x14\x15\x16\x17"),
        writer_id: WriterId(*b"\x6d\x63\x70\x6c\x6f\x67\x4e\x01\x82\x03\x04\x05\x06\x07\x08\x09"),
        segment_id: SegmentId(3),
        base_sequence: Sequence(1001),
        created_at: 1_760_000_000_000,
    }
}

fn records() -> [Record<'static>; 2] {
    let mut request = Request::new("0197a1c0-7b1e-7cc3-98c4-dc0c0c07398f", 1_760_000_000_123, "files", "tools/call");
    (request.session_id, request.tool, request.latency_us) = (Some("abc"), Some("search"), 1840);
    (request.status, request.error_code) = (Status::Error, Some("-32602"));
    (request.bytes_in, request.tool_error) = (Some(129), Some(false));
    (request.protocol_version, request.rpc_id) = (Some("2025-11-25"), Some("17"));
    [
        Record::from(Event::from(request)),
        Record::Gap(GapRecord { from_ts: 1_760_000_000_200, to_ts: 1_760_000_000_300, events: 300 }),
    ]
}

/// The whole file, as this code writes it.
fn written() -> Vec<u8> {
    let mut file = vec![0; 4096];
    file[..HEADER_BYTES].copy_from_slice(&header().encode());
    let mut ends = Vec::new();
    for (index, record) in records().iter().enumerate() {
        let mut payload = Vec::new();
        record.encode(&mut payload);
        let frame = FrameHeader::for_payload(SALT, index as u32, &payload);
        let end = file.len() + frame_bytes(frame.length) as usize;
        for word in [frame.length, frame.index, frame.crc] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        file.extend_from_slice(&payload);
        file.resize(end, 0);
        ends.push(Extent { end: Offset(end as u32), frames: index as u32 + 1 });
    }
    let first = Mark { generation: 1, durable: ends[0], sealed: None };
    let second = Mark { generation: 2, durable: ends[1], sealed: Some(ends[1]) };
    for mark in [first, second] {
        let at = Mark::offset(mark.generation) as usize;
        file[at..at + 32].copy_from_slice(&mark.encode(SALT));
    }
    file
}

/// The bytes in the document: lines of eight hex digits of offset, then up to sixteen bytes. Elsewhere zeros.
fn documented() -> BTreeMap<usize, u8> {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/format.md")).expect("format.md");
    let mut bytes = BTreeMap::new();
    for line in document.lines() {
        let Some((offset, rest)) = line.split_once("  ") else { continue };
        let Some(offset) = (offset.len() == 8).then(|| usize::from_str_radix(offset, 16).ok()).flatten() else {
            continue;
        };
        let row = rest.split("  ").next().unwrap_or_default();
        for (index, byte) in row.split(' ').enumerate() {
            let byte = u8::from_str_radix(byte, 16).unwrap_or_else(|_| panic!("format.md: no byte: {line}"));
            assert_eq!(bytes.insert(offset + index, byte), None, "format.md says {offset:#x} twice");
        }
    }
    bytes
}

fn hex_dump(bytes: &[u8]) -> String {
    let rows = bytes.chunks(16).enumerate().filter(|(_, row)| row.iter().any(|byte| *byte != 0));
    let row = |(index, row): (usize, &[u8])| {
        let hex: Vec<_> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String =
            row.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' }).collect();
        format!("{:08x}  {:47}  {text}", index * 16, hex.join(" "))
    };
    rows.map(row).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_documents_bytes_are_what_is_written() {
    let (written, documented) = (written(), documented());
    let mut file = vec![0; written.len().max(documented.keys().last().map_or(0, |last| last + 1))];
    for (offset, byte) in documented {
        file[offset] = byte;
    }
    assert!(file == written, "format.md should say:\n{}", hex_dump(&written));
}

/// Each kind, and each version of one, takes a level of its own; so the page's last row has what this build knows.
#[test]
fn the_documents_last_level_is_the_one_that_this_build_writes_and_has_every_kind() {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/format.md")).expect("format.md");
    let (_, table) = document.split_once("| level | kinds and versions |").expect("the table of levels");
    let rows: Vec<_> = table.lines().skip(2).map(str::trim).take_while(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), usize::from(LEVEL), "a row for each level: {rows:?}");
    assert!(Kind::ALL.iter().all(|kind| kind.version() == 1), "the last row says otherwise");
    assert_eq!(rows[0], format!("| {LEVEL} | kinds 1 to {}, each in version 1 |", Kind::ALL.len()));
}

#[test]
fn the_documents_bytes_are_read_as_the_document_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("000000000003.seg");
    let mut file = vec![0; 4096];
    for (offset, byte) in documented() {
        file.resize(file.len().max(offset + 1), 0);
        file[offset] = byte;
    }
    // The last row of the document ends with the file, padding included.
    std::fs::write(&path, &file).unwrap();
    let mut reader = SegmentReader::open(&path).unwrap();
    assert_eq!(*reader.header(), header());
    for (index, expected) in records().into_iter().enumerate() {
        let Item::Frame(frame) = reader.next().unwrap() else { panic!("no frame") };
        assert_eq!(frame.sequence, Sequence(1001 + index as u64));
        assert_eq!(Record::decode(frame.payload), Ok(expected));
    }
    assert_eq!(reader.next().unwrap(), Item::Stop(Stop::Sealed));
}
