//! What each kind of exchange is recorded as: one table, and the details of rows.

use super::*;

/// One exchange: what the client posts, what the upstream answers, and the gist of every row.
struct Case {
    name: &'static str,
    request: &'static str,
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    response: &'static str,
    rows: &'static [&'static str],
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const EVENTS: &[(&str, &str)] = &[("content-type", "text/event-stream; charset=utf-8")];
const HTML: &[(&str, &str)] = &[("content-type", "text/html")];
const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const BATCH: &str = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/x"},
    {"jsonrpc":"2.0","id":"1","method":"tools/call","params":{"name":"t"}},{"jsonrpc":"2.0","id":9,"result":{}}]"#;

const CASES: &[Case] = &[
    Case {
        name: "a result",
        request: PING,
        status: 200,
        headers: JSON,
        response: r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        rows: &["ping 1 ok"],
    },
    Case {
        name: "a result without a content type",
        request: PING,
        status: 200,
        headers: &[],
        response: r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        rows: &["ping 1 ok"],
    },
    Case {
        name: "an error",
        request: PING,
        status: 200,
        headers: JSON,
        response: r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no such method"}}"#,
        rows: &["ping 1 error -32601"],
    },
    Case {
        name: "an error with an HTTP status",
        request: PING,
        status: 404,
        headers: JSON,
        response: r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"gone"}}"#,
        rows: &["ping 1 error -32001"],
    },
    Case {
        name: "an error for an unreadable id",
        request: PING,
        status: 400,
        headers: JSON,
        response: r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}"#,
        rows: &["ping 1 error -32700"],
    },
    Case {
        name: "an error with an id that is nobody's",
        request: PING,
        status: 400,
        headers: JSON,
        response: r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Missing session ID"}}"#,
        rows: &["ping 1 error -32600"],
    },
    Case {
        name: "an error with an id that is nobody's, in a stream that was not refused",
        request: PING,
        status: 200,
        headers: EVENTS,
        response: "data: {\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":7,\"message\":\"m\"}}\n\n",
        rows: &["ping 1 error no_response"],
    },
    Case {
        name: "a batch, refused in part before the rest is answered",
        request: BATCH,
        status: 200,
        headers: EVENTS,
        response: "data: {\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":\"m\"}}\n\ndata: {\"id\":1,\"result\":{}}\n\n",
        rows: &["ping 1 ok", "tools/call 1 error -32600"],
    },
    Case {
        name: "an HTTP error",
        request: PING,
        status: 502,
        headers: HTML,
        response: "<html>bad gateway</html>",
        rows: &["ping 1 error http_502"],
    },
    Case {
        name: "an HTTP error with other JSON",
        request: PING,
        status: 401,
        headers: JSON,
        response: r#"{"error":"invalid_token","error_description":"expired"}"#,
        rows: &["ping 1 error http_401"],
    },
    Case {
        name: "an HTTP error without a body",
        request: PING,
        status: 503,
        headers: &[],
        response: "",
        rows: &["ping 1 error http_503"],
    },
    Case {
        name: "no JSON-RPC",
        request: PING,
        status: 200,
        headers: HTML,
        response: "<html>hello</html>",
        rows: &["ping 1 error no_response"],
    },
    Case {
        name: "half a message",
        request: PING,
        status: 200,
        headers: JSON,
        response: r#"{"jsonrpc":"2.0","id":1,"result":{"#,
        rows: &["ping 1 error no_response"],
    },
    Case {
        name: "somebody else's answer",
        request: PING,
        status: 200,
        headers: JSON,
        response: r#"{"jsonrpc":"2.0","id":2,"result":{}}"#,
        rows: &["ping 1 error no_response"],
    },
    Case {
        name: "the answer to the string of the same number, as client SDKs take it",
        request: PING,
        status: 200,
        headers: JSON,
        response: r#"{"jsonrpc":"2.0","id":"1","result":{}}"#,
        rows: &["ping 1 ok"],
    },
    Case {
        name: "a result in a stream",
        request: PING,
        status: 200,
        headers: EVENTS,
        response: "event: message\r\nid: 7\r\ndata: {\"jsonrpc\":\"2.0\",\r\ndata: \"id\":1,\"result\":{}}\r\n\r\n",
        rows: &["ping 1 ok"],
    },
    Case {
        name: "an error in a stream, after a notification",
        request: PING,
        status: 200,
        headers: EVENTS,
        response: "data: {\"method\":\"notifications/progress\",\"params\":{}}\n\n: ping\n\ndata: {\"id\":1,\"error\":{\"code\":7,\"message\":\"m\"}}\n\n",
        rows: &["ping 1 error 7"],
    },
    Case {
        name: "a server's request is no answer, and a call of its own",
        request: PING,
        status: 200,
        headers: EVENTS,
        response: "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"roots/list\"}\n\n",
        rows: &["ping 1 error no_response", "roots/list 1 error no_response"],
    },
    Case {
        name: "an event of another type is no answer",
        request: PING,
        status: 200,
        headers: EVENTS,
        response: "event: other\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n",
        rows: &["ping 1 error no_response"],
    },
    Case {
        name: "an event that is not complete is no answer",
        request: PING,
        status: 200,
        headers: EVENTS,
        response: "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n",
        rows: &["ping 1 error no_response"],
    },
    Case {
        name: "a stream without an answer",
        request: PING,
        status: 200,
        headers: EVENTS,
        response: ": nothing\n\n",
        rows: &["ping 1 error no_response"],
    },
    Case {
        name: "a second answer is too late",
        request: PING,
        status: 200,
        headers: EVENTS,
        response: "data: {\"id\":1,\"result\":{}}\n\ndata: {\"id\":1,\"error\":{\"code\":1,\"message\":\"\"}}\n\n",
        rows: &["ping 1 ok"],
    },
    Case {
        name: "a notification",
        request: r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        status: 202,
        headers: &[],
        response: "",
        rows: &[],
    },
    Case {
        name: "the client's response to the server",
        request: r#"{"jsonrpc":"2.0","id":4,"result":{"roots":[]}}"#,
        status: 202,
        headers: &[],
        response: "",
        rows: &[],
    },
    Case { name: "no JSON-RPC request", request: "hello", status: 400, headers: &[], response: "", rows: &[] },
    Case {
        name: "a request that is only accepted",
        request: PING,
        status: 202,
        headers: &[],
        response: "",
        rows: &["ping 1 error no_response"],
    },
    Case {
        name: "a batch, answered in another order",
        request: BATCH,
        status: 200,
        headers: JSON,
        response: r#"[{"id":"1","result":{"isError":true}},{"id":1,"result":{}}]"#,
        rows: &["ping 1 ok", "tools/call 1 ok"],
    },
    Case {
        name: "a batch, answered in part",
        request: BATCH,
        status: 200,
        headers: JSON,
        response: r#"[{"id":1,"result":{}}]"#,
        rows: &["ping 1 ok", "tools/call 1 error no_response"],
    },
    Case {
        name: "a batch, answered in a stream",
        request: BATCH,
        status: 200,
        headers: EVENTS,
        response: "data: {\"id\":1,\"result\":{}}\n\ndata: [{\"id\":\"1\",\"result\":{}}]\n\n",
        rows: &["ping 1 ok", "tools/call 1 ok"],
    },
    Case {
        name: "a batch, refused",
        request: BATCH,
        status: 400,
        headers: JSON,
        response: r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no batches"}}"#,
        rows: &["ping 1 error -32600", "tools/call 1 error -32600"],
    },
];

