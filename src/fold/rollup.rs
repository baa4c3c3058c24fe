//! Roll-ups: what requests add up to within a cell of time, at several levels of time, for each call and for all calls
//! together.
//!
//! Pure. The index writes roll-ups in the transaction that adds the rows, `mcplog rebuild` makes them anew, and queries
//! put a range of time together from them. A cell is a function of the set of its requests: [`Cell::merge`] is
//! commutative and associative, so neither order nor batching shows.

use super::histogram::{Histogram, HistogramSum};
use crate::event::{Code, Outcome, OutcomeCounts};
use crate::ground::varint;

/// A minute with at least so many requests, of all calls together, has cells for each of its seconds too.
///
/// In a minute with fewer, queries read the rows at the edge of a range, which should take two milliseconds at most. In
/// a minute with more, cells of seconds add about ten bytes per row to the database. (Both are estimates.)
pub(crate) const DENSE_CALLS: i64 = if cfg!(test) { 256 } else { 2048 };
/// How many of its slowest requests a cell names at most, of each outcome.
pub(crate) const SLOWEST: usize = 8;
// The length of each list takes four bits, and the lengths of all lists one number.
const _: () = assert!(SLOWEST < 1 << 4 && 4 * OUTCOMES <= u64::BITS as usize);
const OUTCOMES: usize = <Outcome as Code>::ALL.len();

/// How long a cell is. The length of each level is a multiple of the length before.
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

    /// The length of a cell in milliseconds.
    pub(crate) const fn length_ms(self) -> i64 {
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
        // The product saturates only at the beginning of time, where the first cell of every level is shorter.
        ts.div_euclid(self.length_ms()).saturating_mul(self.length_ms())
    }

    /// The first millisecond behind the cell that `ts` lies in; `i64::MAX` for the last cell, which includes that
    /// millisecond.
    pub(crate) const fn end_of(self, ts: i64) -> i64 {
        (ts.div_euclid(self.length_ms()) + 1).saturating_mul(self.length_ms())
    }
}

/// The fields of a request that roll-ups need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// The row's id.
    pub(crate) id: i64,
    pub(crate) ts: i64,
    pub(crate) latency_us: i64,
    pub(crate) outcome: Outcome,
    pub(crate) bytes_in: Option<i64>,
    pub(crate) bytes_out: Option<i64>,
}

/// What requests of one call, or of all calls, add up to within one cell of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) counts: OutcomeCounts,
    /// The sum of the sizes that are known, in bytes; a negative size counts as 0.
    pub(crate) bytes_in: i64,
    pub(crate) bytes_out: i64,
    pub(crate) first_ts: i64,
    pub(crate) last_ts: i64,
    /// Of the requests that have a latency.
    pub(crate) latencies: Histogram,
    pub(crate) slowest: Slowest,
}

impl Cell {
    /// The cell of no request. Merging it changes nothing.
    pub(crate) fn empty() -> Self {
        Self {
            counts: OutcomeCounts::default(),
            bytes_in: 0,
            bytes_out: 0,
            first_ts: i64::MAX,
            last_ts: i64::MIN,
            latencies: Histogram::default(),
            slowest: Slowest::default(),
        }
    }

    /// The cell of these requests.
    pub(crate) fn of(samples: &[Sample]) -> Self {
        let mut cell = Self::empty();
        for sample in samples {
            cell.counts.add(sample.outcome, 1);
            cell.bytes_in = cell.bytes_in.saturating_add(sample.bytes_in.unwrap_or(0).max(0));
            cell.bytes_out = cell.bytes_out.saturating_add(sample.bytes_out.unwrap_or(0).max(0));
            cell.first_ts = cell.first_ts.min(sample.ts);
            cell.last_ts = cell.last_ts.max(sample.ts);
            cell.slowest.add(sample.outcome, Slow { latency_us: sample.latency_us, id: sample.id });
        }
        let with_latency = samples.iter().filter(|sample| sample.outcome.has_latency());
        cell.latencies = Histogram::of(with_latency.map(|sample| sample.latency_us));
        cell
    }

