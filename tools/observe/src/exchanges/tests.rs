//! Exchanges end in every way, and leave nothing behind; what they may hold has limits.

use super::limits::{CALL_BYTES_MAX, CALLS_MAX};
use super::{Exchange, RequestHead, RequestReader, ResponseHead, ResponseReader, Verb};
use crate::calls::End;
use crate::observer::Observer;
use crate::read::{Coding, TOKEN_BYTES_MAX};
use crate::recording::Recording;
use crate::testing::Surrounded;
use std::sync::{Arc, Weak};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const ENDS: [End; 5] = [End::Complete, End::Broken, End::Unreachable, End::Silent, End::ClientGone];

fn head(verb: Verb, session: Option<&str>) -> RequestHead<'_> {
    RequestHead { verb, session, query: None, protocol_version: None, method: None, name: None }
}

fn response(content_type: &str) -> ResponseHead<'_> {
    ResponseHead { status: 200, session: None, content_type: Some(content_type), coding: Coding::Identity }
}

fn begin(observer: &Arc<Observer>, head: &RequestHead<'_>) -> Exchange {
    Exchange::begin(observer, observer.arrival(None, 1), head, LIMIT)
}

/// An exchange whose request is that body.
fn post(observer: &Arc<Observer>, session: Option<&str>, body: &[u8]) -> Exchange {
    let exchange = begin(observer, &head(Verb::Post, session));
    let mut reader = RequestReader::new(Coding::Identity);
    reader.push(body, &exchange);
    reader.finish(true, &exchange);
    exchange
}

fn answer(exchange: &Exchange, content_type: &str, body: &[u8]) {
    let head = response(content_type);
    exchange.on_response_head(&head);
    ResponseReader::new(&head, exchange).unwrap().push(body, exchange);
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
    exchange.end(End::Broken);
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
    exchange.end(End::Unreachable);
    let mut reader = RequestReader::new(Coding::Identity);
    reader.push(br#"{"id":1,"method":"ping"}"#, &exchange);
    exchange.end(End::ClientGone);
    assert_eq!(surrounded.seen()[0].code.as_deref(), Some("upstream_unreachable"), "the first end counts");
}

#[test]
fn a_batch_has_as_many_rows_as_are_allowed() {
    let surrounded = Surrounded::new();
    let exchange = post(&surrounded.observer, Some("s"), batch(CALLS_MAX + 10).as_bytes());
    assert_eq!(exchange.end(End::Unreachable).ids.len(), CALLS_MAX);
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
    exchange.end(End::Unreachable);
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
}
