//! A database that is full, fails or is held by somebody else: recording goes on, health says so, and folding catches up
//! when it can; no row is lost or doubled. [`Holdings`] runs SQLite's own integrity check each time.

use mcplog_faults::cases::{each, spread};
use mcplog_faults::order::{self, Order};
use mcplog_faults::{Holdings, Running, Said, Scale, Strace, Trace, Victim, strace};
use rusqlite::Connection;
use std::path::Path;
use std::process::{Child, ExitStatus};

const EVENTS: u64 = 1200;
/// How many failures the quick set tries for each call and error.
const QUICK: u64 = 3;
/// And how many the long set tries: SQLite makes thousands of calls, one like the other.
const LONG: u64 = 60;
/// How SQLite changes, syncs and reads its files.
const CALLS: &str = "pwrite64,fsync,fdatasync,ftruncate,pread64";

#[test]
fn a_database_that_fails_for_a_while_delays_folding_and_nothing_else() {
    let Some(dir) = strace::dir("a database that fails for a while") else { return };
    let cases = cases(dir.path(), |number| format!("{number}..{}", number + 2));
    let noticed = each(cases.iter().enumerate(), |(case, (call, failure))| {
        let (said, status, trace) = run_failing(&dir.path().join(case.to_string()), call, Some(failure));
        let case = format!("{call} {failure}");
        assert!(status.success(), "{case}: {status}: {:?} {:?} {:?}", said.failures, said.healths, said.report);
        assert_eq!(said.acknowledged, EVENTS, "{case}: recording goes on: {said:?}");
        let report = said.report.as_ref().unwrap_or_else(|| panic!("{case}: no report"));
        assert_eq!((&report["folded"], &report["dropped"]), (&EVENTS.into(), &0.into()), "{case}: {said:?}");
        assert!(report["health"]["problems"].as_object().is_some_and(|left| left.is_empty()), "{case}: {said:?}");
        let failed = trace.calls.iter().any(|call| call.result.is_err());
        (failed, said.healths.iter().any(|health| health.contains("folding waits")))
    });
    let failed = noticed.iter().filter(|(failed, _)| *failed).count();
    let noticed = noticed.iter().filter(|(_, noticed)| *noticed).count();
    println!("{failed} of {} runs saw the database fail, health told so in {noticed}", cases.len());
    assert!(failed > 0 && noticed > 0, "{failed} failed, {noticed} noticed");
}

#[test]
fn a_database_that_fails_for_good_leaves_everything_in_the_log() {
    let Some(dir) = strace::dir("a database that fails for good") else { return };
    let cases = cases(dir.path(), |number| format!("{number}+"));
    each(cases.iter().enumerate(), |(case, (call, failure))| {
        let store = dir.path().join(case.to_string());
        let (mut victim, mut strace) = start_failing(&store, call, Some(failure), &["--linger"]);
        let case = format!("{call} {failure}");
        assert!(
            victim.listen_until(|said| said.acknowledged == EVENTS),
            "{case}: recording goes on: {:?}",
            victim.said()
        );
        victim.kill();
        strace.wait().expect("strace ends with the thread");
        assert_all_there(&store, &case);
    });
}

#[test]
fn a_segment_stays_whose_rows_a_failed_sync_of_the_database_left_in_doubt() {
    let Some(dir) = strace::dir("failing syncs of the database") else { return };
    let numbers = Scale::chosen().of(2, 6);
    each(1..=numbers, |number| {
        let (store, log) = (dir.path().join(number.to_string()), dir.path().join(format!("{number}.log")));
        let mut victim = scripted(&store).with(["--events", "3000", "--fold"]).start();
        assert!(victim.listen_until(|said| said.opened), "the victim ended by itself");
        let failing = Strace::of(order::CALLS).injecting("fsync", &format!("error=EIO:when={number}")).log(&log);
        let mut strace = failing.attach(&victim, "mcplog-compact");
        victim.release();
        let (said, status) = victim.finish();
        strace.wait().expect("strace ends with the thread");
        assert!(status.success(), "fsync {number}: {said:?}");
        let trace = Trace::parse(&std::fs::read_to_string(&log).expect("strace wrote its log"));
        let violations = Order::of(&trace, &store).violations(&[]);
        assert_eq!(violations, [""; 0], "fsync {number}");
        assert_eq!(Holdings::of(&store).prefix(0), 3000, "fsync {number}");
    });
}

