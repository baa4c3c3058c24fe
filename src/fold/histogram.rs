//! Latency histograms that merge without loss: a roll-up keeps these where it can't keep latencies one by one.
//!
//! Pure; runs on the compactor and on readers' threads. The bytes to decode come from a database that others can write,
//! so they are checked and bounded.

use crate::ground::varint;

/// Values below this have a bucket of their own.
const EXACT: i64 = 128;
/// From there on, each power of two has two to this power of buckets. So a bucket is at most 1/64 of its values wide,
/// and its middle at most 0.8 % away from any of them.
const BUCKETS_PER_OCTAVE_LOG2: u32 = 6;
const BUCKETS_PER_OCTAVE: u16 = 1 << BUCKETS_PER_OCTAVE_LOG2;
/// One more than the bucket of `i64::MAX`: 128 values, and the octaves from 2^7 to 2^62.
const BUCKETS: u16 = 128 + 56 * BUCKETS_PER_OCTAVE;

/// How many values lie in which bucket. Merging is commutative and associative, and merging the default changes
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Histogram {
    /// Bucket and count, ascending by bucket; no count is zero, and their sum fits an `i64`.
    buckets: Vec<(u16, u64)>,
}

/// Bytes that are no histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a histogram, found other bytes")]
pub(crate) struct HistogramError;

/// A bucket: its bounds, and how many values are in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// The least value that falls into the bucket.
    pub(crate) low: i64,
    /// The greatest value that falls into the bucket.
    pub(crate) high: i64,
    /// How many values fell into the bucket.
    pub(crate) count: u64,
}

impl Bucket {
    /// The middle of the bucket, which stands for all its values.
    pub(crate) const fn middle(&self) -> i64 {
        self.low + (self.high - self.low) / 2
    }
}

impl Histogram {
    /// The histogram of all the values; a negative one counts as 0.
    pub(crate) fn of(values: impl IntoIterator<Item = i64>) -> Self {
        let mut buckets: Vec<_> = values.into_iter().map(bucket_of).collect();
        buckets.sort_unstable();
        let runs = buckets.chunk_by(|one, other| one == other);
        Self { buckets: runs.map(|run| (run[0], run.len() as u64)).collect() }
    }

    /// Adds all values of another histogram.
    pub(crate) fn merge(&mut self, other: &Self) {
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
            return;
        }
        let mut merged = Vec::with_capacity(self.buckets.len() + other.buckets.len());
        let mut theirs = other.buckets.iter().copied().peekable();
        for (bucket, count) in self.buckets.drain(..) {
            while let Some(before) = theirs.next_if(|their| their.0 < bucket) {
                merged.push(before);
            }
            let more = theirs.next_if(|their| their.0 == bucket).map_or(0, |their| their.1);
            // Only counts that somebody made up come near the limit.
            merged.push((bucket, count.saturating_add(more)));
        }
        merged.extend(theirs);
        self.buckets = merged;
    }

    /// How many values there are.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// The buckets that have values, ascending.
    pub(crate) fn buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        self.buckets.iter().map(|(bucket, count)| {
            let (low, high) = bounds_of(*bucket);
            Bucket { low, high, count: *count }
        })
    }

    /// The value of that rank, counted from 1, within 0.8 %; `None` where there are not so many values.
    pub(crate) fn quantile(&self, rank: u64) -> Option<i64> {
        let mut seen = 0;
        self.buckets()
            .find(|bucket| {
                seen += bucket.count;
                seen >= rank
            })
            .map(|bucket| bucket.middle())
    }

    /// Appends the histogram's bytes: for each bucket, its distance from the bucket before and its count, as varints.
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        let mut previous = 0;
        for (bucket, count) in &self.buckets {
            varint::put(u64::from(bucket - previous), bytes);
            varint::put(*count, bytes);
            previous = *bucket;
        }
    }

    /// Reads a histogram, all of it.
    ///
    /// # Errors
    /// [`HistogramError`], whatever is wrong. Takes no more memory than the buckets there can be.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HistogramError> {
        Ok(Self { buckets: entries(bytes).collect::<Result<_, _>>()? })
    }
}

