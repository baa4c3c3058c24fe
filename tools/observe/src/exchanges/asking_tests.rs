//! What servers ask: each request is one row, whatever becomes of its stream, of its client, and of its answer.

use super::{Exchange, RequestHead, RequestReader, ResponseHead, ResponseReader, Verb};
use crate::calls::{ANSWER_LIMIT, ASKED_BYTES_MAX, ASKED_OF_ONE_MAX, End};
use crate::read::Codings;
use crate::testing::{Seen, Surrounded, request_head, stories};
use mcplog::event::{Direction, Note, Notes, Outcome, Transport};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(60);
const CALL: &str = r#"{"id":1,"method":"tools/call","params":{"name":"t"}}"#;
const ENDS: [End<'static>; 4] = [End::Complete, End::Broken("reset"), End::ClientGone, End::Silent("waiting")];

/// What brings the server's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    /// The stream of a call's response.
    Post,
    /// The stream that the session listens on.
    Get,
    /// The stream of a session of 2024-11-05.
    First,
    /// The stream of a call's response, where there is no session.
    Stateless,
}

const CARRIERS: [Carrier; 4] = [Carrier::Post, Carrier::Get, Carrier::First, Carrier::Stateless];

impl Carrier {
    fn session(self) -> Option<&'static str> {
        matches!(self, Self::Post | Self::Get).then_some("s")
    }

    /// The session that rows name.
    fn row_session(self) -> Option<&'static str> {
        (self != Self::Stateless).then_some("s")
    }

    fn path(self) -> &'static str {
        if self == Self::First { "/messages" } else { "/mcp" }
    }

    fn query(self) -> Option<&'static str> {
        (self == Self::First).then_some("sessionId=s")
    }
}

/// One exchange whose response is an event stream.
struct Streaming {
    exchange: Exchange,
    reader: ResponseReader,
}

impl Streaming {
    fn send(&mut self, text: &str) {
        self.exchange.touch();
        self.reader.push(text.as_bytes(), &self.exchange);
    }

    /// The server asks.
    fn ask(&mut self, id: u32) {
        self.ask_for("roots/list", &id.to_string());
    }

    fn ask_for(&mut self, method: &str, id: &str) {
        self.send(&format!("data: {{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\"}}\n\n"));
    }

    fn cancel(&mut self, id: u32) {
        let params = format!(r#"{{"requestId":{id}}}"#);
        self.send(&format!("data: {{\"method\":\"notifications/cancelled\",\"params\":{params}}}\n\n"));
    }

    /// The server answers the call that the client made.
    fn answer(&mut self, id: u32) {
        self.send(&format!("data: {{\"id\":{id},\"result\":{{}}}}\n\n"));
    }
}

fn response(status: u16, content_type: &str) -> ResponseHead<'_> {
    ResponseHead { status, session: None, content_type: Some(content_type), codings: Codings::IDENTITY, cause: None }
}

impl Surrounded {
    fn respond(&self, head: &RequestHead<'_>, body: &str, answered: &ResponseHead<'_>) -> Streaming {
        let exchange = Exchange::begin(&self.observer, self.observer.arrival(Some(1), 1), head, LIMIT);
        if head.verb == Verb::Post {
            send(&exchange, body, Codings::IDENTITY);
        }
        exchange.on_response_head(answered);
        let reader = ResponseReader::new(answered, &exchange).unwrap();
        Streaming { exchange, reader }
    }

    /// A stream on which the server may ask.
    fn carry(&self, carrier: Carrier) -> Streaming {
        let events = response(200, "text/event-stream");
        match carrier {
            Carrier::Post | Carrier::Stateless => {
                self.respond(&request_head(Verb::Post, "/mcp", carrier.session()), CALL, &events)
            }
            Carrier::Get => self.respond(&request_head(Verb::Other, "/mcp", Some("s")), "", &events),
            Carrier::First => {
                let mut stream = self.respond(&request_head(Verb::Other, "/sse", None), "", &events);
                stream.send("event: endpoint\ndata: /messages?sessionId=s\n\n");
                stream
            }
        }
    }

    /// The client resumes a stream behind that event.
    fn resume(&self, event: &str) -> Streaming {
        let head = RequestHead { last_event_id: Some(event), ..request_head(Verb::Other, "/mcp", Some("s")) };
        self.respond(&head, "", &response(200, "text/event-stream"))
    }

