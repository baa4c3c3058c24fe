//! The proxy between a scripted upstream and a real HTTP client, in one process.
//!
//! The fixture has verbs: an [`Upstream`] answers by hand, byte by byte where that matters; a [`Fixture`] sends and waits
//! for what was recorded. No test asserts a time.

mod admin;
mod asking;
mod causes;
mod clients;
mod codings;
mod ending;
mod exchanges;
mod faults;
mod fields;
mod first_transport;
mod framing;
mod loops;
mod outcomes;
mod own_errors;
mod random;
mod redirects;
mod resuming;
mod schemas;
mod sessions;
mod streaming;
mod tasks;
mod transport;

use super::http::ProxyHandle;
use super::{Proxy, ProxyConfig};
use crate::recording::KnownSchemas;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use mcplog::event::{Direction, Notes, Outcome, Transport};
use mcplog::query::SchemaHash;
use mcplog::{Event, Status};
use mcplog_observe::Sink;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Long enough for any machine; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// An event, owned.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Seen {
    Request(Row),
    Session {
        id: String,
        client: Option<String>,
        version: Option<String>,
        protocol: Option<String>,
        derived: bool,
    },
    Closed(String),
    Schema {
        proxy: String,
        upstream_url: String,
        method: String,
        /// Absent where the version is on record already.
        payload: Option<String>,
        hash: String,
        caller: String,
    },
}

/// A request event, as far as tests compare it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) request_id: String,
    pub(super) session: Option<String>,
    pub(super) method: String,
    pub(super) tool: Option<String>,
    pub(super) target: Option<String>,
    pub(super) status: Status,
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    pub(super) bytes_in: Option<i64>,
    pub(super) bytes_out: Option<i64>,
    pub(super) tool_error: Option<bool>,
    pub(super) protocol: Option<String>,
    pub(super) rpc_id: Option<String>,
    pub(super) http_status: Option<u16>,
    pub(super) transport: Option<Transport>,
    pub(super) direction: Option<Direction>,
    pub(super) endpoint: Option<String>,
    pub(super) outcome: Option<Outcome>,
    pub(super) cause: Option<String>,
    pub(super) retry_of: Option<String>,
    pub(super) notes: Notes,
}

impl Row {
    /// `method id status code`, which is what most tests are about.
    pub(super) fn gist(&self) -> String {
        let mut gist = format!("{} {}", self.method, self.rpc_id.as_deref().unwrap_or("-"));
        gist.push(' ');
        gist.push_str(self.status.as_str());
        if let Some(code) = &self.code {
            gist.push(' ');
            gist.push_str(code);
        }
        gist
    }

    /// How it ended, beside the gist: the HTTP status, the outcome, and what the cause says among other things.
    #[track_caller]
    pub(super) fn assert_ended(&self, http_status: Option<u16>, outcome: Outcome, cause: Option<&str>) {
        assert_eq!((self.http_status, self.outcome), (http_status, Some(outcome)), "{}", self.gist());
        match (self.cause.as_deref(), cause) {
            (None, None) => {}
            (Some(found), Some(part)) if found.contains(part) => {}
            (found, expected) => panic!("{}: the cause is {found:?}, not {expected:?}", self.gist()),
        }
    }
}

/// Collects what is recorded.
#[derive(Clone, Default)]
pub(super) struct Collector {
    seen: Arc<Mutex<Vec<Seen>>>,
    changed: Arc<tokio::sync::Notify>,
}

impl Sink for Collector {
    fn record(&self, event: Event<'_>) -> bool {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let seen = match event {
            Event::Request(request) => {
                assert!(request.latency_us >= 0 && request.ts > 1_600_000_000_000 && request.proxy == "tested");
                Seen::Request(Row {
                    request_id: request.request_id.to_owned(),
                    session: owned(request.session_id),
                    method: request.method.to_owned(),
                    tool: owned(request.tool),
                    target: owned(request.target),
                    status: request.status,
                    code: owned(request.error_code),
                    message: owned(request.error_msg),
                    bytes_in: request.bytes_in,
                    bytes_out: request.bytes_out,
                    tool_error: request.tool_error,
                    protocol: owned(request.protocol_version),
                    rpc_id: owned(request.rpc_id),
                    http_status: request.http_status,
                    transport: request.transport,
                    direction: request.direction,
                    endpoint: owned(request.endpoint),
                    outcome: request.outcome,
                    cause: owned(request.cause),
                    retry_of: owned(request.retry_of),
                    notes: request.notes,
                })
            }
            Event::Session(session) => Seen::Session {
                id: session.session_id.to_owned(),
                client: owned(session.client_name),
                version: owned(session.client_version),
                protocol: owned(session.protocol_version),
                derived: session.derived,
            },
            Event::SessionClosed(closed) => Seen::Closed(closed.session_id.to_owned()),
            Event::SchemaVersion(schema) => Seen::Schema {
                proxy: schema.proxy.to_owned(),
                upstream_url: schema.upstream_url.to_owned(),
                method: schema.method.to_owned(),
                payload: owned(schema.payload),
                hash: schema.content_hash.to_owned(),
                caller: schema.caller.to_owned(),
            },
        };
        self.seen.lock().push(seen);
        self.changed.notify_one();
        true
    }
}

