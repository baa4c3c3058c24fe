//! A store at rest: processor time, wake-ups and memory. And memory under full load.
//!
//! `cargo bench --bench idle` watches an idle store for 20 seconds; with `-- --soak MINUTES` it records as fast as the
//! channel takes events for so long, prints the resident memory every 10 seconds, and says whether it grew. With
//! `-- --writers COUNT` so many processes record one event each into one store, and are watched at rest: what starting
//! one took, its memory, its log on the disk, and the processor time of all.

use mcplog::{Config, Request, Store};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const WATCH: Duration = Duration::from_secs(20);
const SOAK_STEP: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest sleep of a writer begins after ten quiet seconds.
const UNTIL_REST: Duration = Duration::from_secs(15);
/// The argument that makes this program one of the writers.
const WRITER: &str = "--writer";
/// More than this, from the first half of a soak to the second, is growth.
const GROWTH_KIB_MAX: u64 = 4 * 1024;
/// The largest log that the soak lets grow before it waits for folding.
const LAG_RECORDS_MAX: u64 = 2_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--test") {
        // `cargo test --benches` only asks whether it runs.
        return;
    }
    if let Some(at) = arguments.iter().position(|argument| argument == "--writers") {
        let count = arguments.get(at + 1).and_then(|text| text.parse().ok()).expect("--writers COUNT");
        return writers(count);
    }
    if let Some(at) = arguments.iter().position(|argument| argument == WRITER) {
        return writer(Path::new(&arguments[at + 1]));
    }
    let before_kib = resident_kib("self");
    // Beside the build, not in /tmp, which may be memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let config = Config::new(dir.path().join("data"));
    println!("channel: {} events", config.channel_events);
    let store = Store::open(config).expect("open");
    match arguments.iter().position(|argument| argument == "--soak") {
        Some(at) => {
            let minutes = arguments.get(at + 1).and_then(|text| text.parse().ok()).expect("--soak MINUTES");
            soak(&store, minutes);
        }
        None => idle(&store, before_kib),
    }
    store.shutdown(PATIENCE);
}

fn idle(store: &Store, before_kib: u64) {
    record(store, 0..10_000);
    store.wait_folded(PATIENCE).expect("folded");
    std::thread::sleep(Duration::from_secs(2));
    let (before, start) = (threads("self"), Instant::now());
    std::thread::sleep(WATCH);
    let (after, seconds) = (threads("self"), start.elapsed().as_secs_f64());
    println!("{:<18} {:>12} {:>12}", "at rest", "% of a core", "wake-ups/s");
    let mut total = 0.0;
    for (name, now) in &after {
        let then = before.get(name).copied().unwrap_or_default();
        let percent = (now.busy_ns - then.busy_ns) as f64 / 1e7 / seconds;
        total += percent;
        println!("  {name:<16} {percent:>12.3} {:>12.1}", (now.wakeups - then.wakeups) as f64 / seconds);
    }
    println!("  {:<16} {total:>12.3}", "all");
    println!(
        "resident: {} MiB, {} MiB of it before the store was opened",
        resident_kib("self") >> 10,
        before_kib >> 10
    );
}

/// One of many: opens the store, records one event, says what that took, and rests until its input ends.
fn writer(dir: &Path) {
    let before_kib = resident_kib("self");
    let start = Instant::now();
    let store = Store::open(Config::new(dir)).expect("open");
    let opened = start.elapsed();
    record(&store, 0..1);
    let recorded = start.elapsed();
    while store.stats().appended == 0 {
        std::thread::sleep(Duration::from_micros(100));
    }
    let appended = start.elapsed();
    println!("{} {} {} {before_kib}", opened.as_micros(), recorded.as_micros(), appended.as_micros());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    store.shutdown(PATIENCE);
}

