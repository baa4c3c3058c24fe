//! Packed bodies are read as plain ones are, wherever they are cut; what passes unread has rows that say so.

use super::{Exchange, RequestHead, RequestReader, ResponseHead, ResponseReader, Verb};
use crate::budget::Budget;
use crate::calls::End;
use crate::read::{Codings, TOKEN_BYTES_MAX};
use crate::testing::{Seen, Surrounded};
use mcplog::event::{Note, Notes, Outcome};
use mcplog_packing::{Packer, Way, all, content_encoding, pack};
use std::time::Duration;

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const UNREAD: Notes = Notes::NONE.with(Note::Unread);
const CALLS: &str =
    r#"[{"id":1,"method":"ping"},{"id":2,"method":"tools/call","params":{"name":"t"}},{"id":3,"method":"odd"}]"#;
const ANSWERS: &str = "data: {\"id\":2,\"result\":{\"isError\":true}}\n\n: comment\n\nid: 7\ndata: [{\"id\":1,\ndata: \"result\":{}}]\n\n";

fn codings(ways: &[Way]) -> Codings {
    Codings::of([content_encoding(ways).as_str()])
}

/// An exchange with the readers of its two bodies.
struct Played<'a> {
    surrounded: &'a Surrounded,
    exchange: Exchange,
    request: RequestReader,
}

impl<'a> Played<'a> {
    fn begin(surrounded: &'a Surrounded, method: Option<&str>, request: Codings) -> Self {
        let head = RequestHead {
            verb: Verb::Post,
            path: "/mcp",
            session: None,
            query: None,
            last_event_id: None,
            protocol_version: None,
            authorization: None,
            user_agent: None,
            method,
            name: None,
        };
        let observer = &surrounded.observer;
        let exchange = Exchange::begin(observer, observer.arrival(None, 1), &head, Duration::from_secs(60));
        let request = RequestReader::new(request, &exchange);
        Self { surrounded, exchange, request }
    }

    fn request<'p>(mut self, pieces: impl IntoIterator<Item = &'p [u8]>) -> Answering<'a> {
        for piece in pieces {
            self.request.push(piece, &self.exchange);
        }
        self.request.finish(true, &self.exchange);
        Answering { surrounded: self.surrounded, exchange: self.exchange, response: None }
    }
}

struct Answering<'a> {
    surrounded: &'a Surrounded,
    exchange: Exchange,
    response: Option<ResponseReader>,
}

impl Answering<'_> {
    fn head(mut self, status: u16, content_type: &str, codings: Codings) -> Self {
        let head = ResponseHead { status, session: None, content_type: Some(content_type), codings, cause: None };
        self.exchange.on_response_head(&head);
        self.response = ResponseReader::new(&head, &self.exchange);
        self
    }

    fn push(&mut self, bytes: &[u8]) {
        self.response.as_mut().unwrap().push(bytes, &self.exchange);
    }

    fn response<'p>(mut self, pieces: impl IntoIterator<Item = &'p [u8]>) -> Self {
        pieces.into_iter().for_each(|piece| self.push(piece));
        self
    }

    fn end(self, end: End<'_>) -> Vec<Seen> {
        self.exchange.end(end);
        // A stream with ids may be resumed; nobody does.
        self.surrounded.clock.advance(Duration::from_secs(10));
        self.surrounded.observer.give_up_overdue();
        let mut rows = self.surrounded.seen();
        rows.sort_by(|one, other| one.rpc_id.cmp(&other.rpc_id));
        rows
    }
}

/// The rows of an exchange whose bodies are packed so, and cut there.
fn rows(ways: &[Way], cut: impl Fn(usize) -> usize) -> Vec<Seen> {
    let surrounded = Surrounded::new();
    let (request, response) = (pack(ways, CALLS.as_bytes()), pack(ways, ANSWERS.as_bytes()));
    let halves = |bytes: &'static [u8]| bytes.split_at(cut(bytes.len()));
    let (request, response) = (halves(request.leak()), halves(response.leak()));
    let answering = Played::begin(&surrounded, None, codings(ways)).request([request.0, request.1]);
    answering.head(200, EVENTS, codings(ways)).response([response.0, response.1]).end(End::Complete)
}

#[test]
fn packed_bodies_have_the_rows_of_plain_ones_wherever_they_are_cut() {
    let plain = rows(&[], |len| len);
    let outcomes: Vec<_> = plain.iter().map(|row| row.outcome.unwrap()).collect();
    assert_eq!(outcomes, [Outcome::Ok, Outcome::ToolError, Outcome::Error], "two are answered");
    for ways in all() {
        let longest = pack(&ways, CALLS.as_bytes()).len().max(pack(&ways, ANSWERS.as_bytes()).len());
        for cut in 0..=longest {
            assert_eq!(rows(&ways, |len| cut.min(len)), plain, "{ways:?} cut at {cut}");
        }
    }
}

