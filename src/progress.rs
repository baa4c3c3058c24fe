//! How far the store has come: appended, durable, folded; and waiting for it.
//!
//! The appender, the syncing thread and the compactor each store their own number; callers of `flush` and
//! `wait_folded` sleep here. The hot path never comes here.

use crate::error::WaitError;
use crate::format::Sequence;
use parking_lot::{Condvar, Mutex};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The sequence number of the last record that is appended, durable, folded. Each only grows.
#[derive(Debug)]
pub(crate) struct Progress {
    appended: AtomicU64,
    durable: AtomicU64,
    folded: AtomicU64,
    /// Events appended since the store was opened, gap records not counted.
    appended_events: AtomicU64,
    /// Events folded since the store was opened, counted alike.
    folded_events: AtomicU64,
    /// Why the log can't be synced any more. Set once: Linux reports a failed write once and then forgets it.
    sync_failure: OnceLock<String>,
    /// When the database last had everything that could be folded.
    caught_up: Mutex<Instant>,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Progress {
    /// At the start, `last` is the last sequence number of the log, and `folded` of what is folded.
    pub(crate) fn new(last: Sequence, folded: Sequence) -> Self {
        Self {
            appended: AtomicU64::new(last.0),
            durable: AtomicU64::new(last.0),
            folded: AtomicU64::new(folded.0),
            appended_events: AtomicU64::new(0),
            folded_events: AtomicU64::new(0),
            sync_failure: OnceLock::new(),
            caught_up: Mutex::new(Instant::now()),
            lock: Mutex::new(()),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn appended(&self) -> Sequence {
        Sequence(self.appended.load(Ordering::Acquire))
    }

    pub(crate) fn durable(&self) -> Sequence {
        Sequence(self.durable.load(Ordering::Acquire))
    }

    pub(crate) fn folded(&self) -> Sequence {
        Sequence(self.folded.load(Ordering::Acquire))
    }

    pub(crate) fn appended_events(&self) -> u64 {
        self.appended_events.load(Ordering::Acquire)
    }

    pub(crate) fn folded_events(&self) -> u64 {
        self.folded_events.load(Ordering::Acquire)
    }

    pub(crate) fn sync_failure(&self) -> Option<&str> {
        self.sync_failure.get().map(String::as_str)
    }

    /// By the appender, once a batch.
    pub(crate) fn set_appended(&self, last: Sequence, events: u64) {
        self.appended.store(last.0, Ordering::Release);
        self.appended_events.fetch_add(events, Ordering::Release);
    }

    /// By the syncing thread.
    pub(crate) fn set_durable(&self, last: Sequence) {
        self.durable.fetch_max(last.0, Ordering::Release);
        self.notify();
    }

    /// By the compactor, after a commit.
    pub(crate) fn set_folded(&self, last: Sequence, events: u64) {
        self.folded.store(last.0, Ordering::Release);
        self.folded_events.fetch_add(events, Ordering::Release);
        self.notify();
    }

    /// By the compactor: everything that could be folded at that instant is folded.
    pub(crate) fn set_caught_up(&self, at: Instant) {
        *self.caught_up.lock() = at;
    }

    pub(crate) fn caught_up_ms_ago(&self) -> u64 {
        u64::try_from(self.caught_up.lock().elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// By the syncing thread, when a sync failed.
    pub(crate) fn fail_sync(&self, why: String) {
        // The first failure is the one that counts.
        let _ = self.sync_failure.set(why);
        self.notify();
    }

    /// Waits until everything up to `target` is durable.
    pub(crate) fn wait_durable(&self, target: Sequence, deadline: Instant, timeout: Duration) -> Result<(), WaitError> {
        self.wait(deadline, timeout, || {
            if let Some(why) = self.sync_failure() {
                return Some(Err(WaitError::Sync(why.to_owned())));
            }
            (self.durable() >= target).then_some(Ok(()))
        })
    }

    /// Waits until everything up to `target` is folded.
    pub(crate) fn wait_folded(&self, target: Sequence, deadline: Instant, timeout: Duration) -> Result<(), WaitError> {
        self.wait(deadline, timeout, || (self.folded() >= target).then_some(Ok(())))
    }

    fn wait(
        &self,
        deadline: Instant,
        timeout: Duration,
        done: impl Fn() -> Option<Result<(), WaitError>>,
    ) -> Result<(), WaitError> {
        let mut guard = self.lock.lock();
        loop {
            if let Some(result) = done() {
                return result;
            }
            if self.changed.wait_until(&mut guard, deadline).timed_out() {
                return done().unwrap_or(Err(WaitError::Timeout(timeout)));
            }
        }
    }

    fn notify(&self) {
        // Taking the lock orders this after the check of whoever is about to sleep.
        drop(self.lock.lock());
        self.changed.notify_all();
    }
}