/// A sum of many histograms, made straight from their bytes.
///
/// It is a plain array of counts, because merging one histogram after the other makes the list of buckets anew each
/// time: statistics of 300 tools over a ragged week took 1.7 times as long that way.
#[derive(Clone, Debug, Default)]
pub(crate) struct HistogramSum {
    /// Counts by bucket, up to the last bucket that was seen.
    counts: Vec<u64>,
}

impl HistogramSum {
    /// Adds a histogram's bytes, all of them.
    ///
    /// # Errors
    /// [`HistogramError`], as when decoding; a part may have been added then.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> Result<(), HistogramError> {
        for entry in entries(bytes) {
            let (bucket, count) = entry?;
            self.add_to(bucket, count);
        }
        Ok(())
    }

    /// Adds one value; a negative one counts as 0.
    pub(crate) fn add_value(&mut self, value: i64) {
        self.add_to(bucket_of(value), 1);
    }

    fn add_to(&mut self, bucket: u16, count: u64) {
        let bucket = usize::from(bucket);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        // Only counts that somebody made up come near the limit.
        self.counts[bucket] = self.counts[bucket].saturating_add(count);
    }

    /// The histogram of all that was added.
    pub(crate) fn finish(self) -> Histogram {
        // Counting first is cheaper than growing.
        let mut buckets = Vec::with_capacity(self.counts.iter().filter(|count| **count > 0).count());
        buckets.extend((0..).zip(self.counts).filter(|(_, count)| *count > 0));
        Histogram { buckets }
    }
}

/// Reads buckets and counts, ascending; what follows an error means nothing.
fn entries(mut bytes: &[u8]) -> impl Iterator<Item = Result<(u16, u64), HistogramError>> {
    let (mut next, mut total) = (0_u64, 0_u64);
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let mut entry = || {
            let distance = varint::take(&mut bytes)?;
            let count = varint::take(&mut bytes).filter(|count| *count > 0)?;
            // Only the first bucket may have the distance 0; of any other it would be the bucket before once more.
            let bucket = if total == 0 { distance } else { next.checked_add(distance.checked_sub(1)?)? };
            let bucket = u16::try_from(bucket).ok().filter(|bucket| *bucket < BUCKETS)?;
            total = total.checked_add(count).filter(|total| i64::try_from(*total).is_ok())?;
            next = u64::from(bucket) + 1;
            Some((bucket, count))
        };
        Some(entry().ok_or(HistogramError))
    })
}

fn bucket_of(value: i64) -> u16 {
    if value < EXACT {
        return u16::try_from(value).unwrap_or(0);
    }
    let octave = value.ilog2();
    // Between 64 and 127: the leading one and the six bits behind it.
    let leading = value >> (octave - BUCKETS_PER_OCTAVE_LOG2);
    let above = (octave - EXACT.ilog2()) * u32::from(BUCKETS_PER_OCTAVE);
    u16::try_from(i64::from(above) + leading + EXACT - i64::from(BUCKETS_PER_OCTAVE)).unwrap_or(BUCKETS - 1)
}

