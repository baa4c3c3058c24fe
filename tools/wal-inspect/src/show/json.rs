//! The objects of the JSON output; docs/json.md describes them. Pure: whoever calls it owns the writer.

use crate::report::fields::{fields, kind_name};
use crate::report::place::Place;
use mcplog::finding::Finding;
use mcplog::record::{Record, RecordError};
use mcplog::segment::FrameAt;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// The documentation of the output, of both commands.
pub(crate) const DOCUMENTATION: &str = include_str!("../../../../docs/json.md");

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
        map.serialize_entry("kind_number", &self.frame.payload.first())?;
        map.serialize_entry("kind_version", &self.frame.payload.get(1))?;
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
        let found = self.finding;
        let mut map = serializer.serialize_map(None)?;
        start(&mut map, "finding", self.place)?;
        map.serialize_entry("kind", &found.kind)?;
        map.serialize_entry("offset", &found.offset)?;
        map.serialize_entry("bytes", &found.bytes)?;
        map.serialize_entry("sequence", &found.sequence)?;
        map.serialize_entry("records", &found.records)?;
        map.serialize_entry("reason", &found.text)?;
        map.serialize_entry("next_step", &found.next_step)?;
        map.serialize_entry("verdict", &found.severity)?;
        map.end()
    }
}

fn start<M: SerializeMap>(map: &mut M, name: &str, place: &Place) -> Result<(), M::Error> {
    map.serialize_entry("type", name)?;
    map.serialize_entry("writer_id", &place.writer().map(|writer| writer.to_string()))?;
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