#[test]
fn a_database_that_another_process_holds_delays_folding_and_nothing_else() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = dir.path().join("data");
    let mut victim = scripted(&store).with(["--events", "1000000"]).start();
    assert!(victim.listen_until(|said| said.opened), "the victim ended by itself");
    let holder = Connection::open(store.join("store.db")).expect("the database is there");
    holder.execute_batch("BEGIN IMMEDIATE").expect("nobody writes yet");
    let rows = || holder.query_row("SELECT count(*) FROM requests", [], |row| row.get::<_, u64>(0)).expect("a table");
    victim.release();
    let folding_waits = |said: &Said| said.healths.last().is_some_and(|health| health.contains("folding waits"));
    assert!(victim.listen_until(folding_waits), "nobody noticed that folding waits");
    let durable = victim.said().acknowledged;
    assert!(victim.listen_until(|said| said.acknowledged >= durable + 1000), "recording stopped");
    assert_eq!(rows(), 0, "somebody else wrote in spite of the lock");
    holder.execute_batch("ROLLBACK").expect("the lock is ours");
    assert!(victim.listen_until(|said| said.healths.last().is_some_and(|health| health == "ok")), "health stays bad");
    let said = victim.kill();
    let holdings = Holdings::of(&store);
    let found = holdings.prefix(0);
    assert_eq!((found, holdings.quarantined), (holdings.numbers.len() as u64, 0));
    assert!(found >= said.appended.max(said.acknowledged), "{found} rows: {said:?}");
}

#[test]
fn a_store_opens_and_records_while_another_process_holds_its_database() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = dir.path().join("data");
    assert!(victim(&store).with(["--events", "100"]).run().1.success());
    let holder = Connection::open(store.join("store.db")).expect("the database is there");
    holder.execute_batch("BEGIN IMMEDIATE").expect("nobody writes any more");
    let mut recording = victim(&store).with(["--first", "100", "--flush-every", "50", "--pause-us", "500"]).start();
    assert!(recording.listen_until(|said| said.acknowledged >= 500), "recording needs no database");
    holder.execute_batch("ROLLBACK").expect("the lock is ours");
    let said = recording.kill();
    assert!(Holdings::of(&store).prefix(0) >= 100 + said.acknowledged, "{said:?}");
}

fn victim(store: &Path) -> Victim {
    Victim::new(env!("CARGO_BIN_EXE_victim"), store)
}

/// A victim that waits to be let go of, and then takes its time, so that there is something to fold all the time and
/// somebody looks at its health.
fn scripted(store: &Path) -> Victim {
    victim(store)
        .with(["--hold", "--pause-us", "500", "--flush-every", "100", "--tell-every", "20"])
        .with(["--patience-ms", "60000"])
}

/// Which calls of the compactor on the database's files are to fail, and how. `when` says it for the first one to fail.
fn cases(dir: &Path, when: impl Fn(u64) -> String) -> Vec<(String, String)> {
    let (said, _, trace) = run_failing(&dir.join("counted"), CALLS, None);
    assert!(said.report.is_some(), "{said:?}");
    let counts = trace.counts_since(|_| false);
    println!("calls made: {counts:?}");
    let mut cases = Vec::new();
    for ((_, call), count) in counts {
        let errors: &[&str] = if call.starts_with('p') { &["EIO", "ENOSPC"] } else { &["EIO"] };
        for number in spread(count, Scale::chosen().of(QUICK, LONG)) {
            cases.extend(errors.iter().map(|error| (call.clone(), format!("error={error}:when={}", when(number)))));
        }
    }
    cases
}

/// A run during which the compactor's calls on the database's files fail as `failure` says; how it ended; and
/// those calls.
fn run_failing(store: &Path, call: &str, failure: Option<&str>) -> (Said, ExitStatus, Trace) {
    let (victim, mut strace) = start_failing(store, call, failure, &["--fold"]);
    let (said, status) = victim.finish();
    strace.wait().expect("strace ends with the thread");
    assert_all_there(store, &format!("{call} {failure:?}: {said:?}"));
    let log = std::fs::read_to_string(store.with_extension("log")).expect("strace wrote its log");
    (said, status, Trace::parse(&log))
}

fn start_failing(store: &Path, call: &str, failure: Option<&str>, arguments: &[&str]) -> (Running, Child) {
    let victim = scripted(store).with(["--events", &EVENTS.to_string()]).with(arguments.iter().copied());
    let mut victim = victim.start();
    assert!(victim.listen_until(|said| said.opened), "the victim ended by itself");
    let mut strace = Strace::of(call).at(store.join("store.db")).at(store.join("store.db-wal"));
    if let Some(failure) = failure {
        strace = strace.injecting(call, failure);
    }
    let strace = strace.log(store.with_extension("log")).attach(&victim, "mcplog-compact");
    victim.release();
    (victim, strace)
}

/// Every event has one row, once the store was opened again.
fn assert_all_there(store: &Path, case: &str) {
    let holdings = Holdings::of(store);
    let found = (holdings.numbers.len() as u64, holdings.prefix(0), holdings.quarantined, holdings.gap_events);
    assert_eq!(found, (EVENTS, EVENTS, 0, 0), "{case}");
    assert!(holdings.health.is_ok(), "{case}: {}", holdings.health);
}
