//! One HTTP exchange: the calls its request brought, and what became of them.
//!
//! Shared by the tasks that pass the two bodies on. A request is registered here before its last byte leaves for the
//! upstream, so no response can overtake it. It must not do I/O; the bodies tell it what passes.

use super::address::normal;
use super::head::{RequestHead, ResponseHead, Verb, bounded};
use super::limits::{CALL_BYTES_MAX, CALL_KEY_BYTES, CALLS_FREE_BYTES, CALLS_MAX};
use super::membership;
use super::unanswered::Unanswered;
use crate::arrival::Arrival;
use crate::budget::{Budget, Share};
use crate::calls::{
    Answer, Breakdown, Call, End, Facts, Failure, Happening, Origin, Response, UNREAD_METHOD, bounded_cause,
    sessionless,
};
use crate::observer::Observer;
use crate::read::{Kind, Message, RpcId, Slot, kind};
use crate::recording::{Phase, Recording};
use crate::session::{NotFound, session_in_query};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a response may stay away after its stream broke, for the client to resume the stream; clients try within a
/// few seconds. A server that asks for more by `retry` gets it, up to the second limit.
const RESUME_WAIT: Duration = Duration::from_secs(10);
const RESUME_WAIT_MAX: Duration = Duration::from_secs(300);
/// The statuses by which a server accepts what it answers nothing to: a notification, or a response of the client's.
const ACCEPTED: [u16; 2] = [202, 204];

/// One HTTP request and its response.
pub struct Exchange {
    observer: Arc<Observer>,
    arrival: Arrival,
    verb: Verb,
    origin: Origin,
    /// `Mcp-Method` and `Mcp-Name`, for a body that can't be read.
    method: Option<Box<str>>,
    name: Option<Box<str>>,
    /// How long the upstream may be silent while a call waits.
    time_limit: Duration,
    /// When bytes last passed in either direction, in milliseconds since the arrival.
    active_ms: AtomicU64,
    /// The response's coding is in the middle of something.
    is_response_within: AtomicBool,
    state: Mutex<State>,
}

struct State {
    calls: Vec<Arc<Call>>,
    /// What the calls hold together, and the list of them.
    call_bytes: usize,
    /// For that.
    share: Share,
    /// A call was begun, whether or not it has ended.
    has_begun: bool,
    /// The request's body, or a part of it, passed unread.
    is_request_unread: bool,
    is_batch: bool,
    /// A message that names a session is of a revision without any.
    is_sessionless: bool,
    /// As far as it is here.
    response: Response,
    /// The session that a stream of the 2024-11-05 transport announced in this exchange's response.
    stream_session: Option<Arc<str>>,
    /// The response is an event stream that a client can resume, and asks to wait this long before.
    resume_wait: Option<Duration>,
    /// The response's body, or a part of it, passed unread.
    is_response_unread: bool,
    /// What the response says of the session, if it is a 404 to a POST that names one.
    not_found: Option<NotFound>,
    /// Why the calls without an answer have none, once the exchange is over.
    ended: Option<Breakdown>,
}

impl State {
    /// The open call whose client takes a response with that id for its own: the one with that very id, else one whose id
    /// is the same number.
    fn call_answered_by(&self, id: &RpcId) -> Option<Arc<Call>> {
        let same_number = || {
            let number = id.number()?;
            self.calls.iter().find(|call| call.is_answered_by_number(number))
        };
        self.calls.iter().find(|call| call.is_answered_by(id)).or_else(same_number).cloned()
    }
}

impl Exchange {
    /// An exchange whose request's head is here. `time_limit` says how long the upstream may be silent while a call waits.
    pub fn begin(observer: &Arc<Observer>, arrival: Arrival, head: &RequestHead<'_>, time_limit: Duration) -> Self {
        let origin = membership::origin(&observer.recording, arrival, head);
        Self {
            observer: observer.clone(),
            arrival,
            verb: head.verb,
            origin,
            method: head.method.map(|method| Box::from(bounded(method))),
            name: head.name.map(|name| Box::from(bounded(name))),
            time_limit,
            active_ms: AtomicU64::new(0),
            is_response_within: AtomicBool::new(false),
            state: Mutex::new(State {
                calls: Vec::new(),
                call_bytes: 0,
                share: observer.recording.budget.share(CALLS_FREE_BYTES),
                has_begun: false,
                is_request_unread: false,
                is_batch: false,
                is_sessionless: false,
                response: Response::default(),
                stream_session: None,
                resume_wait: None,
                is_response_unread: false,
                not_found: None,
                ended: None,
            }),
        }
    }

