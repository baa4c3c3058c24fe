//! What all exchanges of one proxy share, and what happens to all of their calls.
//!
//! Called from the tasks that pass bytes on; it must not wait. It owns the index of calls, and a call knows nothing of it:
//! when the last exchange and the observer are gone, so is every call.

use crate::activity::Activity;
use crate::arrival::Arrival;
use crate::budget::Budget;
use crate::calls::{ANSWER_LIMIT, Answer, Asked, Call, CallIndex, Facts, Happening, Origin, Owner, Response};
use crate::clock::Clock;
use crate::counts::Counts;
use crate::read::{Message, RpcId};
use crate::recording::{AtomicPhase, Phase, Recording};
use crate::schema::SchemaQueue;
use crate::session::{KnownSessions, Postponed, Sessions};
use crate::sink::Sink;
use crate::streams::Streams;
use crate::tasks::Tasks;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What an observer needs of others.
pub struct Surroundings {
    /// The proxy's name in every row.
    pub proxy: Arc<str>,
    /// Where events go.
    pub sink: Arc<dyn Sink>,
    /// Where results of schema methods go.
    pub schema: Arc<dyn SchemaQueue>,
    /// What is counted.
    pub counts: Arc<Counts>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// After how long without a request a session that was made up is over, in milliseconds; 0 means never.
    pub session_idle_ms: i64,
}

/// What all exchanges of one proxy share.
pub struct Observer {
    pub(crate) recording: Arc<Recording>,
    /// The calls of clients.
    pub(crate) calls: CallIndex,
    /// Those of servers.
    pub(crate) asked: Asked,
    /// The event streams that outlive their exchange.
    pub(crate) streams: Streams,
}

impl Observer {
    /// An observer that has seen nothing.
    pub fn new(surroundings: Surroundings) -> Arc<Self> {
        Self::within(Budget::default(), surroundings)
    }

    /// The same, with another budget than the usual.
    pub fn within(budget: Budget, surroundings: Surroundings) -> Arc<Self> {
        let Surroundings { proxy, sink, schema, counts, clock, session_idle_ms } = surroundings;
        let sessions = Sessions::new(session_idle_ms);
        let (postponed, tasks, phase) = (Postponed::default(), Tasks::default(), AtomicPhase::new());
        let keeps_error_text = AtomicBool::new(true);
        let recording = Recording {
            sink,
            proxy,
            sessions,
            postponed,
            tasks,
            schema,
            counts,
            clock,
            budget,
            phase,
            keeps_error_text,
        };
        Arc::new(Self {
            recording: Arc::new(recording),
            calls: CallIndex::default(),
            asked: Asked::default(),
            streams: Streams::default(),
        })
    }

    /// Whether rows say with which words a server or a tool failed: the message of a JSON-RPC error, the text of a result that
    /// is one. They do, unless told not to; what that is changes for calls that end from now on. A call without an answer says
    /// in our own words why it has none, in any case.
    pub fn keep_error_text(&self, is_kept: bool) {
        self.recording.keeps_error_text.store(is_kept, Ordering::Relaxed);
    }

    /// A request that comes in now, on that connection. The client's address is a number, of 128 bits as in IPv6, since
    /// all that matters is whether two are the same; `None` where a client has none.
    pub fn arrival(&self, client_address: Option<u128>, connection: u64) -> Arrival {
        let clock = &self.recording.clock;
        Arrival { at: clock.now(), ts: clock.unix_ms(), client_address, connection }
    }

    /// Something that comes now from nobody in particular.
    pub(crate) fn now(&self) -> Arrival {
        self.arrival(None, 0)
    }

    /// Takes over what the store knows of sessions, whenever that is there: those that go on are then the same as before, with
    /// their client and revision. What was seen before counts as newer.
    pub fn learn_sessions(&self, known: KnownSessions) {
        self.recording.sessions.learn(known);
    }

    /// How many calls of clients wait for their response.
    pub fn open_calls(&self) -> u64 {
        self.recording.counts.in_flight.get()
    }

