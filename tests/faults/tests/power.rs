//! Power cuts at random moments, on ext4 and XFS, under three writers at once: what each sync policy promised is there
//! afterwards, and what is missing before the last that is there is counted.
//!
//! A round takes about a second: victims record, their disk's power is cut, the disk is mounted again, the store is opened
//! and looked through. Nothing counts that was not read before the cut.

use mcplog_faults::{Disk, Ordeal, Random, Running, Said, Scale, Victim};
use std::time::{Duration, Instant};

/// After how many rounds a store gets a fresh disk: enough for many recoveries on top of each other, few enough that
/// looking through the store stays cheap.
const ROUNDS_PER_DISK: u64 = 10;
/// From the first acknowledgement to the cut, at most.
const LIFE_MS_MAX: u64 = 300;
/// How long one is listened to before the next: what they say meanwhile waits in their pipes.
const LISTEN: Duration = Duration::from_millis(5);

#[test]
fn under_always_everything_acknowledged_survives_a_power_cut() {
    rounds("under_always_everything_acknowledged_survives_a_power_cut", |ordeal, random| {
        let flush_every = random.one_of(&["1", "7", "50"]);
        let mut victims = start(ordeal, random, &["--sync", "always", "--flush-every", flush_every]);
        // The first acknowledgement takes longer: directories are synced for it.
        victims.iter_mut().for_each(|victim| victim.wait_until(|said| said.acknowledged > 0));
        live(&mut victims, random);
        ordeal.cut(victims).iter().map(Said::durable).collect()
    });
}

#[test]
fn under_interval_everything_older_than_the_last_sync_but_one_survives_a_power_cut() {
    rounds("under_interval_everything_older_than_the_last_sync_but_one_survives_a_power_cut", |ordeal, random| {
        let interval_ms = random.one_of(&["1", "10", "40"]);
        let mut victims = start(ordeal, random, &["--sync", "interval", "--sync-interval-ms", interval_ms]);
        // Nobody flushes: the marks move because the time has come.
        victims.iter_mut().for_each(|victim| victim.wait_until(|said| said.marks.len() > 2));
        live(&mut victims, random);
        // And they go on moving: a store that has stopped to sync would owe nothing new.
        for victim in &mut victims {
            let moved = victim.said().marks.len();
            victim.wait_until(|said| said.marks.len() > moved);
        }
        let said = ordeal.cut(victims);
        said.iter().for_each(assert_nothing_waited_for_more_than_one_sync_and_the_next);
        said.iter().map(Said::durable).collect()
    });
}

#[test]
fn under_never_all_that_the_system_was_told_to_sync_survives_a_power_cut() {
    rounds("under_never_all_that_the_system_was_told_to_sync_survives_a_power_cut", |ordeal, random| {
        let mut victims = start(ordeal, random, &["--sync", "never"]);
        victims.iter_mut().for_each(|victim| victim.wait_until(|said| said.appended > 0));
        live(&mut victims, random);
        // Otherwise nothing at all would be on the disk yet: Linux takes half a minute to begin by itself.
        let appended = victims.iter().map(|victim| victim.said().appended).collect();
        let disk = std::fs::File::open(ordeal.disk().path()).expect("a mounted disk");
        rustix::fs::syncfs(&disk).expect("a disk that works");
        drop(disk);
        live(&mut victims, random);
        ordeal.cut(victims);
        appended
    });
}

/// Victims that record at the same time, each at its own pace.
fn start(ordeal: &Ordeal, random: &mut Random, arguments: &[&str]) -> Vec<Running> {
    let start = |victim: Victim| victim.with(arguments.iter().copied()).with(pace(random)).start();
    ordeal.victims().into_iter().map(start).collect()
}

/// Lets them live for a while, and listens to them all.
fn live(victims: &mut [Running], random: &mut Random) {
    let end = Instant::now() + Duration::from_micros(random.below(LIFE_MS_MAX * 1000));
    while Instant::now() < end {
        victims.iter_mut().for_each(|victim| _ = victim.listen_for(LISTEN));
    }
}

/// Does the rounds of a test on each file system. `round` lets victims live and cuts the power, and tells how many events of
/// each must have survived.
fn rounds(test: &str, mut round: impl FnMut(&mut Ordeal, &mut Random) -> Vec<u64>) {
    let mut random = Random::for_test(test);
    let (mut owed_in_all, mut survived_in_all) = (0, 0);
    for kind in Disk::KINDS {
        for disk in 0..Scale::chosen().rounds(1, 2, 20) {
            let Some(mut ordeal) = Ordeal::or_skip(test, env!("CARGO_BIN_EXE_victim"), kind) else { break };
            for number in 0..Scale::chosen().rounds(3, ROUNDS_PER_DISK, ROUNDS_PER_DISK) {
                let owed = round(&mut ordeal, &mut random);
                if random.below(3) == 0 {
                    // The power is not back for good: it goes while what is left is being folded.
                    let folding = ordeal.victim().with(["--events", "0", "--linger"]).start();
                    std::thread::sleep(Duration::from_micros(random.below(50_000)));
                    ordeal.cut(vec![folding]);
                }
                match ordeal.survivors(&owed) {
                    Ok(survived) => survived_in_all += survived.events.iter().sum::<u64>(),
                    Err(error) => panic!("{kind:?}, disk {disk}, round {number}: {error}"),
                }
                owed_in_all += owed.iter().sum::<u64>();
            }
        }
    }
    println!("{test}: {owed_in_all} events owed, {survived_in_all} there");
}

/// How fast a victim records, and how soon a segment is full.
fn pace(random: &mut Random) -> Vec<&'static str> {
    let (segment_bytes, pause_us) = (random.one_of(&["65536", "262144"]), random.one_of(&["0", "20", "200"]));
    vec!["--tell-every", "16", "--segment-bytes", segment_bytes, "--pause-us", pause_us]
}

/// The promise of the policy `interval`, without a clock. What is in the map is durable once the sync under way is done,
/// each segment that waits is synced, and the active one is. A mark moves at the end of each of these.
fn assert_nothing_waited_for_more_than_one_sync_and_the_next(said: &Said) {
    for (seen, mark) in said.marks.iter().enumerate() {
        let later = usize::try_from(mark.waiting).ok().and_then(|waiting| said.marks.get(seen + 2 + waiting));
        assert!(later.is_none_or(|later| later.durable >= mark.appended), "{mark:?}, and then only {later:?}");
    }
}
