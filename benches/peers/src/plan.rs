//! What is measured, in which order, and for how long.

use clap::ValueEnum;
use measure::{Offer, Task};

/// A part of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// How long handing an event over takes.
    Latency,
    /// How many of the offered events are kept.
    Loss,
    /// Rows per second into the database.
    Folding,
    /// Durable acknowledgements per second.
    Durable,
    /// Queries on a large database.
    Queries,
}

/// Events per second at which latency is measured.
pub(crate) const LATENCY_RATES: [u64; 3] = [1_000, 10_000, 100_000];
/// From how many threads.
pub(crate) const LATENCY_THREADS: [u64; 2] = [1, 4];
/// Events per second at which loss is measured.
pub(crate) const LOSS_RATES: [u64; 6] = [10_000, 50_000, 100_000, 200_000, 500_000, 1_000_000];
/// Bursts at which loss is measured.
pub(crate) const LOSS_BURSTS: [u64; 2] = [200_000, 500_000];
/// From how many threads.
pub(crate) const LOSS_THREADS: u64 = 2;
/// Rows for the folding rate.
pub(crate) const FOLDING_ROWS: u64 = 1_000_000;
/// Rows for the queries.
pub(crate) const QUERIES_ROWS: u64 = 2_000_000;
/// Threads that wait for durable acknowledgements.
pub(crate) const DURABLE_THREADS: u64 = 16;

/// The long run that only mcplog has to pass.
pub(crate) const LONG_LOSS: Task =
    Task::Loss { threads: LOSS_THREADS, offer: Offer::Paced { rate_per_s: 1_000_000, for_ms: 10_000 } };

impl Part {
    /// All, in the order of the report.
    pub(crate) const ALL: [Self; 5] = [Self::Latency, Self::Loss, Self::Folding, Self::Durable, Self::Queries];

    /// How often its measurements are repeated.
    pub(crate) fn rounds(self, wanted: u32) -> u32 {
        match self {
            Self::Latency | Self::Durable => wanted,
            // What is kept differs little between runs, and these take long.
            Self::Loss | Self::Folding | Self::Queries => 1,
        }
    }

    /// Its measurements; each is made of every competitor before the next one comes.
    pub(crate) fn tasks(self) -> Vec<Task> {
        match self {
            Self::Latency => LATENCY_THREADS.iter().flat_map(|&threads| latency_tasks(threads)).collect(),
            Self::Loss => loss_tasks(),
            Self::Folding => vec![Task::Folding { rows: FOLDING_ROWS }],
            Self::Durable => vec![Task::Durable { threads: DURABLE_THREADS, for_ms: 3_000 }],
            Self::Queries => vec![Task::Queries { rows: QUERIES_ROWS }],
        }
    }
}

pub(crate) fn latency_tasks(threads: u64) -> impl Iterator<Item = Task> {
    let paced = LATENCY_RATES.into_iter().map(|rate_per_s| Offer::Paced { rate_per_s, for_ms: 1_000 });
    let unpaced = Offer::Burst { events: 200_000, for_ms: 500 };
    paced.chain([unpaced]).map(move |offer| Task::Latency { threads, offer })
}

pub(crate) fn loss_tasks() -> Vec<Task> {
    let paced = LOSS_RATES.into_iter().map(|rate_per_s| Offer::Paced { rate_per_s, for_ms: 2_000 });
    let bursts = LOSS_BURSTS.into_iter().map(|events| Offer::Burst { events, for_ms: 1_000 });
    let tasks = paced.chain(bursts).map(|offer| Task::Loss { threads: LOSS_THREADS, offer });
    tasks.chain([LONG_LOSS]).collect()
}
