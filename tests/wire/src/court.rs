//! How an exchange ends, and what that is to its calls: `docs/matching.md`, its last two parts.

use crate::call::{CallNumber, Failure, Left, Progress};
use crate::docket::Docket;
use crate::observed::TIME_LIMIT_MS;
use crate::planted::Planted;
use crate::step::{Ending, Verb};

/// How long a client may take to resume a stream, beside what `retry` asks for.
const RESUME_MS: u64 = 10_000;
/// The longest that `retry` gets.
const RESUME_MAX_MS: u64 = 300_000;
/// How long a client that closed a response may take to say that it takes the request back.
const CANCEL_MS: u64 = 2_000;

impl Docket {
    pub(crate) fn end(&mut self, at: usize, ending: Ending) {
        let Some(exchange) = self.exchanges.get(&at) else { return };
        let (asked, named, is_whole) = (exchange.asked.clone(), exchange.named.clone(), exchange.is_whole);
        let status = exchange.answered.as_ref().map(|head| head.status);
        let (refusal, stream, calls) = (exchange.refusal.clone(), exchange.stream, exchange.calls.clone());
        let wait_ms = (RESUME_MS + exchange.retry_ms).min(RESUME_MAX_MS);
        let (stream_session, speaks_of_else) = (exchange.stream_session.clone(), exchange.speaks_of_else);
        let is_of_sessionless = exchange.is_of_sessionless;
        let failure = failure_of(ending, status);
        let open: Vec<_> = calls.iter().copied().filter(|call| self.calls[*call].is_open()).collect();
        let taken_back: Vec<_> = calls
            .iter()
            .copied()
            .filter(|call| matches!(self.calls[*call].progress, Progress::TakenBack(..)))
            .collect();
        // Who lets go of a request that was whole gives it up, unless the answer was none.
        let is_given_up = ending == Ending::ClientGone && is_whole && matches!(status, None | Some(200..=299));
        let due = self.due_elsewhere(at, ending, status);
        if let Some((error, at_ms)) = &refusal {
            open.iter().for_each(|call| self.answer(*call, error, at, *at_ms));
        } else {
            for call in &open {
                self.leave(*call, &failure, is_given_up, due, stream, ending, wait_ms);
            }
        }
        if due.is_none() {
            // No late answer can come any more.
            for call in taken_back {
                if let Progress::TakenBack(since_ms, _) = self.calls[call].progress {
                    self.fail(call, &Failure::of("cancelled"), since_ms);
                }
            }
        }
        if let Some(stream) = stream {
            self.cuts += 1;
            self.streams[stream].cut = Some((self.now_ms, self.cuts));
            if self.streams[stream].carrier == Some(at) {
                self.streams[stream].carrier = None;
            } else if let Some(carrier) = self.streams[stream].carrier {
                // The client is back already.
                self.client_is_back(&self.streams[stream].calls.clone(), carrier);
            }
        }
        self.listening.retain(|(_, listening)| *listening != at);
        self.stream_is_cut(at, &failure, wait_ms, stream);
        self.exchanges.remove(&at);
        if let Some(session) = stream_session {
            // The stream is the session: nothing can be answered without it.
            let failure = if failure.code == "no_response" { Failure::of("stream_broken") } else { failure };
            for call in 0..self.calls.len() {
                let call_is_of_it = self.calls[call].owner == session;
                match self.calls[call].progress {
                    Progress::TakenBack(since_ms, _) if call_is_of_it => {
                        self.fail(call, &Failure::of("cancelled"), since_ms);
                    }
                    Progress::Over => {}
                    _ if call_is_of_it => self.fail(call, &failure, self.now_ms),
                    _ => {}
                }
            }
            self.membership.forget_address(&session);
            self.membership.close(&session, false, &mut self.judgement.recorded);
        }
        if let Some(session) = named.session
            && asked.verb == Verb::Post
            && status == Some(404)
            && !speaks_of_else
            && !is_of_sessionless
        {
            self.close(&session, !calls.is_empty());
        }
    }

    /// The exchange on whose stream the answers are due, if the server accepted the request and the session listens.
    fn due_elsewhere(&self, at: usize, ending: Ending, status: Option<u16>) -> Option<usize> {
        let named = &self.exchanges[&at].named;
        let is_accepted = match status? {
            202 | 204 => true,
            status => named.is_first_transport && (200..300).contains(&status),
        };
        let session = named.session.as_ref().filter(|_| is_accepted && ending != Ending::Silent)?;
        self.listening.iter().rev().find(|(listening, _)| listening == session).map(|(_, at)| *at)
    }

