//! The progress bar on standard error: only on a terminal, only for work that takes a while, never among the output.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// Work that is done before this needs no bar.
const DELAY: Duration = Duration::from_millis(400);
/// How many bytes may go by between looks at the clock.
const LOOK_BYTES: u64 = 1024 * 1024;

/// How much of the work is done, in bytes.
pub(crate) struct Progress {
    total_bytes: u64,
    done_bytes: u64,
    looked_at_bytes: u64,
    started: Instant,
    wanted: bool,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A bar that will appear if the work takes long; never if `hidden`.
    pub(crate) fn new(total_bytes: u64, hidden: bool) -> Self {
        let wanted = !hidden && io::stderr().is_terminal();
        Self { total_bytes, done_bytes: 0, looked_at_bytes: 0, started: Instant::now(), wanted, bar: None }
    }

    /// So many bytes are done, of all.
    pub(crate) fn at(&mut self, done_bytes: u64) {
        self.done_bytes = done_bytes;
        if !self.wanted || done_bytes.saturating_sub(self.looked_at_bytes) < LOOK_BYTES {
            return;
        }
        self.looked_at_bytes = done_bytes;
        if self.bar.is_none() && self.started.elapsed() >= DELAY {
            let bar = ProgressBar::new(self.total_bytes);
            if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {binary_bytes_per_sec}")
            {
                bar.set_style(style);
            }
            self.bar = Some(bar);
        }
        if let Some(bar) = &self.bar {
            bar.set_position(done_bytes.min(self.total_bytes));
        }
    }

    /// How many bytes are done.
    pub(crate) const fn done_bytes(&self) -> u64 {
        self.done_bytes
    }

    /// Takes the bar off the screen while something is written there.
    pub(crate) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
