//! A response's messages meet the calls that they answer.
//!
//! Runs inside the task that passes the response on. The rules are in `docs/matching.md`.

use super::exchange::{Exchange, Refusal};
use crate::calls::{Answer, Happening, Whose};
use crate::read::{Kind, Message, kind};
use crate::session::session_in_query;
use std::time::Duration;

/// How long a response may stay away after its stream broke, for the client to resume the stream; clients try within a
/// few seconds. A server that asks for more by `retry` gets it, up to the second limit.
const RESUME_WAIT: Duration = Duration::from_secs(10);
const RESUME_WAIT_MAX: Duration = Duration::from_secs(300);

impl Exchange {
    /// A message that the server sends was read. `payload` is its text, if that was kept.
    pub(super) fn on_response_message(&self, message: &mut Message, payload: Option<&[u8]>) {
        let Kind::Response(id) = kind(message) else { return };
        let mut state = self.state.lock();
        let whose = id.as_ref().map_or(Whose::Other, |id| state.calls.whose(id));
        let is_own = !matches!(whose, Whose::Other);
        if let Some(not_found) = &mut state.not_found {
            not_found.read(message, is_own);
        }
        let session = self.origin.session.clone().or_else(|| state.stream_session.clone());
        let elsewhere = || self.observer.calls.find_answered(&session?, id.as_ref().filter(|_| !state.is_refused())?);
        let call = match whose {
            Whose::Call(call) => Some(call),
            Whose::Over => None,
            Whose::Other => elsewhere(),
        };
        if let Some(call) = call {
            let response = state.response.clone();
            drop(state);
            self.observer.tell(&call, &Happening::Answered(Answer { message, payload, response: &response }));
        } else if !is_own && message.has_error && (id.is_none() || state.is_refused() || !state.is_stream) {
            // The server could not tell which request it is about, or has a word of its own for that. Whoever is not answered
            // until the response ends is meant. The late error of another request may well be on a stream, so that is none.
            let refusal = || Refusal { message: message.take(), at: self.recording().clock.now() };
            state.refusal.get_or_insert_with(refusal);
        }
    }

    /// The response is a stream of the 2024-11-05 transport; this is where it wants its messages.
    pub(super) fn on_endpoint(&self, endpoint: &str) {
        let query = endpoint.trim().split_once('?').map(|(_, query)| query);
        let Some(session) = session_in_query(query) else { return };
        let session = self.recording().sessions.intern(session);
        self.recording().sessions.open_stream(&session);
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
}
