//! What is drawn: latency against offered rate, and what is kept against offered rate.

use super::chart::{Chart, Line, Panel, Scale, Tick};
use crate::plan::{self, LATENCY_RATES};
use crate::results::Results;
use crate::roster::{COMPETITORS, MCPLOG, TIMER};
use measure::latency::Latency;
use measure::log::Failure;
use measure::{Offer, Task};
use std::path::Path;

/// One for each competitor, in the order of [`COMPETITORS`]; dark enough for a white ground.
const COLOURS: [&str; 12] = [
    "#8c959f", "#8c959f", "#8c959f", "#0550ae", "#bc4c00", "#8250df", "#a475f9", "#57606a", "#1a7f37", "#9a6700",
    "#bf3989", "#0f7b8a",
];

/// Writes `latency.svg` and `loss.svg` into `dir`.
///
/// # Errors
/// A part was not measured, or a file can't be written.
pub(crate) fn plot(results: &Results, dir: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join("latency.svg"), latency(results)?.svg())?;
    std::fs::write(dir.join("loss.svg"), loss(results)?.svg())?;
    Ok(())
}

fn latency(results: &Results) -> Result<Chart, Failure> {
    let panel = |title, number: fn(&Latency) -> u64| {
        let tasks: Vec<Task> = plan::latency_tasks(1).collect();
        // The burst has no rate; it is drawn one decade behind the last.
        let places = LATENCY_RATES.iter().map(|&rate| rate as f64).chain([1e6]);
        Panel {
            title,
            x: Scale::Logarithmic { from: 1e3, to: 1e6 },
            x_ticks: vec![tick(1e3, "1,000/s"), tick(1e4, "10,000/s"), tick(1e5, "100,000/s"), tick(1e6, "unpaced")],
            y: Scale::Logarithmic { from: 10.0, to: 1e6 },
            y_ticks: vec![
                tick(10.0, "10 ns"),
                tick(100.0, "100 ns"),
                tick(1e3, "1 µs"),
                tick(1e4, "10 µs"),
                tick(1e5, "100 µs"),
                tick(1e6, "1 ms"),
            ],
            lines: lines(places.zip(tasks).collect(), |competitor, task| {
                results.latency(competitor, task).map(|latency| number(&latency) as f64)
            }),
        }
    };
    let chart = Chart {
        title: "Handing one event over, from one thread",
        subtitle: "The clock's own time is included. Lower is better; both scales are logarithmic.",
        panels: vec![
            panel("median, against the offered rate", |latency| latency.p50_ns),
            panel("99th percentile, against the offered rate", |latency| latency.p99_ns),
        ],
    };
    chart.complete("latency")
}

fn loss(results: &Results) -> Result<Chart, Failure> {
    let tasks: Vec<(f64, Task)> = plan::loss_tasks()
        .into_iter()
        .filter_map(|task| match task {
            plan::LONG_LOSS => None,
            Task::Loss { offer: Offer::Paced { rate_per_s, .. }, .. } => Some((rate_per_s as f64, task)),
            _ => None,
        })
        .collect();
    let chart = Chart {
        title: "Events kept, of those offered by two threads for two seconds",
        subtitle: "Those that hold their caller up keep what they could take in that time. Higher is better.",
        panels: vec![Panel {
            title: "share kept, against the offered rate",
            x: Scale::Logarithmic { from: 1e4, to: 1e6 },
            x_ticks: vec![
                tick(1e4, "10,000/s"),
                tick(5e4, "50,000/s"),
                tick(1e5, "100,000/s"),
                tick(2e5, "200,000/s"),
                tick(5e5, "500,000/s"),
                tick(1e6, "1,000,000/s"),
            ],
            y: Scale::Linear { from: 0.0, to: 1.0 },
            y_ticks: vec![
                tick(0.0, "0 %"),
                tick(0.25, "25 %"),
                tick(0.5, "50 %"),
                tick(0.75, "75 %"),
                tick(1.0, "100 %"),
            ],
            lines: lines(tasks, |competitor, task| results.loss(competitor, task).map(|loss| loss.kept())),
        }],
    };
    chart.complete("loss")
}

fn tick(at: f64, label: &'static str) -> Tick {
    Tick { at, label }
}

/// A line for everyone who has a number; of the floors only the timer.
fn lines(places: Vec<(f64, Task)>, number: impl Fn(&str, Task) -> Option<f64>) -> Vec<Line> {
    let shown = COMPETITORS.iter().zip(COLOURS).filter(|(competitor, _)| !competitor.floor || competitor.name == TIMER);
    shown
        .map(|(competitor, colour)| Line {
            label: if competitor.name == TIMER { "the clock alone" } else { competitor.label.trim() },
            colour,
            prominent: competitor.name == MCPLOG,
            dashed: competitor.floor,
            points: places.iter().filter_map(|&(x, task)| Some((x, number(competitor.name, task)?))).collect(),
        })
        .filter(|line| !line.points.is_empty())
        .collect()
}
