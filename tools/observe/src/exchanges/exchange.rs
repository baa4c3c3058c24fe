//! One HTTP exchange: the calls its request brought, and what became of them.
//!
//! Shared by the tasks that pass the two bodies on. A request is registered here before its last byte leaves for the
//! upstream, so no response can overtake it. It must not do I/O; the bodies tell it what passes.

use super::head::{RequestHead, ResponseHead, Verb, bounded, decoded, event_id};
use super::membership;
use super::own_calls::OwnCalls;
use super::patience;
use crate::activity::Activity;
use crate::arrival::Arrival;
use crate::budget::Budget;
use crate::calls::{
    Answer, Breakdown, Call, End, Facts, Happening, Origin, Owner, Response, UNREAD_METHOD, bounded_cause, sessionless,
};
use crate::observer::Observer;
use crate::read::{Kind, Message, RpcId, Slot, is_cancellation, kind};
use crate::recording::{Phase, Recording};
use crate::session::NotFound;
use crate::streams::{Stream, Way};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The statuses by which a server accepts what it answers nothing to: a notification, or a response of the client's.
pub(super) const ACCEPTED: [u16; 2] = [202, 204];

/// One HTTP request and its response.
pub struct Exchange {
    pub(super) observer: Arc<Observer>,
    pub(super) arrival: Arrival,
    pub(super) verb: Verb,
    pub(super) origin: Origin,
    /// `Mcp-Method` and `Mcp-Name`, for a body that can't be read.
    pub(super) method: Option<Box<str>>,
    pub(super) name: Option<Box<str>>,
    /// How long the upstream may be silent while a call waits.
    pub(super) time_limit: Duration,
    /// When bytes last passed in either direction, in milliseconds since the arrival.
    active_ms: AtomicU64,
    /// The event that the client had last of the stream that it resumes.
    pub(super) resumes: Option<u64>,
    /// What stands for the last event of the response's stream that had an id; 0 if there was none.
    pub(super) event: AtomicU64,
    /// What passes on the event stream that a GET opened, or on the response in which the server asks.
    pub(super) heard: OnceLock<Arc<Activity>>,
    /// The response's coding is in the middle of something.
    pub(super) is_response_within: AtomicBool,
    /// How many messages the request brought that want no answer: notifications, and responses of the client's.
    pub(super) told: AtomicU64,
    pub(super) state: Mutex<State>,
}

pub(super) struct State {
    pub(super) calls: OwnCalls,
    /// The request's body, or a part of it, passed unread.
    pub(super) is_request_unread: bool,
    /// The request's body came to its end.
    pub(super) is_request_whole: bool,
    pub(super) is_batch: bool,
    /// A message that names a session is of a revision without any.
    is_sessionless: bool,
    /// As far as it is here.
    pub(super) response: Response,
    /// The session that a stream of the 2024-11-05 transport announced in this exchange's response.
    pub(super) stream_session: Option<Arc<str>>,
    /// The response is an event stream that a client can resume, or resumed.
    pub(super) stream: Option<Arc<Stream>>,
    /// What the server asks clients to wait before they resume it, in milliseconds.
    pub(super) retry_ms: u64,
    /// The response's body, or a part of it, passed unread.
    pub(super) is_response_unread: bool,
    /// The response is a stream of events.
    pub(super) is_stream: bool,
    /// The error that the response has for no request in particular: that of the calls without an answer.
    pub(super) refusal: Option<Refusal>,
    /// What the response says of the session, if it is a 404 to a POST that names one.
    pub(super) not_found: Option<NotFound>,
    /// Why the calls without an answer have none, once the exchange is over.
    pub(super) ended: Option<Breakdown>,
}

/// An error for no request in particular.
pub(super) struct Refusal {
    pub(super) message: Message,
    /// When it came.
    pub(super) at: Instant,
}

impl State {
    /// HTTP says that the request was refused: an error in the response is about it, whatever its id.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self.response.status, Some(400..=599))
    }
}

