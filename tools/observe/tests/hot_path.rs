//! What it costs to read along: allocations, which don't depend on the machine.

use mcplog::Event;
use mcplog_observe::read::Codings;
use mcplog_observe::{
    Counts, End, Exchange, Observer, RequestHead, RequestReader, ResponseHead, ResponseReader, SchemaQueue,
    SchemaResult, Sink, Surroundings, SystemClock, Verb,
};
use std::sync::Arc;
use std::time::Duration;

struct Nothing;

impl Sink for Nothing {
    fn record(&self, _event: Event<'_>) -> bool {
        true
    }
}

impl SchemaQueue for Nothing {
    fn offer(&self, _result: SchemaResult) {}
}

fn observer() -> Arc<Observer> {
    Observer::new(Surroundings {
        proxy: "tested".into(),
        sink: Arc::new(Nothing),
        schema: Arc::new(Nothing),
        counts: Arc::new(Counts::default()),
        clock: Arc::new(SystemClock),
        session_idle_ms: 0,
    })
}

/// A tool call of a session, answered by `body`.
fn exchange(observer: &Arc<Observer>, content_type: &str, body: &[u8]) {
    let head = RequestHead {
        verb: Verb::Post,
        path: "/mcp",
        session: Some("0197a1c0-7b1e-7cc3-98c4-dc0c0c07398f"),
        query: None,
        last_event_id: None,
        protocol_version: Some("2025-11-25"),
        authorization: None,
        user_agent: None,
        method: None,
        name: None,
    };
    let exchange = Exchange::begin(observer, observer.arrival(None, 1), &head, Duration::from_secs(60));
    let mut request = RequestReader::new(Codings::IDENTITY, &exchange);
    request.push(
        br#"{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"search","arguments":{"text":"x"}}}"#,
        &exchange,
    );
    request.finish(true, &exchange);
    let head = ResponseHead {
        status: 200,
        session: None,
        content_type: Some(content_type),
        codings: Codings::IDENTITY,
        cause: None,
    };
    exchange.on_response_head(&head);
    let mut response = ResponseReader::new(&head, &exchange).expect("a POST");
    response.push(body, &exchange);
    exchange.end(End::Complete);
}

/// As part of the proxy, reading along took 21 and 26 allocations, one of which was for sharing the exchange: that one is
/// still the proxy's. The endpoint is one more: it is shared by the calls of the exchange. So is the text of a tool's result,
/// as long as it may be that of an error.
#[test]
fn an_exchange_allocates_no_more_than_it_needs() {
    let observer = observer();
    let json = br#"{"jsonrpc":"2.0","id":17,"result":{"content":[{"type":"text","text":"y"}]}}"#;
    let events = [b"event: message\ndata: ".as_slice(), json, b"\n\n"].concat();
    // The first one makes what a process and a thread have once.
    exchange(&observer, "application/json", json);
    for (content_type, body, allocations_max) in
        [("application/json", json.as_slice(), 18), ("text/event-stream", events.as_slice(), 23)]
    {
        let memory = allocation_counter::measure(|| exchange(&observer, content_type, body));
        assert!(memory.count_total <= allocations_max, "{} allocations, {content_type}", memory.count_total);
        assert_eq!(memory.bytes_current, 0, "{content_type}");
    }
}
