//! What must hold of folding: whatever the events, who records them, their order and their batches, the tables are what a
//! plain reading of the rules gives, also where writers come and go in between.

use crate::fold_model::{Closed, Events, Request, Schema, Session, Table, tables};
use crate::input::Input;
use mcplog::{Config, Status, Store, SyncPolicy};
use rusqlite::types::ValueRef;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const EVENTS_MAX: usize = 200;
/// Waiting for the folder and opening again cost milliseconds each.
const PAUSES_MAX: usize = 6;
/// As many have the store open at once.
const WRITERS: usize = 4;

/// The tables' columns in the model's order.
const QUERIES: [&str; 4] = [
    "SELECT request_id, ts, proxy, session_id, method, tool, latency_us, status, error_code, error_msg, bytes_in,
            bytes_out, tool_error, target, outcome FROM requests",
    "SELECT session_id, proxy, started_at, last_seen_at, ended_at, client_name, client_version, client_platform,
            total_calls, total_errors, total_tool_errors, noise_lines FROM sessions",
    "SELECT method, captured_at, payload FROM server_schema",
    "SELECT method, detected_at, new_hash, old_hash, change_type, item_name FROM schema_changes",
];

/// Records what the input says, and compares.
pub fn check(input: &[u8]) {
    let mut input = Input::new(input);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut writers: [Option<Store>; WRITERS] = [const { None }; WRITERS];
    let mut events = Events::default();
    let mut pauses = 0;
    for _ in 0..EVENTS_MAX {
        if input.is_empty() {
            break;
        }
        let choice = input.u8();
        let writer = usize::from(choice / 10) % WRITERS;
        let store = writers[writer].get_or_insert_with(|| open(dir.path()));
        let recorder = store.recorder();
        match choice % 10 {
            0..=4 => {
                let request = request(&mut input);
                recorder.record(borrowed(&request));
                events.requests.insert(request);
            }
            5 | 6 => {
                let session = session(&mut input);
                let mut event = mcplog::Session::new(&session.id, session.started_at, &session.proxy);
                event.client_name = session.client_name.as_deref();
                event.client_version = session.client_version.as_deref();
                event.noise_lines = session.noise_lines;
                recorder.record(event);
                events.sessions.insert(session);
            }
            7 => {
                let closed = Closed { ended_at: time(&mut input), id: pick(&mut input, ["s1", "s2", "s3", ""]) };
                recorder.record(mcplog::SessionClosed::new(&closed.id, closed.ended_at));
                events.closes.insert(closed);
            }
            8 => {
                let mut schema = schema(&mut input);
                let Schema { method, ts, payload, .. } = &schema;
                // Any function of the payload will do for a hash.
                recorder.record(mcplog::SchemaVersion::new(*ts, "p", "http://u", method, payload, payload));
                // The writer has its id with its first record.
                store.flush(PATIENCE).expect("in the log");
                schema.writer = store.writer().map(|writer| writer.0).unwrap_or_default();
                schema.place = events.schemas.len();
                events.schemas.push(schema);
            }
            _ if pauses < PAUSES_MAX => {
                pauses += 1;
                if input.u8().is_multiple_of(2) {
                    store.wait_folded(PATIENCE).expect("folded");
                } else if let Some(store) = writers[writer].take() {
                    shut_down(store);
                }
            }
            _ => {}
        }
    }
    writers.into_iter().flatten().for_each(shut_down);
    // What another one was about to fold when it ended.
    let last = open(dir.path());
    last.wait_expired(PATIENCE).expect("folded");
    assert_eq!(last.shutdown(PATIENCE).health, mcplog::Health::default());
    assert_eq!(read(dir.path()), tables(&events));
}

fn open(dir: &Path) -> Store {
    let mut config = Config::new(dir);
    config.segment_bytes = 64 * 1024;
    config.channel_events = 64;
    config.record_wait_ms = 60_000;
    config.sync = SyncPolicy::Never;
    // What ends by itself depends on when somebody looks.
    config.session_idle_ms = Some(0);
    Store::open(config).expect("opened")
}

fn shut_down(store: Store) {
    // What keeps it from cleaning up, another one that folds just then for one, is not this one's fault.
    let report = store.shutdown(PATIENCE);
    assert_eq!(report.dropped, 0, "{report:?}");
}

// Domains are small, so that ids and times collide all the time; among them are values that a careless program takes
// for absent, or mixes up.

fn pick<const COUNT: usize>(input: &mut Input<'_>, of: [&str; COUNT]) -> String {
    of[usize::from(input.u8()) % COUNT].to_owned()
}

fn maybe<T>(input: &mut Input<'_>, value: impl FnOnce(&mut Input<'_>) -> T) -> Option<T> {
    (input.u8() % 2 == 1).then(|| value(input))
}

