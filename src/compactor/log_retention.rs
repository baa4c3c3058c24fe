//! How much of the folded log is kept. Pure; the compactor carries it out.

use crate::ground::config::Config;

/// How much of the folded log is kept for rebuilding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogRetention {
    bytes_max: u64,
    age_max_ms: Option<u64>,
}

impl LogRetention {
    pub(crate) fn new(config: &Config) -> Self {
        Self { bytes_max: config.keep_segments_bytes, age_max_ms: config.keep_segments_age_ms }
    }

    /// How many of the folded segments are to be retired, from the oldest on. `segments` gives size and start of each,
    /// oldest first.
    pub(crate) fn retired(&self, segments: &[(u64, i64)], now_ms: i64) -> usize {
        let mut kept_bytes = 0_u64;
        let kept = segments
            .iter()
            .rev()
            .take_while(|(bytes, created_at)| {
                kept_bytes = kept_bytes.saturating_add(*bytes);
                let age_ms = u64::try_from(now_ms.saturating_sub(*created_at)).unwrap_or(0);
                kept_bytes <= self.bytes_max && self.age_max_ms.is_none_or(|max| age_ms <= max)
            })
            .count();
        segments.len() - kept
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
            assert_eq!(retention.retired(&segments, 400), expected, "{retention:?}");
        }
        assert_eq!(LogRetention { bytes_max: 0, age_max_ms: None }.retired(&[], 0), 0);
    }
}
