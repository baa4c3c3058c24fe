//! How much of the folded log is kept. Pure; `retirement_plan.rs` makes a plan of it.

use crate::ground::limits::Limits;

/// How much of the folded log is kept for rebuilding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogRetention {
    bytes_max: u64,
    age_max_ms: Option<u64>,
}

/// The limit that a segment exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surplus {
    /// [`Limits::keep_segments_bytes`].
    Bytes,
    /// [`Limits::keep_segments_age_ms`].
    Age,
}

impl LogRetention {
    /// Everything is kept.
    pub(crate) const ALL: Self = Self { bytes_max: u64::MAX, age_max_ms: None };

    pub(crate) fn new(limits: &Limits) -> Self {
        Self { bytes_max: limits.keep_segments_bytes.unwrap_or(u64::MAX), age_max_ms: limits.keep_segments_age_ms }
    }

    /// For how long folded segments are kept, in milliseconds.
    pub(crate) fn age_max_ms(&self) -> Option<u64> {
        self.age_max_ms
    }

    /// Whether anything is ever let go.
    pub(crate) fn is_limited(&self) -> bool {
        *self != Self::ALL
    }

    /// Whether nothing is kept.
    pub(crate) fn keeps_none(&self) -> bool {
        self.bytes_max == 0
    }

    /// The limit that each folded segment exceeds; `None` for a segment that is kept. `segments` has size in bytes and
    /// start in Unix milliseconds of each, oldest first. All segments older than one that exceeds a limit go too, so
    /// that what is kept has no hole.
    pub(crate) fn surplus(&self, segments: &[(u64, i64)], now_ms: i64) -> Vec<Option<Surplus>> {
        let (mut bytes_so_far, mut exceeded) = (0_u64, None);
        let from_the_newest = segments.iter().rev().map(|(bytes, created_at)| {
            bytes_so_far = bytes_so_far.saturating_add(*bytes);
            let age_ms = u64::try_from(now_ms.saturating_sub(*created_at)).unwrap_or(0);
            if bytes_so_far > self.bytes_max {
                exceeded = Some(Surplus::Bytes);
            } else if self.age_max_ms.is_some_and(|max| age_ms > max) {
                exceeded = Some(Surplus::Age);
            }
            exceeded
        });
        let mut surplus: Vec<_> = from_the_newest.collect();
        surplus.reverse();
        surplus
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_that_fit_both_limits_are_kept() {
        let segments = [(10, 100), (10, 200), (10, 300)];
        let cases = [
            (0, None, 3),
            (9, None, 3),
            (10, None, 2),
            (25, None, 1),
            (30, None, 0),
            (u64::MAX, Some(100), 2),
            (u64::MAX, Some(99), 3),
            (u64::MAX, Some(1000), 0),
            (10, Some(1000), 2),
        ];
        for (bytes_max, age_max_ms, expected) in cases {
            let retention = LogRetention { bytes_max, age_max_ms };
            let surplus = retention.surplus(&segments, 400);
            assert_eq!(surplus.iter().filter(|surplus| surplus.is_some()).count(), expected, "{retention:?}");
            assert!(surplus.is_sorted_by_key(Option::is_none), "the oldest go: {surplus:?}");
        }
        assert_eq!(LogRetention { bytes_max: 0, age_max_ms: None }.surplus(&[], 0), []);
        // A clock that was set back leaves no hole.
        let retention = LogRetention { bytes_max: u64::MAX, age_max_ms: Some(150) };
        let expected = [Some(Surplus::Age), Some(Surplus::Age), None];
        assert_eq!(retention.surplus(&[(10, 390), (10, 200), (10, 300)], 400), expected);
    }
}
