//! Records that are missing in the log are counted, each once: rows, what is lost and what was set aside add up to the last
//! number that is folded, whatever is done to the log, and however often folding is cut short.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use mcplog::completeness::{Completeness, completeness};
use mcplog::query::TimeRange;
use mcplog::rebuild::{Rebuild, RebuildPlan, Rebuilt, Source};
use mcplog::{Config, Query};
use mcplog_fixture::{Blocker, Fixture, PATIENCE, directory, segment};
use proptest::prelude::*;
use rusqlite::types::Value;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::OnceLock;

const EVENTS: u64 = 5_400;
const FOLDED: u64 = 1_500;

/// A store that was killed: so many of its events are folded, all are synced, and none of its segments was retired. Each event
/// is a record of its own, so the first one has number 1.
fn base() -> &'static Fixture {
    static BASE: OnceLock<Fixture> = OnceLock::new();
    BASE.get_or_init(|| {
        let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
        fixture.record(0..FOLDED);
        fixture.fold();
        let blocker = Blocker::new(&fixture);
        fixture.record(FOLDED..EVENTS);
        fixture.store().flush(PATIENCE).unwrap();
        let killed = fixture.killed();
        std::fs::copy(fixture.dir().join("store.db"), killed.dir().join("store.db")).unwrap();
        std::fs::copy(fixture.dir().join("store.db-wal"), killed.dir().join("store.db-wal")).unwrap();
        drop(blocker);
        fixture.shut_down();
        killed
    })
}

/// What is done to a segment of it, by its place.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Removed(usize),
    /// That frame is another one.
    Frame(usize, usize),
    /// So many of its last frames are none any more, all of which were synced.
    End(usize, usize),
    Header(usize),
    /// It was never synced, as those behind it, and its last frame is torn: what follows is set aside.
    Torn(usize),
}

/// A copy of the base, damaged like that; with its database, or without one.
fn damaged(damages: &[Damage], with_database: bool) -> Fixture {
    let mut fixture = Fixture::new();
    fixture.config.keep_segments_bytes = Some(u64::MAX);
    directory::copy(base().dir(), fixture.dir());
    if !with_database {
        fixture.remove_database();
    }
    let segments = fixture.segments();
    for damage in damages {
        let at = match *damage {
            Damage::Removed(at) | Damage::Frame(at, _) | Damage::End(at, _) | Damage::Header(at) | Damage::Torn(at) => {
                at
            }
        };
        let path = &segments[at % segments.len()];
        if !path.exists() || mcplog::segment::SegmentReader::open(path).is_err() {
            continue;
        }
        let (frames, extent) = segment::frames(&base().segment(at % segments.len()));
        match *damage {
            Damage::Removed(_) => std::fs::remove_file(path).unwrap(),
            Damage::Frame(_, frame) => segment::flip(path, frames[frame % frames.len()] + 20),
            Damage::End(_, count) => {
                frames.iter().rev().take(count % 5 + 1).for_each(|offset| segment::flip(path, offset + 20));
            }
            Damage::Header(_) => segment::patch(path, 30, b"XXXX"),
            Damage::Torn(at) => {
                for later in &segments[at % segments.len()..] {
                    if later.exists() && mcplog::segment::SegmentReader::open(later).is_ok() {
                        segment::forget_syncs(later);
                    }
                }
                segment::patch(path, u64::from(extent.end.0) - 40, &[0; 40]);
            }
        }
    }
    fixture
}

fn ask(fixture: &Fixture) -> Completeness {
    completeness(&Query::open(fixture.dir()).unwrap(), TimeRange::default()).unwrap()
}

fn gaps(fixture: &Fixture) -> Vec<Vec<Value>> {
    fixture.rows("SELECT id, from_ts, to_ts, events, missing FROM gaps ORDER BY id")
}

