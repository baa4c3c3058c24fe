//! Upstreams that lead back to the proxy that asks them.

use super::*;

const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;

/// A proxy in front of that address.
async fn in_front_of(address: &str) -> Fixture {
    Fixture::start(ProxyConfig::new(&format!("http://{address}/mcp")).unwrap(), &[]).await
}

/// Passes bytes on to an address that is only known later, as a router in front of the proxy would.
async fn relay() -> (String, tokio::sync::oneshot::Sender<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, target) = tokio::sync::oneshot::channel::<String>();
    tokio::spawn(async move {
        let target = target.await.unwrap();
        while let Ok((mut near, _)) = listener.accept().await {
            let target = target.clone();
            tokio::spawn(async move {
                let mut far = TcpStream::connect(target).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    (address, sender)
}

#[tokio::test]
async fn a_proxy_that_is_its_own_upstream_says_so_after_two_turns() {
    let (address, target) = relay().await;
    let fixture = in_front_of(&address).await;
    target.send(fixture.address.clone()).unwrap();
    let (status, body) = fixture.post(&[], &call("\"x\"", "ping", "{}")).await;
    assert_eq!(status, StatusCode::LOOP_DETECTED, "{body}");
    let error: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&error["id"], &error["error"]["data"]["reason"]), (&"x".into(), &"upstream_loop".into()));
    assert_eq!(fixture.send("GET", "/mcp", &[], b"").await.status(), StatusCode::LOOP_DETECTED);
    // The client's, and the one that came back and looked like it. The one that came back marked is refused.
    for row in fixture.rows(2).await {
        assert_eq!(row.gist(), "ping x error upstream_loop");
        row.assert_ended(None, Outcome::Error, Some("the upstream leads back to this proxy"));
    }
    assert_eq!(requests(&fixture.finish().await).len(), 2);
}

#[tokio::test]
async fn two_proxies_that_ask_each_other_find_out_too() {
    let (address, target) = relay().await;
    let far = in_front_of(&address).await;
    let near = in_front_of(&far.address).await;
    target.send(near.address.clone()).unwrap();
    let (status, body) = near.post(&[], &call("1", "ping", "{}")).await;
    assert_eq!(status, StatusCode::LOOP_DETECTED, "{body}");
    assert!(near.rows(2).await.iter().all(|row| row.gist() == "ping 1 error upstream_loop"));
    assert_eq!(far.rows(2).await.iter().filter(|row| row.http_status == Some(508)).count(), 2);
    assert_eq!((requests(&near.finish().await).len(), requests(&far.finish().await).len()), (2, 2));
}

#[tokio::test]
async fn proxies_in_a_row_are_no_loop_and_leave_no_mark_on_a_request_that_is_alone() {
    let upstream = Upstream::answering(ANSWER).await;
    let far = Fixture::new(&upstream).await;
    let near = in_front_of(&far.address).await;
    let headers = [("via", "1.0 someone, 1.1 mcplog-0123456789abcdef")];
    assert_eq!(near.send("POST", "/mcp", &headers, call("1", "ping", "{}").as_bytes()).await.status(), StatusCode::OK);
    assert_eq!(marks(&upstream.received()[0]), [headers[0].1]);
    assert_eq!((near.row().await.gist(), far.row().await.gist()), ("ping 1 ok".into(), "ping 1 ok".into()));
}

#[tokio::test]
async fn requests_that_are_alike_at_the_same_time_are_marked_and_served() {
    let both = Arc::new(tokio::sync::Barrier::new(2));
    let upstream = Upstream::start(move |_, mut reply| {
        let both = both.clone();
        async move {
            both.wait().await;
            reply.json(ANSWER).await;
        }
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    let body = call("1", "ping", "{}");
    let (one, other) = tokio::join!(fixture.post(&[], &body), fixture.post(&[], &body));
    assert_eq!((one.0, other.0), (StatusCode::OK, StatusCode::OK));
    let mut marks: Vec<Vec<String>> = upstream.received().iter().map(marks).collect();
    marks.sort();
    assert!(marks[0].is_empty() && marks[1].len() == 1 && marks[1][0].starts_with("1.1 mcplog-"), "{marks:?}");
}

fn marks(received: &Received) -> Vec<String> {
    received.headers.iter().filter(|(name, _)| name == "via").map(|(_, value)| value.clone()).collect()
}
