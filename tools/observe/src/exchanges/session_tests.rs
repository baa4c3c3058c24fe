//! What closes a session: an accepted DELETE, and a 404 that says that the session is unknown.

use super::{Exchange, RequestReader, ResponseHead, ResponseReader, Verb};
use crate::calls::End;
use crate::read::Codings;
use crate::testing::{Surrounded, request_head};
use std::time::Duration;

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const PONG: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
const UNKNOWN: &str = r#"{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}"#;
/// As the Python SDK words errors for no request in particular, about something else than the session.
const NO_TOOL: &str = r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32602,"message":"no such tool"}}"#;
const NO_METHOD: &str = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}"#;

/// A request of session `s`, and what it is answered.
#[derive(Clone, Copy, Debug)]
struct Said {
    verb: Verb,
    path: &'static str,
    body: &'static str,
    status: u16,
    answer: &'static str,
    is_stream: bool,
}

const FINE: Said = Said { verb: Verb::Post, path: "/mcp", body: PING, status: 200, answer: PONG, is_stream: false };
const GONE: Said = Said { status: 404, answer: "", ..FINE };

impl Surrounded {
    /// An exchange, from its first byte to its last; it takes a second.
    fn say(&self, said: Said, end: End<'_>) {
        let session = Some("s");
        let Said { verb, path, .. } = said;
        let head = request_head(verb, path, session);
        let exchange = Exchange::begin(&self.observer, self.observer.arrival(None, 1), &head, Duration::from_secs(60));
        if verb == Verb::Post {
            let mut reader = RequestReader::new(Codings::IDENTITY, &exchange);
            reader.push(said.body.as_bytes(), &exchange);
            reader.finish(true, &exchange);
        }
        self.clock.advance(Duration::from_secs(1));
        let content_type = Some(if said.is_stream { "text/event-stream" } else { "application/json" });
        let head =
            ResponseHead { status: said.status, session: None, content_type, codings: Codings::IDENTITY, cause: None };
        exchange.on_response_head(&head);
        if let Some(mut reader) = ResponseReader::new(&head, &exchange) {
            reader.push(said.answer.as_bytes(), &exchange);
        }
        exchange.end(end);
    }

    fn all(&self, said: impl IntoIterator<Item = Said>) {
        said.into_iter().for_each(|said| self.say(said, End::Complete));
    }

    fn times_of_closes(&self) -> Vec<i64> {
        self.closes().iter().map(|(session, at)| (session == "s").then_some(*at).unwrap()).collect()
    }
}

#[test]
fn only_a_delete_and_a_404_to_a_post_on_the_endpoint_close_a_session() {
    let get = Said { verb: Verb::Other, ..GONE };
    let (delete, stream) = (Said { verb: Verb::Delete, ..GONE }, Said { is_stream: true, status: 200, ..get });
    let well_known = "/.well-known/oauth-authorization-server";
    let cases = [
        (GONE, true),
        (Said { answer: "Not Found: Session not found", ..GONE }, true),
        (Said { answer: UNKNOWN, ..GONE }, true),
        (Said { body: NOTE, ..GONE }, true),
        (Said { status: 204, ..delete }, true),
        (delete, false),
        (Said { status: 405, ..delete }, false),
        (get, false),
        (Said { answer: UNKNOWN, ..get }, false),
        (Said { path: well_known, ..get }, false),
        (Said { path: well_known, ..GONE }, false),
        (Said { path: "/register", body: r#"{"client_name":"c"}"#, ..GONE }, false),
        (Said { answer: NO_METHOD, ..GONE }, false),
        (Said { answer: NO_TOOL, ..GONE }, false),
        (Said { answer: PONG, ..GONE }, false),
        (Said { status: 400, answer: UNKNOWN, ..GONE }, false),
        (Said { status: 410, ..GONE }, false),
        (FINE, false),
    ];
    for (said, closes) in cases {
        // The session is known by a request, or by the stream that its client opened.
        for known in [FINE, stream] {
            let surrounded = Surrounded::new();
            surrounded.all([known, Said { path: well_known, ..get }, said]);
            assert_eq!(surrounded.closes().len(), usize::from(closes), "{said:?}");
        }
    }
}

#[test]
fn a_session_that_is_gone_is_closed_however_its_last_exchange_ends() {
    for end in [End::Complete, End::Broken("reset"), End::ClientGone, End::Silent("waiting")] {
        let surrounded = Surrounded::new();
        surrounded.all([FINE]);
        surrounded.say(GONE, end);
        assert_eq!(surrounded.times_of_closes(), [2000], "{end:?}");
    }
}

#[test]
fn a_request_that_finds_its_session_gone_does_not_reopen_it() {
    let surrounded = Surrounded::new();
    // The first closes it. What the client asks after that has a row, which is later than the close; so has what it asks
    // of a session that this proxy never heard of. A notification has no row.
    surrounded.all([FINE, Said { verb: Verb::Delete, status: 200, ..GONE }, GONE, GONE, Said { body: NOTE, ..GONE }]);
    assert_eq!(surrounded.times_of_closes(), [2000, 3000, 4000]);
    assert_eq!(surrounded.seen().len(), 3);
    let surrounded = Surrounded::new();
    surrounded.all([Said { body: NOTE, ..GONE }, GONE]);
    assert_eq!(surrounded.times_of_closes(), [2000]);
}

#[test]
fn a_session_that_speaks_again_can_be_closed_again() {
    let surrounded = Surrounded::new();
    surrounded.all([FINE, GONE, FINE, Said { verb: Verb::Delete, status: 200, ..GONE }]);
    assert_eq!(surrounded.times_of_closes(), [2000, 4000]);
}