/// The numbers of the requests that have a row, and of those that are noted as lost.
fn numbers(fixture: &Fixture) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let number = |value: &Value| match value {
        Value::Integer(number) => u64::try_from(*number).unwrap(),
        other => panic!("{other:?}"),
    };
    let rows = fixture.rows("SELECT id FROM requests").iter().map(|row| number(&row[0])).collect();
    let mut lost = BTreeSet::new();
    for run in fixture.rows("SELECT id, events FROM gaps WHERE missing = 1") {
        for missing in number(&run[0])..number(&run[0]) + number(&run[1]) {
            assert!(lost.insert(missing), "{missing} is lost twice");
        }
    }
    (rows, lost)
}

/// The numbers of what lies in quarantine because records before it are missing.
fn set_aside(fixture: &Fixture) -> BTreeSet<u64> {
    let mut aside = BTreeSet::new();
    for segment in mcplog::segment::list(&fixture.dir().join("quarantine")).into_iter().flatten() {
        let note = std::fs::read(segment.path.with_extension("seg.json")).unwrap();
        let note: serde_json::Value = serde_json::from_slice(&note).unwrap();
        if note["last_sequence"].is_u64() && note["damage"].as_array().unwrap().is_empty() {
            let (mut reader, first) =
                (segment::open(&segment.path), segment::open(&segment.path).header().base_sequence.0);
            while let mcplog::segment::Item::Frame(_) = reader.next().unwrap() {}
            aside.extend(first..reader.next_sequence().0);
        }
    }
    aside
}

/// Holds a store that was opened and folded against what is promised. `folded` is what its database had before, and what is
/// before the log if it had none.
fn expect_each_counted_once(fixture: &Fixture, folded: u64, what: &str) {
    let (rows, lost) = numbers(fixture);
    let aside = set_aside(fixture);
    assert!(rows.is_disjoint(&lost) && lost.is_disjoint(&aside) && rows.is_disjoint(&aside), "{what}");
    // What is missing in front of what was set aside, and behind all that is read, is lost once a record follows.
    let last = rows.iter().chain(&lost).max().copied().unwrap_or(0);
    let is_counted = |number: &u64| rows.contains(number) || lost.contains(number) || aside.contains(number);
    let uncounted: Vec<_> = (folded + 1..=last).filter(|number| !is_counted(number)).collect();
    assert!(uncounted.is_empty(), "{what}: {uncounted:?}");
    assert!(lost.iter().all(|number| *number > folded), "{what}");
    let found = ask(fixture);
    assert_eq!((found.unfolded_records, found.missing_records), (Some(0), 0), "{what}");
    assert_eq!(found.set_aside_records, aside.len() as u64, "{what}");
    assert_eq!(u64::try_from(found.gaps.events).unwrap(), lost.len() as u64, "{what}");
    let is_complete = lost.is_empty() && aside.is_empty() && found.quarantined_records == 0;
    assert_eq!(found.is_complete(), is_complete, "{what}: {found:?}");
}

fn open_and_fold(fixture: &mut Fixture) -> mcplog::Health {
    fixture.open();
    fixture.fold();
    fixture.shut_down().health
}

fn any_damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        3 => any::<usize>().prop_map(Damage::Removed),
        3 => any::<(usize, usize)>().prop_map(|(at, frame)| Damage::Frame(at, frame)),
        2 => any::<(usize, usize)>().prop_map(|(at, count)| Damage::End(at, count)),
        1 => any::<usize>().prop_map(Damage::Header),
        1 => any::<usize>().prop_map(Damage::Torn),
    ]
}

