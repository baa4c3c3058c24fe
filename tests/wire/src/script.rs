//! A script: clients of all revisions and their servers, whose exchanges cross each other; from a seed.
//!
//! What a client or a server does next is left to the dice, right or wrong, as long as it is something that passes a proxy.
//! Nobody here knows what rows there must be.

use crate::scale::EXCHANGES_PER_SCRIPT;
use crate::server::{Ask, Handshake, answer, aside, error, event, nobody_s_error};
use crate::step::{Answered, Asked, Ending, Step, Verb};
use fastrand::Rng;
use serde_json::{Value, json};

/// Long enough for whatever waits.
const IN_THE_END_MS: u64 = 400_000;
/// How many exchanges go on at once.
const THREADS_MAX: usize = 6;
const CLIENTS_MAX: usize = 4;
const AGENTS: [&str; 2] = ["node", "python"];
/// The revisions of the session era.
const REVISIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
const MODERN: &str = "2026-07-28";

/// A script.
pub struct Script {
    /// From which it follows.
    pub seed: u64,
    /// What passes.
    pub steps: Vec<Step>,
    /// How many exchanges it has.
    pub exchanges: usize,
}

impl Script {
    /// The script of that seed.
    pub fn of(seed: u64) -> Self {
        Self::play(seed, false)
    }

    /// One that can be played over sockets: nobody waits for seconds, and each exchange has a connection of its own.
    pub fn for_sockets(seed: u64) -> Self {
        Self::play(seed, true)
    }

    fn play(seed: u64, is_real: bool) -> Self {
        let mut peer = Peer { rng: Rng::with_seed(seed), is_real, ..Peer::default() };
        peer.play();
        Self { seed, steps: peer.steps, exchanges: peer.begun }
    }
}

#[derive(Clone, Debug)]
struct Client {
    name: String,
    revision: &'static str,
    address: u128,
    connection: u64,
    agent: &'static str,
    path: &'static str,
    session: Option<String>,
    /// A handshake was sent.
    has_greeted: bool,
    /// Where its stream of 2024-11-05 wants messages.
    posts_to: Option<(String, Option<String>)>,
    next_id: u32,
    /// What it asked.
    asked: Vec<Ask>,
    /// The last events of streams that were cut.
    last_events: Vec<String>,
}

/// An exchange that goes on.
#[derive(Debug)]
struct Thread {
    exchange: usize,
    client: usize,
    verb: Verb,
    /// What is to be sent.
    sending: Vec<u8>,
    asks: Vec<Ask>,
    phase: Phase,
    /// What the server has said, and is not sent yet.
    pending: Vec<u8>,
    is_stream: bool,
    has_ids: bool,
    last_event: Option<String>,
    handshake: Handshake,
    is_first_transport: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Sending,
    Waiting,
    Answering,
}

#[derive(Default)]
struct Peer {
    rng: Rng,
    /// It is to be played over sockets.
    is_real: bool,
    steps: Vec<Step>,
    clients: Vec<Client>,
    threads: Vec<Thread>,
    begun: usize,
    next_tool: u32,
    next_session: u32,
    next_event: u32,
    tasks: Vec<String>,
}

impl Peer {
    fn play(&mut self) {
        let count = usize::try_from(EXCHANGES_PER_SCRIPT).unwrap_or(usize::MAX);
        while self.begun < count || !self.threads.is_empty() {
            let has_room = self.begun < count && self.threads.len() < THREADS_MAX;
            if has_room && (self.threads.is_empty() || self.rng.u8(..10) < 3) {
                self.begin();
            } else {
                let at = self.rng.usize(..self.threads.len());
                self.advance(at);
            }
            if self.rng.u8(..20) < 3 {
                self.pass();
            }
        }
        self.steps.push(Step::Pass(IN_THE_END_MS));
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.rng.u32(..n) == 0
    }

