//! Random scripts of clients and servers, played through the proxy over sockets, step by step: the rows are those that a judge
//! who sees the wire says. Many more of them are played without sockets, in `tests/wire`.

use super::{PATIENCE, within};
use crate::proxy::{Proxy, ProxyConfig};
use crate::recording::KnownSchemas;
use mcplog::Event;
use mcplog_observe::Sink;
use mcplog_wire::judge::judge;
use mcplog_wire::observed::Collector;
use mcplog_wire::scale::{SEEDS, seeds_or};
use mcplog_wire::script::Script;
use mcplog_wire::step::{Answered, Asked, Ending, Step, Verb};
use mcplog_wire::trial::compare;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// How many scripts are played: with sixteen exchanges each, 2,000 of these.
const SCRIPTS: u64 = 125;
/// The shortest time that the rules know. A script that took longer, on a machine that is busy, is played again.
const SHORTEST_WAIT: Duration = Duration::from_secs(2);
const TRIES_MAX: usize = 20;

#[derive(Clone, Default)]
struct Shared(Arc<Collector>);

impl Sink for Shared {
    fn record(&self, event: Event<'_>) -> bool {
        self.0.record(event)
    }
}

/// One side of an exchange: what it sends, and what it got.
struct Side {
    stream: TcpStream,
    got: Vec<u8>,
    /// How many bytes of a body were sent.
    sent: usize,
}

impl Side {
    fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, got: Vec::new(), sent: 0 }
    }

    async fn send(&mut self, bytes: &[u8]) {
        // The other side may be gone already.
        let _ = self.stream.write_all(bytes).await;
    }

    async fn chunk(&mut self, bytes: &[u8]) {
        self.sent += bytes.len();
        self.send(&[format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()).await;
    }

    /// Reads until that is so, or the other side is gone.
    async fn until(&mut self, is_so: impl Fn(&[u8]) -> bool) {
        let reading = async {
            while !is_so(&self.got) {
                match self.stream.read_buf(&mut self.got).await {
                    Ok(read) if read > 0 => {}
                    _ => break,
                }
            }
        };
        assert!(tokio::time::timeout(PATIENCE, reading).await.is_ok(), "got {:?}", String::from_utf8_lossy(&self.got));
    }
}

/// How much of a chunked body is there behind the head, and whether it is over.
fn body(got: &[u8]) -> (usize, bool) {
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|window| window == what);
    let Some(head) = find(got, b"\r\n\r\n") else { return (0, false) };
    let (mut rest, mut length) = (&got[head + 4..], 0);
    while let Some(line) = find(rest, b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return (length, true);
        }
        if rest.len() < line + 2 + size + 2 {
            return (length, false);
        }
        length += size;
        rest = &rest[line + 2 + size + 2..];
    }
    (length, false)
}

fn has_head(got: &[u8]) -> bool {
    got.windows(4).any(|window| window == b"\r\n\r\n")
}

/// The clients' side and the server's of one exchange.
struct Pair {
    client: Side,
    server: Side,
    has_body: bool,
    is_answered: bool,
}

struct Stage {
    proxy: SocketAddr,
    listener: TcpListener,
    pairs: HashMap<usize, Pair>,
}

impl Stage {
    /// Takes a step, and waits until the other side sees it: so the proxy has seen it, too.
    async fn take(&mut self, step: &Step) {
        match step {
            Step::Open(at, asked) => self.open(*at, asked).await,
            Step::Send(at, bytes) if !bytes.is_empty() => {
                let Pair { client, server, .. } = self.pairs.get_mut(at).unwrap();
                client.chunk(bytes).await;
                let sent = client.sent;
                server.until(|got| body(got).0 >= sent).await;
            }
            Step::Sent(at, true) => {
                let Pair { client, server, has_body, .. } = self.pairs.get_mut(at).unwrap();
                if *has_body {
                    client.send(b"0\r\n\r\n").await;
                    server.until(|got| body(got).1).await;
                }
            }
            Step::Answer(at, answered) => self.answer(*at, answered).await,
            Step::Reply(at, bytes) if !bytes.is_empty() => {
                let Pair { client, server, .. } = self.pairs.get_mut(at).unwrap();
                server.chunk(bytes).await;
                let sent = server.sent;
                client.until(|got| body(got).0 >= sent).await;
            }
            Step::End(at, ending) => self.end(*at, *ending).await,
            Step::Send(..) | Step::Sent(..) | Step::Reply(..) | Step::Pass(_) => {}
        }
    }