    /// Adds the requests of another cell, which must be different requests.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.counts.merge(&other.counts);
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        self.first_ts = self.first_ts.min(other.first_ts);
        self.last_ts = self.last_ts.max(other.last_ts);
        self.latencies.merge(&other.latencies);
        self.slowest.merge(&other.slowest);
    }

    /// Appends the bytes of a cell that begins at `start`: numbers as varints, then the slowest, then the histogram, so
    /// that readers without need of the histogram need not read it. Of the counts there is one for each outcome that the cell
    /// has, and before them a bit for each. The histogram is left out where the slowest are all requests, as in most minutes
    /// where there are many tools.
    pub(crate) fn encode(&self, start: i64, bytes: &mut Vec<u8>) {
        let counted = || Outcome::ALL.iter().filter(|outcome| self.counts.with(**outcome) != 0);
        varint::put(counted().fold(0, |bits, outcome| bits | bit_of(*outcome)), bytes);
        let counts = counted().map(|outcome| self.counts.with(*outcome));
        // Differences wrap: at both ends of time they exceed an i64.
        let times = [self.first_ts.wrapping_sub(start), self.last_ts.wrapping_sub(self.first_ts)];
        let numbers = counts.chain([self.bytes_in, self.bytes_out]).chain(times);
        numbers.for_each(|number| varint::put(number.cast_unsigned(), bytes));
        self.slowest.encode(bytes);
        if !self.lists_every_latency() {
            self.latencies.encode(bytes);
        }
    }

    /// Whether every request of the cell that has a latency is among the slowest.
    fn lists_every_latency(&self) -> bool {
        self.slowest.latencies_us().count() as u64 == self.counts.where_so(Outcome::has_latency).unsigned_abs()
    }

    /// Reads all but the histogram, and leaves that in `bytes`; `None` if the bytes are no cell.
    pub(crate) fn decode_head(start: i64, bytes: &mut &[u8]) -> Option<Self> {
        let numbers = Self::decode_numbers(start, bytes)?;
        Some(Self { slowest: Slowest::decode(bytes)?, ..numbers })
    }

    /// Reads the numbers, which come first.
    fn decode_numbers(start: i64, bytes: &mut &[u8]) -> Option<Self> {
        let counted = varint::take(bytes)?;
        if counted >= 1 << OUTCOMES {
            return None;
        }
        let mut number = || varint::take(bytes).map(u64::cast_signed);
        let mut counts = OutcomeCounts::default();
        for outcome in Outcome::ALL.iter().filter(|outcome| counted & bit_of(**outcome) != 0) {
            counts.add(*outcome, number()?);
        }
        let mut cell = Self {
            counts,
            bytes_in: number()?,
            bytes_out: number()?,
            first_ts: number()?.wrapping_add(start),
            last_ts: number()?,
            latencies: Histogram::default(),
            slowest: Slowest::default(),
        };
        cell.last_ts = cell.last_ts.wrapping_add(cell.first_ts);
        Some(cell)
    }

    /// Reads a cell that begins at `start`, all of `bytes`; `None` if the bytes are no cell.
    pub(crate) fn decode(start: i64, mut bytes: &[u8]) -> Option<Self> {
        let head = Self::decode_head(start, &mut bytes)?;
        let latencies = match (bytes, head.lists_every_latency()) {
            ([], true) => Histogram::of(head.slowest.latencies_us()),
            ([], false) => return None,
            _ => Histogram::decode(bytes).ok()?,
        };
        Some(Self { latencies, ..head })
    }
}

/// A sum of many cells, made straight from their bytes. It has no lists of the slowest.
#[derive(Clone, Debug)]
pub(crate) struct CellSum {
    /// The numbers; latencies and slowest are empty.
    numbers: Cell,
    latency_max_us: Option<i64>,
    latencies: HistogramSum,
}

impl CellSum {
    /// The sum of no cell.
    pub(crate) fn empty() -> Self {
        Self { numbers: Cell::empty(), latency_max_us: None, latencies: HistogramSum::default() }
    }

    /// Adds a cell that begins at `start`; `None` if the bytes are no cell, and then the sum is of no use.
    pub(crate) fn add(&mut self, start: i64, mut bytes: &[u8]) -> Option<()> {
        let numbers = Cell::decode_numbers(start, &mut bytes)?;
        self.numbers.merge(&numbers);
        let mut lists = bytes;
        let latency_max_us = Slowest::pass_over(&mut bytes)?;
        self.latency_max_us = self.latency_max_us.max(latency_max_us);
        if bytes.is_empty() {
            let cell = Cell { slowest: Slowest::decode(&mut lists)?, ..numbers };
            cell.slowest.latencies_us().for_each(|latency_us| self.latencies.add_value(latency_us));
            return cell.lists_every_latency().then_some(());
        }
        self.latencies.add(bytes).ok()
    }

