//! What one writer recorded in its life: the payloads by number, and what each of them means. Pure.
//!
//! The same recipe gives the same lives, to the byte.

use crate::bytes::Id;
use mcplog::record::{GapRecord, Record};
use mcplog::{Event, Request, SchemaVersion, Session, SessionClosed, Status};
use mcplog_fixture::event;
use std::collections::BTreeMap;

/// When everything begins: Unix milliseconds.
const STARTED_AT: i64 = 1_760_000_000_000;
/// No two lives have an event in common: each has so many numbers for its own.
const EVENTS_OF_A_LIFE: u64 = 10_000;
/// A kind that no build knows.
pub const UNKNOWN_KIND: u8 = 200;

/// What a record means to whoever folds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A request with that id.
    Request(String),
    /// A session with that id is announced or closed.
    Session(String),
    /// A schema version or a clock step: it has a row under its number.
    Row,
    /// A gap that the writer counted: so many events.
    Gap(u64),
    /// Who writes.
    Began,
    /// That the writer ended.
    Ended,
    /// A newer build wrote it.
    Newer,
    /// Its fields don't decode.
    Undecodable,
}

/// The meaning of each payload that anybody wrote.
pub type Meanings = BTreeMap<Vec<u8>, Meaning>;

/// How many events a life has, and of what size.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// How many.
    pub events: u64,
    /// They take several hundred bytes.
    pub is_large: bool,
}

/// A life.
#[derive(Clone, Debug)]
pub struct Life {
    /// Whose it is.
    pub writer: Id,
    /// The payload of each record, from number 1 on; the last one says that the writer ended.
    pub payloads: Vec<Vec<u8>>,
}

impl Life {
    /// The life of that place in a store.
    pub fn of(recipe: Recipe, store: u8, place: u8, meanings: &mut Meanings) -> Self {
        let mut payloads = Vec::new();
        let mut say = |payload: Vec<u8>, meaning| {
            meanings.insert(payload.clone(), meaning);
            payloads.push(payload);
        };
        let writer =
            *[&b"writer"[..], &[store, 0x40, place, 0x80, 3, 1, 4, 1, 5, 9]].concat().first_chunk().expect("16");
        let started_at = STARTED_AT + i64::from(place);
        say(began(1000 + u64::from(place), started_at), Meaning::Began);
        let first = EVENTS_OF_A_LIFE * (u64::from(store) * 16 + u64::from(place)) + 1;
        for number in first..first + recipe.events {
            let (payload, meaning) = record(number, recipe.is_large);
            say(payload, meaning);
        }
        say(ended(started_at + 60_000), Meaning::Ended);
        Self { writer, payloads }
    }
}

/// The process id in the first record of a life.
pub fn process_id(writer: Id) -> u64 {
    1000 + u64::from(writer[8])
}

/// What a newer build might record.
pub fn of_a_newer_build(number: u8, is_version: bool) -> Vec<u8> {
    if is_version { vec![2, UNKNOWN_KIND, number] } else { vec![UNKNOWN_KIND, 1, number] }
}

/// A record that says who writes.
fn began(process_id: u64, started_at: i64) -> Vec<u8> {
    let mut payload = vec![7, 1];
    varint(process_id, &mut payload);
    for text in ["host", "agreement", "0.1.0"] {
        payload.push(u8::try_from(text.len()).expect("a short text"));
        payload.extend(text.bytes());
    }
    varint(zigzag(started_at), &mut payload);
    payload
}

/// A record that says that the writer ended.
fn ended(ended_at: i64) -> Vec<u8> {
    let mut payload = vec![8, 1];
    varint(zigzag(ended_at), &mut payload);
    payload
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn varint(mut number: u64, payload: &mut Vec<u8>) {
    while number >= 0x80 {
        payload.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    payload.push(number.to_le_bytes()[0]);
}

/// Event `number`, of a kind that goes by it.
fn record(number: u64, is_large: bool) -> (Vec<u8>, Meaning) {
    let ts = STARTED_AT.saturating_add_unsigned(number);
    match number % 12 {
        3 => {
            let id = announced(number);
            let mut session = Session::new(&id, ts, "files");
            session.client_name = Some("claude");
            (encoded(session), Meaning::Session(id.clone()))
        }
        7 => {
            let id = announced(number - 4);
            (encoded(SessionClosed::new(&id, ts)), Meaning::Session(id.clone()))
        }
        5 => {
            let payload = format!("{{\"tools\":[{{\"name\":\"tool-{number}\",\"inputSchema\":{{}}}}]}}");
            let hash = format!("{number:064x}");
            let version = SchemaVersion::new(ts, "files", "http://files", "tools/list", &payload, &hash);
            (encoded(version), Meaning::Row)
        }
        9 => {
            let events = number % 100 + 1;
            let gap = GapRecord { from_ts: ts - 1, to_ts: ts, events };
            let mut payload = Vec::new();
            Record::Gap(gap).encode(&mut payload);
            (payload, Meaning::Gap(events))
        }
        _ => {
            let (id, session) = (event::request_id(number), format!("session-{}", number % 7));
            let message = "\u{20ac}".repeat(512);
            let mut request = Request::new(&id, ts, "files", "tools/call");
            request.session_id = Some(&session);
            request.tool = Some("search");
            if is_large {
                request.error_msg = Some(&message);
                request.status = Status::Error;
            }
            (encoded(request), Meaning::Request(id.clone()))
        }
    }
}

fn encoded<'a>(event: impl Into<Event<'a>>) -> Vec<u8> {
    let mut payload = Vec::new();
    Record::from(event.into()).encode(&mut payload);
    payload
}

/// The id of a session that an event announced.
fn announced(number: u64) -> String {
    format!("announced-{number}")
}
