//! The schema thread: merges pages, compares hashes and records what really changed.
//!
//! A thread of its own, because parsing and hashing a long list takes milliseconds, and a forwarding task must not spend
//! them. It must not hold up anybody: what does not fit in its queue is not looked at, and the next list result makes up
//! for it.

use super::canonical::content_hash;
use super::journal::Sink;
use super::metrics::Metrics;
use super::pages::{Pages, Scope};
use super::rpc::SchemaMethod;
use mcplog::SchemaVersion;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

/// How many results may wait; with [`super::pages::SCHEMA_BYTES_MAX`] each, 64 MiB.
const QUEUE_MAX: usize = 32;

/// The result of a schema method, as it passed by.
pub(super) struct Observation {
    pub(super) scope: Scope,
    pub(super) method: SchemaMethod,
    pub(super) cursor: Option<Box<str>>,
    /// When it was seen, in Unix milliseconds.
    pub(super) ts: i64,
    /// The whole JSON-RPC message.
    pub(super) message: Vec<u8>,
}

/// The handle of the schema thread.
pub(super) struct SchemaThread {
    /// `None` once it was told to stop.
    queue: Mutex<Option<SyncSender<Observation>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SchemaThread {
    /// Starts the thread. `known` has the last hash of each method, from the store.
    pub(super) fn start(
        sink: Arc<dyn Sink>,
        metrics: Arc<Metrics>,
        proxy: Arc<str>,
        upstream_url: Arc<str>,
        known: HashMap<SchemaMethod, String>,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        let thread = std::thread::Builder::new().name("mcplog-schema".into()).spawn(move || {
            let mut watch = SchemaWatch { sink, metrics, proxy, upstream_url, known, pages: Pages::default() };
            watch.run(&receiver);
        })?;
        Ok(Self { queue: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// Hands over a result. Never waits.
    pub(super) fn observe(&self, observation: Observation) {
        let Some(queue) = self.queue.lock().clone() else { return };
        if let Err(TrySendError::Full(observation)) = queue.try_send(observation) {
            tracing::warn!(
                method = observation.method.name(),
                "too many schema results at once: one was not looked at"
            );
        }
    }

    /// Ends the thread after what is queued. Blocks for as long as that takes.
    pub(super) fn stop(&self) {
        drop(self.queue.lock().take());
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the schema thread panicked");
        }
    }
}

struct SchemaWatch {
    sink: Arc<dyn Sink>,
    metrics: Arc<Metrics>,
    proxy: Arc<str>,
    upstream_url: Arc<str>,
    known: HashMap<SchemaMethod, String>,
    pages: Pages,
}

impl SchemaWatch {
    fn run(&mut self, queue: &Receiver<Observation>) {
        while let Ok(observation) = queue.recv() {
            self.observe(&observation);
        }
    }

    fn observe(&mut self, observation: &Observation) {
        let method = observation.method;
        let Some(result) = result_of(&observation.message) else {
            tracing::debug!(method = method.name(), "a schema result that is no JSON object");
            return;
        };
        let page = (result, observation.message.len());
        let cursor = observation.cursor.as_deref();
        let Some(merged) = self.pages.add(&observation.scope, method, cursor, page, observation.ts) else { return };
        let content_hash = content_hash(method, &merged);
        if self.known.get(&method) == Some(&content_hash) {
            return;
        }
        let payload = Value::Object(merged).to_string();
        self.metrics.schema_versions.add(1);
        self.sink.record(
            SchemaVersion::new(observation.ts, &self.proxy, &self.upstream_url, method.name(), &payload, &content_hash)
                .into(),
        );
        self.known.insert(method, content_hash);
    }
}

fn result_of(message: &[u8]) -> Option<Map<String, Value>> {
    #[derive(serde::Deserialize)]
    struct Response {
        result: Map<String, Value>,
    }
    serde_json::from_slice::<Response>(message).ok().map(|response| response.result)
}
