//! The transport of 2024-11-05: requests are accepted where a stream says, and answered on it.

use super::{Exchange, RequestHead, RequestReader, ResponseHead, ResponseReader, Verb};
use crate::calls::End;
use crate::read::Codings;
use crate::testing::{Surrounded, request_head};
use mcplog::Status;
use mcplog::event::Transport;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(60);
const ENDS: [End<'static>; 3] = [End::Complete, End::Broken("reset"), End::ClientGone];

/// A stream that has announced an address.
struct Stream {
    exchange: Exchange,
    reader: ResponseReader,
}

impl Stream {
    fn send(&mut self, text: &str) {
        self.exchange.touch();
        self.reader.push(text.as_bytes(), &self.exchange);
    }

    fn answer(&mut self, id: u32) {
        self.send(&format!("data: {{\"id\":{id},\"result\":{{}}}}\n\n"));
    }
}

fn head(status: u16, content_type: Option<&str>) -> ResponseHead<'_> {
    ResponseHead { status, session: None, content_type, codings: Codings::IDENTITY, cause: None }
}

impl Surrounded {
    fn stream(&self, client_address: u128, path: &str, endpoint: &str) -> Stream {
        let arrival = self.observer.arrival(Some(client_address), 1);
        let exchange = Exchange::begin(&self.observer, arrival, &request_head(Verb::Other, path, None), LIMIT);
        let head = head(200, Some("text/event-stream"));
        exchange.on_response_head(&head);
        let reader = ResponseReader::new(&head, &exchange).unwrap();
        let mut stream = Stream { exchange, reader };
        stream.send(&format!("event: endpoint\ndata: {endpoint}\n\n"));
        stream
    }

