//! The table of what the proxies cost under load.

use super::run::{LOADS, ProxyRun};
use super::way::Way;
use super::wrk::Measured;
use crate::number::{percent, thousands, times};
use std::fmt::Write;

/// The table of all runs; nothing if there are none.
pub(crate) fn report(runs: &[ProxyRun]) -> String {
    let mut text = String::new();
    for load in LOADS {
        let of = |way: Way| {
            Measured::median(runs.iter().filter(|run| run.way == way && run.load == load).map(|run| run.measured))
        };
        let (Some(direct), Some(silent)) = (of(Way::Direct), of(Way::Silent)) else { continue };
        let answer = if load.sse { "event stream" } else { "JSON" };
        let plural = if load.connections == 1 { "" } else { "s" };
        let title = format!("tools/call, {answer}, {} connection{plural}", load.connections);
        let _ = writeln!(
            text,
            "\n{title:<36} {:>11} {:>11} {:>9} {:>9} {:>9} {:>6}",
            "requests/s", "of not rec.", "p50 us", "added", "p99 us", "failed"
        );
        for way in Way::ALL {
            let Some(measured) = of(way) else { continue };
            let _ = writeln!(
                text,
                "{:<36} {:>11} {:>11} {:>9} {:>9} {:>9} {:>6}",
                way.label(),
                thousands(measured.requests_per_s),
                share(measured.requests_per_s, silent.requests_per_s),
                thousands(measured.p50_us),
                thousands(measured.p50_us.saturating_sub(direct.p50_us)),
                thousands(measured.p99_us),
                measured.failed
            );
        }
    }
    text
}

fn share(rate: u64, reference: u64) -> String {
    let share = rate as f64 / reference.max(1) as f64;
    if share > 1.0 { format!("{}x", times(share)) } else { percent(share) }
}
