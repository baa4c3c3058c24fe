//! Calls that fail: syncs, writes, allocations. What a failed sync leaves in doubt is never acknowledged before it is on
//! the disk elsewhere, and every event that was accepted is there once afterwards.

use mcplog_faults::cases::{assert_hit, each, spread};
use mcplog_faults::order::{self, Order};
use mcplog_faults::placed::Placed;
use mcplog_faults::trace::{Call, Counts};
use mcplog_faults::{Holdings, Said, Scale, Strace, Trace, Victim, directory, strace, torn};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitStatus;

const EVENTS: u64 = 2000;
/// How many events are in a log that nobody has any more, before it is taken over.
const OLD_EVENTS: u64 = 1500;
/// How many failures the quick set tries for each call of each thread.
const QUICK: u64 = 3;
/// How many failures of the appender's writes the long set tries.
const LONG_WRITES: u64 = 60;
/// The calls that a store makes of the system, and that can fail for want of room or for a broken disk.
const FAILING: &str = "fallocate,msync,fsync,fdatasync,?rename,renameat,renameat2,?unlink,unlinkat,ftruncate,pwrite64";

#[test]
fn what_a_failed_sync_leaves_in_doubt_is_acknowledged_only_once_it_is_synced_elsewhere() {
    let Some(dir) = strace::dir("failing syncs of the log") else { return };
    fail_syncs(dir.path(), "msync");
}

#[test]
fn what_a_failed_sync_leaves_in_doubt_is_acknowledged_only_once_it_is_synced_elsewhere_where_segments_are_written() {
    let Some(dir) = strace::written_dir("failing syncs of the log") else { return };
    fail_syncs(&dir.path(), "fdatasync");
}

/// Lets calls of `sync` fail, by which segments are synced in `dir`.
fn fail_syncs(dir: &Path, sync: &str) {
    let keeping = |store: &Path| scripted(store, 0).with(["--keep-segments-bytes", "1000000000"]);
    let counts = count_calls(&keeping(&dir.join("counted")), &dir.join("log"), |_| false);
    let count = counts[&("mcplog-sync".to_owned(), sync.to_owned())];
    let numbers = Scale::chosen().of(spread(count, 2 * QUICK), spread(count, count));
    let cases = numbers.into_iter().flat_map(|number| [(number, false), (number, true)]);
    let degraded = each(cases, |(number, for_good)| {
        let when = format!("{number}{}", if for_good { "+" } else { "" });
        let (store, log) = (dir.join(&when), dir.join(format!("{when}.log")));
        let failing = Strace::of(order::CALLS).injecting(sync, &format!("error=EIO:when={when}")).log(&log);
        let (said, status) = keeping(&store).with(patience(&when)).under(failing.around()).run();
        // Before it is opened again: then what is folded goes.
        let placed = Placed::all(&store);
        assert_all_there(&store, 0, &said, status, &when);
        let trace = Trace::parse(&std::fs::read_to_string(&log).expect("strace wrote its log"));
        let order = Order::of(&trace, &store);
        let numbers: BTreeSet<_> = placed.iter().map(|placed| placed.number).collect();
        assert!(numbers.into_iter().eq(0..EVENTS), "{when}: not every event is in a segment that was kept");
        assert_eq!(order.violations(&placed), [""; 0], "{when}");
        // A wait that ended too soon acknowledged nothing, and one that came later acknowledged its events as well.
        let (words, waits) = (order.occasions().0 as u64, said.acknowledged / 100);
        let words_min = waits.saturating_sub(said.failures.len() as u64);
        assert!((words_min..=waits).contains(&words), "{when}: {words} words: {said:?}");
        let failed = trace.calls.iter().filter(|call| call.name == sync && call.result.is_err()).count();
        match (for_good, failed) {
            (false, 0..=1) => assert!(said.failures.is_empty() && said.acknowledged == EVENTS, "{when}: {said:?}"),
            (true, _) => assert!(failed == 0 || problems(&said).contains_key("sync"), "{when}: {said:?}"),
            _ => panic!("{when}: {failed} syncs failed"),
        }
        std::fs::remove_dir_all(&store).expect("the store can be removed");
        failed > 0 && !said.healths.is_empty()
    });
    assert!(degraded.contains(&true), "no failure was ever noticed");
}

