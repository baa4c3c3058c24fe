//! After a kill: how fast a segment is scanned and checked, how long a store takes to open, and how long until what was left
//! begins to be in the tables.
//!
//! `cargo bench --bench recovery`. Scanning is shown beside its floors: the checksum alone over the same payloads, and
//! copying the same bytes. For opening, this program starts itself as the process that records 1 GiB and is killed.

#[path = "support/hold.rs"]
mod hold;

use mcplog::segment::{Item, SegmentReader, Stop};
use mcplog::{Config, Request, Store, SyncPolicy};
use std::hint::black_box;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Set in the process that is to be killed: policy, segment size in bytes, directory.
const CHILD: &str = "MCPLOG_RECOVERY_CHILD";
const LOG_BYTES: u64 = 1 << 30;
const PATIENCE: Duration = Duration::from_secs(300);
/// How many events the child records before it looks how large its log is.
const ROUND_EVENTS: u64 = 50_000;
const SCANS: usize = 20;
/// How much is read at once where only reading is measured.
const READ_BYTES: usize = 64 * 1024;

fn main() {
    if let Ok(order) = std::env::var(CHILD) {
        return child(&order);
    }
    if std::env::args().any(|argument| argument == "--test") {
        // `cargo test --benches` only asks whether it runs.
        return;
    }
    // Beside the build, not in /tmp, which may be memory.
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for (name, policy, segment_bytes, scan) in [
        ("segments of 8 MiB, policy interval", "interval", 8 << 20, true),
        ("segments of 8 MiB, policy never", "never", 8 << 20, false),
        ("one segment of 1 GiB, policy never", "never", 1 << 30, false),
    ] {
        let dir = tempfile::tempdir_in(place).expect("a directory");
        record_and_kill(&format!("{policy}:{segment_bytes}:{}", dir.path().display()));
        if scan {
            scan_rates(dir.path());
        }
        open(name, config(policy, segment_bytes, dir.path()));
    }
}

fn config(policy: &str, segment_bytes: u64, dir: &Path) -> Config {
    let mut config = Config::new(dir);
    config.segment_bytes = segment_bytes;
    config.sync = if policy == "never" { SyncPolicy::Never } else { SyncPolicy::Interval };
    config.record_wait_ms = 60_000;
    // What is folded while the log grows must not make it smaller.
    config.keep_segments_bytes = Some(4 * LOG_BYTES);
    config
}

/// Records until the log has its size, says so, and waits for its end.
fn child(order: &str) {
    let mut parts = order.splitn(3, ':');
    let mut part = || parts.next().expect("three parts");
    let (policy, segment_bytes, dir) = (part(), part().parse().expect("a number"), part());
    let store = Store::open(config(policy, segment_bytes, Path::new(dir))).expect("open");
    // A transaction that is never committed: nothing is folded, so the whole log is there to be taken over.
    let holder = hold::folding(&store.database());
    let recorder = store.recorder();
    let (mut number, mut frame_bytes) = (0_u64, 0);
    // A record takes the same room whichever segment it is in, so the first segments tell how many are needed.
    while frame_bytes == 0 || number * frame_bytes < LOG_BYTES - (1 << 20) {
        for _ in 0..ROUND_EVENTS {
            record(&recorder, number);
            number += 1;
        }
        // Not flushed: under the policy `never`, nothing is to be durable.
        while store.stats().appended < number {
            std::thread::sleep(Duration::from_micros(100));
        }
        if frame_bytes == 0 {
            frame_bytes = frames_bytes(&Path::new(dir).join("wal")) / number;
        }
    }
    println!("{number}");
    std::io::stdout().flush().expect("a pipe");
    std::thread::sleep(PATIENCE);
    drop(holder);
}

fn record(recorder: &mcplog::Recorder, number: u64) {
    let id = format!("0197a1c0-7b1e-7cc3-98c4-{number:012x}");
    let session = format!("{:032x}", (number % 200).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut request = Request::new(&id, 1_760_000_000_000 + (number / 1000) as i64, "files", "tools/call");
    request.session_id = Some(&session);
    request.tool = Some("search");
    request.latency_us = 1_000 + (number % 977) as i64;
    request.bytes_in = Some(180);
    request.bytes_out = Some(1_900);
    recorder.record(request);
}

/// How many bytes of frames the log has.
fn frames_bytes(wal: &Path) -> u64 {
    segments(wal).iter().map(|path| scan(path).1).sum()
}

/// The segments of the only log there is.
fn segments(wal: &Path) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(wal).expect("list").next().expect("a folder").expect("list").path();
    mcplog::segment::list(&folder).expect("list").into_iter().map(|segment| segment.path).collect()
}

