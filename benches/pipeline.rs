//! The pipeline measured from end to end: latency of `record`, events per second to the map and to the database,
//! freshness, idle processor time.
//!
//! `cargo bench --bench pipeline`. Absolute times depend on the machine; the timer's own floor is printed beside them.

use hdrhistogram::Histogram;
use mcplog::{Config, Recorder, Request, Store};
use std::hint::black_box;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(300);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--test") {
        // `cargo test --benches` only asks whether it runs.
        return;
    }
    println!("{:<44} {:>9} {:>9} {:>9} {:>9}", "record(), ns (timer included)", "p50", "p99", "p99.9", "max");
    timer_floor();
    for rate in [1_000, 10_000, 100_000] {
        paced(rate);
    }
    unpaced();
    throughput();
    sustained();
    freshness();
    idle();
}

struct Workload {
    /// The ids of the event to come and of its session: a proxy has just made the one and read the other, so that they
    /// are in the cache.
    id: [u8; 36],
    session: String,
    sessions: Vec<String>,
}

const TOOLS: [&str; 5] = ["search", "read_file", "write_file", "run_query", "list_products"];

impl Workload {
    fn new() -> Self {
        Self {
            id: *b"0197a1c0-7b1e-7cc3-98c4-000000000000",
            session: String::new(),
            sessions: (0..200_u64)
                .map(|number| format!("{:032x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
                .collect(),
        }
    }

    /// Makes the ids of event `number`.
    fn prepare(&mut self, number: usize) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for (place, digit) in self.id[24..].iter_mut().rev().enumerate() {
            *digit = DIGITS[number >> (4 * place) & 15];
        }
        self.session.clone_from(&self.sessions[number % self.sessions.len()]);
    }

    /// Builds an event from borrowed strings, as a proxy would, and hands it over.
    #[inline]
    fn record(&self, recorder: &Recorder, number: usize) {
        let id = str::from_utf8(&self.id).expect("hexadecimal digits");
        let mut request = Request::new(id, 1_760_000_000_000 + number as i64, "files", "tools/call");
        request.session_id = Some(&self.session);
        request.tool = Some(TOOLS[number % TOOLS.len()]);
        request.latency_us = 1_000 + (number % 977) as i64;
        request.bytes_in = Some(180);
        request.bytes_out = Some(1_900);
        if number.is_multiple_of(20) {
            request.status = mcplog::Status::Error;
            request.error_code = Some("-32602");
            request.error_msg = Some("Invalid params: query must not be empty");
        }
        recorder.record(black_box(request));
    }
}

struct Run {
    _dir: tempfile::TempDir,
    store: Store,
}

fn open() -> Run {
    // Beside the build, not in /tmp, which may be memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let store = Store::open(Config::new(dir.path().join("data"))).expect("open");
    std::thread::sleep(Duration::from_millis(50));
    Run { _dir: dir, store }
}

fn print(name: &str, histogram: &Histogram<u64>) {
    let at = |quantile| histogram.value_at_quantile(quantile);
    println!("{name:<44} {:>9} {:>9} {:>9} {:>9}", at(0.5), at(0.99), at(0.999), histogram.max());
}

fn nanoseconds() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("valid bounds")
}

fn timed(histogram: &mut Histogram<u64>, run: impl FnOnce()) {
    let start = Instant::now();
    run();
    let elapsed_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    histogram.saturating_record(elapsed_ns.max(1));
}

fn timer_floor() {
    let mut histogram = nanoseconds();
    for _ in 0..1_000_000 {
        timed(&mut histogram, || ());
    }
    print("  nothing (the timer's floor)", &histogram);
}

/// One thread at a steady rate, spinning in between, as a proxy at that load would be doing other work.
fn paced(rate: u32) {
    let (run, mut workload) = (open(), Workload::new());
    let recorder = run.store.recorder();
    let mut histogram = nanoseconds();
    let events = (rate * 3).min(200_000);
    let start = Instant::now();
    for number in 0..events {
        let due = start + Duration::from_secs(1) * number / rate;
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        workload.prepare(number as usize);
        timed(&mut histogram, || workload.record(&recorder, number as usize));
    }
    print(&format!("  paced, {rate}/s"), &histogram);
    lossless(run);
}

fn unpaced() {
    let (run, mut workload) = (open(), Workload::new());
    let recorder = run.store.recorder();
    let mut histogram = nanoseconds();
    for number in 0..200_000 {
        workload.prepare(number);
        timed(&mut histogram, || workload.record(&recorder, number));
    }
    print("  a burst of 200,000 as fast as they come", &histogram);
    lossless(run);
}

fn lossless(run: Run) {
    run.store.wait_folded(PATIENCE).expect("folded");
    let report = run.store.shutdown(PATIENCE);
    if report.dropped > 0 {
        println!("    {} of {} events were dropped", report.dropped, report.dropped + report.appended);
    }
}