    /// A request to that address.
    fn ask(&self, client_address: u128, address: &str, id: u32) -> Exchange {
        self.ask_with(client_address, address, &format!(r#"{{"id":{id},"method":"m{id}"}}"#))
    }

    fn ask_with(&self, client_address: u128, address: &str, body: &str) -> Exchange {
        let (path, query) = address.split_once('?').map_or((address, None), |(path, query)| (path, Some(query)));
        let head = RequestHead { query, ..request_head(Verb::Post, path, None) };
        let exchange = Exchange::begin(&self.observer, self.observer.arrival(Some(client_address), 2), &head, LIMIT);
        let mut reader = RequestReader::new(Codings::IDENTITY, &exchange);
        reader.push(body.as_bytes(), &exchange);
        reader.finish(true, &exchange);
        exchange
    }

    fn accept(&self, client_address: u128, address: &str, id: u32) {
        let exchange = self.ask(client_address, address, id);
        exchange.on_response_head(&head(202, None));
        exchange.end(End::Complete);
    }

    /// Method and code of every row.
    fn gists(&self) -> Vec<(String, Option<String>)> {
        self.seen().into_iter().map(|seen| (seen.method, seen.code)).collect()
    }
}

fn ok(method: &str) -> (String, Option<String>) {
    (method.to_owned(), None)
}

#[test]
fn a_request_belongs_to_the_stream_that_announced_its_address_whatever_that_looks_like() {
    for (path, endpoint, address) in [
        ("/sse", "/messages/?session_id=0a1b", "/messages/?session_id=0a1b"),
        ("/sse", "/message?sessionId=0a1b", "/message?sessionId=0a1b"),
        ("/sse", "/messages/0a1b", "/messages/0a1b"),
        ("/sse", "/message?clientId=7", "/message?clientId=7"),
        ("/sse", "/messages", "/messages"),
        ("/x/sse", "message?t=%2b", "/x/message?t=%2B"),
        ("/x/sse", "message?t=%2B", "/x/message?t=%2b"),
        ("/sse", "http://server:9000/messages/0a1b", "/messages/0a1b"),
    ] {
        let surrounded = Surrounded::new();
        let mut stream = surrounded.stream(1, path, endpoint);
        surrounded.accept(1, address, 1);
        assert_eq!(surrounded.seen(), [], "{endpoint}");
        stream.answer(1);
        let row = surrounded.seen().remove(0);
        assert_eq!((row.status, row.transport, row.http_status), (Status::Ok, Some(Transport::Sse), Some(200)));
        // Another address is another matter, and so is this one once the stream is over.
        surrounded.accept(1, "/elsewhere", 2);
        stream.exchange.end(End::Complete);
        surrounded.accept(1, address, 3);
        let codes: Vec<_> = surrounded.gists().into_iter().map(|(_, code)| code).collect();
        assert_eq!(codes, [None, Some("no_response".to_owned()), Some("no_response".to_owned())], "{endpoint}");
        assert!(surrounded.observer.recording.sessions.announced.is_empty());
    }
}

#[test]
fn streams_with_one_address_are_told_apart_by_their_clients() {
    let surrounded = Surrounded::new();
    let mut streams = [1, 2].map(|client| surrounded.stream(client, "/sse", "/messages"));
    surrounded.accept(1, "/messages", 1);
    surrounded.accept(2, "/messages", 2);
    streams[1].answer(1);
    streams[0].answer(2);
    assert_eq!(surrounded.seen(), [], "each on its own stream");
    streams[0].answer(1);
    streams[1].answer(2);
    assert_eq!(surrounded.gists(), [ok("m1"), ok("m2")]);
    streams[1].exchange.end(End::Complete);
    // Of a client whose address is another one now, there is only one left.
    surrounded.accept(3, "/messages", 3);
    streams[0].answer(3);
    assert_eq!(surrounded.gists()[2], ok("m3"));
}

#[test]
fn what_becomes_of_the_response_after_its_head_is_nothing_to_a_request_that_was_accepted() {
    for status in [200, 202, 204] {
        for end in ENDS {
            for is_early in [false, true] {
                let surrounded = Surrounded::new();
                let mut stream = surrounded.stream(1, "/sse", "/messages/?session_id=s");
                let exchange = surrounded.ask(1, "/messages/?session_id=s", 1);
                if is_early {
                    stream.answer(1);
                }
                exchange.on_response_head(&head(status, None));
                exchange.end(end);
                surrounded.wait(30 * SECOND);
                stream.answer(1);
                assert_eq!(surrounded.gists(), [ok("m1")], "{status} {end:?} early: {is_early}");
            }
        }
    }
}

#[test]
fn a_request_that_was_not_accepted_fails_with_its_response() {
    for (status, end, code) in [
        (Some(400), End::Complete, "http_400"),
        (Some(500), End::Broken("reset"), "stream_broken"),
        (None, End::Broken("reset"), "stream_broken"),
        (None, End::ClientGone, "client_gone"),
        (None, End::Silent("waiting"), "upstream_timeout"),
    ] {
        let surrounded = Surrounded::new();
        let _stream = surrounded.stream(1, "/sse", "/messages/0a1b");
        let exchange = surrounded.ask(1, "/messages/0a1b", 1);
        status.into_iter().for_each(|status| exchange.on_response_head(&head(status, None)));
        exchange.end(end);
        surrounded.wait(2 * SECOND);
        assert_eq!(surrounded.gists(), [("m1".to_owned(), Some(code.to_owned()))], "{status:?} {end:?}");
    }
}

#[test]
fn the_silence_of_the_stream_is_the_limit_and_not_how_long_the_answer_takes() {
    for progress in ["data: {\"method\":\"notifications/progress\"}\n\n", ": ping\n\n"] {
        let surrounded = Surrounded::new();
        let mut stream = surrounded.stream(1, "/sse", "/messages/0a1b");
        surrounded.accept(1, "/messages/0a1b", 1);
        surrounded.accept(1, "/messages/0a1b", 2);
        for _ in 0..5 {
            surrounded.wait(LIMIT - SECOND);
            stream.send(progress);
        }
        stream.answer(1);
        assert_eq!(surrounded.gists(), [ok("m1")]);
        surrounded.wait(LIMIT - SECOND);
        assert_eq!(surrounded.seen().len(), 1);
        surrounded.wait(SECOND);
        assert_eq!(surrounded.gists()[1], ("m2".to_owned(), Some("upstream_timeout".to_owned())));
    }
}

#[test]
fn a_client_that_shakes_no_hands_is_known_by_what_its_first_answered_request_says() {
    let surrounded = Surrounded::new();
    let mut stream = surrounded.stream(1, "/sse", "/messages/?session_id=s");
    let body = |id: u32, client: &str| {
        format!(
            r#"{{"id":{id},"method":"m{id}","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
            "io.modelcontextprotocol/clientInfo":{{"name":"{client}","version":"1"}}}}}}}}"#
        )
    };
    for (id, client) in [(1, "c"), (2, "c"), (3, "another")] {
        let exchange = surrounded.ask_with(1, "/messages/?session_id=s", &body(id, client));
        exchange.on_response_head(&head(202, None));
        exchange.end(End::Complete);
        stream.answer(id);
    }
    let sessions: Vec<_> = surrounded.sessions().into_iter().map(|it| (it.id, it.client, it.derived)).collect();
    assert_eq!(sessions, [("s".to_owned(), Some("c".to_owned()), false)]);
    assert_eq!(surrounded.sessions()[0].protocol_version.as_deref(), Some("2026-07-28"));
    assert!(surrounded.seen().iter().all(|seen| seen.session.as_deref() == Some("s")));
}
