//! What the wrapper says itself: little, each thing once, and on standard error only.
//!
//! A thread of its own writes it, and only once there is something to say: nobody may wait for a client that does not read
//! the errors of its servers.

use mcplog_terminal::detached::Detached;
use mcplog_terminal::text::escape;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

/// What stands before everything that the wrapper says.
pub(super) const PREFIX: &str = "mcplog wrap:";
/// How long the end waits for what was said to be written.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How many lines may wait.
const LINES_MAX: usize = 16;

/// What there is to say something about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject {
    /// Whether anything is recorded.
    Recording = 1,
    /// Whether the messages are read along.
    Reading = 2,
    /// That the server waits for a terminal.
    Terminal = 4,
    /// A fault of ours.
    Fault = 8,
    /// Whether anybody can ask for what is recorded.
    Folding = 16,
}

/// What the wrapper says.
#[derive(Debug, Default)]
pub(super) struct Words {
    is_quiet: bool,
    said: AtomicU8,
    /// The server's own words stand in a line that is not over.
    within_line: AtomicBool,
    stream: OnceLock<Option<Detached>>,
}

impl Words {
    /// One that says nothing if it `is_quiet`.
    pub(super) fn new(is_quiet: bool) -> Self {
        Self { is_quiet, ..Self::default() }
    }

    /// Says something, unless something was said about that before.
    pub(super) fn say_once(&self, subject: Subject, text: &str) {
        let bit = subject as u8;
        if self.is_quiet || self.said.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
            return;
        }
        let note = |lines| format!("{PREFIX} ({lines} lines were left out here)\n");
        let start = || Detached::start("wrap-words", io::stderr(), LINES_MAX, note).ok();
        if let Some(stream) = self.stream.get_or_init(start) {
            let before = if self.within_line.load(Ordering::Relaxed) { "\n" } else { "" };
            stream.say(&format!("{before}{PREFIX} {}\n", escape(text)));
        }
    }

    /// The server printed that as its errors.
    pub(super) fn note_errors(&self, bytes: &[u8]) {
        self.within_line.store(bytes.last() != Some(&b'\n'), Ordering::Relaxed);
    }

    /// Lets what was said be written, but waits for nobody for long.
    pub(super) fn end(&self) {
        if let Some(Some(stream)) = self.stream.get() {
            let _ = stream.flush_within(LAST_WORDS);
        }
    }
}
