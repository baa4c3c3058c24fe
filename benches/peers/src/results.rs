//! What was measured: a list of runs, kept as JSON. Tables and plots are made from it and nothing else.

use crate::proxy::{AtRest, ProxyRun};
use measure::latency::Latency;
use measure::log::Failure;
use measure::loss::Loss;
use measure::{Outcome, Task};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// All runs.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    /// Where and when the last of them was made.
    pub(crate) machine: Machine,
    /// In the order in which they were made.
    pub(crate) runs: Vec<Run>,
    /// Those of the proxies.
    #[serde(default)]
    pub(crate) proxy: Vec<ProxyRun>,
    /// The proxies with nothing to do, when they were last watched.
    #[serde(default)]
    pub(crate) at_rest: Vec<AtRest>,
}

/// What ratios don't depend on, and absolute numbers do.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// As the kernel names it.
    pub(crate) processor: String,
    /// How many there are.
    pub(crate) processors: usize,
    /// Its release.
    pub(crate) kernel: String,
}

/// One measurement of one competitor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) competitor: String,
    pub(crate) task: Task,
    pub(crate) outcome: Outcome,
}

impl Results {
    /// Those of a file; none if it does not exist.
    ///
    /// # Errors
    /// It can't be read.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// # Errors
    /// It can't be written.
    pub(crate) fn save(&self, path: &Path) -> Result<(), Failure> {
        Ok(std::fs::write(path, serde_json::to_string_pretty(self)? + "\n")?)
    }

    fn outcomes(&self, competitor: &str, task: Task) -> impl Iterator<Item = &Outcome> {
        self.runs.iter().filter(move |run| run.competitor == competitor && run.task == task).map(|run| &run.outcome)
    }

    /// Whether anything is known of that task.
    pub(crate) fn has(&self, task: Task) -> bool {
        self.runs.iter().any(|run| run.task == task)
    }

    /// Why the competitor has nothing to show.
    pub(crate) fn reason(&self, competitor: &str, task: Task) -> Option<&str> {
        self.outcomes(competitor, task).find_map(|outcome| match outcome {
            Outcome::Failed { reason } => Some(reason.as_str()),
            _ => None,
        })
    }

    /// The median of each number over the rounds; what was lost is added up over them.
    pub(crate) fn latency(&self, competitor: &str, task: Task) -> Option<Latency> {
        let runs: Vec<Latency> = self
            .outcomes(competitor, task)
            .filter_map(|outcome| if let Outcome::Latency(latency) = outcome { Some(*latency) } else { None })
            .collect();
        let median_of = |number: fn(&Latency) -> u64| median(runs.iter().map(number).collect());
        Some(Latency {
            p50_ns: median_of(|run| run.p50_ns)?,
            p99_ns: median_of(|run| run.p99_ns)?,
            p999_ns: median_of(|run| run.p999_ns)?,
            max_ns: median_of(|run| run.max_ns)?,
            offered: runs.iter().map(|run| run.offered).sum(),
            handed: runs.iter().map(|run| run.handed).sum(),
            stored: runs.iter().map(|run| run.stored).sum(),
        })
    }

    /// The run that kept least.
    pub(crate) fn loss(&self, competitor: &str, task: Task) -> Option<Loss> {
        self.outcomes(competitor, task)
            .filter_map(|outcome| if let Outcome::Loss(loss) = outcome { Some(*loss) } else { None })
            .min_by_key(|loss| loss.stored)
    }

    /// The median rate: rows or commits per second.
    pub(crate) fn rate_per_s(&self, competitor: &str, task: Task) -> Option<u64> {
        median(
            self.outcomes(competitor, task)
                .filter_map(|outcome| match outcome {
                    Outcome::Folding { rows, took_s } => Some((*rows as f64 / took_s) as u64),
                    Outcome::Durable { commits, took_s } => Some((*commits as f64 / took_s) as u64),
                    _ => None,
                })
                .collect(),
        )
    }

    /// Milliseconds of each query, by name, of the last run.
    pub(crate) fn queries(&self, competitor: &str, task: Task) -> Option<&[(String, f64)]> {
        self.outcomes(competitor, task)
            .filter_map(|outcome| if let Outcome::Queries(times) = outcome { Some(times.as_slice()) } else { None })
            .last()
    }
}

impl Machine {
    /// This one.
    pub(crate) fn this() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            processor: model.map_or("an unknown processor", |(_, name)| name).to_owned(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

fn median(mut numbers: Vec<u64>) -> Option<u64> {
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use measure::Offer;

    #[test]
    fn numbers_are_medians_over_the_rounds_and_losses_add_up() {
        let task = Task::Latency { threads: 1, offer: Offer::Burst { events: 10, for_ms: 1 } };
        let run = |p50_ns, stored| Run {
            competitor: "one".into(),
            task,
            outcome: Outcome::Latency(Latency {
                p50_ns,
                p99_ns: 2 * p50_ns,
                p999_ns: 3 * p50_ns,
                max_ns: 4 * p50_ns,
                offered: 10,
                handed: 10,
                stored: Some(stored),
            }),
        };
        let results = Results { runs: vec![run(30, 10), run(10, 7), run(20, 10)], ..Results::default() };
        let latency = results.latency("one", task).expect("there are runs");
        assert_eq!((latency.p50_ns, latency.p99_ns, latency.max_ns), (20, 40, 80));
        assert_eq!((latency.offered, latency.stored), (30, Some(27)));
        assert!(results.latency("another", task).is_none());
    }
}
