//! The access log: one line for each call, for who reads logs with other programs. `mcplog logs` has more.
//!
//! Called from the tasks that pass bytes on, beside recording, where an access log is asked for. A line is made and handed to
//! a thread; where that thread can't keep up, lines are left out, counted and told. It has no arguments, no results, no
//! error's text, no address of a resource, no session's id and no credentials.

use super::access_file::AccessFile;
use super::access_line::AccessLine;
use super::clients::Clients;
use super::diagnostics::LogFormat;
use mcplog::Event;
use mcplog::burst::Burst;
use mcplog_observe::{Sink, Taken};
use mcplog_terminal::detached::Detached;
use parking_lot::Mutex;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How many lines may wait: some 2 MiB.
const LINES_MAX: usize = 8192;
/// After so long without another one, leaving lines out is over.
const QUIET: Duration = Duration::from_secs(10);
/// How long the end waits for lines to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Where an access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AccessTarget {
    Stdout,
    File(PathBuf),
}

impl AccessTarget {
    /// As a flag or the file says it: `-` is standard output.
    pub(super) fn of(path: PathBuf) -> Self {
        if path.as_os_str() == "-" { Self::Stdout } else { Self::File(path) }
    }
}

/// The access log.
#[derive(Clone)]
pub(super) struct AccessLog {
    shared: Arc<Shared>,
}

struct Shared {
    lines: Detached,
    format: LogFormat,
    clients: Clients,
    reopen: Arc<AtomicBool>,
    /// Lines are left out, as the diagnostics tell it.
    left_out: Mutex<Burst>,
    is_leaving_out: AtomicBool,
}

impl AccessLog {
    /// Opens it, and starts the thread that writes.
    ///
    /// # Errors
    /// The file can't be opened, or the system has no thread to give.
    pub(super) fn open(target: &AccessTarget, format: LogFormat) -> io::Result<Self> {
        let reopen = Arc::new(AtomicBool::new(false));
        let note = move |lines| AccessLine::left_out(format, lines);
        let lines = match target {
            AccessTarget::Stdout => Detached::start("mcplog-access", io::stdout(), LINES_MAX, note)?,
            AccessTarget::File(path) => {
                let file = AccessFile::open(path, Arc::clone(&reopen))?;
                Detached::start("mcplog-access", file, LINES_MAX, note)?
            }
        };
        let (clients, left_out) = (Clients::default(), Mutex::new(Burst::new(QUIET)));
        let is_leaving_out = AtomicBool::new(false);
        Ok(Self { shared: Arc::new(Shared { lines, format, clients, reopen, left_out, is_leaving_out }) })
    }

    /// Has the file opened anew: somebody has moved it away.
    pub(super) fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        // So that the thread looks, also where no line comes for a while.
        self.shared.lines.say("");
    }

    /// Lets what was handed over be written, but waits for nobody for long.
    pub(super) fn end(&self) {
        let _ = self.shared.lines.flush_within(LAST_LINES);
    }

    fn note(&self, event: &Event<'_>) {
        let Shared { lines, format, clients, .. } = &*self.shared;
        match event {
            Event::Request(request) => {
                let client = request.session_id.and_then(|session_id| clients.of(session_id));
                let is_taken = lines.say(&AccessLine::new(request, client.as_deref()).text(*format));
                self.tell(!is_taken);
            }
            Event::Session(session) => {
                if let Some(client) = session.client_name {
                    clients.note(session.session_id, client);
                }
            }
            Event::SessionClosed(closed) => clients.forget(closed.session_id),
            _ => {}
        }
    }

    /// Tells when lines begin to be left out, and when that is over.
    fn tell(&self, is_left_out: bool) {
        let Shared { left_out, is_leaving_out, .. } = &*self.shared;
        if !is_left_out && !is_leaving_out.load(Ordering::Relaxed) {
            return;
        }
        let (begins, over) = {
            let mut left_out = left_out.lock();
            let now = Instant::now();
            let begins = is_left_out && left_out.note(1, now);
            let over = left_out.over(now);
            is_leaving_out.store(left_out.is_on(), Ordering::Relaxed);
            (begins, over)
        };
        if begins {
            tracing::warn!("lines of the access log are left out: they are not written in time");
        }
        if let Some(over) = over {
            let (lines, lasted_ms) = (over.times, over.lasted_ms());
            tracing::warn!(lines, lasted_ms, "no more lines of the access log are left out");
        }
    }
}

/// Takes events for another sink, and notes them in the access log.
pub(super) struct Accessed {
    pub(super) sink: Arc<dyn Sink>,
    pub(super) log: AccessLog,
}

impl Sink for Accessed {
    fn record(&self, event: Event<'_>) -> bool {
        self.log.note(&event);
        self.sink.record(event)
    }

    fn offer(&self, event: Event<'_>) -> Taken {
        self.log.note(&event);
        self.sink.offer(event)
    }
}
