//! Many trials, on as many threads as there are processors, and what they amount to.

use crate::trial::Trial;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many trials with disagreements are shown whole; the rest is counted.
const SHOWN_MAX: usize = 10;

/// What trials amount to.
#[derive(Debug, Default)]
pub struct Run {
    /// How many scripts were played.
    pub scripts: u64,
    /// How many exchanges they had.
    pub exchanges: usize,
    /// How the calls ended, and how many of each.
    pub ends: BTreeMap<String, usize>,
    /// The trials with disagreements, by seed.
    pub bad: Vec<Trial>,
}

impl Run {
    /// Tries the scripts with these seeds; goes on where some disagree.
    pub fn of(seeds: Range<u64>) -> Self {
        let next = AtomicU64::new(seeds.start);
        let run = Mutex::new(Self::default());
        let work = || loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let trial = Trial::of(seed);
            let mut run = run.lock();
            run.scripts += 1;
            run.exchanges += trial.exchanges;
            for (end, count) in &trial.ends {
                *run.ends.entry(end.clone()).or_default() += count;
            }
            if !trial.disagreements.is_empty() {
                run.bad.push(trial);
            }
        };
        std::thread::scope(|scope| {
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            (0..threads).for_each(|_| drop(scope.spawn(work)));
        });
        let mut run = run.into_inner();
        run.bad.sort_by_key(|trial| trial.seed);
        run
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bad.iter().take(SHOWN_MAX).try_for_each(|trial| writeln!(f, "{trial}"))?;
        let (scripts, exchanges, bad) = (self.scripts, self.exchanges, self.bad.len());
        writeln!(f, "{scripts} scripts with {exchanges} exchanges, {bad} with disagreements")?;
        self.ends.iter().try_for_each(|(end, count)| writeln!(f, "{count:>9}  {end}"))?;
        let seeds: Vec<_> = self.bad.iter().take(40).map(|trial| trial.seed.to_string()).collect();
        if seeds.is_empty() { Ok(()) } else { writeln!(f, "  seeds {}", seeds.join(", ")) }
    }
}