/// Most are close together; some are far apart, before 1970, or the largest there are.
fn time(input: &mut Input<'_>) -> i64 {
    let number = input.u8();
    match number {
        0..=199 => i64::from(number % 8),
        200..=229 => i64::from(number) * 60_000,
        230..=239 => -i64::from(number),
        240..=247 => 1_760_000_000_000 + i64::from(number),
        248..=251 => i64::MIN + i64::from(number - 248),
        252.. => i64::MAX - i64::from(number - 252),
    }
}

fn count(input: &mut Input<'_>) -> i64 {
    [0, 1, 2, 1_000, i64::MAX, -1, i64::MIN][usize::from(input.u8()) % 7]
}

fn request(input: &mut Input<'_>) -> Request {
    let ids =
        ["r1", "r2", "r3", "r4", "0197a1c0-7b1e-7cc3-98c4-dc0c0c07398f", "0197A1C0-7B1E-7CC3-98C4-DC0C0C07398F", ""];
    let mut request = Request {
        ts: time(input),
        status: usize::from(input.u8() % 3),
        latency_us: count(input),
        id: pick(input, ids),
        proxy: pick(input, ["p", "q", ""]),
        session: maybe(input, |input| pick(input, ["s1", "s2", "s3", ""])),
        is_tool_error: false,
        method: pick(input, ["tools/call", "ping", ""]),
        tool: maybe(input, |input| pick(input, ["t", "T", ""])),
        error_code: maybe(input, |input| pick(input, ["-32602", ""])),
        error_msg: maybe(input, |input| pick(input, ["no", "\0\u{202e}", ""])),
        bytes_in: maybe(input, count),
        bytes_out: maybe(input, count),
        tool_error: maybe(input, |input| input.u8() % 2 == 1),
        target: maybe(input, |input| pick(input, ["file:///a", ""])),
    };
    request.is_tool_error = request.status == 0 && request.tool_error == Some(true);
    request
}

fn borrowed(request: &Request) -> mcplog::Request<'_> {
    let mut event = mcplog::Request::new(&request.id, request.ts, &request.proxy, &request.method);
    event.status = [Status::Ok, Status::Error, Status::Timeout][request.status];
    event.latency_us = request.latency_us;
    event.session_id = request.session.as_deref();
    event.tool = request.tool.as_deref();
    event.error_code = request.error_code.as_deref();
    event.error_msg = request.error_msg.as_deref();
    event.bytes_in = request.bytes_in;
    event.bytes_out = request.bytes_out;
    event.tool_error = request.tool_error;
    event.target = request.target.as_deref();
    event
}

fn session(input: &mut Input<'_>) -> Session {
    let (started_at, proxy) = (time(input), pick(input, ["p", "q", ""]));
    let client_name = maybe(input, |input| pick(input, ["cursor", "other", ""]));
    Session {
        started_at,
        is_unnamed: client_name.is_none(),
        proxy,
        client_name,
        client_version: maybe(input, |input| pick(input, ["1", ""])),
        noise_lines: maybe(input, |input| i64::from(input.u8())),
        id: pick(input, ["s1", "s2", "s3", ""]),
    }
}

fn schema(input: &mut Input<'_>) -> Schema {
    let method = pick(input, ["tools/list", "initialize"]);
    let ts = time(input);
    let tools: BTreeMap<char, u8> =
        (0..input.u8() % 4).map(|_| (char::from(b'a' + input.u8() % 3), input.u8() % 2)).collect();
    let items: Vec<_> = tools.iter().map(|(name, x)| format!(r#"{{"name":"{name}","x":{x}}}"#)).collect();
    let payload = format!(r#"{{"tools":[{}]}}"#, items.join(","));
    Schema { method, ts, writer: [0; 16], place: 0, payload, tools: tools.into_iter().collect() }
}

fn read(dir: &Path) -> [Table; 4] {
    let database = rusqlite::Connection::open(dir.join("store.db")).expect("open the database");
    QUERIES.map(|query| {
        let mut statement = database.prepare(query).expect("a table");
        let columns = statement.column_count();
        let cell = |value: ValueRef<'_>| match value {
            ValueRef::Null => "-".to_owned(),
            ValueRef::Integer(number) => format!("{:?}", number.to_string()),
            ValueRef::Text(text) => format!("{:?}", std::str::from_utf8(text).expect("UTF-8")),
            other => panic!("{other:?}"),
        };
        let row = |row: &rusqlite::Row<'_>| {
            let cells: Result<Vec<_>, _> = (0..columns).map(|index| row.get_ref(index).map(cell)).collect();
            Ok(cells?.join("|"))
        };
        let rows = statement.query_map([], row).expect("rows");
        let mut table: Table = rows.map(|row| row.expect("a row")).collect();
        table.sort();
        table
    })
}
