//! An answer meets the request that its client takes it for, and the row says if their ids are not the same.

use super::{Exchange, RequestReader, ResponseHead, ResponseReader, Verb};
use crate::calls::End;
use crate::read::Codings;
use crate::testing::{Seen, Surrounded, request_head};
use mcplog::Status;
use mcplog::event::{Note, Notes};
use std::time::Duration;

const LENIENT: Notes = Notes::NONE.with(Note::LenientId);

impl Surrounded {
    fn begin(&self, session: Option<&str>, body: &str) -> Exchange {
        let verb = if body.is_empty() { Verb::Other } else { Verb::Post };
        let head = request_head(verb, "/mcp", session);
        let exchange = Exchange::begin(&self.observer, self.observer.arrival(None, 1), &head, Duration::from_secs(60));
        let mut reader = RequestReader::new(Codings::IDENTITY, &exchange);
        reader.push(body.as_bytes(), &exchange);
        reader.finish(true, &exchange);
        exchange
    }
}

/// The response of that exchange, as an event stream.
fn respond(exchange: &Exchange, messages: &[&str]) {
    let content_type = Some("text/event-stream");
    let head = ResponseHead { status: 200, session: None, content_type, codings: Codings::IDENTITY, cause: None };
    exchange.on_response_head(&head);
    let mut reader = ResponseReader::new(&head, exchange).unwrap();
    for message in messages {
        reader.push(format!("id: e\ndata: {message}\n\n").as_bytes(), exchange);
    }
}

fn ping(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#)
}

/// What both kinds of answer look like.
fn answers(id: &str) -> [String; 2] {
    [r#""result":{}"#, r#""error":{"code":-32000,"message":"m"}"#]
        .map(|member| format!(r#"{{"jsonrpc":"2.0","id":{id},{member}}}"#))
}

fn ended(row: &Seen) -> (Status, Option<&str>, Notes) {
    (row.status, row.code.as_deref(), row.notes)
}

/// The ids of a request and of its answer, and whether the one is taken for the other's; `None` where it is not.
const PAIRS: [(&str, &str, Option<Notes>); 15] = [
    ("1", "1", Some(Notes::NONE)),
    (r#""a""#, r#""a""#, Some(Notes::NONE)),
    (r#""a""#, r#""\u0061""#, Some(Notes::NONE)),
    ("1", r#""1""#, Some(LENIENT)),
    ("1", "1.0", Some(LENIENT)),
    ("1", "1e0", Some(LENIENT)),
    ("1", r#"" 1 ""#, Some(LENIENT)),
    ("1.0", "1", Some(LENIENT)),
    (r#""1""#, "1", Some(LENIENT)),
    (r#""1""#, "1.0", Some(LENIENT)),
    ("0", r#""0""#, Some(LENIENT)),
    ("-9", r#""-9""#, Some(LENIENT)),
    ("1", "2", None),
    ("1", r#""a""#, None),
    ("0", r#""""#, None),
];

#[test]
fn an_answer_is_taken_as_clients_take_it_wherever_it_comes() {
    for (id, answer_id, expected) in PAIRS {
        for (answer, status) in answers(answer_id).into_iter().zip([Status::Ok, Status::Error]) {
            // In the exchange itself, in a batch, and on a stream of the session that the client opened.
            for (session, body) in [(None, ping(id)), (Some("s"), format!("[{}]", ping(id))), (Some("s"), ping(id))] {
                let surrounded = Surrounded::new();
                let exchange = surrounded.begin(session, &body);
                respond(&exchange, &[&answer]);
                exchange.end(End::Complete);
                assert_taken(surrounded, status, expected, &format!("{body} {answer}"));
            }
            let surrounded = Surrounded::new();
            let exchange = surrounded.begin(Some("s"), &ping(id));
            respond(&exchange, &["{}"]);
            exchange.end(End::Broken("reset"));
            let stream = surrounded.begin(Some("s"), "");
            respond(&stream, &[&answer]);
            stream.end(End::Complete);
            assert_taken(surrounded, status, expected, &format!("{id} {answer} on another stream"));
        }
    }
}

fn assert_taken(surrounded: Surrounded, status: Status, expected: Option<Notes>, what: &str) {
    surrounded.observer.finish();
    let seen = surrounded.into_seen();
    assert_eq!(seen.len(), 1, "{what}");
    match expected {
        Some(notes) => {
            let code = (status == Status::Error).then_some("-32000");
            assert_eq!(ended(&seen[0]), (status, code, notes), "{what}");
        }
        None => {
            assert_eq!((seen[0].status, seen[0].notes), (Status::Error, Notes::NONE), "{what}");
            assert_ne!(seen[0].code.as_deref(), Some("-32000"), "{what}");
        }
    }
}

#[test]
fn the_very_id_goes_before_the_same_number() {
    for session in [None, Some("s")] {
        let surrounded = Surrounded::new();
        let exchange = surrounded.begin(session, &format!("[{},{}]", ping("1"), ping(r#""1""#)));
        let [of_text, _] = answers(r#""1""#);
        let [_, of_number] = answers("1");
        respond(&exchange, &[&of_text, &of_number]);
        exchange.end(End::Complete);
        let seen = surrounded.into_seen();
        let rows: Vec<_> = seen.iter().map(|row| (row.status, row.notes)).collect();
        assert_eq!(rows, [(Status::Ok, Notes::NONE), (Status::Error, Notes::NONE)]);
    }
}

#[test]
fn an_error_for_no_request_in_particular_is_nothing_odd() {
    let surrounded = Surrounded::new();
    let exchange = surrounded.begin(None, &ping("1"));
    let [_, error] = answers("null");
    respond(&exchange, &[&error]);
    exchange.end(End::Complete);
    assert_eq!(ended(&surrounded.into_seen()[0]), (Status::Error, Some("-32000"), Notes::NONE));
}