#[test]
fn whatever_call_of_whatever_thread_fails_once_or_for_good_each_accepted_event_is_there_once() {
    let Some(dir) = strace::dir("failing calls of each thread") else { return };
    fail_calls(dir.path());
}

#[test]
fn whatever_call_of_whatever_thread_fails_each_accepted_event_is_there_once_where_segments_are_written() {
    let Some(dir) = strace::written_dir("failing calls of each thread") else { return };
    fail_calls(&dir.path());
}

/// Lets calls of each thread of a store in `dir` fail.
fn fail_calls(dir: &Path) {
    let counted = scripted(&dir.join("counted"), 0);
    let mut counts = count_calls(&counted, &dir.join("log"), |call| call.arguments.contains("\"opened"));
    counts.retain(|(thread, _), _| thread != "main");
    let cases = cases(&counts);
    println!("calls made: {counts:?}");
    let hits = each(cases.into_iter().enumerate(), |(case, ((thread, call), failure))| {
        let store = dir.join(case.to_string());
        let log = dir.join(format!("{case}.log"));
        let mut victim = scripted(&store, 0).with(["--hold"]).with(patience(&failure)).start();
        assert!(victim.listen_until(|said| said.opened), "the victim ended by itself");
        let strace = Strace::of(&call).injecting(&call, &failure).log(&log).attach(&victim, &thread);
        victim.release();
        let (said, status) = victim.finish();
        strace.finish();
        let case = format!("{thread} {call} {failure}");
        assert_all_there(&store, 0, &said, status, &case);
        if !failure.ends_with('+') {
            assert_eq!(said.acknowledged, EVENTS, "{case}: {said:?}");
            // When the last sync of all fails, at the end, there is no time to make up for it.
            let mut problems = problems(&said);
            problems.remove("sync");
            assert!(problems.is_empty(), "{case}: {problems:?}");
        }
        std::fs::remove_dir_all(&store).expect("the store can be removed");
        ((thread, call), hit(&log))
    });
    assert_hit("calls of each thread fail", hits);
}

#[test]
fn whatever_call_fails_while_what_is_left_is_taken_over_nothing_is_lost() {
    let Some(dir) = strace::dir("failing calls while what is left is taken over") else { return };
    let torn = dir.path().join("torn");
    torn::leave(&victim(&torn), &torn, OLD_EVENTS);
    let counted = dir.path().join("counted");
    directory::copy(&torn, &counted);
    let counts = count_calls(&scripted(&counted, OLD_EVENTS), &dir.path().join("log"), |_| false);
    // Of a call that several threads make, the first to come that far is hit.
    let mut most = Counts::new();
    for ((_, call), count) in counts {
        let most = most.entry((String::new(), call)).or_default();
        *most = count.max(*most);
    }
    let cases = cases(&most);
    let tried = cases.len();
    let opened = each(cases.into_iter().enumerate(), |(case, ((_, call), failure))| {
        let store = dir.path().join(case.to_string());
        directory::copy(&torn, &store);
        let log = dir.path().join(format!("{case}.log"));
        let failing = Strace::of(&call).injecting(&call, &failure).log(&log);
        let victim = scripted(&store, OLD_EVENTS).with(patience(&failure)).quiet();
        let (said, status) = victim.under(failing.around()).run();
        let case = format!("{call} {failure}");
        if said.opened {
            assert_all_there(&store, OLD_EVENTS, &said, status, &case);
        } else {
            assert_eq!(status.code(), Some(1), "{case}: refused with an error, and nothing worse");
            assert_eq!(Holdings::of(&store).prefix(0), OLD_EVENTS, "{case}");
        }
        std::fs::remove_dir_all(&store).expect("the store can be removed");
        (said.opened, call, hit(&log))
    });
    let (opened, hits): (Vec<_>, Vec<_>) = opened.into_iter().map(|(opened, call, hit)| (opened, (call, hit))).unzip();
    assert_hit("calls fail while what is left is taken over", hits);
    let opened = opened.into_iter().filter(|opened| *opened).count();
    println!("{tried} failures tried, opened in spite of {opened}, calls made: {most:?}");
    assert!(opened > 0, "opened in spite of {opened} of {tried} failures");
}

