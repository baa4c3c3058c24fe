//! Where messages begin and end: both sides see the same bodies, whatever ways there are to say it, and what says two things
//! at once goes nowhere. A client and an upstream of bytes.

use super::*;

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;

/// What becomes of a request.
enum Fate {
    /// The upstream gets it, with that body and those fields; a field without a value is not among them.
    Forwarded(&'static str, &'static [(&'static str, Option<&'static str>)]),
    /// The client gets that status, the upstream nothing.
    Refused(u16),
}
use Fate::{Forwarded, Refused};

/// The ping in chunks, with what chunks may have beside data.
const CHUNKS: &str = "5;x=\"y\"\r\n{\"jso\r\n23\r\nnrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\r\n0\r\n\r\n";

#[tokio::test]
async fn a_request_means_the_same_to_both_sides_or_is_refused() {
    let sized = "content-length: 40\r\n";
    let host = "host: h\r\n";
    let chunked = "transfer-encoding: chunked\r\n";
    let table: Vec<(String, &str, Fate)> = vec![
        (format!("POST /mcp HTTP/1.1\r\n{host}{sized}"), PING, Forwarded(PING, &[("content-length", Some("40"))])),
        (
            format!("POST /mcp HTTP/1.1\r\n{host}{sized}{sized}"),
            PING,
            Forwarded(PING, &[("content-length", Some("40"))]),
        ),
        (format!("POST /mcp HTTP/1.1\r\n{host}{chunked}"), CHUNKS, Forwarded(PING, &[("content-length", None)])),
        // Two ways at once: the transfer coding counts, and the length goes.
        (
            format!("POST /mcp HTTP/1.1\r\n{host}content-length: 3\r\n{chunked}"),
            CHUNKS,
            Forwarded(PING, &[("content-length", None), ("transfer-encoding", Some("chunked"))]),
        ),
        (
            format!("POST /mcp HTTP/1.1\r\n{host}{chunked}content-length: 3\r\n"),
            CHUNKS,
            Forwarded(PING, &[("content-length", None), ("transfer-encoding", Some("chunked"))]),
        ),
        (format!("POST /mcp HTTP/1.1\r\n{host}content-length: 40, 40\r\n"), PING, Refused(400)),
        (format!("POST /mcp HTTP/1.1\r\n{host}content-length: 40, 6\r\n"), PING, Refused(400)),
        (format!("POST /mcp HTTP/1.1\r\n{host}{sized}content-length: 6\r\n"), PING, Refused(400)),
        (format!("POST /mcp HTTP/1.1\r\n{host}content-length: +40\r\n"), PING, Refused(400)),
        (format!("POST /mcp HTTP/1.1\r\n{host}content-length: -1\r\n"), PING, Refused(400)),
        (format!("POST /mcp HTTP/1.1\r\n{host}content-length: 0x28\r\n"), PING, Refused(400)),
        (format!("POST /mcp HTTP/1.1\r\n{host}content-length:\r\n"), PING, Refused(400)),
        (format!("POST /mcp HTTP/1.1\r\n{host}content-length : 40\r\n"), PING, Refused(400)),
        (format!("POST /mcp HTTP/1.1\r\n{host}transfer-encoding: gzip, chunked\r\n"), CHUNKS, Refused(501)),
        (format!("POST /mcp HTTP/1.1\r\n{host}transfer-encoding: gzip\r\n{chunked}"), CHUNKS, Refused(501)),
        (format!("POST /mcp HTTP/1.1\r\n{host}{chunked}{chunked}"), CHUNKS, Refused(501)),
        (format!("POST /mcp HTTP/1.1\r\n{host}transfer-encoding: chunked, gzip\r\n"), CHUNKS, Refused(400)),
        (format!("POST /mcp HTTP/1.1\r\n{host}transfer-encoding: identity\r\n{sized}"), PING, Refused(400)),
        (format!("POST /mcp HTTP/1.1\r\n{host}transfer-encoding: xchunked\r\n"), CHUNKS, Refused(400)),
        (format!("POST /mcp HTTP/1.1\r\n{host}transfer-encoding : chunked\r\n"), CHUNKS, Refused(400)),
        // HTTP/1.0 knows no chunks.
        (format!("POST /mcp HTTP/1.0\r\n{host}{chunked}"), CHUNKS, Refused(400)),
        (
            format!("POST /mcp HTTP/1.0\r\nconnection: keep-alive\r\n{sized}"),
            PING,
            Forwarded(PING, &[("connection", None), ("content-length", Some("40"))]),
        ),
        // Fields that go over several lines, or hold what a field can't.
        (format!("POST /mcp HTTP/1.1\r\n{host}x-folded: a\r\n b\r\n{sized}"), PING, Refused(400)),
        (format!("POST /mcp HTTP/1.1\r\n{host}x-nul: a\0b\r\n{sized}"), PING, Refused(400)),
        (format!("POST /mcp HTTP/1.1\r\n{host}x-return: a\rb\r\n{sized}"), PING, Refused(400)),
        (format!("POST /mcp HTTP/1.1\r\n{host}no colon\r\n{sized}"), PING, Refused(400)),
        (format!("POST /mcp HTTP/2.0\r\n{host}{sized}"), PING, Refused(400)),
        // Whom it is for.
        (format!("POST /mcp HTTP/1.1\r\n{sized}"), PING, Refused(400)),
        (format!("POST /mcp HTTP/1.1\r\nhost: a\r\nhost: b\r\n{sized}"), PING, Refused(400)),
        (format!("POST /mcp HTTP/1.1\r\nhost: a/b\r\n{sized}"), PING, Refused(400)),
        (
            format!("POST http://target:9/mcp HTTP/1.1\r\nhost: field\r\n{sized}"),
            PING,
            Forwarded(PING, &[("host", Some("target:9"))]),
        ),
        (format!("CONNECT target:9 HTTP/1.1\r\n{host}"), "", Refused(405)),
        (format!("GET target:9 HTTP/1.1\r\n{host}"), "", Refused(400)),
        (format!("OPTIONS * HTTP/1.1\r\n{host}"), "", Forwarded("", &[])),
        // What ends at the proxy.
        (
            format!(
                "POST /mcp HTTP/1.1\r\n{host}connection: upgrade, x-hop\r\nupgrade: websocket\r\nx-hop: 1\r\n{sized}"
            ),
            PING,
            Forwarded(PING, &[("upgrade", None), ("x-hop", None), ("connection", None)]),
        ),
        (
            format!("POST /mcp HTTP/1.1\r\n{host}connection: content-length, host\r\n{sized}"),
            PING,
            Forwarded(PING, &[("content-length", Some("40")), ("host", Some("h"))]),
        ),
        (
            format!("POST /mcp HTTP/1.1\r\n{host}trailer: x-sum\r\n{chunked}"),
            "28\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\r\n0\r\nx-sum: 1\r\n\r\n",
            Forwarded(PING, &[("trailer", Some("x-sum")), ("trailer x-sum", Some("1"))]),
        ),
        // Lines that end in a newline only, which RFC 9112 lets pass, end as they should for the upstream.
        ("POST /mcp HTTP/1.1\nhost: h\ncontent-length: 40\n".into(), PING, Forwarded(PING, &[("host", Some("h"))])),
    ];
    for (head, body, fate) in table {
        let upstream = Upstream::answering(ANSWER).await;
        let fixture = Fixture::new(&upstream).await;
        let mut client = fixture.connect().await;
        let end = if head.contains('\r') { "\r\n" } else { "\n" };
        client.write_all(format!("{head}{end}{body}").as_bytes()).await.unwrap();
        let answer = one_response(&mut client).await;
        let received = upstream.received();
        match fate {
            Refused(status) => {
                assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {answer}");
                assert!(answer.contains("mcplog proxy: "), "{head}: {answer}");
                assert!(received.is_empty(), "{head}: {received:?}");
                assert_eq!(fixture.finish().await, [], "{head}");
            }
            Forwarded(expected, fields) => {
                assert!(answer.ends_with(ANSWER), "{head}: {answer}");
                assert_eq!(received.len(), 1, "{head}");
                assert_eq!(String::from_utf8_lossy(&received[0].body), expected, "{head}");
                for (name, value) in fields {
                    let found: Vec<&str> = received[0]
                        .headers
                        .iter()
                        .filter(|(found, _)| found == name)
                        .map(|(_, value)| value.as_str())
                        .collect();
                    assert_eq!(found, value.iter().copied().collect::<Vec<_>>(), "{head}: {name}");
                }
                let gists: Vec<String> = requests(&fixture.finish().await).iter().map(Row::gist).collect();
                let rows = if body.is_empty() { vec![] } else { vec!["ping 1 ok".to_owned()] };
                assert_eq!(gists, rows, "{head}");
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_is_no_body_never_becomes_a_whole_request() {
    let upstream = Upstream::answering(ANSWER).await;
    let fixture = Fixture::new(&upstream).await;
    let head = "POST /mcp HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
    let bodies =
        ["zz\r\n0\r\n\r\n", "fffffffffffffffff\r\n", "-1\r\n\r\n", "1\n{\r\n0\r\n\r\n", "1;x=\n{\r\n0\r\n\r\n"];
    // Beside a connection to the upstream that waits, and all at once or in pieces: what the proxy sees first differs.
    for round in 0..10 {
        assert_eq!(fixture.post(&[], PING).await.0, StatusCode::OK);
        for body in bodies {
            let mut client = fixture.connect().await;
            if round % 2 == 0 {
                client.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            } else {
                client.write_all(head.as_bytes()).await.unwrap();
                client.write_all(body.as_bytes()).await.unwrap();
            }
            let answer = one_response(&mut client).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{body:?}: {answer}");
        }
    }
    assert!(upstream.received().iter().all(|received| received.body == PING.as_bytes()), "{:?}", upstream.received());
}

/// One response, up to the end of its body or of the connection.
async fn one_response(client: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    loop {
        if seen.ends_with(ANSWER.as_bytes()) || seen.ends_with(b"\n0\r\n\r\n") {
            break;
        }
        match within(client.read_u8()).await {
            Ok(byte) => seen.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(seen).unwrap()
}

#[tokio::test]
async fn requests_that_come_at_once_are_answered_one_by_one() {
    let upstream = Upstream::start(|request, mut reply| async move {
        let id = request.json()["id"].to_string();
        reply.json(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)).await;
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    let mut client = fixture.connect().await;
    let mut sent = String::new();
    for id in 1..=3 {
        let body = call(&id.to_string(), "ping", "{}");
        let close = if id == 3 { "connection: close\r\n" } else { "" };
        sent += &format!("POST /mcp HTTP/1.1\r\nhost: h\r\n{close}content-length: {}\r\n\r\n{body}", body.len());
    }
    client.write_all(sent.as_bytes()).await.unwrap();
    let mut answers = String::new();
    within(client.read_to_string(&mut answers)).await.unwrap();
    let places: Vec<usize> = (1..=3).map(|id| answers.find(&format!("\"id\":{id}")).unwrap()).collect();
    assert!(places.is_sorted(), "{answers}");
    assert_eq!(fixture.rows(3).await.len(), 3);
}

/// What becomes of a response: the status, the body, whether the client gets a Content-Length (and which), and the row.
type Seen = (u16, &'static str, Option<&'static str>, &'static str);

#[tokio::test]
async fn a_response_means_the_same_to_both_sides_or_is_a_bad_gateway() {
    const OK: &str = "ping 1 ok";
    const BROKEN: &str = "ping 1 error stream_broken";
    let chunks = "24\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\r\n0\r\n\r\n";
    let chunked = "transfer-encoding: chunked\r\n";
    let table: Vec<(String, &str, Seen)> = vec![
        ("HTTP/1.1 200 OK\r\ncontent-length: 36\r\n".into(), ANSWER, (200, ANSWER, Some("36"), OK)),
        (format!("HTTP/1.1 200 OK\r\n{chunked}"), chunks, (200, ANSWER, None, OK)),
        // Two ways at once: the transfer coding counts.
        (format!("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n{chunked}"), chunks, (200, ANSWER, None, OK)),
        (format!("HTTP/1.1 200 OK\r\n{chunked}content-length: 5\r\n"), chunks, (200, ANSWER, None, OK)),
        (format!("HTTP/1.1 200 OK\r\n{chunked}content-length: 500\r\n"), chunks, (200, ANSWER, None, OK)),
        ("HTTP/1.1 200 OK\r\ncontent-length: 36, 36\r\n".into(), ANSWER, (200, ANSWER, Some("36"), OK)),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 36\r\ncontent-length: 36\r\n".into(),
            ANSWER,
            (200, ANSWER, Some("36"), OK),
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 36, 6\r\n".into(), ANSWER, (502, "", None, BROKEN)),
        ("HTTP/1.1 200 OK\r\ncontent-length: 36\r\ncontent-length: 6\r\n".into(), ANSWER, (502, "", None, BROKEN)),
        ("HTTP/1.1 200 OK\r\ncontent-length: x\r\n".into(), ANSWER, (502, "", None, BROKEN)),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n".into(), chunks, (502, "", None, BROKEN)),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n".into(), ANSWER, (502, "", None, BROKEN)),
        (format!("HTTP/1.0 200 OK\r\n{chunked}"), chunks, (502, "", None, BROKEN)),
        // Up to the end of the connection.
        ("HTTP/1.1 200 OK\r\n".into(), ANSWER, (200, ANSWER, None, OK)),
        ("HTTP/1.0 200 OK\r\n".into(), ANSWER, (200, ANSWER, None, OK)),
        // Without a body, whatever they say.
        (
            "HTTP/1.1 204 No Content\r\ncontent-length: 36\r\n".into(),
            ANSWER,
            (204, "", None, "ping 1 error no_response"),
        ),
        (format!("HTTP/1.1 204 No Content\r\n{chunked}"), chunks, (204, "", None, "ping 1 error no_response")),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 36\r\n".into(), "", (304, "", None, "ping 1 error http_304")),
        // Interim ones, and one that is none.
        (
            "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 36\r\n".into(),
            ANSWER,
            (200, ANSWER, Some("36"), OK),
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n".into(),
            "",
            (502, "", None, BROKEN),
        ),
        // Fields that go over several lines.
        ("HTTP/1.1 200 OK\r\nx-folded: a\r\n b\r\ncontent-length: 36\r\n".into(), ANSWER, (502, "", None, BROKEN)),
        ("HTTP/1.1 200 OK\r\ncontent-length : 36\r\n".into(), ANSWER, (502, "", None, BROKEN)),
    ];
    for (head, body, (status, expected, length, gist)) in table {
        let whole = format!("{head}\r\n{body}");
        let upstream = Upstream::start(move |_, mut reply| {
            let whole = whole.clone();
            async move { reply.raw(whole).await }
        })
        .await;
        let fixture = Fixture::new(&upstream).await;
        let response = fixture.send("POST", "/mcp", &[], PING.as_bytes()).await;
        assert_eq!(response.status().as_u16(), status, "{head}");
        let lengths: Vec<_> = response.headers().get_all("content-length").iter().cloned().collect();
        let found = read_all(response).await;
        if status != 502 {
            assert_eq!(found, expected, "{head}");
            assert_eq!(lengths, length.iter().copied().collect::<Vec<_>>(), "{head}");
        }
        assert_eq!(fixture.row().await.gist(), gist, "{head}");
    }
}

#[tokio::test]
async fn a_head_response_has_the_length_of_a_body_that_it_has_not() {
    for (fields, length) in [
        ("content-length: 36\r\n", Some("36")),
        ("content-length: 36, 36\r\n", Some("36")),
        ("content-length: 36, 6\r\n", None),
        ("content-length: 36\r\ntransfer-encoding: chunked\r\n", None),
        ("", None),
    ] {
        let upstream = Upstream::start(move |_, mut reply| async move {
            reply.raw(format!("HTTP/1.1 200 OK\r\n{fields}connection: close\r\n\r\n")).await;
        })
        .await;
        let fixture = Fixture::new(&upstream).await;
        let response = fixture.send("HEAD", "/mcp", &[], b"").await;
        let found = response.headers().get("content-length").map(|length| length.to_str().unwrap().to_owned());
        assert_eq!(found.as_deref(), length, "{fields}");
        assert_eq!(read_all(response).await, "");
    }
}

#[tokio::test]
async fn trailers_of_a_response_pass_to_who_takes_them() {
    let upstream = Upstream::start(|_, mut reply| async move {
        reply.head(&[("trailer", "x-sum")]).await;
        reply.chunk(ANSWER).await;
        reply.raw("0\r\nx-sum: 1\r\n\r\n").await;
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    let mut client = fixture.connect().await;
    let head = "POST /mcp HTTP/1.1\r\nhost: h\r\nte: trailers\r\nconnection: te, close\r\ncontent-length: 40\r\n\r\n";
    client.write_all(format!("{head}{PING}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(client.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.ends_with("\r\n0\r\nx-sum: 1\r\n\r\n"), "{answer}");
    assert_eq!(fixture.row().await.gist(), "ping 1 ok");
}
