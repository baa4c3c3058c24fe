//! What a child process is told to measure, and what it answers: one line of JSON each way.

use crate::log::{Failure, Log};
use crate::offer::Offer;
use crate::{latency, loss};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One measurement of one competitor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Its name.
    pub competitor: String,
    /// An empty directory.
    pub dir: PathBuf,
    /// What to measure.
    pub task: Task,
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// How long handing an event over takes.
    Latency {
        /// How many threads hand over.
        threads: u64,
        /// How the events come.
        offer: Offer,
    },
    /// How many of the offered events are stored.
    Loss {
        /// How many threads hand over.
        threads: u64,
        /// How the events come.
        offer: Offer,
    },
    /// How fast rows get into the database.
    Folding {
        /// How many.
        rows: u64,
    },
    /// How many durable acknowledgements per second.
    Durable {
        /// How many threads wait for theirs.
        threads: u64,
        /// For how long.
        for_ms: u64,
    },
    /// How long queries take.
    Queries {
        /// How many requests the database holds.
        rows: u64,
    },
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Of [`Task::Latency`].
    Latency(latency::Latency),
    /// Of [`Task::Loss`].
    Loss(loss::Loss),
    /// Of [`Task::Folding`].
    Folding {
        /// Rows. Fewer than asked for if they would have taken too long.
        rows: u64,
        /// In how many seconds.
        took_s: f64,
    },
    /// Of [`Task::Durable`].
    Durable {
        /// Acknowledgements.
        commits: u64,
        /// In how many seconds.
        took_s: f64,
    },
    /// Of [`Task::Queries`]: milliseconds of each, by name.
    Queries(Vec<(String, f64)>),
    /// It could not be measured.
    Failed {
        /// Why.
        reason: String,
    },
}

/// The job that this process was started with as its only argument after `child`.
///
/// # Errors
/// That is no job.
pub fn from_arguments() -> Result<Option<Job>, Failure> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next() {
        Some(first) if first == "child" => Ok(Some(serde_json::from_str(&arguments.next().unwrap_or_default())?)),
        _ => Ok(None),
    }
}

/// Tells the parent.
pub fn answer(outcome: Result<Outcome, Failure>) {
    let outcome = outcome.unwrap_or_else(|failure| Outcome::Failed { reason: failure.to_string() });
    println!("{}", serde_json::to_string(&outcome).expect("numbers and names are JSON"));
}

/// The tasks that every log can do.
///
/// # Errors
/// The log failed, or it can't do that.
pub fn run<L: Log>(job: &Job) -> Result<Outcome, Failure> {
    let log = L::open(&job.dir)?;
    match job.task {
        Task::Latency { threads, offer } => latency::measure(log, threads, offer).map(Outcome::Latency),
        Task::Loss { threads, offer } => loss::measure(log, threads, offer).map(Outcome::Loss),
        Task::Folding { .. } | Task::Durable { .. } | Task::Queries { .. } => Err("not what it is for".into()),
    }
}
