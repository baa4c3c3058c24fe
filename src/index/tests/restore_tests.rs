//! What an old database says is in a new one, table by table; and no table is forgotten.

use super::STORE;
use crate::ground::config::Config;
use crate::ground::position::WriterId;
use crate::index::database::Index;
use crate::index::logged::{Logged, LoggedRecords};
use crate::index::old_runs::OldRuns;
use crate::index::restore::Old;
use crate::segment::number_set::NumberSet;
use rusqlite::Connection;
use rusqlite::types::Value;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Tables that are brought, and what of their rows is the same in both. `RECORD` says which record a row is, and `WRITER`
/// whose; numbers that nothing outside refers to may differ.
const BROUGHT: [(&str, &str); 10] = [
    (
        "request_rows",
        "SELECT request_id, ts, proxy, session_id, method, tool, latency_us, status, outcome, error_code, bytes_in, notes,
                RECORD FROM requests AS t ORDER BY request_id",
    ),
    (
        "session_state",
        "SELECT session_id, proxy, started_at, last_seen_at, closed_at, client_name, client_version, client_platform,
                protocol_version, derived, total_calls, total_errors, total_tool_errors, announced_at, first_closed_at,
                last_closed_at, noise_lines
         FROM session_state ORDER BY session_id",
    ),
    ("schema_versions", "SELECT proxy, upstream_url, method, content_hash, payload FROM schema_versions ORDER BY 4"),
    (
        "schema_sightings",
        "SELECT proxy, upstream_url, method, caller, ts, content_hash, arrival, RECORD FROM schema_sightings AS t ORDER BY ts",
    ),
    ("gaps", "SELECT from_ts, to_ts, events, missing, WRITER, sequence, RECORD FROM gaps AS t"),
    ("clock_steps", "SELECT from_ts, to_ts, step_ms, between_runs, RECORD FROM clock_steps AS t"),
    (
        "newer_records",
        "SELECT WRITER, sequence, segment, offset, kind, version, noted_at, payload, RECORD FROM newer_records AS t",
    ),
    (
        "quarantine",
        "SELECT WRITER, segment, offset, bytes, sequence, reason, noted_at, payload, unknown_records FROM quarantine AS t ORDER BY offset",
    ),
    ("age_clock", "SELECT * FROM age_clock"),
    (
        "writers",
        "SELECT writer, process_id, host, program, program_version, started_at, last_seen_at, ended_at, ended
         FROM writers ORDER BY writer",
    ),
];
const WRITER: &str = "(SELECT w.writer FROM writers AS w WHERE w.id = t.writer)";
const RECORD: &str = "(SELECT w.writer || ' ' || (f.first_sequence + t.id - f.first_id)
                       FROM fold_runs AS f JOIN writers AS w ON w.id = f.writer
                       WHERE f.first_id <= t.id AND t.id < f.first_id + f.count)";

/// Tables that follow from those, or that have rules of their own: `expired_requests` has what a session's requests add up to
/// beyond those that are there; `retention`, `checkpoint` and `meta` are what who makes the new database says; `fold_runs` has
/// the records of the rows that are there.
const FOLLOWING: [&str; 11] = [
    "calls",
    "checkpoint",
    "clients",
    "expired_requests",
    "fold_runs",
    "meta",
    "proxies",
    "retention",
    "rollups",
    "schema_changes",
    "session_digest",
];

