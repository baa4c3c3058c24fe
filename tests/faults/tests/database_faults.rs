//! A database that is full, fails or is held by somebody else: recording goes on, health says so, and folding catches up
//! when it can; no row is lost or doubled. [`Holdings`] runs SQLite's own integrity check each time.

use mcplog_faults::cases::{assert_hit, each, spread};
use mcplog_faults::order::{self, Order};
use mcplog_faults::strace::Tracer;
use mcplog_faults::trace::Call;
use mcplog_faults::{Holdings, Running, Said, Scale, Strace, Trace, Victim, strace};
use rusqlite::Connection;
use std::path::Path;
use std::time::{Duration, Instant};

const EVENTS: u64 = 1200;
/// How many failures the quick set tries for each call and error.
const QUICK: u64 = 3;
/// And how many the long set tries: SQLite makes thousands of calls, one like the other.
const LONG: u64 = 60;
/// How long to wait for a call that is to fail, and may never be made: no two runs make equally many.
const FAILURE_PATIENCE: Duration = Duration::from_secs(5);
/// How SQLite changes, syncs and reads its files.
const CALLS: &str = "pwrite64,fsync,fdatasync,ftruncate,pread64";

#[test]
fn a_database_that_fails_for_a_while_delays_folding_and_nothing_else() {
    let Some(dir) = strace::dir("a database that fails for a while") else { return };
    let cases = cases(dir.path(), |number| format!("{number}..{}", number + 2));
    let noticed = each(cases.iter().enumerate(), |(case, (call, failure))| {
        let store = dir.path().join(case.to_string());
        let (mut victim, strace) = start_failing(&store, call, Some(failure), &["--fold", "--linger"]);
        let case = format!("{call} {failure}");
        let is_well = |said: &Said| said.folded && said.healths.last().is_none_or(|health| health == "ok");
        assert!(victim.listen_until(is_well), "{case}: the victim ended by itself: {:?}", victim.said());
        wait_for_failure(&mut victim, &store, &case);
        assert!(victim.listen_until(is_well), "{case}: the victim ended by itself: {:?}", victim.said());
        let said = victim.kill();
        strace.finish();
        assert_eq!(said.acknowledged, EVENTS, "{case}: recording goes on: {said:?}");
        assert_all_there(&store, &case);
        (call, seen(&store).was_hit(), said.healths.iter().any(|health| health.contains("folding waits")))
    });
    assert_hit("the database fails for a while", noticed.iter().map(|(call, failed, _)| (call, *failed)));
    let noticed = noticed.iter().filter(|(.., noticed)| *noticed).count();
    println!("health told so in {noticed} of {} runs", cases.len());
    assert!(noticed > 0, "nobody noticed");
}

#[test]
fn a_database_that_fails_for_good_leaves_everything_in_the_log() {
    let Some(dir) = strace::dir("a database that fails for good") else { return };
    let cases = cases(dir.path(), |number| format!("{number}+"));
    let failed = each(cases.iter().enumerate(), |(case, (call, failure))| {
        let store = dir.path().join(case.to_string());
        let (mut victim, strace) = start_failing(&store, call, Some(failure), &["--linger"]);
        let case = format!("{call} {failure}");
        assert!(
            victim.listen_until(|said| said.acknowledged == EVENTS),
            "{case}: recording goes on: {:?}",
            victim.said()
        );
        wait_for_failure(&mut victim, &store, &case);
        victim.kill();
        strace.finish();
        assert_all_there(&store, &case);
        (call, seen(&store).was_hit())
    });
    assert_hit("the database fails for good", failed);
}

