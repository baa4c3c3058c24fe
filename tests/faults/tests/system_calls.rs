//! A crash at every system call that changes a file: whatever the call is that never happens, everything that was in
//! the map survives, is folded once, and opening the store again changes nothing.

use mcplog::Config;
use mcplog::config::SEGMENT_BYTES_MIN;
use mcplog_faults::cases::{assert_hit, each, spread};
use mcplog_faults::trace::{Call, Counts};
use mcplog_faults::watchdog::SIGKILL;
use mcplog_faults::{Holdings, Said, Scale, Strace, Trace, Victim, directory, strace, torn};
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

/// What changes files, under the names that it has on this machine or another.
const CALLS: &str = "fallocate,msync,fsync,fdatasync,?mkdir,mkdirat,?rename,renameat,renameat2,?link,linkat,?unlink,unlinkat,\
                     ?rmdir,flock,ftruncate,write,pwrite64";
/// The calls by which a poisoned segment is read and let go of, and others are made and taken away.
const WRITING_AGAIN: [&str; 9] =
    ["pread64", "openat", "rename", "fallocate", "mmap", "munmap", "ftruncate", "fsync", "unlink"];
/// How many events are in a log that nobody has any more, before a crash while it is taken over.
const OLD_EVENTS: u64 = 1500;
/// How many events a run records: enough to fill a segment and begin the next, twice.
const EVENTS: &str = "2000";
/// How many crashes the quick set tries for each call of each thread.
const QUICK: u64 = 3;
/// And how many at most the long set tries: all, but where each frame is written by two calls.
const LONG: u64 = 500;

#[test]
fn a_crash_at_any_call_while_what_is_left_is_taken_over_loses_nothing() {
    let Some(dir) = strace::dir("a crash at any call while what is left is taken over") else { return };
    crash_while_taking_over(dir.path());
}

#[test]
fn a_crash_at_any_call_while_what_is_left_is_taken_over_loses_nothing_where_segments_are_written() {
    let Some(dir) = strace::written_dir("a crash at any call while what is left is taken over") else { return };
    crash_while_taking_over(&dir.path());
}

fn crash_while_taking_over(dir: &Path) {
    let torn = dir.join("torn");
    torn::leave(&victim(&torn), &torn, OLD_EVENTS);
    let counted = dir.join("counted");
    directory::copy(&torn, &counted);
    let counts = count_calls(&scripted(&counted, OLD_EVENTS), &dir.join("log"), |_| false);
    // Of a call that several threads make, the first to come that far is hit.
    let mut most = Counts::new();
    for ((_, call), count) in counts {
        let most = most.entry((String::new(), call)).or_default();
        *most = count.max(*most);
    }
    try_all("taking over", &most, |case, (_, call), number| {
        let store = dir.join(case);
        directory::copy(&torn, &store);
        let fatal = Strace::of(call).injecting(call, &format!("signal=SIGKILL:when={number}"));
        let (said, status) = scripted(&store, OLD_EVENTS).under(fatal.around()).run();
        let case = format!("{call} {number}");
        assert_survived(&store, OLD_EVENTS, &said, &case);
        killed(&said, status, &case)
    });
}

#[test]
fn a_crash_at_any_call_of_any_thread_while_recording_loses_nothing() {
    let Some(dir) = strace::dir("a crash at any call of any thread while recording") else { return };
    crash_while_recording(dir.path());
}

#[test]
fn a_crash_at_any_call_of_any_thread_while_recording_loses_nothing_where_segments_are_written() {
    let Some(dir) = strace::written_dir("a crash at any call of any thread while recording") else { return };
    crash_while_recording(&dir.path());
}

