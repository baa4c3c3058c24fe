//! How the proxy talks: lines on standard output, diagnostics on standard error, each by a thread of its own.
//!
//! Nothing that is said can fail, wait or end anything: neither a terminal that was stopped, nor a pipe that nobody empties,
//! nor a full device. What can't be said in time is left out, and told.

use super::config::LogSettings;
use super::diagnostics::{self, LogFormat};
use mcplog_terminal::detached::Detached;
use std::io;
use std::time::Duration;

/// How long the end waits for what was said to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How many lines may wait on each stream.
const LINES_MAX: usize = 1024;

/// The two streams.
#[derive(Clone)]
pub(super) struct Talk {
    /// `None`: standard output is the access log's.
    out: Option<Detached>,
    diagnostics: Detached,
    format: LogFormat,
}

impl Talk {
    /// Starts both threads, and has diagnostics go to standard error.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(super) fn start(log: &LogSettings) -> io::Result<Self> {
        let (format, text) = (log.format, LogFormat::Text);
        let note = |format| move |lines| diagnostics::line(format, &left_out(lines));
        let out = match log.access_is_stdout() {
            true => None,
            false => Some(Detached::start("mcplog-stdout", anstream::stdout(), LINES_MAX, note(text))?),
        };
        let diagnostics = Detached::start("mcplog-stderr", io::stderr(), LINES_MAX, note(format))?;
        diagnostics::set_up(&diagnostics, &log.level, format);
        Ok(Self { out, diagnostics, format })
    }

    /// Says something on standard output: whole lines. On standard error, where standard output is the access log's.
    pub(super) fn say(&self, lines: &str) {
        match &self.out {
            Some(out) => _ = out.say(lines),
            None => _ = self.diagnostics.say(&diagnostics::line(self.format, lines)),
        }
    }

    /// Lets what was said be written, but waits for nobody for long.
    pub(super) fn end(&self) {
        let _ = self.diagnostics.flush_within(LAST_WORDS);
        if let Some(out) = &self.out {
            let _ = out.flush_within(LAST_WORDS);
        }
    }
}

fn left_out(lines: u64) -> String {
    format!("({lines} lines were left out here: nobody read them in time)")
}
