//! Bytes pass as they come, unchanged, in both directions.

use super::*;
use http_body_util::StreamBody;
use http_body_util::channel::Channel;
use hyper::body::Frame;
use proptest::prelude::*;
use tokio::sync::{Semaphore, mpsc};

/// The next piece of a response's body.
async fn next_text(body: &mut Incoming) -> String {
    let frame = within(body.frame()).await.expect("the body has ended").expect("the body broke off");
    String::from_utf8(frame.into_data().expect("no data").to_vec()).unwrap()
}

#[tokio::test]
async fn an_event_reaches_the_client_before_the_next_exists() {
    let next = Arc::new(Semaphore::new(0));
    let permits = next.clone();
    let upstream = Upstream::start(move |_, mut reply| {
        let next = permits.clone();
        async move {
            reply.stream().await;
            for event in ["{\"n\":1}", "{\"n\":2}", r#"{"jsonrpc":"2.0","id":1,"result":{}}"#] {
                reply.event(event).await;
                next.acquire().await.unwrap().forget();
            }
            reply.end().await;
        }
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    let response = fixture.send("POST", "/mcp", &[], call("1", "ping", "{}").as_bytes()).await;
    let mut body = response.into_body();
    for expected in ["{\"n\":1}", "{\"n\":2}", "\"id\":1"] {
        assert!(next_text(&mut body).await.contains(expected));
        if expected.contains("id") {
            // Recorded when its answer is seen, while the stream is still open.
            assert_eq!(fixture.row().await.gist(), "ping 1 ok");
        }
        next.add_permits(1);
    }
    assert!(within(body.frame()).await.is_none());
}

#[tokio::test]
async fn a_server_may_ask_the_client_inside_the_stream_of_its_own_request() {
    let (answers, inbox) = mpsc::channel::<String>(1);
    let inbox = Arc::new(tokio::sync::Mutex::new(inbox));
    let upstream = Upstream::start(move |request, mut reply| {
        let (answers, inbox) = (answers.clone(), inbox.clone());
        async move {
            if request.json().get("result").is_some() {
                answers.send(request.json()["result"]["city"].as_str().unwrap().to_owned()).await.unwrap();
                reply.whole(202, &[], "").await;
                return;
            }
            reply.stream().await;
            reply.event(r#"{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{}}"#).await;
            let city = inbox.lock().await.recv().await.unwrap();
            reply.event(format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"city":"{city}"}}}}"#)).await;
            reply.end().await;
        }
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    let response = fixture.send("POST", "/mcp", &[], call("1", "tools/call", r#"{"name":"ask"}"#).as_bytes()).await;
    let mut body = response.into_body();
    assert!(next_text(&mut body).await.contains("elicitation/create"));
    let (status, _) = fixture.post(&[], r#"{"jsonrpc":"2.0","id":1,"result":{"city":"Bonn"}}"#).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert!(next_text(&mut body).await.contains("Bonn"));
    drop(body);
    let gists: Vec<String> = requests(&fixture.finish().await).iter().map(Row::gist).collect();
    assert_eq!(gists, ["elicitation/create 1 ok", "tools/call 1 ok"], "the client's response is no row");
}

#[tokio::test]
async fn a_request_body_reaches_the_upstream_before_it_is_complete() {
    let (arrived, mut arrivals) = mpsc::channel::<Vec<u8>>(16);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = vec![0; 4096];
        loop {
            match stream.read(&mut buffer).await {
                Ok(read) if read > 0 => arrived.send(buffer[..read].to_vec()).await.unwrap(),
                _ => return,
            }
        }
    });
    let config = ProxyConfig::new(&format!("http://{address}/mcp")).unwrap();
    let fixture = Fixture::start(config, &[]).await;
    let mut client = fixture.connect().await;
    client.write_all(b"POST /mcp HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n\r\n{\"first\":").await.unwrap();
    let mut received = Vec::new();
    while !received.ends_with(b"{\"first\":") {
        received.extend(within(arrivals.recv()).await.unwrap());
    }
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let upstream = Upstream::start(|_, mut reply| async move {
        reply.head(&[("content-type", "application/json"), ("trailer", "x-sum")]).await;
        reply.chunk(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
        reply.raw("0\r\nx-sum: 42\r\n\r\n").await;
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    let mut client = fixture.connect().await;
    let body = call("1", "ping", "{}");
    let request = format!(
        "POST /mcp HTTP/1.1\r\nhost: h\r\nte: trailers\r\nconnection: te, close\r\ntrailer: x-in\r\n\
         transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\nx-in: 7\r\n\r\n",
        body.len()
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    within(client.read_to_string(&mut response)).await.unwrap();
    assert!(response.contains("\r\nx-sum: 42\r\n"), "{response}");
    let received = &upstream.received()[0];
    assert_eq!(received.header("trailer x-in"), Some("7"), "{received:?}");
    assert_eq!(received.header("te"), Some("trailers"));
    assert_eq!(fixture.row().await.gist(), "ping 1 ok");
}

/// Sends the pieces as frames, through an upstream that sends them back as chunks; returns what came back, and what
/// the upstream got.
async fn echo(pieces: Vec<Vec<u8>>, content_type: &'static str) -> (Vec<u8>, Vec<u8>) {
    let chunks = pieces.clone();
    let upstream = Upstream::start(move |_, mut reply| {
        let chunks = chunks.clone();
        async move {
            reply.head(&[("content-type", content_type)]).await;
            for chunk in chunks {
                reply.chunk(chunk).await;
                tokio::task::yield_now().await;
            }
            reply.end().await;
        }
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    let client: Client<_, StreamBody<_>> = Client::builder(TokioExecutor::new()).build_http();
    let frames = futures_util::stream::iter(
        pieces.into_iter().map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::from(piece)))),
    );
    let request = Request::post(format!("http://{}/mcp", fixture.address)).body(StreamBody::new(frames)).unwrap();
    let response = within(client.request(request)).await.unwrap();
    let back = within(response.into_body().collect()).await.unwrap().to_bytes().to_vec();
    (back, upstream.received()[0].body.clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_bytes_in_any_chunks_pass_unchanged(
        pieces in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 1..300),
                "(data: |event: message\n|\\{\"id\":1,|\"result\":\\{\\}\\}|\n\n|\r\n|id: 1\n){1,6}".prop_map(String::into_bytes),
            ],
            1..12,
        ),
        content_type in prop::sample::select(vec!["application/json", "text/event-stream", "image/png"]),
    ) {
        let whole = pieces.concat();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (back, there) = runtime.block_on(echo(pieces, content_type));
        prop_assert_eq!(back, whole.clone());
        prop_assert_eq!(there, whole);
    }
}

#[tokio::test]
async fn a_client_that_reads_slowly_holds_the_upstream_back() {
    let (progress, mut sent) = tokio::sync::watch::channel(0_usize);
    let upstream = Upstream::start(move |_, mut reply| {
        let progress = progress.clone();
        async move {
            reply.head(&[("content-type", "application/json")]).await;
            for chunk in 1..=2000 {
                reply.chunk(vec![b' '; 65_536]).await;
                progress.send_replace(chunk);
            }
            reply.end().await;
        }
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    let response = fixture.send("POST", "/mcp", &[], b"{}").await;
    // Nobody reads: what fits into the buffers on the way is sent, and no more. The sockets' own buffers are a few MB.
    let mut settled = 0;
    while tokio::time::timeout(Duration::from_millis(500), sent.changed()).await.is_ok() {
        settled = *sent.borrow_and_update();
    }
    assert!(settled < 1000, "{settled} chunks of 64 KiB were taken in by the proxy");
    let body = within(response.into_body().collect()).await.unwrap().to_bytes();
    assert_eq!(body.len(), 2000 * 65_536);
}

#[tokio::test]
async fn a_body_sent_piece_by_piece_is_read_across_the_pieces() {
    let upstream = Upstream::start(|_, mut reply| async move {
        reply.stream().await;
        for byte in "data: {\"jsonrpc\":\"2.0\",\"id\":\"\\u00e4\",\"result\":{}}\r\n\r\n".as_bytes() {
            reply.chunk([*byte]).await;
        }
        reply.end().await;
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    let client: Client<_, Channel<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let (mut sender, body) = Channel::new(1);
    tokio::spawn(async move {
        for byte in call("\"ä\"", "ping", "{}").bytes() {
            sender.send_data(Bytes::from(vec![byte])).await.unwrap();
        }
    });
    let request = Request::post(format!("http://{}/mcp", fixture.address)).body(body).unwrap();
    read_all(within(client.request(request)).await.unwrap()).await;
    assert_eq!(fixture.row().await.gist(), "ping ä ok");
}
