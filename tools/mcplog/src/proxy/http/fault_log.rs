//! What went wrong with the upstream, in the diagnostics: each fault once when it begins, and once when it is over.
//!
//! Called by the forwarding tasks, and now and then by the one that looks after calls. One short critical section for each
//! failed exchange.

use super::fault::{Cause, Fault};
use mcplog::burst::Burst;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// After so long without another one, a fault is over.
pub(super) const QUIET: Duration = Duration::from_secs(60);

/// The faults of one upstream.
pub(super) struct FaultLog {
    bursts: Mutex<[(Burst, String); Fault::COUNT]>,
    /// Whether any is under way.
    is_on: AtomicBool,
}

impl Default for FaultLog {
    fn default() -> Self {
        let bursts = Mutex::new(std::array::from_fn(|_| (Burst::new(QUIET), String::new())));
        Self { bursts, is_on: AtomicBool::new(false) }
    }
}

impl FaultLog {
    /// Tells it, unless it was told and is not over.
    pub(super) fn tell(&self, cause: &Cause) {
        let begins = {
            let (burst, words) = &mut self.bursts.lock()[cause.fault as usize];
            let begins = burst.note(1, Instant::now());
            if begins {
                *words = cause.words.to_string();
            }
            begins
        };
        self.is_on.store(true, Ordering::Relaxed);
        match begins {
            true => tracing::warn!("the upstream: {}", cause.words),
            false => tracing::debug!("the upstream, again: {}", cause.words),
        }
    }

    /// Tells which faults are over.
    pub(super) fn look(&self, now: Instant) {
        if !self.is_on.load(Ordering::Relaxed) {
            return;
        }
        let mut over = Vec::new();
        {
            let mut bursts = self.bursts.lock();
            over.extend(bursts.iter_mut().filter_map(|(burst, words)| Some((burst.over(now)?, std::mem::take(words)))));
            self.is_on.store(bursts.iter().any(|(burst, _)| burst.is_on()), Ordering::Relaxed);
        }
        for (over, words) in over {
            tracing::warn!(times = over.times, lasted_ms = over.lasted_ms(), "the upstream: no more of: {words}");
        }
    }
}
