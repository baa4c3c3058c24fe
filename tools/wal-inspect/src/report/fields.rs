//! A record's fields by name: the one list that JSON and text are made from. Pure.

use mcplog::event::DetailValue;
use mcplog::record::{
    ClockStepRecord, GapRecord, Id, Kind, Record, RequestRecord, SchemaVersionRecord, SessionClosedRecord,
    SessionRecord, WriterBeganRecord, WriterEndedRecord,
};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// A field's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// Absent.
    Null,
    Text(Cow<'a, str>),
    Integer(i64),
    Count(u64),
    Boolean(bool),
    /// Several names.
    Names(Vec<String>),
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Count(number) => serializer.serialize_u64(*number),
            Self::Boolean(value) => serializer.serialize_bool(*value),
            Self::Names(names) => names.serialize(serializer),
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("-"),
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) => number.fmt(f),
            Self::Count(number) => number.fmt(f),
            Self::Boolean(value) => value.fmt(f),
            Self::Names(names) if names.is_empty() => f.write_str("-"),
            Self::Names(names) => f.write_str(&names.join(",")),
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl<'a, T: Into<Self>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The name of a kind, as `type` in JSON and as `--kind`.
pub(crate) const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Request => "request",
        Kind::Session => "session",
        Kind::SessionClosed => "session_closed",
        Kind::SchemaVersion => "schema_version",
        Kind::Gap => "gap",
        Kind::ClockStep => "clock_step",
        Kind::WriterBegan => "writer_began",
        Kind::WriterEnded => "writer_ended",
    }
}

/// When the record's event happened, or, for a gap, ended; for a step of the clock, the time after it: Unix time in
/// milliseconds, UTC.
pub(crate) const fn time_ms(record: &Record<'_>) -> i64 {
    match record {
        Record::Request(request) => request.ts,
        Record::Session(session) => session.started_at,
        Record::SessionClosed(closed) => closed.ended_at,
        Record::SchemaVersion(version) => version.ts,
        Record::Gap(gap) => gap.to_ts,
        Record::ClockStep(step) => step.to_ts,
        Record::WriterBegan(began) => began.started_at,
        Record::WriterEnded(ended) => ended.ended_at,
    }
}

/// Every field of the record. The patterns have no `..`: a field that the format gains does not compile until it is listed
/// here; those of a request come from its own list.
pub(crate) fn fields<'a>(record: &Record<'a>) -> Vec<(&'static str, Value<'a>)> {
    match *record {
        Record::Request(request) => request_fields(&request),
        Record::Session(SessionRecord {
            session_id,
            proxy,
            started_at,
            client_name,
            client_version,
            client_platform,
            protocol_version,
            derived,
            noise_lines,
        }) => vec![
            ("session_id", session_id.text().into()),
            ("proxy", proxy.into()),
            ("started_at", started_at.into()),
            ("client_name", client_name.into()),
            ("client_version", client_version.into()),
            ("client_platform", client_platform.into()),
            ("protocol_version", protocol_version.into()),
            ("derived", derived.into()),
            ("noise_lines", noise_lines.into()),
        ],
        Record::SessionClosed(SessionClosedRecord { session_id, ended_at }) => {
            vec![("session_id", session_id.text().into()), ("ended_at", ended_at.into())]
        }
        Record::SchemaVersion(SchemaVersionRecord {
            ts,
            proxy,
            upstream_url,
            method,
            payload,
            content_hash,
            caller,
        }) => vec![
            ("ts", ts.into()),
            ("proxy", proxy.into()),
            ("upstream_url", upstream_url.into()),
            ("method", method.into()),
            ("payload", payload.into()),
            ("content_hash", content_hash.into()),
            ("caller", caller.into()),
        ],
        Record::Gap(GapRecord { from_ts, to_ts, events }) => {
            vec![("from_ts", from_ts.into()), ("to_ts", to_ts.into()), ("events", Value::Count(events))]
        }
        Record::ClockStep(ClockStepRecord { from_ts, to_ts, between_runs }) => {
            vec![("from_ts", from_ts.into()), ("to_ts", to_ts.into()), ("between_runs", between_runs.into())]
        }
        Record::WriterBegan(WriterBeganRecord { process_id, host, program, program_version, started_at }) => vec![
            ("process_id", Value::Count(process_id)),
            ("host", host.into()),
            ("program", program.into()),
            ("program_version", program_version.into()),
            ("started_at", started_at.into()),
        ],
        Record::WriterEnded(WriterEndedRecord { ended_at }) => vec![("ended_at", ended_at.into())],
    }
}

fn request_fields<'a>(request: &RequestRecord<'a>) -> Vec<(&'static str, Value<'a>)> {
    let mut fields = vec![
        ("request_id", request.request_id.text().into()),
        ("ts", request.ts.into()),
        ("proxy", request.proxy.into()),
        ("session_id", request.session_id.map(|id| id.text()).into()),
        ("method", request.method.into()),
        ("tool", request.tool.into()),
        ("latency_us", request.latency_us.into()),
        ("status", request.status.as_str().into()),
    ];
    let mut details = Vec::new();
    request.put_details(&mut details);
    fields.extend(details.into_iter().map(|(name, value)| (name, value.into())));
    fields
}

impl<'a> From<DetailValue<'a, Id<'a>>> for Value<'a> {
    fn from(value: DetailValue<'a, Id<'a>>) -> Self {
        match value {
            DetailValue::Id(id) => id.text().into(),
            DetailValue::Text(text) => text.into(),
            DetailValue::Number(number) => number.into(),
            DetailValue::Flag(flag) => flag.into(),
            DetailValue::Code(name) => name.into(),
            DetailValue::Bytes(bytes) => Self::Text(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
            DetailValue::Notes(notes) => Self::Names(notes.names().collect()),
        }
    }
}
