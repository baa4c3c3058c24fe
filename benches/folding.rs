//! Folding alone: from a complete log into the database with all its indexes, roll-ups and digests.
//!
//! `cargo bench --bench folding -- [ROWS] [--tools TOOLS] [--keep DIR]`; a million rows and five tools unless it is
//! said otherwise. The log is written first, while a transaction of another connection holds folding off; then nothing
//! else runs.

#[path = "support/hold.rs"]
mod hold;
#[path = "support/workload.rs"]
mod workload;

use mcplog::{Config, Store};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use workload::Workload;

const PATIENCE: Duration = Duration::from_secs(3600);
/// Rates are printed for each so many rows.
const STEP_ROWS: u64 = 1_000_000;
/// How often to look: short beside the seconds that a step takes.
const LOOK: Duration = Duration::from_millis(2);

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (mut rows, mut tools, mut keep) = (STEP_ROWS, 5, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // `cargo test --benches` only asks whether it runs.
            "--test" => return,
            "--tools" => tools = arguments.next().and_then(|tools| tools.parse().ok()).expect("--tools TOOLS"),
            "--keep" => keep = Some(PathBuf::from(arguments.next().expect("--keep DIR"))),
            number => rows = number.parse().expect("a number of rows"),
        }
    }
    match keep {
        Some(dir) => measure(&dir, rows, tools),
        None => {
            // Beside the build, not in /tmp, which may be memory.
            let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
            measure(&dir.path().join("data"), rows, tools);
        }
    }
}

fn measure(dir: &Path, rows: u64, tools: usize) {
    let mut config = Config::new(dir);
    // Nothing is dropped: whoever records waits.
    config.record_wait_ms = 60_000;
    let store = Store::open(config).expect("open");
    let holder = hold::folding(&store.database());
    let (recorder, mut workload) = (store.recorder(), Workload::new());
    workload.tools = workload::tool_names(tools);
    (0..rows).for_each(|_| workload.record_next(&recorder));
    store.flush(PATIENCE).expect("a complete log");
    let records = store.stats().appended;

    drop(holder);
    // The folder tries again by itself, at the latest after its longest pause; what counts is from its first batch on.
    while store.stats().folded == 0 {
        std::thread::sleep(LOOK);
    }
    let (start, first) = (Instant::now(), store.stats().folded);
    let (mut step_start, mut step_first) = (start, first);
    while store.stats().folded < records {
        std::thread::sleep(LOOK);
        let folded = store.stats().folded;
        if folded - step_first >= STEP_ROWS || (folded == records && step_start != start) {
            print_rate(&format!("up to {folded} records"), folded - step_first, step_start);
            (step_start, step_first) = (Instant::now(), folded);
        }
    }
    print_rate("overall", records - first, start);
    assert_eq!(store.stats().dropped, 0);
    let database = store.database();
    store.shutdown(PATIENCE);
    let bytes = std::fs::metadata(database).expect("the database").len();
    println!("{:<28} {:>10.1} bytes per row", "database", bytes as f64 / rows as f64);
}

fn print_rate(what: &str, records: u64, start: Instant) {
    println!("{what:<28} {:>10.0} records/s", records as f64 / start.elapsed().as_secs_f64());
}
