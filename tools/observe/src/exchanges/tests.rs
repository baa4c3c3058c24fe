//! Exchanges end in every way, and leave nothing behind; what they may hold has limits.

use super::limits::{CALL_BYTES_MAX, CALLS_MAX};
use super::{Exchange, RequestHead, RequestReader, ResponseHead, ResponseReader, Verb};
use crate::calls::End;
use crate::observer::Observer;
use crate::read::{Codings, TOKEN_BYTES_MAX};
use crate::recording::Recording;
use crate::testing::{Seen, Surrounded, request_head};
use mcplog::Status;
use mcplog::event::{Code, NAME_BYTES_MAX, Outcome, Transport};
use std::sync::{Arc, Weak};
use std::time::Duration;

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const PING: &[u8] = br#"{"id":1,"method":"ping"}"#;
const LISTEN: &[u8] = br#"{"id":1,"method":"subscriptions/listen"}"#;
const DISCOVER: &[u8] = br#"{"id":1,"method":"server/discover"}"#;
const CALL: &[u8] = br#"{"id":1,"method":"tools/call","params":{"name":"t"}}"#;
const CANCEL: &[u8] = br#"{"method":"notifications/cancelled","params":{"requestId":1}}"#;
const LIMIT: Duration = Duration::from_secs(60);
const ENDS: [End<'static>; 5] =
    [End::Complete, End::Broken("reset"), End::Unreachable("refused"), End::Silent("waiting"), End::ClientGone];

fn head(verb: Verb, session: Option<&str>) -> RequestHead<'_> {
    request_head(verb, "/mcp", session)
}

fn response(content_type: &str) -> ResponseHead<'_> {
    ResponseHead {
        status: 200,
        session: None,
        content_type: Some(content_type),
        codings: Codings::IDENTITY,
        cause: None,
    }
}

fn begin(observer: &Arc<Observer>, head: &RequestHead<'_>) -> Exchange {
    Exchange::begin(observer, observer.arrival(None, 1), head, LIMIT)
}

/// An exchange whose request is that body.
fn post(observer: &Arc<Observer>, session: Option<&str>, body: &[u8]) -> Exchange {
    let exchange = begin(observer, &head(Verb::Post, session));
    read_request(&exchange, body);
    exchange
}

fn read_request(exchange: &Exchange, body: &[u8]) {
    let mut reader = RequestReader::new(Codings::IDENTITY, exchange);
    reader.push(body, exchange);
    reader.finish(true, exchange);
}

fn answer(exchange: &Exchange, content_type: &str, body: &[u8]) {
    answer_with(exchange, 200, content_type, body);
}

fn answer_with(exchange: &Exchange, status: u16, content_type: &str, body: &[u8]) -> ResponseReader {
    let head = ResponseHead { status, ..response(content_type) };
    exchange.on_response_head(&head);
    let mut reader = ResponseReader::new(&head, exchange).unwrap();
    reader.push(body, exchange);
    reader
}