#[test]
fn a_packed_event_counts_when_it_comes() {
    for ways in all() {
        let surrounded = Surrounded::new();
        let mut packer = Packer::new(&ways);
        let mut answering = Played::begin(&surrounded, None, Codings::IDENTITY).request([CALLS.as_bytes()]).head(
            200,
            EVENTS,
            codings(&ways),
        );
        for (id, seconds) in [(2, 1), (3, 5), (1, 60)] {
            surrounded.clock.advance(Duration::from_secs(seconds));
            answering.push(&packer.flushed(format!("data: {{\"id\":{id},\"result\":{{}}}}\n\n").as_bytes()));
        }
        answering.push(&packer.finish());
        let latencies: Vec<_> = answering.end(End::Complete).iter().map(|row| row.latency_us / 1_000_000).collect();
        assert_eq!(latencies, [66, 1, 6], "{ways:?}");
    }
}

/// Method, code and notes.
fn gist(rows: &[Seen]) -> Vec<(&str, Option<&str>, Notes)> {
    rows.iter().map(|row| (row.method.as_str(), row.code.as_deref(), row.notes)).collect()
}

#[test]
fn a_request_that_passes_unread_has_a_row_once_it_is_known_to_be_a_call() {
    let answer = br#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    for (method, status, response, expected) in [
        (None, 200, &answer[..], Some(("(unread)", None))),
        (None, 200, b"", Some(("(unread)", Some("no_response")))),
        (None, 400, b"", Some(("(unread)", Some("http_400")))),
        (None, 202, b"", None),
        (None, 204, b"", None),
        (Some("tools/call"), 200, answer, Some(("tools/call", None))),
        (Some("tools/call"), 202, b"", Some(("tools/call", Some("no_response")))),
        (Some("notifications/x"), 400, b"", None),
    ] {
        // The head of the response may come before the request is over.
        for is_early in [false, true] {
            let surrounded = Surrounded::new();
            let mut played = Played::begin(&surrounded, method, Codings::UNKNOWN);
            let answering = if is_early {
                played.request.push(b"?", &played.exchange);
                let Played { surrounded, exchange, request } = played;
                let answering =
                    Answering { surrounded, exchange, response: None }.head(status, JSON, Codings::IDENTITY);
                request.finish(true, &answering.exchange);
                answering
            } else {
                played.request([&b"?"[..]]).head(status, JSON, Codings::IDENTITY)
            };
            let rows = answering.response([response]).end(End::Complete);
            let expected: Vec<_> = expected.iter().map(|(method, code)| (*method, *code, UNREAD)).collect();
            assert_eq!(gist(&rows), expected, "{method:?} {status} early: {is_early}");
        }
    }
}

#[test]
fn a_request_that_passes_unread_and_is_not_answered_at_all_has_a_row() {
    for (end, code) in [
        (End::Unreachable("refused"), "upstream_unreachable"),
        (End::Silent("waiting"), "upstream_timeout"),
        (End::ClientGone, "client_gone"),
    ] {
        let surrounded = Surrounded::new();
        let rows = Played::begin(&surrounded, None, Codings::UNKNOWN).request([&b"?"[..]]).end(end);
        assert_eq!(gist(&rows), [("(unread)", Some(code), UNREAD)]);
        // The body may be read after the exchange ended.
        let surrounded = Surrounded::new();
        let played = Played::begin(&surrounded, None, Codings::UNKNOWN);
        played.exchange.end(end);
        drop(played.request([&b"?"[..]]));
        assert_eq!(gist(&surrounded.seen()), [("(unread)", Some(code), UNREAD)]);
    }
}

#[test]
fn a_stream_whose_request_passed_unread_may_be_silent() {
    let surrounded = Surrounded::new();
    let answering =
        Played::begin(&surrounded, None, Codings::UNKNOWN).request([&b"?"[..]]).head(200, EVENTS, Codings::IDENTITY);
    assert_eq!(answering.exchange.deadline(), None, "it may be a subscription");
}

#[test]
fn a_response_that_passes_unread_is_noted_on_the_rows_it_may_have_answered() {
    let event = "data: {\"id\":1,\"result\":{}}\n\n";
    let damaged =
        [pack(&[Way::Gzip], event.as_bytes()), pack(&[Way::Gzip], b"data")[..9].to_vec(), vec![0xff; 20]].concat();
    let cut = pack(&[Way::Gzip], CALLS.as_bytes());
    for (end, code) in [
        (End::Complete, "unreadable_response"),
        (End::Broken("reset"), "stream_broken"),
        (End::ClientGone, "client_gone"),
        (End::Silent("waiting"), "upstream_timeout"),
    ] {
        let surrounded = Surrounded::new();
        let calls = Played::begin(&surrounded, None, Codings::IDENTITY).request([CALLS.as_bytes()]);
        let rows = calls.head(200, EVENTS, codings(&[Way::Gzip])).response([damaged.as_slice()]).end(end);
        let gist = gist(&rows);
        assert_eq!(gist[0], ("ping", None, Notes::NONE), "it was answered before");
        assert_eq!(gist[1..], [("tools/call", Some(code), UNREAD), ("odd", Some(code), UNREAD)]);
    }
    // A response that is complete while its coding is not.
    let surrounded = Surrounded::new();
    let calls = Played::begin(&surrounded, None, Codings::IDENTITY).request([CALLS.as_bytes()]);
    let rows = calls.head(200, JSON, codings(&[Way::Gzip])).response([&cut[..20]]).end(End::Complete);
    assert!(gist(&rows).iter().all(|(_, code, notes)| (*code, *notes) == (Some("unreadable_response"), UNREAD)));
    // One without a byte: there is nothing in it to be read.
    let surrounded = Surrounded::new();
    let calls = Played::begin(&surrounded, None, Codings::IDENTITY).request([CALLS.as_bytes()]);
    let rows = calls.head(200, JSON, codings(&[Way::Gzip])).response([]).end(End::Complete);
    assert!(gist(&rows).iter().all(|(_, code, notes)| (*code, *notes) == (Some("no_response"), Notes::NONE)));
}

