//! Expiring beside readers and new events: how long the longest of them waits, and how fast the database gets smaller.
//!
//! `cargo bench --bench retention -- [ROWS]`; a million rows unless ROWS says otherwise. The store is filled first. Then it
//! is opened with half its size as the limit. One thread reads all the while, another records an event now and then and
//! waits for it to be folded; the same goes on for a while without a limit, for comparison.

#[path = "support/workload.rs"]
mod workload;

use mcplog::{Config, Query, Store};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use workload::Workload;

const PATIENCE: Duration = Duration::from_secs(600);
/// How long it is watched without a limit.
const COMPARED: Duration = Duration::from_secs(5);

fn main() {
    let mut rows = 1_000_000;
    for argument in std::env::args().skip(1).filter(|argument| argument != "--bench") {
        match argument.as_str() {
            // `cargo test --benches` only asks whether it runs.
            "--test" => return,
            number => rows = number.parse().expect("a number of rows"),
        }
    }
    // Beside the build, not in /tmp, which may be memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let mut config = Config::new(dir.path().join("data"));
    config.record_wait_ms = 60_000;
    let mut workload = Workload::new();
    fill(&config, &mut workload, rows);
    let bytes = size(&config.dir);
    println!("{rows} rows, {:.1} MB", bytes as f64 / 1e6);

    watch("without a limit", &config, &mut workload, |watched_for| watched_for > COMPARED);
    config.database_bytes_max = Some(bytes / 2);
    let dir = config.dir.clone();
    let took = watch("expiring half of it", &config, &mut workload, |_| size(&dir) <= bytes / 2);
    let removed = rows - Query::open(&config.dir).and_then(|query| query.totals()).expect("totals").requests as u64;
    println!(
        "{:<24} {:>10.1} MB left, {removed} rows gone, {:.0} rows/s",
        "",
        size(&config.dir) as f64 / 1e6,
        removed as f64 / took.as_secs_f64()
    );
}

fn fill(config: &Config, workload: &mut Workload, rows: u64) {
    let store = Store::open(config.clone()).expect("open");
    let recorder = store.recorder();
    (0..rows).for_each(|_| workload.record_next(&recorder));
    store.wait_folded(PATIENCE).expect("folded");
    store.shutdown(PATIENCE);
}

fn size(dir: &Path) -> u64 {
    std::fs::metadata(dir.join("store.db")).expect("the database").len()
}

/// Watches a reader and a recorder until it is done; how long that took.
fn watch(what: &str, config: &Config, workload: &mut Workload, done: impl Fn(Duration) -> bool) -> Duration {
    let store = Store::open(config.clone()).expect("open");
    let recorder = store.recorder();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let query = Query::open(&config.dir).expect("a query");
            let mut waits = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let start = Instant::now();
                query.tool_stats(&Default::default()).expect("statistics");
                waits.push(start.elapsed());
                std::thread::sleep(Duration::from_millis(1));
            }
            waits
        });
        let (start, mut waits) = (Instant::now(), Vec::new());
        while !done(start.elapsed()) {
            workload.record_next(&recorder);
            let recorded = Instant::now();
            store.wait_folded(PATIENCE).expect("folded");
            waits.push(recorded.elapsed());
        }
        let took = start.elapsed();
        stop.store(true, Ordering::Relaxed);
        print_waits(&format!("{what}, reader"), reader.join().expect("the reader"));
        print_waits(&format!("{what}, folded"), waits);
        store.shutdown(PATIENCE);
        took
    })
}

fn print_waits(what: &str, mut waits: Vec<Duration>) {
    waits.sort_unstable();
    let ms = |at: usize| waits[at.min(waits.len() - 1)].as_secs_f64() * 1e3;
    let (median, high) = (waits.len() / 2, waits.len() * 99 / 100);
    println!("{what:<32} p50 {:>7.2} ms, p99 {:>7.2} ms, max {:>7.2} ms", ms(median), ms(high), ms(usize::MAX));
}