fn crash_while_recording(dir: &Path) {
    // Under `never`, without waiting for durability, nothing but the map has what was recorded last.
    for policy in ["always", "never"] {
        let dir = dir.join(policy);
        std::fs::create_dir(&dir).expect("an empty directory");
        let scripted = |store: &Path| match policy {
            "always" => scripted(store, 0),
            _ => unsynced(store),
        };
        let counts =
            count_calls(&scripted(&dir.join("counted")), &dir.join("log"), |call| call.arguments.contains("\"opened"));
        for expected in ["main", "mcplog-append", "mcplog-prepare", "mcplog-sync", "mcplog-compact"] {
            assert!(counts.keys().any(|(thread, _)| thread == expected), "no call of {expected}: {counts:?}");
        }
        try_all(&format!("recording under {policy}"), &counts, |case, (thread, call), number| {
            let store = dir.join(case);
            let mut victim = scripted(&store).with(["--hold"]).start();
            assert!(victim.listen_until(|said| said.opened), "the victim ended by itself");
            // The first thread bears the program's name.
            let thread = if thread == "main" { "victim" } else { thread };
            let fatal = Strace::of(call).injecting(call, &format!("signal=SIGKILL:when={number}"));
            let strace = fatal.attach(&victim, thread);
            victim.release();
            let (said, status) = victim.finish();
            strace.finish();
            let case = format!("{policy}: {thread} {call} {number}");
            assert_survived(&store, 0, &said, &case);
            killed(&said, status, &case)
        });
    }
}

#[test]
fn a_crash_while_what_a_failed_sync_left_is_written_again_loses_nothing() {
    let Some(dir) = strace::dir("a crash while a failed sync is made up for") else { return };
    // One sync fails in the middle of a segment; one when the first segment is full, with frames in the next already; and
    // one, the first of all, when several segments are full.
    let failures = [("msync", 3), ("msync", 6), ("fsync", 1)];
    let mut cases = Vec::new();
    for failure in failures {
        for call in WRITING_AGAIN.into_iter().filter(|call| *call != failure.0) {
            cases.extend((1..=Scale::chosen().of(2, 12)).map(|number| (failure, call, number)));
        }
    }
    let crashed = each(cases.into_iter().enumerate(), |(case, ((sync, failure), call, number))| {
        let (store, log) = (dir.path().join(case.to_string()), dir.path().join(format!("{case}.log")));
        let victim =
            if sync == "msync" { scripted(&store, 0) } else { unsynced(&store).with(["--flush-every", "1900"]) };
        let mut victim = victim.with(["--hold"]).start();
        assert!(victim.listen_until(|said| said.opened), "the victim ended by itself");
        let strace = Strace::of(&format!("{sync},{call}"))
            .injecting(sync, &format!("error=EIO:when={failure}"))
            .injecting(call, &format!("signal=SIGKILL:when={number}"))
            .log(&log)
            .attach_to_all(&victim);
        victim.release();
        let (said, status) = victim.finish();
        strace.finish();
        let case = format!("{sync} {failure} fails, {call} {number}");
        assert_survived(&store, 0, &said, &case);
        let trace = Trace::parse(&std::fs::read_to_string(&log).expect("strace wrote its log"));
        let failed = trace.calls.iter().position(|call| call.name == sync && call.result.is_err());
        let synced = failed
            .is_some_and(|failed| trace.calls[failed..].iter().any(|call| call.name == "msync" && call.result.is_ok()));
        killed(&said, status, &case) && failed.is_some() && !synced
    });
    let (tried, crashed) = (crashed.len(), crashed.into_iter().filter(|crashed| *crashed).count());
    println!("writing again: {crashed} crashes in between, in {tried} runs");
    // The others came before, as under another test, or not at all: few calls are made in between.
    assert!(crashed >= 8, "writing again: only {crashed} crashes in between, in {tried} runs");
}

fn victim(store: &Path) -> Victim {
    Victim::new(env!("CARGO_BIN_EXE_victim"), store)
}

/// A run that does everything a store does: it syncs, rotates, folds, retires, shuts down.
fn scripted(store: &Path, first: u64) -> Victim {
    Victim::new(env!("CARGO_BIN_EXE_victim"), store).with(["--first", &first.to_string(), "--events", EVENTS]).with([
        "--flush-every",
        "200",
        "--tell-every",
        "100",
        "--fold",
    ])
}

/// A run that syncs nothing until the end.
fn unsynced(store: &Path) -> Victim {
    victim(store).with(["--sync", "never", "--events", EVENTS, "--tell-every", "100", "--fold"])
}

