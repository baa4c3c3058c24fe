//! Handing an event over: by blocks, as mcplog does, and through one bounded crossbeam channel of events, in turn.
//!
//! `cargo bench --bench handover`. The channel has as much memory as mcplog's (64 MiB), and its consumer only copies
//! what comes, while mcplog's appender makes records of it and appends them; so the channel has the easier life. Two
//! kinds of channel: of flat messages of 256 bytes, into which the event is copied without an allocation and which
//! longer events would not fit into; and of events that own their texts.

use crossbeam_channel::{Receiver, Sender, TrySendError};
use hdrhistogram::Histogram;
use mcplog::{Config, Recorder, Request, Store};
use std::hint::black_box;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(300);
/// mcplog's default.
const CHANNEL_EVENTS: usize = 262_144;
const MESSAGE_BYTES: usize = 256;
/// Each case so often, the ways in turn; the median counts.
const ROUNDS: usize = 3;
/// How long a consumer sleeps when nothing came, as the appender does.
const IDLE: Duration = Duration::from_millis(10);
const TOOLS: [&str; 5] = ["search", "read_file", "write_file", "run_query", "list_products"];

type Message = [u8; MESSAGE_BYTES];

/// An event that owns its texts.
struct Owned {
    _request_id: String,
    _session_id: String,
    _tool: String,
    _numbers: [i64; 4],
}

/// Where a thread's events go.
enum Way {
    Blocks(Recorder),
    Flat(Sender<Message>),
    Owning(Sender<Owned>),
}

const WAYS: [&str; 3] = ["blocks", "channel of flat messages", "channel of owned events"];

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        // `cargo test --benches` only asks whether it runs.
        return;
    }
    println!("{:<28} {:>24} {:>24} {:>24}", "ns p50 / p99 / dropped", WAYS[0], WAYS[1], WAYS[2]);
    for threads in [1, 2] {
        for rate in [Some(1_000), Some(10_000), Some(100_000), None] {
            let mut results: [Vec<(u64, u64, u64)>; WAYS.len()] = Default::default();
            for _ in 0..ROUNDS {
                for (way, results) in results.iter_mut().enumerate() {
                    results.push(measure(way, threads, rate));
                }
            }
            let cells = results.map(|mut results| {
                results.sort_unstable();
                let (p50, p99, dropped) = results[ROUNDS / 2];
                format!("{p50} / {p99} / {dropped}")
            });
            let pace = rate.map_or("a burst".to_owned(), |rate| format!("{rate}/s"));
            let name = format!("{threads} thread(s), {pace}");
            println!("{name:<28} {:>24} {:>24} {:>24}", cells[0], cells[1], cells[2]);
        }
    }
}

/// Runs a case; p50 and p99 in nanoseconds, the timer's own included, and how many events were dropped.
fn measure(way: usize, threads: usize, rate: Option<u32>) -> (u64, u64, u64) {
    match way {
        0 => {
            // Beside the build, not in /tmp, which may be memory.
            let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
            let store = Store::open(Config::new(dir.path().join("data"))).expect("open");
            let (latency, _) = run(threads, rate, || Way::Blocks(store.recorder()));
            let report = store.shutdown(PATIENCE);
            (latency.0, latency.1, report.dropped)
        }
        1 => {
            let (sender, receiver) = crossbeam_channel::bounded::<Message>(CHANNEL_EVENTS);
            let consumer = std::thread::spawn(move || consume(&receiver, |message, log| log.copy_from_slice(message)));
            let (latency, dropped) = run(threads, rate, || Way::Flat(sender.clone()));
            drop(sender);
            consumer.join().expect("no panic");
            (latency.0, latency.1, dropped)
        }
        _ => {
            let (sender, receiver) = crossbeam_channel::bounded::<Owned>(CHANNEL_EVENTS);
            let consumer = std::thread::spawn(move || consume(&receiver, |_, log| log.fill(7)));
            let (latency, dropped) = run(threads, rate, || Way::Owning(sender.clone()));
            drop(sender);
            consumer.join().expect("no panic");
            (latency.0, latency.1, dropped)
        }
    }
}