    /// The client sends that, and the server accepts it with that status.
    fn tell(&self, carrier: Carrier, body: &str, status: u16) {
        self.tell_in(carrier, body, Codings::IDENTITY, status);
    }

    fn tell_in(&self, carrier: Carrier, body: &str, codings: Codings, status: u16) {
        let head =
            RequestHead { query: carrier.query(), ..request_head(Verb::Post, carrier.path(), carrier.session()) };
        let exchange = Exchange::begin(&self.observer, self.observer.arrival(Some(1), 2), &head, LIMIT);
        send(&exchange, body, codings);
        exchange.on_response_head(&response(status, "application/json"));
        exchange.end(End::Complete);
    }

    /// The client answers what it was asked.
    fn reply(&self, carrier: Carrier, id: u32) {
        self.tell(carrier, &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#), 202);
    }

    /// The rows of what the server asked.
    fn asked(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.direction == Some(Direction::Server)).collect()
    }

    /// What became of these: outcome, code, and the latency in seconds.
    fn ends(&self) -> Vec<(Outcome, Option<String>, i64)> {
        let gist = |seen: Seen| (seen.outcome.unwrap(), seen.code, seen.latency_us / 1_000_000);
        self.asked().into_iter().map(gist).collect()
    }
}

fn send(exchange: &Exchange, body: &str, codings: Codings) {
    let mut reader = RequestReader::new(codings, exchange);
    reader.push(body.as_bytes(), exchange);
    reader.finish(true, exchange);
}

fn ok(seconds: i64) -> (Outcome, Option<String>, i64) {
    (Outcome::Ok, None, seconds)
}

fn failed(code: &str, seconds: i64) -> (Outcome, Option<String>, i64) {
    (Outcome::Error, Some(code.to_owned()), seconds)
}

