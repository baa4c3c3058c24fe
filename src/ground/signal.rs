//! Where threads sleep until something has changed.
//!
//! A futex of its own: notifying is one system call however many sleep, none if nobody does, and whoever wakes up takes
//! no lock. parking_lot's condition in its place, whose sleepers pass its lock on from one to the next, made 50,000 to
//! 58,000 durable commits per second from 16 threads where the futex made 61,000 to 64,000 (`benches/durable.rs`, quiet, in
//! turn).

use rustix::thread::{Timespec, futex};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// The place where they sleep.
#[derive(Debug)]
pub(crate) struct Signal {
    /// How often it was notified; it may go round.
    changes: AtomicU32,
    sleepers: AtomicU32,
}

impl Signal {
    pub(crate) const fn new() -> Self {
        Self { changes: AtomicU32::new(0), sleepers: AtomicU32::new(0) }
    }

    /// Waits until `done` gives something; `None`: not by the deadline.
    pub(crate) fn wait<T>(&self, deadline: Instant, done: impl Fn() -> Option<T>) -> Option<T> {
        loop {
            // In this order: a change after this load keeps the thread awake.
            let seen = self.changes.load(Ordering::SeqCst);
            if let Some(result) = done() {
                return Some(result);
            }
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            // A duration too long for the clock is no deadline at all.
            let left = Timespec::try_from(left).ok();
            // Counted before it sleeps, so either it is found by whoever notifies, or it finds the change itself.
            self.sleepers.fetch_add(1, Ordering::SeqCst);
            // Whatever ended it (a change, the time, a signal), what matters is looked at again.
            let _ = futex::wait(&self.changes, futex::Flags::PRIVATE, seen, left.as_ref());
            self.sleepers.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Wakes all who sleep. What they wait for is stored before.
    pub(crate) fn notify(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            // It fails only for a word that is not mapped.
            let _ = futex::wake(&self.changes, futex::Flags::PRIVATE, u32::MAX >> 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    #[test]
    fn everybody_who_waits_is_woken_by_one_notification() {
        let (signal, done) = (Signal::new(), AtomicBool::new(false));
        let deadline = Instant::now() + Duration::from_secs(60);
        std::thread::scope(|scope| {
            let wait = || signal.wait(deadline, || done.load(Ordering::SeqCst).then_some(7));
            let waiters: Vec<_> = (0..8).map(|_| scope.spawn(wait)).collect();
            while signal.sleepers.load(Ordering::SeqCst) < 8 {
                std::thread::yield_now();
            }
            done.store(true, Ordering::SeqCst);
            signal.notify();
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), Some(7));
            }
        });
    }

    #[test]
    fn what_is_there_already_is_given_without_waiting_and_what_never_comes_at_the_deadline() {
        let signal = Signal::new();
        assert_eq!(signal.wait(Instant::now(), || Some(1)), Some(1));
        assert_eq!(signal.wait(Instant::now() + Duration::from_millis(5), || None::<u8>), None);
    }
}
