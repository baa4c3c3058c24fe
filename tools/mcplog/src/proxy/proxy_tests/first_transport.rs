//! The transport of 2024-11-05, between a real server and a real client.

use super::sessions::{INITIALIZE, INITIALIZED, announced, closed, sessions};
use super::*;
use serde_json::json;
use tokio::sync::{Notify, mpsc};

/// A server of the 2024-11-05 transport: a GET opens the stream, POSTs are accepted and answered there.
struct StreamServer {
    upstream: Upstream,
    end: Arc<Notify>,
}

impl StreamServer {
    /// With `early`, a response is on the stream before its POST is accepted.
    async fn start(early: bool) -> Self {
        Self::at("/messages/?session_id=0a1b", early).await
    }

    /// One that wants its messages at that address.
    async fn at(address: &'static str, early: bool) -> Self {
        let (events, inbox) = mpsc::channel::<String>(16);
        let inbox = Arc::new(tokio::sync::Mutex::new(inbox));
        let end = Arc::new(Notify::new());
        let on_end = end.clone();
        let upstream = Upstream::start(move |request, mut reply| {
            let (events, inbox, end) = (events.clone(), inbox.clone(), on_end.clone());
            async move {
                if request.method() == "GET" {
                    reply.stream().await;
                    reply.chunk(format!("event: endpoint\ndata: {address}\n\n")).await;
                    let mut inbox = inbox.lock().await;
                    loop {
                        tokio::select! {
                            Some(event) = inbox.recv() => reply.event(event).await,
                            () = end.notified() => return reply.end().await,
                        }
                    }
                }
                assert_eq!(request.target(), address);
                let message = request.json();
                if message["method"] == "bad" {
                    return reply.whole(400, &[], "Could not parse message").await;
                }
                if message["method"] == "dropped" {
                    // The client takes the head of this, and goes away.
                    reply.raw("HTTP/1.1 202 Accepted\r\ncontent-length: 100\r\n\r\nAccepted").await;
                    reply.gone().await;
                    let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": {}}).to_string();
                    return events.send(answer).await.unwrap();
                }
                if message["method"] == "cut" {
                    reply.raw("HTTP/1.1 202 Accepted\r\ncontent-length: 100\r\n\r\nAccepted").await;
                    drop(reply);
                    let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": {}}).to_string();
                    return events.send(answer).await.unwrap();
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

#[tokio::test]
async fn a_stream_is_the_session_of_the_address_that_it_announces_whatever_that_looks_like() {
    for address in ["/messages/0a1b", "/message?clientId=0a1b", "/messages"] {
        let server = StreamServer::at(address, false).await;
        let fixture = Fixture::new(&server.upstream).await;
        let mut stream = fixture.send("GET", "/sse", &[], b"").await.into_body();
        assert!(within(stream.frame()).await.is_some());
        let reading = tokio::spawn(async move { while let Some(Ok(_)) = stream.frame().await {} });
        for message in [INITIALIZE, &call("1", "tools/call", r#"{"name":"t"}"#)] {
            read_all(fixture.send("POST", address, &[], message.as_bytes()).await).await;
        }
        let rows = fixture.rows(2).await;
        assert_eq!(rows.iter().map(Row::gist).collect::<Vec<_>>(), ["initialize 0 ok", "tools/call 1 ok"], "{address}");
        server.end.notify_one();
        within(reading).await.unwrap();
        let seen = fixture.finish().await;
        let session = rows[0].session.clone().unwrap();
        assert_eq!((rows[1].session.as_ref(), closed(&seen)), (Some(&session), vec![session.clone()]));
        // The server told no id.
        let Seen::Session { id, client, derived, .. } = sessions(&seen).remove(0) else { panic!() };
        assert_eq!((id, client.as_deref(), derived), (session, Some("claude-ai"), true), "{address}");
    }
}

#[tokio::test]
async fn a_request_that_was_accepted_is_answered_whoever_breaks_its_response_off() {
    for method in ["dropped", "cut"] {
        let server = StreamServer::start(false).await;
        let fixture = Fixture::new(&server.upstream).await;
        let mut stream = fixture.send("GET", "/sse", &[], b"").await.into_body();
        assert!(within(stream.frame()).await.is_some());
        let response =
            fixture.send("POST", "/messages/?session_id=0a1b", &[], call("1", method, "{}").as_bytes()).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        match method {
            "dropped" => drop(response),
            _ => assert!(read_all(response).await.ends_with("[broken off]")),
        }
        assert!(within(stream.frame()).await.is_some());
        let row = fixture.row().await;
        assert_eq!((row.gist(), row.http_status), (format!("{method} 1 ok"), Some(200)));
    }
}
