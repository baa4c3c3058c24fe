//! Results that say what a server offers: those that come after their call was cancelled, and what is held for them.

use super::{Exchange, RequestReader, ResponseHead, ResponseReader, Verb};
use crate::budget::Budget;
use crate::calls::End;
use crate::read::Codings;
use crate::schema::SchemaMethod;
use crate::testing::{Surrounded, request_head};
use std::time::Duration;

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
const CANCEL: &str = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#;
const ERROR: &str = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"cancelled"}}"#;
const STREAM: ResponseHead<'_> = ResponseHead {
    status: 200,
    session: None,
    content_type: Some("text/event-stream"),
    codings: Codings::IDENTITY,
    cause: None,
};

/// An exchange whose response is an event stream.
struct Open {
    exchange: Exchange,
    reader: ResponseReader,
}

impl Open {
    fn say(&mut self, message: &str) {
        self.reader.push(format!("data: {message}\n\n").as_bytes(), &self.exchange);
    }

    fn end(self) {
        self.exchange.end(End::Complete);
    }
}

impl Surrounded {
    fn open(&self, verb: Verb, session: Option<&str>, body: &str) -> Open {
        let head = request_head(verb, "/mcp", session);
        let exchange = Exchange::begin(&self.observer, self.observer.arrival(None, 1), &head, Duration::from_secs(60));
        if verb == Verb::Post {
            let mut reader = RequestReader::new(Codings::IDENTITY, &exchange);
            reader.push(body.as_bytes(), &exchange);
            reader.finish(true, &exchange);
        }
        exchange.on_response_head(&STREAM);
        let reader = ResponseReader::new(&STREAM, &exchange).unwrap();
        Open { exchange, reader }
    }
}

#[test]
fn a_list_that_comes_after_its_call_was_cancelled_is_looked_at_once() {
    for is_on_own_stream in [true, false] {
        for (session, answers, expected) in [
            ("s", [RESULT, RESULT], vec![SchemaMethod::Tools]),
            ("s", [ERROR, RESULT], vec![]),
            ("other", [RESULT, RESULT], vec![]),
        ] {
            let surrounded = Surrounded::new();
            let mut post = surrounded.open(Verb::Post, Some("s"), LIST);
            let mut stream = surrounded.open(Verb::Other, Some(session), "");
            surrounded.open(Verb::Post, Some("s"), CANCEL).end();
            let told = if is_on_own_stream && session == "s" { &mut post } else { &mut stream };
            answers.iter().for_each(|answer| told.say(answer));
            assert_eq!(surrounded.lists(), expected, "own stream: {is_on_own_stream}, {session}, {answers:?}");
            post.end();
            stream.end();
            let rows = surrounded.into_seen();
            let codes: Vec<_> = rows.iter().map(|row| row.code.as_deref()).collect();
            assert_eq!(codes, [Some("cancelled")]);
        }
    }
}

#[test]
fn a_cancelled_list_is_not_waited_for_for_ever() {
    let surrounded = Surrounded::new();
    let post = surrounded.open(Verb::Post, Some("s"), LIST);
    surrounded.open(Verb::Post, Some("s"), CANCEL).end();
    assert!(surrounded.observer.awaits_schema());
    surrounded.clock.advance(Duration::from_secs(11));
    surrounded.observer.give_up_overdue();
    assert!(!surrounded.observer.awaits_schema());
    surrounded.open(Verb::Other, Some("s"), "").say(RESULT);
    assert_eq!(surrounded.lists(), []);
    post.end();
}

#[test]
fn a_call_of_the_same_id_takes_the_answer_and_not_one_that_was_cancelled() {
    let surrounded = Surrounded::new();
    let first = surrounded.open(Verb::Post, Some("s"), LIST);
    surrounded.open(Verb::Post, Some("s"), CANCEL).end();
    first.end();
    let second = surrounded.open(Verb::Post, Some("s"), &LIST.replace("tools", "prompts"));
    surrounded.open(Verb::Other, Some("s"), "").say(RESULT);
    assert_eq!(surrounded.lists(), [SchemaMethod::Prompts]);
    second.end();
}

#[test]
fn a_list_among_lines_of_json_is_looked_at_and_the_lines_before_it_are_let_go() {
    let note = format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":"{}"}}"#, "x".repeat(300_000));
    let body = format!("{note}\n{note}\n{RESULT}\n");
    for piece_bytes in [100, 250_000, body.len()] {
        let budget = Budget::default();
        let surrounded = Surrounded::within(budget.clone());
        let head = request_head(Verb::Post, "/mcp", Some("s"));
        let exchange =
            Exchange::begin(&surrounded.observer, surrounded.observer.arrival(None, 1), &head, Duration::from_secs(60));
        let mut reader = RequestReader::new(Codings::IDENTITY, &exchange);
        reader.push(LIST.as_bytes(), &exchange);
        reader.finish(true, &exchange);
        let head = ResponseHead { content_type: Some("application/x-ndjson"), ..STREAM };
        exchange.on_response_head(&head);
        let mut reader = ResponseReader::new(&head, &exchange).unwrap();
        body.as_bytes().chunks(piece_bytes).for_each(|piece| reader.push(piece, &exchange));
        exchange.end(End::Complete);
        assert_eq!(surrounded.lists(), [SchemaMethod::Tools], "{piece_bytes}");
        assert!(piece_bytes == body.len() || budget.taken_most() < 1_100_000, "{}", budget.taken_most());
        let rows = surrounded.into_seen();
        assert_eq!(rows.iter().map(|row| row.code.as_deref()).collect::<Vec<_>>(), [None]);
    }
}

#[test]
fn a_sessions_stream_is_held_only_while_somebody_asks_what_the_server_offers() {
    let long = RESULT.replace("[]", &format!("[\"{}\"]", "x".repeat(1024 * 1024)));
    for asks in [false, true] {
        let budget = Budget::default();
        let surrounded = Surrounded::within(budget.clone());
        let mut stream = surrounded.open(Verb::Other, Some("s"), "");
        let post = asks.then(|| surrounded.open(Verb::Post, Some("s"), LIST));
        stream.say(&long);
        assert_eq!(surrounded.lists().len(), usize::from(asks));
        assert_eq!(budget.taken_most() > 1024 * 1024, asks, "{}", budget.taken_most());
        post.into_iter().for_each(Open::end);
    }
}