fn rebuild_from_log(fixture: &Fixture) -> (Rebuilt, RebuildPlan) {
    let mut watch = |_, _| ControlFlow::Continue(());
    let prepared = Rebuild::prepare(&Config::new(fixture.dir()), Source::Log, true, &mut watch).unwrap();
    let plan = prepared.plan().clone();
    (prepared.run(&mut watch).unwrap(), plan)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn each_record_is_a_row_or_lost_or_set_aside_and_is_counted_once(damages in prop::collection::vec(any_damage(), 1..4)) {
        let what = format!("{damages:?}");
        let mut fixture = damaged(&damages, true);
        let told = ask(&fixture);
        let before = fixture.number("SELECT count(*) FROM requests");
        open_and_fold(&mut fixture);
        expect_each_counted_once(&fixture, FOLDED, &what);
        let (_, lost) = numbers(&fixture);
        // A look before tells no more than folding then finds: damage in a segment shows when that is folded.
        prop_assert!(told.missing_records <= lost.len() as u64, "{told:?}, {} lost", lost.len());
        prop_assert!(fixture.number("SELECT count(*) FROM requests") >= before);
        // Whoever opens it once more, and records, changes nothing about that.
        let gaps_before = gaps(&fixture);
        open_and_fold(&mut fixture);
        prop_assert_eq!(gaps(&fixture), gaps_before);
        fixture.open();
        fixture.record(9_000..9_010);
        fixture.shut_down();
        expect_each_counted_once(&fixture, FOLDED, &what);
        prop_assert_eq!(ask(&fixture).quarantined_records, 0, "what a file held that can't be read is lost by now");
    }

    #[test]
    fn a_database_made_anew_tells_the_losses_that_folding_does(damages in prop::collection::vec(any_damage(), 1..4)) {
        let mut live = damaged(&damages, false);
        let rebuilt = Fixture::new();
        directory::copy(live.dir(), rebuilt.dir());
        open_and_fold(&mut live);
        let (rows, lost) = numbers(&live);
        expect_each_counted_once(&live, rows.iter().chain(&lost).min().map_or(0, |first| first - 1), &format!("{damages:?}"));
        let (_, plan) = rebuild_from_log(&rebuilt);
        let aside = set_aside(&live);
        let (rebuilt_rows, rebuilt_lost) = numbers(&rebuilt);
        // It has what lies in quarantine, too.
        prop_assert!(rebuilt_rows == rows.union(&aside).copied().collect::<BTreeSet<_>>());
        if !live.names("quarantine").iter().any(|name| name.ends_with("seg")) {
            prop_assert_eq!(gaps(&rebuilt), gaps(&live));
        }
        prop_assert_eq!(plan.log.records_in_holes(), rebuilt_lost.len() as u64);
        prop_assert!(plan.log.holes.iter().all(|hole| !hole.folded), "{:?}", plan.log.holes);
        // Once more, and after an opening that sets segments aside, it is the same.
        for fixture in [&rebuilt, &live] {
            let again = rebuild_from_log(fixture).1;
            prop_assert!(numbers(fixture).0 == rebuilt_rows);
            let within = |number: &u64| *number <= rebuilt_rows.last().copied().unwrap_or(0);
            let lost: BTreeSet<_> = numbers(fixture).1.into_iter().filter(within).collect();
            prop_assert!(lost == rebuilt_lost.iter().copied().filter(within).collect::<BTreeSet<_>>());
            prop_assert_eq!(again.log.records_before_log, plan.log.records_before_log);
            prop_assert_eq!(again.log.first_record, plan.log.first_record);
        }
    }
}

#[test]
fn a_hole_between_segments_is_a_gap_with_its_count_and_times_and_health_says_so() {
    let segments = base().segments();
    let hole = |at: usize| {
        let (frames, _) = segment::frames(&segments[at]);
        let first = segment::open(&segments[at]).header().base_sequence.0;
        (first, first + frames.len() as u64 - 1)
    };
    let at = (0..segments.len()).find(|at| hole(*at).0 > FOLDED).unwrap();
    let (first, last) = hole(at);
    let mut fixture = damaged(&[Damage::Removed(at)], true);
    let found = ask(&fixture);
    assert_eq!((found.missing_records, found.is_complete()), (last - first + 1, false));
    let health = open_and_fold(&mut fixture);
    assert!(health.to_string().contains(&format!("numbers {first} to {last}")), "{health}");
    let time = |number: u64| Value::Integer(1_760_000_000_000 + i64::try_from(number).unwrap() - 1);
    let integer = |number: u64| Value::Integer(i64::try_from(number).unwrap());
    let expected = vec![integer(first), time(first - 1), time(last + 1), integer(last - first + 1), Value::Integer(1)];
    assert_eq!(gaps(&fixture), vec![expected]);
    assert_eq!(fixture.number("SELECT count(*) FROM quarantine"), 0);
}

