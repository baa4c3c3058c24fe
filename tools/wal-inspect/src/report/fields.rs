//! A record's fields by name: the one list that JSON and text are made from. Pure.

use mcplog::record::{
    GapRecord, Kind, Record, RequestRecord, SchemaVersionRecord, SessionClosedRecord, SessionRecord, StatusCode,
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
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Count(number) => serializer.serialize_u64(*number),
            Self::Boolean(value) => serializer.serialize_bool(*value),
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
    }
}

pub(crate) const fn status_name(status: StatusCode) -> &'static str {
    match status {
        StatusCode::Ok => "ok",
        StatusCode::Error => "error",
        StatusCode::Timeout => "timeout",
    }
}

/// When the record's event happened, or, for a gap, ended: Unix time in milliseconds, UTC.
pub(crate) const fn time_ms(record: &Record<'_>) -> i64 {
    match record {
        Record::Request(request) => request.ts,
        Record::Session(session) => session.started_at,
        Record::SessionClosed(closed) => closed.ended_at,
        Record::SchemaVersion(version) => version.ts,
        Record::Gap(gap) => gap.to_ts,
    }
}

/// Every field of the record, in the order of the format. The patterns have no `..`: a field that the format gains does
/// not compile until it is listed here.
pub(crate) fn fields<'a>(record: &Record<'a>) -> Vec<(&'static str, Value<'a>)> {
    match *record {
        Record::Request(RequestRecord {
            request_id,
            ts,
            proxy,
            session_id,
            method,
            tool,
            latency_us,
            status,
            error_code,
            error_msg,
            bytes_in,
            bytes_out,
            tool_error,
            target,
            protocol_version,
            rpc_id,
        }) => vec![
            ("request_id", request_id.text().into()),
            ("ts", ts.into()),
            ("proxy", proxy.into()),
            ("session_id", session_id.map(|id| id.text()).into()),
            ("method", method.into()),
            ("tool", tool.into()),
            ("latency_us", latency_us.into()),
            ("status", status_name(status).into()),
            ("error_code", error_code.into()),
            ("error_msg", error_msg.into()),
            ("bytes_in", bytes_in.into()),
            ("bytes_out", bytes_out.into()),
            ("tool_error", tool_error.into()),
            ("target", target.into()),
            ("protocol_version", protocol_version.into()),
            ("rpc_id", rpc_id.into()),
        ],
        Record::Session(SessionRecord {
            session_id,
            proxy,
            started_at,
            client_name,
            client_version,
            client_platform,
            protocol_version,
            derived,
        }) => vec![
            ("session_id", session_id.text().into()),
            ("proxy", proxy.into()),
            ("started_at", started_at.into()),
            ("client_name", client_name.into()),
            ("client_version", client_version.into()),
            ("client_platform", client_platform.into()),
            ("protocol_version", protocol_version.into()),
            ("derived", derived.into()),
        ],
        Record::SessionClosed(SessionClosedRecord { session_id, ended_at }) => {
            vec![("session_id", session_id.text().into()), ("ended_at", ended_at.into())]
        }
        Record::SchemaVersion(SchemaVersionRecord { ts, proxy, upstream_url, method, payload, content_hash }) => vec![
            ("ts", ts.into()),
            ("proxy", proxy.into()),
            ("upstream_url", upstream_url.into()),
            ("method", method.into()),
            ("payload", payload.into()),
            ("content_hash", content_hash.into()),
        ],
        Record::Gap(GapRecord { from_ts, to_ts, events }) => {
            vec![("from_ts", from_ts.into()), ("to_ts", to_ts.into()), ("events", Value::Count(events))]
        }
    }
}
