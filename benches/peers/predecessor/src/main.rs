//! mcplog's predecessor, measured: `store::Store` of mcpr-integrations 0.4.40.
//!
//! Started by `peers`, with a job as its argument; it answers on stdout and ends.

mod database;
mod event;

use event::{request_event, session_event};
use mcpr_integrations::store::{QueryEngine, Store, StoreConfig};
use measure::log::Failure;
use measure::{Event, Job, Log, Outcome, Task, Workload, Writer, job};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn main() {
    match job::from_arguments() {
        Ok(Some(job)) => job::answer(measure(&job)),
        Ok(None) => eprintln!("peers starts this program; it does nothing by itself"),
        Err(error) => job::answer(Err(error)),
    }
}

fn measure(job: &Job) -> Result<Outcome, Failure> {
    match job.task {
        Task::Latency { .. } | Task::Loss { .. } => job::run::<Predecessor>(job),
        Task::Folding { rows } => database::folding(&job.dir, rows),
        Task::Queries { rows } => database::queries(&job.dir, rows),
        Task::Durable { .. } => Err("has no durable acknowledgement".into()),
    }
}

struct Predecessor {
    store: Arc<Store>,
    database: PathBuf,
}

impl Log for Predecessor {
    type Writer = Handle;

    fn open(dir: &Path) -> Result<Self, Failure> {
        let database = dir.join("store.db");
        let config = StoreConfig { db_path: database.clone(), mcpr_version: "0.4.40".into() };
        let store = Store::open(config).map_err(|error| error.to_string())?;
        for session in Workload::default().sessions() {
            store.record(session_event(session));
        }
        Ok(Self { store: Arc::new(store), database })
    }

    fn writer(&self) -> Result<Handle, Failure> {
        Ok(Handle(Arc::clone(&self.store)))
    }

    fn close(self) -> Result<Option<u64>, Failure> {
        Arc::into_inner(self.store).ok_or("a writer is left")?.shutdown();
        let totals = QueryEngine::open(&self.database)?.store_stats(&self.database)?;
        Ok(Some(u64::try_from(totals.total_requests)?))
    }
}

struct Handle(Arc<Store>);

impl Writer for Handle {
    #[inline]
    fn hand_over(&mut self, event: &Event<'_>) {
        self.0.record(request_event(event));
    }
}