#[test]
fn what_the_database_had_folded_when_the_log_lost_it_is_no_loss_and_the_plan_says_which_is_which() {
    let mut fixture = damaged(&[Damage::Removed(0)], true);
    let first_of_second = segment::open(&fixture.segment(0)).header().base_sequence.0;
    assert!(first_of_second < FOLDED, "the segment that is gone was folded whole");
    open_and_fold(&mut fixture);
    assert_eq!(gaps(&fixture), Vec::<Vec<Value>>::new());
    assert!(ask(&fixture).is_complete());
    // Two more holes: one of what is folded by now, and one of what is lost.
    let mut fixture = damaged(&[Damage::Removed(1)], true);
    open_and_fold(&mut fixture);
    let lost = numbers(&fixture).1;
    std::fs::remove_file(fixture.segment(3)).unwrap();
    let plan =
        mcplog::rebuild::plan(&Config::new(fixture.dir()), Source::Log, false, &mut |_, _| ControlFlow::Continue(()));
    let holes = plan.unwrap().log.holes;
    let of = |folded: bool| -> BTreeSet<u64> {
        let holes = holes.iter().filter(|hole| hole.folded == folded);
        holes.flat_map(|hole| hole.first_record..=hole.last_record).collect()
    };
    assert_eq!(of(false), lost);
    let folded = of(true);
    assert!(folded.len() > lost.len() && folded.is_disjoint(&lost), "{holes:?}");
    assert!(folded.iter().all(|number| numbers(&fixture).0.contains(number)), "{holes:?}");
}

#[test]
fn records_that_go_missing_before_anything_is_folded_are_lost_and_those_of_a_lost_database_are_not() {
    // The database knows that nothing was folded; without it, the first segment may have been retired.
    for (with_database, is_lost) in [(true, true), (false, false)] {
        let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
        let blocker = Blocker::new(&fixture);
        fixture.record(0..1_500);
        fixture.store().flush(PATIENCE).unwrap();
        let mut killed = fixture.killed();
        if with_database {
            std::fs::copy(fixture.dir().join("store.db"), killed.dir().join("store.db")).unwrap();
            std::fs::copy(fixture.dir().join("store.db-wal"), killed.dir().join("store.db-wal")).unwrap();
        }
        drop(blocker);
        fixture.shut_down();
        let gone = segment::frames(&killed.segment(0)).0.len() as u64;
        std::fs::remove_file(killed.segment(0)).unwrap();
        open_and_fold(&mut killed);
        let expected = if is_lost { (1..=gone).collect() } else { BTreeSet::new() };
        assert_eq!(numbers(&killed).1, expected, "{with_database}");
        // A rebuild takes over what is known to be lost before the log.
        rebuild_from_log(&killed);
        assert_eq!(numbers(&killed).1, expected, "{with_database}");
        let plan = rebuild_from_log(&killed).1;
        assert_eq!(plan.losses, [], "{with_database}");
    }
}