    async fn open(&mut self, at: usize, asked: &Asked) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("127.0.0.{}:0", asked.address).parse().unwrap()).unwrap();
        let mut client = Side::new(within(socket.connect(self.proxy)).await.unwrap());
        let verb = match asked.verb {
            Verb::Post => "POST",
            Verb::Get => "GET",
            Verb::Delete => "DELETE",
        };
        let query = asked.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let mut head = format!("{verb} {}{query} HTTP/1.1\r\nhost: {}\r\n", asked.path, self.proxy);
        let has_body = asked.verb == Verb::Post;
        let fields = [
            ("user-agent", Some(asked.agent)),
            ("mcp-session-id", asked.session.as_deref()),
            ("mcp-protocol-version", asked.version),
            ("mcp-method", asked.method.as_deref()),
            ("last-event-id", asked.last_event.as_deref()),
            ("transfer-encoding", has_body.then_some("chunked")),
            ("content-type", has_body.then_some("application/json")),
        ];
        for (name, value) in fields {
            head.extend(value.map(|value| format!("{name}: {value}\r\n")));
        }
        client.send(format!("{head}\r\n").as_bytes()).await;
        let mut server = Side::new(within(self.listener.accept()).await.unwrap().0);
        server.until(has_head).await;
        self.pairs.insert(at, Pair { client, server, has_body, is_answered: false });
    }

    async fn answer(&mut self, at: usize, answered: &Answered) {
        let pair = self.pairs.get_mut(&at).unwrap();
        let kind = if answered.is_stream { "text/event-stream" } else { "application/json" };
        let mut head = format!("HTTP/1.1 {} Whatever\r\nconnection: close\r\n", answered.status);
        if answered.status != 204 {
            head.push_str(&format!("transfer-encoding: chunked\r\ncontent-type: {kind}\r\n"));
        }
        head.extend(answered.session.as_ref().map(|session| format!("mcp-session-id: {session}\r\n")));
        pair.server.send(format!("{head}\r\n").as_bytes()).await;
        pair.client.until(has_head).await;
        pair.is_answered = true;
    }

    async fn end(&mut self, at: usize, ending: Ending) {
        let Pair { mut client, mut server, is_answered, .. } = self.pairs.remove(&at).unwrap();
        match ending {
            Ending::Complete => {
                assert!(is_answered);
                server.send(b"0\r\n\r\n").await;
                client.until(|got| body(got).1 || got.starts_with(b"HTTP/1.1 204")).await;
            }
            Ending::ClientGone => {
                drop(client);
                server.until(|_| false).await;
            }
            Ending::Broken | Ending::Silent => {
                drop(server);
                // In the place of a head that did not come, the proxy answers.
                client.until(|got| !is_answered && has_head(got)).await;
            }
        }
    }
}

/// Plays a script, and says what does not go together; or nothing, if that took too long to mean anything.
async fn play(script: &Script) -> Option<Vec<String>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}/mcp", listener.local_addr().unwrap());
    let mut config = ProxyConfig::new(&upstream).unwrap();
    config.name = "tested".to_owned();
    let shared = Shared::default();
    let proxy = Proxy::start(&config, shared.clone(), &KnownSchemas::default()).await.unwrap();
    let mut stage = Stage { proxy: proxy.local_addr(), listener, pairs: HashMap::new() };
    let began = Instant::now();
    for step in &script.steps {
        stage.take(step).await;
    }
    within(proxy.shutdown()).await;
    let is_slow = began.elapsed() > SHORTEST_WAIT;
    let found = shared.0.recorded().timeless();
    (!is_slow).then(|| compare(&found, &judge(&script.steps, None).timeless()))
}

#[tokio::test]
async fn random_exchanges_over_sockets_are_recorded_as_they_passed() {
    let (mut bad, seeds) = (Vec::new(), seeds_or(0..SCRIPTS));
    for seed in seeds.clone() {
        let script = Script::for_sockets(seed);
        let mut disagreements = None;
        for _ in 0..TRIES_MAX {
            disagreements = play(&script).await;
            if disagreements.is_some() {
                break;
            }
        }
        let disagreements = disagreements.expect("the machine is too busy to tell two seconds from none");
        if !disagreements.is_empty() {
            let story: Vec<_> = script.steps.iter().map(ToString::to_string).collect();
            let alone = format!("{SEEDS}={seed} cargo test -p mcplog-cli random_exchanges");
            let (story, disagreements) = (story.join("\n    "), disagreements.join("\n  "));
            bad.push(format!("seed {seed}:\n    {story}\n  {disagreements}\n  alone: {alone}"));
        }
    }
    assert!(
        bad.is_empty(),
        "{}\n{} of the scripts {seeds:?} are recorded wrongly",
        bad[..bad.len().min(3)].join("\n"),
        bad.len()
    );
}
