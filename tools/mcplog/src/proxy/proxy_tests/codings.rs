//! Bodies that are packed pass as they are, and are read as they come; those that can't be read say so.

use super::*;
use mcplog::event::Note;
use mcplog_packing::{Packer, Way, all, content_encoding, pack};
use tokio::sync::Notify;

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
const UNREAD: Notes = Notes::NONE.with(Note::Unread);

#[tokio::test]
async fn packed_bodies_pass_as_they_are_and_are_read_all_the_same() {
    for ways in all() {
        for (content_type, text) in
            [("application/json", ANSWER.to_owned()), ("text/event-stream", format!("data: {ANSWER}\n\n"))]
        {
            let coding = content_encoding(&ways);
            let body = pack(&ways, text.as_bytes());
            let answer = (coding.clone(), body.clone());
            let upstream = Upstream::start(move |_, mut reply| {
                let (coding, body) = answer.clone();
                async move {
                    reply.whole(200, &[("content-type", content_type), ("content-encoding", &coding)], body).await;
                }
            })
            .await;
            let fixture = Fixture::new(&upstream).await;
            let request = pack(&ways, PING.as_bytes());
            let headers = [("content-encoding", coding.as_str()), ("accept-encoding", "gzip,  br;q=0.9, zstd, *;q=0")];
            let response = fixture.send("POST", "/mcp", &headers, &request).await;
            assert_eq!(response.headers()["content-encoding"], coding.as_str());
            let passed = within(response.into_body().collect()).await.unwrap().to_bytes();
            assert_eq!(passed, body, "{ways:?} {content_type}");
            let received = upstream.received().remove(0);
            assert_eq!(
                (received.header("content-encoding"), received.header("accept-encoding")),
                (Some(coding.as_str()), Some(headers[1].1))
            );
            assert!(received.body == request, "{ways:?}");
            let row = fixture.row().await;
            assert_eq!((row.gist().as_str(), row.notes), ("ping 1 ok", Notes::NONE), "{ways:?} {content_type}");
            assert_eq!((row.bytes_in, row.bytes_out), (Some(40), Some(36)), "unpacked");
        }
    }
}

#[tokio::test]
async fn an_answer_in_a_packed_stream_is_recorded_while_the_stream_goes_on() {
    for ways in all() {
        let (coding, recorded) = (content_encoding(&ways), Arc::new(Notify::new()));
        let wait = recorded.clone();
        let upstream = Upstream::start(move |_, mut reply| {
            let (coding, ways, wait) = (coding.clone(), ways.clone(), wait.clone());
            async move {
                reply.head(&[("content-type", "text/event-stream"), ("content-encoding", &coding)]).await;
                let mut packer = Packer::new(&ways);
                reply.chunk(packer.flushed(format!("data: {ANSWER}\n\n").as_bytes())).await;
                wait.notified().await;
                reply.chunk(packer.finish()).await;
                reply.end().await;
            }
        })
        .await;
        let fixture = Fixture::new(&upstream).await;
        let response = fixture.send("POST", "/mcp", &[], PING.as_bytes()).await;
        let reading = tokio::spawn(response.into_body().collect());
        assert_eq!(fixture.row().await.gist(), "ping 1 ok");
        recorded.notify_one();
        within(reading).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_response_that_cannot_be_read_passes_and_says_so() {
    for (status, coding, gist) in [
        (200, "br", "ping 1 error unreadable_response"),
        (200, "compress", "ping 1 error unreadable_response"),
        (500, "br", "ping 1 error http_500"),
    ] {
        let upstream = Upstream::start(move |_, mut reply| async move {
            let headers = [("content-type", "application/json"), ("content-encoding", coding)];
            reply.whole(status, &headers, "????").await;
        })
        .await;
        let fixture = Fixture::new(&upstream).await;
        assert_eq!(fixture.post(&[], PING).await.1, "????");
        let row = fixture.row().await;
        assert_eq!((row.gist().as_str(), row.notes), (gist, UNREAD), "{coding}");
        row.assert_ended(Some(status), Outcome::Error, None);
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_known_by_its_headers() {
    let upstream = Upstream::answering(ANSWER).await;
    let fixture = Fixture::new(&upstream).await;
    for (field, name) in [("search", "search"), ("=?base64?csOpc3Vtw6k=?=", "résumé")] {
        let headers = [
            ("content-encoding", "br"),
            ("mcp-method", "tools/call"),
            ("mcp-name", field),
            ("mcp-protocol-version", "2026-07-28"),
        ];
        fixture.send("POST", "/mcp", &headers, b"????").await;
        fixture.wait(|seen| requests(seen).iter().any(|row| row.tool.as_deref() == Some(name))).await;
        let row = requests(&fixture.seen()).pop().unwrap();
        assert_eq!((row.gist().as_str(), row.notes), ("tools/call - ok", UNREAD));
        assert_eq!(row.protocol.as_deref(), Some("2026-07-28"));
        assert_eq!(upstream.received().pop().unwrap().header("mcp-name"), Some(field), "it passes as it came");
    }
}

#[tokio::test]
async fn a_request_of_which_nothing_is_known_has_a_row_if_it_is_answered() {
    let answer = |status| {
        Upstream::start(move |_, mut reply| async move {
            reply.whole(status, &[("content-type", "application/json")], if status == 200 { ANSWER } else { "" }).await;
        })
    };
    for (status, gist) in [(200, "(unread) - ok"), (400, "(unread) - error http_400")] {
        let fixture = Fixture::new(&answer(status).await).await;
        fixture.send("POST", "/mcp", &[("content-encoding", "compress")], b"????").await;
        let row = fixture.row().await;
        assert_eq!((row.gist().as_str(), row.notes, row.http_status), (gist, UNREAD, Some(status)));
    }
    // What is only accepted was a notification, or a response.
    let fixture = Fixture::new(&answer(202).await).await;
    fixture.send("POST", "/mcp", &[("content-encoding", "compress")], b"????").await;
    assert_eq!(fixture.finish().await, []);
}

#[tokio::test]
async fn a_bomb_passes_and_only_so_much_of_it_is_unpacked() {
    let upstream = Upstream::answering(ANSWER).await;
    let fixture = Fixture::new(&upstream).await;
    let bomb = mcplog_packing::bomb(Way::Gzip, 64 << 20);
    let response = fixture.send("POST", "/mcp", &[("content-encoding", "gzip")], &bomb).await;
    assert_eq!(read_all(response).await, ANSWER);
    assert!(upstream.received()[0].body == bomb);
    let row = fixture.row().await;
    assert_eq!((row.gist().as_str(), row.notes), ("(unread) - ok", UNREAD));
}
