//! mcplog itself, with its default configuration and everything running.

use mcplog::{Config, Query, Recorder, Request, Session, Status, Store};
use measure::log::Failure;
use measure::workload::{FIRST_TS, PROXY};
use measure::{Event, Log, Workload, Writer};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long shutting down may take. What is not folded by then stays in the log, where it is as safe.
const SHUTDOWN: Duration = Duration::from_secs(1);

const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Mcplog {
    store: Store,
    dir: PathBuf,
}

impl Log for Mcplog {
    type Writer = Handle;

    fn open(dir: &Path) -> Result<Self, Failure> {
        let dir = dir.join("data");
        let store = Store::open(Config::new(&dir))?;
        let recorder = store.recorder();
        for session in Workload::default().sessions() {
            recorder.record(announcement(session));
        }
        // They are not counted with the requests.
        store.wait_folded(PATIENCE)?;
        Ok(Self { store, dir })
    }

    fn writer(&self) -> Result<Handle, Failure> {
        Ok(Handle(self.store.recorder()))
    }

    fn close(self) -> Result<Option<u64>, Failure> {
        let report = self.store.shutdown(SHUTDOWN);
        let rows = u64::try_from(Query::open(&self.dir)?.totals()?.requests)?;
        Ok(Some(rows + report.left_in_log))
    }
}

pub(crate) struct Handle(Recorder);

impl Writer for Handle {
    #[inline]
    fn hand_over(&mut self, event: &Event<'_>) {
        self.0.record(request(event));
    }
}

/// The event as mcplog takes it: borrowed, too.
#[inline]
pub(crate) fn request<'a>(event: &Event<'a>) -> Request<'a> {
    let mut request = Request::new(event.request_id, event.ts, event.proxy, event.method);
    request.session_id = Some(event.session_id);
    request.tool = Some(event.tool);
    request.latency_us = event.latency_us;
    request.bytes_in = Some(event.bytes_in);
    request.bytes_out = Some(event.bytes_out);
    if let Some(failure) = event.failure {
        request.status = Status::Error;
        request.error_code = Some(failure.code);
        request.error_msg = Some(failure.message);
    }
    request
}

pub(crate) fn announcement(session: &str) -> Session<'_> {
    let mut announcement = Session::new(session, FIRST_TS, PROXY);
    announcement.client_name = Some("claude-desktop");
    announcement.client_version = Some("1.2.0");
    announcement
}