    /// Whether the request can bring JSON-RPC messages.
    pub fn is_post(&self) -> bool {
        self.verb == Verb::Post
    }

    /// The response's head is here.
    pub fn on_response_head(&self, head: &ResponseHead<'_>) {
        let sessions = &self.recording().sessions;
        let mut state = self.state.lock();
        state.response.status = Some(head.status);
        state.response.cause = head.cause.map(bounded_cause);
        state.calls.iter().for_each(|call| call.on_response_head(head.status));
        if head.is_success() {
            state.response.new_session = head.session.map(|session| sessions.intern(bounded(session)));
        }
        self.begin_unread_call(&mut state);
        let Some(session) = self.origin.session.as_ref().filter(|_| !state.is_sessionless) else { return };
        // A handshake that was sent in a dead session begins another one.
        let names_another = state.response.new_session.as_ref().is_some_and(|new_session| new_session != session);
        match self.verb {
            Verb::Post if head.status == 404 => state.not_found = Some(NotFound::default()),
            Verb::Post if head.is_success() && !names_another => {
                sessions.confirm(session, self.origin.endpoint.as_ref());
            }
            Verb::Other if head.is_success() && head.is_stream() => {
                sessions.confirm(session, self.origin.endpoint.as_ref());
            }
            Verb::Delete if head.is_success() => {
                drop(state);
                self.close_session(session, false);
            }
            Verb::Post | Verb::Delete | Verb::Other => {}
        }
    }

    /// Whether the proxy stops: what is cut off now was cut off by it.
    pub fn is_stopping(&self) -> bool {
        self.recording().phase.has_reached(Phase::Stopping)
    }

    /// Bytes have passed.
    pub fn touch(&self) {
        let active_ms = u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.active_ms.store(active_ms, Ordering::Relaxed);
    }

    /// When the upstream's time is over, as things stand. `None` if nobody waits for it in particular.
    pub fn deadline(&self) -> Option<Instant> {
        let state = self.state.lock();
        let is_waiting = match state.response.status {
            // Until the response's head is here, notifications wait as well.
            None => self.is_post() && (state.calls.is_empty() || state.calls.iter().any(|call| !call.is_patient)),
            Some(_) => state.calls.iter().any(|call| !call.is_patient && call.is_open()),
        };
        drop(state);
        let active = self.arrival.at + Duration::from_millis(self.active_ms.load(Ordering::Relaxed));
        is_waiting.then(|| active + self.time_limit)
    }

    /// The exchange is over. Calls that may be answered elsewhere wait for that; the others have failed. The first end counts.
    pub fn end(&self, end: End<'_>) -> Unanswered {
        let is_stopping = self.is_stopping();
        let mut state = self.state.lock();
        // A complete response whose coding is not: what is missing can't be read.
        let is_cut = end == End::Complete && self.is_response_within.load(Ordering::Relaxed);
        let is_unread = state.is_response_unread || is_cut;
        let breakdown =
            Breakdown::of(end, state.response.status, is_unread, is_stopping).or_cause(state.response.cause.as_ref());
        let is_first = state.ended.is_none();
        let calls = std::mem::take(&mut state.calls);
        state.ended.get_or_insert_with(|| breakdown.clone());
        self.begin_unread_call(&mut state);
        state.share.resize(0);
        let (is_batch, resume_wait) = (state.is_batch, state.resume_wait);
        let (stream_session, not_found) = (state.stream_session.take(), state.not_found.take());
        drop(state);
        let failure = breakdown.failure;

        let has_calls = !calls.is_empty();
        let open: Vec<_> = calls.into_iter().filter(|call| call.is_open()).collect();
        let ids = open.iter().filter_map(|call| call.id.clone()).collect();
        if !open.is_empty() {
            let happening = self.last_happening(&breakdown, resume_wait);
            for call in open {
                self.observer.tell(&call, &happening);
            }
        }
        if is_first && let Some(session) = stream_session {
            // In the 2024-11-05 transport the stream is the session: nothing can be answered without it.
            self.observer.tell_all(Some(&session), &Happening::StreamOver(&breakdown.of_stream()));
            self.recording().close_session(&session, self.arrival.ts, false);
        }
        if let (Some(session), Some(not_found)) = (&self.origin.session, not_found)
            // What passed unread may have said that something else was not found.
            && !is_unread
            && not_found.is_of_session()
            && !self.recording().sessions.is_elsewhere(session, self.origin.endpoint.as_ref())
        {
            self.close_session(session, has_calls);
        }
        Unanswered { failure, ids, is_batch }
    }

