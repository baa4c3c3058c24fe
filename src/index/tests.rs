//! Folding against a model: any order, any batching, any crash in between gives the tables that a plain reading of the
//! rules gives.

mod expiry_tests;
mod migration_tests;
mod name_tests;
mod newer_tests;
mod replacement_tests;
mod restore_tests;
mod sqlite_wal_tests;
mod two_holders_tests;
mod writers_tests;

use crate::event::Notes;
use crate::event::any::with_one_detail_each;
use crate::event::{
    Code, DetailValue, Direction, Event, ID_BYTES_MAX, NAME_BYTES_MAX, OTHER_NAME, Outcome, Request, SchemaVersion,
    Session, SessionClosed, Status,
};
use crate::fold::cell_scope::CellScope;
use crate::fold::cut;
use crate::fold::fold::fold;
use crate::fold::rollup::{Cell, DENSE_CALLS, Level, Sample};
use crate::fold::rollup_page;
use crate::ground::clock::now_ms;
use crate::ground::config::Config;
use crate::ground::database_version::DATABASE_VERSION;
use crate::ground::error::{IndexError, OpenError};
use crate::ground::position::{SegmentId, Sequence, StoreId, WriterId};
use crate::ground::sabotage::{self, Spot};
use crate::index::batch::Batch;
use crate::index::checkpoint::Checkpoint;
use crate::index::connection::PAGE_BYTES;
use crate::index::database::{DATABASE_NAME, Index, shrinks};
use crate::index::rebuild::RebuildReport;
use crate::query::{Query, RequestFilter};
use crate::record::record::Record;
use proptest::prelude::*;
use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::Ordering;

const WRITER: WriterId = WriterId([7; 16]);
const STORE: StoreId = StoreId([9; 16]);

/// An event that owns its text, from domains so small that ids collide all the time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owned {
    Request {
        id: String,
        ts: i64,
        proxy: String,
        session: Option<String>,
        status: usize,
        tool_error: Option<bool>,
        /// The outcome that is told, if any; it may contradict the status.
        told: Option<&'static str>,
    },
    Session {
        id: String,
        started_at: i64,
        proxy: String,
        client: Option<String>,
        noise: Option<i64>,
    },
    Closed {
        id: String,
        ended_at: i64,
    },
    Schema {
        ts: i64,
        method: &'static str,
        tools: Vec<(char, u8)>,
        caller: &'static str,
        has_payload: bool,
    },
}

const STATUSES: [Status; 3] = [Status::Ok, Status::Error, Status::Timeout];