/// Counts the calls of a run since the last one that matches.
fn count_calls(victim: &Victim, log: &Path, matches: impl Fn(&Call) -> bool) -> Counts {
    // prctl: threads say their names by it.
    let watching = Strace::of(&format!("{CALLS},prctl")).log(log);
    let (said, status) = victim.clone().under(watching.around()).run();
    assert!(status.success() && said.report.is_some(), "{status}: {said:?}");
    let trace = Trace::parse(&std::fs::read_to_string(log).expect("strace wrote its log"));
    let mut counts = trace.counts_since(matches);
    counts.retain(|(_, call), _| call != "prctl");
    counts
}

/// Tries a crash at each of the calls, or at some of them. `attempt` gets a name for the case and tells whether the crash
/// came: no two runs make equally many calls.
fn try_all(what: &str, counts: &Counts, attempt: impl Fn(&str, &(String, String), u64) -> bool + Sync) {
    let numbers = |count: u64| Scale::chosen().of(spread(count, QUICK), spread(count, LONG));
    let cases: Vec<_> =
        counts.iter().flat_map(|(call, count)| numbers(*count).into_iter().map(move |number| (call, number))).collect();
    println!("{what}: calls made: {counts:?}");
    let crashes =
        each(cases.into_iter().enumerate(), |(case, (call, number))| (call, attempt(&case.to_string(), call, number)));
    // Which thread lets go of a log's lock last, and so unlocks it, is another one each time.
    let kind = |(thread, call): &(String, String)| {
        let thread = if call == "flock" { "any thread" } else { thread };
        format!("{thread} {call}")
    };
    assert_hit(what, crashes.into_iter().map(|(call, crashed)| (kind(call), crashed)));
}

/// Whether the crash came: a victim that was not killed did all that it had to do.
fn killed(said: &Said, status: ExitStatus, case: &str) -> bool {
    let killed = status.signal() == Some(SIGKILL);
    assert!(killed || status.success(), "{case}: {status}: {said:?}");
    killed
}

/// Opens what a crash left, three times: as it is, to see that folding has nothing left to do, and to see that what is kept
/// goes. `old` events were in the log before the run that said `said`.
fn assert_survived(store: &Path, old: u64, said: &Said, case: &str) {
    // Whatever is left of a first opening that died before it made the directory.
    if !store.exists() {
        assert_eq!((old, said.appended), (0, 0), "{case}");
        return;
    }
    // A large channel and large segments take longer to open than everything else here.
    let mut retiring = Config::new(store);
    retiring.channel_events = 4096;
    retiring.segment_bytes = SEGMENT_BYTES_MIN;
    // Told each time: who says nothing leaves the store as it was told before.
    retiring.keep_segments_bytes = Some(0);
    let mut keeping = retiring.clone();
    keeping.keep_segments_bytes = Some(u64::MAX);
    let first = Holdings::with(keeping.clone());
    let found = first.prefix(0);
    assert_eq!(found, first.numbers.len() as u64, "{case}: what one thread records in order is a prefix");
    let said_to_be_there = old + said.appended.max(said.acknowledged);
    assert!(found >= said_to_be_there, "{case}: {said_to_be_there} events were in the map, {found} have a row");
    assert_eq!((first.quarantined, first.gap_events), (0, 0), "{case}");
    assert!(first.health.is_ok(), "{case}: {}", first.health);
    assert_eq!(directory::contents(&store.join("quarantine")).len(), 0, "{case}");
    assert_eq!(directory::contents(&store.join("wal")).len(), 0, "{case}: a log that nobody has any more");
    let kept = directory::contents(&store.join("kept"));

    let second = Holdings::with(keeping);
    assert_eq!((&second.numbers, second.quarantined), (&first.numbers, 0), "{case}: opened twice");
    assert!(directory::contents(&store.join("kept")) == kept, "{case}: opening it twice changed what is kept");

    let third = Holdings::with(retiring);
    assert_eq!(third.numbers, first.numbers, "{case}: opened three times");
    let left = ["wal", "kept"].map(|name| directory::contents(&store.join(name)));
    assert!(left.iter().all(BTreeMap::is_empty), "{case}: what is folded goes: {left:?}");
    // A long set has thousands of cases.
    std::fs::remove_dir_all(store).expect("the store can be removed");
}