/// A request as the upstream received it.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) line: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Received {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn method(&self) -> &str {
        self.line.split(' ').next().unwrap()
    }

    pub(super) fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }

    /// The request's JSON-RPC message.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The upstream's side of one connection.
pub(super) struct Reply {
    pub(super) reader: BufReader<OwnedReadHalf>,
    pub(super) writer: OwnedWriteHalf,
}

impl Reply {
    /// Writes bytes as they are.
    pub(super) async fn raw(&mut self, bytes: impl AsRef<[u8]>) {
        // The proxy may be gone already; what that means is the test's business.
        let _ = self.writer.write_all(bytes.as_ref()).await;
        let _ = self.writer.flush().await;
    }

    /// A whole response.
    pub(super) async fn whole(&mut self, status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let mut head = format!("HTTP/1.1 {status} Whatever\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.raw([head.as_bytes(), body].concat()).await;
    }

    pub(super) async fn json(&mut self, body: impl AsRef<[u8]>) {
        self.whole(200, &[("content-type", "application/json")], body).await;
    }

    /// The head of a chunked response.
    pub(super) async fn head(&mut self, headers: &[(&str, &str)]) {
        let mut head = "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n".to_owned();
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.raw(head).await;
    }

    /// The head of an event stream.
    pub(super) async fn stream(&mut self) {
        self.head(&[("content-type", "text/event-stream")]).await;
    }

    /// A chunk of a chunked response.
    pub(super) async fn chunk(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.raw([format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()).await;
    }

    /// An event, as one chunk.
    pub(super) async fn event(&mut self, data: impl AsRef<str>) {
        self.chunk(format!("event: message\ndata: {}\n\n", data.as_ref())).await;
    }

    /// The end of a chunked response.
    pub(super) async fn end(&mut self) {
        self.raw("0\r\n\r\n").await;
    }

    /// Waits until the proxy has let go of the connection.
    pub(super) async fn gone(&mut self) {
        let mut rest = Vec::new();
        let _ = self.reader.read_to_end(&mut rest).await;
    }
}

/// A scripted MCP server: every connection serves one request.
pub(super) struct Upstream {
    pub(super) address: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Upstream {
    pub(super) async fn start<H, F>(handler: H) -> Self
    where
        H: Fn(Received, Reply) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let log = received.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (handler, log) = (handler.clone(), log.clone());
                tokio::spawn(async move {
                    let (reader, writer) = stream.into_split();
                    let mut reply = Reply { reader: BufReader::new(reader), writer };
                    if let Some(request) = receive(&mut reply.reader).await {
                        log.lock().push(request.clone());
                        handler(request, reply).await;
                    }
                });
            }
        });
        Self { address, received }
    }

    /// An upstream that answers everything with the same JSON body.
    pub(super) async fn answering(body: &'static str) -> Self {
        Self::start(move |_, mut reply| async move { reply.json(body).await }).await
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().clone()
    }
}

/// Reads one request. `None` if it does not come to its end.
async fn receive(reader: &mut BufReader<OwnedReadHalf>) -> Option<Received> {
    let mut line = String::new();
    reader.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).await.ok().filter(|read| *read > 0)?;
        let header = header.trim_end();
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').unwrap();
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Received { line: line.trim_end().to_owned(), headers, body: Vec::new() };
    if let Some(length) = request.header("content-length") {
        request.body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut request.body).await.ok()?;
    } else if request.header("transfer-encoding").is_some() {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).await.ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            if size == 0 {
                // Up to the empty line: trailers, which count as headers here.
                loop {
                    let mut trailer = String::new();
                    reader.read_line(&mut trailer).await.ok()?;
                    let Some((name, value)) = trailer.trim_end().split_once(':') else { break };
                    request.headers.push((format!("trailer {name}"), value.trim().to_owned()));
                }
                break;
            }
            reader.read_exact(&mut chunk).await.ok()?;
            request.body.extend_from_slice(&chunk[..size]);
        }
    }
    Some(request)
}

