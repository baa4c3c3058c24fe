//! Records that are missing in a log are counted, each once: rows and what is lost add up to the last number that is folded,
//! whatever is done to the log, and however often folding is cut short.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use mcplog::completeness::{Completeness, completeness};
use mcplog::query::TimeRange;
use mcplog::rebuild::{Rebuild, RebuildPlan, Rebuilt, Source};
use mcplog::{Config, Query};
use mcplog_fixture::{Blocker, Fixture, PATIENCE, directory, segment};
use proptest::prelude::*;
use rusqlite::types::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::OnceLock;

const EVENTS: u64 = 5_400;
const FOLDED_EVENTS: u64 = 1_500;
/// The last number that the base has folded: record 1 says who writes.
const FOLDED: u64 = FOLDED_EVENTS + 1;

/// A store that was killed: so many of its events are folded, all are synced, and its folded segments are retired but for the
/// one in which the checkpoint stands.
fn base() -> &'static Fixture {
    static BASE: OnceLock<Fixture> = OnceLock::new();
    BASE.get_or_init(|| {
        let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
        fixture.record(0..FOLDED_EVENTS);
        fixture.fold();
        let blocker = Blocker::new(&fixture);
        fixture.record(FOLDED_EVENTS..EVENTS);
        fixture.store().flush(PATIENCE).unwrap();
        let killed = fixture.killed();
        copy_database(&fixture, &killed);
        drop(blocker);
        fixture.shut_down();
        assert!(killed.segments().len() > 4, "{:?}", killed.segments());
        killed
    })
}

/// Copies the database of a store as a kill would leave it.
fn copy_database(from: &Fixture, to: &Fixture) {
    for name in ["store.db", "store.db-wal"] {
        std::fs::copy(from.dir().join(name), to.dir().join(name)).unwrap();
    }
}

