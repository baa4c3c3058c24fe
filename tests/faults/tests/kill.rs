//! `kill -9` at random times, under every sync policy: everything that reached the map survives, each event is folded once.

use mcplog_faults::{Holdings, Random, Scale, Victim};
use std::time::Duration;

/// After how many rounds there is a fresh store: enough for many recoveries on top of each other, few enough that looking
/// through the store stays cheap.
const ROUNDS_PER_STORE: u64 = 10;
/// How long a victim lives at most, mostly from when it has opened the store: some segments are filled, folded and retired
/// meanwhile, many where it records without a pause.
const LIFE_US_MAX: u64 = 80_000;

#[test]
fn under_always_everything_that_reached_the_map_survives_kill_9() {
    rounds(
        "under_always_everything_that_reached_the_map_survives_kill_9",
        "always",
        Scale::chosen().rounds(10, 70, 400),
    );
}

#[test]
fn under_interval_everything_that_reached_the_map_survives_kill_9() {
    rounds(
        "under_interval_everything_that_reached_the_map_survives_kill_9",
        "interval",
        Scale::chosen().rounds(10, 60, 400),
    );
}

#[test]
fn under_never_everything_that_reached_the_map_survives_kill_9() {
    rounds("under_never_everything_that_reached_the_map_survives_kill_9", "never", Scale::chosen().rounds(10, 70, 400));
}

/// Kills so many victims, and looks after each.
fn rounds(test: &str, sync: &str, rounds: u64) {
    let mut random = Random::for_test(test);
    let (mut victims, mut while_opening, mut survived) = (0, 0, 0);
    let mut dir = tempfile::tempdir().expect("temporary directory");
    let mut first = 0;
    for round in 0..rounds {
        if round % ROUNDS_PER_STORE == 0 {
            dir = tempfile::tempdir().expect("temporary directory");
            first = 0;
        }
        let store = dir.path().join("data");
        // Now and then several die before anybody gets as far as folding what they left: that is a crash while recovering.
        let deaths = random.one_of(&[1, 1, 2, 3]);
        let mut owed = 0;
        for death in 0..deaths {
            let pause_us = random.one_of(&["0", "20", "200"]);
            let flush_every = random.one_of(&["0", "10", "300"]);
            let mut victim = Victim::new(env!("CARGO_BIN_EXE_victim"), &store)
                .with(["--sync", sync, "--tell-every", "16", "--pause-us", pause_us, "--flush-every", flush_every])
                .with(["--first", &first.to_string()])
                // Those that follow the first only open the store, so that its events stay the last ones.
                .with(if death == 0 { &[] as &[&str] } else { &["--events", "0", "--linger"] })
                .start();
            if random.below(4) > 0 {
                victim.wait_until(|said| said.opened);
            }
            // Not by what else it says: the moment may lie before it says anything.
            std::thread::sleep(Duration::from_micros(random.below(LIFE_US_MAX)));
            let said = victim.kill();
            victims += 1;
            while_opening += u64::from(!said.opened);
            owed = owed.max(said.appended).max(said.durable());
            assert_eq!((said.refused, said.failures.len()), (0, 0), "round {round}: {said:?}");
        }
        let holdings = Holdings::of(&store);
        let found = holdings.prefix(0);
        assert_eq!(found, holdings.numbers.len() as u64, "round {round}: what one thread records in order is a prefix");
        assert!(found >= first + owed, "round {round}: {owed} in the map after {first}, {found} rows");
        assert_eq!((holdings.quarantined, holdings.gap_events), (0, 0), "round {round}");
        assert!(holdings.health.is_ok(), "round {round}: {}", holdings.health);
        survived += found - first;
        first = found;
    }
    println!(
        "{test}: {rounds} rounds, {victims} victims, {while_opening} killed while opening, {survived} events survived"
    );
    // Otherwise this test would show nothing.
    assert!(
        survived > 0 && while_opening * 2 <= victims,
        "{survived} survived, {while_opening} of {victims} while opening"
    );
}
