//! Stretches of time, and how whole cells of the roll-ups and a rest make one up.
//!
//! Pure. Borders are computed in 128 bits: times come from outside, and those near the ends of an `i64` are times too.

use super::filter::Span;
use crate::fold::rollup::Level;

/// The milliseconds from the first to the last, both included: never empty, and able to hold every `i64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClosedInterval {
    pub(super) first_ts: i64,
    pub(super) last_ts: i64,
}

/// The cells of one level that start at `from_ts` or later and before `before_ts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CellRange {
    pub(super) level: Level,
    pub(super) from_ts: i64,
    pub(super) before_ts: i64,
}

/// Whole cells and loose stretches that together are an interval: each millisecond once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cover {
    /// As coarse as the borders allow: at most two ranges per level.
    pub(super) cells: Vec<CellRange>,
    /// At most two, each within one cell of the level that was asked for.
    pub(super) loose: Vec<ClosedInterval>,
}

impl ClosedInterval {
    /// What a span means; `None` if no time lies in it.
    pub(super) fn of(span: Span) -> Option<Self> {
        let last_ts = match span.until_ts {
            None => i64::MAX,
            Some(until_ts) => until_ts.checked_sub(1)?,
        };
        Self::new(span.since_ts.unwrap_or(i64::MIN), last_ts)
    }

    fn new(first_ts: i64, last_ts: i64) -> Option<Self> {
        (first_ts <= last_ts).then_some(Self { first_ts, last_ts })
    }

    pub(super) fn contains(self, ts: i64) -> bool {
        (self.first_ts..=self.last_ts).contains(&ts)
    }

    /// What both have in common.
    pub(super) fn within(self, other: Self) -> Option<Self> {
        Self::new(self.first_ts.max(other.first_ts), self.last_ts.min(other.last_ts))
    }

    /// The time that a cell takes up.
    pub(super) fn of_cell(level: Level, start_ts: i64) -> Self {
        let span = i128::from(level.span_ms());
        Self { first_ts: start_ts, last_ts: clamped(floor(start_ts.into(), span) + span - 1) }
    }

    /// The finest level, but for seconds, of which one or two cells take up as much time as the interval; of longer ones
    /// the coarsest.
    pub(super) fn level(self) -> Level {
        let (first, end) = self.borders();
        let long_enough = Level::ALL[1..].iter().find(|level| i128::from(level.span_ms()) >= end - first);
        long_enough.copied().unwrap_or(Level::TenDays)
    }

    /// The part of what was counted over another interval that lies in this one, if it is spread evenly; not 0 unless
    /// there is nothing.
    pub(super) fn share_of(self, counted_over: Self, count: i64) -> i64 {
        let Some(common) = self.within(counted_over) else { return 0 };
        let length = |interval: Self| {
            let (first, end) = interval.borders();
            end - first
        };
        // Fits: a cell is ten days long at most.
        let part = i128::from(count) * length(common);
        clamped((part + length(counted_over) - 1) / length(counted_over))
    }

    /// The cells of a level that have any time in common with the interval.
    pub(super) fn touched(self, level: Level) -> CellRange {
        let (first, end) = self.borders();
        let span = i128::from(level.span_ms());
        CellRange { level, from_ts: clamped(floor(first, span)), before_ts: clamped(end) }
    }

    /// The whole cells in the interval, minutes and coarser, and what is left at its ends: seconds exist in dense minutes
    /// only. Where nothing is recorded
    /// beyond an end, cells that reach beyond it are as good as whole: an interval without an end on one side is made
    /// up of the coarsest cells there.
    pub(super) fn cover(self, recorded: Self) -> Cover {
        let Some(clipped) = self.within(recorded) else { return Cover::default() };
        let (mut first, mut end) = clipped.borders();
        let coarsest = i128::from(Level::TenDays.span_ms());
        if self.first_ts <= recorded.first_ts {
            first = floor(first, coarsest);
        }
        if self.last_ts >= recorded.last_ts {
            end = ceil(end, coarsest);
        }
        cover(first, end, &Level::ALL[1..])
    }

    /// The whole seconds in the interval, and what is left at its ends.
    pub(super) fn cover_with_seconds(self) -> Cover {
        let (first, end) = self.borders();
        cover(first, end, &[Level::Second])
    }

    /// The first millisecond, and the first behind the last.
    fn borders(self) -> (i128, i128) {
        (self.first_ts.into(), i128::from(self.last_ts) + 1)
    }
}

/// Covers the time from `first` up to `end` with cells of the levels, which ascend.
fn cover(mut first: i128, mut end: i128, levels: &[Level]) -> Cover {
    let mut cover = Cover::default();
    let mut finer: Option<Level> = None;
    for level in levels {
        let span = i128::from(level.span_ms());
        let (whole_first, whole_end) = (ceil(first, span), floor(end, span));
        if whole_first >= whole_end {
            if finer.is_none() && whole_first == whole_end {
                // No whole cell, but a border between two: what is loose never reaches across one.
                cover.add(None, first, whole_first);
                first = whole_first;
            }
            break;
        }
        cover.add(finer, first, whole_first);
        cover.add(finer, whole_end, end);
        (first, end, finer) = (whole_first, whole_end, Some(*level));
    }
    cover.add(finer, first, end);
    cover
}

