//! Whatever the interval, its cover counts each time in it once and no other.

use super::filter::TimeRange;
use super::interval::{CellRange, ClosedInterval, Cover};
use crate::fold::rollup::Level;
use proptest::prelude::*;

/// Times near the borders of all levels, and near the ends of time.
fn ts() -> impl Strategy<Value = i64> {
    let near_a_border = (proptest::sample::select(&Level::ALL[..]), -3..3_i64, -1_500..1_500_i64)
        .prop_map(|(level, cell, offset)| cell * level.length_ms() + offset);
    prop_oneof![
        8 => near_a_border,
        1 => any::<i64>(),
        1 => (0..2_000_i64).prop_map(|offset| i64::MAX - offset),
        1 => (0..2_000_i64).prop_map(|offset| i64::MIN + offset),
    ]
}

fn interval() -> impl Strategy<Value = ClosedInterval> {
    (ts(), ts()).prop_map(|(one, two)| ClosedInterval { first_ts: one.min(two), last_ts: one.max(two) })
}

/// How often a cover counts what happened at `ts`.
fn counted(cover: &Cover, ts: i64) -> usize {
    let in_cells = cover.cells.iter().filter(|range| {
        let start = range.level.start_of(ts);
        (range.from_ts..range.before_ts).contains(&start)
    });
    in_cells.count() + cover.edges.iter().filter(|edge| edge.contains(ts)).count()
}

