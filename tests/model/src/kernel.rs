//! Stands for the kernel's futex: one lock and one condition for all words. A thread that is never woken sleeps for ever, which
//! loom reports.

use std::time::Duration;

pub(crate) struct Timespec;

impl TryFrom<Duration> for Timespec {
    type Error = ();

    fn try_from(_: Duration) -> Result<Self, ()> {
        Ok(Self)
    }
}

pub(crate) mod futex {
    use super::Timespec;
    use loom::sync::atomic::{AtomicU32, Ordering};
    use loom::sync::{Condvar, Mutex};

    pub(crate) struct Flags;

    impl Flags {
        pub(crate) const PRIVATE: Self = Self;
    }

    loom::lazy_static! {
        static ref SLEEPERS: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());
    }

    pub(crate) fn wait(word: &AtomicU32, _: Flags, expected: u32, _: Option<&Timespec>) -> Result<(), ()> {
        let asleep = SLEEPERS.0.lock().expect("nobody panics while holding it");
        // The kernel reads what is there, and loom only what this thread may see.
        if word.fetch_add(0, Ordering::SeqCst) == expected {
            drop(SLEEPERS.1.wait(asleep));
        }
        Ok(())
    }

    pub(crate) fn wake(_: &AtomicU32, _: Flags, _: u32) -> Result<(), ()> {
        let _asleep = SLEEPERS.0.lock();
        SLEEPERS.1.notify_all();
        Ok(())
    }
}
