//! The judge finds what is planted: each rule is broken once, in a copy of a store that keeps them all.

use mcplog_faults::directory;
use mcplog_fixture::wait_until;
use mcplog_many::found::{entries, rows};
use mcplog_many::{Crowd, Found, Lived, Start, settle, violations};
use rusqlite::Connection;
use std::path::Path;

fn start(dir: &Path) -> Start {
    Start::within(env!("CARGO_BIN_EXE_writer"), dir)
}

/// Three lives: one that ends as it should, one that is killed, one that drops much.
fn lives(dir: &Path) -> Vec<Lived> {
    let mut crowd = Crowd::new(start(dir));
    crowd.begin(["--events=700"]).wait_until(|told| told.appended == 700);
    crowd.begin(["--events=300"]).wait_until(|told| told.appended == 300);
    let hasty = crowd.begin(["--events=5000", "--burst=5000", "--channel-events=64", "--record-wait-ms=0"]);
    hasty.wait_until(|told| told.appended + told.dropped == 5000 && told.dropped > 0 && told.appended > 0);
    crowd.kill(1);
    let lives = crowd.end_all();
    settle(&dir.join("data"));
    lives
}

#[test]
fn each_broken_rule_is_found_and_a_store_that_keeps_them_all_is_found_sound() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let lives = lives(dir.path());
    let store = dir.path().join("data");
    assert_eq!(violations(&lives, &Found::of(&store)), [""; 0]);
    let run = "(SELECT first_id FROM fold_runs ORDER BY count DESC LIMIT 1)";
    let last = "(SELECT max(id) FROM request_rows)";
    let cases = [
        ("a row that is gone", format!("DELETE FROM request_rows WHERE id = {last}"), "have a row"),
        ("sessions that count twice", "UPDATE session_state SET total_calls = total_calls + 1".into(), "and sessions with"),
        (
            "a run that is folded twice",
            "INSERT INTO fold_runs SELECT (SELECT max(first_id + count) FROM fold_runs), writer, first_sequence + 1, \
             max(count) - 1 FROM fold_runs"
                .into(),
            "folded twice",
        ),
        ("a run that is gone", format!("DELETE FROM fold_runs WHERE first_id = {run}"), "lies in no run"),
        (
            "a run that is short",
            format!("UPDATE fold_runs SET count = count - 1 WHERE first_id = {run}"),
            // Behind it there may be another one, which does not begin where it should then.
            "and runs up to|never folded",
        ),
        ("a checkpoint that ran ahead", "UPDATE checkpoint SET sequence = sequence + 1".into(), "folded up to"),
        (
            "rows of another writer",
            format!(
                "UPDATE fold_runs SET writer = (SELECT max(id) FROM writers WHERE id <> fold_runs.writer),
                                      first_sequence = first_sequence + 1000000 WHERE first_id = {run}"
            ),
            // A life may have had that run only.
            "rows of writers|no row for writer",
        ),
        ("a writer that nobody was", "INSERT INTO writers (id, writer, process_id, ended) SELECT max(id) + 1, 'nobody', 1, 'closed' FROM writers".into(), "nobody was"),
        ("a writer that did not end so", "UPDATE writers SET ended = 'closed'".into(), "ended so"),
        ("a drop that is not counted", "DELETE FROM gaps".into(), "in gaps"),
        ("a drop that is counted twice", "UPDATE gaps SET events = events * 2".into(), "in gaps"),
        ("a record that is missing", "UPDATE gaps SET missing = 1".into(), "are missing"),
    ];
    for (case, (planted, sql, expected)) in cases.into_iter().enumerate() {
        let copy = dir.path().join(case.to_string());
        directory::copy(&store, &copy);
        let database = Connection::open(copy.join("store.db")).expect("the database");
        database.pragma_update(None, "foreign_keys", false).expect("no rule of SQLite's is asked");
        let changed = database.execute(&sql, []).unwrap_or_else(|error| panic!("{planted}: {error}"));
        assert!(changed > 0, "{planted}: nothing was planted");
        drop(database);
        let found = violations(&lives, &Found::of(&copy));
        let is_meant = |violation: &String| expected.split('|').any(|words| violation.contains(words));
        assert!(found.iter().any(is_meant), "{planted}: {found:?}");
    }
    let folder = store.join("wal").join("0197a1c0-7b1e-4cc3-98c4-000000000000");
    std::fs::create_dir(&folder).expect("planted");
    let found = violations(&lives, &Found::of(&store));
    assert!(found.iter().any(|violation| violation.contains("left behind")), "{found:?}");
}

#[test]
fn a_writer_that_tells_of_events_that_are_in_no_map_is_found() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut crowd = Crowd::new(start(dir.path()));
    // More than the channel has room for, so that most of it is still to be recorded.
    let boaster = crowd.begin(["--events=1000000", "--burst=1000000", "--boast"]);
    boaster.wait_until(|told| told.appended > 0);
    let lives = crowd.kill_all();
    settle(&dir.path().join("data"));
    let found = violations(&lives, &Found::of(&dir.path().join("data")));
    assert!(found.iter().any(|violation| violation.contains("had reached the map")), "{found:?}");
}

/// What a folder without a fence does, who goes by a checkpoint that is no longer so: here the checkpoint itself is set back
/// while somebody folds.
#[test]
fn a_log_that_is_folded_again_from_an_earlier_checkpoint_is_found() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = dir.path().join("data");
    let mut crowd = Crowd::new(start(dir.path()));
    crowd.begin(["--events=500"]).wait_until(|told| told.appended == 500);
    wait_until("all is folded", || rows(&store) == Some(500));
    let lives = crowd.kill_all();
    // What a dead one left is there until somebody else looks after it.
    let [folder] = entries(&store.join("wal")).try_into().expect("one folder");
    let [segment] = entries(&folder)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "seg"))
        .collect::<Vec<_>>()
        .try_into()
        .expect("one segment");
    let (offsets, _) = mcplog_fixture::segment::frames(&segment);
    let database = Connection::open(store.join("store.db")).expect("the database");
    let set_back = database.execute("UPDATE checkpoint SET sequence = 100, segment = 1, offset = ?", [offsets[100]]);
    assert_eq!(set_back.expect("planted"), 1);
    drop(database);
    settle(&store);
    let found = violations(&lives, &Found::of(&store));
    assert!(found.iter().any(|violation| violation.contains("folded twice")), "{found:?}");
}
