//! Where threads sleep until something has changed.
//!
//! Notifying takes the lock for an instant and makes no system call while nobody sleeps. A futex of its own, with which
//! whoever wakes up takes no lock, was here before and was not faster (`benches/durable.rs`, in turn).

use parking_lot::{Condvar, Mutex};
use std::time::Instant;

/// The place where they sleep.
#[derive(Debug)]
pub(crate) struct Signal {
    /// Held while a thread looks whether it has to sleep, so that a change is seen by that look or comes after it.
    looking: Mutex<()>,
    changed: Condvar,
}

impl Signal {
    pub(crate) fn new() -> Self {
        Self { looking: Mutex::new(()), changed: Condvar::new() }
    }

    /// Waits until `done` gives something; `None`: not by the deadline.
    pub(crate) fn wait<T>(&self, deadline: Instant, done: impl Fn() -> Option<T>) -> Option<T> {
        let mut looking = self.looking.lock();
        loop {
            if let Some(result) = done() {
                return Some(result);
            }
            if self.changed.wait_until(&mut looking, deadline).timed_out() {
                return done();
            }
        }
    }

    /// Wakes all who sleep. What they wait for is stored before.
    pub(crate) fn notify(&self) {
        // Who has looked and seen nothing sleeps by the time this thread has the lock.
        drop(self.looking.lock());
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::time::Duration;

    #[test]
    fn everybody_who_waits_is_woken_by_one_notification() {
        let (signal, done, looks) = (Signal::new(), AtomicBool::new(false), AtomicU32::new(0));
        let deadline = Instant::now() + Duration::from_secs(60);
        let look = || {
            looks.fetch_add(1, Ordering::SeqCst);
            done.load(Ordering::SeqCst).then_some(7)
        };
        std::thread::scope(|scope| {
            let wait = || signal.wait(deadline, look);
            let waiters: Vec<_> = (0..8).map(|_| scope.spawn(wait)).collect();
            while looks.load(Ordering::SeqCst) < 8 {
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
