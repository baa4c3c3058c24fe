//! Intervals of time, and how whole cells of the roll-ups and the rest at the edges make an interval up.
//!
//! Pure. Borders are computed in 128 bits: times come from outside, and those near the ends of an `i64` are times too.

use super::filter::TimeRange;
use crate::fold::rollup::Level;

/// The milliseconds from the first to the last, both included. An interval is never empty, and may hold every `i64`.
///
/// [`TimeRange`] is what callers say: its end is not included, and either end may be absent.
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

/// Whole cells, and what is left of an interval at its edges: together each millisecond of the interval once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cover {
    /// The cells, as coarse as the borders allow: at most two ranges per level.
    pub(super) cells: Vec<CellRange>,
    /// What no whole cell makes up: at most two intervals, each within one cell of the finest level in use.
    pub(super) edges: Vec<ClosedInterval>,
}

impl ClosedInterval {
    /// The same time as a time range; `None` if no time lies in the range.
    pub(super) fn of(time_range: TimeRange) -> Option<Self> {
        let last_ts = match time_range.until_ts {
            None => i64::MAX,
            Some(until_ts) => until_ts.checked_sub(1)?,
        };
        Self::new(time_range.since_ts.unwrap_or(i64::MIN), last_ts)
    }

    fn new(first_ts: i64, last_ts: i64) -> Option<Self> {
        (first_ts <= last_ts).then_some(Self { first_ts, last_ts })
    }

    pub(super) fn contains(self, ts: i64) -> bool {
        (self.first_ts..=self.last_ts).contains(&ts)
    }

    /// The time that both have in common; `None` if there is none.
    pub(super) fn within(self, other: Self) -> Option<Self> {
        Self::new(self.first_ts.max(other.first_ts), self.last_ts.min(other.last_ts))
    }

    /// The time of the cell that begins at `start_ts`.
    pub(super) fn of_cell(level: Level, start_ts: i64) -> Self {
        let length = i128::from(level.length_ms());
        Self { first_ts: start_ts, last_ts: clamped(floor(start_ts.into(), length) + length - 1) }
    }

    /// The finest level, seconds excepted, of which one or two cells cover the interval; for longer intervals the
    /// coarsest.
    pub(super) fn level(self) -> Level {
        let (first, end) = self.borders();
        let long_enough = Level::ALL[1..].iter().find(|level| i128::from(level.length_ms()) >= end - first);
        long_enough.copied().unwrap_or(Level::TenDays)
    }

    /// The part of `count` that lies in this interval, if what was counted over another interval is spread evenly
    /// there. 0 only if the intervals have no time in common or `count` is 0.
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
        let length = i128::from(level.length_ms());
        CellRange { level, from_ts: clamped(floor(first, length)), before_ts: clamped(end) }
    }

    /// The whole cells in the interval, and what is left at its edges. The cells are minutes and coarser, because
    /// seconds exist in dense minutes only. Where nothing is recorded beyond an edge, cells that reach beyond the edge
    /// are as good as whole: an interval that is open on one side is made up of the coarsest cells there.
    pub(super) fn cover(self, recorded: Self) -> Cover {
        let Some(clipped) = self.within(recorded) else { return Cover::default() };
        let (mut first, mut end) = clipped.borders();
        let coarsest = i128::from(Level::TenDays.length_ms());
        if self.first_ts <= recorded.first_ts {
            first = floor(first, coarsest);
        }
        if self.last_ts >= recorded.last_ts {
            end = ceil(end, coarsest);
        }
        cover(first, end, &Level::ALL[1..])
    }

    /// The whole seconds in the interval, and what is left at its edges.
    pub(super) fn cover_with_seconds(self) -> Cover {
        let (first, end) = self.borders();
        cover(first, end, &[Level::Second])
    }

    /// The first millisecond, and the first one behind the interval.
    fn borders(self) -> (i128, i128) {
        (self.first_ts.into(), i128::from(self.last_ts) + 1)
    }
}

/// Covers the time from `first` up to `end` with cells of the levels, which ascend.
fn cover(mut first: i128, mut end: i128, levels: &[Level]) -> Cover {
    let mut cover = Cover::default();
    let mut finer: Option<Level> = None;
    for level in levels {
        let length = i128::from(level.length_ms());
        let (whole_first, whole_end) = (ceil(first, length), floor(end, length));
        if whole_first >= whole_end {
            if finer.is_none() && whole_first == whole_end {
                // No whole cell, but a border between two cells: an edge never reaches across a border.
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
    /// Adds the time from `first` up to `end`, which whole cells of that level make up; without a level the time is an
    /// edge.
    fn add(&mut self, level: Option<Level>, first: i128, end: i128) {
        if first >= end {
            return;
        }
        match level {
            Some(level) => {
                self.cells.push(CellRange { level, from_ts: clamped(first), before_ts: clamped(end) });
            }
            None => self.edges.push(ClosedInterval { first_ts: clamped(first), last_ts: clamped(end - 1) }),
        }
    }
}

fn floor(ts: i128, length: i128) -> i128 {
    ts.div_euclid(length) * length
}

fn ceil(ts: i128, length: i128) -> i128 {
    floor(ts + length - 1, length)
}

/// The nearest `i64`: no time on record lies beyond the ends of an `i64`.
fn clamped(ts: i128) -> i64 {
    i64::try_from(ts).unwrap_or(if ts < 0 { i64::MIN } else { i64::MAX })
}
