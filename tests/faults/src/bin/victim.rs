//! The victim: records numbered events and says how far it came, until it is done, killed, or out of luck.
//!
//! It says, one line each, and flushed before it goes on:
//!
//! - `opened`: the store is open.
//! - `appended N`: N events of this run are in the map.
//! - `acknowledged N`: the first N events of this run are durable.
//! - `durable N M`: a segment's mark says that the first N events of this run are durable, and no mark said so before;
//!   there are M segments behind it.
//! - `recorded N`: it has recorded as many events as it was to, N.
//! - `refused N`: N events of this run were refused so far.
//! - `folded`: all of them, or all that others left, are in the database, which it was to wait for.
//! - `failed TEXT`: a wait ended without what was waited for.
//! - `health TEXT`: what is wrong changed.
//! - `report JSON`: the store was shut down.
//!
//! Its exit code is 0 after a shutdown and 1 when the store can't be opened.

use clap::{Parser, ValueEnum};
use mcplog::{Config, Stats, Store, SyncPolicy};
use mcplog_faults::{event, marks::Marks};
use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[derive(Clone, Copy, ValueEnum)]
enum Sync {
    Always,
    Interval,
    Never,
}

#[derive(Parser)]
struct Arguments {
    /// The store's directory.
    dir: PathBuf,
    #[arg(long, value_enum, default_value = "always")]
    sync: Sync,
    #[arg(long, default_value_t = 64 * 1024)]
    segment_bytes: u64,
    #[arg(long, default_value_t = 10)]
    sync_interval_ms: u64,
    /// The number of the first event.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// How many events to record; without, until it is told to stop or killed.
    #[arg(long)]
    events: Option<u64>,
    /// After how many events to wait until they are durable; 0 for never.
    #[arg(long, default_value_t = 0)]
    flush_every: u64,
    /// After how many events to say how many are in the map; 0 for never.
    #[arg(long, default_value_t = 0)]
    tell_every: u64,
    /// How long to wait after each event.
    #[arg(long, default_value_t = 0)]
    pause_us: u64,
    /// How long a wait for durability may take.
    #[arg(long, default_value_t = 60_000)]
    patience_ms: u64,
    /// How long shutting down may take.
    #[arg(long, default_value_t = 60_000)]
    shutdown_patience_ms: u64,
    /// How long an event may wait for room in the channel; 0 drops it at once.
    #[arg(long, default_value_t = 60_000)]
    record_wait_ms: u64,
    #[arg(long, default_value_t = 4096)]
    channel_events: usize,
    /// How much of the disk to leave free. Nothing: what a test fills, it fills to the last byte.
    #[arg(long, default_value_t = 0)]
    min_free_bytes: u64,
    /// How much of the folded log to keep.
    #[arg(long, default_value_t = 0)]
    keep_segments_bytes: u64,
    /// Wait until everything is folded before shutting down.
    #[arg(long)]
    fold: bool,
    /// Leave what the store has no room for to the store, which drops it, counts it and records a gap.
    #[arg(long)]
    drop: bool,
    /// Wait for a line on standard input before recording.
    #[arg(long)]
    hold: bool,
    /// Stop recording at a line on standard input.
    #[arg(long, conflicts_with = "hold")]
    until_told: bool,
    /// Then do nothing but say how many events are in the map, until it is killed, instead of shutting down.
    #[arg(long)]
    linger: bool,
    /// Record nothing: wait until what others left of their logs is folded and gone, and end.
    #[arg(long)]
    settle: bool,
    /// A planted bug: say that events are durable before they are.
    #[arg(long)]
    acknowledge_early: bool,
}

/// How often it says so.
const LINGER_STEP: Duration = Duration::from_millis(2);

