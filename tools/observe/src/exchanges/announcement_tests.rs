//! Sessions that begin while nothing is recorded get their client as soon as something is.

use super::{Exchange, RequestReader, ResponseHead, ResponseReader, Verb};
use crate::calls::End;
use crate::observer::{Observer, Surroundings};
use crate::read::Codings;
use crate::testing::request_head;
use crate::{Counts, SchemaQueue, SchemaResult, Sink, SystemClock};
use mcplog::Event;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Takes events or refuses them, as it is told, and remembers what was said of sessions.
#[derive(Default)]
struct Fickle {
    takes: AtomicBool,
    /// How often somebody tried to announce a session.
    tries: AtomicUsize,
    sessions: Mutex<Vec<String>>,
}

impl Sink for Fickle {
    fn record(&self, event: Event<'_>) -> bool {
        let takes = self.takes.load(Ordering::Relaxed);
        let said = match event {
            Event::Session(session) => {
                self.tries.fetch_add(1, Ordering::Relaxed);
                assert!(session.started_at > 1_600_000_000_000);
                format!("{} {:?} {}", session.session_id, session.client_name, session.derived)
            }
            Event::SessionClosed(closed) => format!("{} closed", closed.session_id),
            _ => return takes,
        };
        if takes {
            self.sessions.lock().push(said);
        }
        takes
    }
}

impl SchemaQueue for Fickle {
    fn offer(&self, _: SchemaResult) {}
}

struct Surrounded {
    observer: Arc<Observer>,
    sink: Arc<Fickle>,
}

impl Surrounded {
    fn new() -> Self {
        let sink = Arc::new(Fickle::default());
        let observer = Observer::new(Surroundings {
            proxy: "p".into(),
            sink: sink.clone(),
            schema: sink.clone(),
            counts: Arc::new(Counts::default()),
            clock: Arc::new(SystemClock),
            session_idle_ms: 0,
        });
        Self { observer, sink }
    }

    fn takes(&self, takes: bool) {
        self.sink.takes.store(takes, Ordering::Relaxed);
    }

    /// A request that gets a result; `new_session` is the one that the response names.
    fn ask(&self, verb: Verb, session: Option<&str>, new_session: Option<&str>, request: &str) {
        let head = request_head(verb, "/mcp", session);
        let arrival = self.observer.arrival(Some(1), 1);
        let exchange = Exchange::begin(&self.observer, arrival, &head, Duration::from_secs(60));
        let mut reader = RequestReader::new(Codings::IDENTITY, &exchange);
        reader.push(request.as_bytes(), &exchange);
        reader.finish(true, &exchange);
        let head = ResponseHead {
            status: 200,
            session: new_session,
            content_type: Some("application/json"),
            codings: Codings::IDENTITY,
            cause: None,
        };
        exchange.on_response_head(&head);
        if let Some(mut reader) = ResponseReader::new(&head, &exchange) {
            reader.push(br#"{"id":1,"result":{"protocolVersion":"2025-06-18"}}"#, &exchange);
        }
        exchange.end(End::Complete);
    }

    fn sessions(&self) -> Vec<String> {
        self.sink.sessions.lock().clone()
    }
}

const HANDSHAKE: &str = r#"{"id":1,"method":"initialize","params":{"clientInfo":{"name":"c","version":"1"}}}"#;
const PING: &str = r#"{"id":1,"method":"ping"}"#;
const SESSIONLESS: &str = r#"{"id":1,"method":"ping","params":{"_meta":{"io.modelcontextprotocol/clientInfo":{"name":"d","version":"1"},"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;

#[test]
fn a_session_that_was_announced_to_nobody_is_announced_with_its_next_call_once() {
    let surrounded = Surrounded::new();
    surrounded.ask(Verb::Post, None, Some("s"), HANDSHAKE);
    surrounded.ask(Verb::Post, Some("s"), None, PING);
    assert_eq!(surrounded.sink.tries.load(Ordering::Relaxed), 1, "nobody is told of what nobody takes");
    surrounded.takes(true);
    surrounded.ask(Verb::Post, Some("s"), None, PING);
    surrounded.ask(Verb::Post, Some("s"), None, PING);
    assert_eq!(surrounded.sessions(), [r#"s Some("c") false"#]);
}

#[test]
fn a_session_that_was_made_up_when_nobody_listened_is_announced_too() {
    let surrounded = Surrounded::new();
    surrounded.ask(Verb::Post, None, None, SESSIONLESS);
    surrounded.takes(true);
    surrounded.ask(Verb::Post, None, None, SESSIONLESS);
    surrounded.ask(Verb::Post, None, None, SESSIONLESS);
    let sessions = surrounded.sessions();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert!(sessions[0].starts_with("derived-") && sessions[0].ends_with(r#"Some("d") true"#), "{sessions:?}");
}

#[test]
fn the_end_of_a_session_says_first_whose_it_was() {
    let surrounded = Surrounded::new();
    surrounded.ask(Verb::Post, None, Some("s"), HANDSHAKE);
    surrounded.takes(true);
    surrounded.ask(Verb::Delete, Some("s"), None, "");
    assert_eq!(surrounded.sessions(), [r#"s Some("c") false"#, "s closed"]);
}
