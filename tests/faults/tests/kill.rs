//! `kill -9` at random times: everything that reached the map survives, each event is folded once.

use mcplog_faults::{Holdings, Scale, Victim};

#[test]
fn everything_that_reached_the_map_survives_kill_9_and_is_folded_once() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = dir.path().join("data");
    let mut first = 0;
    for round in 0..Scale::chosen().of(20, 200) {
        let mut victim = Victim::new(env!("CARGO_BIN_EXE_victim"), &store)
            .with(["--sync", "never", "--tell-every", "16", "--first", &first.to_string()])
            .start();
        assert!(victim.listen_until(|said| said.appended >= round * 331 % 2000), "the victim ended by itself");
        let said = victim.kill();
        let holdings = Holdings::of(&store);
        let found = holdings.prefix(0);
        assert_eq!(found, holdings.numbers.len() as u64, "round {round}: what one thread records in order is a prefix");
        assert!(
            found >= first + said.appended,
            "round {round}: {} appended after {first}, {found} rows",
            said.appended
        );
        assert_eq!((holdings.quarantined, holdings.gap_events), (0, 0), "round {round}");
        first = found;
    }
}
