//! One HTTP exchange: the calls its request brought, and what became of them.
//!
//! Shared by the tasks that forward the two bodies. A request is registered here before its last byte leaves for the
//! upstream, so no response can overtake it. It must not do I/O; the bodies tell it what passes.

use super::call::{Call, RequestHead};
use super::failure::Failure;
use super::journal::{Arrival, Journal};
use super::message::{Message, Slot};
use super::request_body::Unread;
use super::rpc::{Kind, RpcId, kind};
use super::sessions::session_in_query;
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How many requests one batch may hold; those beyond are passed on and counted, but have no row. The SDKs that knew
/// batches sent a handful.
const CALLS_MAX: usize = 4096;
/// How long a response may stay away after its stream broke, for the client to resume the stream; clients try within a
/// few seconds. A server that asks for more by `retry` gets it, up to the second limit.
const RESUME_WAIT: Duration = Duration::from_secs(10);
const RESUME_WAIT_MAX: Duration = Duration::from_secs(300);

/// How the exchange's response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The upstream completed it.
    Complete,
    /// The upstream broke off.
    Broken,
    /// The client went away, or was sent away.
    ClientGone,
}

struct State {
    calls: Vec<Arc<Call>>,
    is_batch: bool,
    /// The response's status, once its head is here.
    status: Option<StatusCode>,
    /// The session that the response's head announced.
    new_session: Option<Arc<str>>,
    /// The session that a stream of the 2024-11-05 transport announced in this exchange's response.
    stream_session: Option<Arc<str>>,
    /// The response is an event stream that a client can resume, and asks to wait this long before.
    resume_wait: Option<Duration>,
    is_unreadable: bool,
    /// How the exchange ended for the calls that had no answer.
    closed: Option<Failure>,
    /// The request brings no messages, or all that will come were read.
    is_request_read: bool,
    /// What the upstream did not take of the request.
    unread: Option<Unread>,
}

/// One HTTP request and its response.
pub(super) struct Exchange {
    pub(super) journal: Arc<Journal>,
    pub(super) arrival: Arrival,
    pub(super) head: RequestHead,
    /// The request can bring JSON-RPC messages.
    pub(super) is_post: bool,
    time_limit: Duration,
    /// When bytes last passed in either direction, in milliseconds since the arrival.
    active_ms: AtomicU64,
    state: Mutex<State>,
    /// The request was read, or its rest was given back.
    request_settled: Notify,
}

/// Who is still owed an answer when an exchange ends before the response's head: for the error that the proxy answers.
pub(super) struct Unanswered {
    pub(super) ids: Vec<RpcId>,
    pub(super) is_batch: bool,
}

impl Exchange {
    pub(super) fn new(
        journal: &Arc<Journal>,
        arrival: Arrival,
        request: &http::request::Parts,
        time_limit: Duration,
    ) -> Arc<Self> {
        let text = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
        // A session in the URL counts only if a stream announced it: other servers may use that name for other things.
        let session = text("mcp-session-id")
            .or_else(|| session_in_query(request.uri.query()).filter(|session| journal.sessions.has_stream(session)));
        let head = RequestHead {
            session: session.map(|session| journal.sessions.intern(session)),
            protocol_version: text("mcp-protocol-version").map(Box::from),
            method: text("mcp-method").map(Box::from),
            name: text("mcp-name").map(Box::from),
        };
        Arc::new(Self {
            journal: journal.clone(),
            arrival,
            head,
            is_post: request.method == http::Method::POST,
            time_limit,
            active_ms: AtomicU64::new(0),
            state: Mutex::new(State {
                calls: Vec::new(),
                is_batch: false,
                status: None,
                new_session: None,
                stream_session: None,
                resume_wait: None,
                is_unreadable: false,
                closed: None,
                is_request_read: request.method != http::Method::POST,
                unread: None,
            }),
            request_settled: Notify::new(),
        })
    }

    /// A message that the client sends was read.
    pub(super) fn on_request_message(&self, message: &Message) {
        match kind(message) {
            Kind::Request(id) => {
                let mut state = self.state.lock();
                state.is_batch |= message.in_batch;
                if state.calls.len() >= CALLS_MAX {
                    self.journal.metrics.requests_unrecorded.add(1);
                    return;
                }
                let call = Call::begin(&self.journal, self.arrival, &self.head, id, message);
                state.register(call);
            }
            Kind::Notification => self.on_notification(message),
            Kind::Response(_) | Kind::Other => {}
        }
    }

