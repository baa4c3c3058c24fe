//! Roll-ups: what the requests of one call add up to within a cell of time, at several levels of time.
//!
//! Pure. The folder keeps them in the transaction that adds the rows, `mcplog rebuild` makes them afresh, queries put a
//! range of time together from them. A cell is a function of the set of its requests: [`Cell::merge`] is commutative
//! and associative, so neither order nor batching shows.

use crate::event::Status;
use crate::histogram::Histogram;
use crate::varint;

/// A minute with at least so many requests of one call has a cell for each of its seconds too.
///
/// Below, reading the rows at the ragged end of a range costs a query less than a millisecond; above, so few cells are
/// added per row that they don't show in the size of the database.
pub(crate) const DENSE_CALLS: i64 = 256;
/// How many of its slowest requests a cell names.
pub(crate) const SLOWEST: usize = 8;

/// How long a cell is. Each level's span is a multiple of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Level {
    Second,
    Minute,
    TenMinutes,
    Hour,
    SixHours,
    Day,
    TenDays,
}

impl Level {
    /// From the finest to the coarsest.
    pub(crate) const ALL: [Self; 7] =
        [Self::Second, Self::Minute, Self::TenMinutes, Self::Hour, Self::SixHours, Self::Day, Self::TenDays];

    /// The number in the table.
    pub(crate) const fn number(self) -> i64 {
        self as i64
    }

    pub(crate) const fn span_ms(self) -> i64 {
        const MINUTE_MS: i64 = 60_000;
        match self {
            Self::Second => 1000,
            Self::Minute => MINUTE_MS,
            Self::TenMinutes => 10 * MINUTE_MS,
            Self::Hour => 60 * MINUTE_MS,
            Self::SixHours => 6 * 60 * MINUTE_MS,
            Self::Day => 24 * 60 * MINUTE_MS,
            Self::TenDays => 10 * 24 * 60 * MINUTE_MS,
        }
    }

    /// The first millisecond of the cell that `ts` lies in.
    pub(crate) const fn start_of(self, ts: i64) -> i64 {
        // Saturates only at the beginning of time, where the first cell of every level is cut short.
        ts.div_euclid(self.span_ms()).saturating_mul(self.span_ms())
    }

    /// The first millisecond behind the cell that `ts` lies in; `i64::MAX` for the last one, which includes it.
    pub(crate) const fn end_of(self, ts: i64) -> i64 {
        (ts.div_euclid(self.span_ms()) + 1).saturating_mul(self.span_ms())
    }
}

/// What a roll-up needs of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// The row's id.
    pub(crate) id: i64,
    pub(crate) ts: i64,
    pub(crate) latency_us: i64,
    pub(crate) status: Status,
    pub(crate) tool_error: bool,
    pub(crate) bytes_in: Option<i64>,
    pub(crate) bytes_out: Option<i64>,
}

/// What the requests of one call add up to within one cell of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) calls: i64,
    /// Status error.
    pub(crate) errors: i64,
    /// Status timeout.
    pub(crate) timeouts: i64,
    pub(crate) tool_errors: i64,
    /// Sizes that are known, together; a negative one counts as 0.
    pub(crate) bytes_in: i64,
    pub(crate) bytes_out: i64,
    pub(crate) first_ts: i64,
    pub(crate) last_ts: i64,
    pub(crate) latencies: Histogram,
    pub(crate) slowest: Slowest,
}

impl Cell {
    /// No request; changes nothing when merged.
    pub(crate) fn empty() -> Self {
        Self {
            calls: 0,
            errors: 0,
            timeouts: 0,
            tool_errors: 0,
            bytes_in: 0,
            bytes_out: 0,
            first_ts: i64::MAX,
            last_ts: i64::MIN,
            latencies: Histogram::default(),
            slowest: Slowest::default(),
        }
    }

    /// What these requests add up to.
    pub(crate) fn of(samples: &[Sample]) -> Self {
        let mut cell = Self::empty();
        cell.calls = i64::try_from(samples.len()).unwrap_or(i64::MAX);
        for sample in samples {
            cell.errors += i64::from(sample.status == Status::Error);
            cell.timeouts += i64::from(sample.status == Status::Timeout);
            cell.tool_errors += i64::from(sample.tool_error);
            cell.bytes_in = cell.bytes_in.saturating_add(sample.bytes_in.unwrap_or(0).max(0));
            cell.bytes_out = cell.bytes_out.saturating_add(sample.bytes_out.unwrap_or(0).max(0));
            cell.first_ts = cell.first_ts.min(sample.ts);
            cell.last_ts = cell.last_ts.max(sample.ts);
            cell.slowest.add(Slow { latency_us: sample.latency_us, id: sample.id });
        }
        cell.latencies = Histogram::of(samples.iter().map(|sample| sample.latency_us));
        cell
    }

    /// Adds another's requests, which must be different ones.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.errors = self.errors.saturating_add(other.errors);
        self.timeouts = self.timeouts.saturating_add(other.timeouts);
        self.tool_errors = self.tool_errors.saturating_add(other.tool_errors);
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        self.first_ts = self.first_ts.min(other.first_ts);
        self.last_ts = self.last_ts.max(other.last_ts);
        self.latencies.merge(&other.latencies);
        other.slowest.iter().for_each(|slow| self.slowest.add(*slow));
    }
}

/// A request by its latency and its row's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slow {
    pub(crate) latency_us: i64,
    pub(crate) id: i64,
}

impl Slow {
    /// The slower one comes first, and of equals the newer one: the order in which people are shown them.
    fn before(&self, other: &Self) -> bool {
        (self.latency_us, self.id) > (other.latency_us, other.id)
    }
}

