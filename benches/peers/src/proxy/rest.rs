//! A proxy that nobody talks to: what it costs all the same.
//!
//! Looks from outside, at what the kernel counts for each thread of the process, so that nothing of the measuring is
//! in it.

use super::way::Way;
use measure::log::Failure;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long it is left alone before: the last requests are folded then, and connections are closed.
const SETTLE: Duration = Duration::from_secs(5);
const WATCH: Duration = Duration::from_secs(20);

/// A process while nothing happened.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AtRest {
    way: Way,
    /// Of one processor, by the name of the thread; those of one name together.
    percent: BTreeMap<String, f64>,
    /// Resident, all of it: the channel that was gone through in the runs before is in it, once.
    resident_kib: u64,
    /// Of that, pages of files, which the kernel takes back when it needs them: the program itself, and the mapped segments.
    #[serde(default)]
    file_kib: u64,
}

/// Watches those processes at once, after leaving them alone for a while.
pub(super) fn watch(processes: &[(Way, u32)]) -> Result<Vec<AtRest>, Failure> {
    sleep(SETTLE);
    let before = processes.iter().map(|(_, id)| busy_ns(*id)).collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    sleep(WATCH);
    let watched_ns = start.elapsed().as_nanos() as f64;
    let mut at_rest = Vec::new();
    for ((way, id), before) in processes.iter().zip(before) {
        let percent = busy_ns(*id)?.into_iter().map(|(name, after)| {
            let busy_ns = after.saturating_sub(before.get(&name).copied().unwrap_or(0));
            (name, busy_ns as f64 * 100.0 / watched_ns)
        });
        let (resident_kib, file_kib) = (status_kib(*id, "VmRSS:")?, status_kib(*id, "RssFile:")?);
        at_rest.push(AtRest { way: *way, percent: percent.collect(), resident_kib, file_kib });
    }
    Ok(at_rest)
}

/// The table; nothing if nobody was watched.
pub(crate) fn report(at_rest: &[AtRest]) -> String {
    let mut text = String::new();
    for AtRest { way, percent, resident_kib, file_kib } in at_rest {
        let all: f64 = percent.values().sum();
        let _ = writeln!(
            text,
            "\n{}, at rest: {all:.2} % of a processor, {} MiB resident, {} of them of files",
            way.label(),
            resident_kib >> 10,
            file_kib >> 10
        );
        // What rounds to nothing says nothing.
        for (name, percent) in percent.iter().filter(|(_, percent)| **percent >= 0.005) {
            let _ = writeln!(text, "  {name:<34} {percent:>11.2} %");
        }
    }
    text
}

/// How long each thread of a process has been on a processor, by its name.
fn busy_ns(process: u32) -> Result<BTreeMap<String, u64>, Failure> {
    let mut threads = BTreeMap::new();
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let task = task?.path();
        let read = |name: &str| std::fs::read_to_string(task.join(name));
        // A thread that has ended meanwhile counts no more.
        let (Ok(name), Ok(counted)) = (read("comm"), read("schedstat")) else { continue };
        let busy_ns: u64 = counted.split(' ').next().unwrap_or_default().parse()?;
        *threads.entry(name.trim().to_owned()).or_default() += busy_ns;
    }
    Ok(threads)
}

/// What the kernel says of a process's memory.
fn status_kib(process: u32, name: &str) -> Result<u64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or_else(|| format!("no {name}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
