//! Who takes part, and in what.

use crate::competitor::{
    encoding, mcplog, memory, mrecordlog, non_blocking, nothing, okaywal, raft_engine, tracing_appender, walrus,
    write_call,
};
use crate::{durable, folding, plan, queries};
use measure::log::Failure;
use measure::{Job, Outcome, Task, job};

/// The name of what everything is compared with.
pub(crate) const MCPLOG: &str = "mcplog";
/// The name of the floor that every latency includes.
pub(crate) const TIMER: &str = "timer";
/// The only one that is measured by another program.
pub(crate) const PREDECESSOR: &str = "predecessor";

/// One who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Competitor {
    /// As in jobs and results.
    pub(crate) name: &'static str,
    /// As in tables.
    pub(crate) label: &'static str,
    /// Stores nothing: a bound for what could be reached.
    pub(crate) floor: bool,
}

/// In the order of the tables.
pub(crate) const COMPETITORS: [Competitor; 12] = [
    floor(TIMER, "(timer alone)"),
    floor("memcpy", "(memcpy to a map)"),
    floor("encode", "(encode + CRC)"),
    competitor(MCPLOG, "mcplog"),
    competitor(PREDECESSOR, "mcpr-integrations"),
    competitor("tracing-appender", "tracing-appender"),
    competitor("non-blocking", "  bare non_blocking"),
    competitor("write", "mutex + write(2)"),
    competitor("walrus", "walrus-rust"),
    competitor("raft-engine", "raft-engine"),
    competitor("mrecordlog", "mrecordlog"),
    competitor("okaywal", "okaywal (synced)"),
];

const fn competitor(name: &'static str, label: &'static str) -> Competitor {
    Competitor { name, label, floor: false }
}

const fn floor(name: &'static str, label: &'static str) -> Competitor {
    Competitor { name, label, floor: true }
}

/// Whether that one has anything to show for the task. Whoever has should be in its table, even if it fails.
pub(crate) fn takes_part(competitor: &Competitor, task: Task) -> bool {
    match task {
        // Memory and encoding don't change with the number of threads.
        Task::Latency { threads, .. } => !competitor.floor || threads == 1 || competitor.name == TIMER,
        // Ten seconds of a million events each are asked of mcplog alone.
        plan::LONG_LOSS => competitor.name == MCPLOG,
        Task::Loss { .. } => !competitor.floor,
        Task::Folding { .. } | Task::Queries { .. } => matches!(competitor.name, MCPLOG | PREDECESSOR),
        Task::Durable { .. } => matches!(competitor.name, MCPLOG | "okaywal"),
    }
}

/// Does the job in this process.
pub(crate) fn run(job: &Job) -> Result<Outcome, Failure> {
    match (job.competitor.as_str(), job.task) {
        (MCPLOG, Task::Folding { rows }) => folding::mcplog(&job.dir, rows),
        (MCPLOG, Task::Queries { rows }) => queries::mcplog(&job.dir, rows),
        (MCPLOG, Task::Durable { threads, for_ms }) => durable::mcplog(&job.dir, threads, for_ms),
        ("okaywal", Task::Durable { threads, for_ms }) => durable::okaywal(&job.dir, threads, for_ms),
        (MCPLOG, _) => job::run::<mcplog::Mcplog>(job),
        (TIMER, _) => job::run::<nothing::Nothing>(job),
        ("memcpy", _) => job::run::<memory::Memory>(job),
        ("encode", _) => job::run::<encoding::Encoding>(job),
        ("tracing-appender", _) => job::run::<tracing_appender::TracingAppender>(job),
        ("non-blocking", _) => job::run::<non_blocking::NonBlockingBytes>(job),
        ("write", _) => job::run::<write_call::WriteCall>(job),
        ("walrus", _) => job::run::<walrus::WalrusLog>(job),
        ("raft-engine", _) => job::run::<raft_engine::RaftEngine>(job),
        ("mrecordlog", _) => job::run::<mrecordlog::RecordLog>(job),
        ("okaywal", _) => job::run::<okaywal::OkayWal>(job),
        (other, _) => Err(format!("no competitor is called {other}").into()),
    }
}
