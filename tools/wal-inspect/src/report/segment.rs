//! What there is to say of one segment as a whole. Pure data, counted by whoever scans it.

use crate::report::place::Place;
use mcplog::finding::{Finding, FindingKind, Severity};
use mcplog::position::{Offset, Sequence};
use mcplog::record::RecordError;
use mcplog::segment::SegmentReader;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Whether a segment still takes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Its writer lives, and writes to it.
    Active,
    /// It ends where its seal says.
    Sealed,
    /// Its writer died before it was sealed.
    Unsealed,
}

impl State {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Sealed => "sealed",
            Self::Unsealed => "unsealed",
        }
    }
}

/// A segment, summed up.
#[derive(Clone, Debug)]
pub(crate) struct SegmentReport {
    pub(crate) place: Place,
    /// `None` where the file can't be read as a segment.
    pub(crate) state: Option<State>,
    pub(crate) bytes: u64,
    /// Behind the last record.
    pub(crate) end: Option<Offset>,
    pub(crate) next_sequence: Option<Sequence>,
    pub(crate) durable: Option<(Offset, Sequence)>,
    pub(crate) sealed: Option<Offset>,
    /// Intact records that a store reads from it: of those that another segment has as well, it reads one.
    pub(crate) read_records: u64,
    /// Intact records.
    pub(crate) records: u64,
    pub(crate) lost_records: u64,
    /// Those of them that are in no database either, as far as anybody can say.
    pub(crate) missing_records: u64,
    pub(crate) undecodable_records: u64,
    /// How many intact records a newer build wrote.
    pub(crate) newer_records: u64,
    pub(crate) findings: Vec<Finding>,
}

impl SegmentReport {
    pub(crate) fn new(place: Place) -> Self {
        Self {
            place,
            state: None,
            bytes: 0,
            end: None,
            next_sequence: None,
            durable: None,
            sealed: None,
            read_records: 0,
            records: 0,
            lost_records: 0,
            missing_records: 0,
            undecodable_records: 0,
            newer_records: 0,
            findings: Vec::new(),
        }
    }

    /// Takes what the reader knows, once it has read to the end.
    pub(crate) fn read_to_end(
        &mut self,
        reader: &SegmentReader,
        may_be_active: bool,
    ) -> Result<(), mcplog::error::PathError> {
        let mark = reader.mark();
        self.state = Some(match mark.sealed {
            Some(_) => State::Sealed,
            None if may_be_active => State::Active,
            None => State::Unsealed,
        });
        self.bytes = reader.file_bytes()?;
        self.end = Some(reader.position().end);
        self.next_sequence = Some(reader.next_sequence());
        // The last record before the mark; one less than the first if there is none.
        let durable = reader.header().base_sequence.0 + u64::from(mark.durable.frames) - 1;
        self.durable = Some((mark.durable.end, Sequence(durable)));
        self.sealed = mark.sealed.map(|sealed| sealed.end);
        Ok(())
    }

    pub(crate) fn add(&mut self, finding: Finding) {
        if finding.kind == FindingKind::DamagedPlace {
            self.lost_records += finding.records.unwrap_or(0);
        }
        self.findings.push(finding);
    }

    pub(crate) fn severity(&self) -> Severity {
        self.findings.iter().map(|finding| finding.severity).max().unwrap_or_default()
    }

    /// Counts the records without having read them all: those up to the last one, but for the ones that are known to be lost.
    pub(crate) fn count_believed(&mut self, count_read: impl Fn(Sequence, Sequence) -> u64) {
        let Some((first, last)) = self.sequences() else { return };
        self.records = (last.0 - first.0 + 1).saturating_sub(self.lost_records);
        self.read_records = count_read(first, last).min(self.records);
    }

    /// Counts a record that can't be decoded.
    pub(crate) fn note_undecodable(&mut self, error: &RecordError) {
        let count = if error.newer().is_some() { &mut self.newer_records } else { &mut self.undecodable_records };
        *count += 1;
    }

    /// How many intact records can't be decoded, for whatever reason.
    pub(crate) fn unread_records(&self) -> u64 {
        self.undecodable_records + self.newer_records
    }

    /// The sequence numbers of the first and the last record; `None` if it holds none.
    pub(crate) fn sequences(&self) -> Option<(Sequence, Sequence)> {
        let (first, next) = (self.place.header?.base_sequence, self.next_sequence?);
        (next > first).then(|| (first, Sequence(next.0 - 1)))
    }

    /// Every record is durable.
    pub(crate) fn is_durable(&self) -> bool {
        self.durable.zip(self.next_sequence).is_some_and(|((_, durable), next)| durable.0 + 1 >= next.0)
    }
}

impl Serialize for SegmentReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let header = self.place.header;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "segment")?;
        map.serialize_entry("writer_id", &self.place.writer().map(|writer| writer.to_string()))?;
        map.serialize_entry("segment", &self.place.segment.map(|id| id.0))?;
        map.serialize_entry("file", &self.place.file)?;
        map.serialize_entry("state", &self.state)?;
        map.serialize_entry("created_at", &header.map(|header| header.created_at))?;
        map.serialize_entry("records", &self.records)?;
        map.serialize_entry("read_records", &self.read_records)?;
        map.serialize_entry("first_sequence", &self.sequences().map(|(first, _)| first.0))?;
        map.serialize_entry("last_sequence", &self.sequences().map(|(_, last)| last.0))?;
        map.serialize_entry("bytes", &self.bytes)?;
        map.serialize_entry("end_offset", &self.end.map(|end| end.0))?;
        map.serialize_entry("durable_offset", &self.durable.map(|(offset, _)| offset.0))?;
        map.serialize_entry("durable_sequence", &self.durable.map(|(_, sequence)| sequence.0))?;
        map.serialize_entry("sealed_offset", &self.sealed.map(|sealed| sealed.0))?;
        map.serialize_entry("lost_records", &self.lost_records)?;
        map.serialize_entry("undecodable_records", &self.undecodable_records)?;
        map.serialize_entry("newer_records", &self.newer_records)?;
        map.serialize_entry("verdict", &self.severity())?;
        map.end()
    }
}
