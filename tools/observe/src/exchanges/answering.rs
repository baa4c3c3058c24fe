//! A response's messages meet the calls that they answer.
//!
//! Runs inside the task that passes the response on. The rules are in `docs/matching.md`.

use super::announced_address::announced;
use super::exchange::{Exchange, Refusal};
use crate::calls::{Answer, Call, Failure, Happening, Whose};
use crate::read::{Kind, Message, RpcId, Slot, is_cancellation, kind};
use crate::session::session_in_query;
use crate::streams::Stream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use uuid::Uuid;

impl Exchange {
    /// A message that the server sends was read. `payload` is its text, if that was kept.
    pub(super) fn on_response_message(&self, message: &mut Message, payload: Option<&[u8]>) {
        let id = match kind(message) {
            Kind::Response(id) => id,
            Kind::Notification => return self.on_server_notification(message),
            Kind::Request(id) => return self.on_server_request(id, message),
            Kind::Other => return,
        };
        let mut state = self.state.lock();
        let whose = id.as_ref().map_or(Whose::Other, |id| match &state.stream {
            // A stream that was resumed stands for the requests of its first exchange.
            Some(stream) if self.resumes.is_some() => stream.whose(id),
            _ => state.calls.whose(id),
        });
        let is_own = !matches!(whose, Whose::Other);
        let has_request = state.calls.has_begun;
        if let Some(not_found) = &mut state.not_found {
            not_found.read(message, has_request);
        }
        let session = self.origin.session.clone().or_else(|| state.stream_session.clone());
        let cut_at = state.stream.as_ref().and_then(|stream| stream.cut_at());
        // What is replayed was sent before the stream was cut: it is for nobody who came later and waits on a stream of his own.
        let may_be_meant = |call: &Call| {
            self.resumes.is_none() || !call.has_open_stream() || cut_at.is_some_and(|cut_at| call.arrived_at <= cut_at)
        };
        let elsewhere = || {
            let id = id.as_ref().filter(|_| !state.is_refused())?;
            self.observer.calls.find_answered(&session?, id, may_be_meant)
        };
        let call = match whose {
            Whose::Call(call) => Some(call),
            Whose::Over => None,
            Whose::Other => elsewhere(),
        };
        if let Some(call) = call {
            let response = state.response.clone();
            drop(state);
            self.observer.tell(&call, &Happening::Answered(Answer { message, payload, response: &response }));
        } else if self.is_post()
            && !is_own
            && message.has_error
            && (id.is_none() || state.is_refused() || !state.is_stream)
        {
            // The server could not tell which request it is about, or has a word of its own for that. Whoever is not answered
            // until the response ends is meant. The late error of another request may well be on a stream, so that is none.
            let refusal = || Refusal { message: message.take(), at: self.recording().clock.now() };
            state.refusal.get_or_insert_with(refusal);
        }
    }

    /// A server takes back what it asked; one that ends a subscription may say so before it lets go of the stream, which then
    /// may break.
    fn on_server_notification(&self, message: &Message) {
        let Some(id) = RpcId::of(message, Slot::CancelledId).filter(|_| is_cancellation(message)) else { return };
        let state = self.state.lock();
        let is_it = |call: &&Arc<Call>| call.is_subscription && call.id.as_ref() == Some(&id);
        let subscription = state.calls.iter().find(is_it).cloned();
        drop(state);
        let Some(call) = subscription else { return self.on_server_cancelled(&id) };
        self.observer.tell(&call, &Happening::ExchangeOver(&Failure::NoResponse.into()));
    }

    /// The response is a stream of the 2024-11-05 transport; this is where it wants its messages. The stream is the session,
    /// whose id is in the address as the SDKs have it, or is made up.
    pub(super) fn on_endpoint(&self, endpoint: &str) {
        let path = self.origin.endpoint.as_deref().unwrap_or_default();
        let Some((heard, address)) = self.heard.get().zip(announced(path, endpoint.trim())) else { return };
        let mut state = self.state.lock();
        if state.stream_session.is_some() || state.ended.is_some() {
            return;
        }
        let sessions = &self.recording().sessions;
        let named = session_in_query(address.split_once('?').map(|(_, query)| query));
        let session = named.map_or_else(|| format!("stream-{}", Uuid::now_v7()).into(), |named| sessions.intern(named));
        sessions.open_stream(&session, self.origin.endpoint.as_ref());
        sessions.announced.insert(&address, &session, self.arrival.client_address, named.is_none());
        self.observer.streams.listen(&session, heard);
        state.stream_session = Some(session);
    }

    /// The response is an event stream, and an event with that id passes: a client can resume it from there.
    pub(super) fn on_event_id(&self, id: &[u8]) {
        self.event.store(Stream::event(id), Ordering::Relaxed);
        let mut state = self.state.lock();
        if state.stream.is_none() {
            let stream = Arc::new(Stream::new(self.way(), state.calls.iter()));
            self.observer.streams.keep(&stream);
            state.stream = Some(stream);
        }
        state.stream.iter().for_each(|stream| stream.pass(Stream::event(id)));
    }

    /// The server wants clients to wait before they resume.
    pub(super) fn on_retry(&self, retry_ms: u64) {
        self.state.lock().retry_ms = retry_ms;
    }
}