/// Some rows in each table: a session of which one request expired, one that only a close names, one that nothing but its
/// requests names; of two writers, who took turns.
const ROWS: &str = "
    INSERT INTO writers VALUES (4, '01010101-0101-0101-0101-010101010101', 77, 'host', 'proxy', '1', 50, 200, 250, 'closed'),
                               (6, '02020202-0202-0202-0202-020202020202', 78, NULL, NULL, NULL, NULL, 150, NULL, NULL);
    INSERT INTO fold_runs VALUES (1, 4, 1, 12), (13, 6, 1, 2), (15, 4, 13, 4), (20, 6, 3, 2);
    INSERT INTO calls VALUES (5, 'files', 'tools/call', 'search', NULL, 1), (6, 'files', 'ping', NULL, NULL, 2);
    INSERT INTO session_state VALUES
        (3, 'one', 'files', 90, 200, NULL, 'claude', '1', 'claude', '2025-06-18', 0, 3, 2, 0, 90, 95, 200, 'files', NULL, NULL, 7),
        (4, 'two', '', 300, 300, 300, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, NULL, NULL, NULL, 300, 310, NULL),
        (9, 'three', 'files', 150, 150, NULL, NULL, NULL, NULL, NULL, 0, 1, 0, 0, NULL, 150, 150, 'files', NULL, NULL, NULL);
    INSERT INTO expired_requests VALUES (3, 95, 95, 'files', 1, 1, 0);
    INSERT INTO request_rows
        (id, request_id, ts, call, session, latency_us, status, error_code, bytes_in, notes, outcome, direction)
    VALUES (11, 'a', 100, 5, 3, 7, 0, NULL, 12, 'unread', 1, NULL), (12, 'b', 200, 6, 3, 8, 1, '-32000', NULL, NULL, 3, 2),
           (20, 'c', 150, 5, 9, 9, 0, NULL, NULL, NULL, 1, NULL), (21, 'd', 150, 6, NULL, 9, 2, NULL, NULL, NULL, 4, 2);
    INSERT INTO schema_versions VALUES (2, 'files', 'http://x', 'tools/list', 'h1', '{\"tools\":[]}'),
                                       (7, 'files', 'http://x', 'tools/list', 'h2', '{\"tools\":[{\"name\":\"t\"}]}');
    INSERT INTO schema_sightings VALUES
        (13, 'files', 'http://x', 'tools/list', 'c', 100, 'h1', x'020202020202020202020202020202020000000000000001'),
        (14, 'files', 'http://x', 'tools/list', 'c', 200, 'h2', x'020202020202020202020202020202020000000000000002');
    INSERT INTO gaps VALUES (15, 100, 120, 7, 0, 4, 13);
    INSERT INTO clock_steps VALUES (16, 100, 9000000, 8999900, 0);
    INSERT INTO newer_records VALUES (17, 4, 15, 1, 4096, 99, 1, 100, x'6301');
    INSERT INTO quarantine VALUES
        (8, 4, 1, 5000, 12, 16, 'why', 100, x'00', 0), (9, 6, 1, 6000, 12, NULL, 'why', 100, NULL, 1);
    INSERT INTO age_clock VALUES (1, 100, 100, NULL, 7, x'00', 8);
";
const ONE: WriterId = WriterId([1; 16]);
const OTHER: WriterId = WriterId([2; 16]);

fn rows(connection: &Connection, sql: &str) -> Vec<Vec<Value>> {
    let sql = sql.replace("RECORD", RECORD).replace("WRITER", WRITER);
    let mut statement = connection.prepare(&sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|at| row.get(at)).collect()).unwrap();
    rows.map(Result::unwrap).collect()
}

fn open(dir: &Path) -> Index {
    Index::open(&Config::new(dir), STORE).unwrap()
}

