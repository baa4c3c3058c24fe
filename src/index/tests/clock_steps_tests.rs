//! Whether the clock was set back between two runs, by what the tables say.

use super::*;
use crate::ground::config::Config;
use crate::ground::position::StoreId;

const NOW: i64 = 1_760_000_000_000;
const HOUR_MS: i64 = 3_600_000;
const LATER: i64 = NOW + 2 * HOUR_MS;

/// A database with a request of that time, and steps on record, from when to when.
fn database(newest_ts: Option<i64>, steps: &[(i64, i64)]) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(include_str!("../schema.sql")).unwrap();
    if let Some(ts) = newest_ts {
        connection.execute("INSERT INTO calls (id, proxy, method) VALUES (1, 'files', 'ping')", []).unwrap();
        let sql =
            "INSERT INTO request_rows (request_id, ts, call, latency_us, status, outcome) VALUES ('a', ?1, 1, 1, 0, 1)";
        connection.execute(sql, [ts]).unwrap();
    }
    for (from_ts, to_ts) in steps {
        let sql = "INSERT INTO clock_steps (from_ts, to_ts, step_ms, between_runs) VALUES (?1, ?2, ?2 - ?1, 0)";
        connection.execute(sql, [from_ts, to_ts]).unwrap();
    }
    connection
}

#[test]
fn a_request_later_than_the_clock_is_a_step_back_unless_one_on_record_explains_it() {
    // What it is; when the newest request was recorded; the steps on record; whether there is another.
    type Case = (&'static str, Option<i64>, &'static [(i64, i64)], bool);
    let cases: &[Case] = &[
        ("nothing recorded", None, &[], false),
        ("all before", Some(NOW - HOUR_MS), &[], false),
        ("within a minute", Some(NOW + STEP_MS_MIN), &[], false),
        ("beyond", Some(NOW + STEP_MS_MIN + 1), &[], true),
        ("hours", Some(LATER), &[], true),
        ("told by the run before", Some(LATER), &[(LATER, NOW)], false),
        ("seen as it happened", Some(LATER), &[(LATER + HOUR_MS, NOW)], false),
        ("just before the last request", Some(LATER), &[(LATER - 1_000, NOW)], false),
        ("another step, before", Some(LATER), &[(NOW, NOW - HOUR_MS)], true),
        ("a step ahead explains nothing", Some(LATER), &[(LATER, LATER + HOUR_MS)], true),
        ("stamped by somebody", Some(i64::MAX), &[], true),
        ("stamped by somebody, told", Some(i64::MAX), &[(i64::MAX, NOW)], false),
    ];
    for (name, newest_ts, steps, is_step) in cases {
        let found = step_back(&database(*newest_ts, steps), NOW).unwrap();
        let expected = newest_ts.filter(|_| *is_step);
        assert_eq!(found.map(|step| step.from_ts), expected, "{name}");
        assert!(found.is_none_or(|step| step.between_runs && step.to_ts == NOW && step.step_ms() < 0), "{name}");
    }
}

#[test]
fn a_step_back_is_noted_once_under_an_id_that_no_record_has() {
    let dir = tempfile::tempdir().unwrap();
    let mut index = Index::open(&Config::new(dir.path()), StoreId([1; 16])).unwrap();
    let newest = |index: &Index, ts: i64| {
        let sql = "INSERT OR REPLACE INTO request_rows (id, request_id, ts, call, latency_us, status, outcome)
                   VALUES (7, 'a', ?1, 1, 1, 0, 1)";
        index.connection.execute(sql, [ts]).unwrap();
    };
    assert!(index.note_step_back(NOW).unwrap().is_none(), "nothing is recorded");
    newest(&index, LATER);
    assert!(index.note_step_back(NOW).unwrap().is_some());
    assert!(index.note_step_back(NOW).unwrap().is_none(), "that one is on record");
    newest(&index, LATER + HOUR_MS);
    assert!(index.note_step_back(NOW).unwrap().is_some());
    let mut ids = index.connection.prepare("SELECT id FROM clock_steps ORDER BY id DESC").unwrap();
    let ids: Vec<i64> = ids.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(ids, [-1, -2]);
}
