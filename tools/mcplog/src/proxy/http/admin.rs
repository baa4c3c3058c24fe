//! `/livez`, `/readyz`, `/healthz` and `/metrics`, on an address of their own.
//!
//! A thread and a runtime of its own, away from the clients' traffic: whoever may scrape metrics need not reach the MCP
//! server, and the other way round; and whether the proxy still serves can be asked when nothing else gets on. It only
//! reads, and waits for nobody for long.

use super::metrics::{Metrics, exposition};
use super::server::StartError;
use crate::recording::StoreNumbers;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// How long the store may take to say how it is. It has the numbers at hand, unless something hangs.
const STORE_PATIENCE: Duration = Duration::from_secs(2);
/// How long the runtime that serves clients may take to run a task that does nothing.
const SERVING_PATIENCE: Duration = Duration::from_secs(2);

/// Asks the store how it is. May block.
pub(crate) type StoreStatus = Arc<dyn Fn() -> StoreNumbers + Send + Sync>;

/// Says whether clients are still served.
#[derive(Clone)]
pub(crate) struct Liveness {
    /// The runtime that serves them.
    pub(crate) runtime: tokio::runtime::Handle,
    /// Whether connections are accepted, or rightly not any more.
    pub(crate) accepts: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Liveness {
    async fn check(&self) -> Result<(), &'static str> {
        let turn = self.runtime.spawn(async {});
        match tokio::time::timeout(SERVING_PATIENCE, turn).await {
            Ok(Ok(())) if (self.accepts)() => Ok(()),
            Ok(Ok(())) => Err("no connections are accepted any more"),
            _ => Err("the tasks that serve do not get on"),
        }
    }
}

/// What the admin server asks.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) store: StoreStatus,
    pub(crate) liveness: Liveness,
}

impl Sources {
    /// The store's numbers. One look at a time: where one hangs, others say so instead of hanging too.
    async fn numbers(&self, one_look: &Arc<Semaphore>) -> StoreNumbers {
        let store = self.store.clone();
        let look = async {
            let turn = one_look.clone().acquire_owned().await.ok()?;
            let looking = tokio::task::spawn_blocking(move || {
                let numbers = store();
                drop(turn);
                numbers
            });
            looking.await.ok()
        };
        tokio::time::timeout(STORE_PATIENCE, look).await.ok().flatten().unwrap_or_else(|| {
            let trouble = format!("the store has not answered for {} s", STORE_PATIENCE.as_secs());
            StoreNumbers { trouble: Some(trouble), ..StoreNumbers::default() }
        })
    }
}

#[derive(Clone)]
struct Desk {
    sources: Sources,
    one_look: Arc<Semaphore>,
}

/// The admin server. Dropping it ends it.
pub(crate) struct Admin {
    pub(crate) local_addr: SocketAddr,
    ending: CancellationToken,
}

impl Admin {
    /// Takes the address. Who comes before the server is started has to wait.
    pub(crate) fn bind(address: &str) -> Result<TcpListener, StartError> {
        let refuse = |source| StartError::Listen { address: address.to_owned(), source };
        let listener = TcpListener::bind(address).map_err(refuse)?;
        listener.set_nonblocking(true).map_err(refuse)?;
        Ok(listener)
    }

    /// Starts the server.
    pub(crate) fn start(listener: TcpListener, sources: Sources) -> Result<Self, StartError> {
        let local_addr = listener.local_addr().map_err(StartError::Admin)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Admin)?;
        let ending = CancellationToken::new();
        let ended = ending.clone();
        let desk = Desk { sources, one_look: Arc::new(Semaphore::new(1)) };
        let serving = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, desk) => {}
                    () = ended.cancelled() => {}
                }
            });
            // A look at the store that hangs must not hold up the end.
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name("mcplog-admin".into()).spawn(serving).map_err(StartError::Admin)?;
        Ok(Self { local_addr, ending })
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.ending.cancel();
    }
}

async fn serve(listener: TcpListener, desk: Desk) {
    let router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics_text))
        .with_state(desk);
    let served = async { axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await };
    if let Err(error) = served.await {
        tracing::error!(%error, "the admin server ended");
    }
}

/// 200 while clients are served, whatever becomes of the recording, else 503. It does not ask the store.
async fn livez(State(desk): State<Desk>) -> Response {
    match desk.sources.liveness.check().await {
        Ok(()) => (StatusCode::OK, Json(serde_json::json!({"status": "ok", "reason": null}))).into_response(),
        Err(reason) => {
            let body = Json(serde_json::json!({"status": "hanging", "reason": reason}));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    }
}

/// 200 while what passes is recorded, else 503.
async fn readyz(State(desk): State<Desk>) -> Response {
    let store = desk.sources.numbers(&desk.one_look).await;
    answer(store.recording, &store)
}

/// 200 while the store is well, else 503; what is wrong is in the text.
async fn healthz(State(desk): State<Desk>) -> Response {
    let store = desk.sources.numbers(&desk.one_look).await;
    answer(store.trouble.is_none(), &store)
}

fn answer(is_well: bool, store: &StoreNumbers) -> Response {
    let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = Json(serde_json::json!({
        "status": if store.trouble.is_none() { "ok" } else { "degraded" },
        "recording": store.recording,
        "reason": store.trouble,
        "since": store.trouble_since,
        "events_missed": store.missed,
        "events_recorded": store.recorded,
        "events_dropped": store.dropped,
        "events_appended": store.appended,
        "events_folded": store.folded,
        "events_queued": store.queued,
        "lag_records": store.lag_records,
        "lag_ms": store.lag_ms,
        "log_bytes": store.log_bytes,
    }));
    (status, body).into_response()
}

async fn metrics_text(State(desk): State<Desk>) -> Response {
    let text = exposition(&desk.sources.metrics, &desk.sources.numbers(&desk.one_look).await);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