#[test]
fn the_records_of_the_last_segment_under_another_ones_name_are_a_gap_once_one_follows() {
    for is_swapped in [false, true] {
        let mut fixture = damaged(&[], true);
        let (first, last) = (fixture.segment(0), fixture.segments().pop().unwrap());
        let (first_header, header) = (*segment::open(&first).header(), *segment::open(&last).header());
        let frames = u64::from(segment::frames(&last).1.frames);
        // Everything in the first one is folded.
        let folded = std::fs::read(&first).unwrap();
        assert!(first_header.base_sequence.0 + u64::from(segment::frames(&first).1.frames) <= FOLDED);
        std::fs::rename(&last, &first).unwrap();
        if is_swapped {
            std::fs::write(&last, folded).unwrap();
        }
        assert!(!ask(&fixture).is_complete(), "before anybody opens it");
        fixture.open();
        assert!(!ask(&fixture).is_complete(), "before a record follows");
        fixture.record([EVENTS]);
        fixture.fold();
        let (rows, lost) = numbers(&fixture);
        let expected: BTreeSet<u64> = (header.base_sequence.0..header.base_sequence.0 + frames).collect();
        assert_eq!(lost, expected, "swapped: {is_swapped}");
        assert_eq!(rows.last(), Some(&(EVENTS + 1)), "swapped: {is_swapped}");
        assert!(!last.exists(), "no id is used twice");
    }
}

#[test]
fn a_lost_header_of_the_segment_that_is_folded_last_loses_no_more_than_follows_the_checkpoint() {
    for (unfolded, first_bytes) in [(0, 1), (0, 4096), (5, 1), (5, 4096)] {
        let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
        fixture.record(0..500);
        fixture.fold();
        let blocker = Blocker::new(&fixture);
        fixture.record(500..500 + unfolded);
        fixture.store().flush(PATIENCE).unwrap();
        let mut killed = fixture.killed();
        for name in ["store.db", "store.db-wal"] {
            std::fs::copy(fixture.dir().join(name), killed.dir().join(name)).unwrap();
        }
        drop(blocker);
        fixture.shut_down();
        assert_eq!(killed.segments().len(), 1, "where the checkpoint stands");
        // A flipped bit of the salt, or the whole first page.
        match first_bytes {
            1 => segment::flip(&killed.segment(0), 13),
            _ => segment::patch(&killed.segment(0), 0, &vec![0; first_bytes]),
        }
        killed.open();
        killed.record([500 + unfolded]);
        killed.fold();
        let (rows, lost) = numbers(&killed);
        assert_eq!(lost, (501..501 + unfolded).collect(), "{unfolded} unfolded, {first_bytes} bytes");
        assert_eq!(rows, (1..=500).chain([501 + unfolded]).collect(), "{unfolded} unfolded, {first_bytes} bytes");
    }
}

#[test]
fn a_segment_that_is_put_back_behind_its_gap_goes_to_quarantine_whole_and_a_rebuild_folds_it() {
    for keep in [0, u64::MAX] {
        let segments = base().segments();
        let at = segments.iter().position(|path| segment::open(path).header().base_sequence.0 > FOLDED).unwrap();
        let whole = std::fs::read(&segments[at]).unwrap();
        let frames = u64::from(segment::frames(&segments[at]).1.frames);
        let mut fixture = damaged(&[Damage::Removed(at)], true);
        let path = fixture.wal().join(segments[at].file_name().unwrap());
        fixture.config.keep_segments_bytes = Some(keep);
        open_and_fold(&mut fixture);
        assert_eq!(numbers(&fixture).1.len() as u64, frames);
        std::fs::write(&path, &whole).unwrap();
        fixture.open();
        fixture.record([EVENTS]);
        fixture.fold();
        fixture.shut_down();
        let aside = fixture.dir().join("quarantine").join(path.file_name().unwrap());
        assert!(!path.exists() && std::fs::read(&aside).unwrap() == whole, "{keep}");
        let check = mcplog::check(fixture.dir(), false, |_| ()).unwrap();
        assert!(check.findings.iter().any(|finding| finding.path == aside), "{check:?}");
        if keep > 0 {
            rebuild_from_log(&fixture);
            let (rows, lost) = numbers(&fixture);
            assert_eq!((rows, lost), ((1..=EVENTS + 1).collect(), BTreeSet::new()));
        }
    }
}
