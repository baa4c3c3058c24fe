//! A child that a writer forked off. Alone in its file: a fork copies whatever the other threads of a process hold.

use fork::{Fork, fork};
use mcplog::{Config, Store};
use mcplog_faults::{Holdings, event};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, waitpid};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// Forks without exec, as daemons and preforking servers do: the child has the parent's memory and open files, and none
/// of its threads. What it records with what it got goes nowhere, and hurts nobody; a store that it opens by itself is as
/// good as any process's.
#[test]
fn a_forked_child_writes_nothing_into_its_parents_log_and_may_open_the_store_by_itself() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let config = Config::new(dir.path().join("data"));
    let store = Store::open(config.clone()).expect("open");
    let recorder = store.recorder();
    assert!((0..100).all(|number| event::record(&recorder, number)), "recorded before the fork");
    store.flush(PATIENCE).expect("flush");
    match fork().expect("fork") {
        Fork::Child => {
            // Goes to memory that nobody reads: it is lost with the child, and must not reach the parent's log.
            let recorded = (1_000..1_100).all(|number| event::record(&recorder, number));
            let flushed = store.flush(Duration::from_millis(50)).is_ok();
            let own = Store::open(config).is_ok_and(|own| {
                let recorder = own.recorder();
                let recorded = (2_000..2_100).all(|number| event::record(&recorder, number));
                let report = own.shutdown(PATIENCE);
                recorded && (report.appended, report.dropped) == (100, 0)
            });
            std::process::exit(if recorded && !flushed && own { 0 } else { 1 });
        }
        Fork::Parent(child) => {
            assert!((100..200).all(|number| event::record(&recorder, number)), "recorded after the fork");
            let code = wait(Pid::from_raw(child).expect("a process id")).exit_status();
            assert_eq!(code, Some(0), "the child claims to have flushed, or could not record into a store of its own");
        }
    }
    store.shutdown(PATIENCE);
    let holdings = Holdings::of(dir.path().join("data").as_path());
    assert_eq!(holdings.numbers, (0..200).chain(2_000..2_100).collect::<Vec<_>>());
    assert_eq!((holdings.quarantined, holdings.gap_events), (0, 0));
}

/// How a child ended. One that hangs, as a fork may that finds a lock held for ever, is killed.
fn wait(child: Pid) -> WaitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match waitpid(Some(child), WaitOptions::NOHANG).expect("a child of this process") {
            Some((_, status)) => return status,
            None if Instant::now() > deadline => kill_process(child, Signal::KILL).expect("kill"),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