/// An old database with rows in every table, its file, and a directory for a new one beside it.
fn old_and_new(dir: &Path) -> (Connection, PathBuf, PathBuf) {
    let (old_dir, new_dir) = (dir.join("old"), dir.join("new"));
    [&old_dir, &new_dir].into_iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
    drop(open(&old_dir));
    let path = old_dir.join("store.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(ROWS).unwrap();
    (old, path, new_dir)
}

#[test]
fn every_row_of_every_table_is_brought_and_what_follows_from_them_adds_up() {
    let dir = tempfile::tempdir().unwrap();
    let (old, path, new_dir) = old_and_new(dir.path());
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let mut known: Vec<_> = BROUGHT.iter().map(|(table, _)| *table).chain(FOLLOWING).collect();
    known.sort_unstable();
    let named: Vec<_> = known.iter().map(|table| vec![Value::Text((*table).to_owned())]).collect();
    assert_eq!(rows(&old, tables), named, "a new table is brought by restore.rs, or follows from others");
    let mut new = open(&new_dir);
    let runs = OldRuns::read(&old, &path).unwrap();
    let told = Old { connection: &old, path: &path, runs: &runs, last_possible: 21 };
    let watch = &mut |_| ControlFlow::Continue(());
    new.restore_writers(&told, &Logged::default(), watch).unwrap();
    new.restore(&told, &Logged::default(), watch).unwrap();
    for (table, sql) in BROUGHT {
        assert!(!rows(&old, sql).is_empty(), "{table}");
        assert_eq!(rows(&new.connection, sql), rows(&old, sql), "{table}");
    }
    let kept = "SELECT first_at, last_at, calls, errors FROM expired_requests";
    assert_eq!(rows(&new.connection, kept).len(), 1);
    let changes = "SELECT change_type FROM schema_changes ORDER BY id";
    let changes: Vec<_> = rows(&new.connection, changes).concat();
    assert_eq!(changes, [Value::Text("initial".into()), Value::Text("tool_added".into())]);
    drop(new);
    let found = crate::query::Query::open(&new_dir).unwrap().integrity(false).unwrap();
    assert_eq!(found, crate::query::Integrity::default());
}

#[test]
fn a_row_is_brought_unless_the_log_has_that_of_which_it_tells() {
    let dir = tempfile::tempdir().unwrap();
    let (old, path, new_dir) = old_and_new(dir.path());
    let runs = OldRuns::read(&old, &path).unwrap();
    let brought = |logs: &[(WriterId, LoggedRecords)]| {
        let new_dir = tempfile::tempdir_in(&new_dir).unwrap();
        let mut new = open(new_dir.path());
        let told = Old { connection: &old, path: &path, runs: &runs, last_possible: 21 };
        let mut logged = Logged::default();
        logs.iter().for_each(|(writer, records)| {
            logged.logs.insert(*writer, records.clone());
        });
        logged.identify(&runs);
        let watch = &mut |_| ControlFlow::Continue(());
        new.restore_writers(&told, &logged, watch).unwrap();
        new.restore(&told, &logged, watch).unwrap();
        let count = |table: &str| rows(&new.connection, &format!("SELECT * FROM {table}")).len();
        ["request_rows", "schema_sightings", "gaps", "newer_records", "quarantine"].map(count)
    };
    let numbers = |first, last| {
        let mut numbers = NumberSet::default();
        numbers.insert_all(first, last);
        numbers
    };
    let (none, everything) = (NumberSet::default(), numbers(1, 100));
    assert_eq!(brought(&[]), [4, 2, 1, 1, 2]);
    // The same numbers of another writer are other records.
    let known = |known: &NumberSet| LoggedRecords { known: known.clone(), all: known.clone(), ..Default::default() };
    assert_eq!(brought(&[(ONE, known(&numbers(1, 11)))]), [3, 2, 1, 1, 2]);
    assert_eq!(brought(&[(OTHER, known(&numbers(1, 3)))]), [3, 0, 1, 1, 2]);
    assert_eq!(brought(&[(ONE, known(&everything)), (OTHER, known(&everything))]), [0, 0, 0, 0, 1]);
    // What this build can't fold, an older database may have folded: its rows are all that there is.
    let unknown = LoggedRecords { known: none.clone(), all: everything.clone(), ..Default::default() };
    assert_eq!(brought(&[(ONE, unknown)]), [4, 2, 1, 0, 1]);
    // Damage is found again where the segment is.
    let damaged = |writer| (writer, LoggedRecords { segments: [1].into(), ..Default::default() });
    assert_eq!(brought(&[damaged(ONE)]), [4, 2, 1, 1, 2]);
    assert_eq!(brought(&[damaged(OTHER)]), [4, 2, 1, 1, 1]);
}