#[test]
fn whatever_brings_it_a_request_of_the_server_is_a_row_that_lasts_from_when_it_passed_to_its_answer() {
    for carrier in CARRIERS {
        for (answer, outcome, code, notes) in [
            (r#"{"jsonrpc":"2.0","id":7,"result":{"roots":[]}}"#, Outcome::Ok, None, Notes::NONE),
            (r#"{"jsonrpc":"2.0","id":"7","result":{}}"#, Outcome::Ok, None, Notes::NONE.with(Note::LenientId)),
            (r#"{"id":7,"error":{"code":-1,"message":"no"}}"#, Outcome::Error, Some("-1"), Notes::NONE),
        ] {
            let surrounded = Surrounded::new();
            let mut stream = surrounded.carry(carrier);
            surrounded.clock.advance(5 * SECOND);
            stream.ask_for("elicitation/create", "7");
            assert_eq!(surrounded.asked(), [], "{carrier:?}");
            assert_eq!(surrounded.observer.recording.counts.asked_in_flight.get(), 1);
            surrounded.wait(40 * SECOND);
            surrounded.tell(carrier, answer, 202);
            let row = surrounded.asked().remove(0);
            assert_eq!((row.method.as_str(), row.rpc_id.as_deref()), ("elicitation/create", Some("7")));
            assert_eq!((row.outcome, row.code.as_deref(), row.latency_us), (Some(outcome), code, 40_000_000));
            assert_eq!((row.session.as_deref(), row.notes), (carrier.row_session(), notes), "{carrier:?}");
            let transport = if carrier == Carrier::First { Transport::Sse } else { Transport::Http };
            assert_eq!((row.transport, row.http_status), (Some(transport), None), "{carrier:?}");
            let path = if carrier == Carrier::First { "/sse" } else { "/mcp" };
            assert_eq!(row.endpoint.as_deref(), Some(path), "the server's path");
            // A second answer is nobody's.
            surrounded.tell(carrier, answer, 202);
            stream.exchange.end(End::Complete);
            surrounded.observer.finish();
            assert_eq!(surrounded.asked().len(), 1, "{carrier:?}");
            assert_eq!(surrounded.observer.recording.counts.asked_in_flight.get(), 0);
        }
    }
}

#[test]
fn ids_of_the_two_directions_have_nothing_to_do_with_each_other() {
    for carrier in [Carrier::Post, Carrier::Stateless] {
        let surrounded = Surrounded::new();
        let mut stream = surrounded.carry(carrier);
        stream.ask(1);
        surrounded.clock.advance(SECOND);
        // The client takes its own call back, and the server what it asked; then each is answered.
        surrounded.reply(carrier, 1);
        surrounded.clock.advance(SECOND);
        stream.answer(1);
        let rows: Vec<_> = surrounded.seen().into_iter().map(|seen| (seen.method, seen.latency_us)).collect();
        assert_eq!(rows, [("roots/list".to_owned(), 1_000_000), ("tools/call".to_owned(), 2_000_000)], "{carrier:?}");

        let surrounded = Surrounded::new();
        let mut stream = surrounded.carry(carrier);
        stream.ask(1);
        stream.cancel(1);
        stream.answer(1);
        surrounded.wait(20 * SECOND);
        let outcomes: Vec<_> = surrounded.seen().into_iter().map(|seen| (seen.method, seen.outcome.unwrap())).collect();
        let expected = [("tools/call".to_owned(), Outcome::Ok), ("roots/list".to_owned(), Outcome::Cancelled)];
        assert_eq!(outcomes, expected, "{carrier:?}");

        let surrounded = Surrounded::new();
        let mut stream = surrounded.carry(carrier);
        stream.ask(1);
        surrounded.tell(carrier, r#"{"method":"notifications/cancelled","params":{"requestId":1}}"#, 202);
        surrounded.reply(carrier, 1);
        stream.exchange.end(End::Complete);
        let outcomes: Vec<_> = surrounded.seen().into_iter().map(|seen| (seen.method, seen.outcome.unwrap())).collect();
        let expected = [("roots/list".to_owned(), Outcome::Ok), ("tools/call".to_owned(), Outcome::Cancelled)];
        assert_eq!(outcomes, expected, "{carrier:?}");
    }
}

#[test]
fn what_a_server_takes_back_is_cancelled_as_of_then_and_a_late_answer_is_noted() {
    for carrier in CARRIERS {
        for is_answered in [false, true] {
            let surrounded = Surrounded::new();
            let mut stream = surrounded.carry(carrier);
            stream.ask(7);
            surrounded.clock.advance(3 * SECOND);
            stream.cancel(7);
            if is_answered {
                surrounded.clock.advance(SECOND);
                surrounded.tell(carrier, r#"{"id":7,"error":{"code":-1,"message":"no"}}"#, 202);
            }
            surrounded.wait(20 * SECOND);
            let row = surrounded.asked().remove(0);
            assert_eq!((row.outcome, row.latency_us), (Some(Outcome::Cancelled), 3_000_000), "{carrier:?}");
            assert_eq!(row.message.as_deref(), Some("the server cancelled the request"));
            assert_eq!(row.notes.has(Note::LateAnswer), is_answered, "{carrier:?}");
            assert_eq!(row.cause.as_deref(), is_answered.then_some("late error -1: no"));
        }
    }
}

#[test]
fn an_answer_counts_after_its_stream_has_ended_and_nobody_else_is_asked_then() {
    for carrier in [Carrier::Post, Carrier::Get, Carrier::Stateless] {
        for end in ENDS {
            let surrounded = Surrounded::new();
            let mut stream = surrounded.carry(carrier);
            stream.ask(7);
            stream.exchange.end(end);
            surrounded.wait(9 * SECOND);
            surrounded.reply(carrier, 8);
            assert_eq!(surrounded.asked(), [], "an id that nobody asked with");
            surrounded.reply(carrier, 7);
            assert_eq!(surrounded.ends(), [ok(9)], "{carrier:?} {end:?}");
        }
    }
}

#[test]
fn a_stream_that_ended_leaves_its_client_as_long_as_it_may_need_or_as_its_being_gone_needs_to_show() {
    for carrier in [Carrier::Post, Carrier::Get, Carrier::Stateless] {
        for (end, seconds, code) in [
            (End::Complete, 300, "no_response"),
            (End::Broken("reset"), 300, "stream_broken"),
            (End::Silent("waiting"), 300, "stream_broken"),
            (End::ClientGone, 10, "client_gone"),
        ] {
            let surrounded = Surrounded::new();
            let mut stream = surrounded.carry(carrier);
            stream.ask(7);
            surrounded.clock.advance(2 * SECOND);
            stream.exchange.end(end);
            surrounded.wait(seconds * SECOND - SECOND);
            assert_eq!(surrounded.asked(), [], "{carrier:?} {end:?}");
            surrounded.wait(SECOND);
            assert_eq!(surrounded.ends(), [failed(code, 2)], "{carrier:?} {end:?}");
            surrounded.reply(carrier, 7);
            assert_eq!(surrounded.asked().len(), 1, "too late");
        }
    }
}

#[test]
fn a_client_that_listens_elsewhere_or_again_is_not_gone() {
    for end in ENDS {
        for is_back_before in [false, true] {
            let surrounded = Surrounded::new();
            let mut stream = surrounded.carry(Carrier::Post);
            stream.ask(7);
            let before = is_back_before.then(|| surrounded.carry(Carrier::Get));
            stream.exchange.end(end);
            let listening = before.unwrap_or_else(|| surrounded.carry(Carrier::Get));
            surrounded.wait(400 * SECOND);
            assert_eq!(surrounded.asked(), [], "{end:?} {is_back_before}");
            listening.exchange.end(End::ClientGone);
            surrounded.wait(10 * SECOND);
            assert_eq!(surrounded.ends(), [failed("client_gone", 400)], "{end:?} {is_back_before}");
        }
    }
}

#[test]
fn in_the_first_transport_the_stream_is_the_session_and_nothing_is_answered_without_it() {
    for (end, code) in
        [(End::Complete, "stream_broken"), (End::Broken("reset"), "stream_broken"), (End::ClientGone, "client_gone")]
    {
        let surrounded = Surrounded::new();
        let mut stream = surrounded.carry(Carrier::First);
        stream.ask(7);
        surrounded.clock.advance(SECOND);
        stream.exchange.end(end);
        assert_eq!(surrounded.ends(), [failed(code, 1)], "{end:?}");
    }
}

#[test]
fn a_client_that_never_answers_is_timed_out_whatever_passes_meanwhile() {
    for carrier in CARRIERS {
        let surrounded = Surrounded::new();
        let mut stream = surrounded.carry(carrier);
        stream.ask(7);
        let minutes = u32::try_from(ANSWER_LIMIT.as_secs() / 60).unwrap();
        for minute in 0..minutes {
            assert_eq!(surrounded.asked(), [], "{carrier:?} {minute}");
            stream.send(": still there\n\n");
            surrounded.wait(60 * SECOND);
        }
        let expected = (Outcome::Timeout, Some("answer_timeout".to_owned()), 3600);
        assert_eq!(surrounded.ends(), [expected], "{carrier:?}");
        surrounded.reply(carrier, 7);
        assert_eq!(surrounded.asked().len(), 1);
    }
}

#[test]
fn a_session_that_is_over_answers_nothing() {
    for status in [200, 404] {
        let surrounded = Surrounded::new();
        let mut stream = surrounded.carry(Carrier::Get);
        stream.ask(7);
        surrounded.clock.advance(SECOND);
        if status == 404 {
            surrounded.tell(Carrier::Get, r#"{"method":"notifications/x"}"#, 404);
        } else {
            let head = request_head(Verb::Delete, "/mcp", Some("s"));
            let exchange = Exchange::begin(&surrounded.observer, surrounded.observer.arrival(Some(1), 2), &head, LIMIT);
            exchange.on_response_head(&response(200, "text/plain"));
        }
        assert_eq!(surrounded.ends(), [failed("no_response", 1)], "{status}");
        assert_eq!(
            surrounded.asked()[0].message.as_deref(),
            Some("the stream or the session ended before the client answered")
        );
        stream.exchange.end(End::Complete);
        assert_eq!(surrounded.asked().len(), 1);
    }
}

#[test]
fn what_is_open_when_the_proxy_stops_is_lost_and_has_its_row() {
    for carrier in CARRIERS {
        for is_cut_before in [false, true] {
            let surrounded = Surrounded::new();
            let mut stream = surrounded.carry(carrier);
            stream.ask(7);
            surrounded.observer.drain();
            assert_eq!(surrounded.asked(), [], "its client may still answer on a connection that is there");
            surrounded.observer.stop();
            if is_cut_before {
                stream.exchange.end(End::ClientGone);
            }
            surrounded.observer.finish();
            let ends = surrounded.ends();
            assert_eq!((ends.len(), ends[0].0), (1, Outcome::Lost), "{carrier:?} {is_cut_before}");
            assert_eq!(ends[0].1.as_deref(), Some("proxy_shutdown"));
        }
    }
}

#[test]
fn draining_waits_for_no_answer_of_a_client() {
    let surrounded = Surrounded::new();
    let mut stream = surrounded.carry(Carrier::Get);
    stream.ask(7);
    assert_eq!(surrounded.observer.open_calls(), 0);
    stream.exchange.end(End::ClientGone);
    surrounded.observer.drain();
    assert_eq!(surrounded.ends(), [failed("client_gone", 0)]);
}

#[test]
fn everything_is_freed_and_has_its_row_when_the_observer_goes() {
    for carrier in CARRIERS {
        for is_ended in [false, true] {
            let surrounded = Surrounded::new();
            let mut stream = surrounded.carry(carrier);
            stream.ask(7);
            if is_ended {
                stream.exchange.end(End::Complete);
            }
            drop(stream);
            let rows = surrounded.into_seen();
            let asked = rows.iter().filter(|row| row.direction == Some(Direction::Server)).count();
            assert_eq!(asked, 1, "{carrier:?} {is_ended}");
        }
    }
}

#[test]
fn a_request_that_is_replayed_is_the_same_one_answered_or_not() {
    let event = |event: &str, id: u32| format!("id: {event}\ndata: {{\"id\":{id},\"method\":\"roots/list\"}}\n\n");
    for is_answered in [false, true] {
        for is_of_post in [false, true] {
            let surrounded = Surrounded::new();
            let carrier = if is_of_post { Carrier::Post } else { Carrier::Get };
            let mut stream = surrounded.carry(carrier);
            stream.send("id: e0\ndata:\n\n");
            stream.send(&event("e1", 7));
            if is_answered {
                surrounded.reply(carrier, 7);
            }
            stream.exchange.end(End::Broken("reset"));
            for _ in 0..2 {
                let mut resumed = surrounded.resume("e0");
                resumed.send(&event("e1", 7));
                resumed.exchange.end(End::Broken("reset"));
            }
            // What comes behind it is new, and so is what its server asks with another id in that event.
            let mut resumed = surrounded.resume("e0");
            resumed.send(&event("e1", 7));
            resumed.send(&event("e2", 8));
            resumed.send(&event("e2", 9));
            for id in [7, 8, 9] {
                surrounded.reply(carrier, id);
            }
            let mut ids: Vec<_> = surrounded.asked().into_iter().filter_map(|row| row.rpc_id).collect();
            ids.sort();
            assert_eq!(ids, ["7", "8", "9"], "{is_answered} {carrier:?}");
            assert!(surrounded.asked().iter().all(|row| row.outcome == Some(Outcome::Ok)));
            drop(resumed);
        }
    }
}

#[test]
fn on_a_stream_that_nobody_remembers_what_is_still_asked_is_the_same_one() {
    let surrounded = Surrounded::new();
    let mut stream = surrounded.carry(Carrier::Get);
    stream.ask(7);
    stream.exchange.end(End::Broken("reset"));
    let mut resumed = surrounded.resume("unknown");
    resumed.ask(7);
    surrounded.reply(Carrier::Get, 7);
    assert_eq!(surrounded.ends(), [ok(0)]);
}

#[test]
fn an_event_that_is_cut_off_asks_nothing_and_asks_when_it_comes_whole() {
    let whole = "id: e1\ndata: {\"id\":7,\"method\":\"roots/list\"}\n\n";
    for at in 1..whole.len() {
        let surrounded = Surrounded::new();
        let mut stream = surrounded.carry(Carrier::Get);
        stream.send("id: e0\ndata:\n\n");
        stream.send(&whole[..at]);
        stream.exchange.end(End::Broken("reset"));
        assert_eq!(surrounded.observer.recording.counts.asked_in_flight.get(), 0, "{at}");
        let mut resumed = surrounded.resume("e0");
        resumed.send(whole);
        surrounded.reply(Carrier::Get, 7);
        assert_eq!(surrounded.ends(), [ok(0)], "{at}");
    }
}

#[test]
fn a_server_that_asks_twice_with_one_id_asks_twice_and_is_answered_in_turn() {
    for carrier in [Carrier::Post, Carrier::Get, Carrier::First] {
        let surrounded = Surrounded::new();
        let mut stream = surrounded.carry(carrier);
        stream.ask_for("roots/list", "7");
        surrounded.clock.advance(SECOND);
        stream.ask_for("ping", "7");
        surrounded.clock.advance(SECOND);
        surrounded.reply(carrier, 7);
        surrounded.clock.advance(SECOND);
        surrounded.reply(carrier, 7);
        let rows: Vec<_> = surrounded.asked().into_iter().map(|row| (row.method, row.latency_us)).collect();
        assert_eq!(rows, [("roots/list".to_owned(), 2_000_000), ("ping".to_owned(), 2_000_000)], "{carrier:?}");
    }
}

#[test]
fn where_clients_cannot_be_told_apart_an_answer_that_may_be_either_s_is_nobody_s() {
    let surrounded = Surrounded::new();
    let [mut first, mut second] = [0; 2].map(|_| surrounded.carry(Carrier::Stateless));
    first.ask(0);
    second.ask(0);
    first.ask(1);
    surrounded.reply(Carrier::Stateless, 0);
    assert_eq!(surrounded.asked(), []);
    surrounded.reply(Carrier::Stateless, 1);
    assert_eq!(surrounded.ends(), [ok(0)], "nobody else has that one");
    // Nor what one of them takes back.
    second.cancel(0);
    surrounded.wait(20 * SECOND);
    assert_eq!(surrounded.asked().len(), 1);
    drop((first, second));
    surrounded.wait(20 * SECOND);
    assert_eq!(surrounded.ends()[1..], [failed("client_gone", 20), failed("client_gone", 20)]);
}

#[test]
fn answers_of_others_answer_nothing() {
    let surrounded = Surrounded::new();
    let mut stream = surrounded.carry(Carrier::Get);
    stream.ask(7);
    surrounded.reply(Carrier::Stateless, 7);
    let other = request_head(Verb::Post, "/mcp", Some("another"));
    let exchange = Exchange::begin(&surrounded.observer, surrounded.observer.arrival(Some(1), 1), &other, LIMIT);
    send(&exchange, r#"{"id":7,"result":{}}"#, Codings::IDENTITY);
    // Nor does one that names no request, or that its client broke off.
    surrounded.tell(Carrier::Get, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"m"}}"#, 202);
    let head = request_head(Verb::Post, "/mcp", Some("s"));
    let broken = Exchange::begin(&surrounded.observer, surrounded.observer.arrival(Some(1), 1), &head, LIMIT);
    let mut reader = RequestReader::new(Codings::IDENTITY, &broken);
    reader.push(br#"{"id":7,"result":{"#, &broken);
    reader.finish(false, &broken);
    assert_eq!(surrounded.asked(), []);
    surrounded.reply(Carrier::Get, 7);
    assert_eq!(surrounded.ends(), [ok(0)]);
}

#[test]
fn answers_in_a_batch_are_each_that_of_its_request() {
    let surrounded = Surrounded::new();
    let mut stream = surrounded.carry(Carrier::First);
    stream.send("data: [{\"id\":1,\"method\":\"a\"},{\"id\":2,\"method\":\"b\"},{\"id\":3,\"method\":\"c\"}]\n\n");
    let answers = r#"[{"id":3,"result":{}},{"id":9,"result":{}},{"id":1,"error":{"code":5,"message":"m"}},
        {"id":4,"method":"ping"}]"#;
    surrounded.tell(Carrier::First, answers, 202);
    let rows: Vec<_> = surrounded.asked().into_iter().map(|row| (row.method, row.outcome.unwrap())).collect();
    assert_eq!(rows, [("c".to_owned(), Outcome::Ok), ("a".to_owned(), Outcome::Error)]);
    assert_eq!(surrounded.observer.recording.counts.asked_in_flight.get(), 1);
}

#[test]
fn where_something_passed_unread_that_may_have_been_the_answer_the_row_says_so() {
    for (status, is_noted) in [(202, true), (400, false)] {
        let surrounded = Surrounded::new();
        let mut stream = surrounded.carry(Carrier::Get);
        stream.ask(7);
        surrounded.tell_in(Carrier::Get, r#"{"id":7,"result":{}}"#, Codings::of(["unheard-of"]), status);
        assert_eq!(surrounded.asked(), []);
        stream.exchange.end(End::ClientGone);
        surrounded.wait(10 * SECOND);
        assert_eq!(surrounded.ends(), [failed("client_gone", 0)]);
        assert_eq!(surrounded.asked()[0].notes.has(Note::Unread), is_noted, "{status}");
    }
}

#[test]
fn a_response_that_passes_unread_asks_nothing_that_anybody_knows() {
    let surrounded = Surrounded::new();
    let packed = ResponseHead { codings: Codings::of(["unheard-of"]), ..response(200, "text/event-stream") };
    let mut stream = surrounded.respond(&request_head(Verb::Other, "/mcp", Some("s")), "", &packed);
    stream.ask(7);
    stream.exchange.end(End::Complete);
    assert_eq!(surrounded.into_seen(), []);
}

#[test]
fn a_body_without_events_may_ask_and_a_refusal_asks_nothing() {
    for (status, content_type, rows) in [
        (200, "application/json", 1),
        (200, "text/event-stream", 1),
        (307, "application/json", 0),
        (404, "application/json", 0),
        (500, "text/event-stream", 0),
    ] {
        let surrounded = Surrounded::new();
        let answered = response(status, content_type);
        let mut stream = surrounded.respond(&request_head(Verb::Post, "/mcp", Some("s")), CALL, &answered);
        let request = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#;
        let is_stream = content_type == "text/event-stream";
        stream.send(&if is_stream { format!("data: {request}\n\n") } else { request.to_owned() });
        stream.exchange.end(End::Complete);
        surrounded.observer.finish();
        assert_eq!(surrounded.asked().len(), rows, "{status} {content_type}");
        assert_eq!(surrounded.seen().len(), rows + 1, "the call itself has its row in any case");
    }
}

#[test]
fn in_a_revision_without_requests_of_the_server_one_is_a_row_all_the_same() {
    let surrounded = Surrounded::new();
    let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
        "io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}}"#;
    let body = format!(r#"{{"id":1,"method":"tools/call","params":{{"name":"t","_meta":{meta}}}}}"#);
    let version = Some("2026-07-28");
    let head = RequestHead { protocol_version: version, ..request_head(Verb::Post, "/mcp", None) };
    let mut stream = surrounded.respond(&head, &body, &response(200, "text/event-stream"));
    stream.ask(7);
    stream.answer(1);
    stream.exchange.end(End::ClientGone);
    // Closing the stream takes nothing back that the server asked.
    surrounded.wait(10 * SECOND);
    assert_eq!(surrounded.ends(), [failed("client_gone", 0)]);
    let [call, asked] = &surrounded.seen()[..] else { panic!("{:?}", surrounded.seen()) };
    assert!(call.session.is_some() && call.session == asked.session, "that of the client which it asks");
    assert_eq!(asked.protocol_version.as_deref(), version);
}

#[test]
fn a_session_that_begins_with_the_response_is_that_of_what_is_asked_in_it() {
    let surrounded = Surrounded::new();
    let answered = ResponseHead { session: Some("s"), ..response(200, "text/event-stream") };
    let handshake = r#"{"id":1,"method":"initialize","params":{"clientInfo":{"name":"c"}}}"#;
    let mut stream = surrounded.respond(&request_head(Verb::Post, "/mcp", None), handshake, &answered);
    stream.ask_for("ping", "7");
    surrounded.reply(Carrier::Post, 7);
    assert_eq!(surrounded.asked()[0].session.as_deref(), Some("s"));
    stream.answer(1);
    assert_eq!(surrounded.sessions().len(), 1, "once");
}

#[test]
fn a_server_that_asks_without_end_has_a_row_for_each_and_fills_nothing() {
    for count in [ASKED_OF_ONE_MAX, ASKED_OF_ONE_MAX + 1, 5_000] {
        let surrounded = Surrounded::new();
        let mut stream = surrounded.carry(Carrier::Get);
        // What another one asks is not touched by it.
        let mut other = surrounded.carry(Carrier::Stateless);
        other.ask_for("roots/list", "\"other\"");
        for id in 0..count {
            stream.ask_for("sampling/createMessage", &id.to_string());
        }
        let asked = &surrounded.observer.asked;
        assert_eq!(asked.size().0, count.min(ASKED_OF_ONE_MAX) + 1);
        let displaced = count.saturating_sub(ASKED_OF_ONE_MAX);
        assert_eq!(surrounded.ends(), vec![failed("displaced", 0); displaced]);
        // The latest is answered.
        surrounded.tell(Carrier::Get, &format!(r#"{{"id":{},"result":{{}}}}"#, count - 1), 202);
        surrounded.tell(Carrier::Stateless, r#"{"id":"other","result":{}}"#, 202);
        assert_eq!(surrounded.ends()[displaced..], [ok(0), ok(0)]);
        stream.exchange.end(End::ClientGone);
        surrounded.observer.finish();
        assert_eq!(surrounded.asked().len(), count + 1);
        assert_eq!(asked.size(), (0, 0));
    }
}

#[test]
fn many_servers_that_ask_for_much_stay_within_what_there_is_and_each_request_has_its_row() {
    let surrounded = Surrounded::new();
    let method = "m".repeat(8_000);
    let mut streams = Vec::new();
    for session in 0..20 {
        let session = format!("s{session}");
        let head = request_head(Verb::Other, "/mcp", Some(&session));
        let mut stream = surrounded.respond(&head, "", &response(200, "text/event-stream"));
        for id in 0..100 {
            stream.ask_for(&method, &id.to_string());
            assert!(surrounded.observer.asked.size().1 <= ASKED_BYTES_MAX);
        }
        streams.push(stream);
    }
    assert!(surrounded.observer.asked.size().1 + 2 * method.len() > ASKED_BYTES_MAX, "it is used");
    drop(streams);
    surrounded.observer.finish();
    assert_eq!(surrounded.asked().len(), 2_000);
    assert_eq!(surrounded.observer.asked.size(), (0, 0));
}

#[test]
fn the_upstream_is_not_silent_while_its_client_owes_an_answer_and_has_all_its_time_after_that() {
    for carrier in [Carrier::Post, Carrier::Get] {
        let surrounded = Surrounded::new();
        let mut listening = surrounded.carry(Carrier::Get);
        let mut calling = surrounded.carry(Carrier::Post);
        if carrier == Carrier::Post {
            calling.ask(7)
        } else {
            listening.ask(7)
        }
        let due = |calling: &Streaming| calling.exchange.deadline().unwrap() - surrounded.clock.instant();
        assert_eq!(due(&calling), LIMIT);
        surrounded.wait(5 * LIMIT);
        assert_eq!(due(&calling), LIMIT, "{carrier:?}: it is not to blame");
        surrounded.reply(carrier, 7);
        assert_eq!(due(&calling), LIMIT, "{carrier:?}: now its time runs");
        surrounded.wait(LIMIT / 2);
        assert_eq!(due(&calling), LIMIT / 2, "{carrier:?}");
        surrounded.wait(LIMIT / 2);
        assert_eq!(due(&calling), Duration::ZERO, "{carrier:?}");
    }
}

/// What may happen to what a server asks.
#[derive(Clone, Copy, Debug)]
enum Step {
    Ask,
    Reply,
    Cancel,
    Cut,
    Resume,
    Listen,
    Wait,
    Close,
}

#[test]
fn in_every_story_each_request_has_one_row() {
    use Step::{Ask, Cancel, Close, Cut, Listen, Reply, Resume, Wait};
    for story in stories(&[Ask, Reply, Cancel, Cut, Resume, Listen, Wait, Close], 5) {
        let surrounded = Surrounded::new();
        let mut asked = 0;
        let mut stream = Some(surrounded.carry(Carrier::Post));
        let mut others = Vec::new();
        for step in &story {
            match (step, &mut stream) {
                (Ask, Some(stream)) => {
                    asked += 1;
                    stream.send(&format!("id: e{asked}\ndata: {{\"id\":7,\"method\":\"a{asked}\"}}\n\n"));
                }
                (Cancel, Some(stream)) => stream.cancel(7),
                (Cut, Some(_)) => stream.take().into_iter().for_each(|cut| drop(cut.exchange.end(End::Broken("cut")))),
                (Resume, _) => {
                    // All that was asked so far is replayed.
                    let mut resumed = surrounded.resume("e1");
                    for number in 1..=asked {
                        resumed.send(&format!("id: e{number}\ndata: {{\"id\":7,\"method\":\"a{number}\"}}\n\n"));
                    }
                    others.push(resumed);
                }
                (Reply, _) => surrounded.reply(Carrier::Post, 7),
                (Listen, _) => others.push(surrounded.carry(Carrier::Get)),
                (Wait, _) => surrounded.wait(6 * SECOND),
                (Close, _) => surrounded.tell(Carrier::Post, r#"{"method":"n"}"#, 404),
                (Ask | Cancel | Cut, None) => {}
            }
        }
        drop((stream, others));
        surrounded.observer.finish();
        let mut methods: Vec<_> = surrounded.asked().into_iter().map(|row| row.method).collect();
        methods.sort();
        let expected: Vec<_> = (1..=asked).map(|number| format!("a{number}")).collect();
        assert_eq!(methods, expected, "{story:?}");
        assert_eq!(surrounded.observer.asked.size(), (0, 0), "{story:?}");
        assert_eq!(surrounded.observer.recording.counts.asked_in_flight.get(), 0, "{story:?}");
    }
}