fn say(what: &str, more: impl Display) {
    let mut out = std::io::stdout().lock();
    // Nobody listens any more: the test is over.
    if writeln!(out, "{what} {more}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut config = Config::new(&arguments.dir);
    config.segment_bytes = arguments.segment_bytes;
    config.sync = match arguments.sync {
        Sync::Always => SyncPolicy::Always,
        Sync::Interval => SyncPolicy::Interval,
        Sync::Never => SyncPolicy::Never,
    };
    config.sync_interval_ms = arguments.sync_interval_ms;
    config.channel_events = arguments.channel_events;
    config.keep_segments_bytes = Some(arguments.keep_segments_bytes);
    config.min_free_bytes = Some(arguments.min_free_bytes);
    let store = match Store::open(config) {
        Ok(store) => store,
        Err(error) => {
            eprintln!("victim: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut marks = Marks::new(store.dir());
    say("opened", "");
    if arguments.hold {
        let mut line = String::new();
        if let Err(error) = std::io::stdin().read_line(&mut line) {
            say("failed", error);
        }
    }
    let mut health = String::from("ok");
    let patience = Duration::from_millis(arguments.patience_ms);
    if arguments.settle {
        let tables = || mcplog_fixture::wait_for_tables(store.dir(), patience);
        match mcplog_fixture::wait_for_the_dead(&store, patience).and_then(|()| tables()) {
            Ok(()) => say("folded", ""),
            Err(error) => say("failed", error),
        }
        say_health(&store.stats(), &mut health);
    } else {
        record(&store, &arguments, &mut marks, &mut health);
    }
    if arguments.fold {
        match store.wait_folded(patience) {
            Ok(()) => say("folded", ""),
            Err(error) => say("failed", error),
        }
    }
    if arguments.linger {
        loop {
            let stats = store.stats();
            say("appended", stats.appended);
            say_health(&stats, &mut health);
            std::thread::sleep(LINGER_STEP);
        }
    }
    let report = store.shutdown(Duration::from_millis(arguments.shutdown_patience_ms));
    say("report", serde_json::json!(report));
    ExitCode::SUCCESS
}

/// Says what is wrong, if that is not what was said last.
fn say_health(stats: &Stats, said: &mut String) {
    let now = stats.health.to_string();
    if now != *said {
        say("health", &now);
        *said = now;
    }
}

fn record(store: &Store, arguments: &Arguments, marks: &mut Marks, health: &mut String) {
    let recorder = store.recorder();
    let patience = Duration::from_millis(arguments.patience_ms);
    let wait = Duration::from_millis(arguments.record_wait_ms);
    let pause = Duration::from_micros(arguments.pause_us);
    let due = |every: u64, count: u64| every > 0 && count.is_multiple_of(every);
    let told = Arc::new(AtomicBool::new(false));
    if arguments.until_told {
        let told = Arc::clone(&told);
        std::thread::spawn(move || {
            // Its end is a word, too: nobody is left who could say one.
            let _ = std::io::stdin().read_line(&mut String::new());
            told.store(true, Ordering::Relaxed);
        });
    }
    let mut refused = 0;
    let mut recorded = 0;
    for count in 1..=arguments.events.unwrap_or(u64::MAX) {
        if told.load(Ordering::Relaxed) {
            break;
        }
        recorded = count;
        if arguments.drop {
            event::record_or_drop(&recorder, arguments.first + count - 1);
        } else if !event::record_within(&recorder, arguments.first + count - 1, wait) {
            refused += 1;
            say("refused", refused);
        }
        if due(arguments.flush_every, count) {
            if arguments.acknowledge_early {
                say("acknowledged", count);
            }
            match store.flush(patience) {
                Ok(()) => say("acknowledged", count),
                Err(error) => say("failed", error),
            }
        }
        if due(arguments.tell_every, count) {
            let stats = store.stats();
            say("appended", stats.appended);
            if stats.dropped > refused {
                refused = stats.dropped;
                say("refused", refused);
            }
            if store.writer().is_some_and(|writer| marks.look_again(writer)) {
                say("durable", format_args!("{} {}", marks.durable, marks.waiting));
            }
            say_health(&stats, health);
        }
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
    say("recorded", recorded);
}
