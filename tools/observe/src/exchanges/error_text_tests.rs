//! With which words a call failed: what rows say of it, on whichever stream it comes, and what they don't when told so.

use super::{Exchange, RequestHead, RequestReader, ResponseHead, ResponseReader, Verb};
use crate::budget::Budget;
use crate::calls::End;
use crate::read::Codings;
use crate::testing::{Seen, Surrounded, request_head};
use mcplog::Status;
use mcplog::event::{ERROR_MSG_CHARS_MAX, Outcome};
use std::time::Duration;

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const FAILED: &str = r#"{"id":1,"result":{"content":[{"type":"text","text":"no such file"}],"isError":true}}"#;
const REFUSED: &str = r#"{"id":1,"error":{"code":-32602,"message":"bad params"}}"#;

fn head(session: Option<&str>, verb: Verb) -> RequestHead<'_> {
    request_head(verb, "/mcp", session)
}

fn begin(surrounded: &Surrounded, head: &RequestHead<'_>) -> Exchange {
    let observer = &surrounded.observer;
    Exchange::begin(observer, observer.arrival(None, 1), head, Duration::from_secs(60))
}

/// An exchange that asked for that.
fn asked(surrounded: &Surrounded, method: &str) -> Exchange {
    let exchange = begin(surrounded, &head(Some("s"), Verb::Post));
    let mut reader = RequestReader::new(Codings::IDENTITY, &exchange);
    reader.push(format!(r#"{{"id":1,"method":"{method}","params":{{"name":"t"}}}}"#).as_bytes(), &exchange);
    reader.finish(true, &exchange);
    exchange
}

fn answering(exchange: &Exchange, content_type: &str) -> ResponseReader {
    let codings = Codings::IDENTITY;
    let head = ResponseHead { status: 200, session: None, content_type: Some(content_type), codings, cause: None };
    exchange.on_response_head(&head);
    ResponseReader::new(&head, exchange).unwrap()
}

fn answer<'p>(exchange: &Exchange, content_type: &str, pieces: impl IntoIterator<Item = &'p [u8]>) {
    let mut reader = answering(exchange, content_type);
    pieces.into_iter().for_each(|piece| reader.push(piece, exchange));
}

/// What the row of a call says that was answered so.
fn row(method: &str, content_type: &str, response: &str) -> Seen {
    let surrounded = Surrounded::new();
    answer(&asked(&surrounded, method), content_type, [response.as_bytes()]);
    surrounded.seen().remove(0)
}

fn gist(row: &Seen) -> (Status, Option<Outcome>, Option<&str>, Option<&str>) {
    (row.status, row.outcome, row.code.as_deref(), row.message.as_deref())
}

#[test]
fn a_tool_that_failed_says_why_in_its_row_and_is_no_error_of_the_protocol() {
    let fine = FAILED.replace("true", "false");
    let wordless = r#"{"id":1,"result":{"isError":true,"structuredContent":{"text":"no"}}}"#;
    let failed = (Status::Ok, Some(Outcome::ToolError), None, Some("no such file"));
    let ok = (Status::Ok, Some(Outcome::Ok), None, None);
    let cases = [
        ("tools/call", FAILED, failed),
        ("tools/call", wordless, (Status::Ok, Some(Outcome::ToolError), None, None)),
        ("tools/call", &fine, ok),
        ("tools/call", REFUSED, (Status::Error, Some(Outcome::Error), Some("-32602"), Some("bad params"))),
        // The result of a tool's task is the tool's.
        ("tasks/result", FAILED, failed),
        ("tasks/result", &fine, ok),
        // No other result is a tool's, whatever it looks like.
        ("prompts/get", FAILED, ok),
    ];
    for (method, response, expected) in cases {
        assert_eq!(gist(&row(method, JSON, response)), expected, "{method} {response}");
        let event = format!("event: message\ndata: {response}\n\n");
        assert_eq!(gist(&row(method, EVENTS, &event)), expected, "{method} {response}, as an event");
    }
}

#[test]
fn the_words_are_the_same_however_the_response_is_cut() {
    let text = format!("ä\\n\\ud83d\\ude00{}", "日".repeat(ERROR_MSG_CHARS_MAX));
    let result = format!(r#"{{"content":[{{"text":"{text}","type":"text"}}],"isError":true}}"#);
    let expected = format!("ä\n😀{}…", "日".repeat(ERROR_MSG_CHARS_MAX - 3));
    for (content_type, body) in [
        (JSON, format!(r#"{{"id":1,"result":{result}}}"#)),
        (EVENTS, format!("data: {{\"id\":1,\r\ndata: \"result\":{result}\r\ndata: }}\r\n\r\n")),
        (EVENTS, format!("data: [{{\"method\":\"n\"}},{{\"id\":1,\"result\":{result}}}]\n\n")),
    ] {
        let body = body.as_bytes();
        let message = |pieces: &[&[u8]]| {
            let surrounded = Surrounded::new();
            answer(&asked(&surrounded, "tools/call"), content_type, pieces.iter().copied());
            surrounded.seen().remove(0).message
        };
        for cut in 0..=body.len() {
            let (head, tail) = body.split_at(cut);
            assert_eq!(message(&[head, tail]).as_deref(), Some(&*expected), "{content_type}, cut at {cut}");
        }
        assert_eq!(message(&body.chunks(1).collect::<Vec<_>>()).as_deref(), Some(&*expected));
    }
}

#[test]
fn words_come_on_another_stream_too() {
    let surrounded = Surrounded::new();
    let exchange = asked(&surrounded, "tools/call");
    answer(&exchange, EVENTS, [b"id: 1\n\n".as_slice()]);
    exchange.end(End::Broken("reset"));
    let resumed = begin(&surrounded, &head(Some("s"), Verb::Other));
    answer(&resumed, EVENTS, [format!("data: {FAILED}\n\n").as_bytes()]);
    assert_eq!(surrounded.seen()[0].message.as_deref(), Some("no such file"));
}

#[test]
fn who_wants_no_words_gets_none_of_others_but_all_that_they_mean() {
    for response in [FAILED, REFUSED] {
        let told = row("tools/call", JSON, response);
        // Told before the response came, between its parts, and not any more.
        for (is_kept, is_kept_then, says) in
            [(false, false, false), (true, false, false), (false, true, response == REFUSED), (true, true, true)]
        {
            let surrounded = Surrounded::new();
            surrounded.observer.keep_error_text(is_kept);
            let exchange = asked(&surrounded, "tools/call");
            let mut reader = answering(&exchange, JSON);
            let (head, tail) = response.as_bytes().split_at(response.len() / 2);
            reader.push(head, &exchange);
            surrounded.observer.keep_error_text(is_kept_then);
            reader.push(tail, &exchange);
            let row = surrounded.seen().remove(0);
            let message = told.message.clone().filter(|_| says);
            assert_eq!(row, Seen { message, ..told.clone() }, "{is_kept} and {is_kept_then}: {response}");
        }
    }
    // What we say ourselves stays.
    let surrounded = Surrounded::new();
    surrounded.observer.keep_error_text(false);
    asked(&surrounded, "tools/call").end(End::Unreachable("refused"));
    let row = surrounded.seen().remove(0);
    assert!(row.message.is_some() && row.cause.as_deref() == Some("refused"));
}

#[test]
fn words_need_no_room_in_the_budget_however_many_there_are() {
    let long = "ä".repeat(100_000);
    let item = format!(r#"{{"type":"text","text":"{long}"}}"#);
    for (is_error, outcome) in [(true, Outcome::ToolError), (false, Outcome::Ok)] {
        let body = format!(r#"{{"id":1,"result":{{"content":[{item},{item}],"isError":{is_error}}}}}"#);
        let events = format!("data: {body}\n\n");
        for (content_type, body) in [(JSON, &body), (EVENTS, &events)] {
            let surrounded = Surrounded::within(Budget::new(0));
            answer(&asked(&surrounded, "tools/call"), content_type, body.as_bytes().chunks(1000));
            let row = surrounded.seen().remove(0);
            let characters = row.message.as_deref().map(|text| text.chars().count());
            assert_eq!(row.outcome, Some(outcome));
            assert_eq!(characters, is_error.then_some(ERROR_MSG_CHARS_MAX + 1), "with what says that there was more");
        }
    }
}
