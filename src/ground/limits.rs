//! What a store keeps, and for how long: limits that are the store's own, remembered in its database.
//!
//! Pure. Whoever opens a store may tell it a limit, and tells it to all who open it later; who says nothing leaves it as
//! it is. So no program that opens a store for a moment lets go what another one was told to keep.

use serde::Serialize;
use std::ops::RangeInclusive;

/// The least time for which requests can be kept: a minute is what they are expired by.
pub const KEEP_ROWS_AGE_MS_MIN: u64 = 60_000;
/// The least size to which a database can be limited. Its tables take a quarter of a megabyte when they are empty, and
/// room that is given back is given back in sixteenths.
pub const DATABASE_BYTES_MIN: u64 = 1024 * 1024;
/// After how long without a request a session counts as ended in a store that was never told: many clients never close
/// theirs. So it is the same for a store that a proxy made, and for one that an import made.
pub const SESSION_IDLE_MS_DEFAULT: u64 = 30 * 60 * 1000;
/// The longest idle time of a session: a hundred years, so that adding it to a time can't overflow.
pub const SESSION_IDLE_MS_MAX: u64 = 100 * 365 * 24 * 3600 * 1000;

/// No limit, where a limit is a size of what is kept; for the others 0 says it.
const ALL: u64 = u64::MAX;

/// The limits of a store. `None` is no limit. Serialized, the members have the fields' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Limits {
    /// [`Config::keep_rows_age_ms`](crate::Config::keep_rows_age_ms); `None`: for ever.
    pub keep_rows_age_ms: Option<u64>,
    /// [`Config::database_bytes_max`](crate::Config::database_bytes_max); `None`: it may have any size.
    pub database_bytes_max: Option<u64>,
    /// [`Config::keep_segments_bytes`](crate::Config::keep_segments_bytes); `None`: all, 0: none but the newest.
    pub keep_segments_bytes: Option<u64>,
    /// [`Config::keep_segments_age_ms`](crate::Config::keep_segments_age_ms); `None`: for ever.
    pub keep_segments_age_ms: Option<u64>,
    /// [`Config::session_idle_ms`](crate::Config::session_idle_ms); `None`: never.
    pub session_idle_ms: Option<u64>,
}

/// One of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Limit {
    RowsAge,
    DatabaseBytes,
    SegmentsBytes,
    SegmentsAge,
    SessionIdle,
}

impl Limit {
    /// Each of them.
    pub(crate) const EACH: [Self; 5] =
        [Self::RowsAge, Self::DatabaseBytes, Self::SegmentsBytes, Self::SegmentsAge, Self::SessionIdle];

    /// Its name: that of the setting, and its key in table `meta`.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::RowsAge => "keep_rows_age_ms",
            Self::DatabaseBytes => "database_bytes_max",
            Self::SegmentsBytes => "keep_segments_bytes",
            Self::SegmentsAge => "keep_segments_age_ms",
            Self::SessionIdle => "session_idle_ms",
        }
    }

    /// Its values but for [`Limit::unlimited`].
    pub(crate) fn range(self) -> RangeInclusive<u64> {
        match self {
            Self::RowsAge => KEEP_ROWS_AGE_MS_MIN..=i64::MAX as u64,
            Self::DatabaseBytes => DATABASE_BYTES_MIN..=i64::MAX as u64,
            Self::SegmentsBytes => 0..=ALL,
            Self::SegmentsAge => 1..=i64::MAX as u64,
            Self::SessionIdle => 1..=SESSION_IDLE_MS_MAX,
        }
    }

    /// The value that is no limit.
    pub(crate) const fn unlimited(self) -> u64 {
        if matches!(self, Self::SegmentsBytes) { ALL } else { 0 }
    }

    /// The value for a database that is made anew where nobody knows any more what the one before was told: one for which
    /// nothing is let go. Ending a session that is silent lets nothing go.
    pub(crate) const fn of_a_lost_store(self) -> u64 {
        match self {
            Self::SessionIdle => self.of_a_new_store(),
            Self::RowsAge | Self::DatabaseBytes | Self::SegmentsBytes | Self::SegmentsAge => self.unlimited(),
        }
    }

    /// Whether the setting may have that value.
    pub(crate) fn allows(self, value: u64) -> bool {
        value == self.unlimited() || self.range().contains(&value)
    }

    /// The value in a store that was never told one: every row is kept, no folded segment, and a session that is silent
    /// ends.
    pub(crate) const fn of_a_new_store(self) -> u64 {
        match self {
            Self::SessionIdle => SESSION_IDLE_MS_DEFAULT,
            Self::RowsAge | Self::DatabaseBytes | Self::SegmentsBytes | Self::SegmentsAge => 0,
        }
    }
}

