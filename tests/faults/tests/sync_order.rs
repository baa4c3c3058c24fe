//! The order of syncs, asserted from the system calls of a run: frames and names before the acknowledgement, the database
//! before a segment goes, the directory after it went.

use mcplog_faults::order::{self, Order};
use mcplog_faults::placed::Placed;
use mcplog_faults::{Strace, Trace, Victim, strace};
use std::path::{Path, PathBuf};

const EVENTS: &str = "3000";

#[test]
fn whatever_is_acknowledged_was_synced_before_under_every_policy() {
    let Some(dir) = strace::dir("what is acknowledged") else { return };
    acknowledged_after_syncs(dir.path());
}

#[test]
fn whatever_is_acknowledged_was_synced_before_where_segments_are_written() {
    let Some(dir) = strace::written_dir("what is acknowledged") else { return };
    acknowledged_after_syncs(&dir.path());
}

fn acknowledged_after_syncs(dir: &Path) {
    for policy in ["always", "interval", "never"] {
        let run = Run::of(&dir.join(policy), &["--sync", policy, "--keep-segments-bytes", "1000000000"], None);
        let placed = Placed::all(&run.store);
        assert_eq!(placed.len(), 3000, "{policy}");
        let order = Order::of(&run.trace, &run.store);
        assert_eq!(order.violations(&placed), [""; 0], "{policy}");
        let (acknowledged, retired) = order.occasions();
        assert_eq!((acknowledged, retired), (60, 0), "{policy}");
        assert!(placed.windows(2).filter(|two| two[0].segment != two[1].segment).count() >= 2, "{policy}: no rotation");
    }
}

#[test]
fn a_segment_goes_when_the_database_is_synced_and_its_directory_is_synced_then() {
    let Some(dir) = strace::dir("what is retired") else { return };
    for policy in ["always", "interval", "never"] {
        let run = Run::of(&dir.path().join(policy), &["--sync", policy], None);
        let order = Order::of(&run.trace, &run.store);
        assert_eq!(order.violations(&[]), [""; 0], "{policy}");
        let (acknowledged, retired) = order.occasions();
        assert!(acknowledged == 60 && retired >= 2, "{policy}: {acknowledged} acknowledged, {retired} retired");
    }
}

#[test]
fn an_early_acknowledgement_and_a_sync_that_is_not_made_are_found() {
    let Some(dir) = strace::dir("planted bugs") else { return };
    planted_bugs_are_found(dir.path(), "msync");
}

#[test]
fn an_early_acknowledgement_and_a_sync_that_is_not_made_are_found_where_segments_are_written() {
    let Some(dir) = strace::written_dir("planted bugs") else { return };
    planted_bugs_are_found(&dir.path(), "fdatasync");
}

fn planted_bugs_are_found(dir: &Path, sync: &str) {
    let keep = ["--keep-segments-bytes", "1000000000"];
    let early = Run::of(&dir.join("early"), &[keep[0], keep[1], "--acknowledge-early"], None);
    let skipped = Strace::of(order::CALLS).injecting(sync, "retval=0");
    let skipped = Run::of(&dir.join("skipped"), &keep, Some(skipped));
    for run in [early, skipped] {
        let found = Order::of(&run.trace, &run.store).violations(&Placed::all(&run.store));
        assert!(found.iter().any(|violation| violation.contains("before its frame was synced")), "{found:?}");
    }
}

/// A run that is over, and what was seen of it.
struct Run {
    store: PathBuf,
    trace: Trace,
}

impl Run {
    /// With a store in the directory `store`, which is not there yet.
    fn of(store: &Path, arguments: &[&str], strace: Option<Strace>) -> Self {
        let log = store.with_extension("log");
        let (said, status) = Victim::new(env!("CARGO_BIN_EXE_victim"), store)
            .with(["--events", EVENTS, "--flush-every", "50", "--fold"])
            .with(arguments.iter().copied())
            .under(strace.unwrap_or_else(|| Strace::of(order::CALLS)).log(&log).around())
            .run();
        assert!(status.success() && said.failures.is_empty(), "{status}: {said:?}");
        let trace = Trace::parse(&std::fs::read_to_string(&log).expect("strace wrote its log"));
        Self { store: store.to_owned(), trace }
    }
}
