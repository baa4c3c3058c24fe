//! Calls that their clients give up: one act, one name, however it was said; and what still comes after that is noted.

use super::{Exchange, RequestHead, RequestReader, ResponseHead, ResponseReader, Verb};
use crate::calls::End;
use crate::read::Codings;
use crate::testing::{Seen, Surrounded, request_head};
use mcplog::Status;
use mcplog::event::{Note, Notes, Outcome};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(60);
const EVENTS: &str = "text/event-stream";
const CALL: &str = r#"{"id":1,"method":"tools/call","params":{"name":"t"}}"#;
const LISTEN: &str = r#"{"id":1,"method":"subscriptions/listen"}"#;
const CANCEL: &str = r#"{"method":"notifications/cancelled","params":{"requestId":1}}"#;
const SESSIONLESS: &str = r#"{"id":1,"method":"tools/call","params":{"name":"t","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
const ERROR: &str = r#"{"id":1,"error":{"code":-32603,"message":"boom"}}"#;
const RESULT: &str = r#"{"id":1,"result":{}}"#;
const LATE: Notes = Notes::NONE.with(Note::LateAnswer);

impl Surrounded {
    fn request(&self, head: &RequestHead<'_>, body: &str, is_whole: bool) -> Exchange {
        let exchange = Exchange::begin(&self.observer, self.observer.arrival(None, 1), head, LIMIT);
        let mut reader = RequestReader::new(Codings::IDENTITY, &exchange);
        reader.push(body.as_bytes(), &exchange);
        reader.finish(is_whole, &exchange);
        exchange
    }

    /// A request of session `s`.
    fn of_session(&self, body: &str) -> Exchange {
        self.request(&request_head(Verb::Post, "/mcp", Some("s")), body, true)
    }

    fn cancel(&self) {
        self.of_session(CANCEL).end(End::Complete);
    }

    fn give_up_after(&self, time: Duration) {
        self.clock.advance(time);
        self.observer.give_up_overdue();
    }

    /// The only row: outcome, code, cause, notes, and the latency in seconds.
    fn row(&self) -> (Outcome, Option<String>, Option<String>, Notes, i64) {
        let seen = self.seen();
        let [Seen { outcome, code, cause, notes, latency_us, .. }] = &seen[..] else { panic!("{seen:?}") };
        (outcome.unwrap(), code.clone(), cause.clone(), *notes, latency_us / 1_000_000)
    }
}

fn cancelled(cause: Option<&str>, notes: Notes, latency: i64) -> (Outcome, Option<String>, Option<String>, Notes, i64) {
    (Outcome::Cancelled, Some("cancelled".to_owned()), cause.map(str::to_owned), notes, latency)
}

fn stream(exchange: &Exchange) -> ResponseReader {
    let head = ResponseHead {
        status: 200,
        session: None,
        content_type: Some(EVENTS),
        codings: Codings::IDENTITY,
        cause: None,
    };
    exchange.on_response_head(&head);
    ResponseReader::new(&head, exchange).unwrap()
}

fn send(reader: &mut ResponseReader, exchange: &Exchange, message: &str) {
    reader.push(format!("data: {message}\n\n").as_bytes(), exchange);
}

#[test]
fn what_comes_after_a_cancellation_is_noted_and_changes_nothing_else() {
    for (late, keeps_error_text, cause, notes) in [
        (Some(ERROR), true, Some("late error -32603: boom"), LATE),
        (Some(ERROR), false, Some("late error -32603"), LATE),
        (Some(RESULT), true, None, LATE),
        (None, true, None, Notes::NONE),
    ] {
        // On its own stream, or on one that a GET opened.
        for is_elsewhere in [false, true] {
            let surrounded = Surrounded::new();
            surrounded.observer.keep_error_text(keeps_error_text);
            let exchange = surrounded.of_session(CALL);
            let mut own = stream(&exchange);
            let get = surrounded.request(&request_head(Verb::Other, "/mcp", Some("s")), "", true);
            let mut other = stream(&get);
            surrounded.give_up_after(2 * SECOND);
            surrounded.cancel();
            assert_eq!(surrounded.observer.open_calls(), 0, "nobody waits for it");
            assert_eq!(exchange.deadline(), None, "the upstream is not given up for it");
            surrounded.give_up_after(3 * SECOND);
            match late {
                Some(late) if is_elsewhere => send(&mut other, &get, late),
                Some(late) => send(&mut own, &exchange, late),
                None => drop(exchange.end(End::Complete)),
            }
            assert_eq!(surrounded.row(), cancelled(cause, notes, 2), "{late:?} elsewhere: {is_elsewhere}");
        }
    }
}

#[test]
fn a_cancellation_that_is_broken_off_takes_nothing_back() {
    for missing in 1..CANCEL.len() {
        let surrounded = Surrounded::new();
        let exchange = surrounded.of_session(CALL);
        let head = request_head(Verb::Post, "/mcp", Some("s"));
        surrounded.request(&head, &CANCEL[..CANCEL.len() - missing], false).end(End::ClientGone);
        assert_eq!(surrounded.observer.open_calls(), 1, "{missing}");
        drop(exchange);
    }
}

