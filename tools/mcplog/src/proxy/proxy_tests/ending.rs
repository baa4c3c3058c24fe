//! The end of a proxy: when it says that every event was handed over, nothing can come after.

use super::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What became of a sink.
#[derive(Default)]
struct Fate {
    events: AtomicUsize,
    /// Nobody has the sink any more, so nobody can record.
    is_dropped: AtomicBool,
}

/// Counts what comes, and says when nothing can come any more.
struct Witness(Arc<Fate>);

impl Sink for Witness {
    fn record(&self, _: Event<'_>) -> bool {
        self.0.events.fetch_add(1, Ordering::SeqCst);
        true
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.is_dropped.store(true, Ordering::SeqCst);
    }
}

/// A request whose body is half here: the upstream's connection has it, and what it was is known from its head alone.
async fn half_a_request(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "POST /mcp HTTP/1.1\r\nhost: h\r\nmcp-method: tools/call\r\ncontent-length: 1000\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_proxy_has_ended_nobody_can_hand_over_an_event_any_more() {
    const REQUESTS: usize = 8;
    for _ in 0..100 {
        let arrived = Arc::new(AtomicUsize::new(0));
        let reached = arrived.clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        // An upstream that reads heads and nothing else.
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let reached = reached.clone();
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    let _ = stream.read(&mut buffer).await;
                    reached.fetch_add(1, Ordering::SeqCst);
                    std::future::pending::<()>().await;
                });
            }
        });
        let mut config = ProxyConfig::new(&url).unwrap();
        config.drain = Duration::ZERO;
        let fate = Arc::new(Fate::default());
        let proxy = Proxy::start(&config, Witness(fate.clone()), &KnownSchemas::default()).await.unwrap();
        let address = proxy.local_addr().to_string();
        let mut clients = Vec::new();
        for _ in 0..REQUESTS {
            clients.push(half_a_request(&address).await);
        }
        within(async {
            while arrived.load(Ordering::SeqCst) < REQUESTS {
                tokio::task::yield_now().await;
            }
        })
        .await;
        within(proxy.shutdown()).await;
        assert!(fate.is_dropped.load(Ordering::SeqCst), "somebody may still hand an event over");
        assert_eq!(fate.events.load(Ordering::SeqCst), REQUESTS, "one row each");
    }
}
