//! What is on disk: records, and how an event becomes one.
//!
//! A record is a kind byte, a version byte, and fields in postcard's encoding; `format.md` spells out each field. Pure,
//! on whichever thread calls it. Kinds and their versions are append-only, as `kind.rs` lists them: a field is added by
//! a new version of its kind, which is a new struct here, and old ones stay readable.

use super::id::Id;
use super::kind::Kind;
use super::request::RequestRecord;
use crate::event::Event;
use serde::{Deserialize, Serialize};

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
    pub noise_lines: Option<i64>,
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
    pub payload: Option<&'a str>,
    pub content_hash: &'a str,
    pub caller: &'a str,
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

impl GapRecord {
    /// The longest payload: kind, version, and three numbers of ten bytes at most.
    pub(crate) const PAYLOAD_BYTES_MAX: u32 = 2 + 3 * 10;
}

/// Kind 6, version 1: somebody set the clock by which times are recorded, by more than a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockStepRecord {
    /// What the clock would have said had nobody set it: Unix time in milliseconds, UTC. Between two runs, where nobody
    /// can know that, the time of the newest request on record.
    pub from_ts: i64,
    /// What it said instead. Before `from_ts`: the clock was set back.
    pub to_ts: i64,
    /// Whether it was set while nobody recorded. Only a step back shows then.
    pub between_runs: bool,
}

impl ClockStepRecord {
    /// By how many milliseconds the clock was set ahead; back, if negative.
    pub const fn step_ms(&self) -> i64 {
        self.to_ts.saturating_sub(self.from_ts)
    }
}

/// Kind 7, version 1: who writes this log. The first record of every log.
///
/// It is for people: nothing is decided by what it says. What a process was called with is not in it, because arguments may
/// hold secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterBeganRecord<'a> {
    /// The process id, in the namespace of the process itself.
    pub process_id: u64,
    /// The name of the host; empty where it has none.
    pub host: &'a str,
    /// What records: `mcplog serve`, or the name that a host of the library gives itself.
    pub program: &'a str,
    /// The version of the program.
    pub program_version: &'a str,
    /// When the writer opened the store: Unix time in milliseconds, UTC.
    pub started_at: i64,
}

/// Kind 8, version 1: the writer ended in good order. Nothing follows in this log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterEndedRecord {
    /// When it ended: Unix time in milliseconds, UTC.
    pub ended_at: i64,
}

impl WriterEndedRecord {
    /// The longest payload: kind, version, and a number of ten bytes at most.
    pub(crate) const PAYLOAD_BYTES_MAX: u32 = 2 + 10;
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
    ClockStep(ClockStepRecord),
    WriterBegan(WriterBeganRecord<'a>),
    WriterEnded(WriterEndedRecord),
}

/// Reads a payload. There is one in every build; tests have others, which know more or less than this build does.
pub(crate) type Decoder = for<'a> fn(&'a [u8]) -> Result<Record<'a>, RecordError>;

/// What this build knows.
pub(crate) const DECODER: Decoder = |payload| Record::decode(payload);

