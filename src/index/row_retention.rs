//! How long requests are kept in the database, and how large it may grow. Pure; `expiry.rs` carries it out.

use super::age_clock::HeldBack;
use crate::fold::rollup::Level;
use crate::ground::limits::Limits;

/// How long requests are kept in the database, and how large it may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowRetention {
    age_max_ms: Option<u64>,
    bytes_max: Option<u64>,
}

/// What time it is, for retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RetentionTime {
    /// What the clock says: Unix time in milliseconds, UTC.
    pub(crate) now_ms: i64,
    /// The time from which ages count. Never later than the clock.
    pub(crate) aged_at_ms: i64,
    /// Why the two differ.
    pub(crate) held_back: Option<HeldBack>,
}

impl RetentionTime {
    /// The clock is right.
    pub(crate) fn of_clock(now_ms: i64) -> Self {
        Self { now_ms, aged_at_ms: now_ms, held_back: None }
    }
}

/// The size of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DatabaseSize {
    pub(crate) page_bytes: u64,
    pub(crate) pages: u64,
    /// Pages with nothing in them.
    pub(crate) free_pages: u64,
}

/// The state of a database, as far as retention asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DatabaseState {
    pub(crate) size: DatabaseSize,
    /// Since when requests are kept now; `i64::MIN`: from the first one on.
    pub(crate) kept_since: i64,
    /// The times of as many of the oldest requests as are [too many](RowRetention::surplus_requests), if any are.
    pub(crate) oldest: Option<OldestRequests>,
}

/// The times of the oldest requests, in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OldestRequests {
    /// The time of the oldest request.
    pub(crate) first_ts: i64,
    /// The time of the last request that is too many.
    pub(crate) last_ts: i64,
    /// The time of the newest request of all.
    pub(crate) newest_ts: i64,
}

/// Since when requests are to be kept from now on, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExpiryCut {
    /// A minute's first millisecond. What is from before it goes.
    pub(crate) kept_since: i64,
    pub(crate) reason: CutReason,
}

/// The limit by which requests expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CutReason {
    /// [`Limits::keep_rows_age_ms`].
    Age,
    /// [`Limits::database_bytes_max`].
    Size,
    /// None: somebody set the clock back, to before what is kept.
    Clock,
}

/// About how many bytes a request takes in the database, with its share of everything else: by this number retention
/// knows how many must go. Measured: 193. Where the number is wrong, expiring takes more rounds.
const BYTES_PER_REQUEST: u64 = 200;
/// How many requests expire at once for want of room: few enough that they are counted in a few milliseconds.
const REQUESTS_MAX: u64 = 100_000;
/// One transaction folds at most so many bytes of payload, so that a batch of large schema versions stays small in memory.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Fewer are not worth a transaction, however small the database is to be.
const BATCH_BYTES_MIN: usize = 32 * 1024;
/// The part of a database's limit that one transaction folds of the log.
const BATCH_PARTS: u64 = 64;
const DAY_MS: i64 = 24 * 3_600_000;
/// An age is rounded to so many parts, so that few cells of the roll-ups are cut by it.
const AGE_PARTS: i64 = 24;

impl RowRetention {
    /// Everything is kept.
    pub(crate) const UNLIMITED: Self = Self { age_max_ms: None, bytes_max: None };

    pub(crate) fn new(limits: &Limits) -> Self {
        Self { age_max_ms: limits.keep_rows_age_ms, bytes_max: limits.database_bytes_max }
    }

    /// Whether there is any limit.
    pub(crate) fn is_limited(&self) -> bool {
        self.age_max_ms.is_some() || self.bytes_max.is_some()
    }

    /// For how long requests are kept, in milliseconds.
    pub(crate) fn age_max_ms(&self) -> Option<u64> {
        self.age_max_ms
    }

    /// What is to expire now; `None`: nothing beyond what has expired.
    pub(crate) fn cut(&self, state: DatabaseState, time: RetentionTime) -> Option<ExpiryCut> {
        let RetentionTime { now_ms, aged_at_ms, .. } = time;
        let by_age =
            self.kept_since_by_age(aged_at_ms).map(|kept_since| ExpiryCut { kept_since, reason: CutReason::Age });
        let by_size = state.oldest.map(|OldestRequests { first_ts, last_ts, newest_ts }| ExpiryCut {
            kept_since: kept_since_behind(first_ts, last_ts, newest_ts.min(now_ms)),
            reason: CutReason::Size,
        });
        let cut = by_age.into_iter().chain(by_size).max_by_key(|cut| cut.kept_since);
        if state.kept_since > now_ms {
            // Nothing is left of the time before, so a clock that somebody set back may take it back: otherwise new requests
            // would be late ones. Where no limit is reached, requests that began before the step are taken too.
            let kept_since = Level::Minute.start_of(now_ms.saturating_sub(DAY_MS));
            return cut.or(Some(ExpiryCut { kept_since, reason: CutReason::Clock }));
        }
        cut.filter(|cut| cut.kept_since > state.kept_since)
    }

