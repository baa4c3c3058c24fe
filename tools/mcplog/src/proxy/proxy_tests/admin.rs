//! `/livez`, `/readyz`, `/healthz`, `/metrics`: what each says, and that the first two are told apart.

use super::*;
use crate::proxy::http::{Admin, Liveness, Sources};
use crate::recording::StoreNumbers;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

/// An admin server over made-up numbers.
struct Desk {
    admin: Admin,
    store: Arc<Mutex<StoreNumbers>>,
    accepts: Arc<AtomicBool>,
    client: HttpClient,
}

impl Desk {
    fn new() -> Self {
        Self::of_runtime(tokio::runtime::Handle::current())
    }

    /// One that asks whether tasks get on there.
    fn of_runtime(runtime: tokio::runtime::Handle) -> Self {
        let store = Arc::new(Mutex::new(StoreNumbers { appended: 5, recording: true, ..StoreNumbers::default() }));
        let accepts = Arc::new(AtomicBool::new(true));
        let (numbers, flag) = (store.clone(), accepts.clone());
        let sources = Sources {
            metrics: Arc::default(),
            store: Arc::new(move || numbers.lock().clone()),
            liveness: Liveness { runtime, accepts: Arc::new(move || flag.load(Ordering::Relaxed)) },
        };
        let admin = Admin::start(Admin::bind("127.0.0.1:0").unwrap(), sources).unwrap();
        Self { admin, store, accepts, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    fn address(&self) -> SocketAddr {
        self.admin.local_addr
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let uri = format!("http://{}{path}", self.address());
        let request = Request::get(uri).body(Full::default()).unwrap();
        let response = within(self.client.request(request)).await.unwrap();
        (response.status().as_u16(), read_all(response).await)
    }

    /// The codes of `/livez`, `/readyz` and `/healthz`.
    async fn codes(&self) -> [u16; 3] {
        [self.get("/livez").await.0, self.get("/readyz").await.0, self.get("/healthz").await.0]
    }
}

#[tokio::test]
async fn serving_recording_and_being_well_are_told_apart() {
    let desk = Desk::new();
    let text = desk.get("/metrics").await.1;
    assert!(text.contains("mcplog_events_appended_total 5\n") && text.contains("mcplog_recording 1\n"), "{text}");
    assert_eq!(desk.codes().await, [200, 200, 200]);
    // Nothing is folded, say: what passes is in the log all the same.
    desk.store.lock().trouble = Some("the database is damaged".to_owned());
    assert_eq!(desk.codes().await, [200, 200, 503]);
    let trouble = StoreNumbers {
        missed: 7,
        trouble: Some("no space left".to_owned()),
        trouble_since: Some(1_700_000_000_000),
        ..StoreNumbers::default()
    };
    *desk.store.lock() = trouble;
    assert_eq!(desk.codes().await, [200, 503, 503]);
    let (_, text) = desk.get("/healthz").await;
    let body: serde_json::Value = serde_json::from_str(&text).unwrap();
    let found = (&body["status"], &body["recording"], &body["reason"], &body["since"], &body["events_missed"]);
    let expected =
        (&"degraded".into(), &false.into(), &"no space left".into(), &1_700_000_000_000_i64.into(), &7.into());
    assert_eq!(found, expected);
    desk.accepts.store(false, Ordering::Relaxed);
    assert_eq!(desk.codes().await, [503, 503, 503]);
    assert_eq!(desk.get("/mcp").await.0, 404);
}

#[tokio::test]
async fn a_store_that_hangs_is_told_and_who_asks_whether_the_proxy_serves_does_not_wait_for_it() {
    let desk = Desk::new();
    let store = desk.store.clone();
    let (hangs, is_hanging) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let hanging = std::thread::spawn(move || {
        let _guard = store.lock();
        hangs.send(()).unwrap();
        // Until the other end is dropped.
        let _ = released.recv();
    });
    is_hanging.recv().unwrap();
    assert_eq!(desk.get("/livez").await.0, 200);
    let (health, ready, metrics) = tokio::join!(desk.get("/healthz"), desk.get("/readyz"), desk.get("/metrics"));
    assert_eq!((health.0, ready.0, metrics.0), (503, 503, 200));
    assert!(health.1.contains("the store has not answered"), "{}", health.1);
    assert_eq!(desk.get("/livez").await.0, 200);
    drop(release);
    hanging.join().unwrap();
    while desk.get("/healthz").await.0 != 200 {}
}

#[tokio::test]
async fn tasks_that_do_not_get_on_are_told_although_the_admin_server_answers() {
    let serving = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let desk = Desk::of_runtime(serving.handle().clone());
    assert_eq!(desk.get("/livez").await.0, 200);
    let (release, blocked) = mpsc::channel::<()>();
    serving.spawn(async move { blocked.recv() });
    let (code, text) = desk.get("/livez").await;
    assert_eq!(code, 503, "{text}");
    assert!(text.contains("do not get on"), "{text}");
    drop(release);
    while desk.get("/livez").await.0 != 200 {}
    serving.shutdown_background();
}
