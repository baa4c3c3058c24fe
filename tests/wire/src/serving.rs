//! How exchanges go on: what servers answer, on which stream, and where it is cut.
//!
//! Pure but for the dice.

use crate::peer::{Peer, Phase};
use crate::scale::EXCHANGES_PER_SCRIPT;
use crate::server::{answer, aside, error, event, nobody_s_error};
use crate::step::{Answered, Ending, Step, Verb};
use serde_json::Value;

impl Peer {
    pub(crate) fn advance(&mut self, at: usize) {
        let phase = self.threads[at].phase;
        match phase {
            Phase::Sending if self.one_in(40) => {
                let exchange = self.threads[at].exchange;
                self.steps.push(Step::Sent(exchange, false));
                self.end(at, Ending::ClientGone);
            }
            Phase::Sending if self.rng.bool() => self.send_all(at),
            Phase::Sending => {
                let length = self.rng.usize(..=self.threads[at].sending.len());
                let piece = self.threads[at].sending.drain(..length).collect();
                self.steps.push(Step::Send(self.threads[at].exchange, piece));
            }
            Phase::Waiting => self.answer_head(at),
            Phase::Answering if !self.threads[at].pending.is_empty() => self.reply(at),
            Phase::Answering => self.say_more(at),
        }
    }

    pub(crate) fn send_all(&mut self, at: usize) {
        let thread = &mut self.threads[at];
        self.steps.push(Step::Send(thread.exchange, std::mem::take(&mut thread.sending)));
        self.steps.push(Step::Sent(thread.exchange, true));
        thread.phase = Phase::Waiting;
    }

    fn reply(&mut self, at: usize) {
        let length = self.threads[at].pending.len();
        let length = if self.rng.u8(..3) > 0 { length } else { self.rng.usize(1..=length) };
        let thread = &mut self.threads[at];
        let piece = thread.pending.drain(..length).collect();
        self.steps.push(Step::Reply(thread.exchange, piece));
        if self.one_in(60) {
            self.cut(at);
        }
    }

    fn cut(&mut self, at: usize) {
        let ending = *self
            .rng
            .choice(&[Ending::Broken, Ending::Broken, Ending::ClientGone, Ending::Silent])
            .unwrap_or(&Ending::Broken);
        let is_silent = self.is_real && ending == Ending::Silent;
        self.end(at, if is_silent { Ending::Broken } else { ending });
    }

    pub(crate) fn end(&mut self, at: usize, ending: Ending) {
        let thread = self.threads.remove(at);
        if thread.phase == Phase::Sending && !thread.sending.is_empty() {
            self.steps.push(Step::Sent(thread.exchange, false));
        }
        self.steps.push(Step::End(thread.exchange, ending));
        let client = &mut self.clients[thread.client];
        if thread.is_first_transport {
            client.posts_to = None;
            client.has_greeted = false;
        }
        client.last_events.extend(thread.last_event);
    }

    fn answer_head(&mut self, at: usize) {
        if self.one_in(25) {
            return self.cut(at);
        }
        let (verb, has_asks) = (self.threads[at].verb, !self.threads[at].asks.is_empty());
        let is_first = self.clients[self.threads[at].client].posts_to.is_some();
        let (status, is_stream) = match verb {
            Verb::Delete => (*self.rng.choice(&[200, 204, 405, 404]).unwrap_or(&200), false),
            Verb::Get if self.one_in(6) => (405, false),
            Verb::Get => (200, true),
            Verb::Post if is_first && !self.one_in(12) => (202, false),
            Verb::Post if !has_asks => (*self.rng.choice(&[202, 202, 202, 202, 204, 400, 404]).unwrap_or(&202), false),
            Verb::Post => match self.rng.u8(..20) {
                0..8 => (200, true),
                8..14 => (200, false),
                14..16 => (202, false),
                16 => (404, false),
                17 => (400, false),
                18 => (500, false),
                _ => (200, true),
            },
        };
        // A response that has no body can't be cut: over sockets it is over with its head.
        let status = if self.is_real && status == 204 { 202 } else { status };
        let session = self.session_of_head(at, status);
        let exchange = self.threads[at].exchange;
        self.steps.push(Step::Answer(exchange, Answered { status, session, is_stream }));
        if self.one_in(25) {
            return self.cut(at);
        }
        self.threads[at].is_stream = is_stream;
        self.threads[at].has_ids = is_stream && self.rng.bool();
        self.threads[at].phase = Phase::Answering;
        if is_stream {
            if self.threads[at].has_ids && self.one_in(3) {
                self.threads[at].pending = format!("retry: {}\n", self.rng.u32(100..20_000)).into_bytes();
            }
        } else {
            self.threads[at].pending = self.json_body(at, status).into_bytes();
        }
    }

