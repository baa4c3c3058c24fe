//! What is on disk: records, and how an event becomes one.
//!
//! A record is a kind byte, a version byte, and fields in postcard's encoding; `format.md` spells out each field. Pure, on
//! whichever thread calls it. Kinds and their versions are append-only: a field is added by a new version, which is a
//! new struct here, and old ones stay readable.

use super::id::Id;
use super::request::RequestRecord;
use crate::event::Event;
use serde::{Deserialize, Serialize};

/// The kind of a record: its first byte. Zero is never used, so that unwritten bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// [`RequestRecord`].
    Request = 1,
    /// [`SessionRecord`].
    Session = 2,
    /// [`SessionClosedRecord`].
    SessionClosed = 3,
    /// [`SchemaVersionRecord`].
    SchemaVersion = 4,
    /// [`GapRecord`].
    Gap = 5,
}

/// The version of every kind that this build writes.
///
/// - 1: the first.
pub const RECORD_VERSION: u8 = 1;

/// Kind 2, version 1. The fields are those of [`crate::Session`]; their order is the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is documented where it is observed, in the event of that name")]
pub struct SessionRecord<'a> {
    #[serde(borrow)]
    pub session_id: Id<'a>,
    pub proxy: &'a str,
    pub started_at: i64,
    pub client_name: Option<&'a str>,
    pub client_version: Option<&'a str>,
    pub client_platform: Option<&'a str>,
    pub protocol_version: Option<&'a str>,
    pub derived: bool,
}

/// Kind 3, version 1. The fields are those of [`crate::SessionClosed`]; their order is the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is documented where it is observed, in the event of that name")]
pub struct SessionClosedRecord<'a> {
    #[serde(borrow)]
    pub session_id: Id<'a>,
    pub ended_at: i64,
}

/// Kind 4, version 1. The fields are those of [`crate::SchemaVersion`]; their order is the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is documented where it is observed, in the event of that name")]
pub struct SchemaVersionRecord<'a> {
    pub ts: i64,
    pub proxy: &'a str,
    pub upstream_url: &'a str,
    pub method: &'a str,
    pub payload: &'a str,
    pub content_hash: &'a str,
}

/// Kind 5, version 1: events that the log does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapRecord {
    /// When the first of them was dropped: Unix time in milliseconds, UTC.
    pub from_ts: i64,
    /// When the last of them was dropped.
    pub to_ts: i64,
    /// How many.
    pub events: u64,
}

/// A record, decoded. Borrows its text from the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant's type says what it is")]
#[expect(clippy::large_enum_variant, reason = "nearly all are requests; a box would be an allocation for each")]
pub enum Record<'a> {
    Request(RequestRecord<'a>),
    Session(SessionRecord<'a>),
    SessionClosed(SessionClosedRecord<'a>),
    SchemaVersion(SchemaVersionRecord<'a>),
    Gap(GapRecord),
}

/// Why an intact payload is no record that this build knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Shorter than kind and version.
    #[error("expected a record kind and version, found {found} bytes")]
    Short {
        /// The payload's length.
        found: usize,
    },
    /// A kind that this build does not know, from a newer one.
    #[error("expected a record kind from 1 to 5, found {found}")]
    UnknownKind {
        /// The kind byte.
        found: u8,
    },
    /// A version of the kind that this build does not know.
    #[error("record kind {kind}: expected version 1 to {RECORD_VERSION}, found {found}")]
    UnsupportedVersion {
        /// The kind byte.
        kind: u8,
        /// The version byte.
        found: u8,
    },
    /// The fields are not what kind and version say.
    #[error("record kind {kind}, version {version}: the fields don't decode")]
    Fields {
        /// The kind byte.
        kind: u8,
        /// The version byte.
        version: u8,
    },
    /// There are bytes behind the last field.
    #[error("record kind {kind}, version {version}: expected the end after the last field, found {bytes} more bytes")]
    Trailing {
        /// The kind byte.
        kind: u8,
        /// The version byte.
        version: u8,
        /// How many bytes follow.
        bytes: usize,
    },
}

impl<'a> Record<'a> {
    /// The kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Request(_) => Kind::Request,
            Self::Session(_) => Kind::Session,
            Self::SessionClosed(_) => Kind::SessionClosed,
            Self::SchemaVersion(_) => Kind::SchemaVersion,
            Self::Gap(_) => Kind::Gap,
        }
    }

    /// Appends the record's bytes to `payload`.
    pub fn encode(&self, payload: &mut Vec<u8>) {
        payload.extend_from_slice(&[self.kind() as u8, RECORD_VERSION]);
        match self {
            Self::Request(fields) => fields.encode(payload),
            Self::Session(fields) => append(fields, payload),
            Self::SessionClosed(fields) => append(fields, payload),
            Self::SchemaVersion(fields) => append(fields, payload),
            Self::Gap(fields) => append(fields, payload),
        }
    }

    /// Reads a record, all of it.
    ///
    /// # Errors
    /// [`RecordError`]. Never panics, whatever the bytes.
    pub fn decode(payload: &'a [u8]) -> Result<Self, RecordError> {
        let [kind, version, fields @ ..] = payload else {
            return Err(RecordError::Short { found: payload.len() });
        };
        let (kind, version) = (*kind, *version);
        if !(Kind::Request as u8..=Kind::Gap as u8).contains(&kind) {
            return Err(RecordError::UnknownKind { found: kind });
        }
        if version != RECORD_VERSION {
            return Err(RecordError::UnsupportedVersion { kind, found: version });
        }
        let decoded = match kind {
            1 => RequestRecord::decode(fields).map(|(fields, rest)| (Self::Request(fields), rest)),
            2 => take(fields).map(|(fields, rest)| (Self::Session(fields), rest)),
            3 => take(fields).map(|(fields, rest)| (Self::SessionClosed(fields), rest)),
            4 => take(fields).map(|(fields, rest)| (Self::SchemaVersion(fields), rest)),
            _ => take(fields).map(|(fields, rest)| (Self::Gap(fields), rest)),
        };
        match decoded {
            Some((record, [])) => Ok(record),
            Some((_, rest)) => Err(RecordError::Trailing { kind, version, bytes: rest.len() }),
            None => Err(RecordError::Fields { kind, version }),
        }
    }
}

