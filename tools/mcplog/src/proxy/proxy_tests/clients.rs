//! What clients may not do for ever, or not at once: trickle, stall, idle, crowd. And a proxy that fails within.

use super::super::http::ClientLimits;
use super::*;
use tokio::sync::Notify;

const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
const SHORT: Duration = Duration::from_millis(100);

/// Everything that a connection still brings.
async fn rest(stream: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    let _ = within(stream.read_to_end(&mut rest)).await;
    String::from_utf8(rest).unwrap()
}

fn limits(head: Duration, idle: Duration) -> impl FnOnce(&mut ProxyConfig) {
    move |config| config.client_limits = ClientLimits { head, idle }
}

fn ping() -> String {
    let body = call("1", "ping", "{}");
    format!("POST /mcp HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// One response, with a body of that text.
async fn response(stream: &mut TcpStream, body: &str) {
    let mut seen = Vec::new();
    while !seen.ends_with(body.as_bytes()) {
        seen.push(within(stream.read_u8()).await.unwrap());
    }
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off_however_many_send_it() {
    let upstream = Upstream::answering(ANSWER).await;
    let fixture = Fixture::with(&upstream, limits(SHORT, PATIENCE * 10)).await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let mut client = fixture.connect().await;
        clients.spawn(async move {
            client.write_all(b"POST /mcp HTTP/1.1\r\nhost: h\r\nx-slow: ").await.unwrap();
            // One byte after the other, until nobody listens any more.
            let (mut reader, mut writer) = client.into_split();
            let trickle = tokio::spawn(async move {
                while writer.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(SHORT / 10).await;
                }
            });
            let mut answer = Vec::new();
            let _ = within(reader.read_to_end(&mut answer)).await;
            within(trickle).await.unwrap();
            String::from_utf8(answer).unwrap()
        });
    }
    while let Some(answer) = clients.join_next().await {
        let answer = answer.unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("did not come in time"), "{answer}");
    }
    assert_eq!(fixture.finish().await, []);
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go_of_without_a_word() {
    let upstream = Upstream::answering(ANSWER).await;
    let fixture = Fixture::with(&upstream, limits(SHORT, PATIENCE * 10)).await;
    assert_eq!(rest(&mut fixture.connect().await).await, "");
}

#[tokio::test]
async fn an_idle_connection_has_a_limit_of_its_own() {
    let upstream = Upstream::answering(ANSWER).await;
    // Longer between requests than for a head: what is between two requests is no slow head.
    let fixture = Fixture::with(&upstream, limits(SHORT, PATIENCE * 10)).await;
    let mut client = fixture.connect().await;
    for _ in 0..2 {
        client.write_all(ping().as_bytes()).await.unwrap();
        response(&mut client, ANSWER).await;
        tokio::time::sleep(SHORT * 4).await;
    }
    // And the other way round.
    let fixture = Fixture::with(&upstream, limits(PATIENCE * 10, SHORT)).await;
    let mut client = fixture.connect().await;
    client.write_all(ping().as_bytes()).await.unwrap();
    response(&mut client, ANSWER).await;
    assert_eq!(rest(&mut client).await, "");
}

#[tokio::test]
async fn an_exchange_that_takes_long_is_neither_idle_nor_a_slow_head() {
    let upstream = Upstream::start(|_, mut reply| async move {
        reply.stream().await;
        reply.chunk(": open\n\n").await;
        tokio::time::sleep(SHORT * 6).await;
        reply.event(ANSWER).await;
        reply.end().await;
    })
    .await;
    let fixture = Fixture::with(&upstream, limits(SHORT, SHORT)).await;
    fixture.post(&[], &call("1", "ping", "{}")).await;
    assert_eq!(fixture.row().await.gist(), "ping 1 ok");
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up_and_has_its_row() {
    // The upstream's limit is shorter, and yet the client is to blame.
    for upstream_timeout in [PATIENCE * 10, SHORT / 2] {
        let left = Arc::new(Notify::new());
        let on_leave = left.clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = ProxyConfig::new(&format!("http://{}/mcp", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            on_leave.notify_one();
        });
        (config.body_timeout, config.upstream_timeout) = (SHORT, upstream_timeout);
        let fixture = Fixture::start(config, &[]).await;
        let mut client = fixture.connect().await;
        let part = r#"{"jsonrpc":"2.0","id":"a\"b","method":"tools/call","params":{"name":"t","arguments":{"#;
        client
            .write_all(format!("POST /mcp HTTP/1.1\r\nhost: h\r\ncontent-length: 5000\r\n\r\n{part}").as_bytes())
            .await
            .unwrap();
        let answer = rest(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        let body: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!((&body["id"], &body["error"]["data"]["reason"]), (&"a\"b".into(), &"client_timeout".into()));
        within(left.notified()).await;
        let row = fixture.row().await;
        assert_eq!(row.gist(), "tools/call a\"b error client_timeout");
        row.assert_ended(None, Outcome::Error, None);
    }
}

#[tokio::test]
async fn a_body_that_waits_for_its_upstream_does_not_stall() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = ProxyConfig::new(&format!("http://{}/mcp", listener.local_addr().unwrap())).unwrap();
    config.body_timeout = SHORT;
    let body = call("1", "ping", &format!(r#"{{"x":"{}"}}"#, "x".repeat(32 << 20)));
    let length = body.len();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::time::sleep(SHORT * 5).await;
        let mut received = vec![0; length];
        stream.read_exact(&mut received).await.unwrap();
        let answer =
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{ANSWER}", ANSWER.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    });
    let fixture = Fixture::start(config, &[]).await;
    assert_eq!(fixture.post(&[], &body).await, (StatusCode::OK, ANSWER.to_owned()));
    assert_eq!(fixture.row().await.gist(), "ping 1 ok");
}

#[tokio::test]
async fn one_client_too_many_is_told_and_there_is_room_once_another_leaves() {
    let upstream = Upstream::answering(ANSWER).await;
    let fixture = Fixture::with(&upstream, |config| config.max_connections = Some(2)).await;
    let mut first = fixture.connect().await;
    let mut second = fixture.connect().await;
    for client in [&mut first, &mut second] {
        client.write_all(ping().as_bytes()).await.unwrap();
        response(client, ANSWER).await;
    }
    // More than are told at once: the others are cut off.
    let mut refused = 0;
    for _ in 0..100 {
        let mut third = fixture.connect().await;
        let _ = third.write_all(ping().as_bytes()).await;
        let answer = rest(&mut third).await;
        if !answer.is_empty() {
            assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
            assert!(answer.contains("the limit is 2 (--max-connections)"), "{answer}");
            refused += 1;
        }
    }
    assert!(refused > 0);
    first.write_all(ping().as_bytes()).await.unwrap();
    response(&mut first, ANSWER).await;
    drop(second);
    within(async {
        loop {
            let mut next = fixture.connect().await;
            let _ = next.write_all(ping().replace("host: h", "host: h\r\nconnection: close").as_bytes()).await;
            if rest(&mut next).await.ends_with(ANSWER) {
                break;
            }
        }
    })
    .await;
    assert_eq!(fixture.rows(4).await.len(), 4);
}

#[tokio::test]
async fn a_head_with_too_many_fields_is_told_the_limit() {
    let upstream = Upstream::answering(ANSWER).await;
    let fixture = Fixture::new(&upstream).await;
    for (fields, is_refused) in [(97, false), (98, false), (99, true), (5000, true)] {
        let mut client = fixture.connect().await;
        // With Host and Connection.
        let head = format!("GET /mcp HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{}\r\n", "x: y\r\n".repeat(fields));
        client.write_all(head.as_bytes()).await.unwrap();
        let answer = rest(&mut client).await;
        if is_refused {
            assert!(answer.starts_with("HTTP/1.1 431 ") && answer.contains("100 header fields"), "{fields}: {answer}");
        } else {
            assert!(answer.starts_with("HTTP/1.1 200 "), "{fields}: {answer}");
        }
    }
    let mut client = fixture.connect().await;
    // The second on its connection, too.
    client.write_all(b"GET /mcp HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    response(&mut client, ANSWER).await;
    client.write_all(format!("GET /mcp HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(101)).as_bytes()).await.unwrap();
    let answer = rest(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 431 ") && answer.contains("100 header fields"), "{answer}");
}

#[tokio::test]
async fn a_panic_on_a_request_is_a_bad_gateway_with_a_row_and_hurts_nobody_else() {
    let upstream = Upstream::start(|request, mut reply| async move {
        let planted = request.header("x-plant").unwrap_or("nowhere").to_owned();
        reply.whole(200, &[("content-type", "application/json"), ("x-planted-panic", &planted)], ANSWER).await;
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    for header in [("x-planted-panic", "before"), ("x-plant", "after")] {
        let (status, body) = fixture.post(&[header], &call("1", "tools/call", r#"{"name":"t"}"#)).await;
        assert_eq!(status, StatusCode::BAD_GATEWAY, "{header:?}");
        assert!(body.contains("proxy_error") && body.contains("\"id\":1") && !body.contains("planted"), "{body}");
    }
    assert_eq!(fixture.post(&[], &call("1", "ping", "{}")).await.0, StatusCode::OK);
    let rows = fixture.rows(3).await;
    for row in &rows[..2] {
        assert_eq!(row.gist(), "tools/call 1 error proxy_error");
        row.assert_ended(None, Outcome::Error, Some("a fault of the proxy itself"));
    }
}

/// Panics when it is given an answered call of that name.
struct Fragile(Collector);

impl Sink for Fragile {
    fn record(&self, event: Event<'_>) -> bool {
        if let Event::Request(request) = &event {
            assert!(request.method != "fragile", "a planted panic");
        }
        self.0.record(event)
    }
}

#[tokio::test]
async fn a_panic_while_a_body_passes_ends_that_connection_and_no_other() {
    let upstream = Upstream::answering(ANSWER).await;
    let mut config = ProxyConfig::new(&format!("http://{}/mcp", upstream.address)).unwrap();
    config.name = "tested".to_owned();
    let collector = Collector::default();
    let proxy =
        Proxy::start(&config, Fragile(collector.clone()), &crate::recording::KnownSchemas::default()).await.unwrap();
    let address = proxy.local_addr().to_string();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let fixture = Fixture { proxy: Some(proxy), address, collector, client };
    let mut hurt = fixture.connect().await;
    hurt.write_all(ping().replace("\"ping\"", "\"fragile\"").replace("length: 52", "length: 55").as_bytes())
        .await
        .unwrap();
    rest(&mut hurt).await;
    assert_eq!(fixture.post(&[], &call("1", "ping", "{}")).await.0, StatusCode::OK);
    let rows = requests(&fixture.finish().await);
    assert_eq!(rows.iter().map(Row::gist).collect::<Vec<_>>(), ["ping 1 ok"]);
}
