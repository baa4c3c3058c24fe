//! What a record changes in the tables.
//!
//! Nothing here depends on order: of several requests with one id, `precedence.rs` says which counts, and facts about a
//! session form a commutative monoid. No I/O, no clock; runs on the compactor.
//!
//! What a request counts as is settled here, once: every row has an outcome, and all that counts or filters goes by it.
//!
//! Values that are longer than the database keeps are cut here. So the log keeps what was recorded, and every table
//! gets the same value; and because values are cut before they are compared or merged, a cut value depends on nothing
//! but itself.

use super::cut_request::{CutRequest, fits};
use super::session_facts::{Closes, SessionFacts};
use super::{abridged, cut};
use crate::event::{ADDRESS_BYTES_MAX, Direction, NAME_BYTES_MAX};
use crate::record::record::{
    ClockStepRecord, GapRecord, Record, SchemaVersionRecord, WriterBeganRecord, WriterEndedRecord,
};
use crate::record::request::RequestRecord;
use std::borrow::Cow;

/// What one record changes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mutation<'a> {
    /// A row of `requests`, and what the request adds to its session, unless the table has a lesser request with that
    /// id.
    Request(RequestRecord<'a>),
    /// The same, for a request some of whose texts are cut.
    CutRequest(Box<CutRequest<'a>>),
    /// Facts about a session.
    Session(Cow<'a, str>, SessionFacts),
    /// A version of what a server offers was seen.
    SchemaSighting(SchemaSighting<'a>),
    /// Events known to be lost.
    Gap(GapRecord),
    /// A step of the clock.
    ClockStep(ClockStepRecord),
    /// Who writes the log.
    WriterBegan(WriterBegan<'a>),
    /// The log's writer ended in good order.
    WriterEnded(WriterEndedRecord),
}

/// What `record` changes.
pub(crate) fn fold(record: Record<'_>) -> Mutation<'_> {
    match record {
        Record::Request(mut request) => {
            request.outcome = Some(request.counts_as());
            // A client that is named says no more than one that is not.
            request.direction = request.direction.filter(|direction| *direction != Direction::Client);
            if fits(&request) {
                Mutation::Request(request)
            } else {
                Mutation::CutRequest(Box::new(CutRequest::new(request)))
            }
        }
        Record::Session(session) => {
            Mutation::Session(cut::id(session.session_id.text()), SessionFacts::of_announcement(&session))
        }
        Record::SessionClosed(closed) => {
            let facts = SessionFacts { closes: Some(Closes::at(closed.ended_at)), ..SessionFacts::default() };
            Mutation::Session(cut::id(closed.session_id.text()), facts)
        }
        Record::SchemaVersion(version) => Mutation::SchemaSighting(version.into()),
        Record::Gap(gap) => Mutation::Gap(gap),
        Record::ClockStep(step) => Mutation::ClockStep(step),
        Record::WriterBegan(began) => Mutation::WriterBegan(began.into()),
        Record::WriterEnded(ended) => Mutation::WriterEnded(ended),
    }
}

/// Who writes a log, with texts cut where they are too long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WriterBegan<'a> {
    pub(crate) process_id: u64,
    pub(crate) host: Cow<'a, str>,
    pub(crate) program: Cow<'a, str>,
    pub(crate) program_version: Cow<'a, str>,
    pub(crate) started_at: i64,
}

impl<'a> From<WriterBeganRecord<'a>> for WriterBegan<'a> {
    fn from(began: WriterBeganRecord<'a>) -> Self {
        Self {
            process_id: began.process_id,
            host: cut::name(began.host, NAME_BYTES_MAX),
            program: cut::name(began.program, NAME_BYTES_MAX),
            program_version: cut::name(began.program_version, NAME_BYTES_MAX),
            started_at: began.started_at,
        }
    }
}

/// A version of what a server offers that a caller saw, with values cut where they are too long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SchemaSighting<'a> {
    pub(crate) ts: i64,
    pub(crate) proxy: Cow<'a, str>,
    pub(crate) upstream_url: Cow<'a, str>,
    pub(crate) method: Cow<'a, str>,
    /// Absent where the version is on record already.
    pub(crate) payload: Option<Cow<'a, str>>,
    pub(crate) content_hash: Cow<'a, str>,
    pub(crate) caller: Cow<'a, str>,
}

impl<'a> From<SchemaVersionRecord<'a>> for SchemaSighting<'a> {
    fn from(version: SchemaVersionRecord<'a>) -> Self {
        Self {
            ts: version.ts,
            proxy: cut::name(version.proxy, NAME_BYTES_MAX),
            upstream_url: cut::name(version.upstream_url, ADDRESS_BYTES_MAX),
            method: cut::name(version.method, NAME_BYTES_MAX),
            payload: version.payload.map(|payload| abridged::payload(version.method, payload)),
            content_hash: cut::name(version.content_hash, NAME_BYTES_MAX),
            caller: cut::name(version.caller, NAME_BYTES_MAX),
        }
    }
}
