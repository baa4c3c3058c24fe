//! How an exchange ends, and what that is to the calls that nothing has answered.
//!
//! Runs inside the tasks that pass the bodies on.

use super::exchange::{ACCEPTED, Exchange};
use super::unanswered::Unanswered;
use crate::activity::Activity;
use crate::calls::{Breakdown, Call, End, Failure, Happening, Owner};
use crate::recording::Phase;
use crate::streams::Stream;
use mcplog::event::Transport;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a response may stay away after its stream broke, for the client to resume the stream; clients try within a
/// few seconds. A server that asks for more by `retry` gets it, up to the second limit.
const RESUME_WAIT: Duration = Duration::from_secs(10);
const RESUME_WAIT_MAX: Duration = Duration::from_secs(300);

/// How long a client that closed a response may take to say that it takes the request back: it says both at once, on two
/// connections.
const CANCEL_WAIT: Duration = Duration::from_secs(2);

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
        self.on_unread_request(&state);
        let (is_batch, stream, status) = (state.is_batch, state.stream.clone(), state.response.status);
        let wait = RESUME_WAIT.saturating_add(Duration::from_millis(state.retry_ms)).min(RESUME_WAIT_MAX);
        let (stream_session, not_found) = (state.stream_session.take(), state.not_found.take());
        let failure = breakdown.failure;

        let has_calls = !calls.is_empty();
        // Nothing is allocated where all were answered.
        let taken_back: Vec<_> = calls.iter().filter(|call| call.is_taken_back()).cloned().collect();
        let open: Vec<_> = calls.into_iter().filter(|call| call.is_open()).collect();
        let ids = open.iter().filter_map(|call| call.id.clone()).collect();
        if let Some(refusal) = &state.refusal {
            open.iter().for_each(|call| self.refuse(call, refusal, &state.response));
            drop(state);
        } else {
            drop(state);
            self.leave(&open, &breakdown, stream.as_ref(), wait);
        }
        if !taken_back.is_empty() && self.promised_elsewhere(failure).is_none() {
            // No late answer can come any more.
            taken_back.iter().for_each(|call| self.observer.tell(call, &Happening::ExchangeOver(&breakdown)));
        }
        if is_first {
            self.count_refused(&breakdown, status);
            self.end_stream(stream.as_ref(), stream_session.as_ref(), &breakdown, wait);
            self.end_asking(stream_session.as_ref(), &breakdown, wait);
        }
        if is_first && let Some(session) = stream_session {
            // In the 2024-11-05 transport the stream is the session: nothing can be answered without it.
            let over = breakdown.of_stream();
            self.observer.tell_all(Some(&session), &Happening::StreamOver(&over));
            let of_session = Owner::Session(session.clone());
            self.observer.tell_all_asked(Some(&of_session), &Happening::StreamOver(&over.of_asking()));
            self.recording().sessions.announced.remove(&session);
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

    /// Counts the messages without rows that the server refused, or that did not get there.
    fn count_refused(&self, breakdown: &Breakdown, status: Option<u16>) {
        use Failure::{ClientGone, ClientTimeout, ProxyShutdown};
        let told = self.told.load(Ordering::Relaxed);
        let is_refused = match status {
            Some(status) => status >= 400,
            None => !matches!(breakdown.failure, ClientGone | ClientTimeout | ProxyShutdown),
        };
        if told > 0 && is_refused {
            self.recording().counts.notifications_refused.add(told);
            tracing::debug!(told, status, failure = %breakdown.failure.code(), "the server took no notification");
        }
    }

    /// What the end of the exchange is to its open calls: whether, and how long, they may wait for an answer on another
    /// stream.
    fn leave(&self, open: &[Arc<Call>], breakdown: &Breakdown, stream: Option<&Arc<Stream>>, wait: Duration) {
        let (observer, phase) = (&self.observer, &self.recording().phase);
        let is_given_up = breakdown.failure == Failure::ClientGone && self.may_be_given_up();
        let (closed, open): (Vec<_>, Vec<_>) =
            open.iter().partition(|call| is_given_up && call.is_cancelled_by_closing);
        let cancelled = Breakdown { failure: Failure::Cancelled, ..breakdown.clone() };
        closed.iter().for_each(|call| observer.tell(call, &Happening::ExchangeOver(&cancelled)));
        let over = Happening::ExchangeOver(breakdown);
        let tell_all = |happening: Happening<'_>| open.iter().for_each(|call| observer.tell(call, &happening));
        if open.is_empty() || phase.has_reached(Phase::Stopping) || observer.calls.is_full() {
            return tell_all(over);
        }
        if let Some(heard) = self.promised_elsewhere(breakdown.failure) {
            open.iter().for_each(|call| observer.calls.hold(call));
            return tell_all(Happening::LeftToStream(&heard, self.time_limit));
        }
        let can_resume = matches!(
            breakdown.failure,
            Failure::NoResponse | Failure::StreamBroken | Failure::ClientGone | Failure::Timeout
        );
        if !can_resume || phase.has_reached(Phase::Draining) {
            return tell_all(over);
        }
        let Some(stream) = stream else {
            return open.iter().for_each(|call| {
                // Without a session, not even one that is made up, the client is not known.
                let may_say_so = is_given_up && call.session.is_some();
                let left = Happening::LeftToClient(breakdown, CANCEL_WAIT);
                observer.tell(call, if may_say_so { &left } else { &over });
            });
        };
        stream.cut(None, self.recording().clock.now());
        open.iter().for_each(|call| observer.calls.hold(call));
        tell_all(Happening::LeftToClient(breakdown, wait));
        // The client may be back before its first connection is known to be gone.
        if let Some(carrier) = stream.carrier() {
            tell_all(Happening::ClientBack(&carrier, self.time_limit));
        }
    }

    /// Whether closing the response gives up what was asked: a client that breaks its request off, or follows a redirect, or
    /// leaves a refusal unread, does not.
    fn may_be_given_up(&self) -> bool {
        let state = self.state.lock();
        state.is_request_whole && matches!(state.response.status, None | Some(200..=299))
    }

    /// The stream that the answers are due on, if the server accepted the request and answers elsewhere. What became of the
    /// response after its head is nothing to them.
    fn promised_elsewhere(&self, failure: Failure) -> Option<Arc<Activity>> {
        let is_elsewhere = matches!(
            failure,
            Failure::NoResponse | Failure::ClientGone | Failure::StreamBroken | Failure::UnreadableResponse
        );
        let status = self.state.lock().response.status.filter(|_| is_elsewhere)?;
        let is_accepted = match self.origin.transport {
            Transport::Sse => (200..300).contains(&status),
            _ => ACCEPTED.contains(&status),
        };
        self.observer.streams.listening(self.origin.session.as_deref().filter(|_| is_accepted)?)
    }

    /// The response was an event stream, and is over. Calls that wait for their answers on it wait for their client now.
    fn end_stream(
        &self,
        stream: Option<&Arc<Stream>>,
        session: Option<&Arc<str>>,
        breakdown: &Breakdown,
        wait: Duration,
    ) {
        let (observer, heard) = (&self.observer, self.heard.get());
        if let Some(stream) = stream {
            stream.cut(heard, self.recording().clock.now());
            observer.streams.keep(stream);
        }
        let Some(heard) = heard else { return };
        let sessions = || self.origin.session.iter().chain(session);
        sessions().for_each(|session| observer.streams.unlisten(session, heard));
        if !heard.is_awaited() {
            return;
        }
        observer.tell_all(None, &Happening::StreamCut(heard, breakdown, wait));
        // Another one may be open already.
        if let Some((carrier, stream)) = stream.and_then(|stream| Some((stream.carrier()?, stream))) {
            let back = Happening::ClientBack(&carrier, self.time_limit);
            stream.open_calls().iter().for_each(|call| observer.tell(call, &back));
        }
        for session in sessions() {
            if let Some(other) = observer.streams.listening(session) {
                observer.tell_all(Some(session), &Happening::Listening(&other, self.time_limit));
            }
        }
        if self.recording().phase.has_reached(Phase::Draining) {
            observer.tell_all(None, &Happening::Draining);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::asking::ANSWER_WAIT;
    use super::*;
    use crate::calls::{ANSWER_LIMIT, ASKED_BYTES_MAX, ASKED_OF_ONE_MAX, INDEX_BYTES_MAX, LATE_WAIT};
    use crate::streams::{EVENT_IDS_MAX, STREAMS_BYTES_MAX};

    #[test]
    fn the_page_on_matching_tells_the_waits_and_limits_that_are_here() {
        let page = include_str!("../../../../docs/matching.md").split_whitespace().collect::<Vec<_>>().join(" ");
        for words in [
            format!("{} s for the client to resume it", RESUME_WAIT.as_secs()),
            format!("{} minutes at most", RESUME_WAIT_MAX.as_secs() / 60),
            format!("{} s for `notifications/cancelled`", CANCEL_WAIT.as_secs()),
            format!("{} s for the late answer", LATE_WAIT.as_secs()),
            format!("an answer within {} s is late", LATE_WAIT.as_secs()),
            format!("{} minutes after it passed", ANSWER_LIMIT.as_secs() / 60),
            format!("{} s (and what `retry` asks for) for the client to answer", RESUME_WAIT.as_secs()),
            format!("is over otherwise | {} minutes", ANSWER_WAIT.as_secs() / 60),
            format!("no more than {ASKED_OF_ONE_MAX} of one session wait"),
            format!("All of them take {} MiB at most; beyond that each", ASKED_BYTES_MAX >> 20),
            format!("its last {EVENT_IDS_MAX} events"),
            format!("The streams take {} MiB at most", STREAMS_BYTES_MAX >> 20),
            format!("take {} MiB at most; beyond that", INDEX_BYTES_MAX >> 20),
        ] {
            assert!(page.contains(&words), "{words}");
        }
    }
}