    /// Ends the calls that were left by their exchange, and whose time is over. To be called twice a second or so: what they
    /// wait for takes seconds.
    pub fn give_up_overdue(&self) {
        self.tell_everybody(&Happening::Overdue);
    }

    /// No connections are taken any more. Calls that wait for their client to come back end; those whose answer is due on a
    /// stream that is open go on waiting.
    pub fn drain(&self) {
        self.recording.phase.advance(Phase::Draining);
        self.tell_everybody(&Happening::Draining);
    }

    /// Connections are about to be cut: who goes away from now on was sent away.
    pub fn stop(&self) {
        self.recording.phase.advance(Phase::Stopping);
    }

    /// Ends every call that is left in the index. To be called when no exchange goes on any more.
    pub fn finish(&self) {
        self.tell_everybody(&Happening::Stopped);
    }

    /// Begins a call.
    pub(crate) fn begin(&self, origin: &Origin, facts: Facts) -> Arc<Call> {
        let call = Arc::new(Call::begin(&self.recording, origin, facts));
        self.calls.insert(&call);
        call
    }

    /// A server asks its client, on that stream.
    pub(crate) fn ask(&self, origin: &Origin, facts: Facts, on: &Arc<Activity>) {
        let call = Arc::new(Call::begin_asking(&self.recording, origin, facts, on));
        let now = self.recording.clock.now();
        call.tell(&Happening::LeftToStream(on, ANSWER_LIMIT), now);
        self.asked.insert(&call, now);
    }

    /// A server asks its client, which has as much time for that as it lives.
    pub(crate) fn ask_for_ever(&self, origin: &Origin, facts: Facts) -> Arc<Call> {
        let call = Arc::new(Call::begin(&self.recording, origin, facts));
        self.asked.insert(&call, self.recording.clock.now());
        call
    }

    /// A client answers what its server asked, if it did.
    pub(crate) fn answer_asked(&self, origin: &Origin, id: &RpcId, message: &Message) {
        if let Some(call) = self.asked.find(&Owner::asked(origin), id) {
            let response = Response::default();
            let answer = Answer { message, payload: None, response: &response };
            self.tell_asked(&call, &Happening::Answered(answer));
        }
    }

    /// That client is back, or goes on listening, on that stream: it may answer what it was asked before.
    pub(crate) fn client_listens(&self, owner: &Owner, stream: &Arc<Activity>) {
        self.tell_all_asked(Some(owner), &Happening::ClientBack(stream, ANSWER_LIMIT));
    }

    /// Tells a call of a server what happens now.
    pub(crate) fn tell_asked(&self, call: &Arc<Call>, happening: &Happening<'_>) {
        self.asked.tell(call, happening, self.recording.clock.now());
    }

    /// Tells the calls of servers that wait for that client, or for any, what happens now.
    pub(crate) fn tell_all_asked(&self, owner: Option<&Owner>, happening: &Happening<'_>) {
        self.asked.tell_all(owner, happening, self.recording.clock.now());
    }

    /// Tells a call of a client what happens now.
    pub(crate) fn tell(&self, call: &Call, happening: &Happening<'_>) {
        self.calls.tell(call, happening, self.recording.clock.now());
    }

    /// Whether a response on a session's stream may say what a server offers.
    pub(crate) fn awaits_schema(&self) -> bool {
        self.calls.has_schema_calls()
    }

    /// Tells a call what happened at that time.
    pub(crate) fn tell_at(&self, call: &Call, happening: &Happening<'_>, at: Instant) {
        self.calls.tell(call, happening, at);
    }

    /// Tells the calls of both sides what happens now.
    pub(crate) fn tell_everybody(&self, happening: &Happening<'_>) {
        self.tell_all(None, happening);
        self.tell_all_asked(None, happening);
    }

    /// Tells the calls of clients of that session, or of all sessions, what happens now.
    pub(crate) fn tell_all(&self, session: Option<&str>, happening: &Happening<'_>) {
        self.calls.tell_all(session, happening, self.recording.clock.now());
    }
}
