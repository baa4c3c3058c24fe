//! What rows say of how their requests ended, beside status and code: the HTTP status, the outcome, the cause, the endpoint.

use super::*;
use tokio::sync::Notify;

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const EVENTS: &[(&str, &str)] = &[("content-type", "text/event-stream")];
const REDIRECT: &[(&str, &str)] = &[("location", "/elsewhere")];

#[tokio::test]
async fn a_row_has_the_status_that_the_upstream_answered_and_what_that_means() {
    let (ping, listen) = (call("1", "ping", "{}"), call("1", "subscriptions/listen", "{}"));
    let tool = call("1", "tools/call", r#"{"name":"t"}"#);
    let input = r#"{"id":1,"result":{"resultType":"input_required","inputRequests":{}}}"#;
    let result = "data: {\"id\":1,\"result\":{}}\n\n";
    for (request, status, headers, response, gist, outcome) in [
        (&ping, 404, JSON, r#"{"error":"no"}"#, "ping 1 error http_404", Outcome::Error),
        (&ping, 500, &[][..], "oops", "ping 1 error http_500", Outcome::Error),
        (&ping, 404, JSON, r#"{"id":1,"error":{"code":-1,"message":"m"}}"#, "ping 1 error -1", Outcome::Error),
        (&ping, 307, REDIRECT, "", "ping 1 error http_307", Outcome::Redirected),
        (&ping, 301, REDIRECT, "<p>moved</p>", "ping 1 error http_301", Outcome::Redirected),
        (&ping, 421, &[], "Invalid Host", "ping 1 error http_421", Outcome::Error),
        (&ping, 202, &[], "", "ping 1 error no_response", Outcome::Error),
        (&tool, 200, JSON, input, "tools/call 1 ok", Outcome::InputRequired),
        (&listen, 200, EVENTS, result, "subscriptions/listen 1 ok", Outcome::Ended),
        (&listen, 200, EVENTS, ": nothing\n\n", "subscriptions/listen 1 ok", Outcome::Ended),
        (&listen, 503, &[], "", "subscriptions/listen 1 error http_503", Outcome::Error),
    ] {
        let upstream =
            Upstream::start(move |_, mut reply| async move { reply.whole(status, headers, response).await }).await;
        let fixture = Fixture::new(&upstream).await;
        fixture.post(&[], request).await;
        let row = fixture.row().await;
        assert_eq!((row.gist().as_str(), row.transport), (gist, Some(Transport::Http)), "{status} {response}");
        let cause = match status {
            301 => Some("301 to /elsewhere"),
            307 => Some("307 to /elsewhere"),
            421 => Some("421 to the client's Host (see --rewrite-host)"),
            _ if response == ": nothing\n\n" => Some("no_response"),
            _ => None,
        };
        row.assert_ended(Some(status), outcome, cause);
    }
}

#[tokio::test]
async fn the_endpoint_is_the_path_of_the_server_that_was_asked() {
    let upstream = Upstream::answering(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    let fixture = Fixture::new(&upstream).await;
    let targets = ["/mcp", "/?key=hunter2", "/team%20a/mcp?session_id=hunter2", "//x/../y"];
    for target in targets {
        fixture.send("POST", target, &[], call("1", "ping", "{}").as_bytes()).await;
    }
    let rows = fixture.rows(targets.len()).await;
    let endpoints: Vec<_> = rows.iter().map(|row| row.endpoint.as_deref().unwrap()).collect();
    assert_eq!(endpoints, ["/mcp", "/mcp", "/team%20a/mcp", "//x/../y"]);
    assert_eq!(upstream.received()[1].target(), "/mcp?key=hunter2", "`/` is not what the upstream was asked");
}

#[tokio::test]
async fn a_cause_names_no_secret_of_the_request_and_no_body() {
    let closing = Upstream::start(|_, reply| async move { drop(reply) }).await;
    let garbage = Upstream::start(|_, mut reply| async move { reply.raw("hunter2: hunter2\r\n\r\n").await }).await;
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let chunks = Upstream::start(|_, mut reply| async move {
        reply.head(JSON).await;
        reply.raw("hunter2\r\n").await;
    })
    .await;
    for (address, status, code, cause) in [
        (&nowhere, None, "upstream_unreachable", "connection refused"),
        (&closing.address, None, "stream_broken", "connection closed before the response"),
        (&garbage.address, None, "stream_broken", "invalid HTTP version"),
        (&chunks.address, Some(200), "stream_broken", "nvalid chunk size"),
    ] {
        let config = ProxyConfig::new(&format!("http://{address}/mcp?key=hunter2")).unwrap();
        let fixture = Fixture::start(config, &[]).await;
        let request = call("1", "tools/call", r#"{"name":"t","arguments":{"password":"hunter2"}}"#);
        let headers = [("authorization", "Bearer hunter2")];
        let request = fixture.request("POST", "/mcp?token=hunter2", &headers, request.as_bytes());
        // Whether the client still gets a head before its connection is cut is not this test's business.
        let _ = within(fixture.client.request(request)).await;
        let row = fixture.row().await;
        assert_eq!(row.code.as_deref(), Some(code), "{address}");
        row.assert_ended(status, Outcome::Error, Some(cause));
        assert!(!format!("{row:?}").contains("hunter2"), "{row:?}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_subscription_and_follows_its_redirect() {
    for (method, status, headers, version, outcome) in [
        ("subscriptions/listen", 200, EVENTS, None, Outcome::Ended),
        ("ping", 307, REDIRECT, None, Outcome::Redirected),
        ("ping", 200, EVENTS, None, Outcome::Error),
        ("ping", 200, EVENTS, Some("2026-07-28"), Outcome::Cancelled),
    ] {
        let upstream = Upstream::start(move |_, mut reply| async move {
            let (name, value) = headers[0];
            reply.raw(format!("HTTP/1.1 {status} x\r\n{name}: {value}\r\ncontent-length: 100\r\n\r\n: hi\n\n")).await;
            reply.gone().await;
        })
        .await;
        let fixture = Fixture::new(&upstream).await;
        let headers: Vec<_> = version.iter().map(|version| ("mcp-protocol-version", *version)).collect();
        let response = fixture.send("POST", "/mcp", &headers, call("1", method, "{}").as_bytes()).await;
        let mut body = response.into_body();
        within(body.frame()).await.unwrap().unwrap();
        drop(body);
        let row = fixture.row().await;
        let (gist, cause) = match outcome {
            Outcome::Ended => ("ok", Some("client_gone")),
            Outcome::Redirected => ("error client_gone", Some("307 to /elsewhere")),
            Outcome::Cancelled => ("error cancelled", None),
            _ => ("error client_gone", None),
        };
        assert_eq!(row.gist(), format!("{method} 1 {gist}"));
        row.assert_ended(Some(status), outcome, cause);
    }
}

#[tokio::test]
async fn a_subscription_that_is_open_when_the_proxy_ends_is_not_lost() {
    let opened = Arc::new(Notify::new());
    let on_open = opened.clone();
    let upstream = Upstream::start(move |_, mut reply| {
        let opened = on_open.clone();
        async move {
            reply.stream().await;
            reply.chunk(": open\n\n").await;
            opened.notify_one();
            reply.gone().await;
        }
    })
    .await;
    let fixture = Fixture::with(&upstream, |config| config.drain = Duration::ZERO).await;
    let _open = fixture.send("POST", "/mcp", &[], call("1", "subscriptions/listen", "{}").as_bytes()).await;
    within(opened.notified()).await;
    let row = requests(&fixture.finish().await).remove(0);
    assert_eq!(row.gist(), "subscriptions/listen 1 ok");
    row.assert_ended(Some(200), Outcome::Ended, Some("proxy_shutdown"));
}

#[tokio::test]
async fn a_row_says_with_which_words_a_call_failed_unless_told_not_to() {
    let failed = r#"{"id":1,"result":{"content":[{"type":"text","text":"hunter2"}],"isError":true}}"#;
    let refused = r#"{"id":1,"error":{"code":-32602,"message":"hunter2"}}"#;
    for (response, gist, outcome) in
        [(failed, "tools/call 1 ok", Outcome::ToolError), (refused, "tools/call 1 error -32602", Outcome::Error)]
    {
        let upstream = Upstream::answering(response).await;
        let request = call("1", "tools/call", r#"{"name":"t"}"#);
        for keeps_error_text in [true, false] {
            let fixture = Fixture::with(&upstream, |config| config.keeps_error_text = keeps_error_text).await;
            fixture.post(&[], &request).await;
            let row = fixture.row().await;
            row.assert_ended(Some(200), outcome, None);
            assert_eq!((row.gist().as_str(), row.message.is_some()), (gist, keeps_error_text));
            assert_eq!(format!("{row:?}").contains("hunter2"), keeps_error_text);
            // As SIGHUP has it.
            fixture.proxy.as_ref().unwrap().keep_error_text(!keeps_error_text);
            fixture.post(&[], &request).await;
            let rows = fixture.rows(2).await;
            assert_eq!(rows[1].message.as_deref(), (!keeps_error_text).then_some("hunter2"));
        }
    }
}
