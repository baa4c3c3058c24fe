//! Ctrl-C and SIGTERM: noticed once, so that work can come to an end. A second one ends the process at once, because
//! whoever sends it has waited long enough. SIGHUP, on request: it then ends nothing.
//!
//! The handlers run on whichever thread the system chooses; all they do is to set a flag.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// From now on a terminal that goes away does not end the process: work that was begun is brought to its end.
///
/// # Errors
/// The system does not let signals be caught.
pub fn outlive_terminal() -> io::Result<()> {
    // Nobody looks at the flag; caught is enough.
    flag::register(SIGHUP, Arc::default()).map(drop)
}

/// Whether somebody wants this to end.
#[derive(Clone, Debug)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
}

impl Interrupt {
    /// From now on Ctrl-C and SIGTERM are noticed instead of ending the process.
    ///
    /// # Errors
    /// The system does not let signals be caught.
    pub fn catch() -> io::Result<Self> {
        let requested = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag unset.
            flag::register_conditional_default(signal, Arc::clone(&requested))?;
            flag::register(signal, Arc::clone(&requested))?;
        }
        Ok(Self { requested })
    }

    /// Whether it was asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }

    /// From now on they end the process again, at once: nothing is left that has to come to its end in order.
    pub fn let_go(self) {
        self.requested.store(true, Ordering::Relaxed);
    }

    /// Waits so long, and less if somebody wants this to end. Returns whether to go on: not after a signal, and not once
    /// whoever read standard output is gone (`| head`), which nobody would notice before the next line otherwise.
    #[must_use]
    pub fn pause(&self, duration: Duration) -> bool {
        let stdout = io::stdout();
        let mut outputs = [PollFd::new(&stdout, PollFlags::empty())];
        let gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
        let is_gone = match Timespec::try_from(duration).map(|duration| poll(&mut outputs, Some(&duration))) {
            Ok(Ok(_)) => outputs[0].revents().intersects(gone),
            // A signal, which the flag tells of.
            Ok(Err(_)) | Err(_) => false,
        };
        !is_gone && !self.is_requested()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_is_noticed_and_ends_nothing() {
        let interrupt = Interrupt::catch().unwrap();
        assert!(!interrupt.is_requested());
        signal_hook::low_level::raise(SIGINT).unwrap();
        assert!(interrupt.is_requested());
    }

    #[test]
    fn a_hangup_ends_nothing_once_that_was_asked_for() {
        outlive_terminal().unwrap();
        signal_hook::low_level::raise(SIGHUP).unwrap();
    }
}