impl Cover {
    /// Adds the time from `first` up to `end`, which whole cells of that level make up; without a level it is loose.
    fn add(&mut self, level: Option<Level>, first: i128, end: i128) {
        if first >= end {
            return;
        }
        match level {
            Some(level) => {
                self.cells.push(CellRange { level, from_ts: clamped(first), before_ts: clamped(end) });
            }
            None => self.loose.push(ClosedInterval { first_ts: clamped(first), last_ts: clamped(end - 1) }),
        }
    }
}

fn floor(ts: i128, span: i128) -> i128 {
    ts.div_euclid(span) * span
}

fn ceil(ts: i128, span: i128) -> i128 {
    floor(ts + span - 1, span)
}

/// No time that is recorded lies beyond the ends of an `i64`.
fn clamped(ts: i128) -> i64 {
    i64::try_from(ts).unwrap_or(if ts < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Times near the borders of all levels, and near the ends of time.
    fn ts() -> impl Strategy<Value = i64> {
        let near_a_border = (proptest::sample::select(&Level::ALL[..]), -3..3_i64, -1_500..1_500_i64)
            .prop_map(|(level, cell, offset)| cell * level.span_ms() + offset);
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
        in_cells.count() + cover.loose.iter().filter(|loose| loose.contains(ts)).count()
    }

    /// The times at which a mistake by one would show.
    fn telling(interval: ClosedInterval, cover: &Cover) -> Vec<i64> {
        let mut borders = vec![interval.first_ts, interval.last_ts];
        borders.extend(cover.cells.iter().flat_map(|range| [range.from_ts, range.before_ts]));
        borders.extend(cover.loose.iter().flat_map(|loose| [loose.first_ts, loose.last_ts]));
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
            prop_assert!(cover.loose.len() <= 2 && cover.cells.len() <= 11);
        }

        #[test]
        fn seconds_count_each_time_once(interval in interval(), times in proptest::collection::vec(ts(), 20)) {
            let cover = interval.cover_with_seconds();
            for ts in times.into_iter().chain(telling(interval, &cover)) {
                prop_assert_eq!(counted(&cover, ts), usize::from(interval.contains(ts)), "{} in {:?}", ts, cover);
            }
        }

        #[test]
        fn what_is_loose_fits_into_a_minute_and_cells_are_as_coarse_as_they_can_be(
            interval in interval(),
            recorded in interval(),
        ) {
            let cover = interval.cover(recorded);
            for loose in &cover.loose {
                prop_assert_eq!(Level::Minute.start_of(loose.first_ts), Level::Minute.start_of(loose.last_ts));
            }
            for (level, coarser) in Level::ALL.iter().zip(&Level::ALL[1..]) {
                let most = coarser.span_ms() / level.span_ms() - 1;
                for range in cover.cells.iter().filter(|range| range.level == *level) {
                    let cells = (i128::from(range.before_ts) - i128::from(range.from_ts)) / i128::from(level.span_ms());
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
    fn a_span_is_a_stretch_unless_it_is_empty() {
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
            assert_eq!(ClosedInterval::of(Span { since_ts, until_ts }), expected, "{since_ts:?} {until_ts:?}");
        }
    }

    /// The page shows each range of cells, in the order of time, and how many they are; what is loose is `rows`.
    #[test]
    fn the_worked_example_of_the_page_on_roll_ups_is_the_cover_of_its_interval() {
        let page = include_str!("../../docs/roll-ups.md");
        let interval = ClosedInterval { first_ts: 1_760_003_600_500, last_ts: 1_760_286_330_249 };
        let recorded = ClosedInterval { first_ts: 0, last_ts: i64::MAX };
        let Cover { cells, loose } = interval.cover(recorded);
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
                let count = (before_ts - from_ts) / level.span_ms();
                (*from_ts, format!("| {} | {from_ts} | {before_ts} | {count} |", name(*level)))
            })
            .chain(
                loose
                    .iter()
                    .map(|rows| (rows.first_ts, format!("| rows | {} | {} |", rows.first_ts, rows.last_ts + 1))),
            )
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
        assert_eq!(all.loose, []);
        assert_eq!(all.cells.iter().map(|range| range.level).collect::<Vec<_>>(), [Level::TenDays]);
        // An end in the middle: finer cells on that side only.
        let since = ClosedInterval { first_ts: 6_000_000_789, last_ts: i64::MAX }.cover(recorded);
        assert_eq!(since.loose, [ClosedInterval { first_ts: 6_000_000_789, last_ts: 6_000_059_999 }]);
    }
}
