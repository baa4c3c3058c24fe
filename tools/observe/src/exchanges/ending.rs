//! How an exchange ends, and what that is to the calls that nothing has answered.
//!
//! Runs inside the tasks that pass the bodies on.

use super::exchange::Exchange;
use crate::calls::{Breakdown, End, Failure, Happening};
use crate::read::RpcId;
use crate::recording::Phase;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Who is still owed an answer when an exchange ends before the response's head: for the error that the proxy answers.
pub struct Unanswered {
    /// Why there is no answer.
    pub failure: Failure,
    /// The ids of the calls.
    pub ids: Vec<RpcId>,
    /// They came in a batch.
    pub is_batch: bool,
}

impl Exchange {
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
        let calls = state.calls.take();
        state.ended.get_or_insert_with(|| breakdown.clone());
        self.begin_unread_call(&mut state);
        let (is_batch, resume_wait) = (state.is_batch, state.resume_wait);
        let (stream_session, not_found) = (state.stream_session.take(), state.not_found.take());
        let failure = breakdown.failure;

        let has_calls = !calls.is_empty();
        let open: Vec<_> = calls.into_iter().filter(|call| call.is_open()).collect();
        let ids = open.iter().filter_map(|call| call.id.clone()).collect();
        if let Some(refusal) = &state.refusal {
            open.iter().for_each(|call| self.refuse(call, refusal, &state.response));
            drop(state);
        } else if !open.is_empty() {
            drop(state);
            let happening = self.last_happening(&breakdown, resume_wait);
            for call in open {
                self.observer.tell(&call, &happening);
            }
        } else {
            drop(state);
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
}