/// The times at which a mistake by one would show.
fn telling(interval: ClosedInterval, cover: &Cover) -> Vec<i64> {
    let mut borders = vec![interval.first_ts, interval.last_ts];
    borders.extend(cover.cells.iter().flat_map(|range| [range.from_ts, range.before_ts]));
    borders.extend(cover.edges.iter().flat_map(|edge| [edge.first_ts, edge.last_ts]));
    borders.iter().flat_map(|ts| [ts.saturating_sub(1), *ts, ts.saturating_add(1)]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_cover_counts_each_recorded_time_once_and_no_other(
        interval in interval(),
        recorded in interval(),
        times in proptest::collection::vec(ts(), 20),
    ) {
        let cover = interval.cover(recorded);
        for ts in times.into_iter().chain(telling(interval, &cover)).filter(|ts| recorded.contains(*ts)) {
            prop_assert_eq!(counted(&cover, ts), usize::from(interval.contains(ts)), "{} in {:?}", ts, cover);
        }
        prop_assert!(cover.edges.len() <= 2 && cover.cells.len() <= 11);
    }

    #[test]
    fn seconds_count_each_time_once(interval in interval(), times in proptest::collection::vec(ts(), 20)) {
        let cover = interval.cover_with_seconds();
        for ts in times.into_iter().chain(telling(interval, &cover)) {
            prop_assert_eq!(counted(&cover, ts), usize::from(interval.contains(ts)), "{} in {:?}", ts, cover);
        }
    }

    #[test]
    fn what_is_left_at_the_edges_fits_into_a_minute_and_cells_are_as_coarse_as_they_can_be(
        interval in interval(),
        recorded in interval(),
    ) {
        let cover = interval.cover(recorded);
        for edge in &cover.edges {
            prop_assert_eq!(Level::Minute.start_of(edge.first_ts), Level::Minute.start_of(edge.last_ts));
        }
        for (level, coarser) in Level::ALL.iter().zip(&Level::ALL[1..]) {
            let most = coarser.length_ms() / level.length_ms() - 1;
            for range in cover.cells.iter().filter(|range| range.level == *level) {
                let cells = (i128::from(range.before_ts) - i128::from(range.from_ts)) / i128::from(level.length_ms());
                // Within one coarser cell, or across the border of two.
                prop_assert!(cells <= i128::from(2 * most), "{:?}", range);
            }
        }
    }

    #[test]
    fn the_cell_of_a_time_is_touched_and_holds_it(interval in interval(), ts in ts()) {
        for level in Level::ALL {
            let start = level.start_of(ts);
            let cell = ClosedInterval::of_cell(level, start);
            prop_assert!(cell.contains(ts), "{:?} {} {:?}", level, ts, cell);
            let touched = interval.touched(level);
            let is_touched = (touched.from_ts..touched.before_ts).contains(&start);
            prop_assert_eq!(is_touched, cell.within(interval).is_some(), "{:?} {:?}", cell, touched);
        }
    }
}

#[test]
fn a_share_is_in_proportion_to_the_time_in_common_and_rounded_up() {
    let counted_over = ClosedInterval { first_ts: 0, last_ts: 9 };
    for (first_ts, last_ts, count, expected) in [
        (0, 9, 7, 7),
        (-100, 100, 7, 7),
        (0, 4, 10, 5),
        (-5, 4, 7, 4),
        (9, 20, 1, 1),
        (3, 5, 0, 0),
        (10, 20, 7, 0),
        (0, 4, i64::MAX, i64::MAX / 2 + 1),
    ] {
        let share = ClosedInterval { first_ts, last_ts }.share_of(counted_over, count);
        assert_eq!(share, expected, "{count} in {first_ts} to {last_ts}");
    }
}

#[test]
fn a_time_range_is_an_interval_unless_it_is_empty() {
    let cases = [
        (None, None, Some((i64::MIN, i64::MAX))),
        (Some(5), Some(6), Some((5, 5))),
        (Some(5), Some(5), None),
        (Some(6), Some(5), None),
        (None, Some(i64::MIN), None),
        (Some(i64::MAX), None, Some((i64::MAX, i64::MAX))),
        (Some(i64::MAX), Some(i64::MAX), None),
    ];
    for (since_ts, until_ts, expected) in cases {
        let expected = expected.map(|(first_ts, last_ts)| ClosedInterval { first_ts, last_ts });
        assert_eq!(ClosedInterval::of(TimeRange { since_ts, until_ts }), expected, "{since_ts:?} {until_ts:?}");
    }
}

/// The page shows each range of cells, in the order of time, and how many they are; the edges are `rows`.
#[test]
fn the_worked_example_of_the_page_on_roll_ups_is_the_cover_of_its_interval() {
    let page = include_str!("../../docs/roll-ups.md");
    let interval = ClosedInterval { first_ts: 1_760_003_600_500, last_ts: 1_760_286_330_249 };
    let recorded = ClosedInterval { first_ts: 0, last_ts: i64::MAX };
    let Cover { cells, edges } = interval.cover(recorded);
    let name = |level| match level {
        Level::Second => "second",
        Level::Minute => "minute",
        Level::TenMinutes => "ten minutes",
        Level::Hour => "hour",
        Level::SixHours => "six hours",
        Level::Day => "day",
        Level::TenDays => "ten days",
    };
    let mut expected: Vec<_> = cells
        .iter()
        .map(|CellRange { level, from_ts, before_ts }| {
            let count = (before_ts - from_ts) / level.length_ms();
            (*from_ts, format!("| {} | {from_ts} | {before_ts} | {count} |", name(*level)))
        })
        .chain(edges.iter().map(|rows| (rows.first_ts, format!("| rows | {} | {} |", rows.first_ts, rows.last_ts + 1))))
        .collect();
    expected.sort();
    let shown = page.lines().skip_while(|line| !line.starts_with("| what is read |")).skip(2);
    let shown: Vec<_> = shown.take_while(|line| line.starts_with('|')).collect();
    assert_eq!(shown.len(), expected.len(), "{expected:#?}");
    for (shown, (_, expected)) in shown.iter().zip(&expected) {
        assert!(shown.starts_with(expected), "{shown} is not {expected}");
    }
}

#[test]
fn without_an_end_only_the_coarsest_cells_are_needed() {
    let recorded = ClosedInterval { first_ts: 5_000_000_123, last_ts: 7_000_000_456 };
    let all = ClosedInterval { first_ts: i64::MIN, last_ts: i64::MAX }.cover(recorded);
    assert_eq!(all.edges, []);
    assert_eq!(all.cells.iter().map(|range| range.level).collect::<Vec<_>>(), [Level::TenDays]);
    // An end in the middle: finer cells on that side only.
    let since = ClosedInterval { first_ts: 6_000_000_789, last_ts: i64::MAX }.cover(recorded);
    assert_eq!(since.edges, [ClosedInterval { first_ts: 6_000_000_789, last_ts: 6_000_059_999 }]);
}
