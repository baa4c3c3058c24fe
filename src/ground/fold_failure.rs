//! Why nothing is folded, and who is told.
//!
//! A process that waits for folding is told what a try found that began after it asked: what an earlier one found, another
//! process may have mended since. The compactor tries, any thread asks; nobody waits here.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers those who asked for folding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FoldingAsked(u64);

impl FoldingAsked {
    /// All of them: there will be no other try.
    pub(crate) const EVERYBODY: Self = Self(u64::MAX);
}

/// Why nothing is folded, by this process or another, until somebody mends the database.
#[derive(Debug, Default)]
pub(super) struct FoldFailure {
    asked: AtomicU64,
    /// The first reason, and whose asking came before the last try that failed.
    found: Mutex<Option<(String, FoldingAsked)>>,
}

impl FoldFailure {
    /// Asks.
    pub(super) fn ask(&self) -> FoldingAsked {
        FoldingAsked(self.asked.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// Before a try: whom the try answers.
    pub(super) fn asked(&self) -> FoldingAsked {
        FoldingAsked(self.asked.load(Ordering::Acquire))
    }

    /// A try failed that answers those. The first reason stays: those after it follow from it.
    pub(super) fn set(&self, why: String, answers: FoldingAsked) {
        self.found.lock().get_or_insert((why, answers)).1 = answers;
    }

    /// Somebody has mended the database.
    pub(super) fn clear(&self) {
        *self.found.lock() = None;
    }

    /// Why nothing is folded, by a try that began after this asking.
    pub(super) fn since(&self, asked: FoldingAsked) -> Option<String> {
        self.found.lock().as_ref().filter(|(_, answers)| *answers >= asked).map(|(why, _)| why.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_is_told_why_nothing_is_folded_by_a_try_that_came_after_until_somebody_mended_that() {
        let failure = FoldFailure::default();
        let first = failure.ask();
        failure.set("damaged".into(), failure.asked());
        let second = failure.ask();
        assert_eq!(failure.since(first).as_deref(), Some("damaged"));
        assert_eq!(failure.since(second), None, "it may be mended since");
        failure.set("damaged still".into(), failure.asked());
        assert_eq!(failure.since(second).as_deref(), Some("damaged"));
        failure.clear();
        assert_eq!(failure.since(first), None);
        failure.set("nobody folds".into(), FoldingAsked::EVERYBODY);
        assert_eq!(failure.since(failure.ask()).as_deref(), Some("nobody folds"));
    }
}