/// Watches so many writers at rest.
fn writers(count: usize) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let data = dir.path().join("data");
    let mut writers: Vec<(Child, String)> = Vec::new();
    for _ in 0..count {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg(WRITER).arg(&data).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a process");
        let mut said = String::new();
        let output = child.stdout.take().expect("piped");
        BufReader::new(output).read_line(&mut said).expect("a line");
        writers.push((child, said));
    }
    std::thread::sleep(UNTIL_REST);
    let busy_ns = |id: &str| threads(id).values().map(|thread| thread.busy_ns).sum::<u64>();
    let ids: Vec<String> = writers.iter().map(|(child, _)| child.id().to_string()).collect();
    let before: Vec<u64> = ids.iter().map(|id| busy_ns(id)).collect();
    std::thread::sleep(WATCH);
    let fold_lock = std::fs::read(data.join("FOLD")).unwrap_or_default();
    let holder = String::from_utf8_lossy(&fold_lock).split_whitespace().next().unwrap_or_default().to_owned();
    println!("us to open, to the first `record`, until that is in the log; % of a core; KiB before, KiB now");
    let mut total = 0.0;
    for ((id, before), (_, said)) in ids.iter().zip(before).zip(&writers) {
        let percent = (busy_ns(id) - before) as f64 / 1e7 / WATCH.as_secs_f64();
        total += percent;
        let folds = if *id == holder { "folds" } else { "" };
        println!("{:>40}  {percent:.3} % {:>7} KiB {folds}", said.trim(), resident_kib(id));
    }
    println!("all: {total:.3} % of a core");
    for folder in std::fs::read_dir(data.join("wal")).expect("wal").flatten() {
        let files = std::fs::read_dir(folder.path()).expect("a log").flatten();
        let blocks: u64 = files.filter_map(|file| file.metadata().ok()).map(|file| file.blocks()).sum();
        println!("log {}: {} KiB on the disk", folder.file_name().display(), blocks / 2);
    }
    for (mut child, _) in writers {
        drop(child.stdin.take());
        child.wait().expect("ended");
    }
}

fn soak(store: &Store, minutes: u64) {
    let (start, mut next, mut number) = (Instant::now(), SOAK_STEP, 0);
    let mut resident = Vec::new();
    while start.elapsed() < Duration::from_secs(minutes * 60) {
        record(store, number..number + 1024);
        number += 1024;
        let mut stats = store.stats();
        // Folding is slower than recording; the log must not fill the disk.
        while stats.queued > 100_000 || stats.lag_records > LAG_RECORDS_MAX {
            std::thread::sleep(Duration::from_micros(200));
            stats = store.stats();
        }
        if start.elapsed() >= next {
            resident.push(resident_kib("self"));
            let (seconds, kib, folded) = (next.as_secs(), resident_kib("self"), stats.folded);
            println!(
                "{seconds:>5} s: {kib} KiB resident, {number} recorded, {folded} folded, {} dropped",
                stats.dropped
            );
            next += SOAK_STEP;
        }
    }
    let half = resident.len() / 2;
    let most = |kib: &[u64]| kib.iter().max().copied().unwrap_or(0);
    let (first, second) = (most(&resident[..half]), most(&resident[half..]));
    let verdict = if second <= first + GROWTH_KIB_MAX { "flat" } else { "GROWING" };
    println!("at most {first} KiB in the first half, {second} KiB in the second: {verdict}");
}

fn record(store: &Store, numbers: std::ops::Range<u64>) {
    let recorder = store.recorder();
    for number in numbers {
        let id = format!("0197a1c0-7b1e-7cc3-98c4-{number:012x}");
        let session = format!("{:032x}", (number % 200).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut request = Request::new(&id, 1_760_000_000_000 + (number / 1000) as i64, "files", "tools/call");
        request.session_id = Some(&session);
        request.tool = Some("search");
        recorder.record(request);
    }
}

#[derive(Clone, Copy, Default)]
struct Thread {
    busy_ns: u64,
    wakeups: u64,
}

/// What the kernel counted for each thread of a process, by name.
fn threads(process: &str) -> BTreeMap<String, Thread> {
    let mut threads: BTreeMap<String, Thread> = BTreeMap::new();
    for task in std::fs::read_dir(format!("/proc/{process}/task")).expect("/proc").flatten() {
        let read = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        // Time on a processor in nanoseconds, time waiting for one, and how often it got one.
        let numbers: Vec<u64> = read("schedstat").split_whitespace().filter_map(|text| text.parse().ok()).collect();
        let thread = threads.entry(read("comm").trim().to_owned()).or_default();
        thread.busy_ns += numbers.first().copied().unwrap_or(0);
        thread.wakeups += numbers.get(2).copied().unwrap_or(0);
    }
    threads
}

fn resident_kib(process: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number of KiB")
}
