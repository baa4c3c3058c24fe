//! The bound on events that wait in blocks of their own: their number and their bytes.
//!
//! Recording threads reserve before they allocate, and the appender releases once it has read. No lock; only events that
//! share no block come here.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many events may wait in blocks of their own.
///
/// The queue to the appender has so many places beside those of the pool's blocks. The number must therefore be bounded
/// as well as the bytes: one event of a channel may have as many bytes as some thousand others.
pub(super) const SINGLE_EVENTS_MAX: usize = 1024;

/// How much of the channel the events take that wait in blocks of their own, and how much they may take.
#[derive(Debug)]
pub(super) struct SingleEvents {
    events: AtomicUsize,
    words: AtomicUsize,
    words_max: usize,
}

impl SingleEvents {
    /// Room for [`SINGLE_EVENTS_MAX`] events of so many words together.
    pub(super) fn new(words_max: usize) -> Self {
        Self { events: AtomicUsize::new(0), words: AtomicUsize::new(0), words_max }
    }

    /// Takes room for one event. `false`: there is none, and nothing is taken.
    #[must_use = "what was reserved has to be released"]
    pub(super) fn reserve(&self, words: usize) -> bool {
        if !add_within(&self.events, 1, SINGLE_EVENTS_MAX) {
            return false;
        }
        let has_room = add_within(&self.words, words, self.words_max);
        if !has_room {
            self.events.fetch_sub(1, Ordering::Relaxed);
        }
        has_room
    }

    /// Gives back what one event had reserved.
    pub(super) fn release(&self, words: usize) {
        self.words.fetch_sub(words, Ordering::Relaxed);
        self.events.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Adds, unless the sum would be more than `max`. In one step: an addition that is taken back would have others find no
/// room that is there.
fn add_within(count: &AtomicUsize, more: usize, max: usize) -> bool {
    let sum = |count: usize| count.checked_add(more).filter(|sum| *sum <= max);
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_words_are_bounded_and_a_refusal_takes_nothing() {
        let singles = SingleEvents::new(2 * SINGLE_EVENTS_MAX);
        for _ in 0..3 {
            assert!((0..SINGLE_EVENTS_MAX).all(|_| singles.reserve(1)));
            assert!(!singles.reserve(1), "too many events");
            (0..SINGLE_EVENTS_MAX).for_each(|_| singles.release(1));
            assert!(singles.reserve(2 * SINGLE_EVENTS_MAX));
            assert!(!singles.reserve(1) && !singles.reserve(usize::MAX), "too many words");
            singles.release(2 * SINGLE_EVENTS_MAX);
        }
    }
}