    fn pass(&mut self) {
        let ms = match self.rng.u8(..100) {
            _ if self.is_real => 1,
            0..70 => self.rng.u64(1..40),
            70..90 => self.rng.u64(200..3_000),
            90..96 => self.rng.u64(9_000..12_000),
            _ => self.rng.u64(50_000..70_000),
        };
        self.steps.push(Step::Pass(ms));
    }

    // What clients do.

    fn begin(&mut self) {
        let is_new = self.clients.is_empty() || (self.clients.len() < CLIENTS_MAX && self.one_in(4));
        if is_new {
            self.appear();
        }
        let at = if is_new { self.clients.len() - 1 } else { self.rng.usize(..self.clients.len()) };
        let client = self.clients[at].clone();
        if client.revision == "2024-11-05" && client.posts_to.is_none() {
            return self.open_first_stream(at);
        }
        let is_modern = client.revision == MODERN;
        if !is_modern && !client.has_greeted && !self.one_in(5) {
            return self.greet(at);
        }
        match self.rng.u8(..30) {
            0..12 => self.ask(at),
            12..15 if client.revision == "2025-03-26" => self.ask_together(at),
            15..19 => self.take_back(at),
            19..22 => self.give_up(at),
            22..24 if !is_modern && client.posts_to.is_none() => self.listen(at, None),
            24..27 if !client.last_events.is_empty() => self.resume(at),
            27 if client.session.is_some() => self.end_session(at),
            28 if !is_modern => self.greet(at),
            29 => self.tell(at),
            _ => self.ask(at),
        }
    }

    fn appear(&mut self) {
        let number = self.clients.len();
        let is_modern = self.one_in(4);
        let revision = if is_modern { MODERN } else { REVISIONS[self.rng.usize(..REVISIONS.len())] };
        let path = if self.one_in(4) { "/other/mcp" } else { "/mcp" };
        self.clients.push(Client {
            // Two may be copies of one program.
            name: format!("client-{}", self.rng.usize(..=number)),
            revision,
            address: self.rng.u128(1..3),
            connection: 10 * (number as u64 + 1),
            agent: AGENTS[self.rng.usize(..AGENTS.len())],
            path,
            session: None,
            has_greeted: false,
            posts_to: None,
            next_id: 0,
            asked: Vec::new(),
            last_events: Vec::new(),
        });
    }

    fn greet(&mut self, at: usize) {
        let client = &self.clients[at];
        let info = json!({"name": client.name, "version": "1"});
        let params = json!({"protocolVersion": client.revision, "clientInfo": info, "capabilities": {}});
        // One that greets again begins anew, or does so in the session that it had.
        if self.clients[at].session.is_some() && self.rng.bool() {
            self.clients[at].session = None;
        }
        self.clients[at].has_greeted = true;
        let (ask, message) = self.request(at, "initialize", params);
        let message = self.text_of(&message);
        self.post(at, &message, vec![ask]);
    }

    fn ask(&mut self, at: usize) {
        let (ask, message) = self.any_request(at);
        let message = self.text_of(&message);
        self.post(at, &message, vec![ask]);
    }

