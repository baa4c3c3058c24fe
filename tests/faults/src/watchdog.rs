//! The end of what would never end: a process that takes minutes is killed, with its group, and the test that waits for
//! it fails and names it.
//!
//! A thread for each process. Nothing here waits for a process to end but [`wait_for_end`].

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// The number of the signal that nobody survives.
pub const SIGKILL: i32 = 9;
/// Many times what the longest of them needs on a loaded machine; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(300);

/// Kills a process group when the time is up.
#[derive(Debug)]
pub struct Watchdog {
    /// What is watched, for a message.
    name: String,
    bit: Arc<AtomicBool>,
    /// Dropping it ends the watch.
    leash: Option<Sender<()>>,
}

impl Watchdog {
    /// Watches the group of a process, which must call it off before it is waited for.
    pub fn over(leader: u32, name: String) -> Self {
        Self::with_patience(PATIENCE, leader, name)
    }

    fn with_patience(patience: Duration, leader: u32, name: String) -> Self {
        let (leash, pulled) = channel();
        let bit = Arc::new(AtomicBool::new(false));
        let bites = Arc::clone(&bit);
        std::thread::spawn(move || {
            if pulled.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                bites.store(true, Ordering::SeqCst);
                kill_group(leader);
            }
        });
        Self { name, bit, leash: Some(leash) }
    }

    /// Watches no longer.
    pub fn stand_down(&mut self) {
        self.leash = None;
    }

    /// What ended, ended before the time was up.
    ///
    /// # Panics
    /// It did not.
    pub fn assert_silent(&self, so_far: &impl Debug) {
        let bit = self.bit.load(Ordering::SeqCst);
        assert!(!bit, "killed, for it took minutes: {}, which came as far as {so_far:?}", self.name);
    }
}

/// Kills a process, and all that is in the group that it leads. It must not have been waited for: its id would be somebody
/// else's.
pub fn kill_group(leader: u32) {
    if let Some(group) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        // It fails where nothing is left to be killed.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Waits until a child has ended, and leaves it to be waited for.
///
/// # Errors
/// It is no child of this process, or was waited for.
pub fn wait_for_end(child: u32) -> io::Result<()> {
    let child = i32::try_from(child).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    waitid(WaitId::Pid(child), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    #[test]
    fn what_takes_too_long_is_killed_and_named() {
        let mut child = Command::new("sleep").arg("600").process_group(0).spawn().expect("start sleep");
        let mut watchdog = Watchdog::with_patience(Duration::from_millis(1), child.id(), "sleep".into());
        wait_for_end(child.id()).expect("a child");
        watchdog.stand_down();
        assert_eq!(child.wait().expect("a child").signal(), Some(SIGKILL));
        let said = std::panic::catch_unwind(|| watchdog.assert_silent(&"nothing")).expect_err("it was killed");
        assert!(said.downcast_ref::<String>().is_some_and(|said| said.contains("sleep")), "{said:?}");
    }

    #[test]
    fn what_ends_in_time_is_left_alone() {
        let mut child = Command::new("true").process_group(0).spawn().expect("start true");
        let mut watchdog = Watchdog::over(child.id(), "true".into());
        wait_for_end(child.id()).expect("a child");
        watchdog.stand_down();
        assert!(child.wait().expect("a child").success());
        watchdog.assert_silent(&"everything");
    }
}