fn payload(tools: &[(char, u8)]) -> String {
    let tools: Vec<_> = tools.iter().map(|(name, x)| format!(r#"{{"name":"{name}","x":{x}}}"#)).collect();
    format!(r#"{{"tools":[{}]}}"#, tools.join(","))
}

impl Owned {
    fn with<T>(&self, run: impl FnOnce(Event<'_>) -> T) -> T {
        match self {
            Self::Request { id, ts, proxy, session, status, tool_error, told } => {
                let mut request = Request::new(id, *ts, proxy, "tools/call");
                request.session_id = session.as_deref();
                request.status = STATUSES[*status];
                request.tool_error = *tool_error;
                request.outcome = told.and_then(Outcome::from_name);
                run(request.into())
            }
            Self::Session { id, started_at, proxy, client, noise } => {
                let mut session = Session::new(id, *started_at, proxy);
                (session.client_name, session.noise_lines) = (client.as_deref(), *noise);
                run(session.into())
            }
            Self::Closed { id, ended_at } => run(SessionClosed::new(id, *ended_at).into()),
            Self::Schema { ts, method, tools, caller, has_payload } => {
                let payload = payload(tools);
                // Any function of the payload will do for a hash.
                let mut version = SchemaVersion::seen_again(*ts, "p", "http://u", method, &payload);
                (version.caller, version.payload) = (caller, has_payload.then_some(&*payload));
                run(version.into())
            }
        }
    }
}

/// A session's id. Some are too long, and differ only behind the limit.
fn session_id() -> impl Strategy<Value = String> {
    prop_oneof![6 => "[s][0-2]", 1 => "[xy]".prop_map(|end| format!("s{}{end}", "_".repeat(ID_BYTES_MAX)))]
}

fn request_id() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[r][0-5]", 1 => "[xy]".prop_map(|end| format!("{}{end}", "é".repeat(ID_BYTES_MAX)))]
}

/// Status, `isError` and the outcome that is told.
fn ending() -> impl Strategy<Value = (usize, Option<bool>, Option<&'static str>)> {
    let told = proptest::option::of(proptest::sample::select(Outcome::ALL).prop_map(Outcome::as_str));
    (0..3_usize, any::<Option<bool>>(), told)
}

/// What such a request counts as, by a plain reading of the table in `docs/counting.md`.
fn counted_as(status: usize, tool_error: Option<bool>, told: Option<&'static str>) -> &'static str {
    let of_status: [&[&str]; 3] =
        [&["ok", "ended", "input_required"], &["error", "cancelled", "probe", "redirected", "lost"], &["timeout"]];
    match (status, tool_error, told) {
        (0, Some(true), _) | (0, _, Some("tool_error")) => "tool_error",
        (_, _, Some(told)) if of_status[status].contains(&told) => told,
        _ => of_status[status][0],
    }
}

fn client_name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "claude|other", 1 => Just("o".repeat(NAME_BYTES_MAX + 1))]
}

fn event() -> impl Strategy<Value = Owned> {
    let tools = proptest::collection::btree_map(proptest::char::range('a', 'b'), 0..2_u8, 0..3);
    let method = prop_oneof![3 => Just("tools/list"), 1 => Just("initialize")];
    let caller = prop_oneof![Just(""), Just("alice"), Just("bob"), Just("carol")];
    prop_oneof![
        4 => (request_id(), 0..6_i64, "[pq]", proptest::option::of(session_id()), ending()).prop_map(
            |(id, ts, proxy, session, (status, tool_error, told))| {
                Owned::Request { id, ts, proxy, session, status, tool_error, told }
            }),
        2 => (session_id(), 0..6_i64, "[pq]", proptest::option::of(client_name()), proptest::option::of(-1..4_i64))
            .prop_map(|(id, started_at, proxy, client, noise)| Owned::Session { id, started_at, proxy, client, noise }),
        1 => (session_id(), 0..6_i64).prop_map(|(id, ended_at)| Owned::Closed { id, ended_at }),
        4 => (0..6_i64, method, tools, caller, proptest::bool::weighted(0.7)).prop_map(
            |(ts, method, tools, caller, has_payload)| {
                Owned::Schema { ts, method, tools: tools.into_iter().collect(), caller, has_payload }
            }),
    ]
}

/// What a batch does before it ends: commit, or die and be folded again from the checkpoint.
#[derive(Clone, Copy, Debug)]
struct Step {
    events: usize,
    dies: bool,
    restarts: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (1..7_usize, any::<bool>(), any::<bool>());
    proptest::collection::vec(step.prop_map(|(events, dies, restarts)| Step { events, dies, restarts }), 1..8)
}

struct Fixture {
    dir: tempfile::TempDir,
    index: Option<Index>,
}

impl Fixture {
    fn new() -> Self {
        let mut fixture = Self { dir: tempfile::tempdir().unwrap(), index: None };
        fixture.reopen();
        fixture
    }

    fn reopen(&mut self) {
        self.index = None;
        let mut config = Config::new(self.dir.path());
        // The model has no clock: to it, nobody is silent for long.
        config.session_idle_ms = Some(0);
        let index = Index::open(&config, STORE).unwrap();
        // The tests cut no power; not waiting for the disk makes room for more cases.
        index.connection.pragma_update(None, "synchronous", "OFF").unwrap();
        self.index = Some(index);
    }

    fn index(&mut self) -> &mut Index {
        self.index.as_mut().unwrap()
    }

    /// From now on a commit copies SQLite's WAL if that has so many pages.
    fn copy_from(&mut self, pages: u32) {
        self.index().copier.shared.pages_max.store(pages, Ordering::Relaxed);
    }

    /// Folds events as the compactor does: from the checkpoint on, a batch at a time.
    fn fold(&mut self, events: &[Owned], steps: &[Step]) {
        let mut steps = steps.iter().copied();
        loop {
            let folded = self.index().checkpoint_of(WRITER).unwrap().map_or(0, |checkpoint| checkpoint.sequence.0);
            let done = usize::try_from(folded).unwrap();
            if done == events.len() {
                return;
            }
            let step = steps.next().unwrap_or(Step { events: events.len(), dies: false, restarts: false });
            let upto = events.len().min(done + step.events);
            let mut batch = self.index().begin().unwrap();
            let mut payloads = vec![Vec::new(); upto - done];
            for (event, payload) in events[done..upto].iter().zip(&mut payloads) {
                event.with(|event| Record::from(event).encode(payload));
            }
            let sequences = (done as u64 + 1..).map(Sequence);
            let mutations = sequences.zip(payloads.iter().map(|payload| fold(Record::decode(payload).unwrap())));
            batch.apply(WRITER, mutations.collect()).unwrap();
            if step.dies {
                drop(batch);
            } else {
                commit(batch, upto as u64);
            }
            if step.restarts {
                self.reopen();
            }
        }
    }

    fn rows(&mut self, sql: &str) -> Vec<Vec<Value>> {
        let connection = &self.index().connection;
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| (0..columns).map(|index| row.get(index)).collect()).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// What is derived from rows, without the ids of sessions and names, which tell the order of arrival.
    fn derived(&mut self) -> Vec<Vec<Vec<Value>>> {
        let mut digests: Vec<Vec<Value>> = Vec::new();
        for page in self.rows("SELECT page, digest FROM session_digest") {
            let [Value::Integer(page), Value::Blob(bytes)] = &page[..] else { panic!("{page:?}") };
            for (index, digest) in crate::fold::session_digest::entries(bytes) {
                let session = crate::fold::session_digest::session_at(*page, index);
                let names = self.rows(&format!(
                    "SELECT session_id, c.client_name, c.client_platform, p.proxy FROM session_state s
                     JOIN clients c ON c.id = {} JOIN proxies p ON p.id = {} WHERE s.id = {session}",
                    digest.client, digest.proxy
                ));
                let digest = crate::fold::session_digest::SessionDigest { client: 1, proxy: 1, ..digest };
                digests.push([names.concat(), vec![Value::Text(format!("{digest:?}"))]].concat());
            }
        }
        digests.sort_by_key(|row| format!("{row:?}"));
        let rollups = self.rows("SELECT level, start, page, calls, cells FROM rollups ORDER BY 1, 2, 3");
        vec![digests, rollups]
    }

    /// What `rollups` must hold by its definition: for each call and for all together, each cell of time that has any
    /// request; seconds only where the minute has many.
    fn plain_rollups(&mut self) -> Vec<Vec<Value>> {
        let mut cells: BTreeMap<(i64, i64, CellScope), Vec<Sample>> = BTreeMap::new();
        let rows = self.rows("SELECT call, id, ts, latency_us, outcome FROM request_rows");
        for row in rows {
            let numbers: Vec<i64> = row.iter().map(number).collect();
            let [call, id, ts, latency_us, outcome] = numbers[..] else { panic!("{numbers:?}") };
            let outcome = Outcome::from_number(outcome);
            let sample = Sample { id, ts, latency_us, outcome, bytes_in: None, bytes_out: None };
            let scopes = [CellScope::Call(call), CellScope::All];
            for (level, scope) in Level::ALL.into_iter().flat_map(|level| scopes.map(|scope| (level, scope))) {
                cells.entry((level.number(), level.start_of(ts), scope)).or_default().push(sample);
            }
        }
        let calls_of_minute = |start| cells[&(1, Level::Minute.start_of(start), CellScope::All)].len() as i64;
        let mut pages: BTreeMap<_, (i64, BTreeMap<CellScope, Vec<u8>>)> = BTreeMap::new();
        for ((level, start, scope), samples) in &cells {
            if *level > 0 || calls_of_minute(*start) >= DENSE_CALLS {
                let mut bytes = Vec::new();
                Cell::of(samples).encode(*start, &mut bytes);
                let (calls, cells) = pages.entry((*level, *start, rollup_page::page_of(*scope))).or_default();
                *calls += if *scope == CellScope::All { 0 } else { samples.len() as i64 };
                cells.insert(*scope, bytes);
            }
        }
        let page = |((level, start, page), (calls, cells)): ((i64, i64, i64), (i64, _))| {
            let bytes = rollup_page::replace_cells(page, &[], &cells).unwrap();
            vec![level.into(), start.into(), page.into(), calls.into(), Value::Blob(bytes)]
        };
        pages.into_iter().map(page).collect()
    }

    /// Every table, without the ids, which tell the order of arrival.
    fn tables(&mut self) -> Vec<Vec<Vec<Value>>> {
        let tables = [
            "SELECT request_id, ts, proxy, session_id, status, tool_error, outcome FROM requests ORDER BY request_id",
            "SELECT session_id, proxy, started_at, last_seen_at, ended_at, client_name, client_platform, total_calls,
                    total_errors, total_tool_errors, noise_lines FROM sessions ORDER BY session_id",
            "SELECT method, captured_at, schema_hash FROM server_schema ORDER BY method",
            "SELECT method, detected_at, caller, new_hash, old_hash, change_type, item_name FROM schema_changes",
        ];
        let mut tables = tables.map(|sql| self.rows(sql));
        tables[3].sort_by_key(|row| format!("{row:?}"));
        tables.into()
    }
}

fn number(value: &Value) -> i64 {
    let Value::Integer(number) = value else { panic!("{value:?}") };
    *number
}

fn encoded(event: &Owned) -> Vec<u8> {
    let mut payload = Vec::new();
    event.with(|event| Record::from(event).encode(&mut payload));
    payload
}

/// Commits a batch with which the writer's log is folded up to that number.
fn commit(mut batch: Batch<'_>, up_to: u64) {
    let from = batch.checkpoint(WRITER).unwrap();
    batch.reached(WRITER, from, Checkpoint { sequence: Sequence(up_to), ..from }).unwrap();
    batch.commit().unwrap();
}

/// What a caller was offered when.
#[derive(Clone, Debug, PartialEq)]
struct Sighted {
    ts: i64,
    caller: &'static str,
    tools: Vec<(char, u8)>,
    hash: String,
}

/// The sightings of a method, by time and then by arrival, each once.
fn sightings(events: &[Owned], of: &str) -> Vec<Sighted> {
    let mut seen: Vec<Sighted> = Vec::new();
    for event in events {
        if let Owned::Schema { ts, method, tools, caller, .. } = event
            && *method == of
        {
            let sighted = Sighted { ts: *ts, caller, tools: tools.clone(), hash: payload(tools) };
            if !seen.contains(&sighted) {
                seen.push(sighted);
            }
        }
    }
    seen.sort_by_key(|sighting| sighting.ts);
    seen
}

/// What a sighting is compared with, behind those before it: `Some(None)` for the first of all, `None` for nothing.
fn schema_compared_with<'a>(before: &'a [Sighted], sighting: &Sighted, kept_since: i64) -> Option<Option<&'a Sighted>> {
    let Some(last) = before.last() else { return Some(None) };
    let of_caller = before.iter().rfind(|other| other.caller == sighting.caller);
    let is_known = before.iter().any(|other| other.hash == sighting.hash);
    match of_caller {
        _ if sighting.ts < kept_since => None,
        None if is_known => None,
        Some(old) => Some(Some(old)),
        None => Some(Some(last)),
    }
}

