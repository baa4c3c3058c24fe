//! Writers that are killed, stopped and replaced at random, who folds included: everything that reached a map is in the
//! tables, once. The same where the lock that says who folds is worth nothing.

use mcplog_faults::{Random, Scale, missing, skip};
use mcplog_many::{Crowd, Found, Start, settle, violations};
use std::path::Path;
use std::time::Duration;

/// How many live at a time.
const LIVING: usize = 6;
/// From one deed to the next.
const PAUSE_MS: std::ops::Range<u64> = 100..300;
/// How long one is stopped at most.
const STOPPED_MS_MAX: u64 = 15_000;

#[test]
fn killed_stopped_and_replaced_writers_lose_nothing_that_reached_a_map_and_nothing_is_folded_twice() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let start = start(dir.path());
    rounds("killed_stopped_and_replaced", start, |_| {});
}

/// Everybody gets the lock, always: all fold at once, each with a memory of its own of what the tables hold.
#[test]
fn where_the_lock_to_fold_keeps_nobody_out_nothing_is_lost_or_folded_twice() {
    let test = "where_the_lock_to_fold_keeps_nobody_out_nothing_is_lost_or_folded_twice";
    if let Some(why) = missing("strace") {
        return skip(test, &why);
    }
    let dir = tempfile::tempdir().expect("temporary directory");
    let log = dir.path().join("granted");
    let fold = dir.path().join("data").join("FOLD");
    // -D: the tracer is the writer's child, so that the one that is started is the writer. The call is not made, and says
    // that it succeeded.
    let strace = ["strace", "-D", "-f", "-qq", "--seccomp-bpf", "-A", "-o"].map(Into::into).into_iter();
    let strace = strace.chain([log.as_os_str().to_owned(), "-P".into(), fold.into()]);
    let strace = strace.chain(["-e", "trace=flock", "-e", "inject=flock:retval=0", "--"].map(Into::into));
    let lives = rounds(test, start(dir.path()).under(strace), |_| {});
    let granted = std::fs::read_to_string(&log).expect("strace wrote its log");
    let granted = granted.lines().filter(|line| line.contains("LOCK_EX") && line.contains("INJECTED")).count() as u64;
    println!("{test}: {lives} lives, and {granted} times the lock was granted to whoever asked");
    assert!(granted >= lives / 2, "the lock was granted {granted} times to {lives} lives");
}

/// As whatever tidies up old files does: those who have the old file open hold a lock that nobody else sees.
#[test]
fn where_the_lock_to_fold_is_deleted_again_and_again_nothing_is_lost_or_folded_twice() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let fold = dir.path().join("data").join("FOLD");
    let mut deleted = 0;
    rounds("where_the_lock_to_fold_is_deleted", start(dir.path()), |random| {
        if random.below(2) == 0 && std::fs::remove_file(&fold).is_ok() {
            deleted += 1;
        }
    });
    assert!(deleted > 2, "the lock was deleted {deleted} times");
}

fn start(dir: &Path) -> Start {
    Start::within(env!("CARGO_BIN_EXE_writer"), dir)
}

/// Does something to a crowd so many times, judges what is left, and returns how many lived.
fn rounds(test: &str, start: Start, mut also: impl FnMut(&mut Random)) -> u64 {
    let mut random = Random::for_test(test);
    let mut crowd = Crowd::new(start);
    let (mut killed, mut holders, mut stopped) = (0, 0, 0);
    for _ in 0..Scale::chosen().rounds(20, 200, 2000) {
        while crowd.living() < LIVING {
            let pace = pace(&mut random);
            crowd.begin(pace);
        }
        std::thread::sleep(Duration::from_millis(PAUSE_MS.start + random.below(PAUSE_MS.end - PAUSE_MS.start)));
        crowd.let_go_on();
        also(&mut random);
        // Who folds is no better off than the others: of two deeds, one is done to it.
        let anybody = usize::try_from(random.below(LIVING as u64)).expect("a place");
        let holder = crowd.holder().filter(|_| random.below(2) == 0);
        let place = holder.unwrap_or(anybody);
        match random.below(10) {
            0..6 => {
                crowd.kill(place);
                (killed, holders) = (killed + 1, holders + u64::from(holder.is_some()));
            }
            6 | 7 => {
                // As often for less than half a second as for more than five.
                let longest_ms = random.one_of(&[500, 5_000, STOPPED_MS_MAX]);
                crowd.stop(place, Duration::from_millis(100 + random.below(longest_ms - 100)));
                stopped += 1;
            }
            8 => {
                crowd.end(place);
            }
            _ => {
                for _ in 0..LIVING / 2 {
                    crowd.kill(0);
                    killed += 1;
                }
            }
        }
    }
    let (store, count) = (crowd.store().to_owned(), crowd.lives());
    let lives = if random.below(2) == 0 { crowd.end_all() } else { crowd.kill_all() };
    settle(&store);
    let found = Found::of(&store);
    let rows = found.requests.len();
    println!("{test}: {count} lives, {killed} killed, {holders} of them while folding, {stopped} stopped, {rows} rows");
    assert_eq!(violations(&lives, &found), [""; 0], "{test}");
    let report = mcplog::check(&store, false, |_| {}).expect("a report");
    assert_eq!(report.findings, [], "{test}");
    // Otherwise this would show nothing.
    assert!(rows > 1000 && holders > 0, "{test}: {rows} rows, {holders} holders killed");
    count
}

/// How one records: seldom, evenly, or much at once; into what; and whether what finds no room is dropped.
fn pace(random: &mut Random) -> Vec<String> {
    let (burst, pause_us) = random.one_of(&[(1, 50_000), (1, 2_000), (16, 10_000), (200, 200_000), (16, 10_000)]);
    let events = random.one_of(&[0, 1, 300, 20_000, 20_000, 20_000, 20_000]);
    let segment_bytes = random.one_of(&[64 * 1024, 64 * 1024, 1024 * 1024]);
    let sync = random.one_of(&["always", "interval", "never"]);
    let (channel_events, wait_ms) = random.one_of(&[(4096, 60_000), (4096, 60_000), (64, 0)]);
    [
        format!("--burst={burst}"),
        format!("--pause-us={pause_us}"),
        format!("--events={events}"),
        format!("--segment-bytes={segment_bytes}"),
        format!("--sync={sync}"),
        format!("--channel-events={channel_events}"),
        format!("--record-wait-ms={wait_ms}"),
    ]
    .into()
}
