//! The access log: one line for each call, for who reads logs with other programs. `mcplog logs` has more.
//!
//! Called from the tasks that pass bytes on, beside recording, where an access log is asked for. A line is made and handed to
//! a thread; where that thread can't keep up, lines are left out, counted and told. It has no arguments, no results, no
//! error's text, no address of a resource, no session's id and no credentials.

use super::access_file::AccessFile;
use super::access_line::AccessLine;
use super::clients::Clients;
use super::diagnostics::LogFormat;
use super::left_out::LeftOut;
use mcplog::Event;
use mcplog_observe::{Sink, Taken};
use mcplog_terminal::detached::Detached;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How many lines may wait: some 2 MiB.
const LINES_MAX: usize = 8192;
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
    left_out: Arc<LeftOut>,
}

impl AccessLog {
    /// Opens it, and starts the thread that writes.
    ///
    /// # Errors
    /// The file can't be opened, or the system has no thread to give.
    pub(super) fn open(target: &AccessTarget, format: LogFormat) -> io::Result<Self> {
        let reopen = Arc::new(AtomicBool::new(false));
        let stream: Box<dyn Write + Send> = match target {
            // Without a buffer, which would keep half a line and write it some other time.
            AccessTarget::Stdout => Box::new(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
            AccessTarget::File(path) => Box::new(AccessFile::open(path, Arc::clone(&reopen))?),
        };
        let left_out = Arc::new(LeftOut::new());
        let told = Arc::clone(&left_out);
        let note = move |lines| AccessLine::left_out(format, lines);
        let watch = move |result| told.tried(result);
        let lines = Detached::start_watched("mcplog-access", stream, LINES_MAX, note, watch)?;
        Ok(Self { shared: Arc::new(Shared { lines, format, clients: Clients::default(), reopen, left_out }) })
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
        self.shared.left_out.end();
    }

    fn note(&self, event: &Event<'_>) {
        let Shared { lines, format, clients, left_out, .. } = &*self.shared;
        match event {
            Event::Request(request) => {
                let client = request.session_id.and_then(|session_id| clients.of(session_id));
                if !lines.say(&AccessLine::new(request, client.as_deref()).text(*format)) {
                    left_out.no_room();
                }
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
