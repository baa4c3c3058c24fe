//! Why an upstream failed, as rows tell it: each of the ways that somebody would do something else about, with real sockets and
//! real certificates.

use super::*;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair, date_time_ymd};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

/// The cause on the row of a ping to that upstream, and its code.
async fn cause(url: &str, configure: impl FnOnce(&mut ProxyConfig)) -> (String, String) {
    let mut config = ProxyConfig::new(url).unwrap();
    configure(&mut config);
    let fixture = Fixture::start(config, &[]).await;
    let request = fixture.request("POST", "/mcp", &[], PING.as_bytes());
    // Whether the client still gets a head before it is cut off is not this test's business.
    if let Ok(response) = within(fixture.client.request(request)).await {
        read_all(response).await;
    }
    let row = fixture.row().await;
    (row.code.unwrap(), row.cause.unwrap())
}

/// An upstream that reads the request's head, and then does that.
async fn upstream_that<F>(act: impl Fn(TcpStream) -> F + Clone + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let act = act.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(PING.as_bytes()) {
                    head.push(stream.read_u8().await.unwrap());
                }
                act(stream).await;
            });
        }
    });
    format!("http://{address}/mcp")
}

/// Closes it with a reset.
fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

#[tokio::test]
async fn a_row_tells_how_a_connection_failed() {
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(
        cause(&format!("http://{nowhere}/mcp"), |_| {}).await,
        ("upstream_unreachable".into(), "connection refused".into())
    );
    assert_eq!(
        cause("http://no-such-host.invalid/mcp", |_| {}).await,
        ("upstream_unreachable".into(), "the upstream's name was not resolved (DNS)".into())
    );
    let full = Full::new().await;
    // Takes the connection and never shakes hands.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for url in [full.url(), format!("https://{}/mcp", silent.local_addr().unwrap())] {
        assert_eq!(
            cause(&url, |config| config.connect_timeout = Duration::from_millis(50)).await,
            ("upstream_unreachable".into(), "timed out connecting".into()),
            "{url}"
        );
    }
}

/// An upstream that accepts nobody, and has no room for one more who waits.
struct Full {
    listener: TcpListener,
    _waiting: TcpStream,
}

impl Full {
    async fn new() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let _waiting = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        Self { listener, _waiting }
    }

    fn url(&self) -> String {
        format!("http://{}/mcp", self.listener.local_addr().unwrap())
    }
}

#[tokio::test]
async fn a_request_whose_client_leaves_while_the_proxy_connects_is_known() {
    let full = Full::new().await;
    let fixture = Fixture::start(ProxyConfig::new(&full.url()).unwrap(), &[]).await;
    let mut client = fixture.connect().await;
    let head = format!("POST /mcp HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n", PING.len());
    client.write_all(format!("{head}{PING}").as_bytes()).await.unwrap();
    while fixture.proxy.as_ref().unwrap().open_calls() == 0 {
        tokio::task::yield_now().await;
    }
    drop(client);
    assert_eq!(fixture.row().await.gist(), "ping 1 error client_gone");
}

#[tokio::test]
async fn a_row_tells_where_a_response_broke() {
    let before = upstream_that(|stream| async move { reset(stream) }).await;
    let within_body = upstream_that(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsecret").await.unwrap();
        // The bytes have to arrive before the reset, which overtakes what is on its way: the proxy passes them on at once.
        let mut byte = [0; 1];
        let _ = tokio::time::timeout(Duration::from_millis(300), stream.read(&mut byte)).await;
        reset(stream);
    })
    .await;
    let garbage = upstream_that(|mut stream| async move { stream.write_all(b"secret\r\n\r\n").await.unwrap() }).await;
    let many = upstream_that(|mut stream| async move {
        let head = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: secret\r\n".repeat(101));
        stream.write_all(head.as_bytes()).await.unwrap();
    })
    .await;
    for (url, expected) in [
        (before, "connection reset before the response"),
        (within_body, "connection reset after 6 bytes of the response"),
        (garbage, "response not readable: invalid HTTP version parsed"),
        (many, "response not readable: message head is too large"),
    ] {
        assert_eq!(cause(&url, |_| {}).await, ("stream_broken".into(), expected.into()));
    }
}

