//! The tables for README.md: ratios first, because they are what counts.

use crate::number::{percent, thousands, times};
use crate::plan::{self, FOLDING_ROWS, LATENCY_THREADS, LOSS_THREADS, Part};
use crate::report::{loss_heading, rows};
use crate::results::Results;
use crate::roster::{COMPETITORS, Competitor, MCPLOG, PREDECESSOR};
use measure::{Offer, Task};
use std::fmt::Write;

/// All tables that the results are enough for.
pub(crate) fn markdown(results: &Results) -> String {
    let mut text = String::new();
    for threads in LATENCY_THREADS {
        latency(&mut text, results, threads);
    }
    loss(&mut text, results);
    others(&mut text, results);
    let machine = &results.machine;
    let _ = writeln!(text, "{}, {} processors, Linux {}.", machine.processor, machine.processors, machine.kernel);
    text
}

fn latency(text: &mut String, results: &Results, threads: u64) {
    let tasks: Vec<Task> = plan::latency_tasks(threads).collect();
    let Some(&first) = tasks.iter().find(|&&task| results.has(task)) else { return };
    let plural = if threads == 1 { "" } else { "s" };
    let _ = write!(text, "| `record`, {threads} thread{plural}: p50 / p99 |");
    for task in &tasks {
        if let Task::Latency { offer: Offer::Paced { rate_per_s, .. }, .. } = task {
            let _ = write!(text, " {}/s |", thousands(*rate_per_s));
        } else {
            text.push_str(" unpaced |");
        }
    }
    let _ = writeln!(text, "\n|---|{}", "---:|".repeat(tasks.len()));
    for competitor in rows(results, first) {
        let _ = write!(text, "| {} |", name(competitor));
        for &task in &tasks {
            let _ = write!(text, " {} |", latency_cell(results, competitor, task));
        }
        text.push('\n');
    }
    text.push('\n');
}

fn latency_cell(results: &Results, competitor: &Competitor, task: Task) -> String {
    match (results.latency(competitor.name, task), results.latency(MCPLOG, task)) {
        (Some(latency), Some(reference)) if !competitor.floor && competitor.name != MCPLOG => {
            let ratio = |one: u64, other: u64| times(one as f64 / other as f64);
            format!("{}x / {}x", ratio(latency.p50_ns, reference.p50_ns), ratio(latency.p99_ns, reference.p99_ns))
        }
        (Some(latency), _) => format!("{} / {} ns", thousands(latency.p50_ns), thousands(latency.p99_ns)),
        (None, _) => results.reason(competitor.name, task).unwrap_or("-").to_owned(),
    }
}

fn loss(text: &mut String, results: &Results) {
    let tasks: Vec<Task> = plan::loss_tasks().into_iter().filter(|&task| results.has(task)).collect();
    if tasks.is_empty() {
        return;
    }
    let _ = write!(text, "| events kept, {LOSS_THREADS} threads |");
    for &task in &tasks {
        let heading = loss_heading(task);
        let _ = write!(
            text,
            " {} |",
            heading.strip_suffix('!').map_or(heading.clone(), |events| format!("{events} at once"))
        );
    }
    let _ = writeln!(text, "\n|---|{}", "---:|".repeat(tasks.len()));
    for competitor in COMPETITORS.iter().filter(|competitor| !competitor.floor) {
        let _ = write!(text, "| {} |", name(competitor));
        for &task in &tasks {
            let kept = results.loss(competitor.name, task).map(|loss| percent(loss.kept()));
            let _ = write!(text, " {} |", kept.as_deref().or(results.reason(competitor.name, task)).unwrap_or("-"));
        }
        text.push('\n');
    }
    text.push('\n');
}

/// What only some of them do.
fn others(text: &mut String, results: &Results) {
    let mut table = String::new();
    let mut row = |what: &str, mcplog: String, other: String, whose: &str, ratio: f64| {
        let _ = writeln!(table, "| {what} | {mcplog} | {other} ({whose}) | {}x |", times(ratio));
    };
    let mut rate = |part: Part, what: &str, other: &str, whose: &str| {
        for task in part.tasks() {
            if let (Some(ours), Some(theirs)) = (results.rate_per_s(MCPLOG, task), results.rate_per_s(other, task)) {
                row(what, thousands(ours), thousands(theirs), whose, ours as f64 / theirs as f64);
            }
        }
    };
    let folding = format!("from the log into the database, {} rows, rows/s", thousands(FOLDING_ROWS));
    rate(Part::Folding, &folding, PREDECESSOR, "mcpr-integrations");
    rate(Part::Durable, "durable acknowledgements, 16 threads, per second", "okaywal", "okaywal");
    for task in Part::Queries.tasks() {
        let theirs = results.queries(PREDECESSOR, task).unwrap_or_default();
        for (query, ours_ms) in results.queries(MCPLOG, task).unwrap_or_default() {
            if let Some((_, theirs_ms)) = theirs.iter().find(|(name, _)| name == query) {
                let what = format!("{query}, at 2,000,000 rows, ms");
                let text = |time_ms: &f64| format!("{time_ms:.2}");
                row(&what, text(ours_ms), text(theirs_ms), "mcpr-integrations", theirs_ms / ours_ms);
            }
        }
    }
    if !table.is_empty() {
        let _ = writeln!(text, "| | mcplog | the other | mcplog is better by |\n|---|---:|---:|---:|\n{table}");
    }
}

fn name(competitor: &Competitor) -> String {
    match competitor.name {
        MCPLOG => format!("**{MCPLOG}**"),
        _ => competitor.label.trim().to_owned(),
    }
}