#[test]
fn a_cancelled_call_is_recorded_when_nothing_can_come_any_more_or_has_for_long_enough() {
    for what in ["end", "gone", "broken", "wait", "drain", "finish", "delete", "cut off"] {
        let surrounded = Surrounded::new();
        let exchange = surrounded.of_session(CALL);
        drop(stream(&exchange));
        surrounded.cancel();
        surrounded.cancel();
        surrounded.give_up_after(9 * SECOND);
        assert_eq!(surrounded.seen(), [], "{what}");
        match what {
            "end" => drop(exchange.end(End::Complete)),
            "gone" => drop(exchange.end(End::ClientGone)),
            "broken" => drop(exchange.end(End::Broken("reset"))),
            "wait" => surrounded.give_up_after(SECOND),
            "drain" => surrounded.observer.drain(),
            "delete" => {
                let delete = surrounded.request(&request_head(Verb::Delete, "/mcp", Some("s")), "", true);
                stream_head(&delete, 204);
            }
            "cut off" => drop(exchange),
            _ => surrounded.observer.finish(),
        }
        let seen = surrounded.into_seen();
        assert_eq!(seen.len(), 1, "{what}");
        assert_eq!((seen[0].outcome, seen[0].latency_us), (Some(Outcome::Cancelled), 0), "{what}");
    }
}

fn stream_head(exchange: &Exchange, status: u16) {
    let head = ResponseHead { status, session: None, content_type: None, codings: Codings::IDENTITY, cause: None };
    exchange.on_response_head(&head);
}

#[test]
fn a_client_gives_a_call_up_by_saying_so_or_by_closing_its_response_where_that_is_how_it_is_said() {
    let head = request_head(Verb::Post, "/mcp", None);
    let of_version = |version| RequestHead { protocol_version: Some(version), ..head };
    let of_session = RequestHead { session: Some("s"), ..of_version("2025-11-25") };
    for (head, body, is_cancelled) in [
        (head, SESSIONLESS, true),
        (of_version("2026-07-28"), CALL, true),
        (of_version("2027-01-01"), CALL, true),
        (of_version("2025-11-25"), CALL, false),
        (of_version("DRAFT-2026-v1"), CALL, false),
        (of_version("9999"), CALL, false),
        (head, CALL, false),
        (of_session, CALL, false),
    ] {
        for status in [None, Some(200), Some(307), Some(404)] {
            for is_whole in [false, true] {
                let surrounded = Surrounded::new();
                let exchange = surrounded.request(&head, body, is_whole);
                status.into_iter().for_each(|status| stream_head(&exchange, status));
                exchange.end(End::ClientGone);
                surrounded.give_up_after(2 * SECOND);
                // Who breaks its request off has not taken it back, nor who was sent elsewhere or refused.
                let is_cancelled = is_cancelled && is_whole && matches!(status, None | Some(200));
                let name = if is_cancelled { "cancelled" } else { "client_gone" };
                let outcome = match status {
                    Some(307) => Outcome::Redirected,
                    _ if is_cancelled => Outcome::Cancelled,
                    _ => Outcome::Error,
                };
                let expected = (outcome, Some(name.to_owned()), None, Notes::NONE, 0);
                assert_eq!(surrounded.row(), expected, "{head:?} {body} {status:?} {is_whole}");
            }
        }
    }
}

#[test]
fn a_call_that_is_given_up_in_both_ways_at_once_is_cancelled_whichever_is_seen_first() {
    for closes_first in [false, true] {
        for end in [End::ClientGone, End::Complete, End::Broken("reset")] {
            if closes_first && end != End::ClientGone {
                continue;
            }
            let surrounded = Surrounded::new();
            let exchange = surrounded.of_session(CALL);
            drop(stream(&exchange));
            if closes_first {
                exchange.end(end);
                assert_eq!(surrounded.seen(), []);
                surrounded.give_up_after(SECOND);
                surrounded.cancel();
            } else {
                surrounded.cancel();
                exchange.end(end);
            }
            let latency = i64::from(closes_first);
            assert_eq!(surrounded.row(), cancelled(None, Notes::NONE, latency), "{closes_first} {end:?}");
        }
    }
}

#[test]
fn a_subscription_that_either_side_ends_is_no_failure_however_the_stream_goes_then() {
    let says_so = r#"{"method":"notifications/cancelled","params":{"requestId":1,"reason":"shutting down"}}"#;
    for version in [None, Some("2026-07-28")] {
        for messages in [&[][..], &[RESULT], &[says_so]] {
            for end in [End::Complete, End::Broken("reset"), End::ClientGone] {
                let surrounded = Surrounded::new();
                let head = RequestHead { protocol_version: version, ..request_head(Verb::Post, "/mcp", None) };
                let exchange = surrounded.request(&head, LISTEN, true);
                let mut reader = stream(&exchange);
                messages.iter().for_each(|message| send(&mut reader, &exchange, message));
                exchange.end(end);
                let row = surrounded.seen().remove(0);
                let is_broken = messages.is_empty() && matches!(end, End::Broken(_));
                let expected = if is_broken { Outcome::Error } else { Outcome::Ended };
                assert_eq!(row.outcome, Some(expected), "{messages:?} {end:?}");
                assert_eq!(row.status, if is_broken { Status::Error } else { Status::Ok });
                if messages.is_empty() && end == End::ClientGone {
                    let cause = if version.is_some() { "cancelled" } else { "client_gone" };
                    assert_eq!(row.cause.as_deref(), Some(cause));
                }
            }
        }
    }
    // No server takes back what a client asked for.
    let surrounded = Surrounded::new();
    let exchange = surrounded.of_session(CALL);
    let mut reader = stream(&exchange);
    send(&mut reader, &exchange, says_so);
    send(&mut reader, &exchange, RESULT);
    assert_eq!(surrounded.seen()[0].outcome, Some(Outcome::Ok));
}