#[tokio::test]
async fn a_row_tells_what_was_waited_for() {
    let limit = |config: &mut ProxyConfig| config.upstream_timeout = Duration::from_millis(100);
    let gone = |mut stream: TcpStream| async move {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    };
    let silent = upstream_that(gone).await;
    let within_body = upstream_that(move |mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsecret").await.unwrap();
        gone(stream).await;
    })
    .await;
    for (url, expected) in [
        (silent, "timed out waiting for the response"),
        (within_body, "timed out within the response (after 6 bytes of the response)"),
    ] {
        assert_eq!(cause(&url, limit).await, ("upstream_timeout".into(), expected.into()));
    }
}

#[tokio::test]
async fn a_row_tells_that_the_upstream_did_not_take_the_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = ProxyConfig::new(&format!("http://{}/mcp", listener.local_addr().unwrap())).unwrap();
    config.upstream_timeout = Duration::from_millis(500);
    let accepted = tokio::spawn(async move { listener.accept().await.unwrap() });
    let fixture = Fixture::start(config, &[]).await;
    // More than sockets and buffers hold.
    let body = format!(r#"{{"id":1,"method":"ping","params":{{"x":"{}"}}}}"#, "x".repeat(16 << 20));
    let request = fixture.request("POST", "/mcp", &[], body.as_bytes());
    let response = within(fixture.client.request(request)).await.unwrap();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    // The HTTP library lets go of a request that nobody takes once the connection is gone.
    drop(accepted.await.unwrap());
    let row = fixture.row().await;
    assert_eq!(row.gist(), "ping 1 timeout upstream_timeout");
    assert_eq!(row.cause.as_deref(), Some("timed out waiting for the upstream to take the request"));
}

/// Serves TLS with that certificate, and hangs up on whoever takes it.
async fn tls(chain: Vec<rustls::pki_types::CertificateDer<'static>>, key: KeyPair) -> u16 {
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    port
}

#[tokio::test]
async fn a_row_tells_what_is_wrong_with_a_certificate() {
    let authority = CertifiedIssuer::self_signed(
        {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            params
        },
        KeyPair::generate().unwrap(),
    )
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, authority.pem()).unwrap();
    type Set = fn(&mut CertificateParams);
    let cases: [(&str, bool, Set, &str); 4] = [
        ("localhost", true, |params| params.not_after = date_time_ymd(2021, 1, 1), "certificate expired"),
        ("localhost", true, |params| params.not_before = date_time_ymd(3000, 1, 1), "certificate not yet valid"),
        ("other.example", true, |_| {}, "certificate of another name"),
        ("localhost", false, |_| {}, "certificate of an unknown issuer (see --ca-file)"),
    ];
    for (name, is_trusted, set, expected) in cases {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        set(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let port = tls(vec![certificate.der().clone()], key).await;
        let ca_file = ca_file.clone();
        let found = cause(&format!("https://localhost:{port}/mcp"), |config| {
            config.ca_file = is_trusted.then_some(ca_file);
        })
        .await;
        assert_eq!(found, ("upstream_unreachable".into(), expected.into()));
    }
}

#[tokio::test]
async fn a_row_tells_that_nobody_speaks_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut greeting = Some(&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..]);
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut hello = [0; 64];
            let _ = stream.read_exact(&mut hello).await;
            if let Some(greeting) = greeting.take() {
                let _ = stream.write_all(greeting).await;
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
            } else {
                let _ = stream.shutdown().await;
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
            }
        }
    });
    for expected in ["the upstream does not speak TLS", "connection closed in the TLS handshake"] {
        let found = cause(&format!("https://localhost:{port}/mcp"), |_| {}).await;
        assert_eq!(found, ("upstream_unreachable".into(), expected.into()));
    }
}