#[test]
fn a_segment_stays_whose_rows_a_failed_sync_of_the_database_left_in_doubt() {
    let Some(dir) = strace::dir("failing syncs of the database") else { return };
    let numbers = Scale::chosen().of(4, 12);
    let seen = each(1..=numbers, |number| {
        let (store, log) = (dir.path().join(number.to_string()), dir.path().join(format!("{number}.log")));
        let mut victim = scripted(&store).with(["--events", "3000", "--fold"]).start();
        assert!(victim.listen_until(|said| said.opened), "the victim ended by itself");
        wait_for_tables(&store);
        let failing = Strace::of(order::CALLS).injecting("fsync,fdatasync", &format!("error=EIO:when={number}"));
        let strace = failing.log(&log).attach(&victim, "mcplog-compact");
        victim.release();
        let (said, status) = victim.finish();
        strace.finish();
        assert!(status.success(), "fsync {number}: {said:?}");
        let trace = Trace::parse(&std::fs::read_to_string(&log).expect("strace wrote its log"));
        let order = Order::of(&trace, &store);
        let mut violations = order.violations(&[]);
        // A sync of a directory may fail as well, and is not made again.
        violations.retain(|violation| violation.contains("store.db"));
        assert_eq!(violations, [""; 0], "fsync {number}");
        assert_eq!(Holdings::of(&store).prefix(0), 3000, "fsync {number}");
        let of_database = |call: &Call| call.path().is_some_and(|path| path.contains("/store.db"));
        let failed = trace.calls.iter().any(|call| call.result.is_err() && of_database(call));
        (failed, order.occasions().1)
    });
    println!("whether a sync failed, and how many segments were retired: {seen:?}");
    assert!(seen.iter().any(|(failed, _)| *failed), "no sync failed");
    assert!(seen.iter().any(|(failed, retired)| *failed && *retired > 0), "nothing was retired after a failed sync");
}

#[test]
fn a_database_that_another_process_holds_delays_folding_and_nothing_else() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = dir.path().join("data");
    let mut victim = scripted(&store).with(["--events", "1000000"]).start();
    assert!(victim.listen_until(|said| said.opened), "the victim ended by itself");
    wait_for_tables(&store);
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
    let store = dir.join("counted");
    let (mut victim, strace) = start_failing(&store, CALLS, None, &["--fold", "--linger"]);
    assert!(victim.listen_until(|said| said.folded), "the victim ended by itself");
    victim.kill();
    strace.finish();
    let counts = seen(&store).counts_since(|_| false);
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

/// A run during which the compactor's calls on the database's files are seen, and fail as `failure` says.
fn start_failing(store: &Path, call: &str, failure: Option<&str>, arguments: &[&str]) -> (Running, Tracer) {
    let victim = scripted(store).with(["--events", &EVENTS.to_string()]).with(arguments.iter().copied());
    let mut victim = victim.start();
    assert!(victim.listen_until(|said| said.opened), "the victim ended by itself");
    wait_for_tables(store);
    let mut strace = Strace::of(call).at(store.join("store.db")).at(store.join("store.db-wal"));
    if let Some(failure) = failure {
        strace = strace.injecting(call, failure);
    }
    let strace = strace.log(store.with_extension("log")).attach(&victim, "mcplog-compact");
    victim.release();
    (victim, strace)
}

/// Waits until the call fails that is to fail: it may be the last that is done for these events, and some time later.
fn wait_for_failure(victim: &mut Running, store: &Path, case: &str) {
    let deadline = Instant::now() + FAILURE_PATIENCE;
    let log = store.with_extension("log");
    let was_hit = || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("(INJECTED)"));
    while !was_hit() && Instant::now() < deadline {
        assert!(victim.listen_for(Duration::from_millis(20)), "{case}: the victim ended by itself");
    }
}

/// Waits until who folds has made the database.
fn wait_for_tables(store: &Path) {
    mcplog_fixture::wait_for_tables(store, FAILURE_PATIENCE).unwrap_or_else(|error| panic!("{error}"));
}

/// What strace saw of it.
fn seen(store: &Path) -> Trace {
    Trace::parse(&std::fs::read_to_string(store.with_extension("log")).expect("strace wrote its log"))
}

/// Every event has one row, once the store was opened again.
fn assert_all_there(store: &Path, case: &str) {
    let holdings = Holdings::of(store);
    let found = (holdings.numbers.len() as u64, holdings.prefix(0), holdings.quarantined, holdings.gap_events);
    assert_eq!(found, (EVENTS, EVENTS, 0, 0), "{case}");
    assert!(holdings.health.is_ok(), "{case}: {}", holdings.health);
}
