//! What the server asks its client in a response, and what becomes of that when the response ends.
//!
//! Runs inside the tasks that pass the bodies on. The rules are in `docs/matching.md`.

use super::exchange::{ACCEPTED, Exchange, State};
use crate::activity::Activity;
use crate::arrival::Arrival;
use crate::calls::{Breakdown, Facts, Happening, Origin, Owner};
use crate::read::{Message, RpcId};
use crate::recording::Phase;
use crate::streams::Stream;
use mcplog::event::Transport;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a client may take to answer after the stream on which it was asked has ended without its doing, while it listens
/// on no other: it may be asking its user.
pub(super) const ANSWER_WAIT: Duration = Duration::from_secs(300);

impl Exchange {
    /// The server asks. What it asks in the response to a request that it refuses is none.
    pub(super) fn on_server_request(&self, id: RpcId, message: &Message) {
        let state = self.state.lock();
        if !matches!(state.response.status, Some(200..=299)) {
            return;
        }
        let (origin, stream) = (self.asking_origin(&state), state.stream.clone());
        let ended = state.ended.clone();
        let derived = state.calls.iter().find_map(|call| call.session.clone());
        drop(state);
        if self.resumes.is_some() && self.is_repeated(&origin, stream.as_deref(), &id) {
            return;
        }
        if let Some(stream) = stream.filter(|_| self.resumes.is_none()) {
            stream.has_asked(self.event.load(Ordering::Relaxed), &id);
        }
        let passed = Arrival {
            client_address: self.arrival.client_address,
            connection: self.arrival.connection,
            ..self.observer.now()
        };
        let mut facts = Facts::of_server_message(passed, &origin, id, message);
        if origin.session.is_none() {
            facts.derived =
                derived.or_else(|| self.recording().sessions.derived.seek_nameless(&origin.asker, passed.ts));
        }
        let on = self.heard.get_or_init(|| Arc::new(Activity::new(self.recording().clock.now())));
        self.observer.ask(&origin, facts, on);
        if let Some(breakdown) = ended {
            // What the upstream still sends after the exchange was given up.
            self.end_asking(None, &breakdown, ANSWER_WAIT);
        }
    }

    /// The server takes back what it asked, if it did.
    pub(super) fn on_server_cancelled(&self, id: &RpcId) {
        let owner = Owner::asked(&self.asking_origin(&self.state.lock()));
        if let Some(call) = self.observer.asked.latest(&owner, id) {
            self.observer.tell_asked(&call, &Happening::Cancelled);
        }
    }

    /// A stream on which the server asked is over.
    pub(super) fn end_asking(&self, session: Option<&Arc<str>>, breakdown: &Breakdown, resume_wait: Duration) {
        let Some(heard) = self.heard.get().filter(|heard| heard.is_awaited()) else { return };
        let (observer, breakdown) = (&self.observer, breakdown.clone().of_asking());
        let wait = if breakdown.is_by_client() { resume_wait } else { ANSWER_WAIT };
        observer.tell_all_asked(None, &Happening::StreamCut(heard, &breakdown, wait));
        if let Some(session) = self.origin.session.as_ref().or(session)
            && let Some(other) = observer.streams.listening(session)
        {
            observer.client_listens(&Owner::Session(session.clone()), &other);
        }
        if self.recording().phase.has_reached(Phase::Draining) {
            observer.tell_all_asked(None, &Happening::Draining);
        }
    }

    /// A request passed unread, and the server took it: it may have been what the client answers.
    pub(super) fn on_unread_request(&self, state: &State) {
        let is_taken = match (state.response.status, self.origin.transport) {
            (Some(200..=299), Transport::Sse) => true,
            (Some(status), _) => ACCEPTED.contains(&status) || (state.calls.has_begun && status < 300),
            (None, _) => false,
        };
        if state.is_request_unread && is_taken {
            self.observer.asked.all_of(&Owner::asked(&self.origin)).iter().for_each(|call| call.on_unread());
        }
    }

    /// Which way the requests come that the response brings: in its session, or in the one that begins with it.
    fn asking_origin(&self, state: &State) -> Origin {
        let mut origin = self.origin.clone();
        if let Some(session) = &state.stream_session {
            (origin.session, origin.is_agreed, origin.transport) = (Some(session.clone()), true, Transport::Sse);
        } else if origin.session.is_none() && state.calls.iter().any(|call| call.is_handshake) {
            origin.session = state.response.new_session.clone();
        }
        origin
    }

    /// Whether a request on a stream that was resumed came before: the event that brings it did, or its answer is still due.
    fn is_repeated(&self, origin: &Origin, stream: Option<&Stream>, id: &RpcId) -> bool {
        let is_replayed = stream.is_some_and(|stream| stream.has_asked(self.event.load(Ordering::Relaxed), id));
        is_replayed || self.observer.asked.latest(&Owner::asked(origin), id).is_some()
    }
}