    /// The session that the head of a response names, and what becomes of a handshake.
    fn session_of_head(&mut self, at: usize, status: u16) -> Option<String> {
        let (client, is_greeting) = {
            let thread = &self.threads[at];
            (thread.client, thread.asks.iter().any(|ask| ask.method == "initialize"))
        };
        if !is_greeting {
            if self.threads[at].verb == Verb::Delete && status < 300 && self.rng.bool() {
                self.clients[client].session = None;
            }
            // Servers set it on whatever they answer, the right one or another.
            return match self.rng.u8(..12) {
                0 => self.clients[client].session.clone(),
                1 => Some(format!("stray-{}", self.rng.u8(..3))),
                _ => None,
            };
        }
        let is_agreed = !self.one_in(5);
        self.threads[at].handshake = if is_agreed { Ok(self.clients[client].revision) } else { Err(()) };
        let has_sessions = !self.one_in(3) && self.clients[client].posts_to.is_none();
        if has_sessions && !is_agreed {
            return Some("session-of-a-refusal".to_owned());
        }
        if has_sessions && status == 200 {
            self.next_session += 1;
            let session = format!("session-{}", self.next_session);
            self.clients[client].session = Some(session.clone());
            return Some(session);
        }
        None
    }

    fn json_body(&mut self, at: usize, status: u16) -> String {
        let (asks, handshake) = (self.threads[at].asks.clone(), self.threads[at].handshake);
        if status >= 400 {
            return match (self.rng.u8(..5), asks.first()) {
                (0, _) => String::new(),
                (1, _) => "<p>no</p>".to_owned(),
                (2, Some(ask)) => error(&ask.id, -32601, "Method not found").to_string(),
                (3, Some(ask)) => error(&ask.id, -32602, "unknown resource").to_string(),
                (2, None) => error(&Value::Null, -32001, "Session not found").to_string(),
                _ => nobody_s_error(&mut self.rng).to_string(),
            };
        }
        if matches!(status, 202 | 204) || asks.is_empty() {
            return String::new();
        }
        let mut answers = Vec::new();
        for ask in &asks {
            if !self.one_in(10) {
                answers.push(answer(&mut self.rng, ask, handshake, &mut self.tasks));
            }
        }
        if self.one_in(8) {
            let client = self.threads[at].client;
            if let Some(other) = self.any_asked(client).filter(|ask| ask.method != "initialize") {
                answers.push(answer(&mut self.rng, &other, handshake, &mut self.tasks));
            }
        }
        if self.one_in(10) {
            answers.push(nobody_s_error(&mut self.rng));
        }
        self.rng.shuffle(&mut answers);
        match (asks.len(), answers.len()) {
            (1, 1) => answers[0].to_string(),
            _ if self.one_in(3) => answers.iter().map(|answer| format!("{answer}\n")).collect(),
            _ => Value::Array(answers).to_string(),
        }
    }

    fn say_more(&mut self, at: usize) {
        let is_draining = self.begun >= usize::try_from(EXCHANGES_PER_SCRIPT).unwrap_or(usize::MAX);
        let (is_stream, verb) = (self.threads[at].is_stream, self.threads[at].verb);
        let is_listening = verb == Verb::Get;
        let is_over = match (is_stream, is_draining, is_listening) {
            (false, ..) | (true, true, _) => self.one_in(3),
            (true, false, true) => self.one_in(30),
            (true, false, false) => self.one_in(6),
        };
        if !is_stream || is_over {
            // A server may end its streams on purpose, for the client to come back.
            let gone = self.one_in(10);
            return self.end(at, if gone { Ending::ClientGone } else { Ending::Complete });
        }
        if self.one_in(20) {
            return self.cut(at);
        }
        let message = self.message(at);
        let id = self.threads[at].has_ids.then(|| {
            self.next_event += 1;
            format!("event-{}", self.next_event)
        });
        let event = event(&mut self.rng, id.as_deref(), None, &message.to_string());
        let thread = &mut self.threads[at];
        thread.last_event = id.or(thread.last_event.take());
        thread.pending = event.into_bytes();
    }

    /// What a server says on a stream.
    fn message(&mut self, at: usize) -> Value {
        let (asks, handshake, client) =
            (self.threads[at].asks.clone(), self.threads[at].handshake, self.threads[at].client);
        let own = (!asks.is_empty()).then(|| asks[self.rng.usize(..asks.len())].clone());
        match (self.rng.u8(..20), own) {
            (0..9, Some(ask)) => answer(&mut self.rng, &ask, handshake, &mut self.tasks),
            (0..12, None) | (9..12, Some(_)) => match self.any_asked(client) {
                Some(ask) => {
                    let handshake = Ok(self.clients[client].revision);
                    answer(&mut self.rng, &ask, handshake, &mut self.tasks)
                }
                None => aside(&mut self.rng),
            },
            (12, _) => nobody_s_error(&mut self.rng),
            _ => aside(&mut self.rng),
        }
    }
}