fn schema_changes(
    events: &[Owned],
    method: &str,
    old: Option<Option<&Sighted>>,
    new: &Sighted,
) -> BTreeSet<(&'static str, Option<String>)> {
    let old = match old {
        None => return BTreeSet::new(),
        Some(None) => return BTreeSet::from([("initial", None)]),
        Some(Some(old)) if old.hash == new.hash => return BTreeSet::new(),
        Some(Some(old)) => old,
    };
    let is_on_record = |sighting: &Sighted| {
        events.iter().any(|event| match event {
            Owned::Schema { method: of, tools, has_payload, .. } => {
                *of == method && *has_payload && payload(tools) == sighting.hash
            }
            _ => false,
        })
    };
    if method == "initialize" || !is_on_record(old) || !is_on_record(new) {
        return BTreeSet::from([("updated", None)]);
    }
    let x = |tools: &[(char, u8)], name: char| tools.iter().find(|tool| tool.0 == name).map(|tool| tool.1);
    let names = new.tools.iter().chain(&old.tools).map(|tool| tool.0);
    let change = |name: char| match (x(&old.tools, name), x(&new.tools, name)) {
        (None, Some(_)) => Some(("tool_added", Some(name.to_string()))),
        (Some(_), None) => Some(("tool_removed", Some(name.to_string()))),
        (before, after) => (before != after).then(|| ("tool_modified", Some(name.to_string()))),
    };
    names.filter_map(change).collect()
}