fn record_and_kill(order: &str) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .env(CHILD, order)
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the child");
    let mut line = String::new();
    let mut output = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    std::io::BufRead::read_line(&mut output, &mut line).expect("a line");
    assert!(line.trim().parse::<u64>().is_ok_and(|events| events > 0), "the child said {line:?}");
    child.kill().expect("kill");
    child.wait().expect("wait");
}

/// Frames, their bytes with headers, and where each payload is.
fn scan(path: &Path) -> (u64, u64, Vec<(u32, u32)>) {
    let mut reader = SegmentReader::open(path).expect("a segment");
    let (mut frames, mut payloads) = (0, Vec::new());
    loop {
        match reader.next().expect("readable") {
            Item::Frame(frame) => {
                frames += 1;
                payloads.push((frame.offset.0, u32::try_from(frame.payload.len()).expect("below 16 MiB")));
            }
            Item::Stop(Stop::Open | Stop::Sealed) => break,
            other => panic!("{}: {other:?}", path.display()),
        }
    }
    (frames, u64::from(reader.position().end.0) - 4096, payloads)
}

/// The best of some runs over one segment of the log, which is in the page cache.
fn scan_rates(dir: &Path) {
    let segments = segments(&dir.join("wal"));
    // The first ones are smaller.
    let path = &segments[segments.len() / 2];
    let (frames, bytes, payloads) = scan(path);
    println!("{frames} frames of {} bytes on average, {} MiB, in memory:", bytes / frames, bytes >> 20);
    let best = |run: &mut dyn FnMut()| {
        let seconds = |run: &mut dyn FnMut()| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        };
        bytes as f64 / (0..SCANS).map(|_| seconds(run)).fold(f64::MAX, f64::min) / 1e9
    };
    let scanned = best(&mut || {
        let mut reader = SegmentReader::open(path).expect("a segment");
        while matches!(reader.next().expect("readable"), Item::Frame(_)) {}
    });
    let content = std::fs::read(path).expect("read");
    let checked = best(&mut || {
        for (offset, length) in &payloads {
            let start = *offset as usize + 12;
            black_box(crc32fast::hash(&content[start..start + *length as usize]));
        }
    });
    let mut copy = vec![0; content.len()];
    let copied = best(&mut || copy.copy_from_slice(black_box(&content)));
    let file = std::fs::File::open(path).expect("open");
    let read = best(&mut || {
        for (number, chunk) in copy.chunks_mut(READ_BYTES).enumerate() {
            file.read_exact_at(chunk, (number * READ_BYTES) as u64).expect("read");
        }
    });
    println!(
        "  scan and check {scanned:.2} GB/s; floors: checksums alone {checked:.2}, read(2) {read:.2}, memcpy {copied:.2}"
    );
}

fn open(name: &str, config: Config) {
    let segments = segments(&config.dir.join("wal"));
    let bytes: u64 = segments.iter().map(|path| path.metadata().map_or(0, |metadata| metadata.len())).sum();
    let start = Instant::now();
    let store = Store::open(config).expect("open");
    record(&store.recorder(), u64::MAX >> 16);
    let elapsed = start.elapsed();
    // Whoever folds has the first row of what was left.
    let rows = || {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database = rusqlite::Connection::open_with_flags(store.database(), flags).ok()?;
        database.query_row("SELECT count(*) FROM request_rows", [], |row| row.get::<_, u64>(0)).ok()
    };
    while rows().unwrap_or(0) == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let [opened, first_row] = [elapsed, start.elapsed()].map(|elapsed| elapsed.as_secs_f64() * 1e3);
    println!("after kill -9, {name}: {} MiB, open {opened:.0} ms, first row {first_row:.0} ms", bytes >> 20);
    assert_eq!(store.stats().dropped, 0);
    // Folding it all is not what is measured.
    store.shutdown(Duration::from_millis(1));
}