    #[expect(clippy::too_many_arguments, reason = "they are what the rules go by, and nothing else is made of them")]
    fn leave(
        &mut self,
        call: CallNumber,
        failure: &Failure,
        is_given_up: bool,
        due: Option<usize>,
        stream: Option<usize>,
        ending: Ending,
        wait_ms: u64,
    ) {
        let now_ms = self.now_ms;
        let (is_sessionless, has_session) = (self.calls[call].is_sessionless, self.calls[call].has_session());
        if is_given_up && is_sessionless && !self.plants(Planted::ClosedIsGone) {
            return self.fail(call, &Failure::of("cancelled"), now_ms);
        }
        let can_resume = match ending {
            Ending::Complete => failure.code == "no_response",
            Ending::Broken | Ending::ClientGone | Ending::Silent => true,
        };
        let left =
            |wait_ms| Progress::Left(Left { failure: failure.clone(), at_ms: now_ms, until_ms: now_ms + wait_ms });
        let progress = match (due, stream) {
            (Some(due), _) => {
                self.calls[call].is_due_to_session = true;
                Progress::Due(due, now_ms)
            }
            (None, Some(_)) if can_resume => left(wait_ms),
            (None, None) if can_resume && is_given_up && has_session => left(CANCEL_MS),
            _ => return self.fail(call, failure, now_ms),
        };
        self.calls[call].progress = progress;
    }

    /// Calls that are due on the stream of that exchange wait for their client now, or on another stream that is open.
    fn stream_is_cut(&mut self, at: usize, failure: &Failure, wait_ms: u64, stream: Option<usize>) {
        let now_ms = self.now_ms;
        let mut was_awaited = false;
        for call in &mut self.calls {
            if matches!(call.progress, Progress::Due(due, _) if due == at) {
                was_awaited = true;
                let failure = failure.clone();
                call.progress = Progress::Left(Left { failure, at_ms: now_ms, until_ms: now_ms + wait_ms });
            }
        }
        if !was_awaited {
            return;
        }
        if let Some((carrier, stream)) = stream.and_then(|stream| Some((self.streams[stream].carrier?, stream))) {
            self.client_is_back(&self.streams[stream].calls.clone(), carrier);
        }
        let exchange = &self.exchanges[&at];
        let sessions = [exchange.named.session.clone(), exchange.stream_session.clone()];
        for session in sessions.into_iter().flatten() {
            let other = self.listening.iter().rev().find(|(listening, _)| *listening == session).map(|(_, at)| *at);
            if let Some(other) = other {
                self.due_to_session(&session, other);
            }
        }
    }

    /// Time passed: who waited for too long is over.
    pub(crate) fn expire(&mut self) {
        for call in 0..self.calls.len() {
            match self.calls[call].progress.clone() {
                Progress::Left(left) if self.now_ms >= left.until_ms => self.fail(call, &left.failure, left.at_ms),
                Progress::TakenBack(since_ms, until_ms) if self.now_ms >= until_ms => {
                    self.fail(call, &Failure::of("cancelled"), since_ms);
                }
                Progress::Due(at, since_ms) => {
                    let active_ms = self.exchanges.get(&at).map_or(0, |exchange| exchange.active_ms);
                    if self.now_ms >= since_ms.max(active_ms) + TIME_LIMIT_MS {
                        self.fail(call, &Failure::of("upstream_timeout"), self.now_ms);
                    }
                }
                _ => {}
            }
        }
    }
}

/// What an exchange that ended so is to a call without an answer.
fn failure_of(ending: Ending, status: Option<u16>) -> Failure {
    let caused = |code: &str, cause: &str| Failure { code: code.to_owned(), cause: Some(cause.to_owned()) };
    match (ending, status) {
        (Ending::Broken, _) => caused("stream_broken", "reset"),
        (Ending::Silent, _) => caused("upstream_timeout", "waiting"),
        (Ending::ClientGone, _) => Failure::of("client_gone"),
        (Ending::Complete, Some(status @ 300..=599)) => Failure::of(&format!("http_{status}")),
        (Ending::Complete, _) => Failure::of("no_response"),
    }
}
