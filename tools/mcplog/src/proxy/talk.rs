//! How the proxy talks: lines on standard output, diagnostics on standard error, each by a thread of its own.
//!
//! Nothing that is said can fail, wait or end anything: neither a terminal that was stopped, nor a pipe that nobody empties,
//! nor a full device. What can't be said in time is left out, and told.

use anstream::{AutoStream, ColorChoice};
use mcplog_terminal::detached::Detached;
use std::backtrace::Backtrace;
use std::io;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// How long the end waits for what was said to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The two streams.
#[derive(Clone)]
pub(super) struct Talk {
    out: Detached,
    diagnostics: Detached,
}

impl Talk {
    /// Starts both threads, and has diagnostics go to standard error: warnings and errors, unless `RUST_LOG` asks for more.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(super) fn start() -> io::Result<Self> {
        let out = Detached::start("mcplog-stdout", anstream::stdout())?;
        let diagnostics = Detached::start("mcplog-stderr", io::stderr())?;
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
        let writer = diagnostics.clone();
        // Fails if somebody has set one up already, which is as good.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(AutoStream::choice(&io::stderr()) != ColorChoice::Never)
            .with_writer(move || writer.clone())
            // They would be printed on standard error, and a standard error that fails would end the process.
            .log_internal_errors(false)
            .try_init();
        std::panic::set_hook(Box::new(|panic| {
            let backtrace = Backtrace::capture();
            tracing::error!("{panic}\n{backtrace}");
        }));
        Ok(Self { out, diagnostics })
    }

    /// Says something on standard output: whole lines.
    pub(super) fn say(&self, lines: &str) {
        self.out.say(lines);
    }

    /// Lets what was said be written, but waits for nobody for long.
    pub(super) fn end(&self) {
        let _ = self.diagnostics.flush_within(LAST_WORDS);
        let _ = self.out.flush_within(LAST_WORDS);
    }
}
