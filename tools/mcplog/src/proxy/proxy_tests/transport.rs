//! HTTP itself: headers, methods, targets, TLS.

use super::*;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;

#[tokio::test]
async fn headers_pass_but_for_those_of_the_connection() {
    let upstream = Upstream::start(|_, mut reply| async move {
        let headers = [
            ("content-type", "application/json"),
            ("x-answer", "a"),
            ("x-answer", "b"),
            ("set-cookie", "c=1"),
            ("keep-alive", "timeout=5"),
            ("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ];
        reply.whole(200, &headers, ANSWER).await;
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    let headers = [
        ("host", "mcp.example.com:99"),
        ("origin", "http://evil.example"),
        ("authorization", "Bearer secret"),
        ("user-agent", "tester/1"),
        ("x-unknown", "1"),
        ("x-unknown", "2"),
        ("connection", "x-hop"),
        ("x-hop", "gone"),
        ("upgrade", "websocket"),
        ("accept-encoding", "br, gzip;q=0.5, dcz"),
    ];
    let response = fixture.send("POST", "/mcp", &headers, call("1", "ping", "{}").as_bytes()).await;
    let mut received = upstream.received().remove(0).headers;
    received.sort();
    let expected = [
        ("accept-encoding", "br, gzip;q=0.5"),
        ("authorization", "Bearer secret"),
        ("content-length", "52"),
        ("host", "mcp.example.com:99"),
        ("origin", "http://evil.example"),
        ("user-agent", "tester/1"),
        ("x-unknown", "1"),
        ("x-unknown", "2"),
    ];
    let received: Vec<(&str, &str)> = received.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(received, expected);
    let mut passed: Vec<(&str, &str)> =
        response.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    passed.sort_unstable();
    let expected = [
        ("content-length", "36"),
        ("content-type", "application/json"),
        ("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("set-cookie", "c=1"),
        ("x-answer", "a"),
        ("x-answer", "b"),
    ];
    assert_eq!(passed, expected);
}

#[tokio::test]
async fn the_host_is_the_upstreams_own_if_that_is_wanted() {
    let upstream = Upstream::answering(ANSWER).await;
    let fixture = Fixture::with(&upstream, |config| config.rewrite_host = true).await;
    fixture.post(&[("host", "somewhere.else")], &call("1", "ping", "{}")).await;
    assert_eq!(upstream.received()[0].header("host"), Some(upstream.address.as_str()));
}

#[tokio::test]
async fn every_method_and_target_passes() {
    let upstream =
        Upstream::start(|_, mut reply| async move { reply.whole(204, &[("x-seen", "yes")], "").await }).await;
    let fixture = Fixture::new(&upstream).await;
    for (method, target, expected) in [
        ("GET", "/mcp?x=%20y&z", "GET /mcp?x=%20y&z HTTP/1.1"),
        ("DELETE", "/mcp", "DELETE /mcp HTTP/1.1"),
        ("OPTIONS", "/", "OPTIONS /mcp HTTP/1.1"),
        ("HEAD", "/.well-known/oauth-protected-resource", "HEAD /.well-known/oauth-protected-resource HTTP/1.1"),
        ("PUT", "/a/b", "PUT /a/b HTTP/1.1"),
    ] {
        let response = fixture.send(method, target, &[], b"").await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT, "{method}");
        assert_eq!(response.headers()["x-seen"], "yes", "{method}");
        assert_eq!(upstream.received().last().unwrap().line, expected);
    }
    assert_eq!(fixture.finish().await, []);
}

#[tokio::test]
async fn a_head_response_keeps_its_length() {
    let upstream = Upstream::start(|_, mut reply| async move {
        reply.raw("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 123\r\n\r\n").await;
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    let response = fixture.send("HEAD", "/mcp", &[], b"").await;
    assert_eq!(response.headers()["content-length"], "123");
    assert_eq!(read_all(response).await, "");
}

#[tokio::test]
async fn interim_responses_do_not_disturb_the_final_one() {
    let upstream = Upstream::start(|_, mut reply| async move {
        reply.raw("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n").await;
        reply.json(ANSWER).await;
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    assert_eq!(fixture.post(&[], &call("1", "ping", "{}")).await, (StatusCode::OK, ANSWER.to_owned()));
    assert_eq!(fixture.row().await.gist(), "ping 1 ok");
}

#[tokio::test]
async fn a_client_that_expects_to_be_told_to_continue_is() {
    let upstream = Upstream::answering(ANSWER).await;
    let fixture = Fixture::new(&upstream).await;
    let mut client = BufReader::new(fixture.connect().await);
    let body = call("1", "ping", "{}");
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let mut line = String::new();
    within(client.read_line(&mut line)).await.unwrap();
    assert_eq!(line, "HTTP/1.1 100 Continue\r\n");
    client.write_all(body.as_bytes()).await.unwrap();
    let mut rest = String::new();
    within(client.read_to_string(&mut rest)).await.unwrap();
    assert!(rest.ends_with(ANSWER), "{rest}");
    assert_eq!(fixture.row().await.gist(), "ping 1 ok");
}

#[tokio::test]
async fn an_upstream_behind_tls_is_reached_if_its_authority_is_trusted() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], made.signing_key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let response =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{ANSWER}", ANSWER.len());
            stream.write_all(response.as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
        }
    });
    let mut config = ProxyConfig::new(&format!("https://localhost:{port}/mcp")).unwrap();
    let stranger = Fixture::start(config.clone(), &[]).await;
    let (status, body) = stranger.post(&[], &call("1", "ping", "{}")).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{body}");
    let row = stranger.row().await;
    assert_eq!(row.gist(), "ping 1 error upstream_unreachable");
    row.assert_ended(None, Outcome::Error, Some("certificate of an unknown issuer"));

    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, made.cert.pem()).unwrap();
    config.ca_file = Some(ca_file);
    let fixture = Fixture::start(config, &[]).await;
    assert_eq!(fixture.post(&[], &call("1", "ping", "{}")).await, (StatusCode::OK, ANSWER.to_owned()));
    assert_eq!(fixture.row().await.gist(), "ping 1 ok");
}