type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// A proxy in front of an upstream, with a client.
pub(super) struct Fixture {
    pub(super) proxy: Option<ProxyHandle>,
    pub(super) address: String,
    pub(super) collector: Collector,
    pub(super) client: HttpClient,
}

impl Fixture {
    pub(super) async fn new(upstream: &Upstream) -> Self {
        Self::with(upstream, |_| {}).await
    }

    pub(super) async fn with(upstream: &Upstream, configure: impl FnOnce(&mut ProxyConfig)) -> Self {
        let mut config = ProxyConfig::new(&format!("http://{}/mcp", upstream.address)).unwrap();
        configure(&mut config);
        Self::start(config, &[]).await
    }

    pub(super) async fn start(mut config: ProxyConfig, known: &[SchemaHash]) -> Self {
        config.name = "tested".to_owned();
        let collector = Collector::default();
        let known = KnownSchemas { salt: "salt".to_owned(), hashes: known.to_vec() };
        let proxy = Proxy::start(&config, collector.clone(), &known).await.unwrap();
        let address = proxy.local_addr().to_string();
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { proxy: Some(proxy), address, collector, client }
    }

    pub(super) fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{target}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Full::new(Bytes::copy_from_slice(body))).unwrap()
    }

    pub(super) async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response<Incoming> {
        within(self.client.request(self.request(method, target, headers, body))).await.unwrap()
    }

    /// Posts a message and reads the whole response, as far as it comes.
    pub(super) async fn post(&self, headers: &[(&str, &str)], body: &str) -> (StatusCode, String) {
        let response = self.send("POST", "/mcp", headers, body.as_bytes()).await;
        let status = response.status();
        (status, read_all(response).await)
    }

    /// Waits until as many requests were recorded.
    pub(super) async fn rows(&self, count: usize) -> Vec<Row> {
        self.wait(|seen| requests(seen).len() >= count).await;
        let rows = requests(&self.collector.seen.lock());
        assert_eq!(rows.len(), count, "{rows:?}");
        rows
    }

    /// The one request that was recorded.
    pub(super) async fn row(&self) -> Row {
        self.rows(1).await.remove(0)
    }

    pub(super) async fn wait(&self, is_enough: impl Fn(&[Seen]) -> bool) {
        let waiting = async {
            while !is_enough(&self.collector.seen.lock()) {
                self.collector.changed.notified().await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("not recorded in time; so far: {:#?}", self.collector.seen.lock());
        }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.collector.seen.lock().clone()
    }

    /// Ends the proxy and returns everything that was recorded.
    pub(super) async fn finish(mut self) -> Vec<Seen> {
        within(self.proxy.take().unwrap().shutdown()).await;
        self.seen()
    }

    /// A connection of one's own, for clients that misbehave.
    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }
}

pub(super) fn requests(seen: &[Seen]) -> Vec<Row> {
    let rows: Vec<Row> =
        seen.iter().filter_map(|seen| if let Seen::Request(row) = seen { Some(row.clone()) } else { None }).collect();
    let ids: HashMap<&str, &Row> = rows.iter().map(|row| (row.request_id.as_str(), row)).collect();
    assert_eq!(ids.len(), rows.len(), "request ids are unique");
    rows
}

/// Everything but the requests.
pub(super) fn others(seen: &[Seen]) -> Vec<Seen> {
    seen.iter().filter(|seen| !matches!(seen, Seen::Request(_))).cloned().collect()
}

/// The body, as far as it comes.
pub(super) async fn read_all(response: Response<Incoming>) -> String {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = within(body.frame()).await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
            Err(_) => {
                bytes.extend_from_slice(b" [broken off]");
                break;
            }
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Waits, but not for ever.
pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

/// A request message.
pub(super) fn call(id: &str, method: &str, params: &str) -> String {
    format!(r#"{{"method":"{method}","params":{params},"jsonrpc":"2.0","id":{id}}}"#)
}