/// The slowest requests of a cell, the slowest first; at most [`SLOWEST`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slowest(Vec<Slow>);

impl Slowest {
    fn add(&mut self, slow: Slow) {
        if self.0.len() == SLOWEST {
            if self.0.last().is_some_and(|last| last.before(&slow)) {
                return;
            }
            self.0.pop();
        }
        let at = self.0.partition_point(|held| held.before(&slow));
        self.0.insert(at, slow);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slow> {
        self.0.iter()
    }

    /// Appends latency and id of each, as varints.
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        for slow in &self.0 {
            // Two's complement: a negative latency takes ten bytes, and there is none.
            varint::put(slow.latency_us.cast_unsigned(), bytes);
            varint::put(slow.id.cast_unsigned(), bytes);
        }
    }

    /// Reads the list, all of it; `None` if it is none.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut slowest: Vec<Slow> = Vec::new();
        while !bytes.is_empty() {
            let slow = Slow {
                latency_us: varint::take(&mut bytes)?.cast_signed(),
                id: varint::take(&mut bytes)?.cast_signed(),
            };
            if slowest.len() == SLOWEST || slowest.last().is_some_and(|last| !last.before(&slow)) {
                return None;
            }
            slowest.push(slow);
        }
        Some(Self(slowest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> impl Strategy<Value = Sample> {
        let bytes = proptest::option::of(prop_oneof![-1..3_i64, Just(i64::MAX)]);
        (-99_999..99_999_i64, -2..400_i64, 0..3_i64, any::<bool>(), bytes.clone(), bytes).prop_map(
            |(ts, latency_us, status, tool_error, bytes_in, bytes_out)| {
                let status = Status::from_number(status);
                Sample { id: 0, ts, latency_us, status, tool_error, bytes_in, bytes_out }
            },
        )
    }

    /// Requests, each with an id of its own.
    fn samples() -> impl Strategy<Value = Vec<Sample>> {
        proptest::collection::vec(sample(), 0..40).prop_map(|mut samples| {
            samples.iter_mut().zip(1..).for_each(|(sample, id)| sample.id = id);
            samples
        })
    }

    proptest! {
        #[test]
        fn merging_the_cells_of_any_parts_in_any_order_gives_the_cell_of_the_whole(
            (samples, shuffled) in samples().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
            cuts in proptest::collection::vec(0..40_usize, 2),
        ) {
            let (one, two) = (cuts[0].min(samples.len()), cuts[1].min(samples.len()));
            let (head, rest) = shuffled.split_at(one.min(two));
            let (middle, tail) = rest.split_at(one.max(two) - one.min(two));
            let mut forth = Cell::empty();
            [head, middle, tail].iter().for_each(|part| forth.merge(&Cell::of(part)));
            let mut back = Cell::of(tail);
            let mut front = Cell::of(middle);
            front.merge(&Cell::of(head));
            back.merge(&front);
            let whole = Cell::of(&samples);
            prop_assert_eq!(&forth, &whole);
            prop_assert_eq!(&back, &whole);
        }

        #[test]
        fn the_slowest_are_the_first_of_all_sorted_and_survive_their_bytes(samples in samples()) {
            let mut sorted: Vec<_> = samples.iter().map(|sample| (sample.latency_us, sample.id)).collect();
            sorted.sort_by(|one, other| other.cmp(one));
            sorted.truncate(SLOWEST);
            let slowest = Cell::of(&samples).slowest;
            prop_assert_eq!(slowest.iter().map(|slow| (slow.latency_us, slow.id)).collect::<Vec<_>>(), sorted);
            let mut bytes = Vec::new();
            slowest.encode(&mut bytes);
            prop_assert_eq!(Slowest::decode(&bytes), Some(slowest));
        }

        #[test]
        fn any_bytes_are_a_list_of_the_slowest_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some(slowest) = Slowest::decode(&bytes) {
                prop_assert!(slowest.iter().count() <= SLOWEST);
            }
        }

        #[test]
        fn every_time_is_in_one_cell_and_cells_lie_within_those_of_the_next_level(
            ts in prop_oneof![any::<i64>(), -999_999..999_999_i64, Just(i64::MIN), Just(i64::MAX)],
        ) {
            for levels in Level::ALL.windows(2) {
                let (fine, coarse) = (levels[0], levels[1]);
                prop_assert_eq!(coarse.span_ms() % fine.span_ms(), 0);
                let (start, end) = (fine.start_of(ts), fine.end_of(ts));
                prop_assert!(start <= ts && (ts < end || end == i64::MAX));
                prop_assert_eq!((fine.start_of(start), fine.end_of(start)), (start, end));
                prop_assert_eq!(coarse.start_of(start), coarse.start_of(ts));
                prop_assert!(coarse.end_of(ts) >= end);
            }
        }
    }

    #[test]
    fn a_list_out_of_order_or_too_long_is_none() {
        let bytes = |numbers: &[u64]| {
            let mut bytes = Vec::new();
            numbers.iter().for_each(|number| varint::put(*number, &mut bytes));
            bytes
        };
        assert_eq!(Slowest::decode(&bytes(&[5, 1, 6, 2])), None);
        assert_eq!(Slowest::decode(&bytes(&[5, 1, 5, 1])), None);
        assert_eq!(Slowest::decode(&bytes(&[5])), None);
        let long: Vec<_> = (0..=SLOWEST as u64).rev().flat_map(|latency_us| [latency_us, 1]).collect();
        assert_eq!(Slowest::decode(&bytes(&long)), None);
    }
}
