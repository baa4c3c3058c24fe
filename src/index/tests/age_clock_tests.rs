//! The believed time, look by look.

use super::*;
use proptest::prelude::*;

/// When the tables begin.
const START: i64 = 1_760_000_000_000;
const YEAR: i64 = 365 * DAY_MS;
/// What most people keep.
const MONTH: u64 = 30 * 24 * 3_600_000;

/// What happens between two looks.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// So much time passes.
    Pass(i64),
    /// Somebody sets the clock.
    Step(i64),
    /// The machine is off for so long, by a clock that is right.
    Off(i64),
}
use Then::{Off, Pass, Step};

/// A clock and what is believed of it; both as of [`START`].
struct World {
    clock_ms: i64,
    age: AgeClock,
    age_ms: u64,
}

impl World {
    fn agreeing(age_ms: u64) -> Self {
        Self { clock_ms: START, age: AgeClock { believed_ms: START, doubted_ms: None }, age_ms }
    }

    fn then(&mut self, what: Then) {
        let passed = match what {
            Pass(ms) => Some(ms),
            Step(_) => Some(0),
            Off(_) => None,
        };
        let (Pass(ms) | Step(ms) | Off(ms)) = what;
        self.clock_ms += ms;
        self.age = self.age.after(passed, self.clock_ms, Doubts::of_age(self.age_ms));
    }

    fn aged_at(&self) -> i64 {
        self.age.aged_at_ms(self.clock_ms) - START
    }
}

#[test]
fn ages_count_from_the_time_that_passed_until_the_clock_has_stood_by_what_it_says() {
    let tolerance = 30 * HOUR_MS;
    // What happens; the time from which ages count then, since the start; whether the clock is doubted.
    let cases: &[(&str, u64, &[Then], i64, bool)] = &[
        ("nothing", MONTH, &[Pass(0)], 0, false),
        ("time passes", MONTH, &[Pass(HOUR_MS), Pass(40 * DAY_MS)], HOUR_MS + 40 * DAY_MS, false),
        ("slewed", MONTH, &[Pass(HOUR_MS), Step(500)], HOUR_MS + 500, false),
        ("off over night", MONTH, &[Off(16 * HOUR_MS)], 16 * HOUR_MS, false),
        ("a small step", MONTH, &[Step(tolerance)], tolerance, false),
        // A year ahead: what passes counts, and no more.
        ("a year ahead", MONTH, &[Step(YEAR)], 0, true),
        ("and some days", MONTH, &[Step(YEAR), Pass(DAY_MS), Pass(3 * DAY_MS)], 4 * DAY_MS, true),
        ("set right again", MONTH, &[Step(YEAR), Pass(DAY_MS), Step(-YEAR)], DAY_MS, false),
        ("nobody sets it right", MONTH, &[Step(YEAR), Pass(7 * DAY_MS - 1)], 7 * DAY_MS - 1, true),
        ("for a week", MONTH, &[Step(YEAR), Pass(7 * DAY_MS)], YEAR + 7 * DAY_MS, false),
        (
            "wrong again",
            MONTH,
            &[Step(YEAR), Pass(DAY_MS), Step(-YEAR), Step(YEAR), Pass(6 * DAY_MS)],
            7 * DAY_MS,
            true,
        ),
        // Believed though wrong, and then set right: the clock is the earlier one, so it counts at once.
        ("a wrong belief", MONTH, &[Step(YEAR), Pass(7 * DAY_MS), Step(-YEAR)], 7 * DAY_MS, true),
        ("mends itself", MONTH, &[Step(YEAR), Pass(7 * DAY_MS), Step(-YEAR), Pass(7 * DAY_MS)], 14 * DAY_MS, false),
        // Back, to the beginning of time: nothing is too old, and after the mistake nothing is doubted.
        ("back", MONTH, &[Step(-START)], -START, true),
        ("back and right again", MONTH, &[Step(-START), Pass(DAY_MS), Step(START)], DAY_MS, false),
        // Shorter ages have shorter doubts: with an hour, what was recorded before the step is too old by then anyway.
        ("an hour", 3_600_000, &[Step(YEAR), Pass(HOUR_MS - 1)], HOUR_MS - 1, true),
        ("an hour later", 3_600_000, &[Step(YEAR), Pass(HOUR_MS)], YEAR + HOUR_MS, false),
        ("a minute", 60_000, &[Step(60_000)], 60_000, false),
        ("two minutes", 60_000, &[Step(120_000)], 0, true),
        // The machine was off for long, or its clock is wrong: nobody knows. Some of it is believed.
        ("a month off", MONTH, &[Off(YEAR)], tolerance, true),
        ("a month off, a week on", MONTH, &[Off(YEAR), Pass(DAY_MS), Pass(7 * DAY_MS)], YEAR + 8 * DAY_MS, false),
        ("over the weekend", MONTH, &[Off(60 * HOUR_MS)], 60 * HOUR_MS, false),
        ("over a long one", MONTH, &[Off(70 * HOUR_MS)], tolerance, true),
        ("and a night", MONTH, &[Off(70 * HOUR_MS), Pass(8 * HOUR_MS), Off(16 * HOUR_MS)], 94 * HOUR_MS, false),
        ("off, and the clock stood still", MONTH, &[Off(-DAY_MS)], -DAY_MS, false),
        ("off, and the battery is empty", MONTH, &[Off(-START), Pass(HOUR_MS), Step(START)], HOUR_MS, false),
        ("for ever", u64::MAX, &[Step(YEAR)], YEAR, false),
    ];
    for (name, age_ms, happens, aged_at, doubted) in cases {
        let mut world = World::agreeing(*age_ms);
        happens.iter().for_each(|what| world.then(*what));
        assert_eq!((world.aged_at(), world.age.doubted_ms.is_some()), (*aged_at, *doubted), "{name}");
    }
}

