//! Durable acknowledgements: threads that each record an event and wait until it is safe from a power cut.
//!
//! `cargo bench --bench durable`. Under the policy `always`, threads that wait at the same time share a sync (group
//! commit). The floor is one thread that writes the same bytes to a preallocated file and calls fdatasync.

use hdrhistogram::Histogram;
use mcplog::{Config, Request, Store, SyncPolicy};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

const RUN: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(60);
/// What the event below takes in the log.
const FRAME_BYTES: usize = 80;
/// The floor's file; it goes round in it.
const FLOOR_BYTES: u64 = 8 * 1024 * 1024;

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        // `cargo test --benches` only asks whether it runs.
        return;
    }
    println!("{:<44} {:>12} {:>9} {:>9}", "durable commits, latency in us", "commits/s", "p50", "p99");
    // Beside the build, not in /tmp, which may be memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    floor(&dir.path().join("floor"));
    for threads in [1, 4, 16] {
        store(&dir.path().join(format!("store-{threads}")), threads);
    }
}

fn floor(path: &Path) {
    let file = File::create_new(path).expect("create");
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, FLOOR_BYTES).expect("allocate");
    file.sync_all().expect("sync");
    let (mut latency_us, start, mut offset) = (microseconds(), Instant::now(), 0);
    while start.elapsed() < RUN {
        timed(&mut latency_us, || {
            file.write_all_at(&[7; FRAME_BYTES], offset).expect("write");
            file.sync_data().expect("sync");
        });
        offset = (offset + FRAME_BYTES as u64) % (FLOOR_BYTES - FRAME_BYTES as u64);
    }
    print("write + fdatasync, 1 thread (the floor)", &latency_us, start.elapsed());
}

fn store(dir: &Path, threads: usize) {
    let mut config = Config::new(dir);
    config.sync = SyncPolicy::Always;
    let store = Store::open(config).expect("open");
    let start = Instant::now();
    let mut latency_us = microseconds();
    std::thread::scope(|scope| {
        let store = &store;
        let commit = |thread| move || commits(store, thread, start);
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(commit(thread))).collect();
        for thread in threads {
            latency_us.add(thread.join().expect("no panic")).expect("same bounds");
        }
    });
    print(&format!("record + flush, {threads} threads"), &latency_us, start.elapsed());
    let report = store.shutdown(PATIENCE);
    assert_eq!((report.appended, report.dropped), (latency_us.len(), 0));
}

/// Records and waits, until the time is up.
fn commits(store: &Store, thread: usize, start: Instant) -> Histogram<u64> {
    let (recorder, mut latency_us) = (store.recorder(), microseconds());
    let session = format!("{thread:032x}");
    for number in 0.. {
        if start.elapsed() >= RUN {
            break;
        }
        let id = format!("0197a1c0-7b1e-7cc3-98{thread:02x}-{number:012x}");
        let mut request = Request::new(&id, 1_760_000_000_000 + number, "files", "tools/call");
        request.session_id = Some(&session);
        request.tool = Some("search");
        request.latency_us = 1_840;
        timed(&mut latency_us, || {
            recorder.record(request);
            store.flush(PATIENCE).expect("durable");
        });
    }
    latency_us
}

fn microseconds() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("valid bounds")
}

fn timed(latency_us: &mut Histogram<u64>, run: impl FnOnce()) {
    let start = Instant::now();
    run();
    latency_us.saturating_record(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX).max(1));
}

fn print(name: &str, latency_us: &Histogram<u64>, elapsed: Duration) {
    let per_second = latency_us.len() as f64 / elapsed.as_secs_f64();
    let at = |quantile| latency_us.value_at_quantile(quantile);
    println!("{name:<44} {per_second:>12.0} {:>9} {:>9}", at(0.5), at(0.99));
}