    fn on_notification(&self, message: &Message) {
        if message.text(Slot::Method).as_deref() != Some("notifications/cancelled") {
            return;
        }
        let cancelled = RpcId::of(message, Slot::CancelledId);
        if let (Some(session), Some(id)) = (&self.head.session, &cancelled)
            && let Some(call) = self.journal.calls.find(session, id)
        {
            call.fail(Failure::Cancelled);
        }
    }

    /// The request's body is over, but could not be read to its end. In the sessionless era its headers say what it was.
    pub(super) fn on_request_unreadable(&self) {
        let Some(method) = self.head.method.as_deref() else { return };
        let mut state = self.state.lock();
        if state.calls.is_empty() && !method.starts_with("notifications/") {
            let call = Call::begin_unread(&self.journal, self.arrival, &self.head, method);
            state.register(call);
        }
    }

    /// The request's body is over.
    pub(super) fn on_request_over(&self) {
        self.state.lock().is_request_read = true;
        self.request_settled.notify_one();
    }

    /// Waits until the request was read, or its rest was given back.
    pub(super) async fn request_settled(&self) {
        let is_settled = |state: &State| state.is_request_read || state.unread.is_some();
        while !is_settled(&self.state.lock()) {
            self.request_settled.notified().await;
        }
    }

    /// Keeps what the upstream did not take of the request. Hands it back if the exchange is over and nobody will ask.
    pub(super) fn keep_unread(&self, unread: Unread) -> Option<Unread> {
        let mut state = self.state.lock();
        if state.closed.is_some() {
            return Some(unread);
        }
        state.unread = Some(unread);
        drop(state);
        self.request_settled.notify_one();
        None
    }

    /// What the upstream did not take of the request.
    pub(super) fn take_unread(&self) -> Option<Unread> {
        self.state.lock().unread.take()
    }

    /// The response's head is here.
    pub(super) fn on_response_head(&self, method: &http::Method, status: StatusCode, headers: &HeaderMap) {
        let sessions = &self.journal.sessions;
        let announced = headers.get("mcp-session-id").and_then(|value| value.to_str().ok());
        let mut state = self.state.lock();
        state.status = Some(status);
        if status.is_success() {
            state.new_session = announced.map(|session| sessions.intern(session));
        }
        drop(state);
        let Some(session) = &self.head.session else { return };
        if status == StatusCode::NOT_FOUND || (status.is_success() && method == http::Method::DELETE) {
            self.journal.close_session(session);
            self.journal.calls.give_up_session(session);
        } else if status.is_success() {
            sessions.confirm(session);
        }
    }

    /// A message that the server sends was read. `payload` is its text, if that was captured.
    pub(super) fn on_response_message(&self, message: &Message, payload: Option<&[u8]>) {
        let Kind::Response(id) = kind(message) else { return };
        let state = self.state.lock();
        let new_session = state.new_session.clone();
        let mut found: Vec<Arc<Call>> = match &id {
            // A call without an id is known from its headers only, and is alone.
            Some(id) => state.calls.iter().find(|call| call.is_answered_by(id)).cloned().into_iter().collect(),
            // The server could not read the request, all of it: an error without an id is everybody's.
            None => state.calls.clone(),
        };
        let session = self.head.session.clone().or_else(|| state.stream_session.clone());
        drop(state);
        if found.is_empty()
            && let (Some(session), Some(id)) = (&session, &id)
        {
            found.extend(self.journal.calls.find(session, id));
        }
        for call in found {
            call.answer(message, payload, new_session.as_ref());
        }
    }

    /// The response is a stream of the 2024-11-05 transport; this is where it wants its messages.
    pub(super) fn on_endpoint(&self, endpoint: &str) {
        let query = endpoint.trim().split_once('?').map(|(_, query)| query);
        let Some(session) = session_in_query(query) else { return };
        let session = self.journal.sessions.intern(session);
        self.journal.sessions.open_stream(&session);
        self.state.lock().stream_session = Some(session);
    }

    /// The response is an event stream with ids, which a client can resume.
    pub(super) fn on_resumable(&self) {
        self.state.lock().resume_wait.get_or_insert(RESUME_WAIT);
    }