#[tokio::test]
async fn every_kind_of_exchange_gives_its_rows_and_passes_unchanged() {
    for case in CASES {
        let (status, headers, response) = (case.status, case.headers, case.response);
        let upstream =
            Upstream::start(move |_, mut reply| async move { reply.whole(status, headers, response).await }).await;
        let fixture = Fixture::new(&upstream).await;
        let answer = fixture.post(&[], case.request).await;
        assert_eq!(answer, (StatusCode::from_u16(case.status).unwrap(), case.response.to_owned()), "{}", case.name);
        assert_eq!(upstream.received()[0].body, case.request.as_bytes(), "{}", case.name);
        let seen = fixture.finish().await;
        let mut gists: Vec<String> = requests(&seen).iter().map(Row::gist).collect();
        gists.sort();
        assert_eq!(gists, case.rows, "{}", case.name);
        assert_eq!(others(&seen), [], "{}", case.name);
    }
}

#[tokio::test]
async fn a_row_says_what_is_known() {
    let response = r#"{"jsonrpc":"2.0","id":"a","result":{"content":[],"isError":true}}"#;
    let upstream = Upstream::answering(response).await;
    let fixture = Fixture::new(&upstream).await;
    let request = call("\"a\"", "tools/call", r#"{"name":"grep \"x\"","arguments":{"name":"no"}}"#);
    fixture.post(&[("mcp-session-id", "s-1"), ("mcp-protocol-version", "2025-06-18")], &request).await;
    let row = fixture.row().await;
    assert!(uuid::Uuid::parse_str(&row.request_id).is_ok_and(|id| id.get_version_num() == 7));
    let expected = Row {
        request_id: row.request_id.clone(),
        session: Some("s-1".into()),
        method: "tools/call".into(),
        tool: Some("grep \"x\"".into()),
        target: None,
        status: Status::Ok,
        code: None,
        message: None,
        bytes_in: Some(i64::try_from(request.len()).unwrap()),
        bytes_out: Some(i64::try_from(response.len()).unwrap()),
        tool_error: Some(true),
        protocol: Some("2025-06-18".into()),
        rpc_id: Some("a".into()),
        http_status: Some(200),
        transport: Some(Transport::Http),
        direction: Some(Direction::Client),
        endpoint: Some("/mcp".into()),
        outcome: Some(Outcome::ToolError),
        cause: None,
        retry_of: None,
        notes: Notes::NONE,
    };
    assert_eq!(row, expected);
}

#[tokio::test]
async fn an_error_row_has_the_servers_code_and_message() {
    let upstream =
        Upstream::answering(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no \u201cx\u201d"}}"#).await;
    let fixture = Fixture::new(&upstream).await;
    fixture.post(&[], &call("1", "resources/read", r#"{"uri":"file:///x"}"#)).await;
    let row = fixture.row().await;
    assert_eq!(row.status, Status::Error);
    assert_eq!((row.code.as_deref(), row.message.as_deref()), (Some("-32602"), Some("no “x”")));
    assert_eq!((row.tool, row.target.as_deref(), row.tool_error), (None, Some("file:///x"), None));
}

#[tokio::test]
async fn a_tool_result_without_the_flag_is_no_tool_error() {
    let upstream = Upstream::answering(r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"isError":true}]}}"#).await;
    let fixture = Fixture::new(&upstream).await;
    fixture.post(&[], &call("1", "tools/call", r#"{"name":"t"}"#)).await;
    assert_eq!(fixture.row().await.tool_error, Some(false));
}

#[tokio::test]
async fn bodies_of_many_megabytes_pass_and_are_recorded_like_others() {
    let text = "x".repeat(5_000_000);
    let response =
        format!(r#"{{"result":{{"content":[{{"text":"{text}"}}],"isError":false}},"jsonrpc":"2.0","id":77}}"#);
    let answer = response.clone();
    let upstream = Upstream::start(move |_, mut reply| {
        let answer = answer.clone();
        async move { reply.json(answer).await }
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    // The id comes last, as the TypeScript SDK writes it.
    let request = call("77", "tools/call", &format!(r#"{{"arguments":{{"text":"{text}"}},"name":"big"}}"#));
    let (_, passed) = fixture.post(&[], &request).await;
    assert!(passed == response, "the response is another");
    assert!(upstream.received()[0].body == request.as_bytes(), "the request is another");
    let row = fixture.row().await;
    assert_eq!((row.gist().as_str(), row.tool.as_deref()), ("tools/call 77 ok", Some("big")));
    assert_eq!(row.bytes_out, Some(i64::try_from(response.len()).unwrap()));
}
