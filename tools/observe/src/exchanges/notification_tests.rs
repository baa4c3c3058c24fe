//! Messages that have no row: those that the server refused, or that did not get there, are counted.

use super::{Exchange, RequestReader, ResponseHead, Verb};
use crate::calls::End;
use crate::read::Codings;
use crate::testing::{Surrounded, request_head};
use std::time::Duration;

const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

#[test]
fn what_wants_no_answer_and_was_refused_or_did_not_get_there_is_counted() {
    let batch = format!("[{NOTE},{PING},{ANSWER}]");
    for (body, told) in [(NOTE, 1), (ANSWER, 1), (batch.as_str(), 2), (PING, 0), ("{}", 0)] {
        for (status, end, is_refused) in [
            (Some(202), End::Complete, false),
            (Some(200), End::Broken("reset"), false),
            (Some(307), End::Complete, false),
            (Some(400), End::Complete, true),
            (Some(500), End::Broken("reset"), true),
            (Some(404), End::ClientGone, true),
            (None, End::Unreachable("refused"), true),
            (None, End::Broken("reset"), true),
            (None, End::Silent("waiting"), true),
            (None, End::ClientGone, false),
            (None, End::ClientSilent, false),
        ] {
            let surrounded = Surrounded::new();
            let (observer, head) = (&surrounded.observer, request_head(Verb::Post, "/mcp", Some("s")));
            let exchange = Exchange::begin(observer, observer.arrival(None, 1), &head, Duration::from_secs(60));
            let mut reader = RequestReader::new(Codings::IDENTITY, &exchange);
            reader.push(body.as_bytes(), &exchange);
            reader.finish(true, &exchange);
            if let Some(status) = status {
                let (codings, content_type) = (Codings::IDENTITY, Some("text/html"));
                exchange.on_response_head(&ResponseHead { status, session: None, content_type, codings, cause: None });
            }
            exchange.end(end);
            exchange.end(End::ClientGone);
            let refused = observer.recording.counts.notifications_refused.get();
            assert_eq!(refused, if is_refused { told } else { 0 }, "{body} {status:?} {end:?}");
        }
    }
}
