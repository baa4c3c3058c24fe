//! One server that its client started: the messages of both, and the calls that they are.
//!
//! Shared by the readers of both streams and by whoever knows when a party is gone. A request is registered here before
//! its line is passed on, so that no answer overtakes it. It must not do I/O or wait.

use super::line::{Line, LineEnd, LineReader};
use super::noise::{Noise, NoiseCount};
use super::session::PipeSession;
use super::side::Side;
use crate::calls::{Answer, Breakdown, Call, Facts, Failure, Happening, Origin, Owner, Response, bounded_cause};
use crate::observer::Observer;
use crate::read::{Kind, Message, RpcId, Slot, is_cancellation, kind};
use crate::recording::{Phase, Recording};
use crate::session::Asker;
use mcplog::event::{Direction, Transport};
use std::sync::{Arc, OnceLock};

/// What stands for the number of a client's connection: a process has one other end, and that is its session's.
const CONNECTION: u64 = 0;

/// A server that its client started, as one process: what passes between them.
///
/// The process is the session of all its calls; the session's id is made up. Dropping the last of a pipe and its
/// readers ends what is open.
pub struct Pipe {
    observer: Arc<Observer>,
    origin: Origin,
    session: PipeSession,
    noise: NoiseCount,
    /// Why open calls have no answer, once a party is gone.
    ended: OnceLock<Breakdown>,
}

impl Pipe {
    /// A pipe to a server that starts now. Its name is that of the observer's [`Surroundings`](crate::Surroundings).
    pub fn begin(observer: &Arc<Observer>) -> Arc<Self> {
        let session = PipeSession::new(observer.recording.clock.unix_ms());
        let origin = Origin {
            transport: Transport::Stdio,
            endpoint: None,
            session: Some(session.id().clone()),
            // The process is: nobody else can be at its other end.
            is_agreed: true,
            asker: Asker::new((None, CONNECTION), "", None, None),
            protocol_version: None,
            credential: None,
        };
        let (noise, ended) = (NoiseCount::default(), OnceLock::new());
        Arc::new(Self { observer: observer.clone(), origin, session, noise, ended })
    }

    /// What stands for the address of a server that has none, where a version of what it offers is recorded: its name,
    /// and nothing of its command, which may hold secrets. For [`SchemaWatch::new`](crate::SchemaWatch::new).
    pub fn url_of(server_name: &str) -> String {
        format!("stdio:{server_name}")
    }

    /// The id of the session that the process is.
    pub fn session_id(&self) -> &str {
        self.session.id()
    }

    /// What the server printed so far that is no message.
    pub fn noise(&self) -> Noise {
        self.noise.get()
    }

    /// The server is gone, and all that it wrote was read. Calls that are open, of either side, have failed: the cause
    /// says with which exit code or signal it ended, and may hold the last words that it printed as its errors. It is
    /// recorded, and what is too long of it is cut. The session is over.
    ///
    /// Where the client closed its end before, and the server ended in good order because of that, the client gave up
    /// on what is open: [`Pipe::on_client_gone`] goes first then. The first that is said counts.
    pub fn on_server_gone(&self, cause: &str) {
        let is_stopping = self.recording().phase.has_reached(Phase::Stopping);
        let failure = if is_stopping { Failure::ProxyShutdown } else { Failure::ServerExited };
        self.end_calls(Breakdown { failure, cause: Some(bounded_cause(cause)), is_unread: false });
        self.close();
    }

    /// The client is gone: it takes no more answers. Calls that are open, of either side, have failed. That a client
    /// sends nothing more is no reason to call this: it may wait for what it asked.
    pub fn on_client_gone(&self) {
        self.end_calls(self.client_gone());
    }

    pub(super) fn new_lines(&self, side: Side) -> LineReader {
        let recording = self.recording();
        LineReader::new(&recording.budget, side == Side::Server && recording.keeps_error_text())
    }

    /// Whether the text of what that side sends may be wanted, as things stand.
    pub(super) fn wants_text(&self, side: Side) -> bool {
        side == Side::Server && self.observer.awaits_schema()
    }

    /// That side sent a line, or a part of one that counts already.
    pub(super) fn on_line(&self, side: Side, line: &Line<'_>) {
        let mut is_message = line.is_continued;
        for message in line.messages {
            is_message |= self.on_message(side, message, line.text.of(message));
        }
        match line.end {
            LineEnd::Whole if !is_message => self.on_noise(side, line.bytes),
            LineEnd::Whole | LineEnd::GoesOn => {}
            LineEnd::Unread(message) => message.into_iter().for_each(|message| self.on_unread(side, message)),
            LineEnd::BrokenOff(message) => {
                if !message.is_some_and(|message| self.on_broken_off(side, message)) {
                    self.on_noise(side, line.bytes);
                }
            }
        }
    }

    /// Says whether it is a message. Servers print lines for their logs that have an `id`, a `method`, or both: what a
    /// server asks or tells must say that it is JSON-RPC. An answer is known by its call.
    fn on_message(&self, side: Side, message: &Message, payload: Option<&[u8]>) -> bool {
        let is_said_to_be = side == Side::Client || message.raw(Slot::JsonRpc).is_some();
        match kind(message) {
            Kind::Request(id) if is_said_to_be => drop(self.begin_call(side, id, message, false)),
            Kind::Notification if is_said_to_be => self.on_notification(side, message),
            // An error that names no request: nobody knows whose it is, and no client takes it for an answer.
            Kind::Response(None) => {}
            Kind::Response(Some(id)) => return self.on_answer(side, &id, message, payload) || is_said_to_be,
            Kind::Request(_) | Kind::Notification | Kind::Other => return false,
        }
        true
    }

