//! A server that asks its client: the client answers, both sides get what the other one said, and each request has its row.

use super::*;
use tokio::sync::Semaphore;

const SESSION: (&str, &str) = ("mcp-session-id", "s-1");
const ASK: &str = r#"{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"message":"?"}}"#;
const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"action":"accept","content":{}}}"#;

/// A server that answers a call once its client has answered what it asked: in the call's response, or on the stream that a
/// GET opened. A call in another session stays without an answer.
async fn asking_server(asks_on_get: bool) -> Upstream {
    let (asked, answered) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    Upstream::start(move |request, mut reply| {
        let (asked, answered) = (asked.clone(), answered.clone());
        async move {
            if request.header("mcp-session-id") != Some("s-1") {
                return reply.gone().await;
            }
            if request.method() == "GET" {
                reply.stream().await;
                asked.acquire().await.unwrap().forget();
                reply.event(ASK).await;
                return reply.gone().await;
            }
            if request.json().get("method").is_none() {
                answered.add_permits(1);
                return reply.whole(202, &[], "").await;
            }
            reply.stream().await;
            if asks_on_get {
                asked.add_permits(1);
            } else {
                reply.event(ASK).await;
            }
            answered.acquire().await.unwrap().forget();
            reply.event(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
            reply.end().await;
        }
    })
    .await
}

/// Reads on until the server has asked.
async fn until_asked(response: &mut Response<Incoming>) -> String {
    let mut text = String::new();
    while !text.contains("elicitation/create") {
        let frame = within(response.body_mut().frame()).await.expect("it goes on").unwrap();
        text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    text
}

#[tokio::test]
async fn what_a_server_asks_is_a_row_beside_that_of_the_call_that_it_asks_for() {
    for asks_on_get in [false, true] {
        let upstream = asking_server(asks_on_get).await;
        let fixture = Fixture::new(&upstream).await;
        let mut listening = fixture.send("GET", "/mcp", &[SESSION], b"").await;
        let mut called =
            fixture.send("POST", "/mcp", &[SESSION], call("1", "tools/call", r#"{"name":"t"}"#).as_bytes()).await;
        let asked = until_asked(if asks_on_get { &mut listening } else { &mut called }).await;
        assert!(asked.contains(ASK), "as the server said it: {asked}");
        assert_eq!(fixture.post(&[SESSION], ANSWER).await, (StatusCode::ACCEPTED, String::new()));
        assert!(read_all(called).await.contains(r#""result":{}"#));
        let rows = fixture.rows(2).await;
        let [asked, called] = &rows[..] else { unreachable!() };
        assert_eq!((asked.gist(), called.gist()), ("elicitation/create 1 ok".into(), "tools/call 1 ok".into()));
        assert_eq!([asked.direction, called.direction], [Some(Direction::Server), Some(Direction::Client)]);
        assert_eq!((asked.session.as_deref(), asked.endpoint.as_deref()), (Some("s-1"), Some("/mcp")));
        let sizes = [ASK, ANSWER].map(|text| i64::try_from(text.len()).ok());
        assert_eq!([asked.bytes_in, asked.bytes_out], sizes, "the request's and the answer's");
        assert_eq!((asked.http_status, asked.transport), (None, Some(Transport::Http)));
        let answers = upstream.received().iter().filter(|request| request.body == ANSWER.as_bytes()).count();
        assert_eq!(answers, 1, "as the client said it");
    }
}

#[tokio::test]
async fn a_user_who_takes_longer_than_the_upstream_may_has_no_call_cut_off() {
    for asks_on_get in [false, true] {
        let upstream = asking_server(asks_on_get).await;
        let fixture = Fixture::with(&upstream, |config| config.upstream_timeout = Duration::from_millis(200)).await;
        let mut listening = fixture.send("GET", "/mcp", &[SESSION], b"").await;
        let mut called = fixture.send("POST", "/mcp", &[SESSION], call("1", "slow", "{}").as_bytes()).await;
        until_asked(if asks_on_get { &mut listening } else { &mut called }).await;
        // Two calls one after the other that nobody answers: the time of the first one is over by then, and more.
        for id in ["2", "3"] {
            fixture.post(&[("mcp-session-id", "s-2")], &call(id, "silent", "{}")).await;
        }
        fixture.post(&[SESSION], ANSWER).await;
        assert!(read_all(called).await.contains(r#""result":{}"#), "on get: {asks_on_get}");
        let mut gists: Vec<_> = fixture.rows(4).await.iter().map(Row::gist).collect();
        gists.sort();
        let timed_out = ["2", "3"].map(|id| format!("silent {id} timeout upstream_timeout"));
        assert_eq!(gists[..1], ["elicitation/create 1 ok"]);
        assert_eq!(gists[1..], [&timed_out[..], &["slow 1 ok".to_owned()]].concat());
    }
}

#[tokio::test]
async fn a_server_whose_client_is_gone_has_its_request_s_row_all_the_same() {
    let upstream = asking_server(false).await;
    let fixture = Fixture::new(&upstream).await;
    let mut called = fixture.send("POST", "/mcp", &[SESSION], call("1", "tools/call", "{}").as_bytes()).await;
    until_asked(&mut called).await;
    drop(called);
    let gists: Vec<_> = requests(&fixture.finish().await).iter().map(Row::gist).collect();
    assert_eq!(gists.len(), 2, "{gists:?}");
    assert!(gists.iter().any(|gist| gist.starts_with("elicitation/create 1 error")), "{gists:?}");
}
