//! Expiring beside a reader and new events: how long its steps are, how long either waits, how fast the file gets
//! shorter.
//!
//! `cargo bench --bench retention -- [ROWS] [--dir DIR]`; a million rows unless ROWS says otherwise, with 5 and with
//! 300 tools. A store with a limit that is never reached is filled and watched for a while; then it is opened with half
//! its size as the limit, and watched until its file is that short. One thread asks for the totals and the statistics
//! of a tool all the while, on a connection of its own; another records an event now and then and waits for it to be
//! folded.
//!
//! What an event waits for is, in this order: the appender, the sync of the segment, the turn of the folder, its own
//! batch. Only the turn has to do with expiring; the same wait without it stands beside. Steps and copies of SQLite's
//! WAL are timed by the store itself. A step is a transaction of the folder; a copy, with its syncs, is made beside it.
//! The disk is in a step all the same, where the kernel holds up a write while it syncs something else, and where the
//! folder begins SQLite's WAL anew, which syncs its header. In a DIR that is memory (/dev/shm) syncs cost nothing: what
//! takes longer elsewhere, the disk is to blame for.

#[path = "support/workload.rs"]
mod workload;

use mcplog::{Config, Query, Store};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use workload::Workload;

/// For anything that is waited for, and for the whole of expiring.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it is watched before anything expires.
const COMPARED: Duration = Duration::from_secs(3);
/// From one query, or one event, to the next.
const PAUSE: Duration = Duration::from_millis(1);

fn main() {
    let (mut rows, mut parent) = (1_000_000, PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // `cargo test --benches` only asks whether it runs.
            "--test" => return,
            "--dir" => parent = arguments.next().expect("--dir DIR").into(),
            number => rows = number.parse().expect("a number of rows"),
        }
    }
    tracing::subscriber::set_global_default(Stopwatch).expect("the only one");
    println!("{:<34} {:>8} {:>9} {:>9} {:>9}", "ms", "times", "p50", "p99", "longest");
    for tools in [5, 300] {
        // Beside the build, not in /tmp, which may be memory.
        let dir = tempfile::tempdir_in(&parent).expect("a directory");
        measure(&dir.path().join("data"), rows, tools);
    }
}

fn measure(dir: &Path, rows: u64, tools: usize) {
    let mut config = Config::new(dir);
    config.record_wait_ms = 60_000;
    // Only a database that is created with a limit gives room back.
    config.database_bytes_max = Some(u64::MAX >> 1);
    let mut workload = Workload::new();
    workload.tools = workload::tool_names(tools);
    fill(&config, &mut workload, rows);
    let (bytes, held) = (size(dir), requests(dir));

    let before = watch(&config, &mut workload, |watched_for| watched_for > COMPARED);
    config.database_bytes_max = Some(bytes / 2);
    let expiring = watch(&config, &mut workload, |watched_for| size(dir) <= bytes / 2 || watched_for > PATIENCE);
    let removed = held + before.folded.len() as u64 + expiring.folded.len() as u64 - requests(dir);

    println!("{rows} rows, {tools} tools");
    print_times("a reader's queries, nothing expires", before.queries);
    print_times("the same while half expires", expiring.queries);
    print_times("an event's folding, nothing expires", before.folded);
    print_times("the same while half expires", expiring.folded);
    let longest = expiring.steps.iter().max().cloned().unwrap_or_default();
    print_times("steps of the folder", expiring.steps.into_iter().map(|(took, _)| took).collect());
    println!("{:<34} {}", "the longest of them", longest.1);
    print_times("copies of SQLite's WAL, beside it", expiring.copies);
    println!(
        "{removed} rows in {:.1} s: {:.0} rows/s; the file shrank from {:.1} to {:.1} MB",
        expiring.took.as_secs_f64(),
        removed as f64 / expiring.took.as_secs_f64(),
        bytes as f64 / 1e6,
        size(dir) as f64 / 1e6,
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

fn requests(dir: &Path) -> u64 {
    let totals = Query::open(dir).and_then(|query| query.totals()).expect("totals");
    u64::try_from(totals.requests).expect("a number of rows")
}

/// How long things took.
struct Watched {
    took: Duration,
    queries: Vec<Duration>,
    folded: Vec<Duration>,
    /// With what they did.
    steps: Vec<(Duration, String)>,
    copies: Vec<Duration>,
}

/// Watches a reader and a recorder until it is done.
fn watch(config: &Config, workload: &mut Workload, done: impl Fn(Duration) -> bool) -> Watched {
    let store = Store::open(config.clone()).expect("open");
    let recorder = store.recorder();
    let stop = AtomicBool::new(false);
    TIMES.lock().expect("nobody panicked").clear();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let query = Query::open(&config.dir).expect("a query");
            let mut waits = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                waits.push(timed(|| {
                    query.totals().expect("totals");
                    query.tool_stats(&Default::default()).expect("statistics");
                }));
                std::thread::sleep(PAUSE);
            }
            waits
        });
        let (start, mut folded) = (Instant::now(), Vec::new());
        while !done(start.elapsed()) {
            workload.record_next(&recorder);
            folded.push(timed(|| store.wait_folded(PATIENCE).expect("folded")));
            std::thread::sleep(PAUSE);
        }
        let took = start.elapsed();
        stop.store(true, Ordering::Relaxed);
        let queries = reader.join().expect("the reader");
        store.shutdown(PATIENCE);
        let (copies, steps) = std::mem::take(&mut *TIMES.lock().expect("nobody panicked"))
            .into_iter()
            .partition::<Vec<_>, _>(|told| told.stage.is_empty());
        let copies = copies.into_iter().map(|told| told.took).collect();
        let steps = steps.into_iter().map(|told| (told.took, told.stage)).collect();
        Watched { took, queries, folded, steps, copies }
    })
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn print_times(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let ms = |at: usize| times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3);
    let count = times.len();
    let (median, high) = (ms(count / 2), ms(count * 99 / 100));
    println!("{what:<34} {count:>8} {median:>9.2} {high:>9.2} {:>9.2}", ms(count.saturating_sub(1)));
}

/// What the store says of a step, or of a copy, which has no stage.
#[derive(Default)]
struct Told {
    took: Duration,
    stage: String,
}

static TIMES: Mutex<Vec<Told>> = Mutex::new(Vec::new());

/// Notes how long each took.
struct Stopwatch;

impl Subscriber for Stopwatch {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("mcplog::index") && *metadata.level() == Level::TRACE
    }

    fn event(&self, event: &Event<'_>) {
        let mut told = Told::default();
        event.record(&mut told);
        TIMES.lock().expect("nobody panicked").push(told);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for Told {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "took_us" {
            self.took = Duration::from_micros(value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "stage" {
            self.stage = format!("{value:?}");
        }
    }
}