#[test]
fn a_store_without_a_believed_time_begins_with_the_newest_request_and_never_later_than_the_clock() {
    let doubts = Doubts::of_age(MONTH);
    let first = |newest: Option<i64>| AgeClock::first(newest.map(|ago| START - ago), START, doubts);
    assert_eq!(first(None), AgeClock { believed_ms: START, doubted_ms: None });
    assert_eq!(first(Some(0)), AgeClock { believed_ms: START, doubted_ms: None });
    assert_eq!(first(Some(2 * doubts.tolerance_ms)), AgeClock { believed_ms: START, doubted_ms: None });
    assert_eq!(
        first(Some(YEAR)),
        AgeClock { believed_ms: START - YEAR + doubts.tolerance_ms, doubted_ms: Some(0) },
        "an archive, or a wrong clock"
    );
    assert_eq!(first(Some(-73 * YEAR)), AgeClock { believed_ms: START, doubted_ms: None }, "stamped 2099");
    let long_ago = AgeClock::first(Some(i64::MIN), START, doubts);
    assert_eq!(long_ago.aged_at_ms(START), i64::MIN + doubts.tolerance_ms);
}

fn then() -> impl Strategy<Value = Then> {
    prop_oneof![
        4 => (0..3 * DAY_MS).prop_map(Pass),
        1 => (-2 * YEAR..2 * YEAR).prop_map(Step),
        1 => (-YEAR..YEAR).prop_map(Off),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ages_never_count_from_a_time_after_the_clock_and_no_doubt_outlasts_its_patience(
        happens in proptest::collection::vec(then(), 0..40), age_ms in 60_000..YEAR as u64,
    ) {
        let mut world = World::agreeing(age_ms);
        for what in happens {
            world.then(what);
            prop_assert!(world.age.aged_at_ms(world.clock_ms) <= world.clock_ms);
        }
        let patience_ms = Doubts::of_age(age_ms).patience_ms;
        // The first look may begin a doubt, with the second its time has passed.
        world.then(Pass(1));
        world.then(Pass(patience_ms));
        prop_assert_eq!(world.age, AgeClock { believed_ms: world.clock_ms, doubted_ms: None });
    }

    #[test]
    fn one_wrong_step_of_any_size_takes_nothing_before_its_time_within_the_patience(
        before in 0..YEAR, step in 0..2 * YEAR, looks in proptest::collection::vec(0..DAY_MS, 0..20), age_ms in 60_000..YEAR as u64,
    ) {
        let mut world = World::agreeing(age_ms);
        world.then(Pass(before));
        world.then(Step(step));
        let Doubts { tolerance_ms, patience_ms } = Doubts::of_age(age_ms);
        let mut passed = 0;
        for ms in looks {
            passed += ms;
            if passed >= patience_ms {
                break;
            }
            world.then(Pass(ms));
            prop_assert!(world.aged_at() <= before + passed + tolerance_ms, "{} {}", world.aged_at(), passed);
        }
    }
}

#[test]
fn people_are_told_how_far_the_clock_is_off_and_until_when_that_counts() {
    let mut world = World::agreeing(MONTH);
    let patience_ms = Doubts::of_age(MONTH).patience_ms;
    assert_eq!(world.age.held_back(world.clock_ms, patience_ms), None);
    world.then(Step(YEAR));
    world.then(Pass(DAY_MS));
    let ahead = world.age.held_back(world.clock_ms, patience_ms).unwrap();
    assert_eq!(ahead, HeldBack { ahead_ms: YEAR, left_ms: 6 * DAY_MS });
    let text = ahead.to_string();
    assert!(text.contains("365 days ahead") && text.contains("another 6 days"), "{text}");
    let behind = HeldBack { ahead_ms: -HOUR_MS, left_ms: 80_000 }.to_string();
    assert!(behind.contains("1 hour behind") && behind.contains("another 1 minute"), "{behind}");
}
