//! An error that names no request of its exchange is that of the calls which are unanswered when the response ends.

use super::{Exchange, RequestReader, ResponseHead, ResponseReader, Verb};
use crate::calls::End;
use crate::read::Codings;
use crate::testing::{Surrounded, request_head};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const BATCH: &str = r#"[{"id":1,"method":"a"},{"id":2,"method":"b"}]"#;
const FIRST: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
const OTHER: &str = r#"{"jsonrpc":"2.0","id":2,"result":{}}"#;

fn refusal(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32600,"message":"no"}}}}"#)
}

fn post(surrounded: &Surrounded, body: &str) -> Exchange {
    let head = request_head(Verb::Post, "/mcp", Some("s"));
    let exchange = Exchange::begin(&surrounded.observer, surrounded.observer.arrival(None, 1), &head, 60 * SECOND);
    let mut reader = RequestReader::new(Codings::IDENTITY, &exchange);
    reader.push(body.as_bytes(), &exchange);
    reader.finish(true, &exchange);
    exchange
}

/// Each message a second after the one before; the response ends another second later.
fn answer(surrounded: &Surrounded, exchange: &Exchange, status: u16, is_stream: bool, messages: &[&str], end: End<'_>) {
    let content_type = Some(if is_stream { "text/event-stream" } else { "application/json" });
    let head = ResponseHead { status, session: None, content_type, codings: Codings::IDENTITY, cause: None };
    exchange.on_response_head(&head);
    let mut reader = ResponseReader::new(&head, exchange).unwrap();
    for (number, message) in messages.iter().enumerate() {
        surrounded.clock.advance(SECOND);
        let text = match (is_stream, number) {
            (true, _) => format!("data: {message}\n\n"),
            (false, 0) => format!("[{message}"),
            (false, _) => format!(",{message}"),
        };
        reader.push(text.as_bytes(), exchange);
    }
    surrounded.clock.advance(SECOND);
    exchange.end(end);
}

/// Code and latency in seconds of every row, by method.
fn rows(surrounded: &Surrounded) -> Vec<(String, Option<String>, i64)> {
    let mut rows: Vec<_> =
        surrounded.seen().into_iter().map(|seen| (seen.method, seen.code, seen.latency_us / 1_000_000)).collect();
    rows.sort();
    rows
}

#[test]
fn an_error_for_no_request_in_particular_is_that_of_the_calls_that_nothing_else_answers() {
    let ends = [End::Complete, End::Broken("reset"), End::ClientGone, End::Silent("waiting")];
    let orders: [&[&str]; 13] = [
        &["e"],
        &["e", "1"],
        &["1", "e"],
        &["e", "2"],
        &["2", "e"],
        &["e", "1", "2"],
        &["e", "2", "1"],
        &["1", "e", "2"],
        &["2", "e", "1"],
        &["1", "2", "e"],
        &["2", "1", "e"],
        &["e", "e", "1"],
        &["e", "1", "e"],
    ];
    for id in ["null", r#""server-error""#, "0"] {
        for (status, is_stream) in [(200, false), (200, true), (400, false), (400, true), (500, false), (500, true)] {
            for (order, end) in orders.iter().flat_map(|order| ends.map(|end| (order, end))) {
                let surrounded = Surrounded::new();
                let exchange = post(&surrounded, BATCH);
                let error = refusal(id);
                let message = |name: &&str| match *name {
                    "1" => FIRST,
                    "2" => OTHER,
                    _ => &error,
                };
                let messages: Vec<&str> = order.iter().map(message).collect();
                answer(&surrounded, &exchange, status, is_stream, &messages, end);
                surrounded.clock.advance(10 * SECOND);
                surrounded.observer.give_up_overdue();
                // The late error of another request may be on the stream of a request that was taken.
                let is_meant = id == "null" || status >= 400 || !is_stream;
                let row = |method: &str, name: &str| {
                    let at = |name| order.iter().position(|found| *found == name).map(|at| at as i64 + 1);
                    let (code, latency) = match at(name) {
                        Some(latency) => (None, latency),
                        None if is_meant => (Some("-32600".to_owned()), at("e").unwrap()),
                        None => return None,
                    };
                    Some((method.to_owned(), code, latency))
                };
                let case = format!("{id} {status} stream: {is_stream} {order:?} {end:?}");
                for (row, expected) in rows(&surrounded).into_iter().zip([row("a", "1"), row("b", "2")]) {
                    match expected {
                        Some(expected) => assert_eq!(row, expected, "{case}"),
                        None => assert_ne!(row.1.as_deref(), Some("-32600"), "{case}"),
                    }
                }
                assert_eq!(rows(&surrounded).len(), 2, "{case}");
            }
        }
    }
}

#[test]
fn an_answer_that_swapped_its_stream_is_no_refusal_unless_http_says_so() {
    for (status, is_stream, code, other) in [
        (200, false, "no_response", "-32600"),
        (200, true, "no_response", "-32600"),
        (400, false, "-32600", "no_response"),
        (400, true, "-32600", "no_response"),
    ] {
        let surrounded = Surrounded::new();
        let elsewhere = post(&surrounded, r#"{"id":7,"method":"b"}"#);
        let exchange = post(&surrounded, r#"{"id":1,"method":"a"}"#);
        answer(&surrounded, &exchange, status, is_stream, &[&refusal("7")], End::Complete);
        answer(&surrounded, &elsewhere, 200, is_stream, &[], End::Complete);
        let codes: Vec<_> = rows(&surrounded).into_iter().map(|(_, code, _)| code.unwrap()).collect();
        assert_eq!(codes, [code, other], "{status} stream: {is_stream}");
    }
}

#[test]
fn a_request_that_is_read_after_its_refusal_is_refused_with_it() {
    let surrounded = Surrounded::new();
    let head = request_head(Verb::Post, "/mcp", None);
    let exchange = Exchange::begin(&surrounded.observer, surrounded.observer.arrival(None, 1), &head, 60 * SECOND);
    answer(&surrounded, &exchange, 401, false, &[&refusal("null")], End::Complete);
    let mut reader = RequestReader::new(Codings::IDENTITY, &exchange);
    reader.push(br#"{"id":1,"method":"a"}"#, &exchange);
    assert_eq!(rows(&surrounded)[0].1.as_deref(), Some("-32600"));
}

#[test]
fn nobody_waits_any_more_for_a_response_that_refused_everything() {
    let surrounded = Surrounded::new();
    let exchange = post(&surrounded, BATCH);
    let content_type = Some("text/event-stream");
    let head = ResponseHead { status: 200, session: None, content_type, codings: Codings::IDENTITY, cause: None };
    exchange.on_response_head(&head);
    let mut reader = ResponseReader::new(&head, &exchange).unwrap();
    assert!(exchange.deadline().is_some());
    reader.push(format!("data: {}\n\n", refusal("null")).as_bytes(), &exchange);
    assert_eq!(exchange.deadline(), None);
}
