//! `/healthz` and `/metrics`, on an address of their own.
//!
//! One task of its own, away from the clients' traffic: whoever may scrape metrics need not reach the MCP server, and the
//! other way round. It only reads.

use super::metrics::{Metrics, StoreNumbers, exposition};
use super::server::StartError;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// Asks the store how it is.
pub(crate) type StoreStatus = Arc<dyn Fn() -> StoreNumbers + Send + Sync>;

#[derive(Clone)]
struct Sources {
    metrics: Arc<Metrics>,
    store: StoreStatus,
}

/// The admin server. Dropping it ends it.
pub(crate) struct Admin {
    pub(crate) local_addr: SocketAddr,
    task: AbortHandle,
}

impl Admin {
    pub(crate) async fn start(address: &str, metrics: Arc<Metrics>, store: StoreStatus) -> Result<Self, StartError> {
        let refuse = |source| StartError::Listen { address: address.to_owned(), source };
        let listener = TcpListener::bind(address).await.map_err(refuse)?;
        let local_addr = listener.local_addr().map_err(refuse)?;
        let router = Router::new()
            .route("/healthz", get(healthz))
            .route("/metrics", get(metrics_text))
            .with_state(Sources { metrics, store });
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the admin server ended");
            }
        });
        Ok(Self { local_addr, task: task.abort_handle() })
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// 200 while the store is well, else 503; what is wrong is in the text.
async fn healthz(State(sources): State<Sources>) -> Response {
    let store = (sources.store)();
    let status = if store.trouble.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = Json(serde_json::json!({
        "status": if store.trouble.is_none() { "ok" } else { "degraded" },
        "trouble": store.trouble,
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

async fn metrics_text(State(sources): State<Sources>) -> Response {
    let text = exposition(&sources.metrics, &(sources.store)());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
