//! How fast mcplog gets a log into the database, with nothing else running: folding is held off by a lock on the
//! database until the log is complete.

use crate::competitor::mcplog::{announcement, request};
use mcplog::{Config, Store};
use measure::log::Failure;
use measure::workload::Texts;
use measure::{Outcome, Workload};
use rusqlite::Connection;
use std::path::Path;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) fn mcplog(dir: &Path, rows: u64) -> Result<Outcome, Failure> {
    let store = open(dir)?;
    let lock = Connection::open(store.database())?;
    lock.execute_batch("BEGIN IMMEDIATE")?;
    record(&store, rows)?;
    store.flush(PATIENCE)?;
    let start = Instant::now();
    lock.execute_batch("ROLLBACK")?;
    drop(lock);
    store.wait_folded(PATIENCE)?;
    let took_s = start.elapsed().as_secs_f64();
    store.shutdown(PATIENCE);
    Ok(Outcome::Folding { rows, took_s })
}

/// A store in `dir` that waits for room rather than losing an event.
pub(crate) fn open(dir: &Path) -> Result<Store, Failure> {
    let mut config = Config::new(dir.join("data"));
    config.record_wait_ms = 60_000;
    Ok(Store::open(config)?)
}

/// Records all sessions and that many requests.
pub(crate) fn record(store: &Store, rows: u64) -> Result<(), Failure> {
    let workload = Workload::default();
    let recorder = store.recorder();
    workload.sessions().for_each(|session| {
        recorder.record(announcement(session));
    });
    for number in 0..rows {
        let mut texts = Texts::new();
        recorder.record(request(&workload.event(number, &mut texts)));
    }
    match store.stats().dropped {
        0 => Ok(()),
        dropped => Err(format!("{dropped} events were dropped").into()),
    }
}
