//! Sessions of every era: announced, made up, closed; and responses that arrive on another stream.

use super::*;
use serde_json::json;
use tokio::sync::{Notify, mpsc};

const INITIALIZE: &str = r#"{"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"claude-ai","version":"0.1"}},"jsonrpc":"2.0","id":0}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}"#;

fn closed(seen: &[Seen]) -> Vec<String> {
    seen.iter().filter_map(|seen| if let Seen::Closed(id) = seen { Some(id.clone()) } else { None }).collect()
}

fn sessions(seen: &[Seen]) -> Vec<Seen> {
    seen.iter().filter(|seen| matches!(seen, Seen::Session { .. })).cloned().collect()
}

fn announced(id: &str) -> Seen {
    Seen::Session {
        id: id.to_owned(),
        client: Some("claude-ai".to_owned()),
        version: Some("0.1".to_owned()),
        protocol: Some("2025-06-18".to_owned()),
        derived: false,
    }
}

/// A server with sessions: `initialize` opens `s-1`, DELETE ends it, the session `gone` is gone.
async fn server_with_sessions() -> Upstream {
    Upstream::start(|request, mut reply| async move {
        match (request.method(), request.header("mcp-session-id")) {
            (_, Some("gone")) => reply.whole(404, &[], "").await,
            ("DELETE", Some("kept")) => reply.whole(405, &[], "").await,
            ("DELETE", _) => reply.whole(200, &[], "").await,
            _ if request.json()["method"] == "initialize" => {
                let headers = [("content-type", "text/event-stream"), ("Mcp-Session-Id", "s-1")];
                reply.whole(200, &headers, format!("event: message\ndata: {INITIALIZED}\n\n")).await;
            }
            _ if request.json().get("id").is_none() => reply.whole(202, &[], "").await,
            _ => reply.json(json!({"jsonrpc": "2.0", "id": request.json()["id"], "result": {}}).to_string()).await,
        }
    })
    .await
}