    /// The time before which requests are too old: a border between cells, of the longest level of which the age has at
    /// least [`AGE_PARTS`]. `None` if nothing is, at a time before all others.
    pub(crate) fn kept_since_by_age(&self, now_ms: i64) -> Option<i64> {
        let age_ms = i64::try_from(self.age_max_ms?).unwrap_or(i64::MAX);
        let fits = |level: &&Level| level.length_ms() <= age_ms / AGE_PARTS;
        let level = Level::ALL.iter().rev().find(fits).copied().unwrap_or(Level::Second).max(Level::Minute);
        Some(level.start_of(now_ms.checked_sub(age_ms)?))
    }

    /// How many of the oldest requests are to go, because the database is too large; 0 if it is not. A sixteenth of the
    /// limit is made free, so that it does not happen all the time.
    pub(crate) fn surplus_requests(&self, size: DatabaseSize) -> u64 {
        let Some(max) = self.bytes_max else { return 0 };
        let used = used(size);
        if used <= max {
            return 0;
        }
        ((used - max + max / 16) / BYTES_PER_REQUEST).clamp(1, REQUESTS_MAX)
    }

    /// Whether the size of the database is limited.
    pub(crate) fn limits_bytes(&self) -> bool {
        self.bytes_max.is_some()
    }

    /// Whether the database is larger than its limit by more than a sixteenth of it.
    pub(crate) fn is_overfull(&self, size: DatabaseSize) -> bool {
        self.bytes_max.is_some_and(|max| used(size) > max.saturating_add(max / 16))
    }

    /// How many bytes of the log one transaction folds at most. A limited database grows by about two and a half times of
    /// that, and by sixteen times where each request is in a minute of its own and calls a tool of its own: by no more than
    /// a quarter of the limit, beyond the sixteenth that [`Self::is_overfull`] allows.
    pub(crate) fn batch_bytes_max(&self) -> usize {
        let share = self.bytes_max.map_or(u64::MAX, |max| max / BATCH_PARTS);
        usize::try_from(share).unwrap_or(usize::MAX).clamp(BATCH_BYTES_MIN, BATCH_BYTES_MAX)
    }

    /// How many free pages are given back to the file system. Some stay, which the next rows fill.
    pub(crate) fn surplus_pages(&self, size: DatabaseSize) -> u64 {
        let is_sparse = size.free_pages > size.pages / 8;
        let by_share = if is_sparse { size.free_pages - size.pages / 16 } else { 0 };
        let max = self.bytes_max.map_or(u64::MAX, |max| max / size.page_bytes.max(1));
        by_share.max(size.pages.saturating_sub(max)).min(size.free_pages)
    }
}

/// How many bytes of the database have something in them.
fn used(size: DatabaseSize) -> u64 {
    size.pages.saturating_sub(size.free_pages).saturating_mul(size.page_bytes)
}

