//! The limit on the size of files (RLIMIT_FSIZE), met as an error and not as the end of the process.
//!
//! Whoever writes beyond it gets SIGXFSZ, which kills; only where that is blocked or ignored, EFBIG is all there is,
//! and that is handled like a full disk. What the process does with the signal elsewhere is its own business: so it is
//! blocked in the threads that write the store, and nowhere else. Runs on the thread that opens the store.

use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};

/// Runs `work` with the signal blocked, in this thread and, for good, in those that it starts.
pub(crate) fn as_an_error<T>(work: impl FnOnce() -> T) -> T {
    let signal = SigSet::from(Signal::SIGXFSZ);
    let before = signal.thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let done = work();
    if let Ok(before) = before {
        if !before.contains(Signal::SIGXFSZ) {
            // One that came meanwhile would be delivered now. There is never more than one waiting, so waiting for one
            // that is certain to be there takes whatever came.
            let _ = raise(Signal::SIGXFSZ).and_then(|()| signal.wait());
        }
        let _ = before.thread_set_mask();
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked() -> bool {
        SigSet::thread_get_mask().unwrap().contains(Signal::SIGXFSZ)
    }

    #[test]
    fn the_signal_is_blocked_in_the_work_and_its_threads_only_and_one_that_came_is_gone() {
        assert!(!blocked());
        let (here, there) = as_an_error(|| {
            raise(Signal::SIGXFSZ).unwrap();
            (blocked(), std::thread::spawn(blocked).join().unwrap())
        });
        assert_eq!((here, there, blocked()), (true, true, false));
    }

    #[test]
    fn a_thread_that_blocks_the_signal_itself_keeps_it_blocked() {
        SigSet::from(Signal::SIGXFSZ).thread_block().unwrap();
        as_an_error(|| {});
        assert!(blocked());
    }
}