    fn ask_together(&mut self, at: usize) {
        let (mut asks, mut messages) = (Vec::new(), Vec::new());
        for _ in 0..self.rng.usize(1..4) {
            let (ask, message) = self.any_request(at);
            asks.push(ask);
            messages.push(message);
        }
        if self.one_in(4) {
            messages.push(json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}));
        }
        self.post(at, &Value::Array(messages).to_string(), asks);
    }

    fn any_request(&mut self, at: usize) -> (Ask, Value) {
        let (is_modern, has_tasks) = self.speaks(at);
        match self.rng.u8(..12) {
            0 => self.request(at, "ping", json!({})),
            1 if is_modern => self.request(at, "server/discover", json!({})),
            2..4 if is_modern => self.request(at, "subscriptions/listen", json!({})),
            2..4 if has_tasks && !self.tasks.is_empty() => {
                let task = self.tasks[self.rng.usize(..self.tasks.len())].clone();
                self.request(at, "tasks/result", json!({"taskId": task}))
            }
            4 => {
                let uri = format!("file:///{}", self.next_tool);
                self.request(at, "resources/read", json!({"uri": uri}))
            }
            _ => {
                self.next_tool += 1;
                let name = format!("tool-{}", self.next_tool);
                self.request(at, "tools/call", json!({"name": name, "arguments": {"id": 1, "method": "x"}}))
            }
        }
    }

    /// The text of a message. The order of its members is the client's.
    fn text_of(&mut self, message: &Value) -> String {
        if self.rng.bool() {
            return message.to_string();
        }
        let (id, method, params) = (&message["id"], &message["method"], &message["params"]);
        format!(r#"{{"method": {method}, "params": {params}, "id": {id}, "jsonrpc": "2.0"}}"#)
    }

    fn speaks(&self, at: usize) -> (bool, bool) {
        let revision = self.clients[at].revision;
        (revision == MODERN, revision == "2025-11-25")
    }

    fn request(&mut self, at: usize, method: &'static str, mut params: Value) -> (Ask, Value) {
        let (is_modern, has_tasks) = self.speaks(at);
        let is_text = self.one_in(8);
        let client = &mut self.clients[at];
        // An id is used again now and then.
        if self.rng.u8(..5) > 0 || client.next_id == 0 {
            client.next_id += 1;
        } else {
            client.next_id = self.rng.u32(1..=client.next_id);
        }
        let id = if is_text { json!(format!("{}", client.next_id)) } else { json!(client.next_id) };
        if is_modern {
            params["_meta"] = meta(&client.name);
        }
        let ask = Ask { id: id.clone(), method, is_modern, has_tasks };
        client.asked.push(ask.clone());
        (ask, json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
    }

    fn take_back(&mut self, at: usize) {
        let Some(ask) = self.any_asked(at) else { return self.ask(at) };
        let message = self.cancellation(at, &ask);
        self.post(at, &message, vec![]);
    }

    fn any_asked(&mut self, at: usize) -> Option<Ask> {
        let asked = &self.clients[at].asked;
        let newest = asked.len().checked_sub(1)?;
        let back = self.rng.usize(..=newest.min(3));
        Some(asked[newest - back].clone())
    }

    fn cancellation(&self, at: usize, ask: &Ask) -> String {
        let mut params = json!({"requestId": ask.id, "reason": "enough"});
        if self.clients[at].revision == MODERN {
            params["_meta"] = meta(&self.clients[at].name);
        }
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}).to_string()
    }

    /// Closes a response, and takes the request back, in either order.
    fn give_up(&mut self, at: usize) {
        let is_it = |thread: &Thread| thread.client == at && !thread.asks.is_empty() && thread.phase != Phase::Sending;
        let Some(thread) = self.threads.iter().position(is_it) else { return self.ask(at) };
        let ask = self.threads[thread].asks[0].clone();
        let message = self.cancellation(at, &ask);
        let closes_first = self.rng.bool();
        if closes_first {
            self.end(thread, Ending::ClientGone);
        }
        self.post(at, &message, vec![]);
        if !closes_first {
            self.send_all(self.threads.len() - 1);
            self.end(thread, Ending::ClientGone);
        }
    }

    fn tell(&mut self, at: usize) {
        let message = match self.rng.bool() {
            true => json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
            // Its answer to a request of the server's, whose id it may use as well.
            false => json!({"jsonrpc": "2.0", "id": self.rng.u8(1..5), "result": {}}),
        };
        self.post(at, &message.to_string(), vec![]);
    }

    fn listen(&mut self, at: usize, last_event: Option<String>) {
        let asked = Asked { verb: Verb::Get, last_event, ..self.head(at) };
        self.open(at, asked, b"", vec![]);
    }

    fn resume(&mut self, at: usize) {
        let events = &mut self.clients[at].last_events;
        let event = match self.rng.u8(..10) {
            0 => "event-nobody-had".to_owned(),
            1..4 => events[self.rng.usize(..events.len())].clone(),
            _ => events.pop().unwrap_or_default(),
        };
        self.listen(at, Some(event));
    }

    fn end_session(&mut self, at: usize) {
        let asked = Asked { verb: Verb::Delete, ..self.head(at) };
        self.open(at, asked, b"", vec![]);
    }

    fn open_first_stream(&mut self, at: usize) {
        let asked = Asked { verb: Verb::Get, path: "/sse".to_owned(), version: None, ..self.head(at) };
        let thread = self.open(at, asked, b"", vec![]);
        self.threads[thread].is_first_transport = true;
        self.threads[thread].is_stream = true;
        self.threads[thread].phase = Phase::Answering;
        let exchange = self.threads[thread].exchange;
        self.steps.push(Step::Answer(exchange, Answered { status: 200, session: None, is_stream: true }));
        self.next_session += 1;
        let name = format!("first-{}", self.next_session);
        let (path, query) = match self.rng.u8(..5) {
            0 => (format!("/messages/{name}"), None),
            1 => ("/message".to_owned(), Some(format!("clientId={name}"))),
            2 => ("/messages".to_owned(), None),
            3 => ("/messages/".to_owned(), Some(format!("session_id={name}"))),
            _ => ("/message".to_owned(), Some(format!("sessionId={name}"))),
        };
        let address = query.as_ref().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        let event = event(&mut self.rng, None, Some("endpoint"), &address);
        self.threads[thread].pending = event.into_bytes();
        self.clients[at].posts_to = Some((path, query));
    }

    fn head(&mut self, at: usize) -> Asked {
        let connection = u64::from(self.rng.u8(..3));
        let client = &self.clients[at];
        let is_modern = client.revision == MODERN;
        let (path, query) = client.posts_to.clone().unwrap_or_else(|| (client.path.to_owned(), None));
        Asked {
            verb: Verb::Post,
            path,
            query,
            session: client.session.clone(),
            version: (is_modern || (client.has_greeted && client.revision > "2025-04")).then_some(client.revision),
            method: None,
            last_event: None,
            agent: client.agent,
            address: client.address,
            connection: client.connection + connection,
        }
    }

    fn post(&mut self, at: usize, body: &str, asks: Vec<Ask>) {
        let mut asked = self.head(at);
        if self.clients[at].revision == MODERN {
            // The head says what the message is, in full or not at all.
            let method = asks.first().map_or("notifications/cancelled", |ask| ask.method);
            asked.method = self.rng.bool().then(|| method.to_owned());
        }
        self.open(at, asked, body.as_bytes(), asks);
    }

    fn open(&mut self, at: usize, mut asked: Asked, body: &[u8], asks: Vec<Ask>) -> usize {
        if self.is_real {
            asked.connection = self.begun as u64;
        }
        // No two come at one time: rows are told apart by when their requests came.
        self.steps.push(Step::Pass(1));
        let (exchange, verb) = (self.begun, asked.verb);
        self.begun += 1;
        self.steps.push(Step::Open(exchange, asked));
        let phase = if verb == Verb::Post { Phase::Sending } else { Phase::Waiting };
        if phase == Phase::Waiting {
            self.steps.push(Step::Sent(exchange, true));
        }
        self.threads.push(Thread {
            exchange,
            client: at,
            verb,
            sending: body.to_vec(),
            asks,
            phase,
            pending: Vec::new(),
            is_stream: false,
            has_ids: false,
            last_event: None,
            handshake: Err(()),
            is_first_transport: false,
        });
        self.threads.len() - 1
    }

    // How exchanges go on.

    fn advance(&mut self, at: usize) {
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

    fn send_all(&mut self, at: usize) {
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

    fn end(&mut self, at: usize, ending: Ending) {
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

/// What a client of 2026-07-28 says in each message.
fn meta(name: &str) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": name, "version": "1"},
    })
}
