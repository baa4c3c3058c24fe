//! Every fault: the client learns of it, the other side is let go of, and the request still has its row.

use super::*;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::Notify;

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

/// An address where nobody listens.
async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn an_unreachable_upstream_is_an_error_for_the_client_and_a_row() {
    let config = ProxyConfig::new(&format!("http://{}/mcp", nowhere().await)).unwrap();
    let fixture = Fixture::start(config, &[]).await;
    let (status, body) = fixture.post(&[], &call("\"x\"", "tools/call", r#"{"name":"t"}"#)).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    let error: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&error["jsonrpc"], &error["id"]), (&"2.0".into(), &"x".into()));
    assert_eq!(error["error"]["data"]["reason"], "upstream_unreachable");
    let row = fixture.row().await;
    assert_eq!((row.gist().as_str(), row.tool.as_deref()), ("tools/call x error upstream_unreachable", Some("t")));
    row.assert_ended(None, Outcome::Error, Some("connection refused"));

    let (_, body) = fixture.post(&[], &format!("[{},{}]", call("1", "ping", "{}"), call("2", "ping", "{}"))).await;
    let errors: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&errors[0]["id"], &errors[1]["id"]), (&1.into(), &2.into()));
    assert_eq!(fixture.rows(3).await.len(), 3);
    assert_eq!(fixture.send("GET", "/mcp", &[], b"").await.status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_long_request_to_an_unreachable_upstream_is_known_by_its_end() {
    let config = ProxyConfig::new(&format!("http://{}/mcp", nowhere().await)).unwrap();
    let fixture = Fixture::start(config, &[]).await;
    let request = call("5", "tools/call", &format!(r#"{{"arguments":"{}","name":"t"}}"#, "x".repeat(3_000_000)));
    let (status, _) = fixture.post(&[], &request).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert_eq!(fixture.row().await.gist(), "tools/call 5 error upstream_unreachable");
}

#[tokio::test]
async fn an_upstream_that_hangs_up_without_an_answer_is_a_bad_gateway() {
    let upstream = Upstream::start(|_, reply| async move { drop(reply) }).await;
    let fixture = Fixture::new(&upstream).await;
    let (status, body) = fixture.post(&[], PING).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert!(body.contains("stream_broken"), "{body}");
    let row = fixture.row().await;
    assert_eq!(row.gist(), "ping 1 error stream_broken");
    row.assert_ended(None, Outcome::Error, Some("connection closed before the response"));
}

#[tokio::test]
async fn a_response_that_breaks_off_breaks_off_for_the_client() {
    for (head, part, cause) in [
        (
            "content-type: application/json\r\ncontent-length: 1000",
            "{\"jsonrpc\":\"2.0\",\"id\":1,",
            "connection closed after 24 bytes",
        ),
        (
            "content-type: application/json\r\ntransfer-encoding: chunked",
            "4\r\n{\"id\r\n",
            "connection closed after 4 bytes",
        ),
        // What breaks off at once, too: the head is there before.
        (
            "content-type: application/json\r\ntransfer-encoding: chunked",
            "4\r\n{\"id\r\nsecret\r\n",
            "nvalid chunk size",
        ),
        ("content-type: application/json\r\ntransfer-encoding: chunked", "secret\r\n", "nvalid chunk size"),
        (
            "content-type: text/event-stream\r\ntransfer-encoding: chunked",
            "9\r\n: hello\n\n\r\n",
            "connection closed after 9 bytes",
        ),
    ] {
        let upstream = Upstream::start(move |_, mut reply| async move {
            reply.raw(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{part}")).await;
        })
        .await;
        let fixture = Fixture::new(&upstream).await;
        let (_, body) = fixture.post(&[], PING).await;
        assert!(body.ends_with("[broken off]"), "{head}: {body}");
        let row = fixture.row().await;
        assert_eq!(row.gist(), "ping 1 error stream_broken", "{head}");
        row.assert_ended(Some(200), Outcome::Error, Some(cause));
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_after_the_answer_is_no_error() {
    let upstream = Upstream::start(|_, mut reply| async move {
        reply.stream().await;
        reply.event(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    fixture.post(&[], PING).await;
    let rows = requests(&fixture.finish().await);
    assert_eq!(rows.iter().map(Row::gist).collect::<Vec<_>>(), ["ping 1 ok"]);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_ends_the_upstreams_request() {
    for has_head in [false, true] {
        let (called, left) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (on_call, on_leave) = (called.clone(), left.clone());
        let upstream = Upstream::start(move |_, mut reply| {
            let (called, left) = (on_call.clone(), on_leave.clone());
            async move {
                if has_head {
                    reply.stream().await;
                    reply.chunk(": hello\n\n").await;
                }
                called.notify_one();
                reply.gone().await;
                left.notify_one();
            }
        })
        .await;
        let fixture = Fixture::new(&upstream).await;
        let mut client = fixture.connect().await;
        let request = format!("POST /mcp HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{PING}", PING.len());
        client.write_all(request.as_bytes()).await.unwrap();
        within(called.notified()).await;
        if has_head {
            // Up to the end of the first chunk, so that leaving meets an open body.
            let mut seen = Vec::new();
            while !seen.ends_with(b": hello\n\n\r\n") {
                seen.push(within(client.read_u8()).await.unwrap());
            }
        }
        drop(client);
        within(left.notified()).await;
        let row = fixture.row().await;
        assert_eq!(row.gist(), "ping 1 error client_gone", "head: {has_head}");
        row.assert_ended(has_head.then_some(200), Outcome::Error, None);
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_it_sends_is_a_row_if_its_request_is_known() {
    for (part, rows) in [
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"#,
            &["tools/call 1 error client_gone"][..],
        ),
        (r#"{"jsonrpc":"2.0","method":"tools/call","params":{"#, &[]),
    ] {
        let left = Arc::new(Notify::new());
        let on_leave = left.clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = ProxyConfig::new(&format!("http://{}/mcp", listener.local_addr().unwrap())).unwrap();
        let arrived = Arc::new(Notify::new());
        let on_arrival = arrived.clone();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut received = Vec::new();
            while !received.ends_with(b":{") {
                received.push(stream.read_u8().await.unwrap());
            }
            on_arrival.notify_one();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            on_leave.notify_one();
        });
        let fixture = Fixture::start(config, &[]).await;
        let mut client = fixture.connect().await;
        client
            .write_all(format!("POST /mcp HTTP/1.1\r\nhost: h\r\ncontent-length: 5000\r\n\r\n{part}").as_bytes())
            .await
            .unwrap();
        within(arrived.notified()).await;
        drop(client);
        within(left.notified()).await;
        let gists: Vec<String> = requests(&fixture.finish().await).iter().map(Row::gist).collect();
        assert_eq!(gists, rows);
    }
}

#[tokio::test]
async fn a_silent_upstream_is_a_timeout() {
    let upstream = Upstream::start(|_, mut reply| async move { reply.gone().await }).await;
    let fixture = Fixture::with(&upstream, |config| config.upstream_timeout = Duration::from_millis(100)).await;
    let (status, body) = fixture.post(&[], &call("7", "ping", "{}")).await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    let error: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&error["id"], &error["error"]["data"]["reason"]), (&7.into(), &"upstream_timeout".into()));
    let row = fixture.row().await;
    assert_eq!(row.gist(), "ping 7 timeout upstream_timeout");
    row.assert_ended(None, Outcome::Timeout, Some("timed out waiting for the response"));
}

#[tokio::test]
async fn a_request_that_the_upstream_did_not_even_take_in_time_has_its_row() {
    // Nobody accepts here, and there is room for one who waits: the next one's connection is not made.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let _waiting = TcpStream::connect(address).await.unwrap();
    let mut config = ProxyConfig::new(&format!("http://{address}/mcp")).unwrap();
    config.upstream_timeout = Duration::from_millis(100);
    let fixture = Fixture::start(config, &[]).await;
    let (status, _) = fixture.post(&[], &call("7", "ping", "{}")).await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    let row = fixture.row().await;
    assert_eq!(row.gist(), "ping 7 timeout upstream_timeout");
    row.assert_ended(None, Outcome::Timeout, Some("timed out waiting for a connection"));
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_cut_and_the_upstream_let_go_of() {
    let left = Arc::new(Notify::new());
    let on_leave = left.clone();
    let upstream = Upstream::start(move |_, mut reply| {
        let left = on_leave.clone();
        async move {
            reply.stream().await;
            reply.event(r#"{"method":"notifications/progress"}"#).await;
            reply.gone().await;
            left.notify_one();
        }
    })
    .await;
    let fixture = Fixture::with(&upstream, |config| config.upstream_timeout = Duration::from_millis(200)).await;
    let (_, body) = fixture.post(&[], PING).await;
    assert!(body.ends_with("[broken off]"), "{body}");
    let row = fixture.row().await;
    assert_eq!(row.gist(), "ping 1 timeout upstream_timeout");
    row.assert_ended(Some(200), Outcome::Timeout, Some("timed out within the response (after "));
    within(left.notified()).await;
}

#[tokio::test]
async fn streams_that_wait_for_nothing_in_particular_may_be_silent() {
    let finish = Arc::new(Notify::new());
    let on_finish = finish.clone();
    let upstream = Upstream::start(move |_, mut reply| {
        let finish = on_finish.clone();
        async move {
            reply.stream().await;
            reply.chunk(": open\n\n").await;
            finish.notified().await;
            reply.event(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
            reply.end().await;
        }
    })
    .await;
    let fixture = Fixture::with(&upstream, |config| config.upstream_timeout = Duration::from_millis(50)).await;
    let get = fixture.send("GET", "/mcp", &[], b"").await;
    let listen = fixture.send("POST", "/mcp", &[], call("1", "subscriptions/listen", "{}").as_bytes()).await;
    // Ten times the limit.
    tokio::time::sleep(Duration::from_millis(500)).await;
    finish.notify_waiters();
    assert!(read_all(get).await.ends_with("}}\n\n"));
    assert!(read_all(listen).await.ends_with("}}\n\n"));
    let row = fixture.row().await;
    assert_eq!(row.gist(), "subscriptions/listen 1 ok");
    row.assert_ended(Some(200), Outcome::Ended, None);
}

#[tokio::test]
async fn a_stream_that_keeps_talking_is_not_silent() {
    let upstream = Upstream::start(move |_, mut reply| async move {
        reply.stream().await;
        for _ in 0..40 {
            reply.chunk(": still working\n\n").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        reply.event(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
        reply.end().await;
    })
    .await;
    let fixture = Fixture::with(&upstream, |config| config.upstream_timeout = Duration::from_millis(1500)).await;
    fixture.post(&[], PING).await;
    assert_eq!(fixture.row().await.gist(), "ping 1 ok");
}

#[tokio::test]
async fn an_early_refusal_is_the_rows_outcome_even_if_the_request_is_not_read_to_its_end() {
    let upstream = Upstream::start(|_, _| async {}).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = ProxyConfig::new(&format!("http://{}/mcp", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 300];
        stream.read_exact(&mut head).await.unwrap();
        stream.write_all(b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    });
    drop(upstream);
    let fixture = Fixture::start(config, &[]).await;
    let mut client = fixture.connect().await;
    let part = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"big","arguments":""#;
    let filler = "x".repeat(1000);
    client
        .write_all(format!("POST /mcp HTTP/1.1\r\nhost: h\r\ncontent-length: 9000000\r\n\r\n{part}{filler}").as_bytes())
        .await
        .unwrap();
    let mut status = [0; 12];
    within(client.read_exact(&mut status)).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
    drop(client);
    let rows = requests(&fixture.finish().await);
    assert_eq!(rows.iter().map(Row::gist).collect::<Vec<_>>(), ["tools/call 1 error http_413"]);
    rows[0].assert_ended(Some(413), Outcome::Error, None);
}

#[tokio::test]
async fn open_requests_may_end_while_the_proxy_shuts_down_and_then_are_cut() {
    let (called, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (on_call, on_finish) = (called.clone(), finish.clone());
    let upstream = Upstream::start(move |request, mut reply| {
        let (called, finish) = (on_call.clone(), on_finish.clone());
        async move {
            called.notify_one();
            if request.json()["id"] == 1 {
                finish.notified().await;
                reply.json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
            } else {
                reply.gone().await;
            }
        }
    })
    .await;
    let mut fixture = Fixture::with(&upstream, |config| config.drain = Duration::from_millis(500)).await;
    let proxy = fixture.proxy.take().unwrap();
    let post = |id: &str| {
        let request = fixture.request("POST", "/mcp", &[], call(id, "ping", "{}").as_bytes());
        tokio::spawn(fixture.client.request(request))
    };
    let (first, second) = (post("1"), post("2"));
    within(called.notified()).await;
    within(async {
        while upstream.received().len() < 2 {
            tokio::task::yield_now().await
        }
    })
    .await;
    let ending = tokio::spawn(proxy.shutdown());
    // A new client finds nobody.
    within(async {
        while TcpStream::connect(&fixture.address).await.is_ok() {
            tokio::task::yield_now().await
        }
    })
    .await;
    finish.notify_one();
    assert_eq!(within(first).await.unwrap().unwrap().status(), StatusCode::OK);
    assert!(within(second).await.unwrap().is_err(), "cut off");
    within(ending).await.unwrap();
    let mut rows = requests(&fixture.seen());
    rows.sort_by_key(Row::gist);
    assert_eq!(rows.iter().map(Row::gist).collect::<Vec<_>>(), ["ping 1 ok", "ping 2 error proxy_shutdown"]);
    rows[0].assert_ended(Some(200), Outcome::Ok, None);
    rows[1].assert_ended(None, Outcome::Lost, None);
}

#[tokio::test]
async fn shutdown_does_not_wait_for_idle_clients_and_streams_without_requests() {
    let upstream = Upstream::start(|request, mut reply| async move {
        if request.method() == "GET" {
            reply.stream().await;
            reply.gone().await;
        } else {
            reply.json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
        }
    })
    .await;
    // The drain limit is far beyond the test's patience: only a shutdown that does not use it comes to its end.
    let fixture = Fixture::with(&upstream, |config| config.drain = PATIENCE * 100).await;
    fixture.post(&[], PING).await;
    let _stream = fixture.send("GET", "/mcp", &[], b"").await;
    let _idle = fixture.connect().await;
    assert_eq!(requests(&fixture.finish().await).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_every_request_has_exactly_one_row() {
    /// How the upstream and the client behave, by the request's number.
    const BEHAVIOURS: u64 = 9;
    let upstream = Upstream::start(|request, mut reply| async move {
        let id = request.json()["id"].as_u64().unwrap();
        let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
        match id % BEHAVIOURS {
            0 => reply.json(answer).await,
            1 => {
                reply.stream().await;
                reply.event(answer).await;
                reply.end().await;
            }
            2 => drop(reply),
            3 => {
                reply.stream().await;
                reply.chunk(&answer[..5]).await;
            }
            4 => reply.whole(500, &[], "oops").await,
            5 => reply.gone().await,
            6 => {
                reply.stream().await;
                reply.gone().await;
            }
            7 => {
                reply.stream().await;
                reply.chunk("id: 1\ndata:\n\n").await;
            }
            _ => reply.json("[]").await,
        }
    })
    .await;
    let fixture = Arc::new(
        Fixture::with(&upstream, |config| {
            config.upstream_timeout = Duration::from_millis(300);
            config.drain = Duration::from_millis(300);
        })
        .await,
    );
    let sent = Arc::new(AtomicU32::new(0));
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..30_u32 {
        let (fixture, sent) = (fixture.clone(), sent.clone());
        clients.spawn(async move {
            for round in 0..12_u32 {
                let id = client * 12 + round;
                let body = call(&id.to_string(), "ping", "{}");
                let request = fixture.request("POST", "/mcp", &[("mcp-session-id", "s")], body.as_bytes());
                sent.fetch_add(1, Ordering::Relaxed);
                let exchange = async {
                    if let Ok(response) = fixture.client.request(request).await {
                        let _ = response.into_body().collect().await;
                    }
                };
                if id % 4 == 3 {
                    // This one leaves early.
                    let _ = tokio::time::timeout(Duration::from_millis(u64::from(id % 40) * 5), exchange).await;
                } else {
                    within(exchange).await;
                }
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    let fixture = Arc::into_inner(fixture).unwrap();
    let arrived: Vec<String> = upstream.received().iter().map(|request| request.json()["id"].to_string()).collect();
    let rows = requests(&fixture.finish().await);
    let mut counts: HashMap<String, usize> = HashMap::new();
    for row in &rows {
        *counts.entry(row.rpc_id.clone().unwrap()).or_default() += 1;
    }
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    assert!(rows.len() <= sent.load(Ordering::Relaxed) as usize);
    for id in arrived {
        assert!(counts.contains_key(&id), "request {id} reached the upstream and has no row");
    }
    // Those whose client stayed have a row whether or not they reached the upstream.
    for id in (0..360).filter(|id| id % 4 != 3) {
        assert!(counts.contains_key(&id.to_string()), "request {id} has no row");
    }
}
