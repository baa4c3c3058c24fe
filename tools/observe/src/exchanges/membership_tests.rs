//! Which session a call belongs to, which answers begin one, and whose client it gets.

use super::{Exchange, RequestHead, RequestReader, ResponseHead, ResponseReader, Verb};
use crate::calls::End;
use crate::read::Codings;
use crate::testing::{SeenSession, Surrounded, request_head};
use std::time::Duration;

const INITIALIZED: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18"}}"#;
const REFUSED: &str = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"no"}}"#;
const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const PONG: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;

/// A request and its answer, with what their heads say.
#[derive(Clone, Copy, Debug)]
struct Said<'a> {
    session: Option<&'a str>,
    body: &'a str,
    status: u16,
    new_session: Option<&'a str>,
    answer: &'a str,
}

const FINE: Said<'_> = Said { session: None, body: PING, status: 200, new_session: None, answer: PONG };

fn initialize(client: &str) -> String {
    let info = format!(r#"{{"name":"{client}","version":"1"}}"#);
    let params = format!(r#"{{"protocolVersion":"2025-11-25","clientInfo":{info}}}"#);
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{params}}}"#)
}

impl Surrounded {
    fn said(&self, said: Said<'_>) {
        let head = request_head(Verb::Post, "/mcp", said.session);
        let exchange = self.begin_said(&head, said.body);
        self.answer_said(&exchange, said);
    }

    /// An exchange whose request was read.
    fn begin_said(&self, head: &RequestHead<'_>, body: &str) -> Exchange {
        let exchange = Exchange::begin(&self.observer, self.observer.arrival(None, 1), head, Duration::from_secs(60));
        let mut reader = RequestReader::new(Codings::IDENTITY, &exchange);
        reader.push(body.as_bytes(), &exchange);
        reader.finish(true, &exchange);
        exchange
    }

    fn answer_said(&self, exchange: &Exchange, said: Said<'_>) {
        let head = ResponseHead {
            status: said.status,
            session: said.new_session,
            content_type: Some("application/json"),
            codings: Codings::IDENTITY,
            cause: None,
        };
        exchange.on_response_head(&head);
        if let Some(mut reader) = ResponseReader::new(&head, exchange) {
            reader.push(said.answer.as_bytes(), exchange);
        }
        exchange.end(End::Complete);
    }

    /// Which session each call belongs to, in order.
    fn belong_to(&self) -> Vec<Option<String>> {
        self.seen().into_iter().map(|seen| seen.session).collect()
    }
}

fn session(id: &str, client: &str) -> SeenSession {
    let (id, client) = (id.to_owned(), Some(client.to_owned()));
    SeenSession { id, client, protocol_version: Some("2025-06-18".to_owned()), derived: false }
}

#[test]
fn an_id_on_an_answer_begins_a_session_only_if_that_is_of_a_handshake_that_succeeded() {
    let hello = initialize("c");
    let answers = [(200, INITIALIZED, true), (200, REFUSED, false), (400, REFUSED, false), (500, "", false)];
    for (body, is_handshake) in [(hello.as_str(), true), (PING, false)] {
        for (status, answer, succeeds) in answers {
            for (named, dead) in [(None, None), (Some("dead"), Some("dead".to_owned()))] {
                let surrounded = Surrounded::new();
                surrounded.said(Said { session: named, body, status, new_session: Some("new"), answer });
                let begins = is_handshake && succeeds;
                let expected = if begins { vec![session("new", "c")] } else { vec![] };
                assert_eq!(surrounded.sessions(), expected, "{body} {status} {answer} {named:?}");
                let belongs_to = if begins { Some("new".to_owned()) } else { dead };
                assert_eq!(surrounded.belong_to(), [belongs_to], "{body} {status} {answer} {named:?}");
            }
        }
    }
}

#[test]
fn a_handshake_in_a_dead_session_gives_its_client_to_the_new_one() {
    let surrounded = Surrounded::new();
    let (first, second) = (initialize("old"), initialize("new"));
    let begun = |body, session, new_session| Said {
        session,
        body,
        new_session: Some(new_session),
        answer: INITIALIZED,
        ..FINE
    };
    surrounded.said(begun(&first, None, "dead"));
    surrounded.said(Said { session: Some("dead"), status: 404, answer: "", ..FINE });
    surrounded.said(begun(&second, Some("dead"), "alive"));
    surrounded.said(Said { session: Some("alive"), ..FINE });
    assert_eq!(surrounded.sessions(), [session("dead", "old"), session("alive", "new")]);
    let belong_to = surrounded.belong_to();
    let belong_to: Vec<_> = belong_to.iter().map(Option::as_deref).collect();
    assert_eq!(belong_to, [Some("dead"), Some("dead"), Some("alive"), Some("alive")]);
    // The dead one was not taken for alive by the answer that named another.
    surrounded.said(Said { session: Some("dead"), status: 404, answer: "", body: NOTE, ..FINE });
    assert_eq!(surrounded.closes().len(), 1);
}

const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

#[test]
fn a_handshake_that_is_repeated_within_its_session_stays_there() {
    let surrounded = Surrounded::new();
    let hello = initialize("c");
    for new_session in [None, Some("s")] {
        surrounded.said(Said { session: Some("s"), body: &hello, new_session, answer: INITIALIZED, ..FINE });
    }
    assert_eq!(surrounded.belong_to(), [Some("s".to_owned()), Some("s".to_owned())]);
}
