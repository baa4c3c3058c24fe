//! Writers of another machine, on a file system that may be shared with it: FUSE, which is not known to be this machine's own.
//!
//! The other machine is this one with another boot id, as far as its processes see. What it can't do is to keep its locks
//! to itself; so a writer of it is killed, which leaves its lock as free as one that does not reach this machine.

use mcplog::query::RequestFilter;
use mcplog::{Config, Query, Store};
use mcplog_faults::{Holdings, Kind, Victim, Volume, event, missing, placed, skip};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
/// Runs what follows where this machine's boot id is another one: what stands in the file `$0`.
const ELSEWHERE: &str = r#"mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@""#;

#[test]
fn of_another_machine_nobody_is_dead_before_it_says_so_and_all_that_it_recorded_is_folded() {
    let test = "of_another_machine_nobody_is_dead_before_it_says_so_and_all_that_it_recorded_is_folded";
    let Some(volume) = Volume::roomy_or_skip(test, Kind::Fuse) else { return };
    let dir = tempfile::tempdir().expect("temporary directory");
    let boot_id = dir.path().join("boot_id");
    std::fs::write(&boot_id, "11111111-2222-4333-8444-555555555555\n").expect("write");
    let elsewhere = ["unshare", "-m", "sh", "-c", ELSEWHERE, boot_id.to_str().expect("UTF-8")];
    let can = Command::new(elsewhere[0]).args(&elsewhere[1..]).arg("true").status();
    if !can.is_ok_and(|status| status.success()) {
        return skip(test, &missing("unshare").unwrap_or_else(|| "nothing can be mounted over the boot id".into()));
    }
    let path = volume.path().join("data");
    let logs = || placed::folders(&path.join("wal"));
    let victim = |first: u64| {
        let numbers = [first.to_string(), "100".to_owned()];
        let arguments = ["--first", &numbers[0], "--events", &numbers[1], "--flush-every", "100"].map(str::to_owned);
        Victim::new(env!("CARGO_BIN_EXE_victim"), &path).with(arguments)
    };
    let record_and_kill = |victim: Victim| {
        let before = logs();
        let mut running = victim.with(["--linger"]).start();
        running.wait_until(|said| said.acknowledged == 100);
        let new = logs().into_iter().find(|folder| !before.contains(folder)).expect("its folder");
        running.kill();
        new
    };

    // This one folds.
    let store = Store::open(Config::new(&path)).expect("open");
    assert!((0..100).all(|number| event::record(&store.recorder(), number)));
    store.wait_folded(PATIENCE).expect("folded");
    let killed_elsewhere = record_and_kill(victim(1000).under(elsewhere));
    wait_until("rows of the other machine", || requests(&path) == 200);
    let killed_here = record_and_kill(victim(2000));
    wait_until("a dead writer's folder goes", || !killed_here.exists());
    let (said, status) = victim(3000).under(elsewhere).run();
    assert!(status.success(), "{said:?}");
    // Of the other machine, only what says that it ended goes.
    wait_until("the folder goes of a writer that ended", || logs().len() == 2);
    assert!(killed_elsewhere.exists(), "{:?}", logs());
    store.shutdown(PATIENCE);
    assert_eq!(logs(), std::slice::from_ref(&killed_elsewhere));

    // The other machine knows that its own process is dead.
    let mut other = victim(4000).under(elsewhere).with(["--until-told"]).start();
    wait_until("the other machine folds", || !killed_elsewhere.exists());
    other.release();
    let (said, status) = other.finish();
    assert!(status.success(), "{said:?}");
    let holdings = Holdings::of(&path);
    assert_eq!(holdings.numbers, (0..5).flat_map(|first| first * 1000..first * 1000 + 100).collect::<Vec<_>>());
    assert_eq!((holdings.quarantined, holdings.gap_events), (0, 0));
}

fn requests(dir: &Path) -> i64 {
    let counted = Query::open(dir).and_then(|query| query.count_requests(&RequestFilter::default()));
    counted.unwrap_or_default()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
