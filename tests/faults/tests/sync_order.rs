//! The order of syncs, asserted from the system calls of a run: frames and names before the acknowledgement, the database
//! before a segment goes, the directory after it went.

use mcplog_faults::order::{self, Order};
use mcplog_faults::placed::Placed;
use mcplog_faults::{Strace, Trace, Victim, strace};
use std::path::PathBuf;

const EVENTS: &str = "3000";

#[test]
fn whatever_is_acknowledged_was_synced_before_under_every_policy() {
    for policy in ["always", "interval", "never"] {
        let Some(run) = Run::of(&["--sync", policy, "--keep-segments-bytes", "1000000000"], None) else { return };
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
    for policy in ["always", "interval", "never"] {
        let Some(run) = Run::of(&["--sync", policy], None) else { return };
        let order = Order::of(&run.trace, &run.store);
        assert_eq!(order.violations(&[]), [""; 0], "{policy}");
        let (acknowledged, retired) = order.occasions();
        assert!(acknowledged == 60 && retired >= 2, "{policy}: {acknowledged} acknowledged, {retired} retired");
    }
}

#[test]
fn an_early_acknowledgement_and_a_sync_that_is_not_made_are_found() {
    let keep = ["--keep-segments-bytes", "1000000000"];
    let Some(early) = Run::of(&[keep[0], keep[1], "--acknowledge-early"], None) else { return };
    let skipped = Strace::of(order::CALLS).injecting("msync", "retval=0");
    let Some(skipped) = Run::of(&keep, Some(skipped)) else { return };
    for run in [early, skipped] {
        let found = Order::of(&run.trace, &run.store).violations(&Placed::all(&run.store));
        assert!(found.iter().any(|violation| violation.contains("before its frame was synced")), "{found:?}");
    }
}

/// A run that is over, and what was seen of it.
struct Run {
    _dir: tempfile::TempDir,
    store: PathBuf,
    trace: Trace,
}

impl Run {
    /// `None`, said aloud, where nothing can be traced.
    fn of(arguments: &[&str], strace: Option<Strace>) -> Option<Self> {
        let dir = strace::dir("the order of syncs")?;
        let (store, log) = (dir.path().join("data"), dir.path().join("log"));
        let (said, status) = Victim::new(env!("CARGO_BIN_EXE_victim"), &store)
            .with(["--events", EVENTS, "--flush-every", "50", "--fold"])
            .with(arguments.iter().copied())
            .under(strace.unwrap_or_else(|| Strace::of(order::CALLS)).log(&log).around())
            .run();
        assert!(status.success() && said.failures.is_empty(), "{status}: {said:?}");
        let trace = Trace::parse(&std::fs::read_to_string(&log).expect("strace wrote its log"));
        Some(Self { _dir: dir, store, trace })
    }
}