/// Since when requests are kept if those up to `last_ts` are to go, the first of them at `first_ts`: whole minutes, but
/// never the newest, at `newest_ts`.
pub(crate) fn kept_since_behind(first_ts: i64, last_ts: i64, newest_ts: i64) -> i64 {
    let minute = Level::Minute;
    minute.start_of(last_ts).max(minute.end_of(first_ts)).min(minute.start_of(newest_ts))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;

    #[test]
    fn an_age_ends_where_a_cell_begins_and_is_exceeded_by_a_twenty_fourth_at_most() {
        let now = 1_760_000_123_456;
        for (age_ms, length_ms) in [
            (MINUTE, MINUTE),
            (HOUR, MINUTE),
            (5 * HOUR, 10 * MINUTE),
            (24 * HOUR, HOUR),
            (7 * 24 * HOUR, 6 * HOUR),
            (365 * 24 * HOUR, 10 * 24 * HOUR),
        ] {
            let retention = RowRetention { age_max_ms: Some(age_ms as u64), bytes_max: None };
            let kept_since = retention.kept_since_by_age(now).unwrap();
            assert_eq!(kept_since % length_ms, 0, "{age_ms}");
            assert!((0..length_ms).contains(&(now - age_ms - kept_since)), "{age_ms}");
            assert!(length_ms == MINUTE || length_ms * 24 <= age_ms);
        }
        let for_ever = RowRetention { age_max_ms: Some(u64::MAX), bytes_max: None };
        assert!(for_ever.kept_since_by_age(now).unwrap() < 0);
        assert_eq!(RowRetention { age_max_ms: None, bytes_max: Some(1) }.kept_since_by_age(now), None);
    }

    #[test]
    fn what_expires_is_what_the_limit_says_that_reaches_further() {
        let now = 100 * HOUR;
        let size = DatabaseSize { page_bytes: 1000, pages: 1600, free_pages: 0 };
        let oldest =
            |first: i64, last: i64| OldestRequests { first_ts: first * HOUR, last_ts: last * HOUR, newest_ts: now };
        let (by_age, by_size) =
            (|hour| Some((hour * HOUR, CutReason::Age)), |hour| Some((hour * HOUR, CutReason::Size)));
        for (age, oldest, kept_since, expected) in [
            // No limit, and none that is reached.
            (None, None, i64::MIN, None),
            (Some(200), None, i64::MIN, by_age(-102)),
            // Of age alone; again, when nothing more is too old; with an age that was made longer.
            (Some(48), None, i64::MIN, by_age(52)),
            (Some(48), None, 51 * HOUR, by_age(52)),
            (Some(48), None, 52 * HOUR, None),
            (Some(48), None, 53 * HOUR, None),
            // Of size alone, and of both: what reaches further counts.
            (None, Some(oldest(1, 60)), i64::MIN, by_size(60)),
            (None, Some(oldest(1, 60)), 60 * HOUR, None),
            (Some(48), Some(oldest(1, 60)), i64::MIN, by_size(60)),
            (Some(48), Some(oldest(1, 40)), i64::MIN, by_age(52)),
            // A clock that was wrong and is right again.
            (Some(48), None, 1000 * HOUR, by_age(52)),
            (None, Some(oldest(1, 60)), 1000 * HOUR, by_size(60)),
            (None, None, 1000 * HOUR, Some((76 * HOUR, CutReason::Clock))),
        ] {
            let age_max_ms = age.map(|hours| hours * HOUR as u64);
            let retention = RowRetention { age_max_ms, bytes_max: oldest.map(|_| 1_000_000) };
            let cut = retention.cut(DatabaseState { size, kept_since, oldest }, RetentionTime::of_clock(now));
            assert_eq!(cut.map(|cut| (cut.kept_since, cut.reason)), expected, "{age:?} {oldest:?} {kept_since}");
        }
    }

    #[test]
    fn age_counts_from_the_believed_time_and_size_from_the_clock() {
        let size = DatabaseSize { page_bytes: 1000, pages: 1600, free_pages: 0 };
        let (now_ms, aged_at_ms) = (9000 * HOUR, 100 * HOUR);
        let time = RetentionTime { now_ms, aged_at_ms, held_back: None };
        let retention = RowRetention { age_max_ms: Some(48 * HOUR as u64), bytes_max: Some(1_000_000) };
        let state = |oldest| DatabaseState { size, kept_since: i64::MIN, oldest };
        let cut = retention.cut(state(None), time).unwrap();
        assert_eq!((cut.kept_since, cut.reason), (52 * HOUR, CutReason::Age));
        // Rows of after the step make room for each other, or the database would grow as long as the clock is not believed.
        let oldest = OldestRequests { first_ts: 8000 * HOUR, last_ts: 8500 * HOUR, newest_ts: now_ms };
        let cut = retention.cut(state(Some(oldest)), time).unwrap();
        assert_eq!((cut.kept_since, cut.reason), (8500 * HOUR, CutReason::Size));
    }

    #[test]
    fn requests_go_by_whole_minutes_and_the_newest_minute_stays() {
        let newest = 10 * MINUTE + 5;
        for (first, last, expected) in [
            (1, 2, MINUTE),
            (1, 3 * MINUTE + 7, 3 * MINUTE),
            (3 * MINUTE, 3 * MINUTE + 7, 4 * MINUTE),
            (1, newest, 10 * MINUTE),
            (newest, newest, 10 * MINUTE),
            (-5, -5, 0),
        ] {
            assert_eq!(kept_since_behind(first, last, newest), expected, "{first} {last}");
        }
    }

    #[test]
    fn a_database_that_is_too_large_loses_its_surplus_in_rounds() {
        let retention = RowRetention { age_max_ms: None, bytes_max: Some(1_600_000) };
        let size = |pages, free_pages| DatabaseSize { page_bytes: 1000, pages, free_pages };
        assert_eq!(retention.surplus_requests(size(1600, 0)), 0);
        assert_eq!(retention.surplus_requests(size(9000, 7400)), 0);
        assert_eq!(retention.surplus_requests(size(1601, 0)), (1_000 + 100_000) / BYTES_PER_REQUEST);
        assert_eq!(retention.surplus_requests(size(u64::MAX, 0)), REQUESTS_MAX);
        assert_eq!(RowRetention { age_max_ms: None, bytes_max: None }.surplus_requests(size(u64::MAX, 0)), 0);
    }

    #[test]
    fn free_pages_are_given_back_where_they_are_many_or_beyond_the_limit() {
        let size = |pages, free_pages| DatabaseSize { page_bytes: 1000, pages, free_pages };
        let unlimited = RowRetention { age_max_ms: Some(1), bytes_max: None };
        assert_eq!(unlimited.surplus_pages(size(1600, 200)), 0);
        assert_eq!(unlimited.surplus_pages(size(1600, 201)), 101);
        let limited = RowRetention { age_max_ms: None, bytes_max: Some(1_550_000) };
        assert_eq!(limited.surplus_pages(size(1600, 200)), 50);
        assert_eq!(limited.surplus_pages(size(1600, 20)), 20);
        assert_eq!(limited.surplus_pages(size(1550, 20)), 0);
    }
}