#[tokio::test]
async fn a_session_begins_with_its_handshake_and_ends_with_an_accepted_delete() {
    let upstream = server_with_sessions().await;
    let fixture = Fixture::new(&upstream).await;
    fixture.post(&[], INITIALIZE).await;
    let headers = [("mcp-session-id", "s-1")];
    fixture.post(&headers, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    fixture.post(&headers, &call("1", "ping", "{}")).await;
    fixture.send("DELETE", "/mcp", &headers, b"").await;
    fixture.send("DELETE", "/mcp", &headers, b"").await;
    let seen = fixture.finish().await;
    assert_eq!(sessions(&seen), [announced("s-1")]);
    assert_eq!(closed(&seen), ["s-1"], "once");
    let rows = requests(&seen);
    assert_eq!(rows.iter().map(Row::gist).collect::<Vec<_>>(), ["initialize 0 ok", "ping 1 ok"]);
    for row in rows {
        assert_eq!(row.session.as_deref(), Some("s-1"), "the handshake belongs to the session it begins");
        assert_eq!(row.protocol.as_deref(), Some("2025-06-18"), "what was agreed on, not what was asked for");
    }
}

#[tokio::test]
async fn a_session_that_is_not_found_any_more_is_closed_and_a_refused_delete_closes_nothing() {
    let is_gone = Arc::new(Mutex::new(false));
    let gone = is_gone.clone();
    let upstream = Upstream::start(move |request, mut reply| {
        let is_gone = *gone.lock();
        async move {
            match request.method() {
                "DELETE" => reply.whole(405, &[], "").await,
                "GET" => reply.whole(404, &[], "").await,
                _ if is_gone => {
                    reply
                        .whole(
                            404,
                            &[],
                            r#"{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}"#,
                        )
                        .await
                }
                _ => reply.json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await,
            }
        }
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    let headers = [("mcp-session-id", "old")];
    fixture.post(&headers, &call("1", "ping", "{}")).await;
    fixture.send("DELETE", "/mcp", &headers, b"").await;
    fixture.send("GET", "/mcp", &headers, b"").await;
    fixture.send("GET", "/.well-known/oauth-protected-resource", &headers, b"").await;
    assert_eq!(closed(&fixture.seen()), [""; 0]);
    *is_gone.lock() = true;
    fixture.post(&headers, &call("1", "ping", "{}")).await;
    fixture.post(&headers, &call("1", "ping", "{}")).await;
    fixture.post(&[("mcp-session-id", "never-seen")], &call("1", "ping", "{}")).await;
    let seen = fixture.finish().await;
    // Each request has a row, which is later than the close before it: else it would reopen the session.
    assert_eq!(closed(&seen), ["old", "old", "never-seen"]);
    assert_eq!(requests(&seen)[1].gist(), "ping 1 error -32001");
}

#[tokio::test]
async fn a_client_of_a_stateless_server_has_a_derived_session_and_takes_calls_back_in_it() {
    let upstream = Upstream::start(|request, mut reply| async move {
        let message = request.json();
        match message["method"].as_str() {
            Some("initialize") => reply.json(INITIALIZED).await,
            Some("tools/call") => {
                reply.stream().await;
                reply.chunk(": working\n\n").await;
                reply.gone().await;
            }
            _ => reply.whole(202, &[], "").await,
        }
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    fixture.post(&[], INITIALIZE).await;
    fixture.post(&[], r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    let open = fixture.send("POST", "/mcp", &[], call("1", "tools/call", r#"{"name":"slow"}"#).as_bytes()).await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    fixture.post(&[], cancel).await;
    let rows = fixture.rows(2).await;
    drop(open);
    assert_eq!(rows.iter().map(Row::gist).collect::<Vec<_>>(), ["initialize 0 ok", "tools/call 1 error cancelled"]);
    let seen = fixture.finish().await;
    let [Seen::Session { id, client, protocol, derived: true, .. }] = &sessions(&seen)[..] else { panic!("{seen:?}") };
    assert_eq!((client.as_deref(), protocol.as_deref()), (Some("claude-ai"), Some("2025-06-18")));
    for row in rows {
        assert_eq!((row.session.as_ref(), row.protocol.as_deref()), (Some(id), Some("2025-06-18")));
    }
}

#[tokio::test]
async fn a_handshake_that_fails_begins_nothing() {
    let upstream = Upstream::start(|_, mut reply| async move {
        let headers = [("content-type", "application/json"), ("mcp-session-id", "s-1")];
        reply.whole(200, &headers, r#"{"jsonrpc":"2.0","id":0,"error":{"code":-32602,"message":"no"}}"#).await;
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    fixture.post(&[], INITIALIZE).await;
    let seen = fixture.finish().await;
    assert_eq!(sessions(&seen), []);
    assert_eq!(requests(&seen)[0].gist(), "initialize 0 error -32602");
}

fn sessionless(id: u32, method: &str, client: &str) -> String {
    json!({
        "jsonrpc": "2.0", "id": id, "method": method,
        "params": {"_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": client, "version": "2.1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }},
    })
    .to_string()
}

#[tokio::test]
async fn a_client_of_the_sessionless_era_has_a_derived_session() {
    let upstream = Upstream::start(|request, mut reply| async move {
        reply
            .json(
                json!({"jsonrpc": "2.0", "id": request.json()["id"], "result": {"resultType": "complete"}}).to_string(),
            )
            .await;
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "ping")];
    for (id, client) in [(1, "a"), (2, "b"), (3, "a")] {
        fixture.post(&headers, &sessionless(id, "ping", client)).await;
    }
    let seen = fixture.finish().await;
    let rows = requests(&seen);
    let session =
        |id: &str| rows.iter().find(|row| row.rpc_id.as_deref() == Some(id)).unwrap().session.clone().unwrap();
    assert_eq!(session("1"), session("3"));
    assert_ne!(session("1"), session("2"));
    assert_eq!(rows[0].protocol.as_deref(), Some("2026-07-28"));
    let expected: Vec<Seen> = [("1", "a"), ("2", "b")]
        .map(|(id, client)| Seen::Session {
            id: session(id),
            client: Some(client.to_owned()),
            version: Some("2.1".to_owned()),
            protocol: Some("2026-07-28".to_owned()),
            derived: true,
        })
        .into();
    assert_eq!(sessions(&seen), expected);
}

#[tokio::test]
async fn a_probe_for_the_sessionless_era_that_fails_makes_up_no_session() {
    let upstream = Upstream::start(|request, mut reply| async move {
        if request.json()["method"] == "initialize" {
            reply.whole(200, &[("content-type", "application/json"), ("mcp-session-id", "s-1")], INITIALIZED).await;
        } else {
            reply
                .whole(
                    400,
                    &[("content-type", "application/json")],
                    r#"{"jsonrpc":"2.0","id":9,"error":{"code":-32601,"message":"?"}}"#,
                )
                .await;
        }
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    fixture.post(&[], &sessionless(9, "server/discover", "claude-ai")).await;
    fixture.post(&[], INITIALIZE).await;
    let seen = fixture.finish().await;
    assert_eq!(sessions(&seen), [announced("s-1")]);
    assert_eq!(requests(&seen)[0].session, None);
}

/// A server of the 2024-11-05 transport: a GET opens the stream, POSTs are accepted and answered there.
struct StreamServer {
    upstream: Upstream,
    end: Arc<Notify>,
}

impl StreamServer {
    /// With `early`, a response is on the stream before its POST is accepted.
    async fn start(early: bool) -> Self {
        let (events, inbox) = mpsc::channel::<String>(16);
        let inbox = Arc::new(tokio::sync::Mutex::new(inbox));
        let end = Arc::new(Notify::new());
        let on_end = end.clone();
        let upstream = Upstream::start(move |request, mut reply| {
            let (events, inbox, end) = (events.clone(), inbox.clone(), on_end.clone());
            async move {
                if request.method() == "GET" {
                    reply.stream().await;
                    reply.chunk("event: endpoint\ndata: /messages/?session_id=0a1b\n\n").await;
                    let mut inbox = inbox.lock().await;
                    loop {
                        tokio::select! {
                            Some(event) = inbox.recv() => reply.event(event).await,
                            () = end.notified() => return reply.end().await,
                        }
                    }
                }
                assert_eq!(request.target(), "/messages/?session_id=0a1b");
                let message = request.json();
                if message["method"] == "bad" {
                    return reply.whole(400, &[], "Could not parse message").await;
                }
                let answer = match message["method"].as_str().unwrap() {
                    "initialize" => Some(INITIALIZED.to_owned()),
                    "never" => None,
                    _ => Some(json!({"jsonrpc": "2.0", "id": message["id"], "result": {}}).to_string()),
                };
                if early {
                    events.send(answer.unwrap()).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    reply.whole(202, &[], "Accepted").await;
                } else {
                    reply.whole(202, &[], "Accepted").await;
                    if let Some(answer) = answer {
                        events.send(answer).await.unwrap();
                    }
                }
            }
        })
        .await;
        Self { upstream, end }
    }
}

async fn send_message(fixture: &Fixture, message: &str) {
    read_all(fixture.send("POST", "/messages/?session_id=0a1b", &[], message.as_bytes()).await).await;
}

#[tokio::test]
async fn a_session_of_the_first_transport_lives_on_its_stream() {
    for early in [false, true] {
        let server = StreamServer::start(early).await;
        let fixture = Fixture::new(&server.upstream).await;
        let response = fixture.send("GET", "/sse", &[("accept", "text/event-stream")], b"").await;
        let mut stream = response.into_body();
        assert!(within(stream.frame()).await.is_some());
        // Somebody has to read the stream, as every client does.
        let reading = tokio::spawn(async move { while let Some(Ok(_)) = stream.frame().await {} });
        send_message(&fixture, INITIALIZE).await;
        fixture.rows(1).await;
        send_message(&fixture, &call("1", "tools/call", r#"{"name":"t"}"#)).await;
        let rows = fixture.rows(2).await;
        assert_eq!(
            rows.iter().map(Row::gist).collect::<Vec<_>>(),
            ["initialize 0 ok", "tools/call 1 ok"],
            "early: {early}"
        );
        for row in &rows {
            assert_eq!((row.session.as_deref(), row.protocol.as_deref()), (Some("0a1b"), Some("2025-06-18")));
            assert_eq!((row.transport, row.endpoint.as_deref()), (Some(Transport::Sse), Some("/sse")));
            // The stream's status, where the answer was; the POST was accepted with 202.
            row.assert_ended(Some(200), Outcome::Ok, None);
        }
        server.end.notify_one();
        within(reading).await.unwrap();
        let seen = fixture.finish().await;
        assert_eq!(sessions(&seen), [announced("0a1b")]);
        assert_eq!(closed(&seen), ["0a1b"], "the stream was the session");
    }
}

#[tokio::test]
async fn requests_on_the_first_transport_fail_with_their_post_or_with_the_stream() {
    let server = StreamServer::start(false).await;
    let fixture = Fixture::new(&server.upstream).await;
    let mut stream = fixture.send("GET", "/sse", &[], b"").await.into_body();
    assert!(within(stream.frame()).await.is_some());
    send_message(&fixture, &call("1", "bad", "{}")).await;
    let row = fixture.row().await;
    assert_eq!((row.gist().as_str(), row.transport), ("bad 1 error http_400", Some(Transport::Sse)));
    row.assert_ended(Some(400), Outcome::Error, None);
    send_message(&fixture, &call("2", "never", "{}")).await;
    drop(stream);
    let row = fixture.rows(2).await.remove(1);
    assert_eq!(row.gist(), "never 2 error client_gone");
    row.assert_ended(Some(202), Outcome::Error, None);
}

#[tokio::test]
async fn a_request_on_the_first_transport_that_is_never_answered_is_a_timeout() {
    let server = StreamServer::start(false).await;
    let fixture = Fixture::with(&server.upstream, |config| config.upstream_timeout = Duration::from_millis(200)).await;
    let mut stream = fixture.send("GET", "/sse", &[], b"").await.into_body();
    assert!(within(stream.frame()).await.is_some());
    send_message(&fixture, &call("1", "never", "{}")).await;
    let row = fixture.row().await;
    assert_eq!(row.gist(), "never 1 timeout upstream_timeout");
    row.assert_ended(Some(202), Outcome::Timeout, None);
}

/// A server whose POST streams end early and whose answers come on a resumed stream.
async fn resumable_server() -> Upstream {
    Upstream::start(|request, mut reply| async move {
        reply.stream().await;
        if request.method() == "POST" {
            reply.chunk("id: e-1\nretry: 10\ndata:\n\n").await;
        } else {
            assert_eq!(request.header("last-event-id"), Some("e-1"));
            reply.chunk("id: e-2\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n").await;
        }
        reply.end().await;
    })
    .await
}

#[tokio::test]
async fn an_answer_on_a_resumed_stream_belongs_to_its_request() {
    let upstream = resumable_server().await;
    let fixture = Fixture::new(&upstream).await;
    let session = ("mcp-session-id", "s-1");
    fixture.post(&[session], &call("1", "ping", "{}")).await;
    assert_eq!(fixture.seen(), [], "it may still be answered");
    read_all(fixture.send("GET", "/mcp", &[session, ("last-event-id", "e-1")], b"").await).await;
    assert_eq!(fixture.row().await.gist(), "ping 1 ok");
}

#[tokio::test]
async fn a_stream_that_is_not_resumed_leaves_a_failed_request() {
    let upstream = resumable_server().await;
    let fixture = Fixture::new(&upstream).await;
    fixture.post(&[("mcp-session-id", "s-1")], &call("1", "ping", "{}")).await;
    assert_eq!(fixture.seen(), []);
    // Another session's answer with the same id is none of its business.
    read_all(fixture.send("GET", "/mcp", &[("mcp-session-id", "s-2"), ("last-event-id", "e-1")], b"").await).await;
    let seen = fixture.finish().await;
    assert_eq!(requests(&seen).iter().map(Row::gist).collect::<Vec<_>>(), ["ping 1 error no_response"]);
}

#[tokio::test]
async fn a_session_that_ends_takes_its_waiting_requests_along() {
    let upstream = Upstream::start(|request, mut reply| async move {
        if request.method() == "DELETE" {
            return reply.whole(204, &[], "").await;
        }
        reply.stream().await;
        reply.chunk("id: e-1\nretry: 60000\ndata:\n\n").await;
        reply.end().await;
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    let session = [("mcp-session-id", "s-1")];
    fixture.post(&session, &call("1", "ping", "{}")).await;
    fixture.send("DELETE", "/mcp", &session, b"").await;
    assert_eq!(fixture.row().await.gist(), "ping 1 error no_response");
}

#[tokio::test]
async fn a_cancelled_request_ends_when_it_is_taken_back() {
    let upstream = Upstream::start(|request, mut reply| async move {
        if request.json().get("id").is_none() {
            return reply.whole(202, &[], "").await;
        }
        reply.stream().await;
        reply.chunk(": working\n\n").await;
        reply.gone().await;
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"user"}}"#;
    let session = ("mcp-session-id", "s-1");
    let open = fixture.send("POST", "/mcp", &[session], call("1", "tools/call", r#"{"name":"slow"}"#).as_bytes()).await;
    fixture.post(&[("mcp-session-id", "s-2")], cancel).await;
    assert_eq!(fixture.seen(), [], "another session's cancellation");
    fixture.post(&[session], cancel).await;
    let row = fixture.row().await;
    assert_eq!(row.gist(), "tools/call 1 error cancelled");
    row.assert_ended(Some(200), Outcome::Cancelled, None);
    drop(open);
    assert_eq!(requests(&fixture.finish().await).len(), 1);
}
