//! Streams that are cut and resumed, between a real server and a real client.

use super::*;
use tokio::sync::Semaphore;

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
    for session in [&[("mcp-session-id", "s-1")][..], &[]] {
        let upstream = resumable_server().await;
        let fixture = Fixture::new(&upstream).await;
        fixture.post(session, &call("1", "ping", "{}")).await;
        assert_eq!(fixture.seen(), [], "it may still be answered");
        let headers = [session, &[("last-event-id", "e-1")]].concat();
        read_all(fixture.send("GET", "/mcp", &headers, b"").await).await;
        assert_eq!(fixture.row().await.gist(), "ping 1 ok", "{session:?}");
    }
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
async fn a_stream_that_fell_silent_may_be_resumed_and_answered() {
    let upstream = Upstream::start(|request, mut reply| async move {
        reply.stream().await;
        if request.method() == "POST" {
            reply.chunk("id: e-1\ndata:\n\n").await;
            return reply.gone().await;
        }
        reply.chunk("id: e-2\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n").await;
        reply.end().await;
    })
    .await;
    let fixture = Fixture::with(&upstream, |config| config.upstream_timeout = Duration::from_millis(200)).await;
    let (_, body) = fixture.post(&[], &call("1", "ping", "{}")).await;
    assert!(body.ends_with("[broken off]"), "the proxy gave the upstream up: {body}");
    read_all(fixture.send("GET", "/mcp", &[("last-event-id", "e-1")], b"").await).await;
    let row = fixture.row().await;
    assert_eq!(row.gist(), "ping 1 ok");
    row.assert_ended(Some(200), Outcome::Ok, None);
}

#[tokio::test]
async fn a_replayed_answer_is_not_that_of_a_later_request_with_its_id() {
    let next = Arc::new(Semaphore::new(0));
    let permits = next.clone();
    let upstream = Upstream::start(move |request, mut reply| {
        let next = permits.clone();
        async move {
            reply.stream().await;
            let is_replay = request.method() == "GET";
            if is_replay || request.json()["method"] == "old" {
                // What counts its events anew in each stream, as servers do.
                let prime = if is_replay { "" } else { "id: 1\ndata:\n\n" };
                let old = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"old"}}"#;
                reply.chunk(format!("{prime}id: 2\ndata: {old}\n\n")).await;
            } else {
                reply.chunk("id: 1\ndata:\n\n").await;
                next.acquire().await.unwrap().forget();
                reply.chunk("id: 2\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n").await;
            }
            reply.end().await;
        }
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    let session = ("mcp-session-id", "s-1");
    fixture.post(&[session], &call("1", "old", "{}")).await;
    let new = fixture.send("POST", "/mcp", &[session], call("1", "new", "{}").as_bytes()).await;
    let replayed = fixture.send("GET", "/mcp", &[session, ("last-event-id", "1")], b"").await;
    assert!(read_all(replayed).await.contains("old"));
    next.add_permits(1);
    read_all(new).await;
    let gists: Vec<String> = fixture.rows(2).await.iter().map(Row::gist).collect();
    assert_eq!(gists, ["old 1 error -1", "new 1 ok"]);
}