/// The least and the greatest value that fall into a bucket.
fn bounds_of(bucket: u16) -> (i64, i64) {
    let Some(above) = i64::from(bucket).checked_sub(EXACT).filter(|above| *above >= 0) else {
        return (i64::from(bucket), i64::from(bucket));
    };
    let (octave, leading) = (above / i64::from(BUCKETS_PER_OCTAVE), above % i64::from(BUCKETS_PER_OCTAVE));
    // An octave that starts at 2^7 has buckets two values wide.
    let width_log2 = octave + 1;
    let low = (leading + i64::from(BUCKETS_PER_OCTAVE)) << width_log2;
    (low, low + ((1 << width_log2) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Values of all magnitudes.
    fn value() -> impl Strategy<Value = i64> {
        (any::<i64>(), 0..64_u32).prop_map(|(value, shift)| value >> shift)
    }

    fn values() -> impl Strategy<Value = Vec<i64>> {
        proptest::collection::vec(value(), 0..80)
    }

    fn merged(mut one: Histogram, other: &Histogram) -> Histogram {
        one.merge(other);
        one
    }

    #[test]
    fn buckets_follow_each_other_without_a_hole_up_to_the_greatest_value() {
        let mut next = 0_i64;
        for bucket in 0..BUCKETS {
            let (low, high) = bounds_of(bucket);
            assert_eq!(low, next, "bucket {bucket}");
            assert_eq!((bucket_of(low), bucket_of(high)), (bucket, bucket));
            next = high.wrapping_add(1);
        }
        assert_eq!(next, i64::MIN, "the last bucket ends with the greatest value");
    }

    #[test]
    fn a_negative_value_counts_as_zero() {
        assert_eq!(Histogram::of([-1, i64::MIN]), Histogram::of([0, 0]));
    }

    #[test]
    fn what_is_no_histogram_is_an_error() {
        let varints = |numbers: &[u64]| {
            let mut bytes = Vec::new();
            numbers.iter().for_each(|number| varint::put(*number, &mut bytes));
            bytes
        };
        assert_eq!(Histogram::decode(&[]), Ok(Histogram::default()));
        let hostile: &[&[u64]] = &[
            &[5],
            &[5, 0],
            &[5, 1, 0, 1],
            &[u64::from(BUCKETS), 1],
            &[1, 1, u64::MAX, 1],
            &[1, u64::MAX],
            &[1, i64::MAX as u64, 1, 1],
        ];
        for numbers in hostile {
            assert_eq!(Histogram::decode(&varints(numbers)), Err(HistogramError), "{numbers:?}");
        }
        assert_eq!(Histogram::decode(&[0x80]), Err(HistogramError));
    }

    proptest! {
        #[test]
        fn merging_is_adding_in_any_order(one in values(), two in values(), three in values()) {
            let all = Histogram::of(one.iter().chain(&two).chain(&three).copied());
            let (a, b, c) = (Histogram::of(one.clone()), Histogram::of(two), Histogram::of(three));
            prop_assert_eq!(&merged(merged(a.clone(), &b), &c), &all);
            prop_assert_eq!(&merged(c, &merged(b, &a)), &all);
        }

        #[test]
        fn adding_bytes_up_is_merging(parts in proptest::collection::vec(values(), 0..5)) {
            let (mut sum, mut all) = (HistogramSum::default(), Histogram::default());
            for part in parts {
                let mut bytes = Vec::new();
                Histogram::of(part.clone()).encode(&mut bytes);
                sum.add(&bytes).unwrap();
                part.iter().for_each(|value| sum.add_value(*value));
                all.merge(&Histogram::of(part.iter().chain(&part).copied()));
            }
            prop_assert_eq!(sum.finish(), all);
        }

        #[test]
        fn a_quantile_is_within_a_hundredth_of_the_value_of_that_rank(mut values in values()) {
            let histogram = Histogram::of(values.iter().copied());
            values.sort_unstable();
            for (index, value) in values.iter().enumerate() {
                let value = (*value).max(0);
                let found = histogram.quantile(index as u64 + 1).unwrap();
                prop_assert!((found.abs_diff(value) as f64) <= value as f64 / 125.0, "{} for {}", found, value);
            }
            prop_assert_eq!(histogram.count(), values.len() as u64);
            prop_assert_eq!(histogram.quantile(values.len() as u64 + 1), None);
        }

        #[test]
        fn bytes_and_back(values in values()) {
            let histogram = Histogram::of(values);
            let mut bytes = Vec::new();
            histogram.encode(&mut bytes);
            prop_assert_eq!(Histogram::decode(&bytes), Ok(histogram));
        }

        #[test]
        fn any_bytes_are_a_histogram_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(histogram) = Histogram::decode(&bytes) {
                prop_assert!(histogram.buckets().count() <= usize::from(BUCKETS));
            }
        }
    }
}
