//! What became of a call: more than its status says.
//!
//! Pure. Two tables: of what was answered, and of why nothing was. `probe` is in neither of them: whether a client was finding
//! out which era its server speaks follows from method and code, and `mcplog::event::Outcome::of` says so of every row.

use super::facts::Facts;
use super::failure::Failure;
use crate::read::{Message, Slot};
use mcplog::event::{Direction, Outcome};

/// Of a call whose answer is a result. A subscription ends with it.
pub(super) fn of_result(message: &Message, facts: &Facts, tool_error: Option<bool>) -> Outcome {
    if facts.direction == Direction::Server {
        // What a client answers is no result of a tool, and a client asks for nothing more.
        Outcome::Ok
    } else if facts.is_subscription() {
        Outcome::Ended
    } else if tool_error == Some(true) {
        Outcome::ToolError
    } else if message.text(Slot::ResultType).as_deref() == Some("input_required") {
        Outcome::InputRequired
    } else {
        Outcome::Ok
    }
}

/// Of a call without an answer. `http_status` is that of its response, if the head of one came.
///
/// A redirect is one however its exchange ended: clients follow it without reading the rest of the response. 304 leads nowhere,
/// and is a failure. A subscription is
/// ended by whoever lets go of it, and nothing is lost then; if its upstream failed, it failed too.
pub(super) fn of_failure(failure: Failure, is_subscription: bool, http_status: Option<u16>) -> Outcome {
    use Failure::{
        AnswerTimeout, Cancelled, ClientGone, ClientTimeout, Displaced, Http, NoResponse, ProxyError, ProxyShutdown,
        ServerExited, StreamBroken, Timeout, UnreadableResponse, UpstreamLoop, UpstreamUnreachable,
    };
    match (failure, http_status) {
        (Timeout | AnswerTimeout, _) => Outcome::Timeout,
        (Cancelled, _) if is_subscription => Outcome::Ended,
        (Cancelled, _) => Outcome::Cancelled,
        (ProxyError, _) => Outcome::Error,
        (_, Some(300..=303 | 305..=399)) => Outcome::Redirected,
        (ClientGone | NoResponse | ProxyShutdown, _) if is_subscription => Outcome::Ended,
        (ProxyShutdown, _) => Outcome::Lost,
        (
            UpstreamUnreachable | UpstreamLoop | StreamBroken | NoResponse | Http(_) | UnreadableResponse | ClientGone
            | ClientTimeout | Displaced | ServerExited,
            _,
        ) => Outcome::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrival::Arrival;
    use crate::calls::Origin;
    use crate::read::Scanner;
    use crate::session::Asker;
    use mcplog::event::Transport;
    use std::time::Instant;

    #[test]
    fn every_failure_has_its_outcome() {
        use Outcome::{Cancelled, Ended, Error, Lost, Redirected, Timeout};
        // The columns: a call, a subscription; each without a redirect, and after one.
        let table = [
            (Failure::UpstreamUnreachable, [Error, Redirected, Error, Redirected]),
            (Failure::StreamBroken, [Error, Redirected, Error, Redirected]),
            (Failure::NoResponse, [Error, Redirected, Ended, Redirected]),
            (Failure::Http(500), [Error, Redirected, Error, Redirected]),
            (Failure::UnreadableResponse, [Error, Redirected, Error, Redirected]),
            (Failure::ClientGone, [Error, Redirected, Ended, Redirected]),
            (Failure::Cancelled, [Cancelled, Cancelled, Ended, Ended]),
            (Failure::ProxyShutdown, [Lost, Redirected, Ended, Redirected]),
            (Failure::Timeout, [Timeout, Timeout, Timeout, Timeout]),
            (Failure::UpstreamLoop, [Error, Redirected, Error, Redirected]),
            (Failure::ClientTimeout, [Error, Redirected, Error, Redirected]),
            (Failure::AnswerTimeout, [Timeout, Timeout, Timeout, Timeout]),
            (Failure::Displaced, [Error, Redirected, Error, Redirected]),
            (Failure::ProxyError, [Error, Error, Error, Error]),
            (Failure::ServerExited, [Error, Redirected, Error, Redirected]),
        ];
        for (failure, expected) in table {
            for (is_subscription, expected) in [false, true].into_iter().zip(expected.chunks(2)) {
                for status in [None, Some(200), Some(202), Some(299), Some(304), Some(400), Some(599)] {
                    let outcome = of_failure(failure, is_subscription, status);
                    assert_eq!(outcome, expected[0], "{failure:?} {status:?} subscription: {is_subscription}");
                }
                for status in [300, 307, 399] {
                    let outcome = of_failure(failure, is_subscription, Some(status));
                    assert_eq!(outcome, expected[1], "{failure:?} {status} subscription: {is_subscription}");
                }
            }
        }
    }

    #[test]
    fn every_result_has_its_outcome() {
        let cases = [
            ("tools/call", r#"{}"#, Some(false), Outcome::Ok),
            ("tools/call", r#"{"resultType":"complete"}"#, Some(false), Outcome::Ok),
            ("tools/call", r#"{"resultType":"input_required"}"#, Some(false), Outcome::InputRequired),
            ("tools/call", r#"{"resultType":"input\u005frequired"}"#, Some(false), Outcome::InputRequired),
            ("tools/call", r#"{"resultType":"input_required","isError":true}"#, Some(true), Outcome::ToolError),
            ("tools/call", r#"{"content":{"resultType":"input_required"}}"#, Some(false), Outcome::Ok),
            ("prompts/get", r#"{"resultType":"input_required"}"#, None, Outcome::InputRequired),
            ("prompts/get", r#"{"resultType":["input_required"]}"#, None, Outcome::Ok),
            ("ping", "null", None, Outcome::Ok),
            ("subscriptions/listen", "{}", None, Outcome::Ended),
            ("subscriptions/listen", r#"{"resultType":"complete"}"#, None, Outcome::Ended),
        ];
        let arrival = Arrival { at: Instant::now(), ts: 1, client_address: None, connection: 1 };
        let origin = Origin {
            transport: Transport::Http,
            endpoint: None,
            session: None,
            is_agreed: false,
            asker: Asker::new((None, 1), "/mcp", None, None),
            protocol_version: None,
            credential: None,
        };
        for (method, result, tool_error, expected) in cases {
            let facts = Facts::of_head(arrival, &origin, method, None);
            let mut outcome = None;
            Scanner::new().push(format!(r#"{{"id":1,"result":{result}}}"#).as_bytes(), |message| {
                outcome = Some(of_result(message, &facts, tool_error));
            });
            assert_eq!(outcome, Some(expected), "{method} {result}");
        }
    }
}