/// Takes what comes, and copies it to the end of a log in memory, round and round. Looks by itself, so that nobody pays
/// for waking it.
fn consume<T>(receiver: &Receiver<T>, copy: impl Fn(&T, &mut [u8])) {
    let mut log = vec![0; 8 * 1024 * 1024];
    let mut at = 0;
    loop {
        let mut taken = 0;
        while let Ok(item) = receiver.try_recv() {
            copy(&item, &mut log[at..at + MESSAGE_BYTES]);
            at = (at + MESSAGE_BYTES) % (log.len() - MESSAGE_BYTES);
            taken += 1;
        }
        black_box(&log);
        if taken == 0 {
            if matches!(receiver.try_recv(), Err(crossbeam_channel::TryRecvError::Disconnected)) {
                return;
            }
            std::thread::sleep(IDLE);
        }
    }
}

/// Records from so many threads, each at that pace; the latencies of all, and how many events found no room.
fn run(threads: usize, rate: Option<u32>, way: impl Fn() -> Way) -> ((u64, u64), u64) {
    let events = rate.map_or(100_000, |rate| (rate * 2).min(200_000));
    let start = Instant::now() + Duration::from_millis(20);
    let (mut all, mut dropped) = (nanoseconds(), 0);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|thread| {
                let way = way();
                scope.spawn(move || record(&way, thread, events, rate, start))
            })
            .collect();
        for thread in threads {
            let (latency, lost) = thread.join().expect("no panic");
            all.add(latency).expect("same bounds");
            dropped += lost;
        }
    });
    ((all.value_at_quantile(0.5), all.value_at_quantile(0.99)), dropped)
}

fn record(way: &Way, thread: usize, events: u32, rate: Option<u32>, start: Instant) -> (Histogram<u64>, u64) {
    let (mut latency, mut dropped) = (nanoseconds(), 0);
    let session = format!("{thread:032x}");
    for number in 0..events {
        let due = rate.map_or(start, |rate| start + Duration::from_secs(1) * number / rate);
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        let id = format!("0197a1c0-7b1e-7cc3-98{thread:02x}-{number:012x}");
        let tool = TOOLS[number as usize % TOOLS.len()];
        let begun = Instant::now();
        dropped += u64::from(!offer(way, &id, &session, tool, number.into()));
        let elapsed_ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        latency.saturating_record(elapsed_ns.max(1));
    }
    (latency, dropped)
}

/// Hands an event over; `false`: there is no room for it.
#[inline]
fn offer(way: &Way, id: &str, session: &str, tool: &str, number: i64) -> bool {
    match way {
        Way::Blocks(recorder) => {
            let mut request = Request::new(id, 1_760_000_000_000 + number, "files", "tools/call");
            request.session_id = Some(session);
            request.tool = Some(tool);
            request.latency_us = 1_000 + number % 977;
            (request.bytes_in, request.bytes_out) = (Some(180), Some(1_900));
            // Counted by the store.
            recorder.record(black_box(request));
            true
        }
        Way::Flat(sender) => {
            let mut message = [0; MESSAGE_BYTES];
            let mut at = 0;
            for part in [id.as_bytes(), session.as_bytes(), b"files", b"tools/call", tool.as_bytes()] {
                message[at] = u8::try_from(part.len()).unwrap_or(u8::MAX);
                message[at + 1..at + 1 + part.len()].copy_from_slice(part);
                at += 1 + part.len();
            }
            for part in [1_760_000_000_000 + number, 1_000 + number % 977, 180, 1_900] {
                message[at..at + 8].copy_from_slice(&part.to_le_bytes());
                at += 8;
            }
            !matches!(sender.try_send(black_box(message)), Err(TrySendError::Full(_)))
        }
        Way::Owning(sender) => {
            let owned = Owned {
                _request_id: id.to_owned(),
                _session_id: session.to_owned(),
                _tool: tool.to_owned(),
                _numbers: [1_760_000_000_000 + number, 1_000 + number % 977, 180, 1_900],
            };
            !matches!(sender.try_send(black_box(owned)), Err(TrySendError::Full(_)))
        }
    }
}

fn nanoseconds() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("valid bounds")
}