/// A million events per second for ten seconds, from two threads, with everything running: what is lost?
///
/// Each thread offers a thousandth of its share every millisecond and sleeps in between, as load arrives; threads that
/// spun would leave two cores nothing to append and fold with, which no proxy does.
fn sustained() {
    const THREADS: usize = 2;
    const EVENTS_PER_TICK: usize = 500;
    const TICKS: usize = 10_000;
    let run = open();
    let recorders: Vec<_> = (0..THREADS).map(|_| run.store.recorder()).collect();
    let start = Instant::now();
    let late_ticks: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = recorders
            .iter()
            .enumerate()
            .map(|(thread, recorder)| {
                scope.spawn(move || {
                    let mut workload = Workload::new();
                    let mut late_ticks = 0;
                    for tick in 0..TICKS {
                        for event in 0..EVENTS_PER_TICK {
                            let number = (tick * EVENTS_PER_TICK + event) * THREADS + thread;
                            workload.prepare(number);
                            workload.record(recorder, number);
                        }
                        let due = start + Duration::from_millis(tick as u64 + 1);
                        match due.checked_duration_since(Instant::now()) {
                            Some(left) => std::thread::sleep(left),
                            None => late_ticks += 1,
                        }
                    }
                    late_ticks
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    let offered = (THREADS * EVENTS_PER_TICK * TICKS) as f64;
    let elapsed = start.elapsed();
    let stats = run.store.stats();
    println!(
        "sustained, two threads:           {:>10.0} events/s offered for {:.1} s, {} dropped, {} late ticks of {}",
        offered / elapsed.as_secs_f64(),
        elapsed.as_secs_f64(),
        stats.dropped,
        late_ticks,
        THREADS * TICKS
    );
    println!(
        "the log meanwhile:                {:>10.1} bytes per event, {} segments, {:.0} % folded",
        stats.log_bytes as f64 / (stats.appended - stats.folded) as f64,
        stats.segments,
        stats.folded as f64 / offered * 100.0
    );
    // The rest would take a minute to fold and is of no interest here.
    run.store.shutdown(Duration::from_secs(1));
}

/// A million events as fast as the channel takes them.
fn throughput() {
    const EVENTS: usize = 1_000_000;
    let (run, mut workload) = (open(), Workload::new());
    let recorder = run.store.recorder();
    let start = Instant::now();
    for number in 0..EVENTS {
        // Looking now and then is enough: the channel has room for 60,000 more.
        while number.is_multiple_of(1024) && run.store.stats().queued > 200_000 {
            std::thread::sleep(Duration::from_micros(100));
        }
        workload.prepare(number);
        workload.record(&recorder, number);
    }
    while run.store.stats().appended < EVENTS as u64 && run.store.stats().dropped == 0 {
        std::thread::sleep(Duration::from_micros(100));
    }
    let appended = start.elapsed();
    let folded_then = run.store.stats().folded;
    let fold_start = Instant::now();
    run.store.wait_folded(PATIENCE).expect("folded");
    let (folding, total) = (fold_start.elapsed(), start.elapsed());
    let per_second = |events: f64, time: Duration| events / time.as_secs_f64();
    println!();
    println!("to the map, one thread recording: {:>10.0} events/s", per_second(EVENTS as f64, appended));
    println!(
        "from the log into SQLite:         {:>10.0} rows/s (nothing else running), {:.0} overall",
        per_second((EVENTS as u64 - folded_then) as f64, folding),
        per_second(EVENTS as f64, total)
    );
    let stats = run.store.stats();
    assert_eq!((stats.folded, stats.dropped), (EVENTS as u64, 0));
    let bytes: u64 = std::fs::metadata(run.store.database()).map_or(0, |metadata| metadata.len());
    println!("database:                         {:>10.0} bytes per row", bytes as f64 / EVENTS as f64);
    lossless(run);
}

/// How long from `record` until a query sees the row, at a calm rate.
fn freshness() {
    let (run, mut workload) = (open(), Workload::new());
    let recorder = run.store.recorder();
    let mut histogram = nanoseconds();
    for number in 0..100 {
        std::thread::sleep(Duration::from_millis(7 + number as u64 % 13));
        let before = run.store.stats().folded;
        workload.prepare(number);
        timed(&mut histogram, || {
            workload.record(&recorder, number);
            while run.store.stats().folded == before {
                std::thread::sleep(Duration::from_micros(200));
            }
        });
    }
    println!(
        "freshness, from record to table:  {:>10.1} ms p50, {:.1} ms max",
        histogram.value_at_quantile(0.5) as f64 / 1e6,
        histogram.max() as f64 / 1e6
    );
    lossless(run);
}

/// Processor time of the whole process while nothing is recorded.
fn idle() {
    let run = open();
    std::thread::sleep(Duration::from_millis(500));
    let before = processor_ticks();
    let start = Instant::now();
    std::thread::sleep(Duration::from_secs(10));
    // The kernel counts in hundredths of a second (USER_HZ).
    let busy = (processor_ticks() - before) as f64 / 100.0 / start.elapsed().as_secs_f64();
    println!("idle, the whole store:            {:>10.2} % of a core", busy * 100.0);
    lossless(run);
}

/// User and system time of this process, in hundredths of a second.
fn processor_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap_or(0) + fields[12].parse::<u64>().unwrap_or(0)
}
