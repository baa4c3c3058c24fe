//! Many trials, several at a time, and what they amount to.

use crate::case::Recordings;
use crate::python_reader::PythonReader;
use crate::trial::Trial;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many trials run at once: some of a trial is waiting, for threads and for the disk.
const WORKERS: usize = 4;
/// How many trials with disagreements are shown whole; the rest is counted.
const SHOWN_MAX: usize = 40;

/// What trials amount to.
#[derive(Debug, Default)]
pub struct Run {
    /// How many logs were tried.
    pub logs: u64,
    /// How many of them nothing was done to.
    pub honest: u64,
    /// For each kind of damage: in how many logs, and in how many of these somebody disagreed.
    kinds: BTreeMap<&'static str, [u64; 2]>,
    /// For each rule that was broken, the seeds.
    rules: BTreeMap<&'static str, Vec<u64>>,
    /// The trials with disagreements, by seed.
    pub bad: Vec<Trial>,
}

impl Run {
    /// Tries the logs with these seeds; goes on where some disagree. `None` where there is no Python.
    ///
    /// # Panics
    /// The system refuses, or somebody panics who was asked.
    pub fn of(seeds: Range<u64>) -> Option<Self> {
        PythonReader::start()?;
        let recordings = Recordings::default();
        let next = AtomicU64::new(seeds.start);
        let run = Mutex::new(Self::default());
        let work = || {
            let mut python = PythonReader::start().expect("Python");
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    break;
                }
                let trial = Trial::of(seed, &recordings, &mut python);
                run.lock().unwrap_or_else(PoisonError::into_inner).add(trial);
            }
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
            for worker in workers {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            }
        });
        let mut run = run.into_inner().unwrap_or_else(PoisonError::into_inner);
        run.bad.sort_by_key(|trial| trial.case.seed);
        Some(run)
    }

    fn add(&mut self, trial: Trial) {
        self.logs += 1;
        self.honest += u64::from(trial.case.damages.is_empty());
        let is_bad = !trial.disagreements.is_empty();
        for damage in &trial.case.damages {
            let [logs, bad] = self.kinds.entry(damage.kind.name).or_default();
            *logs += 1;
            *bad += u64::from(is_bad);
        }
        for disagreement in &trial.disagreements {
            let seeds = self.rules.entry(disagreement.rule).or_default();
            if seeds.last() != Some(&trial.case.seed) {
                seeds.push(trial.case.seed);
            }
        }
        if is_bad {
            if self.bad.len() < SHOWN_MAX {
                println!("{trial}");
            } else if let Some(kept) = &trial.kept {
                let _ = std::fs::remove_dir_all(kept);
            }
            self.bad.push(trial);
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} logs, {} of them honest, {} with disagreements", self.logs, self.honest, self.bad.len())?;
        for (rule, seeds) in &self.rules {
            let mut seeds = seeds.clone();
            seeds.sort_unstable();
            let shown: Vec<_> = seeds.iter().take(12).map(u64::to_string).collect();
            writeln!(f, "  {:>6}  {rule}: seeds {}", seeds.len(), shown.join(", "))?;
        }
        writeln!(f, "  of logs with that damage, somebody disagreed in:")?;
        for (kind, [logs, bad]) in &self.kinds {
            writeln!(f, "  {bad:>6} of {logs:>6}  {kind}")?;
        }
        Ok(())
    }
}
