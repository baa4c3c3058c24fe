//! What servers say, and whose answer it is: `docs/matching.md`, its first two parts.

use crate::call::{CallNumber, Failure, Progress};
use crate::docket::Docket;
use crate::id::Id;
use crate::planted::Planted;
use crate::step::{Answered, Verb};
use crate::streams::{Stream, Way, resumed};
use crate::wire_text::Said;
use serde_json::Value;

/// Whose an answer is, among the requests that a stream stands for.
enum Whose {
    Call(CallNumber),
    /// One's that was answered before.
    Over,
    Other,
}

impl Docket {
    pub(crate) fn answer_begins(&mut self, at: usize, answered: &Answered) {
        let is_success = (200..300).contains(&answered.status);
        self.heads.insert(at, answered.status);
        let Some(exchange) = self.exchanges.get_mut(&at) else { return };
        exchange.answered = Some(answered.clone());
        exchange.active_ms = self.now_ms;
        let asked = exchange.asked.clone();
        let (session, is_of_sessionless) = (exchange.named.session.clone(), exchange.is_of_sessionless);
        if asked.verb == Verb::Get && is_success && answered.is_stream {
            self.listen(at);
        }
        let Some(session) = session.filter(|_| !is_of_sessionless) else { return };
        let names_another = answered.session.as_ref().is_some_and(|other| *other != session) && is_success;
        match asked.verb {
            Verb::Post if is_success && !names_another => self.membership.confirm(&session),
            Verb::Get if is_success && answered.is_stream => self.membership.confirm(&session),
            Verb::Delete if is_success => self.close(&session, false),
            _ => {}
        }
    }

    /// A GET opened a stream. Calls whose stream it resumes are due on it now, and those that are due to the session if they
    /// wait for no other.
    fn listen(&mut self, at: usize) {
        let exchange = &self.exchanges[&at];
        let (session, asked) = (exchange.named.session.clone(), exchange.asked.clone());
        if let Some(session) = &session {
            self.listening.push((session.clone(), at));
            self.due_to_session(session, at);
        }
        let Some(event) = asked.last_event else { return };
        let way = Way { session: session.clone(), path: asked.path, address: asked.address };
        let owes = |stream: &Stream| stream.calls.iter().any(|call| self.calls[*call].is_open());
        let stream = resumed(&self.streams, &way, &event, owes);
        if let Some(exchange) = self.exchanges.get_mut(&at) {
            exchange.stream = stream;
        }
        let back: Vec<_> = match (stream, &session) {
            (Some(stream), _) => {
                self.streams[stream].carrier = Some(at);
                self.streams[stream].calls.clone()
            }
            // Nobody remembers that event: it may be that of any stream of the session.
            (None, Some(session)) => (0..self.calls.len()).filter(|call| self.calls[*call].owner == *session).collect(),
            (None, None) => Vec::new(),
        };
        self.client_is_back(&back, at);
    }

    /// These calls are due on that exchange's stream, if they wait for their client.
    pub(crate) fn client_is_back(&mut self, calls: &[CallNumber], at: usize) {
        for call in calls {
            if matches!(self.calls[*call].progress, Progress::Left(_)) {
                self.calls[*call].progress = Progress::Due(at, self.now_ms);
            }
        }
    }

    /// Calls that were accepted are due on whichever stream their session listens on.
    pub(crate) fn due_to_session(&mut self, session: &str, at: usize) {
        let due: Vec<_> = (0..self.calls.len())
            .filter(|call| self.calls[*call].owner == *session && self.calls[*call].is_due_to_session)
            .collect();
        self.client_is_back(&due, at);
    }

    pub(crate) fn reply(&mut self, at: usize, bytes: &[u8]) {
        let Some(exchange) = self.exchanges.get_mut(&at) else { return };
        exchange.active_ms = self.now_ms;
        let Some(answered) = &exchange.answered else { return };
        if answered.is_stream {
            for said in exchange.events.read(bytes) {
                self.said(at, said);
            }
        } else if exchange.asked.verb == Verb::Post {
            for message in exchange.documents.read(bytes) {
                self.message(at, &message);
            }
        }
    }

    fn said(&mut self, at: usize, said: Said) {
        let Some(exchange) = self.exchanges.get_mut(&at) else { return };
        match said {
            Said::Message(message) => self.message(at, &message),
            Said::Retry(retry_ms) => exchange.retry_ms = retry_ms,
            Said::EventId(event) => {
                if exchange.stream.is_none() {
                    let asked = &exchange.asked;
                    let way = Way {
                        session: exchange.named.session.clone(),
                        path: asked.path.clone(),
                        address: asked.address,
                    };
                    let calls = exchange.calls.clone();
                    exchange.stream = Some(self.streams.len());
                    self.streams.push(Stream { way, calls, events: Vec::new(), cut: None, carrier: None });
                }
                if let Some(stream) = exchange.stream {
                    self.streams[stream].events.push(event);
                }
            }
            Said::Endpoint(address) if exchange.asked.verb == Verb::Get && exchange.stream_session.is_none() => {
                self.made_up += 1;
                let client = exchange.asked.address;
                let session = self.membership.announce_address(&address, client, self.made_up);
                exchange.stream_session = Some(session.clone());
                self.listening.push((session, at));
            }
            Said::Endpoint(_) => {}
        }
    }

