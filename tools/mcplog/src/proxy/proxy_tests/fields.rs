//! Header fields as they are on the wire, on both sides: their names' case, their order, and what is normalised of them.

use super::*;

const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;

/// What a raw client got and what a raw server did, line by line: the heads alone.
struct Wire {
    address: String,
    request: Vec<String>,
    response: Vec<String>,
}

/// One request through the proxy. `{host}` in the request is the address of the proxy.
async fn pass(request: &str, response: &'static str, configure: impl FnOnce(&mut ProxyConfig)) -> Wire {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut config = ProxyConfig::new(&format!("http://{address}/mcp")).unwrap();
    configure(&mut config);
    let fixture = Fixture::start(config, &[]).await;
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = head_of(&mut stream).await;
        stream.write_all(format!("{response}{ANSWER}").as_bytes()).await.unwrap();
        head
    });
    let mut client = fixture.connect().await;
    client.write_all(format!("{}{BODY}", request.replace("{host}", &fixture.address)).as_bytes()).await.unwrap();
    let response = within(head_of(&mut client)).await;
    Wire { address, request: within(serving).await.unwrap(), response }
}

/// The lines of a head.
async fn head_of(stream: &mut TcpStream) -> Vec<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    head.trim_end().split("\r\n").map(str::to_owned).collect()
}

fn lines(head: &str) -> Vec<&str> {
    head.trim_end().split("\r\n").collect()
}

const RESPONSE: &str = "HTTP/1.1 200 All Right\r\nX-Zeta: 1\r\nServer: S/1\r\nContent-Length: 36\r\ncontent-Type: application/json\r\n\
    MCP-Session-Id: s1\r\nset-cookie: a=1\r\nX-RateLimit-Left: 7\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nX-Alpha: z\r\n\r\n";

#[tokio::test]
async fn the_fields_of_both_heads_pass_byte_for_byte() {
    let request = "POST /mcp HTTP/1.1\r\nX-Zeta: 1\r\nHost: {host}\r\nUser-Agent: raw/1\r\nContent-Length: 40\r\n\
        content-type: application/json\r\nACCEPT: application/json, text/event-stream\r\nMcp-Param-Region: us\r\n\
        aUtHoRiZaTiOn: Bearer x\r\nMCP-Protocol-Version: 2025-11-25\r\nx-alpha: a,  b\r\n\r\n";
    let wire = pass(request, RESPONSE, |_| {}).await;
    let host = wire.request.iter().find_map(|line| line.strip_prefix("Host: ")).unwrap();
    assert_eq!(wire.request, lines(&request.replace("{host}", host)));
    assert_eq!(wire.response, lines(RESPONSE));
}

#[tokio::test]
async fn what_is_normalised_of_fields_is_this_and_nothing_else() {
    // Fields of one name stand together; spaces around a value go, and an unreadable coding; the connection's own end here.
    let request = "POST /mcp HTTP/1.1\r\nX-Many: 1\r\nConnection: Keep-Alive, X-Hop\r\nHost: {host}\r\nX-Hop: 1\r\n\
        Keep-Alive: timeout=5\r\nAccept-Encoding: gzip, dcz\r\nx-MANY:   2 \t\r\nContent-Length: 40\r\nX-Last: 1\r\n\r\n";
    let response = "HTTP/1.1 200 OK\r\nX-Many: 1\r\nKeep-Alive: timeout=5\r\nServer: S/1\r\nX-many: 2\r\n\
        Content-Length: 36\r\nContent-Type: application/json\r\nConnection: keep-alive\r\nX-Last: 1\r\n\r\n";
    for rewrites in [false, true] {
        let wire = pass(request, response, |config| config.rewrite_host = rewrites).await;
        let host = wire.request.iter().find_map(|line| line.strip_prefix("Host: ")).unwrap().to_owned();
        assert_eq!(host == wire.address, rewrites);
        let expected = [
            "POST /mcp HTTP/1.1",
            "X-Many: 1",
            "x-MANY: 2",
            &format!("Host: {host}"),
            "Accept-Encoding: gzip",
            "Content-Length: 40",
            "X-Last: 1",
        ];
        assert_eq!(wire.request, expected);
        let expected = [
            "HTTP/1.1 200 OK",
            "X-Many: 1",
            "X-many: 2",
            "Server: S/1",
            "Content-Length: 36",
            "Content-Type: application/json",
            "X-Last: 1",
        ];
        assert_eq!(wire.response, expected);
    }
}