/// Why an intact payload is no record that this build can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Shorter than kind and version.
    #[error("expected a record kind and version, found {found} bytes")]
    Short {
        /// The payload's length.
        found: usize,
    },
    /// A kind or a version of zero, which no build writes.
    #[error("expected a record kind and version from 1 on, found kind {kind}, version {version}")]
    Zero {
        /// The kind byte.
        kind: u8,
        /// The version byte.
        version: u8,
    },
    /// A kind that this build does not know. A newer one does.
    #[error("record kind {kind}, version {version}: this build knows the kinds 1 to {}; a newer mcplog reads it", Kind::ALL.len())]
    UnknownKind {
        /// The kind byte.
        kind: u8,
        /// The version byte.
        version: u8,
    },
    /// A version of the kind that this build does not know. A newer one does.
    #[error(
        "record kind {kind}, version {version}: this build knows the versions 1 to {known}; a newer mcplog reads it"
    )]
    UnknownVersion {
        /// The kind byte.
        kind: u8,
        /// The version byte.
        version: u8,
        /// The newest version of that kind that this build knows.
        known: u8,
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

impl RecordError {
    /// Kind and version, if a newer build wrote the record: it is well-formed as far as this build can tell, and no
    /// damage. It is to be kept until a build comes that reads it.
    pub const fn newer(&self) -> Option<(u8, u8)> {
        match *self {
            Self::UnknownKind { kind, version } | Self::UnknownVersion { kind, version, .. } => Some((kind, version)),
            Self::Short { .. } | Self::Zero { .. } | Self::Fields { .. } | Self::Trailing { .. } => None,
        }
    }
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
            Self::ClockStep(_) => Kind::ClockStep,
            Self::WriterBegan(_) => Kind::WriterBegan,
            Self::WriterEnded(_) => Kind::WriterEnded,
        }
    }

    /// When it happened: Unix time in milliseconds, UTC. Of what took time, the end.
    pub fn happened_at(&self) -> i64 {
        match self {
            Self::Request(request) => request.ts,
            Self::Session(session) => session.started_at,
            Self::SessionClosed(closed) => closed.ended_at,
            Self::SchemaVersion(version) => version.ts,
            Self::Gap(gap) => gap.to_ts,
            // One of the two is wrong, and nobody knows which.
            Self::ClockStep(step) => step.from_ts.max(step.to_ts),
            Self::WriterBegan(began) => began.started_at,
            Self::WriterEnded(ended) => ended.ended_at,
        }
    }

    /// Appends the record's bytes to `payload`.
    pub fn encode(&self, payload: &mut Vec<u8>) {
        payload.extend_from_slice(&[self.kind().number(), self.kind().version()]);
        match self {
            Self::Request(fields) => fields.encode(payload),
            Self::Session(fields) => append(fields, payload),
            Self::SessionClosed(fields) => append(fields, payload),
            Self::SchemaVersion(fields) => append(fields, payload),
            Self::Gap(fields) => append(fields, payload),
            Self::ClockStep(fields) => append(fields, payload),
            Self::WriterBegan(fields) => append(fields, payload),
            Self::WriterEnded(fields) => append(fields, payload),
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
        if kind == 0 || version == 0 {
            return Err(RecordError::Zero { kind, version });
        }
        let known = Kind::from_number(kind).ok_or(RecordError::UnknownKind { kind, version })?;
        if version > known.version() {
            return Err(RecordError::UnknownVersion { kind, version, known: known.version() });
        }
        // Each kind has one version so far. The second of a kind makes two arms of its one.
        let decoded = match known {
            Kind::Request => RequestRecord::decode(fields).map(|(fields, rest)| (Self::Request(fields), rest)),
            Kind::Session => take(fields).map(|(fields, rest)| (Self::Session(fields), rest)),
            Kind::SessionClosed => take(fields).map(|(fields, rest)| (Self::SessionClosed(fields), rest)),
            Kind::SchemaVersion => take(fields).map(|(fields, rest)| (Self::SchemaVersion(fields), rest)),
            Kind::Gap => take(fields).map(|(fields, rest)| (Self::Gap(fields), rest)),
            Kind::ClockStep => take(fields).map(|(fields, rest)| (Self::ClockStep(fields), rest)),
            Kind::WriterBegan => take(fields).map(|(fields, rest)| (Self::WriterBegan(fields), rest)),
            Kind::WriterEnded => take(fields).map(|(fields, rest)| (Self::WriterEnded(fields), rest)),
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
                noise_lines: session.noise_lines,
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
                caller: version.caller,
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
        fn decoding_any_bytes_never_panics_and_what_decodes_encodes_back(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 1..=8_u8) {
            let mut payload = vec![kind, 1];
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

    /// A record of each version of each kind that was ever written. One that is missing here, or can't be read any
    /// more, fails the test below.
    const EVERY_VERSION: [(Kind, u8, &[u8]); 8] = [
        (Kind::Request, 1, &[0x04, 0, 1, b'r', 0, 0, 1, b'p', 2]),
        (Kind::Session, 1, &[0, 1, b's', 1, b'p', 2, 0, 0, 0, 0, 0, 1, 4]),
        (Kind::SessionClosed, 1, &[0, 1, b's', 0xd8, 0x04]),
        (Kind::SchemaVersion, 1, &[2, 1, b'p', 1, b'u', 1, b'm', 1, 1, b'{', 1, b'h', 0]),
        (Kind::Gap, 1, &[2, 4, 7]),
        (Kind::ClockStep, 1, &[4, 2, 1]),
        (Kind::WriterBegan, 1, &[7, 1, b'h', 1, b'p', 1, b'v', 4]),
        (Kind::WriterEnded, 1, &[6]),
    ];

    proptest! {
        #[test]
        fn who_writes_a_log_and_when_it_ended_is_read_as_it_was_written(
            process_id: u64, texts in proptest::array::uniform3(".{0,80}"), started_at: i64, ended_at: i64,
        ) {
            let [host, program, program_version] = texts.each_ref().map(String::as_str);
            let began = WriterBeganRecord { process_id, host, program, program_version, started_at };
            for record in [Record::WriterBegan(began), Record::WriterEnded(WriterEndedRecord { ended_at })] {
                let payload = encode(&record);
                prop_assert_eq!(Record::decode(&payload), Ok(record));
                prop_assert!(!record.kind().is_event());
                for length in 0..payload.len() {
                    prop_assert!(Record::decode(&payload[..length]).is_err(), "{} bytes", length);
                }
            }
        }
    }

    #[test]
    fn no_end_of_a_writer_is_longer_than_the_room_that_is_kept_for_one() {
        for ended_at in [i64::MIN, i64::MAX] {
            let payload = encode(&Record::WriterEnded(WriterEndedRecord { ended_at }));
            assert_eq!(payload.len(), WriterEndedRecord::PAYLOAD_BYTES_MAX as usize);
        }
    }

    #[test]
    fn no_gap_is_longer_than_the_room_that_is_kept_for_one() {
        let mut payload = Vec::new();
        Record::Gap(GapRecord { from_ts: i64::MIN, to_ts: i64::MIN, events: u64::MAX }).encode(&mut payload);
        assert_eq!(payload.len(), GapRecord::PAYLOAD_BYTES_MAX as usize);
    }

    #[test]
    fn every_version_of_every_kind_is_read_and_the_newest_is_written() {
        for kind in Kind::ALL {
            for version in 1..=kind.version() {
                let known = EVERY_VERSION.iter().find(|(of, at, _)| (*of, *at) == (kind, version));
                let (.., fields) = known.unwrap_or_else(|| panic!("no example of {kind:?}, version {version}"));
                let payload = [&[kind.number(), version], *fields].concat();
                let record = Record::decode(&payload).unwrap_or_else(|error| panic!("{kind:?}: {error}"));
                assert_eq!(record.kind(), kind);
                assert_eq!(encode(&record)[..2], [kind.number(), kind.version()]);
            }
        }
    }

    #[test]
    fn what_a_newer_build_wrote_is_told_from_what_no_build_writes() {
        for number in 0..=u8::MAX {
            for version in [0, 1, 2, u8::MAX] {
                let found = Record::decode(&[number, version]).unwrap_err();
                let expected = match Kind::from_number(number) {
                    _ if number == 0 || version == 0 => RecordError::Zero { kind: number, version },
                    None => RecordError::UnknownKind { kind: number, version },
                    Some(kind) if version > kind.version() => {
                        RecordError::UnknownVersion { kind: number, version, known: kind.version() }
                    }
                    // No kind has no fields.
                    Some(_) => RecordError::Fields { kind: number, version },
                };
                assert_eq!(found, expected);
                let is_newer = matches!(found, RecordError::UnknownKind { .. } | RecordError::UnknownVersion { .. });
                assert_eq!(found.newer(), is_newer.then_some((number, version)));
            }
        }
        assert_eq!(Record::decode(&[0; 16]), Err(RecordError::Zero { kind: 0, version: 0 }));
    }
}