impl Limits {
    /// The limits of which the settings have these values.
    pub(crate) fn of(value: impl Fn(Limit) -> u64) -> Self {
        let limit = |limit: Limit| Some(value(limit)).filter(|value| *value != limit.unlimited());
        Self {
            keep_rows_age_ms: limit(Limit::RowsAge),
            database_bytes_max: limit(Limit::DatabaseBytes),
            keep_segments_bytes: limit(Limit::SegmentsBytes),
            keep_segments_age_ms: limit(Limit::SegmentsAge),
            session_idle_ms: limit(Limit::SessionIdle),
        }
    }
}

/// What a database remembers of its store's limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RememberedLimits {
    /// The settings' values, as [`Limit::EACH`] has them; `None`: there is none, or it is none.
    values: [Option<u64>; Limit::EACH.len()],
}

impl RememberedLimits {
    /// Those that are written so. Text that is no value of its setting is damage.
    pub(crate) fn of(written: impl Fn(Limit) -> Option<String>) -> Self {
        let read = |limit: Limit| written(limit)?.parse().ok().filter(|value| limit.allows(*value));
        Self { values: Limit::EACH.map(read) }
    }

    /// The value of a setting, if it is known.
    pub(crate) fn known(&self, limit: Limit) -> Option<u64> {
        self.values[limit as usize]
    }

    /// The value of a setting. Where it is not known any more, nothing is let go for it.
    pub(crate) fn value(&self, limit: Limit) -> u64 {
        self.known(limit).unwrap_or(limit.unlimited())
    }

    /// The limits.
    pub(crate) fn limits(&self) -> Limits {
        Limits::of(|limit| self.value(limit))
    }

    /// The settings of which the values are not known any more.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = Limit> {
        Limit::EACH.into_iter().filter(|limit| self.known(*limit).is_none())
    }

    /// What people are told of those; `None` if every value is known.
    pub(crate) fn advice(&self) -> Option<String> {
        let unknown: Vec<_> = self.unknown().map(Limit::key).collect();
        if unknown.is_empty() {
            return None;
        }
        Some(format!(
            "table meta does not say any more what the store was told of {}: nothing is let go for that; tell it anew, where \
             you start what records (`--keep`, `--max-size`, or the configuration file's [store])",
            unknown.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_damaged_or_missing_keeps_everything_and_is_named() {
        for limit in Limit::EACH {
            assert_eq!(Limit::EACH[limit as usize], limit, "the place is its number");
            let good = limit.range().start().max(&1).to_string();
            for (written, known) in [
                (Some(good.as_str()), true),
                (Some(&limit.unlimited().to_string()), true),
                (None, false),
                (Some(""), false),
                (Some("-1"), false),
                (Some("unlimited"), false),
                (Some("18446744073709551616"), false),
            ] {
                let of = |other: Limit| match other == limit {
                    true => written.map(str::to_owned),
                    false => Some(other.of_a_new_store().to_string()),
                };
                let found = RememberedLimits::of(of);
                let unknown: Vec<_> = found.unknown().collect();
                assert_eq!(unknown.is_empty(), known, "{limit:?}: {written:?}");
                assert_eq!(found.advice().is_some_and(|advice| advice.contains(limit.key())), !known);
                if !known {
                    assert_eq!(found.value(limit), limit.unlimited());
                }
            }
        }
        let beyond = RememberedLimits::of(|_| Some("59999".to_owned()));
        assert_eq!(beyond.unknown().collect::<Vec<_>>(), [Limit::RowsAge, Limit::DatabaseBytes]);
    }

    #[test]
    fn no_limit_is_none_and_a_new_store_keeps_rows_and_no_folded_segment_and_ends_silent_sessions() {
        let new = Limits::of(Limit::of_a_new_store);
        let session_idle_ms = Some(SESSION_IDLE_MS_DEFAULT);
        assert_eq!(new, Limits { keep_segments_bytes: Some(0), session_idle_ms, ..Limits::of(Limit::unlimited) });
        let none = Limits::of(Limit::unlimited);
        assert_eq!((none.keep_segments_bytes, none.keep_rows_age_ms, none.session_idle_ms), (None, None, None));
    }
}