/// The writer of the base's log, as its folder is named.
fn writer() -> String {
    base().names("wal").remove(0)
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
    /// It was never synced, as those behind it, and its last frame is torn.
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

/// Table gaps, without the ids, which are the order of folding.
fn gaps(fixture: &Fixture) -> Vec<Vec<Value>> {
    fixture.rows(
        "SELECT w.writer, g.sequence, g.from_ts, g.to_ts, g.events, g.missing FROM gaps AS g JOIN writers AS w ON w.id = g.writer
         ORDER BY w.writer, g.sequence",
    )
}

/// Numbers of records, by their writers.
type Numbers = BTreeMap<String, BTreeSet<u64>>;

/// The numbers of the requests that have a row, and of the records that are noted as lost.
fn numbers(fixture: &Fixture) -> (Numbers, Numbers) {
    let of = |sql: &str| {
        let mut numbers = Numbers::new();
        for row in fixture.rows(sql) {
            let [Value::Text(writer), Value::Integer(first), Value::Integer(count)] = &row[..] else {
                panic!("{row:?}")
            };
            for number in *first..first + count {
                let is_new = numbers.entry(writer.clone()).or_default().insert(u64::try_from(number).unwrap());
                assert!(is_new, "{number} of {writer} comes twice");
            }
        }
        numbers
    };
    let rows = of("SELECT w.writer, f.first_sequence + r.id - f.first_id, 1 FROM requests AS r
         JOIN fold_runs AS f ON f.first_id = (SELECT max(first_id) FROM fold_runs WHERE first_id <= r.id)
         JOIN writers AS w ON w.id = f.writer");
    let lost = of(
        "SELECT w.writer, g.sequence, g.events FROM gaps AS g JOIN writers AS w ON w.id = g.writer WHERE g.missing = 1",
    );
    (rows, lost)
}

/// Those of the base's writer.
fn own(numbers: &Numbers) -> BTreeSet<u64> {
    numbers.get(&writer()).cloned().unwrap_or_default()
}

/// Holds a store that was opened and folded against what is promised. `folded` is the last number of the base's log that its
/// database had before, and what is before the log if it had none.
fn expect_each_counted_once(fixture: &Fixture, folded: u64, what: &str) {
    let (rows, lost) = numbers(fixture);
    assert!(lost.keys().all(|lost| *lost == writer()), "{what}: {lost:?}");
    let (rows, lost) = (own(&rows), own(&lost));
    assert!(rows.is_disjoint(&lost), "{what}");
    let last = rows.iter().chain(&lost).max().copied().unwrap_or(0);
    let is_counted = |number: &u64| rows.contains(number) || lost.contains(number);
    let uncounted: Vec<_> = (folded + 1..=last).filter(|number| !is_counted(number)).collect();
    assert!(uncounted.is_empty(), "{what}: {uncounted:?}");
    assert!(lost.iter().all(|number| *number > folded), "{what}");
    let found = ask(fixture);
    assert_eq!((found.unfolded_records, found.missing_records), (Some(0), 0), "{what}");
    assert_eq!(u64::try_from(found.gaps.events).unwrap(), lost.len() as u64, "{what}");
    assert_eq!(
        found.is_complete(),
        lost.is_empty() && found.quarantined_records + found.unreadable_files == 0,
        "{what}: {found:?}"
    );
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
    fn each_record_is_a_row_or_lost_and_is_counted_once(damages in prop::collection::vec(any_damage(), 1..4)) {
        let what = format!("{damages:?}");
        let mut fixture = damaged(&damages, true);
        let told = ask(&fixture);
        let before = fixture.number("SELECT count(*) FROM requests");
        open_and_fold(&mut fixture);
        expect_each_counted_once(&fixture, FOLDED, &what);
        let lost = own(&numbers(&fixture).1);
        // A look before tells no more than folding then finds: damage in a segment shows when that is folded.
        prop_assert!(told.missing_records <= lost.len() as u64, "{told:?}, {} lost", lost.len());
        prop_assert!(fixture.number("SELECT count(*) FROM requests") >= before);
        // Whoever opens it once more, and records, changes nothing about that.
        let gaps_before = gaps(&fixture);
        open_and_fold(&mut fixture);
        fixture.open();
        fixture.record(9_000..9_010);
        fixture.shut_down();
        prop_assert_eq!(gaps(&fixture), gaps_before);
        expect_each_counted_once(&fixture, FOLDED, &what);
    }

    #[test]
    fn a_database_made_anew_tells_the_losses_that_folding_does(damages in prop::collection::vec(any_damage(), 1..4)) {
        let what = format!("{damages:?}");
        let mut live = damaged(&damages, false);
        let rebuilt = Fixture::new();
        directory::copy(live.dir(), rebuilt.dir());
        open_and_fold(&mut live);
        let (rows, lost) = numbers(&live);
        let first = own(&rows).iter().chain(&own(&lost)).min().copied();
        expect_each_counted_once(&live, first.map_or(0, |first| first - 1), &what);
        let (_, plan) = rebuild_from_log(&rebuilt);
        prop_assert!(numbers(&rebuilt) == (rows.clone(), lost.clone()), "{what}");
        prop_assert_eq!(gaps(&rebuilt), gaps(&live));
        prop_assert_eq!(plan.log.records_in_holes(), own(&lost).len() as u64);
        prop_assert!(plan.log.holes.iter().all(|hole| !hole.folded), "{:?}", plan.log.holes);
        // Once more, and after an opening that moves segments, it is the same.
        for fixture in [&rebuilt, &live] {
            let again = rebuild_from_log(fixture).1;
            prop_assert!(numbers(fixture) == (rows.clone(), lost.clone()), "{what}");
            prop_assert_eq!(again.log.records_before_log, plan.log.records_before_log);
        }
    }
}

/// A segment of the base behind all that is folded, and the first and the last number that it has.
fn unfolded_segment() -> (usize, u64, u64) {
    let segments = base().segments().into_iter().enumerate();
    let numbers = |path: PathBuf| {
        let first = segment::open(&path).header().base_sequence.0;
        (first, first + segment::frames(&path).0.len() as u64 - 1)
    };
    let mut behind = segments.map(|(at, path)| (at, numbers(path))).filter(|(_, (first, _))| *first > FOLDED);
    let (at, (first, last)) = behind.next().unwrap();
    (at, first, last)
}

#[test]
fn a_hole_between_segments_is_a_gap_with_its_count_and_times_and_health_says_so() {
    let (at, first, last) = unfolded_segment();
    let mut fixture = damaged(&[Damage::Removed(at)], true);
    let found = ask(&fixture);
    assert_eq!((found.missing_records, found.is_complete()), (last - first + 1, false));
    let health = open_and_fold(&mut fixture);
    assert!(health.to_string().contains(&format!("numbers {first} to {last}")), "{health}");
    // Record 2 is event 0.
    let time = |number: u64| Value::Integer(1_760_000_000_000 + i64::try_from(number).unwrap() - 2);
    let integer = |number: u64| Value::Integer(i64::try_from(number).unwrap());
    let expected = vec![
        Value::Text(writer()),
        integer(first),
        time(first - 1),
        time(last + 1),
        integer(last - first + 1),
        Value::Integer(1),
    ];
    assert_eq!(gaps(&fixture), vec![expected]);
    assert_eq!(fixture.number("SELECT count(*) FROM quarantine"), 0);
}

#[test]
fn the_plan_of_a_rebuild_says_which_holes_are_of_what_is_folded_and_which_are_lost() {
    let (at, ..) = unfolded_segment();
    let mut fixture = damaged(&[Damage::Removed(at)], true);
    open_and_fold(&mut fixture);
    let lost = own(&numbers(&fixture).1);
    let rows = own(&numbers(&fixture).0);
    std::fs::remove_file(&fixture.kept()[2]).unwrap();
    let plan =
        mcplog::rebuild::plan(&Config::new(fixture.dir()), Source::Log, false, &mut |_, _| ControlFlow::Continue(()));
    let holes = plan.unwrap().log.holes;
    let of = |folded: bool| -> BTreeSet<u64> {
        let holes = holes.iter().filter(|hole| hole.folded == folded);
        holes.flat_map(|hole| hole.first_record..=hole.last_record).collect()
    };
    assert_eq!(of(false), lost);
    let folded = of(true);
    assert!(!folded.is_empty() && folded.is_disjoint(&lost), "{holes:?}");
    assert!(folded.iter().all(|number| rows.contains(number)), "{holes:?}");
}

#[test]
fn records_that_go_missing_before_anything_is_folded_are_lost_and_those_of_a_lost_database_are_not() {
    // A database that never saw the writer says that nothing of it was folded; without one, the first segment may have been
    // retired.
    for (with_database, is_lost) in [(true, true), (false, false)] {
        let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
        let blocker = Blocker::new(&fixture);
        fixture.record(0..1_500);
        fixture.store().flush(PATIENCE).unwrap();
        let mut killed = fixture.killed();
        if with_database {
            copy_database(&fixture, &killed);
        }
        drop(blocker);
        fixture.shut_down();
        let gone = segment::frames(&killed.segment(0)).0.len() as u64;
        std::fs::remove_file(killed.segment(0)).unwrap();
        open_and_fold(&mut killed);
        let lost = |fixture: &Fixture| numbers(fixture).1.into_values().next().unwrap_or_default();
        let expected = if is_lost { (1..=gone).collect() } else { BTreeSet::new() };
        assert_eq!(lost(&killed), expected, "{with_database}");
        // A rebuild takes over what is known to be lost before the log.
        rebuild_from_log(&killed);
        assert_eq!(lost(&killed), expected, "{with_database}");
        let plan = rebuild_from_log(&killed).1;
        assert_eq!(plan.losses, [], "{with_database}");
    }
}

#[test]
fn the_records_of_the_last_segment_under_another_ones_name_are_lost_and_the_file_is_set_aside() {
    for is_swapped in [false, true] {
        let mut fixture = damaged(&[], true);
        let (at, ..) = unfolded_segment();
        let (other, last) = (fixture.segment(at), fixture.segments().pop().unwrap());
        let bytes = std::fs::read(&last).unwrap();
        let other_bytes = std::fs::read(&other).unwrap();
        std::fs::rename(&last, &other).unwrap();
        if is_swapped {
            std::fs::write(&last, &other_bytes).unwrap();
        }
        assert!(!ask(&fixture).is_complete(), "before anybody opens it");
        open_and_fold(&mut fixture);
        assert!(!ask(&fixture).is_complete());
        expect_each_counted_once(&fixture, FOLDED, &format!("swapped: {is_swapped}"));
        let aside = fixture.dir().join("quarantine").join(other.strip_prefix(fixture.wal()).unwrap());
        assert!(std::fs::read(aside).unwrap() == bytes, "swapped: {is_swapped}");
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
        copy_database(&fixture, &killed);
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
        let what = format!("{unfolded} unfolded, {first_bytes} bytes");
        // Nothing tells how many there were: the file is set aside, and what is asked says that it may miss some.
        assert_eq!(lost, Numbers::new(), "{what}");
        assert_eq!(rows.values().map(BTreeSet::len).sum::<usize>(), 501, "{what}");
        assert_eq!(killed.names("quarantine").len(), 1, "{what}");
        assert!(!ask(&killed).is_complete(), "{what}: {:?}", ask(&killed));
    }
}

#[test]
fn a_segment_that_is_put_back_behind_its_gap_goes_to_quarantine_whole_and_a_rebuild_folds_it() {
    for keep in [0, u64::MAX] {
        let (at, first, last) = unfolded_segment();
        let segments = base().segments();
        let whole = std::fs::read(&segments[at]).unwrap();
        let mut fixture = damaged(&[Damage::Removed(at)], true);
        let path = fixture.wal().join(segments[at].strip_prefix(base().wal()).unwrap());
        fixture.config.keep_segments_bytes = Some(keep);
        open_and_fold(&mut fixture);
        assert_eq!(own(&numbers(&fixture).1), (first..=last).collect());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &whole).unwrap();
        open_and_fold(&mut fixture);
        let aside = fixture.dir().join("quarantine").join(path.strip_prefix(fixture.wal()).unwrap());
        assert!(!path.exists() && std::fs::read(&aside).unwrap() == whole, "{keep}");
        let check = mcplog::check(fixture.dir(), false, |_| ()).unwrap();
        assert!(check.findings.iter().any(|finding| finding.path == aside), "{check:?}");
        if keep > 0 {
            rebuild_from_log(&fixture);
            let (rows, lost) = numbers(&fixture);
            // What was retired before the base was killed is in no file of it.
            // Record 1 says who writes, and is no request.
            let first = segment::open(&segments[0]).header().base_sequence.0.max(2);
            let (rows, lost) = (own(&rows), own(&lost));
            let absent: Vec<_> = (first..=EVENTS + 1).filter(|number| !rows.contains(number)).collect();
            let before = rows.first().copied();
            assert!(
                absent.is_empty() && lost.is_empty() && before == Some(first),
                "{absent:?} {lost:?} {before:?} {first}"
            );
        }
    }
}