#[test]
fn small_messages_are_read_whatever_is_left_of_the_budget() {
    let budget = Budget::new(0);
    let surrounded = Surrounded::within(budget.clone());
    let response = format!("data: {{\"id\":1,\"error\":{{\"code\":1,\"message\":\"{}\"}}}}\n\n", "m".repeat(1500));
    let calls = Played::begin(&surrounded, None, Codings::IDENTITY).request([CALLS.as_bytes()]);
    let rows = calls.head(200, EVENTS, Codings::IDENTITY).response([response.as_bytes()]).end(End::Complete);
    assert_eq!(gist(&rows)[0], ("ping", Some("1"), Notes::NONE));
    assert_eq!((rows.len(), budget.taken()), (3, 0));
}

#[test]
fn what_finds_no_room_in_the_budget_passes_unread() {
    let long = "x".repeat(TOKEN_BYTES_MAX);
    let call = format!(r#"{{"id":1,"method":"tools/call","params":{{"name":"{long}"}}}}"#);
    let error = format!(r#"{{"id":1,"error":{{"code":1,"message":"{long}"}}}}"#);
    for (ways, request, response, expected) in [
        (&[][..], CALLS, error.as_str(), [("ping", Some("unreadable_response"))]),
        (&[Way::Gzip], CALLS, r#"{"id":1,"result":{}}"#, [("ping", Some("unreadable_response"))]),
        (&[], &call, r#"{"id":1,"result":{}}"#, [("tools/call", None)]),
    ] {
        let surrounded = Surrounded::within(Budget::new(1000));
        let calls = Played::begin(&surrounded, None, Codings::IDENTITY).request([request.as_bytes()]);
        let packed = pack(ways, response.as_bytes());
        let rows = calls.head(200, JSON, codings(ways)).response([packed.as_slice()]).end(End::Complete);
        let expected = expected.map(|(method, code)| (method, code, UNREAD));
        assert_eq!(gist(&rows)[..1], expected, "{ways:?}");
        let budget = surrounded.observer.recording.budget.clone();
        drop(surrounded);
        assert_eq!(budget.taken(), 0);
    }
}

#[test]
fn responses_beyond_what_one_event_may_bring_pass_unread() {
    let surrounded = Surrounded::within(Budget::new(0));
    let mut calls = Played::begin(&surrounded, None, Codings::IDENTITY).request([CALLS.as_bytes()]).head(
        200,
        EVENTS,
        Codings::IDENTITY,
    );
    let others: String = (100..200).map(|id| format!(r#"{{"id":{id},"result":0}},"#)).collect();
    calls.push(format!("data: [{{\"id\":2,\"result\":0}},{others}{{\"id\":1,\"result\":0}}]\n\n").as_bytes());
    let rows = calls.end(End::Complete);
    assert_eq!(gist(&rows)[0], ("ping", Some("unreadable_response"), UNREAD));
    assert_eq!(gist(&rows)[1], ("tools/call", None, Notes::NONE));
}

#[test]
fn a_404_that_passes_unread_closes_no_session() {
    for (codings, closes) in [(Codings::IDENTITY, 1), (Codings::UNKNOWN, 0)] {
        let surrounded = Surrounded::new();
        let observer = &surrounded.observer;
        let head = RequestHead {
            verb: Verb::Post,
            path: "/mcp",
            session: Some("s"),
            query: None,
            authorization: None,
            last_event_id: None,
            user_agent: None,
            protocol_version: None,
            method: None,
            name: None,
        };
        for status in [200, 404] {
            let exchange = Exchange::begin(observer, observer.arrival(None, 1), &head, Duration::from_secs(60));
            let mut request = RequestReader::new(Codings::IDENTITY, &exchange);
            request.push(br#"{"id":1,"method":"ping"}"#, &exchange);
            request.finish(true, &exchange);
            Answering { surrounded: &surrounded, exchange, response: None }
                .head(status, JSON, codings)
                .response([&b"what was asked for was not found"[..]])
                .end(End::Complete);
        }
        assert_eq!(surrounded.closes().len(), closes, "{codings:?}");
    }
}
