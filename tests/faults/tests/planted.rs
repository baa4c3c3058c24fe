//! The power cut tests can fail: each of these plants a bug that only a power cut shows, and wants to see it caught by the
//! same rounds that `power.rs` does. What a single round catches depends on the moment; so each may try a few times.

use mcplog_faults::{Broken, Disk, Kind, Ordeal, Random, Said, Victim, missing, skip};

/// More than enough: nearly every round shows each of these bugs.
const ROUNDS_MAX: u64 = 40;

#[test]
fn a_build_that_skips_msync_is_caught() {
    // ext4: where segments are mapped.
    let plant = |victim: Victim| victim.under(lie("msync"));
    caught("a_build_that_skips_msync_is_caught", "strace", &[Kind::Ext4], plant, |_| 50);
}

#[test]
fn a_build_that_skips_fsync_is_caught() {
    // Long enough for segments of some 600 events to be folded and retired: where the log itself is synced by msync, what is
    // lost is rows of the database. Directories that are not synced don't show: both file systems keep the order.
    let plant = |victim: Victim| victim.under(lie("fsync,fdatasync")).with(["--pause-us", "50"]);
    caught("a_build_that_skips_fsync_is_caught", "strace", &Disk::KINDS, plant, |_| 4000);
}

#[test]
fn a_run_under_eatmydata_is_caught() {
    caught("a_run_under_eatmydata_is_caught", "eatmydata", &Disk::KINDS, |victim| victim.under(["eatmydata"]), |_| 50);
}

#[test]
fn a_victim_that_acknowledges_early_is_caught() {
    // The cut has to come between a word and its truth. The pause lets the appender fall asleep, which makes that longer.
    let plant = |victim: Victim| victim.with(["--acknowledge-early", "--pause-us", "500"]);
    caught("a_victim_that_acknowledges_early_is_caught", "xfs_io", &Disk::KINDS, plant, |random| 1 + random.below(100));
}

/// Runs a victim so that these system calls are skipped and say that all is well.
fn lie(calls: &str) -> [String; 5] {
    let inject = format!("--inject={calls}:retval=0");
    ["strace".into(), "--follow-forks".into(), "--quiet=all".into(), "--output=/dev/null".into(), inject]
}

/// Wants the planted bug to cost a victim events that it called durable, in one of many rounds. `enough` tells how many the
/// victim must call durable before the power is cut.
fn caught(
    test: &str,
    tool: &str,
    kinds: &[Kind],
    plant: impl Fn(Victim) -> Victim,
    enough: impl Fn(&mut Random) -> u64,
) {
    if let Some(why) = missing(tool) {
        return skip(test, &why);
    }
    let mut random = Random::for_test(test);
    for round in 0..ROUNDS_MAX {
        let kind = random.one_of(kinds);
        let Some(mut ordeal) = Ordeal::or_skip(test, env!("CARGO_BIN_EXE_victim"), kind) else { return };
        // What the store is begins soundly: `store-id` and the tables are there, and would not show what is lost of events.
        ordeal.begin();
        // One of three is the one in which the bug is planted.
        let arguments = ["--sync", "always", "--flush-every", "5", "--segment-bytes", "65536"];
        let mut victims: Vec<_> = ordeal.victims().into_iter().map(|victim| victim.with(arguments)).collect();
        victims[0] = plant(victims[0].clone());
        let mut first = victims.remove(0).start();
        // So that it is the one that folds.
        first.wait_until(|said| said.acknowledged > 0);
        let mut victims: Vec<_> = std::iter::once(first).chain(victims.iter().map(Victim::start)).collect();
        let enough = enough(&mut random);
        victims[1..].iter_mut().for_each(|victim| victim.wait_until(|said| said.acknowledged > 0));
        victims[0].wait_until(|said| said.acknowledged >= enough);
        let owed: Vec<_> = ordeal.cut(victims).iter().map(Said::durable).collect();
        match ordeal.survivors(&owed) {
            Ok(_) => {}
            Err(Broken::Lost(what)) => return println!("{test}: caught in round {round}: {what}"),
            // Whatever that is, it is not what was planted.
            Err(Broken::Otherwise(what)) => println!("{test}: broken otherwise in round {round}: {what}"),
        }
    }
    panic!("{ROUNDS_MAX} rounds, and nothing was lost");
}