/// The tables by a plain reading of the rules, from the events in the order of their arrival, which only matters to schemas.
fn model(events: &[Owned]) -> Vec<Vec<Vec<Value>>> {
    model_since(events, i64::MIN)
}

/// The same, where rows are kept since that time.
fn model_since(events: &[Owned], kept_since: i64) -> Vec<Vec<Vec<Value>>> {
    let mut requests: BTreeMap<&str, &Owned> = BTreeMap::new();
    for event in events {
        if let Owned::Request { id, .. } = event {
            let held = requests.entry(id).or_insert(event);
            // The earliest, then the better status, then whatever comes first in the order of the row's fields.
            let key = |event: &Owned| match event {
                Owned::Request { ts, status, proxy, session, tool_error, told, .. } => {
                    let session = session.as_deref().map(|id| cut::name(id, ID_BYTES_MAX).into_owned());
                    let outcome = counted_as(*status, *tool_error, *told);
                    (*ts, *status, session, outcome, *tool_error, proxy.clone())
                }
                _ => unreachable!(),
            };
            if key(event) < key(held) {
                *held = event;
            }
        }
    }
    let text = |text: &str| Value::Text(text.to_owned());
    // Ids and names have the same limit.
    let name = |text: &str| Value::Text(cut::name(text, NAME_BYTES_MAX).into_owned());
    let option = |value: Option<Value>| value.unwrap_or(Value::Null);
    let mut tables = vec![Vec::new(); 4];
    let mut ids = BTreeSet::new();
    for request in requests.values() {
        let Owned::Request { id, ts, proxy, session, status, tool_error, told } = request else { unreachable!() };
        ids.extend(session.clone());
        tables[0].push(vec![
            name(id),
            Value::Integer(*ts),
            text(proxy),
            option(session.as_deref().map(name)),
            text(STATUSES[*status].as_str()),
            option(tool_error.map(|flag| Value::Integer(i64::from(flag)))),
            text(counted_as(*status, *tool_error, *told)),
        ]);
    }
    for event in events {
        if let Owned::Session { id, .. } | Owned::Closed { id, .. } = event {
            ids.insert(id.clone());
        }
    }
    for session_id in &ids {
        let announced = events
            .iter()
            .filter_map(|event| match event {
                Owned::Session { id, started_at, proxy, client, .. } if id == session_id => {
                    Some((*started_at, client.is_none(), proxy, client))
                }
                _ => None,
            })
            .min()
            .map(|(started_at, _, proxy, client)| (started_at, proxy, client));
        let noise = events.iter().filter_map(|event| match event {
            Owned::Session { id, noise, .. } if id == session_id => *noise,
            _ => None,
        });
        let closes: BTreeSet<i64> = events
            .iter()
            .filter_map(|event| match event {
                Owned::Closed { id, ended_at } if id == session_id => Some(*ended_at),
                _ => None,
            })
            .collect();
        let of_session: Vec<_> = requests
            .values()
            .filter_map(|event| match event {
                Owned::Request { ts, proxy, session, status, tool_error, told, .. }
                    if session.as_ref() == Some(session_id) =>
                {
                    Some((*ts, proxy, counted_as(*status, *tool_error, *told)))
                }
                _ => None,
            })
            .collect();
        let (first, last) =
            (of_session.iter().map(|request| request.0).min(), of_session.iter().map(|request| request.0).max());
        let known = first.into_iter().chain(closes.first().copied());
        let started = announced.map(|announced| announced.0).or_else(|| known.min()).unwrap();
        // Whoever speaks later reopens; of several closes the first and the last are known.
        let close =
            closes.first().into_iter().chain(closes.last()).find(|close| last.is_none_or(|last| last <= **close));
        let proxy = announced.map(|announced| announced.1).or_else(|| of_session.iter().map(|request| request.1).min());
        let client = announced.and_then(|announced| announced.2.as_deref());
        type Seen<'a> = (i64, &'a String, &'static str);
        let count = |test: &dyn Fn(&Seen<'_>) -> bool| {
            Value::Integer(of_session.iter().filter(|request| test(request)).count() as i64)
        };
        tables[1].push(vec![
            name(session_id),
            text(proxy.map_or("", |proxy| proxy)),
            Value::Integer(started),
            Value::Integer(last.unwrap_or(started)),
            option(close.copied().map(Value::Integer)),
            option(client.map(name)),
            option(client.map(|client| text(if client == "claude" { "claude" } else { "unknown" }))),
            count(&|_| true),
            count(&|request| ["error", "timeout"].contains(&request.2)),
            count(&|request| request.2 == "tool_error"),
            option(noise.max().map(Value::Integer)),
        ]);
    }
    for method in ["initialize", "tools/list"] {
        let seen = sightings(events, method);
        if let Some(last) = seen.last() {
            let other = seen.iter().rposition(|sighting| sighting.hash != last.hash);
            let first = &seen[other.map_or(0, |other| other + 1)];
            tables[2].push(vec![text(method), Value::Integer(first.ts), text(&first.hash)]);
        }
        for (place, sighting) in seen.iter().enumerate() {
            let old = schema_compared_with(&seen[..place], sighting, kept_since);
            for (change_type, item) in schema_changes(events, method, old, sighting) {
                tables[3].push(vec![
                    text(method),
                    Value::Integer(sighting.ts),
                    text(sighting.caller),
                    text(&sighting.hash),
                    option(old.and_then(|old| old).map(|old| text(&old.hash))),
                    text(change_type),
                    option(item.as_deref().map(text)),
                ]);
            }
        }
    }
    // Those of one time as text, since two callers may have seen the same change.
    tables[3].sort_by_key(|row| format!("{row:?}"));
    tables
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_any_batching_and_any_crash_give_the_same_tables(
        (events, shuffled) in proptest::collection::vec(event(), 0..30)
            .prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle())),
        one in steps(), other in steps(),
    ) {
        // Only schemas know an order of arrival: it decides between what was seen in the same millisecond.
        let in_order = model(&events);
        prop_assert_eq!(&in_order[..2], &model(&shuffled)[..2]);
        for (events, steps) in [(&events, &one), (&shuffled, &other)] {
            let mut fixture = Fixture::new();
            fixture.fold(events, steps);
            for (found, expected) in fixture.tables().iter().zip(&model(events)) {
                prop_assert_eq!(found, expected);
            }
            let kept = fixture.derived();
            prop_assert_eq!(&kept[1], &fixture.plain_rollups());
            fixture.index().rebuild(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
            prop_assert_eq!(kept, fixture.derived());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn schemas_are_a_function_of_the_records_and_their_numbers_in_whatever_order_they_are_folded(
        (records, shuffled) in proptest::collection::vec(event(), 0..30).prop_flat_map(|events| {
            let is_schema = |event: &Owned| matches!(event, Owned::Schema { .. });
            let records: Vec<_> = (1_u64..).zip(events.into_iter().filter(is_schema)).collect();
            (Just(records.clone()), Just(records).prop_shuffle())
        }),
        batch in 1..6_usize,
    ) {
        let mut fixture = Fixture::new();
        for records in shuffled.chunks(batch) {
            let payload = |event: &Owned| event.with(|event| {
                let mut payload = Vec::new();
                Record::from(event).encode(&mut payload);
                payload
            });
            let payloads: Vec<_> = records.iter().map(|(_, event)| payload(event)).collect();
            let mutations = records.iter().zip(&payloads).map(|((number, _), payload)| {
                (Sequence(*number), fold(Record::decode(payload).unwrap()))
            });
            let mut batch = fixture.index().begin().unwrap();
            batch.apply(WRITER, mutations.collect()).unwrap();
            batch.commit().unwrap();
        }
        let events: Vec<_> = records.into_iter().map(|(_, event)| event).collect();
        for (found, expected) in fixture.tables().iter().zip(&model(&events)) {
            prop_assert_eq!(found, expected);
        }
    }
}

/// Events of more calls, clients and proxies than are told apart.
fn too_many() -> impl Strategy<Value = Vec<Owned>> {
    let event = prop_oneof![
        3 => (0..60_u8, 0..6_i64, 0..20_u8, session_id(), 0..3_usize).prop_map(|(id, ts, proxy, session, status)| {
            Owned::Request {
                id: format!("r{id}"), ts, proxy: format!("p{proxy:02}"), session: Some(session), status,
                tool_error: None, told: None,
            }
        }),
        1 => (session_id(), 0..20_u8, 0..20_u8).prop_map(|(id, proxy, client)| {
            // Of two announcements of one millisecond the names decide.
            let started_at = 20 * i64::from(proxy) + i64::from(client);
            let (proxy, client) = (format!("p{proxy:02}"), Some(format!("c{client}")));
            Owned::Session { id, started_at, proxy, client, noise: None }
        }),
    ];
    proptest::collection::vec(event, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_too_many_names_the_order_decides_which_are_kept_and_nothing_else(
        (events, shuffled) in too_many().prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle())),
        one in steps(), other in steps(),
    ) {
        let expected = model(&events);
        for (events, steps) in [(&events, &one), (&shuffled, &other)] {
            let mut fixture = Fixture::new();
            fixture.fold(events, steps);
            let found = fixture.tables();
            // The columns that may say that there were too many: proxies of requests; proxies and clients of sessions.
            for (table, names) in [(0, &[2][..]), (1, &[1, 5, 6])] {
                prop_assert_eq!(found[table].len(), expected[table].len());
                for (found, expected) in found[table].iter().zip(&expected[table]) {
                    for (column, (found, expected)) in found.iter().zip(expected).enumerate() {
                        let is_other = match found {
                            Value::Text(name) => name == OTHER_NAME,
                            other => column == 6 && *other == Value::Null,
                        };
                        prop_assert!(found == expected || names.contains(&column) && is_other, "{:?}", found);
                    }
                }
            }
            // Of some sessions no client is known.
            for (table, max) in [("calls", 8 + 2 + 1), ("clients", 8 + 2 + 2)] {
                let rows = fixture.rows(&format!("SELECT count(*) <= {max} FROM {table}"));
                prop_assert_eq!(&rows[0][0], &Value::Integer(1), "{}", table);
            }
            let kept = fixture.derived();
            fixture.index().rebuild(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
            prop_assert_eq!(kept, fixture.derived());
        }
    }
}

/// Requests enough for minutes to become dense, over several of them, and calls enough for two pages. In every second
/// case some come twice and differ, so that most batches count minutes again; in the others all only add.
fn crowd() -> impl Strategy<Value = Vec<Owned>> {
    prop_oneof![Just(2000_u32), Just(u32::MAX)].prop_flat_map(|ids| {
        let request = (0..ids, 0..2_i64, 0..60_i64, ending());
        let request = request.prop_map(|(id, minute, second, (status, tool_error, told))| Owned::Request {
            id: format!("r{id}"),
            ts: 60_000 * minute + 1000 * (second / 7),
            proxy: format!("p{}", id % 40),
            session: Some(format!("s{}", id % 5)),
            status,
            tool_error,
            told,
        });
        proptest::collection::vec(request, 1000..1500)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn roll_ups_and_digests_that_batches_kept_equal_those_made_anew(
        events in crowd(), sizes in proptest::collection::vec((1..400_usize, any::<bool>()), 1..8),
    ) {
        let steps: Vec<_> =
            sizes.into_iter().map(|(events, dies)| Step { events, dies, restarts: dies }).collect();
        let mut fixture = Fixture::new();
        fixture.fold(&events, &steps);
        let kept = fixture.derived();
        let dense = fixture.rows("SELECT count(*) FROM rollups WHERE level = 0");
        prop_assert!(dense[0] != [Value::Integer(0)], "no minute is dense");
        prop_assert_eq!(&kept[1], &fixture.plain_rollups());
        fixture.index().rebuild(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
        prop_assert_eq!(kept, fixture.derived());
    }
}

#[test]
fn roll_ups_and_digests_that_were_wrecked_are_made_anew() {
    let mut fixture = Fixture::new();
    let request = |number: i64| Owned::Request {
        id: format!("r{number}"),
        ts: number * 90,
        proxy: "p".into(),
        session: Some(format!("s{}", number % 7)),
        status: (number % 3) as usize,
        tool_error: None,
        told: None,
    };
    fixture.fold(&(0..2000).map(request).collect::<Vec<_>>(), &[]);
    let (tables, derived) = (fixture.tables(), fixture.derived());
    for wreck in [
        "DELETE FROM rollups WHERE level = 1",
        "UPDATE rollups SET cells = x'00'",
        "DELETE FROM session_digest",
        "UPDATE session_state SET total_calls = 0, last_seen_at = 5",
    ] {
        fixture.index().connection.execute_batch(wreck).unwrap();
    }
    assert_ne!(fixture.tables(), tables);
    let report = fixture.index().rebuild(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    assert_eq!(report, RebuildReport { requests: 2000, sessions: 7, calls: 1 });
    assert_eq!((fixture.tables(), fixture.derived()), (tables, derived));
}

#[test]
fn events_that_are_folded_twice_change_nothing() {
    let events = [
        Owned::Request {
            id: "r".into(),
            ts: 1,
            proxy: "p".into(),
            session: Some("s".into()),
            status: 1,
            tool_error: None,
            told: None,
        },
        Owned::Schema { ts: 1, method: "tools/list", tools: vec![('a', 1)], caller: "", has_payload: true },
    ];
    let mut fixture = Fixture::new();
    fixture.fold(&events, &[]);
    let once = fixture.tables();
    let twice: Vec<_> = events.iter().chain(&events).cloned().collect();
    fixture.fold(&twice, &[]);
    assert_eq!(fixture.tables(), once);
}

#[test]
fn an_idle_session_counts_as_ended_only_where_the_store_was_told_so() {
    let mut fixture = Fixture::new();
    let now = now_ms();
    let session = |id: &str, started_at| Owned::Session {
        id: id.into(),
        started_at,
        proxy: "p".into(),
        client: None,
        noise: None,
    };
    fixture.fold(&[session("old", now - 60_000), session("new", now)], &[]);
    let ended = "SELECT session_id, ended_at FROM sessions ORDER BY session_id";
    let row = |id: &str, ended: Value| vec![Value::Text(id.into()), ended];
    assert_eq!(fixture.rows(ended), [row("new", Value::Null), row("old", Value::Null)]);
    let mut told = Config::new(fixture.dir.path());
    told.session_idle_ms = Some(30_000);
    super::remembered_limits::remember(&fixture.index().connection, &told).unwrap();
    assert_eq!(fixture.rows(ended), [row("new", Value::Null), row("old", Value::Integer(now - 60_000))]);
    told.session_idle_ms = None;
    super::remembered_limits::remember(&fixture.index().connection, &told).unwrap();
    assert_eq!(fixture.rows(ended)[1], row("old", Value::Integer(now - 60_000)), "absent must change nothing");
}

#[test]
fn a_database_of_a_newer_version_is_refused_untouched() {
    let mut fixture = Fixture::new();
    fixture.index().connection.pragma_update(None, "user_version", DATABASE_VERSION + 1).unwrap();
    fixture.index = None;
    let error = Index::open(&Config::new(fixture.dir.path()), STORE).unwrap_err();
    let is_newer = matches!(error, OpenError::Index(IndexError::UnsupportedVersion { found, supported, .. })
        if (found, supported) == (DATABASE_VERSION + 1, DATABASE_VERSION));
    assert!(is_newer, "{error}");
}

#[test]
fn making_commits_durable_writes_to_sqlites_wal() {
    let mut fixture = Fixture::new();
    let wal = fixture.dir.path().join("store.db-wal");
    let before = std::fs::metadata(&wal).unwrap().len();
    fixture.index().make_durable().unwrap();
    // A commit that writes nothing syncs nothing either.
    assert!(std::fs::metadata(&wal).unwrap().len() > before);
}

#[test]
fn a_commit_that_fails_while_others_are_made_durable_leaves_no_transaction_open() {
    let mut fixture = Fixture::new();
    let refuse = |context: AuthContext<'_>| match context.action {
        AuthAction::Pragma { pragma_name: "user_version", .. } => Authorization::Deny,
        _ => Authorization::Allow,
    };
    fixture.index().connection.authorizer(Some(refuse)).unwrap();
    fixture.index().make_durable().unwrap_err();
    fixture.index().connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>).unwrap();
    fixture.index().make_durable().unwrap();
    fixture.fold(&[Owned::Closed { id: "s0".into(), ended_at: 1 }], &[]);
}

#[test]
fn opening_a_store_leaves_the_locks_of_other_connections_in_this_process_alone() {
    let mut fixture = Fixture::new();
    fixture.index = None;
    let path = fixture.dir.path().join(DATABASE_NAME);
    let reader = Connection::open(&path).unwrap();
    let rows: i64 = reader.query_row("SELECT count(*) FROM meta", [], |row| row.get(0)).unwrap();
    assert!(rows > 0);
    fixture.reopen();
    // Another process that opens and closes the database must not take itself for the last one and delete the WAL.
    let shell = std::process::Command::new("sqlite3").arg(&path).arg("SELECT 1").output();
    if shell.is_err() {
        assert!(std::env::var_os("CI").is_none(), "sqlite3 is missing; .ci/run installs it");
        let test = "opening_a_store_leaves_the_locks_of_other_connections_in_this_process_alone";
        return mcplog_skipped::skip(
            test,
            "there is no sqlite3",
            "apt-get install sqlite3 and cargo test --lib locks_of",
        );
    }
    assert!(path.with_extension("db-wal").exists(), "the WAL of a database in use was deleted");
}

#[test]
fn a_database_that_is_a_link_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/null", dir.path().join(DATABASE_NAME)).unwrap();
    let error = Index::open(&Config::new(dir.path()), STORE).unwrap_err();
    assert!(matches!(error, OpenError::Unsafe { found: "a symbolic link", .. }), "{error}");
}

#[test]
fn another_programs_database_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(DATABASE_NAME);
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE mine (a); INSERT INTO mine VALUES (1)")
        .unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = Index::open(&Config::new(dir.path()), STORE).unwrap_err();
    assert!(matches!(error, OpenError::Index(IndexError::NotOurs { .. })), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn the_five_tables_have_their_columns() {
    let mut fixture = Fixture::new();
    for (table, columns) in [
        (
            "requests",
            "id, request_id, ts, proxy, session_id, method, tool, latency_us, status, error_code, error_msg, bytes_in, bytes_out",
        ),
        (
            "sessions",
            "session_id, proxy, started_at, last_seen_at, ended_at, client_name, client_version, client_platform, total_calls, total_errors",
        ),
        ("server_schema", "id, proxy, upstream_url, method, payload, captured_at, schema_hash"),
        ("schema_changes", "id, proxy, upstream_url, method, change_type, item_name, old_hash, new_hash, detected_at"),
        ("meta", "key, value"),
    ] {
        assert!(fixture.rows(&format!("SELECT {columns} FROM {table}")).len() < 20);
    }
    assert_eq!(fixture.rows("SELECT value FROM meta WHERE key = 'schema_version'"), [[Value::Text("4".into())]]);
}

#[test]
fn after_a_copy_of_sqlites_wal_that_failed_nothing_is_durable_before_the_wal_is_empty() {
    let mut fixture = Fixture::new();
    let path = fixture.dir.path().join(DATABASE_NAME);
    let session =
        |id: &str| Owned::Session { id: id.into(), started_at: 1, proxy: "p".into(), client: None, noise: None };
    fixture.copy_from(1);
    sabotage::order(fixture.dir.path(), Spot::CopyWal, 0, 1, sabotage::fail);
    let reader = Connection::open(&path).unwrap();
    let pin = |reader: &Connection| {
        reader.execute_batch("BEGIN").unwrap();
        reader.query_row("SELECT count(*) FROM meta", [], |row| row.get::<_, i64>(0)).unwrap();
    };
    pin(&reader);
    fixture.fold(&[session("s0")], &[]);
    let error = fixture.index().make_durable().unwrap_err();
    assert!(error.to_string().contains("a reader keeps"), "{error}");
    reader.execute_batch("COMMIT").unwrap();
    fixture.index().make_durable().unwrap();
    // It is over: a reader is no obstacle any more.
    pin(&reader);
    fixture.fold(&[session("s0"), session("s1")], &[]);
    fixture.index().make_durable().unwrap();
}

#[test]
fn whether_a_database_shrinks_is_told_from_its_file_also_while_all_else_is_in_the_log() {
    for shrinks_as_created in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join(DATABASE_NAME);
        assert!(!shrinks(&database), "there is none");
        let _index = Index::open_as(&Config::new(dir.path()), Some(STORE), shrinks_as_created).unwrap();
        let copy = dir.path().join("copy");
        std::fs::copy(&database, &copy).unwrap();
        assert_eq!(shrinks(&copy), shrinks_as_created);
    }
    let dir = tempfile::tempdir().unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("fifo"), rustix::fs::Mode::RUSR).unwrap();
    assert!(!shrinks(&dir.path().join("fifo")), "and does not wait for somebody to write");
}

#[test]
fn what_a_dead_process_left_in_sqlites_wal_is_in_the_database_before_it_counts_as_durable() {
    let mut fixture = Fixture::new();
    fixture
        .fold(&[Owned::Session { id: "s0".into(), started_at: 1, proxy: "p".into(), client: None, noise: None }], &[]);
    let copy = |from: &Path, names: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        names.iter().for_each(|name| assert!(std::fs::copy(from.join(name), dir.path().join(name)).unwrap() > 0));
        dir
    };
    let sessions = |dir: &Path| {
        let database = Connection::open(dir.join(DATABASE_NAME)).unwrap();
        database.query_row("SELECT count(*) FROM sessions", [], |row| row.get::<_, i64>(0))
    };
    let left = copy(fixture.dir.path(), &["store.db", "store.db-wal"]);
    let mut index = Index::open(&Config::new(left.path()), STORE).unwrap();
    // A sync of the WAL that failed there leaves no trace here, and another one succeeds with nothing to do.
    index.make_durable().unwrap();
    assert_eq!(sessions(copy(left.path(), &["store.db"]).path()), Ok(1), "without the WAL");
}

#[test]
fn an_io_failure_while_what_is_expired_is_removed_leaves_sqlites_wal_in_doubt() {
    let mut fixture = Fixture::new();
    let session = Owned::Session { id: "s0".into(), started_at: 1, proxy: "p".into(), client: None, noise: None };
    fixture.fold(&[session], &[]);
    fixture.index().begin_expiring(0).unwrap();
    // What was committed can't be read back.
    let wal = std::fs::OpenOptions::new().write(true).open(fixture.dir.path().join("store.db-wal")).unwrap();
    wal.set_len(32).unwrap();
    let index = fixture.index();
    index.finish_expiring().unwrap_err();
    assert!(index.wal_in_doubt.load(Ordering::Relaxed));
}

#[test]
fn every_detail_reaches_its_column_and_the_row_that_is_read() {
    let mut fixture = Fixture::new();
    let mut batch = fixture.index().begin().unwrap();
    let mut payloads = Vec::new();
    let each: Vec<_> = with_one_detail_each().collect();
    for (name, request) in &each {
        let mut payload = Vec::new();
        let request: Request<'_> = Request { request_id: *name, ..*request };
        Record::from(Event::from(request)).encode(&mut payload);
        payloads.push(payload);
    }
    let mutations = (1..).map(Sequence).zip(payloads.iter().map(|payload| fold(Record::decode(payload).unwrap())));
    batch.apply(WRITER, mutations.collect()).unwrap();
    commit(batch, each.len() as u64);
    let query = Query::open(fixture.dir.path()).unwrap();
    let rows = query.requests(&RequestFilter::default()).unwrap();
    assert_eq!(rows.len(), each.len());
    let without = serde_json::to_value(&rows[0]).unwrap();
    for (row, (name, request)) in rows.iter().zip(&each) {
        let row = serde_json::to_value(row).unwrap();
        let mut details = Vec::new();
        request.put_details(&mut details);
        details.retain(|(_, value)| value.is_some() && *value != Some(DetailValue::Notes(Notes::NONE)));
        let [(_, Some(value))] = &details[..] else { panic!("{details:?}") };
        let expected: serde_json::Value = match value {
            DetailValue::Id(text) | DetailValue::Text(text) => (*text).into(),
            DetailValue::Number(number) => (*number).into(),
            DetailValue::Flag(flag) => (*flag).into(),
            DetailValue::Code(code) => (*code).into(),
            DetailValue::Bytes(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
            DetailValue::Notes(notes) => notes.names().collect::<Vec<_>>().into(),
        };
        let expected = if *name == "outcome" { request.counts_as().as_str().into() } else { expected };
        assert_eq!(row[name], expected, "{name}");
        // And no other column has it; but every row has an outcome, and says who asked.
        let has_always = |name: &&&str| ["outcome", "direction"].contains(*name);
        for other in Request::<'_, &str>::DETAILS.iter().filter(|other| *other != name && !has_always(other)) {
            assert!(row[other].is_null() || row[other] == serde_json::json!([]), "{other} of {name}");
        }
    }
    let told = rows.iter().zip(&each).map(|(row, (_, request))| (&*row.direction, request.direction));
    for (row, told) in told {
        assert_eq!(row, told.unwrap_or(Direction::Client).as_str());
    }
    let members: BTreeSet<&str> = without.as_object().unwrap().keys().map(String::as_str).collect();
    assert!(Request::<'_, &str>::DETAILS.iter().all(|name| members.contains(name)), "{members:?}");
}

#[test]
fn of_two_requests_with_one_id_that_differ_in_one_detail_the_same_one_stays_whichever_came_first() {
    for (name, request) in with_one_detail_each() {
        let without = Request::new("id", 1, "proxy", "ping");
        let kept = [[request, without], [without, request]].map(|requests| {
            let mut fixture = Fixture::new();
            let mut batch = fixture.index().begin().unwrap();
            let payloads = requests.map(|request| {
                let mut payload = Vec::new();
                Record::from(Event::from(request)).encode(&mut payload);
                payload
            });
            for (payload, sequence) in payloads.iter().zip(1..) {
                batch.apply(WRITER, vec![(Sequence(sequence), fold(Record::decode(payload).unwrap()))]).unwrap();
            }
            commit(batch, 2);
            fixture.rows(&format!("SELECT {name} FROM request_rows"))
        });
        assert_eq!(kept[0], kept[1], "{name}");
        let absent = if name == "outcome" { Value::from(i64::from(Outcome::Ok.number())) } else { Value::Null };
        assert_eq!(kept[0], [[absent]], "{name}: absent comes before present");
    }
}