impl<'a> From<Event<'a>> for Record<'a> {
    fn from(event: Event<'a>) -> Self {
        match event {
            Event::Request(request) => Self::Request(request.map(Id::new, |_, text| text)),
            Event::Session(session) => Self::Session(SessionRecord {
                session_id: Id::new(session.session_id),
                proxy: session.proxy,
                started_at: session.started_at,
                client_name: session.client_name,
                client_version: session.client_version,
                client_platform: session.client_platform,
                protocol_version: session.protocol_version,
                derived: session.derived,
            }),
            Event::SessionClosed(closed) => Self::SessionClosed(SessionClosedRecord {
                session_id: Id::new(closed.session_id),
                ended_at: closed.ended_at,
            }),
            Event::SchemaVersion(version) => Self::SchemaVersion(SchemaVersionRecord {
                ts: version.ts,
                proxy: version.proxy,
                upstream_url: version.upstream_url,
                method: version.method,
                payload: version.payload,
                content_hash: version.content_hash,
            }),
        }
    }
}

fn take<'a, T: Deserialize<'a>>(fields: &'a [u8]) -> Option<(T, &'a [u8])> {
    postcard::take_from_bytes(fields).ok()
}

fn append<T: Serialize>(fields: &T, payload: &mut Vec<u8>) {
    // Serializing plain structs into memory has no way to fail.
    postcard::serialize_with_flavor(fields, AppendTo(payload)).expect("records serialize");
}

/// Writes to the end of a buffer that the caller reuses; postcard's own flavor would allocate one for each record.
struct AppendTo<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for AppendTo<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(record: &Record<'_>) -> Vec<u8> {
        let mut payload = Vec::new();
        record.encode(&mut payload);
        payload
    }

    proptest! {
        #[test]
        fn decoding_any_bytes_never_panics_and_what_decodes_encodes_back(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 1..=5_u8) {
            let mut payload = vec![kind, RECORD_VERSION];
            payload.extend(bytes);
            if let Ok(record) = Record::decode(&payload) {
                let again = encode(&record);
                prop_assert_eq!(Record::decode(&again), Ok(record));
            }
        }
    }

    #[test]
    fn a_record_is_consumed_whole_and_nothing_less() {
        let record = Record::SessionClosed(SessionClosedRecord { session_id: Id::new("s"), ended_at: 300 });
        let payload = encode(&record);
        assert_eq!(payload, [3, 1, 0, 1, b's', 0xd8, 0x04]);
        for length in 0..payload.len() {
            assert!(Record::decode(&payload[..length]).is_err(), "{length} bytes");
        }
        let longer = [&payload[..], &[0]].concat();
        assert_eq!(Record::decode(&longer), Err(RecordError::Trailing { kind: 3, version: 1, bytes: 1 }));
    }

    #[test]
    fn unknown_kinds_and_versions_are_told_apart() {
        for kind in [0, 6, 255] {
            assert_eq!(Record::decode(&[kind, 1]), Err(RecordError::UnknownKind { found: kind }));
        }
        for version in [0, 2] {
            assert_eq!(Record::decode(&[1, version]), Err(RecordError::UnsupportedVersion { kind: 1, found: version }));
        }
        assert_eq!(Record::decode(&[0; 16]), Err(RecordError::UnknownKind { found: 0 }));
    }
}