    /// Adds requests that no cell makes up.
    pub(crate) fn add_samples(&mut self, samples: &[Sample]) {
        let cell = Cell::of(samples);
        self.latency_max_us = self.latency_max_us.max(cell.slowest.latencies_us().max());
        let with_latency = samples.iter().filter(|sample| sample.outcome.has_latency());
        with_latency.for_each(|sample| self.latencies.add_value(sample.latency_us));
        self.numbers.merge(&Cell { slowest: Slowest::default(), latencies: Histogram::default(), ..cell });
    }

    /// The sum as a cell without a list of the slowest, and the latency of the slowest request in microseconds; `None` if no
    /// request has a latency.
    pub(crate) fn finish(self) -> (Cell, Option<i64>) {
        (Cell { latencies: self.latencies.finish(), ..self.numbers }, self.latency_max_us)
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

/// The slowest requests of each outcome, the slowest first; at most [`SLOWEST`] of each.
///
/// Each outcome has a list of its own, because failures are few: the slowest of all may have none of them. Outcomes without
/// a latency have lists too, by which a search sees whether a cell has any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slowest([Vec<Slow>; OUTCOMES]);

impl Slowest {
    pub(crate) fn of(&self, outcome: Outcome) -> &[Slow] {
        &self.0[place(outcome)]
    }

    /// The latencies of all that have one.
    pub(crate) fn latencies_us(&self) -> impl Iterator<Item = i64> {
        let lists = Outcome::ALL.iter().filter(|outcome| outcome.has_latency()).map(|outcome| self.of(*outcome));
        lists.flatten().map(|slow| slow.latency_us)
    }

    fn add(&mut self, outcome: Outcome, slow: Slow) {
        let list = &mut self.0[place(outcome)];
        if list.len() == SLOWEST {
            if list.last().is_some_and(|last| last.before(&slow)) {
                return;
            }
            list.pop();
        }
        let at = list.partition_point(|listed| listed.before(&slow));
        list.insert(at, slow);
    }

    fn merge(&mut self, other: &Self) {
        for outcome in Outcome::ALL {
            other.of(*outcome).iter().for_each(|slow| self.add(*outcome, *slow));
        }
    }

    /// Appends the lengths of the lists, four bits each, and of each request how much faster it was than the one before
    /// it in its list (the first: how slow it was) and its id, all as varints.
    fn encode(&self, bytes: &mut Vec<u8>) {
        let lengths = self.0.iter().rev().fold(0, |lengths, list| lengths << 4 | list.len() as u64);
        varint::put(lengths, bytes);
        for list in &self.0 {
            let mut before_us: Option<i64> = None;
            for slow in list {
                let number = before_us.map_or(slow.latency_us, |before_us| before_us.wrapping_sub(slow.latency_us));
                varint::put(number.cast_unsigned(), bytes);
                varint::put(slow.id.cast_unsigned(), bytes);
                before_us = Some(slow.latency_us);
            }
        }
    }

    /// Passes over the lists at the front; the latency of the slowest of all. `None` if there are no lists.
    fn pass_over(bytes: &mut &[u8]) -> Option<Option<i64>> {
        let mut lengths = varint::take(bytes)?;
        let mut latency_max_us: Option<i64> = None;
        for outcome in Outcome::ALL {
            for at in 0..lengths & 0xf {
                let (number, _id) = (varint::take(bytes)?, varint::take(bytes)?);
                if at == 0 && outcome.has_latency() {
                    latency_max_us = latency_max_us.max(Some(number.cast_signed()));
                }
            }
            lengths >>= 4;
        }
        (lengths == 0).then_some(latency_max_us)
    }

    /// Reads the lists from the front; `None` if there are none.
    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let mut lengths = varint::take(bytes)?;
        let mut lists: [Vec<Slow>; OUTCOMES] = Default::default();
        for list in &mut lists {
            let length = usize::try_from(lengths & 0xf).ok().filter(|length| *length <= SLOWEST)?;
            lengths >>= 4;
            list.reserve_exact(length);
            for _ in 0..length {
                let number = varint::take(bytes)?.cast_signed();
                let latency_us = list.last().map_or(number, |before: &Slow| before.latency_us.wrapping_sub(number));
                let slow = Slow { latency_us, id: varint::take(bytes)?.cast_signed() };
                if list.last().is_some_and(|last| !last.before(&slow)) {
                    return None;
                }
                list.push(slow);
            }
        }
        (lengths == 0).then_some(Self(lists))
    }
}

/// The place of an outcome's list; numbers begin with 1.
const fn place(outcome: Outcome) -> usize {
    outcome as usize - 1
}

/// The bit that says whether a cell counts that outcome.
const fn bit_of(outcome: Outcome) -> u64 {
    1 << place(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> impl Strategy<Value = Sample> {
        let bytes = proptest::option::of(prop_oneof![-1..3_i64, Just(i64::MAX)]);
        let outcome = prop_oneof![Just(Outcome::Ok), proptest::sample::select(Outcome::ALL)];
        (-99_999..99_999_i64, -2..400_i64, outcome, bytes.clone(), bytes).prop_map(
            |(ts, latency_us, outcome, bytes_in, bytes_out)| Sample {
                id: 0,
                ts,
                latency_us,
                outcome,
                bytes_in,
                bytes_out,
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
        fn the_slowest_of_an_outcome_are_the_first_of_those_that_ended_so(samples in samples()) {
            let slowest = Cell::of(&samples).slowest;
            for outcome in Outcome::ALL {
                let ended_so = samples.iter().filter(|sample| sample.outcome == *outcome);
                let mut sorted: Vec<_> = ended_so.map(|sample| (sample.latency_us, sample.id)).collect();
                sorted.sort_by(|one, other| other.cmp(one));
                sorted.truncate(SLOWEST);
                let listed: Vec<_> = slowest.of(*outcome).iter().map(|slow| (slow.latency_us, slow.id)).collect();
                prop_assert_eq!(listed, sorted);
            }
            let with_latency = samples.iter().filter(|sample| sample.outcome.has_latency());
            prop_assert_eq!(slowest.latencies_us().max(), with_latency.map(|sample| sample.latency_us).max());
        }

        #[test]
        fn a_cell_survives_its_bytes(samples in samples(), start in prop_oneof![any::<i64>(), -9..9_i64]) {
            let cell = Cell::of(&samples);
            let mut bytes = Vec::new();
            cell.encode(start, &mut bytes);
            prop_assert_eq!(Cell::decode(start, &bytes), Some(cell));
            prop_assert_eq!(Cell::decode(start, &bytes[..bytes.len() - 1]), None, "cut");
        }

        #[test]
        fn adding_bytes_up_is_merging(parts in proptest::collection::vec(samples(), 0..4), start in -9..9_i64) {
            let (mut sum, mut all) = (CellSum::empty(), Cell::empty());
            for part in parts {
                let cell = Cell::of(&part);
                let mut bytes = Vec::new();
                cell.encode(start, &mut bytes);
                prop_assert_eq!(sum.add(start, &bytes), Some(()));
                sum.add_samples(&part);
                all.merge(&cell);
                all.merge(&cell);
            }
            let latency_max_us = all.slowest.latencies_us().max();
            prop_assert_eq!(sum.finish(), (Cell { slowest: Slowest::default(), ..all }, latency_max_us));
        }

        #[test]
        fn any_bytes_are_a_cell_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some(cell) = Cell::decode(0, &bytes) {
                prop_assert!(Outcome::ALL.iter().all(|outcome| cell.slowest.of(*outcome).len() <= SLOWEST));
            }
        }

        #[test]
        fn every_time_is_in_one_cell_and_cells_lie_within_those_of_the_next_level(
            ts in prop_oneof![any::<i64>(), -999_999..999_999_i64, Just(i64::MIN), Just(i64::MAX)],
        ) {
            for levels in Level::ALL.windows(2) {
                let (fine, coarse) = (levels[0], levels[1]);
                prop_assert_eq!(coarse.length_ms() % fine.length_ms(), 0);
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
        let decode = |numbers: &[u64]| {
            let mut bytes = Vec::new();
            numbers.iter().for_each(|number| varint::put(*number, &mut bytes));
            Slowest::decode(&mut bytes.as_slice())
        };
        assert!(decode(&[0x12, 9, 7, 0, 1, 3, 1]).is_some_and(|slowest| slowest.of(Outcome::ToolError).len() == 1));
        assert_eq!(decode(&[2, 9, 1, 0, 1]), None, "the same twice");
        assert_eq!(decode(&[2, 9, 1, u64::MAX, 1]), None, "a slower one behind");
        assert_eq!(decode(&[2, 9, 1, 3]), None, "cut");
        assert_eq!(decode(&[1 << (4 * OUTCOMES)]), None, "an outcome too many");
        let long: Vec<_> = std::iter::once(9).chain((0..9).flat_map(|id| [1, id])).collect();
        assert_eq!(decode(&long), None);
    }
}
