//! What is due: by the table, and that nobody makes records without end.

use super::*;
use proptest::prelude::*;

const TOOLS: Subject = Subject { endpoint: None, method: SchemaMethod::Tools };

impl Sightings {
    /// What becomes of a sighting where everything is taken.
    fn see(&mut self, caller: &str, content_hash: &str, ts: i64) -> Due {
        let due = self.due(&TOOLS, caller, content_hash, ts);
        match due {
            Due::Nothing => self.pass(&TOOLS, caller, content_hash, ts),
            Due::Sighting => self.recorded_sighting(&TOOLS, caller, content_hash, ts),
            Due::Whole => self.recorded_whole(&TOOLS, caller, content_hash, ts),
        }
        due
    }
}

#[test]
fn callers_who_take_turns_make_one_record_more_and_a_roll_back_is_one() {
    let mut sightings = Sightings::default();
    assert_eq!(sightings.see("alice", "few", 1), Due::Whole);
    assert_eq!(sightings.see("bob", "many", 2), Due::Whole);
    assert_eq!(sightings.see("alice", "few", 3), Due::Sighting, "still offered beside the other");
    for ts in 4..100 {
        assert_eq!(sightings.see("bob", "many", ts), Due::Nothing);
        assert_eq!(sightings.see("alice", "few", ts), Due::Nothing);
    }
    assert_eq!(sightings.see("carol", "few", 100), Due::Sighting, "a new caller");
    assert_eq!(sightings.see("carol", "few", 101), Due::Nothing);
    assert_eq!(sightings.see("alice", "many", 102), Due::Sighting);
    assert_eq!(sightings.see("alice", "few", 103), Due::Sighting, "a roll-back");
    assert_eq!(
        sightings.due(&Subject { method: SchemaMethod::Prompts, ..TOOLS }, "alice", "few", 103),
        Due::Whole,
        "another method"
    );
}

#[test]
fn servers_behind_one_origin_are_nothing_to_each_other() {
    let mut sightings = Sightings::default();
    let servers = ["/a", "/b"].map(|path| Subject { endpoint: Some(path.into()), ..TOOLS });
    for ts in 0..10 {
        for (server, version) in servers.iter().zip(["1", "2"]) {
            let due = sightings.due(server, "alice", version, ts);
            assert_eq!(due, if ts == 0 { Due::Whole } else { Due::Nothing }, "{ts} {server:?}");
            if ts == 0 {
                sightings.recorded_whole(server, "alice", version, ts);
            }
        }
    }
    assert_eq!(sightings.due(&servers[1], "alice", "1", 10), Due::Whole, "it is on record of the other one only");
}

#[test]
fn what_was_not_taken_is_due_again() {
    let mut sightings = Sightings::default();
    for _ in 0..3 {
        assert_eq!(sightings.due(&TOOLS, "a", "1", 1), Due::Whole);
    }
    sightings.recorded_whole(&TOOLS, "a", "1", 1);
    for _ in 0..3 {
        assert_eq!(sightings.due(&TOOLS, "b", "1", 2), Due::Sighting);
    }
}

#[test]
fn a_payload_that_is_too_large_is_tried_once() {
    let mut sightings = Sightings::default();
    assert_eq!(sightings.due(&TOOLS, "a", "1", 1), Due::Whole);
    sightings.too_large(&TOOLS, "1");
    assert_eq!(sightings.see("a", "1", 1), Due::Sighting);
    assert_eq!(sightings.see("a", "1", i64::MAX), Due::Nothing);
    assert_eq!(sightings.see("b", "1", i64::MAX), Due::Sighting);
}

#[test]
fn an_old_payload_is_recorded_once_more_for_who_is_offered_it_anew() {
    let mut sightings = Sightings::default();
    let later = PAYLOAD_MS_MAX.cast_signed() + 2;
    assert_eq!(sightings.see("a", "1", 1), Due::Whole);
    assert_eq!(sightings.see("a", "1", later), Due::Nothing);
    assert_eq!(sightings.see("b", "1", later), Due::Whole);
    assert_eq!(sightings.see("c", "1", later), Due::Sighting);
}

#[test]
fn what_a_store_knows_is_on_record_and_what_was_seen_meanwhile_is_newer() {
    let mut sightings = Sightings::default();
    assert_eq!(sightings.see("b", "2", 50), Due::Whole);
    let known = |caller: &str, content_hash: &str, ts| KnownVersion {
        endpoint: None,
        method: SchemaMethod::Tools,
        content_hash: content_hash.to_owned(),
        caller: caller.to_owned(),
        since_ts: ts,
        last_ts: ts,
    };
    sightings.learn(vec![known("b", "1", 1), known("a", "1", 2)]);
    assert_eq!(sightings.see("b", "2", 60), Due::Nothing);
    assert_eq!(sightings.see("a", "1", 61), Due::Sighting, "still offered beside the newer one");
    assert_eq!(sightings.see("a", "1", 62), Due::Nothing);
    assert_eq!(sightings.see("c", "1", 63), Due::Sighting);
}

#[test]
fn callers_whose_credential_changes_each_time_make_few_records() {
    let mut sightings = Sightings::default();
    let mut records = 0;
    for ts in 0..1000 {
        // Two users behind each other, each with a new token for each call.
        records += usize::from(sightings.see(&format!("alice {ts}"), "few", 2 * ts) != Due::Nothing);
        records += usize::from(sightings.see(&format!("bob {ts}"), "many", 2 * ts + 1) != Due::Nothing);
    }
    assert!(records <= 2 * NAMED_MAX + 2, "{records}");
    assert_eq!(sightings.see("another", "new", 3000), Due::Whole, "a change shows all the same");
}

proptest! {
    #[test]
    fn memory_is_bounded_and_whoever_is_remembered_and_sees_nothing_new_makes_no_record(
        calls in proptest::collection::vec((0..12_u8, 0..9_u8), 0..200),
    ) {
        let mut sightings = Sightings::default();
        for (ts, (caller, version)) in (0..).zip(calls) {
            sightings.see(&caller.to_string(), &version.to_string(), ts);
            prop_assert!(sightings.callers.len() <= CALLERS_MAX && sightings.versions.len() <= VERSIONS_MAX);
            prop_assert_eq!(sightings.see(&caller.to_string(), &version.to_string(), ts), Due::Nothing);
        }
        // However often those who are remembered come again, in whatever order.
        let all: Vec<_> = sightings.callers.iter().map(|((_, caller), seen)| (caller.clone(), seen.content_hash.clone())).collect();
        for round in 0..3 {
            for (caller, content_hash) in &all {
                let due = sightings.see(caller, content_hash, 1000 + round);
                prop_assert!(due == Due::Nothing || round == 0 && due == Due::Sighting, "{:?} in round {}", due, round);
            }
        }
    }
}