    /// A message that the client sends was read.
    pub(super) fn on_request_message(&self, message: &Message) {
        if self.origin.session.is_some() && sessionless(&self.origin, message).is_some() {
            self.state.lock().is_sessionless = true;
        }
        match kind(message) {
            Kind::Request(id) => self.begin_call(id, message),
            Kind::Notification => self.on_notification(message),
            Kind::Response(_) | Kind::Other => {}
        }
    }

    /// The request's body, or a part of it, passes unread.
    pub(super) fn on_request_unread(&self) {
        self.state.lock().is_request_unread = true;
    }

    /// The request's body is over, but could not be read to its end.
    pub(super) fn on_request_cut_short(&self) {
        let mut state = self.state.lock();
        match self.method.as_deref() {
            // In the sessionless era the head says what it was.
            Some(method) if !state.has_begun && !method.starts_with("notifications/") => {
                let facts = Facts::of_head(self.arrival, &self.origin, method, self.name.as_deref());
                self.register(&mut state, facts);
            }
            Some(_) => {}
            None => self.begin_unread_call(&mut state),
        }
    }

    /// A message that the server sends was read. `payload` is its text, if that was kept.
    pub(super) fn on_response_message(&self, message: &Message, payload: Option<&[u8]>) {
        let Kind::Response(id) = kind(message) else { return };
        let mut state = self.state.lock();
        let own = id.as_ref().and_then(|id| state.call_answered_by(id));
        let has_request = state.has_begun;
        if let Some(not_found) = &mut state.not_found {
            not_found.read(message, has_request);
        }
        let response = state.response.clone();
        let answer = Answer { message, payload, response: &response };
        let Some(id) = id else {
            // The server could not read the request, all of it: an error without an id is everybody's.
            let calls = state.calls.clone();
            drop(state);
            for call in calls {
                self.observer.tell(&call, &Happening::Answered(answer));
            }
            return;
        };
        let session = self.origin.session.clone().or_else(|| state.stream_session.clone());
        drop(state);
        let call = own.or_else(|| self.observer.calls.find_answered(&session?, &id));
        if let Some(call) = call {
            self.observer.tell(&call, &Happening::Answered(answer));
        }
    }