fn victim(store: &Path) -> Victim {
    Victim::new(env!("CARGO_BIN_EXE_victim"), store)
}

/// A run that does everything a store does: it syncs, rotates, folds, retires, shuts down.
fn scripted(store: &Path, first: u64) -> Victim {
    let victim = victim(store).with(["--first", &first.to_string(), "--events", &EVENTS.to_string()]);
    victim.with(["--flush-every", "100", "--tell-every", "100", "--fold"])
}

/// How long to wait for what comes in the end, and for what may never come. Shutting down gets more time than a single
/// wait: what it can't store any more it has to count.
fn patience(failure: &str) -> [&'static str; 4] {
    let [wait, shutdown] = if failure.ends_with('+') { ["400", "2000"] } else { ["60000", "60000"] };
    ["--patience-ms", wait, "--shutdown-patience-ms", shutdown]
}

/// Whether the failure came.
fn hit(log: &Path) -> bool {
    Trace::parse(&std::fs::read_to_string(log).expect("strace wrote its log")).was_hit()
}

/// Counts the calls of a run since the last one that matches.
fn count_calls(victim: &Victim, log: &Path, matches: impl Fn(&Call) -> bool) -> Counts {
    // write: the victim says by it that the store is open. prctl: threads say their names by it.
    let watching = Strace::of(&format!("{FAILING},write,prctl")).log(log);
    let (said, status) = victim.clone().under(watching.around()).run();
    assert!(status.success() && said.report.is_some(), "{status}: {said:?}");
    let trace = Trace::parse(&std::fs::read_to_string(log).expect("strace wrote its log"));
    let mut counts = trace.counts_since(matches);
    counts.retain(|(_, call), _| !["write", "prctl"].contains(&call.as_str()));
    counts
}

/// How many failures of a call the long set tries: all, but for the appender's writes, two for each frame.
fn long((thread, call): &(String, String), count: u64) -> u64 {
    if thread == "mcplog-append" && call == "pwrite64" { LONG_WRITES } else { count }
}

/// Which calls are to fail, and how: once, and from then on.
fn cases(counts: &Counts) -> Vec<((String, String), String)> {
    let mut cases = Vec::new();
    for (which, count) in counts {
        let errors: &[&str] = match which.1.as_str() {
            "fallocate" | "pwrite64" | "ftruncate" => &["EIO", "ENOSPC"],
            _ => &["EIO"],
        };
        for number in Scale::chosen().of(spread(*count, QUICK), spread(*count, long(which, *count))) {
            for error in errors {
                cases.push((which.clone(), format!("error={error}:when={number}")));
                cases.push((which.clone(), format!("error={error}:when={number}+")));
            }
        }
    }
    cases
}

/// Whatever failed: the victim lived, and what the store took is in it once, behind the `old` events that were there
/// before. What it did not take, it counted.
fn assert_all_there(store: &Path, old: u64, said: &Said, status: ExitStatus, case: &str) {
    assert!(status.success(), "{case}: {status}: {said:?}");
    let report = said.report.as_ref().unwrap_or_else(|| panic!("{case}: no report: {said:?}"));
    let [appended, dropped] = ["appended", "dropped"].map(|field| report[field].as_u64().expect("a number"));
    // The one in the appender's hand when it has to give up is counted later than the report is made.
    let uncounted = u64::from(case.ends_with('+'));
    let accepted = EVENTS - uncounted..=EVENTS;
    assert!(accepted.contains(&(appended + dropped)), "{case}: accepted is stored or dropped: {said:?}");
    assert!(appended >= said.acknowledged, "{case}: {said:?}");
    let holdings = Holdings::of(store);
    assert_eq!(holdings.numbers.len() as u64, old + appended, "{case}: {said:?}");
    assert_eq!(holdings.prefix(0), old + appended, "{case}: {said:?}");
    assert_eq!(holdings.quarantined, 0, "{case}");
    assert!(holdings.health.is_ok(), "{case}: {}", holdings.health);
}

/// What was wrong at the end, by part of the store.
fn problems(said: &Said) -> serde_json::Map<String, serde_json::Value> {
    let problems = said.report.as_ref().and_then(|report| report["health"]["problems"].as_object());
    problems.cloned().unwrap_or_default()
}
