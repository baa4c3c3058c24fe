//! Durable acknowledgements: every thread records one event, waits until it would survive a power cut, and goes on.

use crate::competitor::mcplog::request;
use crate::competitor::okaywal::OkayWal;
use mcplog::{Config, Store, SyncPolicy};
use measure::log::Failure;
use measure::workload::Texts;
use measure::{Event, Log, Outcome, Workload};
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);

/// Under [`SyncPolicy::Always`], acknowledged by [`Store::flush`].
pub(crate) fn mcplog(dir: &Path, threads: u64, for_ms: u64) -> Result<Outcome, Failure> {
    let mut config = Config::new(dir.join("data"));
    config.sync = SyncPolicy::Always;
    let store = Store::open(config)?;
    let outcome = acknowledged(threads, for_ms, || {
        let (recorder, store) = (store.recorder(), &store);
        move |event: &Event<'_>| {
            recorder.record(request(event));
            store.flush(PATIENCE).map_err(Failure::from)
        }
    });
    store.shutdown(PATIENCE);
    outcome
}

/// Its commit.
pub(crate) fn okaywal(dir: &Path, threads: u64, for_ms: u64) -> Result<Outcome, Failure> {
    let log = OkayWal::open(dir)?;
    acknowledged(threads, for_ms, || {
        let mut writer = log.handle();
        move |event: &Event<'_>| writer.commit(event).map_err(Failure::from)
    })
}

fn acknowledged<C>(threads: u64, for_ms: u64, new_commit: impl Fn() -> C) -> Result<Outcome, Failure>
where
    C: FnMut(&Event<'_>) -> Result<(), Failure> + Send,
{
    let workload = Workload::default();
    let gate = Barrier::new(threads as usize);
    let start = Instant::now();
    let commits = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|first| {
                let (workload, gate, mut commit) = (&workload, &gate, new_commit());
                scope.spawn(move || {
                    gate.wait();
                    let end = Instant::now() + Duration::from_millis(for_ms);
                    let mut commits = 0;
                    while Instant::now() < end {
                        let mut texts = Texts::new();
                        commit(&workload.event(first + commits * threads, &mut texts))?;
                        commits += 1;
                    }
                    Ok::<u64, Failure>(commits)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a measuring thread panicked")).sum::<Result<u64, _>>()
    })?;
    Ok(Outcome::Durable { commits, took_s: start.elapsed().as_secs_f64() })
}
