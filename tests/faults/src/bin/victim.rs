//! The victim: records numbered events and says how far it came, until it is done, killed, or out of luck.
//!
//! It says, one line each, and flushed before it goes on:
//!
//! - `opened`: the store is open.
//! - `appended N`: N events of this run are in the map.
//! - `acknowledged N`: the first N events of this run are durable.
//! - `refused N`: N events of this run were refused so far.
//! - `failed TEXT`: a wait ended without what was waited for.
//! - `health TEXT`: what is wrong changed.
//! - `report JSON`: the store was shut down.
//!
//! Its exit code is 0 after a shutdown and 1 when the store can't be opened.

use clap::{Parser, ValueEnum};
use mcplog::{Config, Store, SyncPolicy};
use mcplog_faults::event;
use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
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
    /// How many events to record; without, until it is killed.
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
    #[arg(long, default_value_t = 10_000)]
    patience_ms: u64,
    /// How long an event may wait for room in the channel; 0 drops it at once.
    #[arg(long, default_value_t = 60_000)]
    record_wait_ms: u64,
    #[arg(long, default_value_t = 4096)]
    channel_events: usize,
    /// How much of the folded log to keep.
    #[arg(long, default_value_t = 0)]
    keep_segments_bytes: u64,
    /// Wait until everything is folded before shutting down.
    #[arg(long)]
    fold: bool,
    /// A planted bug: say that events are durable before they are.
    #[arg(long)]
    acknowledge_early: bool,
}

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
    config.record_wait_ms = arguments.record_wait_ms;
    config.channel_events = arguments.channel_events;
    config.keep_segments_bytes = arguments.keep_segments_bytes;
    let store = match Store::open(config) {
        Ok(store) => store,
        Err(error) => {
            eprintln!("victim: {error}");
            return ExitCode::FAILURE;
        }
    };
    say("opened", "");
    record(&store, &arguments);
    let patience = Duration::from_millis(arguments.patience_ms);
    if arguments.fold
        && let Err(error) = store.wait_folded(patience)
    {
        say("failed", error);
    }
    let report = store.shutdown(patience);
    say("report", serde_json::json!(report));
    ExitCode::SUCCESS
}

fn record(store: &Store, arguments: &Arguments) {
    let recorder = store.recorder();
    let patience = Duration::from_millis(arguments.patience_ms);
    let pause = Duration::from_micros(arguments.pause_us);
    let due = |every: u64, count: u64| every > 0 && count.is_multiple_of(every);
    let mut refused = 0;
    let mut health = String::from("ok");
    for count in 1..=arguments.events.unwrap_or(u64::MAX) {
        if !event::record(&recorder, arguments.first + count - 1) {
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
            say("appended", store.stats().appended);
            let now = store.stats().health.to_string();
            if now != health {
                say("health", &now);
                health = now;
            }
        }
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
}