fn batch(count: usize) -> String {
    let calls: Vec<String> = (0..count).map(|id| format!(r#"{{"id":{id},"method":"ping"}}"#)).collect();
    format!("[{}]", calls.join(","))
}

/// What would be kept alive by a cycle.
fn weak(surrounded: &Surrounded) -> (Weak<Observer>, Weak<Recording>) {
    (Arc::downgrade(&surrounded.observer), Arc::downgrade(&surrounded.observer.recording))
}

#[test]
fn everything_is_freed_after_exchanges_end_answered_or_not() {
    for session in [None, Some("s")] {
        for end in ENDS {
            for is_resumable in [false, true] {
                let surrounded = Surrounded::new();
                let (observer, recording) = weak(&surrounded);
                let answered = post(&surrounded.observer, session, br#"{"id":1,"method":"ping"}"#);
                answer(&answered, "application/json", br#"{"id":1,"result":{}}"#);
                answered.end(End::Complete);
                let open = post(&surrounded.observer, session, br#"[{"id":2,"method":"a"},{"id":3,"method":"b"}]"#);
                if is_resumable {
                    answer(&open, "text/event-stream", b"id: 1\n\n");
                }
                open.end(end);
                // One that nobody ends, as where a task is cut off.
                let cut_off = post(&surrounded.observer, session, br#"{"id":4,"method":"c"}"#);
                let calls: Vec<_> = [&answered, &open, &cut_off].map(Exchange::weak_calls).concat();
                drop((answered, open, cut_off));
                let collected = surrounded.into_seen();
                assert!(observer.upgrade().is_none() && recording.upgrade().is_none(), "{session:?} {end:?}");
                assert!(calls.iter().all(|call| call.upgrade().is_none()));
                let mut ids: Vec<_> = collected.iter().filter_map(|seen| seen.rpc_id.clone()).collect();
                ids.sort();
                assert_eq!(ids, ["1", "2", "3", "4"], "{session:?} {end:?}: each once");
            }
        }
    }
}

#[test]
fn a_call_that_was_left_is_in_the_index_and_nowhere_else() {
    let surrounded = Surrounded::new();
    let exchange = post(&surrounded.observer, Some("s"), br#"{"id":1,"method":"ping"}"#);
    let call = exchange.weak_calls().remove(0);
    answer(&exchange, "text/event-stream", b"id: 1\n\n");
    exchange.end(End::Broken("reset"));
    drop(exchange);
    assert!(call.upgrade().is_some() && surrounded.seen().is_empty());
    surrounded.clock.advance(Duration::from_secs(9));
    surrounded.observer.give_up_overdue();
    assert!(call.upgrade().is_some());
    surrounded.clock.advance(Duration::from_secs(1));
    surrounded.observer.give_up_overdue();
    assert!(call.upgrade().is_none());
    assert_eq!(surrounded.seen()[0].code.as_deref(), Some("stream_broken"));
}

#[test]
fn a_request_that_is_read_after_its_exchange_ended_has_failed_with_it() {
    let surrounded = Surrounded::new();
    let exchange = begin(&surrounded.observer, &head(Verb::Post, None));
    exchange.end(End::Unreachable("refused"));
    let mut reader = RequestReader::new(Codings::IDENTITY, &exchange);
    reader.push(br#"{"id":1,"method":"ping"}"#, &exchange);
    exchange.end(End::ClientGone);
    assert_eq!(surrounded.seen()[0].code.as_deref(), Some("upstream_unreachable"), "the first end counts");
}

#[test]
fn a_batch_has_as_many_rows_as_are_allowed() {
    let surrounded = Surrounded::new();
    let exchange = post(&surrounded.observer, Some("s"), batch(CALLS_MAX + 10).as_bytes());
    assert_eq!(exchange.end(End::Unreachable("refused")).ids.len(), CALLS_MAX);
    assert_eq!(surrounded.seen().len(), CALLS_MAX);
    assert_eq!(surrounded.observer.recording.counts.requests_unrecorded.get(), 10);
}

#[test]
fn calls_with_long_names_have_rows_as_far_as_they_fit() {
    let surrounded = Surrounded::new();
    let name = "n".repeat(TOKEN_BYTES_MAX - 2);
    let call = format!(r#"{{"method":"tools/call","params":{{"name":"{name}"}},"id":1}}"#);
    let body = format!("[{}]", vec![call; CALLS_MAX].join(","));
    let exchange = post(&surrounded.observer, None, body.as_bytes());
    exchange.end(End::Unreachable("refused"));
    let rows = surrounded.seen().len();
    assert!(rows * name.len() <= CALL_BYTES_MAX && (rows + 2) * (name.len() + 1024) > CALL_BYTES_MAX, "{rows}");
    let unrecorded = surrounded.observer.recording.counts.requests_unrecorded.get();
    assert_eq!(unrecorded, (CALLS_MAX - rows) as u64);
}

#[test]
fn an_event_is_read_as_far_as_there_is_room_for_its_responses() {
    let surrounded = Surrounded::new();
    let exchange = post(&surrounded.observer, None, batch(CALLS_MAX).as_bytes());
    let answers: Vec<String> = (0..2 * CALLS_MAX).map(|id| format!(r#"{{"id":{id},"result":0}}"#)).collect();
    let body = format!("data: [{}]\n\n", answers.join(","));
    answer(&exchange, "text/event-stream", body.as_bytes());
    assert!(exchange.end(End::Complete).ids.is_empty(), "as many answers as a batch may ask for are read");
    assert!(surrounded.seen().iter().all(|seen| seen.code.is_none()));
}

#[test]
fn what_a_head_says_is_kept_up_to_a_limit() {
    let surrounded = Surrounded::new();
    let long = "s".repeat(100_000);
    let exchange = post(&surrounded.observer, Some(&long), br#"{"id":1,"method":"ping"}"#);
    exchange.on_response_head(&response("application/json"));
    assert_eq!(exchange.session_bytes(), TOKEN_BYTES_MAX);
    let exchange = begin(&surrounded.observer, &RequestHead { path: &long, ..head(Verb::Post, None) });
    read_request(&exchange, PING);
    exchange.end(End::Broken(&long));
    let row = surrounded.seen().remove(0);
    assert_eq!(row.endpoint.map(|path| path.len()), Some(TOKEN_BYTES_MAX));
    assert_eq!(row.cause.map(|cause| cause.len()), Some(NAME_BYTES_MAX));
}

/// HTTP status, outcome and cause: what a row says of how its call ended.
fn ended(row: &Seen) -> (Option<u16>, Option<Outcome>, Option<&str>) {
    (row.http_status, row.outcome, row.cause.as_deref())
}

#[test]
fn every_end_has_its_status_its_outcome_and_its_cause() {
    use Outcome::{Ended, Error, Redirected, Timeout};
    // The columns: no head, 200, 307, 500.
    let calls = [
        (End::Complete, [Error, Error, Redirected, Error], None),
        (End::Broken("reset"), [Error, Error, Redirected, Error], Some("reset")),
        (End::Unreachable("refused"), [Error, Error, Redirected, Error], Some("refused")),
        (End::Silent("waiting"), [Timeout; 4], Some("waiting")),
        (End::ClientGone, [Error, Error, Redirected, Error], None),
        (End::ClientSilent, [Error, Error, Redirected, Error], None),
        (End::Loop("back"), [Error, Error, Redirected, Error], Some("back")),
        (End::ProxyFailed("panic"), [Error; 4], Some("panic")),
    ];
    let subscriptions = [
        (End::Complete, [Ended, Ended, Redirected, Error], None),
        (End::Broken("reset"), [Error, Error, Redirected, Error], Some("reset")),
        (End::Unreachable("refused"), [Error, Error, Redirected, Error], Some("refused")),
        (End::Silent("waiting"), [Timeout; 4], Some("waiting")),
        (End::ClientGone, [Ended, Ended, Redirected, Ended], None),
        (End::ClientSilent, [Error, Error, Redirected, Error], None),
        (End::Loop("back"), [Error, Error, Redirected, Error], Some("back")),
        (End::ProxyFailed("panic"), [Error; 4], Some("panic")),
    ];
    for (body, table) in [(PING, calls), (LISTEN, subscriptions)] {
        for (end, outcomes, cause) in table {
            for (status, outcome) in [None, Some(200), Some(307), Some(500)].into_iter().zip(outcomes) {
                // A head may come before the request was read to its end.
                for is_early in [false, true] {
                    let surrounded = Surrounded::new();
                    let exchange = begin(&surrounded.observer, &head(Verb::Post, None));
                    if !is_early {
                        read_request(&exchange, body);
                    }
                    if let Some(status) = status {
                        exchange.on_response_head(&ResponseHead { status, ..response(JSON) });
                    }
                    if is_early {
                        read_request(&exchange, body);
                    }
                    exchange.end(end);
                    let row = surrounded.seen().remove(0);
                    let case = format!("{end:?} {status:?} early: {is_early}");
                    let how = if end == End::Complete { "no_response" } else { "client_gone" };
                    let cause = if outcome == Ended { Some(how) } else { cause };
                    assert_eq!(ended(&row), (status, Some(outcome), cause), "{case}");
                    assert_eq!((row.status, row.code.is_none()), (outcome.status(), outcome == Ended), "{case}");
                    assert_eq!((row.transport, row.endpoint.as_deref()), (Some(Transport::Http), Some("/mcp")));
                }
            }
        }
    }
}

#[test]
fn what_the_responses_head_says_is_the_cause_unless_its_end_has_one() {
    for (end, expected) in
        [(End::Complete, "307 to /mcp/"), (End::ClientGone, "307 to /mcp/"), (End::Broken("reset"), "reset")]
    {
        let surrounded = Surrounded::new();
        let exchange = post(&surrounded.observer, None, PING);
        exchange.on_response_head(&ResponseHead { status: 307, cause: Some("307 to /mcp/"), ..response(JSON) });
        exchange.end(end);
        assert_eq!(ended(&surrounded.seen()[0]), (Some(307), Some(Outcome::Redirected), Some(expected)), "{end:?}");
    }
    // An error that the upstream answers has it, a result has none.
    for (answer, expected) in
        [(r#"{"id":1,"error":{"code":1,"message":"m"}}"#, Some("421")), (r#"{"id":1,"result":{}}"#, None)]
    {
        let surrounded = Surrounded::new();
        let exchange = post(&surrounded.observer, None, PING);
        let head = ResponseHead { status: 421, cause: Some("421"), ..response(JSON) };
        exchange.on_response_head(&head);
        ResponseReader::new(&head, &exchange).unwrap().push(answer.as_bytes(), &exchange);
        assert_eq!(surrounded.seen()[0].cause.as_deref(), expected, "{answer}");
    }
}

#[test]
fn every_answer_has_its_status_and_its_outcome() {
    for (request, status, response, outcome) in [
        (PING, 200, r#"{"id":1,"result":{}}"#, Outcome::Ok),
        (PING, 201, r#"{"id":1,"error":{"code":1,"message":"m"}}"#, Outcome::Error),
        (PING, 400, r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}"#, Outcome::Error),
        (PING, 307, r#"{"id":1,"result":{}}"#, Outcome::Ok),
        (PING, 500, r#"{"id":1,"result":{}}"#, Outcome::Ok),
        (CALL, 200, r#"{"id":1,"result":{"isError":true}}"#, Outcome::ToolError),
        (CALL, 200, r#"{"id":1,"result":{"resultType":"input_required"}}"#, Outcome::InputRequired),
        (LISTEN, 200, r#"{"id":1,"result":{}}"#, Outcome::Ended),
        (LISTEN, 200, r#"{"id":1,"error":{"code":1,"message":"m"}}"#, Outcome::Error),
        (DISCOVER, 200, r#"{"id":1,"error":{"code":-32601,"message":"m"}}"#, Outcome::Probe),
        (DISCOVER, 400, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"m"}}"#, Outcome::Probe),
        (DISCOVER, 200, r#"{"id":1,"error":{"code":-32603,"message":"m"}}"#, Outcome::Error),
        (DISCOVER, 200, r#"{"id":1,"result":{}}"#, Outcome::Ok),
    ] {
        let surrounded = Surrounded::new();
        let exchange = post(&surrounded.observer, None, request);
        answer_with(&exchange, status, JSON, response.as_bytes());
        // What happens after the answer is nothing to it.
        exchange.end(End::Broken("reset"));
        assert_eq!(ended(&surrounded.seen()[0]), (Some(status), Some(outcome), None), "{response}");
    }
}

/// The stream of a session of the 2024-11-05 transport, and its reader.
fn open_stream(observer: &Arc<Observer>) -> (Exchange, ResponseReader) {
    let stream = begin(observer, &RequestHead { path: "/sse", ..head(Verb::Other, None) });
    let reader = answer_with(&stream, 200, EVENTS, b"event: endpoint\ndata: /messages?session_id=s\n\n");
    (stream, reader)
}

/// A request of that session, accepted.
fn accepted(observer: &Arc<Observer>) -> Exchange {
    let query = Some("session_id=s");
    let exchange = begin(observer, &RequestHead { path: "/messages", query, ..head(Verb::Post, None) });
    read_request(&exchange, PING);
    answer_with(&exchange, 202, JSON, b"");
    exchange.end(End::Complete);
    exchange
}

#[test]
fn a_call_of_the_first_transport_has_the_status_of_the_stream_if_it_is_answered_there() {
    for (end, status, outcome, cause) in [
        (None, 200, Outcome::Ok, None),
        (Some(End::Silent("waiting")), 202, Outcome::Timeout, None),
        (Some(End::Complete), 202, Outcome::Error, None),
        (Some(End::Broken("reset")), 202, Outcome::Error, Some("reset")),
        (Some(End::ClientGone), 202, Outcome::Error, None),
    ] {
        let surrounded = Surrounded::new();
        let (stream, mut reader) = open_stream(&surrounded.observer);
        accepted(&surrounded.observer);
        match end {
            None => reader.push(b"data: {\"id\":1,\"result\":{}}\n\n", &stream),
            Some(End::Silent(_)) => {
                surrounded.clock.advance(LIMIT);
                surrounded.observer.give_up_overdue();
            }
            Some(end) => drop(stream.end(end)),
        }
        let row = surrounded.seen().remove(0);
        assert_eq!(ended(&row), (Some(status), Some(outcome), cause), "{end:?}");
        assert_eq!((row.transport, row.endpoint.as_deref()), (Some(Transport::Sse), Some("/sse")));
    }
}

#[test]
fn a_call_whose_stream_broke_has_the_status_of_the_resumed_one_or_the_cause_of_the_first() {
    for is_resumed in [false, true] {
        let surrounded = Surrounded::new();
        let exchange = post(&surrounded.observer, Some("s"), PING);
        answer(&exchange, EVENTS, b"id: 1\n\n");
        exchange.end(End::Broken("reset"));
        if is_resumed {
            let resumed = begin(&surrounded.observer, &head(Verb::Other, Some("s")));
            answer_with(&resumed, 206, EVENTS, b"data: {\"id\":1,\"result\":{}}\n\n");
            assert_eq!(ended(&surrounded.seen()[0]), (Some(206), Some(Outcome::Ok), None));
        } else {
            surrounded.clock.advance(LIMIT);
            surrounded.observer.give_up_overdue();
            assert_eq!(ended(&surrounded.seen()[0]), (Some(200), Some(Outcome::Error), Some("reset")));
        }
    }
}

#[test]
fn a_call_that_is_taken_back_has_the_status_of_its_open_response() {
    for (request, outcome, cause) in [(PING, Outcome::Cancelled, None), (LISTEN, Outcome::Ended, Some("cancelled"))] {
        for status in [None, Some(200)] {
            let surrounded = Surrounded::new();
            let open = post(&surrounded.observer, Some("s"), request);
            if let Some(status) = status {
                open.on_response_head(&ResponseHead { status, ..response(EVENTS) });
            }
            post(&surrounded.observer, Some("s"), CANCEL).end(End::Complete);
            open.end(End::Complete);
            assert_eq!(ended(&surrounded.seen()[0]), (status, Some(outcome), cause));
        }
    }
}

#[test]
fn a_call_that_the_proxys_end_cuts_off_is_lost() {
    for (request, outcome, cause) in [(PING, Outcome::Lost, None), (LISTEN, Outcome::Ended, Some("proxy_shutdown"))] {
        for is_told in [false, true] {
            let surrounded = Surrounded::new();
            let exchange = post(&surrounded.observer, None, request);
            surrounded.observer.stop();
            if is_told {
                exchange.end(End::ClientGone);
            }
            drop(exchange);
            assert_eq!(ended(&surrounded.seen()[0]), (None, Some(outcome), cause), "told: {is_told}");
        }
    }
}

#[test]
fn a_discovery_that_is_refused_without_json_rpc_is_a_probe_and_one_that_fails_is_not() {
    for (status, outcome) in [
        (400, Outcome::Probe),
        (404, Outcome::Probe),
        (405, Outcome::Probe),
        (401, Outcome::Error),
        (500, Outcome::Error),
        (307, Outcome::Redirected),
    ] {
        let surrounded = Surrounded::new();
        let exchange = post(&surrounded.observer, None, DISCOVER);
        answer_with(&exchange, status, JSON, b"no");
        exchange.end(End::Complete);
        let row = surrounded.seen().remove(0);
        assert_eq!((row.status, row.outcome), (Status::Error, Some(outcome)), "{status}");
    }
}

#[test]
fn what_brings_no_json_rpc_request_is_no_call_whatever_it_is_answered_with() {
    for verb in [Verb::Other, Verb::Delete] {
        for status in [None, Some(200), Some(202), Some(404), Some(405), Some(500)] {
            for end in [End::Complete, End::Broken("reset"), End::ClientGone, End::Silent("waiting")] {
                let surrounded = Surrounded::new();
                let exchange = begin(&surrounded.observer, &head(verb, Some("s")));
                if let Some(status) = status {
                    let head = ResponseHead { status, ..response(JSON) };
                    exchange.on_response_head(&head);
                    if let Some(mut reader) = ResponseReader::new(&head, &exchange) {
                        reader.push(b"Method Not Allowed", &exchange);
                    }
                }
                exchange.end(end);
                drop(exchange);
                let counted: u64 =
                    Status::ALL.iter().map(|status| surrounded.observer.recording.counts.with_status(*status)).sum();
                assert_eq!((surrounded.seen(), counted), (vec![], 0), "{verb:?} {status:?} {end:?}");
            }
        }
    }
}
