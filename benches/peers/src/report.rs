//! The table for a terminal of 100 columns.

use crate::number::{percent, thousands, times};
use crate::plan::{self, Part};
use crate::proxy;
use crate::results::Results;
use crate::roster::{self, COMPETITORS, Competitor, MCPLOG, TIMER};
use measure::{Offer, Task};
use std::fmt::Write;

const LABEL: usize = 19;

/// Everything that was measured.
pub(crate) fn report(results: &Results) -> String {
    let mut text = String::new();
    let machine = &results.machine;
    let _ = writeln!(text, "{}, {} processors, Linux {}", machine.processor, machine.processors, machine.kernel);
    let _ = writeln!(text, "\"x\" is how many times mcplog's number it is. Compare ratios, not absolute times.");
    for part in Part::ALL {
        match part {
            Part::Latency => part.tasks().into_iter().for_each(|task| latency(&mut text, results, task)),
            Part::Loss => loss(&mut text, results),
            Part::Folding => {
                rates(&mut text, results, part, "From the log into the database, 1,000,000 rows", "rows/s")
            }
            Part::Durable => rates(&mut text, results, part, "Durable acknowledgements, 16 threads", "per second"),
            Part::Queries => queries(&mut text, results),
        }
    }
    text + &proxy::report(&results.proxy) + &proxy::report_at_rest(&results.at_rest)
}

/// Those who take part in the task, if it was measured at all.
pub(crate) fn rows(results: &Results, task: Task) -> impl Iterator<Item = &'static Competitor> {
    let measured = results.has(task);
    COMPETITORS.iter().filter(move |competitor| measured && roster::takes_part(competitor, task))
}

/// How the events of a task come, in words.
pub(crate) fn manner(offer: Offer) -> String {
    match offer {
        Offer::Paced { rate_per_s, .. } => format!("{}/s", thousands(rate_per_s)),
        Offer::Burst { .. } => "as fast as they are taken".into(),
    }
}

fn latency(text: &mut String, results: &Results, task: Task) {
    let Task::Latency { threads, offer } = task else { return };
    if !results.has(task) {
        return;
    }
    let floor = results.latency(TIMER, task).map_or(0, |floor| floor.p50_ns);
    let reference = results.latency(MCPLOG, task);
    let plural = if threads == 1 { "" } else { "s" };
    let _ = writeln!(
        text,
        "\n{:<LABEL$} {:>8} {:>8} {:>9} {:>9} {:>11} {:>7} {:>6} {:>6}",
        "Latency, ns", "p50", "p50 net", "p99", "p99.9", "max", "kept", "x p50", "x p99"
    );
    let _ = writeln!(text, "{threads} thread{plural}, {}", manner(offer));
    for competitor in rows(results, task) {
        let Some(latency) = results.latency(competitor.name, task) else {
            missing(text, results, competitor, task);
            continue;
        };
        let kept = latency.stored.map_or("-".into(), |stored| percent(stored as f64 / latency.offered as f64));
        let ratio = |number: fn(&measure::latency::Latency) -> u64| {
            reference
                .filter(|_| !competitor.floor)
                .map_or("-".into(), |reference| times(number(&latency) as f64 / number(&reference) as f64))
        };
        let _ = writeln!(
            text,
            "{:<LABEL$} {:>8} {:>8} {:>9} {:>9} {:>11} {kept:>7} {:>6} {:>6}",
            competitor.label,
            thousands(latency.p50_ns),
            thousands(latency.p50_ns.saturating_sub(floor)),
            thousands(latency.p99_ns),
            thousands(latency.p999_ns),
            thousands(latency.max_ns),
            ratio(|latency| latency.p50_ns),
            ratio(|latency| latency.p99_ns),
        );
    }
}

fn loss(text: &mut String, results: &Results) {
    let tasks: Vec<Task> = plan::loss_tasks().into_iter().filter(|&task| results.has(task)).collect();
    if tasks.is_empty() {
        return;
    }
    let _ = write!(text, "\n{:<LABEL$}", "Kept, 2 threads");
    for &task in &tasks {
        let _ = write!(text, " {:>8}", loss_heading(task));
    }
    text.push('\n');
    for competitor in COMPETITORS.iter().filter(|competitor| !competitor.floor) {
        let _ = write!(text, "{:<LABEL$}", competitor.label);
        for &task in &tasks {
            let kept = match results.loss(competitor.name, task) {
                Some(loss) => percent(loss.kept()),
                None if results.reason(competitor.name, task).is_some() => "failed".into(),
                None => "-".into(),
            };
            let _ = write!(text, " {kept:>8}");
        }
        text.push('\n');
        if let Some(reason) = tasks.iter().find_map(|&task| results.reason(competitor.name, task)) {
            let _ = writeln!(text, "{:<LABEL$} failed: {reason}", "");
        }
    }
}

pub(crate) fn loss_heading(task: Task) -> String {
    let short = |number: u64| match number {
        1_000_000.. => format!("{}M", number / 1_000_000),
        _ => format!("{}k", number / 1_000),
    };
    match task {
        plan::LONG_LOSS => "1M/s 10s".into(),
        Task::Loss { offer: Offer::Paced { rate_per_s, .. }, .. } => format!("{}/s", short(rate_per_s)),
        Task::Loss { offer: Offer::Burst { events, .. }, .. } => format!("{}!", short(events)),
        _ => String::new(),
    }
}

fn rates(text: &mut String, results: &Results, part: Part, title: &str, unit: &str) {
    for task in part.tasks().into_iter().filter(|&task| results.has(task)) {
        let reference = results.rate_per_s(MCPLOG, task);
        let _ = writeln!(text, "\n{title:<50} {unit:>12} {:>8}", "x");
        for competitor in rows(results, task) {
            let Some(rate) = results.rate_per_s(competitor.name, task) else {
                missing(text, results, competitor, task);
                continue;
            };
            let ratio = reference.map_or("-".into(), |reference| times(rate as f64 / reference as f64));
            let _ = writeln!(text, "{:<50} {:>12} {ratio:>8}", competitor.label, thousands(rate));
        }
    }
}

fn queries(text: &mut String, results: &Results) {
    for task in Part::Queries.tasks() {
        let Some(reference) = results.queries(MCPLOG, task) else { continue };
        let _ = write!(text, "\n{:<28}", "Queries at 2,000,000 rows, ms");
        for competitor in rows(results, task) {
            let _ = write!(text, " {:>19}", competitor.label);
        }
        text.push('\n');
        for (name, _) in reference {
            let _ = write!(text, "{name:<28}");
            for competitor in rows(results, task) {
                let times = results.queries(competitor.name, task).unwrap_or_default();
                let time = times.iter().find(|(found, _)| found == name).map(|(_, time_ms)| format!("{time_ms:.2}"));
                let _ = write!(text, " {:>19}", time.unwrap_or_else(|| "-".into()));
            }
            text.push('\n');
        }
        for competitor in rows(results, task) {
            if results.queries(competitor.name, task).is_none() {
                missing(text, results, competitor, task);
            }
        }
    }
}

fn missing(text: &mut String, results: &Results, competitor: &Competitor, task: Task) {
    let reason = results.reason(competitor.name, task).unwrap_or("not measured");
    let _ = writeln!(text, "{:<LABEL$} {reason}", competitor.label);
}