    /// The server wants clients to wait before they resume.
    pub(super) fn on_retry(&self, retry_ms: u64) {
        let wait = RESUME_WAIT.saturating_add(Duration::from_millis(retry_ms)).min(RESUME_WAIT_MAX);
        if let Some(resume_wait) = &mut self.state.lock().resume_wait {
            *resume_wait = wait;
        }
    }

    /// The response cannot be read.
    pub(super) fn on_response_unreadable(&self) {
        self.state.lock().is_unreadable = true;
    }

    /// The response is over.
    pub(super) fn end(&self, end: End) {
        let state = self.state.lock();
        let failure = match (end, state.status) {
            (End::ClientGone, _) if self.journal.is_stopping() => Failure::ProxyShutdown,
            (End::ClientGone, _) => Failure::ClientGone,
            (End::Broken, _) => Failure::StreamBroken,
            (End::Complete, Some(status)) if status.is_client_error() || status.is_server_error() => {
                Failure::Http(status.as_u16())
            }
            (End::Complete, _) if state.is_unreadable => Failure::UnreadableResponse,
            (End::Complete, _) => Failure::NoResponse,
        };
        drop(state);
        self.close(failure);
    }

    /// Ends the exchange. Calls that may be answered elsewhere wait for that; the others have failed.
    pub(super) fn close(&self, failure: Failure) -> Unanswered {
        let unread = self.take_unread();
        if let Some(unread) = unread {
            unread.read_partial(self);
        }
        let mut state = self.state.lock();
        let is_first = state.closed.is_none();
        state.closed.get_or_insert(failure);
        let calls = std::mem::take(&mut state.calls);
        let is_batch = state.is_batch;
        let wait = self.wait_elsewhere(&state, failure);
        let stream_session = state.stream_session.take();
        drop(state);

        let open: Vec<_> = calls.into_iter().filter(|call| call.is_open()).collect();
        let ids = open.iter().filter_map(|call| call.id.clone()).collect();
        for call in open {
            match wait {
                Some((failure, wait)) if call.session.is_some() => call.park(failure, wait),
                _ => call.fail(failure),
            }
        }
        if is_first && let Some(session) = stream_session {
            // In the 2024-11-05 transport the stream is the session: nothing can be answered without it.
            let failure = if failure == Failure::NoResponse { Failure::StreamBroken } else { failure };
            self.journal.calls.end_all(Some(&session), failure);
            self.journal.close_session(&session);
        }
        Unanswered { ids, is_batch }
    }

    /// Whether, and how long, the exchange's calls may wait for an answer on another stream.
    fn wait_elsewhere(&self, state: &State, failure: Failure) -> Option<(Failure, Duration)> {
        let session = self.head.session.as_deref()?;
        if self.journal.is_stopping() || self.journal.calls.is_full() {
            return None;
        }
        if failure == Failure::NoResponse && self.journal.sessions.has_stream(session) {
            return Some((Failure::Timeout, self.time_limit.saturating_sub(self.arrival.at.elapsed())));
        }
        let can_resume = matches!(failure, Failure::NoResponse | Failure::StreamBroken | Failure::ClientGone);
        let resume_wait = state.resume_wait.filter(|_| can_resume && !self.journal.is_draining())?;
        Some((failure, resume_wait))
    }

    /// Bytes have passed.
    pub(super) fn touch(&self) {
        let active_ms = u64::try_from(self.arrival.at.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.active_ms.store(active_ms, Ordering::Relaxed);
    }

    /// When the upstream's time is over, as things stand. `None` if nobody waits for it in particular.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let state = self.state.lock();
        let is_waiting = match state.status {
            // Until the response's head is here, notifications wait as well.
            None => self.is_post && (state.calls.is_empty() || state.calls.iter().any(|call| !call.is_patient)),
            Some(_) => state.calls.iter().any(|call| !call.is_patient && call.is_open()),
        };
        drop(state);
        let active = self.arrival.at + Duration::from_millis(self.active_ms.load(Ordering::Relaxed));
        is_waiting.then(|| active + self.time_limit)
    }

    /// Whether the text of a response will be wanted.
    pub(super) fn wants_payload(&self) -> bool {
        self.state.lock().calls.iter().any(|call| call.schema.is_some())
    }
}

impl State {
    fn register(&mut self, call: Arc<Call>) {
        match self.closed {
            Some(failure) => call.fail(failure),
            None => self.calls.push(call),
        }
    }
}