    /// The response is a stream of the 2024-11-05 transport; this is where it wants its messages.
    pub(super) fn on_endpoint(&self, endpoint: &str) {
        let endpoint = normal(endpoint.trim());
        let query = endpoint.split_once('?').map(|(_, query)| query);
        let Some(session) = session_in_query(query) else { return };
        let session = self.recording().sessions.intern(session);
        self.recording().sessions.open_stream(&session, self.origin.endpoint.as_ref());
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

    /// The response's body, or a part of it, passes unread.
    pub(super) fn on_response_unread(&self) {
        self.state.lock().is_response_unread = true;
    }

    /// Whether the response's coding is in the middle of something, as far as it came.
    pub(super) fn set_response_within(&self, is_within: bool) {
        self.is_response_within.store(is_within, Ordering::Relaxed);
    }

    /// Whether the text of a response will be wanted.
    pub(super) fn wants_payload(&self) -> bool {
        self.state.lock().calls.iter().any(|call| call.is_schema)
    }

    fn begin_call(&self, id: RpcId, message: &Message) {
        let mut state = self.state.lock();
        state.is_batch |= message.in_batch;
        if state.calls.len() >= CALLS_MAX {
            self.recording().counts.requests_unrecorded.add(1);
            return;
        }
        let mut facts = Facts::of_message(self.arrival, &self.origin, id, message);
        if facts.handshake.is_none() {
            facts.derived =
                membership::derived(self.recording(), &self.origin, self.arrival, facts.sessionless.as_ref());
        }
        self.register(&mut state, facts);
    }

    /// Begins the call of a request that passed unread, and whose head does not say what it was, once the response tells that
    /// it was a call: what a server only accepts is none. Without a response, it counts as one.
    fn begin_unread_call(&self, state: &mut State) {
        let is_call = match state.response.status {
            Some(status) => !ACCEPTED.contains(&status),
            None => state.ended.is_some(),
        };
        if state.is_request_unread && !state.has_begun && self.method.is_none() && is_call {
            let mut facts = Facts::of_head(self.arrival, &self.origin, UNREAD_METHOD, None);
            facts.derived = membership::derived(self.recording(), &self.origin, self.arrival, None);
            self.register(state, facts);
        }
    }

    /// Begins a call, if there is room for one more. It has failed already if the exchange is over.
    fn register(&self, state: &mut State, mut facts: Facts) {
        facts.is_unread = state.is_request_unread;
        state.has_begun = true;
        let list_bytes = (state.calls.len() + 1).next_power_of_two() * 2 * size_of::<Arc<Call>>();
        let bytes = state.call_bytes + Call::bytes_of(&facts) + CALL_KEY_BYTES;
        if bytes > CALL_BYTES_MAX || !state.share.resize(bytes + list_bytes) {
            self.recording().counts.requests_unrecorded.add(1);
            return;
        }
        let call = self.observer.begin(&self.origin, facts);
        if let Some(status) = state.response.status {
            call.on_response_head(status);
        }
        match &state.ended {
            Some(breakdown) => self.observer.tell(&call, &Happening::ExchangeOver(breakdown)),
            None => {
                state.call_bytes = bytes;
                state.calls.push(call);
            }
        }
    }

    /// The server says that the session is over.
    fn close_session(&self, session: &str, is_on_record: bool) {
        self.recording().close_session(session, self.arrival.ts, is_on_record);
        self.observer.tell_all(Some(session), &Happening::SessionOver);
    }

    fn on_notification(&self, message: &Message) {
        if message.text(Slot::Method).as_deref() != Some("notifications/cancelled") {
            return;
        }
        let cancelled = RpcId::of(message, Slot::CancelledId);
        if let Some(id) = &cancelled
            && let owner = membership::owner(self.recording(), &self.origin, self.arrival, message)
            && let Some(call) = self.observer.calls.find_of(owner, id)
        {
            self.observer.tell(&call, &Happening::Cancelled);
        }
    }

    /// What the end of the exchange is to its open calls: whether, and how long, they may wait for an answer on another
    /// stream.
    fn last_happening<'a>(&self, breakdown: &'a Breakdown, resume_wait: Option<Duration>) -> Happening<'a> {
        let phase = &self.recording().phase;
        let (failure, over) = (breakdown.failure, Happening::ExchangeOver(breakdown));
        let Some(session) = self.origin.session.as_deref() else { return over };
        if phase.has_reached(Phase::Stopping) || self.observer.calls.is_full() {
            return over;
        }
        if failure == Failure::NoResponse && self.recording().sessions.has_stream(session) {
            return Happening::LeftToStream(self.time_limit.saturating_sub(self.elapsed()));
        }
        let can_resume = matches!(failure, Failure::NoResponse | Failure::StreamBroken | Failure::ClientGone);
        match resume_wait {
            Some(wait) if can_resume && !phase.has_reached(Phase::Draining) => Happening::LeftToClient(breakdown, wait),
            _ => over,
        }
    }

    /// Whether rows say with which words a tool failed.
    pub(super) fn keeps_error_text(&self) -> bool {
        self.recording().keeps_error_text()
    }

    /// What all exchanges may hold together.
    pub(super) fn budget(&self) -> &Budget {
        &self.recording().budget
    }

    /// Its calls, as long as it has not ended.
    #[cfg(test)]
    pub(super) fn weak_calls(&self) -> Vec<std::sync::Weak<Call>> {
        self.state.lock().calls.iter().map(Arc::downgrade).collect()
    }

    #[cfg(test)]
    pub(super) fn session_bytes(&self) -> usize {
        self.origin.session.as_deref().map_or(0, str::len)
    }

    fn elapsed(&self) -> Duration {
        self.recording().clock.now().saturating_duration_since(self.arrival.at)
    }

    fn recording(&self) -> &Recording {
        &self.observer.recording
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Whoever passed it on was cut off in the middle. An exchange that has ended takes no notice.
        self.end(End::ClientGone);
    }
}
