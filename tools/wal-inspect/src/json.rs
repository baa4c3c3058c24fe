//! The JSON output: one object per line. Pure formatting; whoever calls it owns the writer.
//!
//! What the lines hold, as `wal-inspect json` prints it:
#![doc = concat!("```text\n", include_str!("json.md"), "```")]

use crate::escape::is_unsafe;
use crate::fields::{fields, kind_name};
use crate::finding::Finding;
use crate::place::Place;
use mcplog::record::{Record, RecordError};
use mcplog::segment::FrameAt;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;
use std::io::{self, Write};

/// The documentation of the output.
pub(crate) const DOCUMENTATION: &str = include_str!("json.md");

/// Writes one object and ends the line.
pub(crate) fn write_line(writer: &mut impl Write, object: &impl Serialize) -> io::Result<()> {
    object.serialize(&mut serde_json::Serializer::with_formatter(&mut *writer, SafeFormatter))?;
    writer.write_all(b"\n")
}

/// Compact JSON without a raw character that a terminal would act on.
struct SafeFormatter;

impl Formatter for SafeFormatter {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // serde_json escapes C0 by itself; of ASCII only DEL is left.
        if fragment.is_ascii() && !fragment.contains('\x7f') {
            return writer.write_all(fragment.as_bytes());
        }
        let mut done = 0;
        for (index, character) in fragment.char_indices().filter(|(_, character)| is_unsafe(*character)) {
            writer.write_all(&fragment.as_bytes()[done..index])?;
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            done = index + character.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[done..])
    }
}

/// A frame and the record in it, if it is one.
pub(crate) struct RecordObject<'a> {
    pub(crate) place: &'a Place,
    pub(crate) frame: &'a FrameAt<'a>,
    pub(crate) record: &'a Result<Record<'a>, RecordError>,
}

impl Serialize for RecordObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let name = match self.record {
            Ok(record) => kind_name(record.kind()),
            Err(error) if error.newer().is_some() => "newer",
            Err(_) => "undecodable",
        };
        start(&mut map, name, self.place)?;
        map.serialize_entry("offset", &self.frame.offset.0)?;
        map.serialize_entry("sequence", &self.frame.sequence.0)?;
        map.serialize_entry("kind", &self.frame.payload.first())?;
        map.serialize_entry("version", &self.frame.payload.get(1))?;
        match self.record {
            Ok(record) => {
                for (name, value) in fields(record) {
                    map.serialize_entry(name, &value)?;
                }
            }
            Err(error) => {
                map.serialize_entry("reason", &error.to_string())?;
                map.serialize_entry("payload_hex", &hexadecimal(self.frame.payload))?;
            }
        }
        map.end()
    }
}

/// A finding and where.
pub(crate) struct FindingObject<'a> {
    pub(crate) place: &'a Place,
    pub(crate) finding: &'a Finding,
}

impl Serialize for FindingObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        start(&mut map, self.finding.type_name(), self.place)?;
        match self.finding {
            Finding::Damage { offset, sequence, bytes, records, reason, head: _ } => {
                map.serialize_entry("offset", &offset.0)?;
                map.serialize_entry("sequence", &sequence.0)?;
                map.serialize_entry("bytes", bytes)?;
                map.serialize_entry("records", records)?;
                map.serialize_entry("reason", reason)?;
            }
            Finding::TornTail { offset, sequence, bytes, reason } => {
                map.serialize_entry("offset", &offset.0)?;
                map.serialize_entry("sequence", &sequence.0)?;
                map.serialize_entry("bytes", bytes)?;
                map.serialize_entry("reason", reason)?;
            }
            Finding::Unreadable { reason, severity } | Finding::Contradiction { reason, severity } => {
                map.serialize_entry("reason", reason)?;
                map.serialize_entry("verdict", severity)?;
            }
            Finding::Missing { first, records } => {
                map.serialize_entry("sequence", &first.0)?;
                map.serialize_entry("records", records)?;
            }
            Finding::Note { reason } => map.serialize_entry("reason", reason)?,
        }
        map.end()
    }
}

fn start<M: SerializeMap>(map: &mut M, name: &str, place: &Place) -> Result<(), M::Error> {
    map.serialize_entry("type", name)?;
    map.serialize_entry("segment", &place.segment.map(|id| id.0))?;
    map.serialize_entry("file", &place.file)
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String has no way to fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_raw_control_character_is_written_and_the_text_stays_exact() {
        let text: String = ('\0'..='\u{2fff}').chain(['\u{feff}', '\u{e0041}', '👩', '"', '\\']).collect();
        let mut line = Vec::new();
        write_line(&mut line, &text).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert!(!line.trim_end_matches('\n').chars().any(is_unsafe));
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }
}