    fn message(&mut self, at: usize, message: &Value) {
        if message.get("method").is_some() || (message.get("result").is_none() && message.get("error").is_none()) {
            return;
        }
        let id = Id::of(&message["id"]);
        let is_error = message.get("result").is_none();
        let exchange = &self.exchanges[&at];
        let answered = exchange.answered.clone();
        let (status, is_stream) = answered.map_or((0, false), |head| (head.status, head.is_stream));
        let is_post = exchange.asked.verb == Verb::Post;
        let resumes = exchange.asked.last_event.is_some() && !is_post;
        let stands_for = match exchange.stream {
            Some(stream) if resumes => self.streams[stream].calls.clone(),
            _ => exchange.calls.clone(),
        };
        let stands_for = if resumes && self.plants(Planted::ReplayForAnybody) { Vec::new() } else { stands_for };
        let has_request = !exchange.calls.is_empty();
        let code = message["error"]["code"].as_i64();
        let words = message["error"]["message"].as_str().unwrap_or_default().to_ascii_lowercase();
        let is_about_session = code == Some(-32001) || words.contains("session");
        let speaks_of_else = code == Some(-32601) || (has_request && !is_about_session);
        if speaks_of_else
            && !self.plants(Planted::AnswerClosesSession)
            && let Some(exchange) = self.exchanges.get_mut(&at)
        {
            exchange.speaks_of_else = true;
        }
        let is_refused = (400..600).contains(&status);
        let whose = id.as_ref().map_or(Whose::Other, |id| self.whose(&stands_for, id));
        let is_own = !matches!(whose, Whose::Other);
        let call = match whose {
            Whose::Call(call) => Some(call),
            Whose::Over if self.plants(Planted::AnswerOfAnother) => self.elsewhere(at, id.as_ref(), resumes),
            Whose::Over => None,
            Whose::Other if is_refused => None,
            Whose::Other => self.elsewhere(at, id.as_ref(), resumes),
        };
        if let Some(call) = call {
            return self.answer(call, message, at, self.now_ms);
        }
        if is_post && !is_own && is_error && (id.is_none() || is_refused || !is_stream) {
            if self.plants(Planted::ErrorForAll) {
                for call in stands_for.into_iter().filter(|call| self.calls[*call].is_open()).collect::<Vec<_>>() {
                    self.answer(call, message, at, self.now_ms);
                }
            }
            let now_ms = self.now_ms;
            if let Some(exchange) = self.exchanges.get_mut(&at) {
                exchange.refusal.get_or_insert((message.clone(), now_ms));
            }
        }
    }

    /// Whose an answer is among these: the very id before the same number in another form; the first that is open, else the
    /// first that was taken back.
    fn whose(&self, calls: &[CallNumber], id: &Id) -> Whose {
        for is_exact in [true, false] {
            let is_it = |call: &&CallNumber| {
                let own = &self.calls[**call].id;
                if is_exact { own == id } else { own.is_same_number(id) }
            };
            let fitting: Vec<_> = calls.iter().filter(is_it).copied().collect();
            if fitting.is_empty() {
                continue;
            }
            let is_open = |call: &&CallNumber| self.calls[**call].is_open();
            let is_taken_back = |call: &&CallNumber| matches!(self.calls[**call].progress, Progress::TakenBack(..));
            let found = fitting.iter().find(is_open).or_else(|| fitting.iter().find(is_taken_back));
            return found.map_or(Whose::Over, |call| Whose::Call(*call));
        }
        Whose::Other
    }

    /// The call of the session with that id: one that is open before one that was taken back, the very id before the same
    /// number; of several the oldest that was left, else the newest.
    fn elsewhere(&self, at: usize, id: Option<&Id>, resumes: bool) -> Option<CallNumber> {
        let (id, exchange) = (id?, &self.exchanges[&at]);
        let session = exchange.named.session.clone().or_else(|| exchange.stream_session.clone())?;
        let cut_ms = exchange.stream.and_then(|stream| self.streams[stream].cut).map(|cut| cut.0);
        let has_open_stream = |call: CallNumber| {
            let call = &self.calls[call];
            let head = self.exchanges.get(&call.exchange).and_then(|exchange| exchange.answered.as_ref());
            call.progress == Progress::Waiting && head.is_some_and(|head| head.is_stream && head.status < 300)
        };
        let may_be_meant = |call: CallNumber| {
            let came_before = cut_ms.is_some_and(|cut_ms| self.calls[call].at_ms <= cut_ms);
            !resumes || !has_open_stream(call) || came_before || self.plants(Planted::ReplayForAnybody)
        };
        for is_open in [true, false] {
            for is_exact in [true, false] {
                let is_it = |call: &CallNumber| {
                    let own = &self.calls[*call];
                    let is_same = if is_exact { own.id == *id } else { own.id != *id && own.id.is_same_number(id) };
                    let is_waiting =
                        if is_open { own.is_open() } else { matches!(own.progress, Progress::TakenBack(..)) };
                    own.owner == session && is_same && is_waiting && may_be_meant(*call)
                };
                let fitting: Vec<_> = (0..self.calls.len()).filter(is_it).collect();
                let left = fitting.iter().find(|call| self.calls[**call].is_left());
                if let Some(found) = left.or(fitting.last()) {
                    return Some(*found);
                }
            }
        }
        None
    }

    /// A session is over, and so are its calls that wait for their client, or on a stream.
    pub(crate) fn close(&mut self, session: &str, is_on_record: bool) {
        self.membership.close(session, is_on_record, &mut self.judgement.recorded);
        for call in 0..self.calls.len() {
            if self.calls[call].owner != session {
                continue;
            }
            match self.calls[call].progress.clone() {
                Progress::Left(left) => self.fail(call, &left.failure, left.at_ms),
                Progress::Due(..) => self.fail(call, &Failure::of("no_response"), self.now_ms),
                Progress::TakenBack(since_ms, _) => self.fail(call, &Failure::of("cancelled"), since_ms),
                Progress::Waiting | Progress::Over => {}
            }
        }
    }
}
