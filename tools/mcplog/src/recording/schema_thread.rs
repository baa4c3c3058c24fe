//! The thread that looks at what the upstream offers.
//!
//! A thread of its own, because parsing and hashing a long list takes milliseconds, and a forwarding task must not spend
//! them. It must not hold up anybody: what does not fit in its queue is not looked at, and the next list result makes up
//! for it. It looks at nothing before it was told what is on record, since it would record all of that again; until there
//! is a store it keeps the newest results.

use super::known_schema::KnownSchemas;
use mcplog::burst::Burst;
use mcplog_observe::{Counts, SchemaQueue, SchemaResult, SchemaWatch};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How many results may wait. Their texts are taken from the budget of all exchanges.
const QUEUE_MAX: usize = 32;

/// The handle of the schema thread.
pub(crate) struct SchemaThread {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    counts: Arc<Counts>,
}

struct State {
    /// Oldest first.
    results: VecDeque<SchemaResult>,
    /// What is on record, if the thread was not told yet; `Some(None)` where nobody knows any more.
    news: Option<Option<KnownSchemas>>,
    /// Whether the thread knows what is on record, and looks at results.
    looks: bool,
    is_stopped: bool,
    /// Results are not looked at, as the diagnostics tell it.
    behind: Burst,
}

impl Default for State {
    fn default() -> Self {
        // Over once everything that waits was looked at.
        let behind = Burst::new(Duration::MAX);
        Self { results: VecDeque::new(), news: None, looks: false, is_stopped: false, behind }
    }
}

impl SchemaThread {
    /// Starts the thread. `watch` makes what looks at results, from what is on record; `counts` counts those that nobody
    /// looks at.
    pub(crate) fn start(
        counts: Arc<Counts>,
        watch: impl Fn(KnownSchemas) -> SchemaWatch + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), counts });
        let of_thread = Arc::clone(&shared);
        let thread =
            std::thread::Builder::new().name("mcplog-schema".into()).spawn(move || of_thread.look_at_all(watch))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Says what is on record, of all proxies and upstreams, in place of what was learned before; `None`: the store is gone,
    /// and results wait for what the next one has.
    pub(crate) fn learn(&self, known: Option<KnownSchemas>) {
        self.shared.state.lock().news = Some(known);
        self.shared.changed.notify_one();
    }

    /// Whether results wait to be looked at.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.shared.state.lock().results.is_empty()
    }

    /// Ends the thread after what is queued. Blocks for as long as that takes.
    pub(crate) fn stop(&self) {
        self.shared.state.lock().is_stopped = true;
        self.shared.changed.notify_one();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the schema thread panicked");
        }
    }
}

impl SchemaQueue for SchemaThread {
    fn offer(&self, result: SchemaResult) {
        let mut state = self.shared.state.lock();
        if state.is_stopped {
            return;
        }
        let method = result.method().name();
        state.results.push_back(result);
        // Without a store, the newest results are those that count when one comes.
        let oldest = if state.results.len() > QUEUE_MAX { state.results.pop_front() } else { None };
        let is_behind = oldest.is_some() && state.looks;
        self.shared.counts.schema_results_missed.add(u64::from(is_behind));
        let begins = is_behind && state.behind.note(1, Instant::now());
        drop(state);
        self.shared.changed.notify_one();
        if begins {
            tracing::warn!(method, "too many schema results at once: one was not looked at");
        }
    }
}

impl Shared {
    fn look_at_all(&self, new_watch: impl Fn(KnownSchemas) -> SchemaWatch) {
        let mut watch: Option<SchemaWatch> = None;
        loop {
            let mut state = self.state.lock();
            if let Some(known) = state.news.take() {
                state.looks = known.is_some();
                drop(state);
                watch = known.map(&new_watch);
                continue;
            }
            let result = if watch.is_some() { state.results.pop_front() } else { None };
            let over = if result.is_none() { state.behind.end(Instant::now()) } else { None };
            if let Some(over) = over {
                tracing::warn!(times = over.times, lasted_ms = over.lasted_ms(), "schema results are looked at again");
            }
            match (&mut watch, result) {
                (Some(watch), Some(result)) => {
                    drop(state);
                    watch.look_at(&result);
                }
                (Some(_), None) if state.is_stopped => return,
                // Nobody said what is on record, but there may be a store: a version twice is better than none.
                (None, _) if state.is_stopped => state.news = Some(Some(KnownSchemas::default())),
                _ => self.changed.wait(&mut state),
            }
        }
    }
}
