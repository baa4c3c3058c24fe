//! What clients do: they greet, ask, take back, give up, listen, resume, and end.
//!
//! Pure but for the dice.

use crate::peer::{Client, Peer, Phase, Thread};
use crate::server::{Ask, event};
use crate::step::{Answered, Asked, Ending, Step, Verb};
use serde_json::{Value, json};

const CLIENTS_MAX: usize = 4;
const AGENTS: [&str; 2] = ["node", "python"];
/// The revisions of the session era.
const REVISIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
const MODERN: &str = "2026-07-28";

impl Peer {
    pub(crate) fn begin(&mut self) {
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
}

/// What a client of 2026-07-28 says in each message.
fn meta(name: &str) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": name, "version": "1"},
    })
}