impl Exchange {
    /// An exchange whose request's head is here. `time_limit` says how long the upstream may be silent while a call waits.
    pub fn begin(observer: &Arc<Observer>, arrival: Arrival, head: &RequestHead<'_>, time_limit: Duration) -> Self {
        let origin = membership::origin(&observer.recording, arrival, head);
        let resumes = head.last_event_id.map(|id| Stream::event(event_id(id)));
        Self {
            observer: observer.clone(),
            arrival,
            verb: head.verb,
            origin,
            method: head.method.map(|method| Box::from(bounded(method))),
            name: head.name.map(|name| Box::from(bounded(name))),
            time_limit,
            active_ms: AtomicU64::new(0),
            resumes,
            event: AtomicU64::new(resumes.unwrap_or(0)),
            heard: OnceLock::new(),
            is_response_within: AtomicBool::new(false),
            told: AtomicU64::new(0),
            state: Mutex::new(State {
                calls: OwnCalls::new(&observer.recording.budget),
                is_request_unread: false,
                is_request_whole: false,
                is_batch: false,
                is_sessionless: false,
                response: Response::default(),
                stream_session: None,
                stream: None,
                retry_ms: 0,
                is_response_unread: false,
                is_stream: false,
                refusal: None,
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
        state.is_stream = head.is_stream();
        let is_open_stream = head.is_success() && head.is_stream();
        state.calls.iter().for_each(|call| call.on_response_head(head.status, is_open_stream));
        if head.is_success() {
            state.response.new_session = head.session.map(|session| sessions.intern(bounded(session)));
        }
        self.begin_unread_call(&mut state);
        if self.verb == Verb::Other && is_open_stream {
            self.open_stream(&mut state);
        }
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
        if let Some(heard) = self.heard.get() {
            heard.touch(self.recording().clock.now());
        }
    }

    /// When the upstream's time is over, as things stand. `None` if nobody waits for it in particular.
    pub fn deadline(&self) -> Option<Instant> {
        let state = self.state.lock();
        let is_waiting = match state.response.status {
            // Until the response's head is here, notifications wait as well.
            None => self.is_post() && (state.calls.is_empty() || state.calls.iter().any(|call| !call.is_patient)),
            // Who got an error for no request in particular waits for no more.
            Some(_) => state.refusal.is_none() && state.calls.iter().any(|call| !call.is_patient && call.is_open()),
        };
        drop(state);
        let active = self.arrival.at + Duration::from_millis(self.active_ms.load(Ordering::Relaxed));
        let due = active + self.time_limit;
        let now = self.recording().clock.now();
        let is_over = is_waiting && due <= now;
        let listening = self.origin.session.as_ref().filter(|_| is_over);
        let listening = listening.and_then(|session| self.observer.streams.listening(session));
        let asking = self.heard.get().into_iter().chain(&listening);
        is_waiting.then(|| if is_over { patience::extended(due, asking, now, self.time_limit) } else { due })
    }

    /// A message that the client sends was read.
    pub(super) fn on_request_message(&self, message: &Message) {
        if self.origin.session.is_some() && sessionless(&self.origin, message).is_some() {
            self.state.lock().is_sessionless = true;
        }
        match kind(message) {
            Kind::Request(id) => self.begin_call(id, message),
            Kind::Notification => {
                self.told.fetch_add(1, Ordering::Relaxed);
                self.on_notification(message);
            }
            Kind::Response(id) => {
                self.told.fetch_add(1, Ordering::Relaxed);
                id.iter().for_each(|id| self.observer.answer_asked(&self.origin, id, message));
            }
            Kind::Other => {}
        }
    }

    /// A message that the client broke off. A request that is known to be one is a call; what its server never got whole tells
    /// nothing, and takes nothing back.
    pub(super) fn on_request_message_broken_off(&self, message: &Message) {
        match kind(message) {
            Kind::Request(_) => self.on_request_message(message),
            Kind::Notification | Kind::Response(_) => drop(self.told.fetch_add(1, Ordering::Relaxed)),
            Kind::Other => {}
        }
    }

    /// The request's body, or a part of it, passes unread.
    pub(super) fn on_request_unread(&self) {
        let mut state = self.state.lock();
        state.is_request_unread = true;
        state.calls.set_partial();
    }

    /// The request's body came to its end.
    pub(super) fn on_request_end(&self) {
        self.state.lock().is_request_whole = true;
    }

    /// The request's body is over, but could not be read to its end.
    pub(super) fn on_request_cut_short(&self) {
        let mut state = self.state.lock();
        match self.method.as_deref() {
            // In the sessionless era the head says what it was.
            Some(method) if !state.calls.has_begun && !method.starts_with("notifications/") => {
                let name = self.name.as_deref().map(decoded);
                let facts = Facts::of_head(self.arrival, &self.origin, method, name.as_deref());
                self.register(&mut state, facts);
            }
            Some(_) => {}
            None => self.begin_unread_call(&mut state),
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

    /// Whether the text of a response will be wanted, as things stand. On a session's stream it may be anybody's.
    pub(super) fn wants_payload(&self) -> bool {
        if self.is_post() {
            self.state.lock().calls.iter().any(|call| call.is_schema)
        } else {
            self.observer.awaits_schema()
        }
    }

    fn begin_call(&self, id: RpcId, message: &Message) {
        let mut state = self.state.lock();
        state.is_batch |= message.in_batch;
        if state.calls.is_full() {
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
    pub(super) fn begin_unread_call(&self, state: &mut State) {
        let is_call = match state.response.status {
            Some(status) => !ACCEPTED.contains(&status),
            None => state.ended.is_some(),
        };
        if state.is_request_unread && !state.calls.has_begun && self.method.is_none() && is_call {
            let mut facts = Facts::of_head(self.arrival, &self.origin, UNREAD_METHOD, None);
            facts.derived = membership::derived(self.recording(), &self.origin, self.arrival, None);
            self.register(state, facts);
        }
    }

    /// Begins a call, if there is room for one more. It has failed already if the exchange is over.
    fn register(&self, state: &mut State, mut facts: Facts) {
        facts.is_unread = state.is_request_unread;
        if !state.calls.reserve(&facts) {
            self.recording().counts.requests_unrecorded.add(1);
            return;
        }
        let call = self.observer.begin(&self.origin, facts);
        if let Some(status) = state.response.status {
            call.on_response_head(status, state.is_stream && (200..300).contains(&status));
        }
        match (&state.ended, &state.refusal) {
            (None, _) => state.calls.push(call),
            (Some(_), Some(refusal)) => self.refuse(&call, refusal, &state.response),
            (Some(breakdown), None) => self.observer.tell(&call, &Happening::ExchangeOver(breakdown)),
        }
    }

    /// A GET opened an event stream. The calls of the stream that it resumes wait for their answers here now.
    fn open_stream(&self, state: &mut State) {
        let (streams, observer) = (&self.observer.streams, &self.observer);
        let heard = self.heard.get_or_init(|| Arc::new(Activity::new(self.recording().clock.now())));
        if let Some(session) = &self.origin.session {
            streams.listen(session, heard);
            observer.tell_all(Some(session), &Happening::Listening(heard, self.time_limit));
        }
        observer.client_listens(&Owner::asked(&self.origin), heard);
        let Some(event) = self.resumes else { return };
        let back = Happening::ClientBack(heard, self.time_limit);
        state.stream = streams.find(&self.way(), event);
        match (&state.stream, &self.origin.session) {
            (Some(stream), _) => {
                stream.resume(heard);
                stream.open_calls().iter().for_each(|call| observer.tell(call, &back));
            }
            // A stream that nobody remembers: it may be that of any call which waits for its client.
            (None, Some(session)) => observer.tell_all(Some(session), &back),
            (None, None) => {}
        }
    }

    /// Which way it came.
    pub(super) fn way(&self) -> Way {
        let (session, endpoint) = (self.origin.session.clone(), self.origin.endpoint.clone());
        Way { session, endpoint, client_address: self.arrival.client_address }
    }

    /// The call has no answer but an error for no request in particular.
    pub(super) fn refuse(&self, call: &Call, refusal: &Refusal, response: &Response) {
        let answer = Answer { message: &refusal.message, payload: None, response };
        self.observer.tell_at(call, &Happening::Answered(answer), refusal.at);
    }

    /// The server says that the session is over.
    pub(super) fn close_session(&self, session: &str, is_on_record: bool) {
        self.recording().close_session(session, self.arrival.ts, is_on_record);
        self.observer.tell_all(Some(session), &Happening::SessionOver);
        self.observer.tell_all_asked(Some(&Owner::Session(session.into())), &Happening::SessionOver);
    }

    fn on_notification(&self, message: &Message) {
        if !is_cancellation(message) {
            return;
        }
        let cancelled = RpcId::of(message, Slot::CancelledId);
        if let Some(id) = &cancelled
            && let owner = membership::owner(self.recording(), &self.origin, self.arrival, message)
            && let Some(call) = self.observer.calls.find(owner, id)
        {
            self.observer.tell(&call, &Happening::Cancelled);
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

    pub(super) fn elapsed(&self) -> Duration {
        self.recording().clock.now().saturating_duration_since(self.arrival.at)
    }

    pub(super) fn recording(&self) -> &Recording {
        &self.observer.recording
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Whoever passed it on was cut off in the middle. An exchange that has ended takes no notice.
        self.end(End::ClientGone);
    }
}