    /// A message that was not read to its end, since there was no room.
    fn on_unread(&self, side: Side, message: &Message) {
        match kind(message) {
            Kind::Request(id) => drop(self.begin_call(side, id, message, true)),
            Kind::Response(Some(id)) => {
                let breakdown = Breakdown { is_unread: true, ..Failure::UnreadableResponse.into() };
                let call = self.find_answered(side, &id);
                call.iter().for_each(|call| self.tell(call, &Happening::ExchangeOver(&breakdown)));
            }
            Kind::Notification | Kind::Response(None) | Kind::Other => {}
        }
    }

    /// The stream ended within that. A request that is known to be one is a call, and no answer comes. Says whether it
    /// is a message, as far as it came.
    fn on_broken_off(&self, side: Side, message: &Message) -> bool {
        if side == Side::Server && message.raw(Slot::JsonRpc).is_none() {
            return false;
        }
        let (kind, failure) = match (kind(message), side) {
            (Kind::Other, _) => return false,
            (kind, Side::Client) => (kind, Failure::ClientGone),
            (kind, Side::Server) => (kind, Failure::ServerExited),
        };
        if let Kind::Request(id) = kind
            && let Some(call) = self.begin_call(side, id, message, false)
        {
            self.tell(&call, &Happening::ExchangeOver(&failure.into()));
        }
        true
    }

    /// A request passes. `None` where there are too many of them to hold another.
    fn begin_call(&self, side: Side, id: RpcId, message: &Message, is_unread: bool) -> Option<Arc<Call>> {
        let (observer, origin) = (&self.observer, &self.origin);
        let arrival = observer.arrival(None, CONNECTION);
        let call = match side {
            Side::Client if observer.calls.is_full() => {
                self.recording().counts.requests_unrecorded.add(1);
                return None;
            }
            Side::Client => {
                let mut facts = Facts::of_message(arrival, origin, id, message);
                facts.is_unread = is_unread;
                self.session.on_request(&facts);
                observer.begin(origin, facts)
            }
            Side::Server => {
                let mut facts = Facts::of_server_message(arrival, origin, id, message);
                facts.is_unread = is_unread;
                self.session.on_request(&facts);
                observer.ask_for_ever(origin, facts)
            }
        };
        // Whoever ended the calls before did not see this one.
        if let Some(breakdown) = self.ended.get() {
            self.tell(&call, &Happening::StreamOver(breakdown));
        }
        Some(call)
    }

    /// Says whether it is the answer of a call.
    fn on_answer(&self, side: Side, id: &RpcId, message: &Message, payload: Option<&[u8]>) -> bool {
        let Some(call) = self.find_answered(side, id) else { return false };
        self.tell(&call, &Happening::Answered(Answer { message, payload, response: &Response::default() }));
        if message.has_result {
            self.session.on_result(self.recording(), &call, message, self.noise().lines);
        }
        true
    }

    /// The call that an answer of that side with that id belongs to.
    fn find_answered(&self, side: Side, id: &RpcId) -> Option<Arc<Call>> {
        match side {
            Side::Client => self.observer.asked.find(&self.owner(), id),
            Side::Server => self.observer.calls.find_answered(self.session.id(), id, |_| true),
        }
    }

    /// Either side takes back what it asked for. A server that ends a subscription says so in the same way.
    fn on_notification(&self, side: Side, message: &Message) {
        let Some(id) = RpcId::of(message, Slot::CancelledId).filter(|_| is_cancellation(message)) else { return };
        let of_client = || self.observer.calls.find(self.owner(), &id);
        let cancelled = match side {
            Side::Client => of_client(),
            Side::Server => self.observer.asked.latest(&self.owner(), &id),
        };
        if let Some(call) = cancelled {
            self.tell(&call, &Happening::Cancelled);
        } else if let Some(call) = of_client().filter(|call| side == Side::Server && call.is_subscription) {
            self.tell(&call, &Happening::ExchangeOver(&Failure::NoResponse.into()));
        }
    }

    fn tell(&self, call: &Arc<Call>, happening: &Happening<'_>) {
        match call.direction {
            Direction::Client => self.observer.tell(call, happening),
            Direction::Server => self.observer.tell_asked(call, happening),
        }
    }

    fn owner(&self) -> Owner {
        Owner::Session(self.session.id().clone())
    }

    /// A line that is no message.
    fn on_noise(&self, side: Side, bytes: u64) {
        if side == Side::Server {
            let lines = self.noise.add(bytes);
            self.session.on_noise(self.recording(), lines);
        }
    }

    fn client_gone(&self) -> Breakdown {
        let is_stopping = self.recording().phase.has_reached(Phase::Stopping);
        if is_stopping { Failure::ProxyShutdown.into() } else { Failure::ClientGone.into() }
    }

    /// Calls that are open, or begin from now on, get no answer. The first reason counts.
    fn end_calls(&self, breakdown: Breakdown) {
        let breakdown = self.ended.get_or_init(|| breakdown);
        let over = Happening::StreamOver(breakdown);
        self.observer.tell_all(Some(self.session.id()), &over);
        self.observer.tell_all_asked(Some(&self.owner()), &over);
    }

    /// The process, and with it the session, is over.
    fn close(&self) {
        self.session.close(self.recording(), self.noise().lines);
    }

    fn recording(&self) -> &Recording {
        &self.observer.recording
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // Nobody said that a party is gone: whoever passed the bytes on was cut off in the middle.
        self.end_calls(self.client_gone());
        self.close();
    }
}
