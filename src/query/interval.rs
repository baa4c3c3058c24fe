//! Stretches of time, and how whole cells of the roll-ups and a rest make one up.
//!
//! Pure. Borders are computed in 128 bits: times come from outside, and those near the ends of an `i64` are times too.

use super::filter::TimeRange;
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
    pub(super) edges: Vec<ClosedInterval>,
}

impl ClosedInterval {
    /// What a time range means; `None` if no time lies in it.
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

    /// What both have in common.
    pub(super) fn within(self, other: Self) -> Option<Self> {
        Self::new(self.first_ts.max(other.first_ts), self.last_ts.min(other.last_ts))
    }

    /// The time that a cell takes up.
    pub(super) fn of_cell(level: Level, start_ts: i64) -> Self {
        let length = i128::from(level.length_ms());
        Self { first_ts: start_ts, last_ts: clamped(floor(start_ts.into(), length) + length - 1) }
    }

    /// The finest level, but for seconds, of which one or two cells take up as much time as the interval; of longer ones
    /// the coarsest.
    pub(super) fn level(self) -> Level {
        let (first, end) = self.borders();
        let long_enough = Level::ALL[1..].iter().find(|level| i128::from(level.length_ms()) >= end - first);
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
        let length = i128::from(level.length_ms());
        CellRange { level, from_ts: clamped(floor(first, length)), before_ts: clamped(end) }
    }

    /// The whole cells in the interval, minutes and coarser, and what is left at its ends: seconds exist in dense minutes
    /// only. Where nothing is recorded
    /// beyond an end, cells that reach beyond it are as good as whole: an interval without an end on one side is made
    /// up of the coarsest cells there.
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
        let length = i128::from(level.length_ms());
        let (whole_first, whole_end) = (ceil(first, length), floor(end, length));
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
    /// Adds the time from `first` up to `end`, which whole cells of that level make up; without a level it is edges.
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

/// No time that is recorded lies beyond the ends of an `i64`.
fn clamped(ts: i128) -> i64 {
    i64::try_from(ts).unwrap_or(if ts < 0 { i64::MIN } else { i64::MAX })
}
