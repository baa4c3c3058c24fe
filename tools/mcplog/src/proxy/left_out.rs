//! Lines of the access log that are left out, as the diagnostics tell it: once when that begins, and once when it is over.
//!
//! Told by whoever hands a line over and finds no room, and by the thread that writes. It must not write anything itself: what
//! is said goes another way than the lines.

use mcplog::burst::{Burst, Over};
use parking_lot::Mutex;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// After so long without another one, and with a line that was written, leaving lines out is over.
const QUIET: Duration = Duration::from_secs(10);

/// The lines.
pub(super) struct LeftOut {
    lines: Mutex<Burst>,
    /// The burst is on: so that who writes a line takes no lock while all is well.
    is_on: AtomicBool,
}

impl LeftOut {
    /// None yet.
    pub(super) const fn new() -> Self {
        Self { lines: Mutex::new(Burst::new(QUIET)), is_on: AtomicBool::new(false) }
    }

    /// A line found no room.
    pub(super) fn no_room(&self) {
        if self.note() {
            tracing::warn!("lines of the access log are left out: they are not written in time");
        }
    }

    /// A line was written, or was not.
    pub(super) fn tried(&self, result: io::Result<()>) {
        match result {
            Ok(()) if self.is_on.load(Ordering::Relaxed) => {
                self.tell_over(|lines| lines.over(Instant::now()));
            }
            Ok(()) => {}
            Err(error) if self.note() => {
                tracing::warn!(%error, "lines of the access log are left out: they can't be written");
            }
            Err(_) => {}
        }
    }

    /// Nothing more is written.
    pub(super) fn end(&self) {
        self.tell_over(|lines| lines.end(Instant::now()));
    }

    fn note(&self) -> bool {
        let mut lines = self.lines.lock();
        self.is_on.store(true, Ordering::Relaxed);
        lines.note(1, Instant::now())
    }

    fn tell_over(&self, over: impl FnOnce(&mut Burst) -> Option<Over>) {
        let over = {
            let mut lines = self.lines.lock();
            let over = over(&mut lines);
            self.is_on.store(lines.is_on(), Ordering::Relaxed);
            over
        };
        if let Some(over) = over {
            let (lines, lasted_ms) = (over.times, over.lasted_ms());
            tracing::warn!(lines, lasted_ms, "no more lines of the access log are left out");
        }
    }
}
