//! When the compactor folds: not each record as it comes, but what has gathered in a while.
//!
//! Pure. A transaction rewrites the last page of every index and the roll-up cells of the minute, however few rows it
//! adds, and a processor that has just served something else is slow at first. So fewer and larger batches cost less.

use std::time::Duration;

/// From one batch to the next. With the sync interval of 100 ms before it and the folding itself behind, what was
/// recorded is in the database well within a second.
pub(crate) const BATCH_INTERVAL: Duration = Duration::from_millis(400);

/// What there is to fold, and for whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backlog {
    /// Records that may be folded.
    pub(crate) records: u64,
    /// As many as one transaction takes.
    pub(crate) batch_records: u64,
    /// Somebody waits for them.
    pub(crate) awaited: bool,
}

/// How long the backlog may still gather, when the last batch that left nothing behind was committed `since` ago.
/// `None`: no longer.
pub(crate) fn pause(backlog: Backlog, since: Duration) -> Option<Duration> {
    let Backlog { records, batch_records, awaited } = backlog;
    if awaited || records == 0 || records >= batch_records {
        return None;
    }
    BATCH_INTERVAL.checked_sub(since).filter(|pause| !pause.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause_ms(records: u64, awaited: bool, since_ms: u64) -> Option<u128> {
        let backlog = Backlog { records, batch_records: 1000, awaited };
        pause(backlog, Duration::from_millis(since_ms)).map(|pause| pause.as_millis())
    }

    #[test]
    fn a_few_records_gather_until_the_interval_is_over() {
        assert_eq!(pause_ms(1, false, 0), Some(400));
        assert_eq!(pause_ms(999, false, 399), Some(1));
        assert_eq!(pause_ms(1, false, 400), None);
        assert_eq!(pause_ms(1, false, 100_000), None);
    }

    #[test]
    fn a_full_batch_and_somebody_who_waits_make_it_go_on_at_once() {
        assert_eq!(pause_ms(1000, false, 0), None);
        assert_eq!(pause_ms(u64::MAX, false, 0), None);
        assert_eq!(pause_ms(1, true, 0), None);
    }

    #[test]
    fn with_nothing_to_fold_there_is_nothing_to_wait_for() {
        assert_eq!(pause_ms(0, false, 0), None);
    }
}
