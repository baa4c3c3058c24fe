//! Whoever is handed rows one by one holds nothing of SQLite's WAL, and is told each row once.
//!
//! Test code only.

use super::database::Query;
use super::filter::{RequestFilter, SessionFilter};
use super::page_size::{HANDED_OVER_MAX, LOOKED_AT_MAX};
use super::test_store::TestStore;
use super::tuning::Tuning;
use crate::ground::error::IndexError;
use std::ops::ControlFlow;

/// How many requests there are, and sessions: several pages of each.
const ROWS: usize = LOOKED_AT_MAX * 2 + 5;

/// Hands over one row after the other: its id.
type HandOver = fn(&Query, &mut dyn FnMut(String) -> ControlFlow<()>) -> Result<(), IndexError>;

/// A way to be handed rows one by one.
struct Way {
    name: &'static str,
    hand_over: HandOver,
    /// Whether the rows are sessions.
    is_of_sessions: bool,
}

const WAYS: [Way; 5] = [
    Way {
        name: "each_request",
        hand_over: |query, each| query.each_request(&RequestFilter::default(), |row| each(row.request_id)).map(drop),
        is_of_sessions: false,
    },
    Way {
        name: "each_request, with a limit",
        hand_over: |query, each| {
            let filter = RequestFilter { limit: Some(1_000), ..RequestFilter::default() };
            query.each_request(&filter, |row| each(row.request_id)).map(drop)
        },
        is_of_sessions: false,
    },
    Way {
        name: "each_slowest",
        hand_over: |query, each| query.each_slowest(&RequestFilter::default(), u64::MAX, |row| each(row.request_id)),
        is_of_sessions: false,
    },
    Way {
        name: "each_slowest, searched for",
        hand_over: |query, each| query.each_slowest(&RequestFilter::default(), 1_000, |row| each(row.request_id)),
        is_of_sessions: false,
    },
    Way {
        name: "each_session",
        hand_over: |query, each| query.each_session(&SessionFilter::default(), |row| each(row.session_id)),
        is_of_sessions: true,
    },
];

fn store() -> TestStore {
    let store = TestStore::new();
    store.execute("INSERT INTO meta VALUES ('session_idle_ms', '0'), ('created_at', '1')");
    store.writer(crate::ground::position::WriterId([1; 16]));
    store.execute("BEGIN");
    for number in 1..=i64::try_from(ROWS).unwrap() {
        let row = store.request(&format!("r{number:03}"), number % 7, "ping");
        row.set("id", number).set("latency_us", number % 5).insert();
        store.session(&format!("s{number:03}")).set("last_seen_at", number % 3).insert();
    }
    store.fold_up_to(1, i64::try_from(ROWS).unwrap());
    store.execute("COMMIT");
    store
}

fn query(store: &TestStore) -> Query {
    let mut query = store.query();
    // Few enough that the largest limit below is searched for, and pages of keys that end in the middle of a
    // millisecond.
    query.tuning = Tuning { searched_rows: 1_000, page_rows: 33, ..Tuning::DEFAULT };
    query
}

fn read(way: &Way, query: &Query, mut between: impl FnMut(usize)) -> Result<Vec<String>, IndexError> {
    let mut ids = Vec::new();
    (way.hand_over)(query, &mut |id| {
        between(ids.len());
        ids.push(id);
        ControlFlow::Continue(())
    })?;
    Ok(ids)
}

#[test]
fn nothing_of_the_wal_is_held_while_a_row_is_handed_over() {
    for way in &WAYS {
        let store = store();
        let query = query(&store);
        let ids = read(way, &query, |number| {
            if number % 10 == 0 {
                store.execute(&format!("INSERT INTO meta VALUES ('written_{number}', '')"));
                assert_eq!(store.frames_pinned(), 0, "{}, row {number}", way.name);
            }
        });
        assert_eq!(ids.unwrap().len(), ROWS, "{}", way.name);
    }
}

#[test]
fn a_reader_that_keeps_the_wal_is_seen_by_these_tests() {
    let store = store();
    let query = query(&store);
    query
        .read_with(|_| {
            store.execute("INSERT INTO meta VALUES ('written', '')");
            assert_eq!(store.frames_pinned(), 0, "it has not read yet");
            Ok(())
        })
        .unwrap();
    query
        .read_with(|connection| {
            connection.query_row("SELECT count(*) FROM meta", [], |row| row.get::<_, i64>(0))?;
            store.execute("INSERT INTO meta VALUES ('written again', '')");
            assert_ne!(store.frames_pinned(), 0);
            Ok(())
        })
        .unwrap();
}

#[test]
fn each_row_of_the_start_comes_once_whatever_is_folded_and_goes_meanwhile() {
    for way in &WAYS {
        let store = store();
        let query = query(&store);
        let before = read(way, &query, |_| ()).unwrap();
        let mut gone = None;
        let told = read(way, &query, |number| {
            // Behind the page that is being handed over.
            if number == 3 {
                let (last, id) = (before.last().unwrap(), ROWS + 1);
                if way.is_of_sessions {
                    store.execute(&format!("DELETE FROM session_state WHERE session_id = '{last}'"));
                    store.session("new").set("last_seen_at", 2).insert();
                } else {
                    store.execute(&format!("DELETE FROM request_rows WHERE id = {}", &last[1..]));
                    for (number, ts) in [0, 3, 9].into_iter().enumerate() {
                        let row = store.request(&format!("new{number}"), ts, "ping").set("latency_us", 2);
                        row.set("id", i64::try_from(id + number).unwrap()).insert();
                    }
                    store.execute(&format!("UPDATE checkpoint SET sequence = {}", id + 2));
                }
                gone = Some(last.clone());
            }
        })
        .unwrap();
        let expected: Vec<_> = before.iter().filter(|id| Some(*id) != gone.as_ref()).cloned().collect();
        assert_eq!(told, expected, "{}", way.name);
    }
}

#[test]
fn breaking_off_reads_no_further() {
    for way in &WAYS {
        let (store, mut seen) = (store(), 0);
        (way.hand_over)(&query(&store), &mut |_| {
            seen += 1;
            if seen == HANDED_OVER_MAX + 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
        assert_eq!(seen, HANDED_OVER_MAX + 2, "{}", way.name);
    }
}

#[test]
fn sessions_of_a_database_that_was_made_anew_are_not_mixed_with_those_before() {
    let store = store();
    let query = query(&store);
    let error = read(&WAYS[4], &query, |number| {
        if number == 3 {
            store.execute("UPDATE meta SET value = '2' WHERE key = 'created_at'");
        }
    });
    assert!(matches!(error, Err(IndexError::Replaced { .. })), "{error:?}");
}
