//! Sessions: announced, made up, closed; and requests that are taken back.

use super::*;
use mcplog::event::Note;
use serde_json::json;
use tokio::sync::Notify;

pub(super) const INITIALIZE: &str = r#"{"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"claude-ai","version":"0.1"}},"jsonrpc":"2.0","id":0}"#;
pub(super) const INITIALIZED: &str = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}"#;

pub(super) fn closed(seen: &[Seen]) -> Vec<String> {
    seen.iter().filter_map(|seen| if let Seen::Closed(id) = seen { Some(id.clone()) } else { None }).collect()
}

pub(super) fn sessions(seen: &[Seen]) -> Vec<Seen> {
    seen.iter().filter(|seen| matches!(seen, Seen::Session { .. })).cloned().collect()
}

pub(super) fn announced(id: &str) -> Seen {
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
async fn a_request_that_is_taken_back_is_cancelled_and_what_the_server_still_says_is_noted() {
    for late in [None, Some(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"boom"}}"#)] {
        let taken_back = Arc::new(Notify::new());
        let on_cancel = taken_back.clone();
        let upstream = Upstream::start(move |request, mut reply| {
            let taken_back = on_cancel.clone();
            async move {
                if request.json().get("id").is_none() {
                    reply.whole(202, &[], "").await;
                    return taken_back.notify_one();
                }
                reply.stream().await;
                reply.chunk(": working\n\n").await;
                match late {
                    None => reply.gone().await,
                    Some(late) => {
                        taken_back.notified().await;
                        // The one before was another session's.
                        taken_back.notified().await;
                        reply.event(late).await;
                        reply.end().await;
                    }
                }
            }
        })
        .await;
        let fixture = Fixture::new(&upstream).await;
        let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"user"}}"#;
        let session = ("mcp-session-id", "s-1");
        let request = call("1", "tools/call", r#"{"name":"slow"}"#);
        let open = fixture.send("POST", "/mcp", &[session], request.as_bytes()).await;
        fixture.post(&[("mcp-session-id", "s-2")], cancel).await;
        assert_eq!(fixture.proxy.as_ref().unwrap().open_calls(), 1, "another session's cancellation");
        fixture.post(&[session], cancel).await;
        assert_eq!(fixture.proxy.as_ref().unwrap().open_calls(), 0);
        match late {
            None => drop(open),
            Some(late) => assert!(read_all(open).await.contains(late), "it passes as ever"),
        }
        let row = fixture.row().await;
        assert_eq!(row.gist(), "tools/call 1 error cancelled");
        row.assert_ended(Some(200), Outcome::Cancelled, late.map(|_| "late error -32603: boom"));
        assert_eq!(row.notes.has(Note::LateAnswer), late.is_some());
        assert_eq!(requests(&fixture.finish().await).len(), 1);
    }
}
