//! A writer: opens the store, records numbered events, and tells how far it came, until it is done, told to end, or killed.
//!
//! Its exit code is 0 after a shutdown and 1 when the store can't be opened.

use clap::{Parser, ValueEnum};
use mcplog::{Config, Store, SyncPolicy};
use mcplog_faults::event;
use mcplog_many::{Stage, Teller, Told, numbers};
use std::fs::File;
use std::io;
use std::os::fd::IntoRawFd;
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
    /// The file to tell in how far it came.
    told: PathBuf,
    /// Which life of a writer this is: it says which numbers the events have.
    life: u64,
    #[arg(long, value_enum, default_value = "interval")]
    sync: Sync,
    #[arg(long, default_value_t = 256 * 1024)]
    segment_bytes: u64,
    #[arg(long, default_value_t = 4096)]
    channel_events: usize,
    /// How many events to record; without, until it is told to end.
    #[arg(long)]
    events: Option<u64>,
    /// So many events one after the other, and then a pause.
    #[arg(long, default_value_t = 16)]
    burst: u64,
    #[arg(long, default_value_t = 1000)]
    pause_us: u64,
    /// How long an event may wait for room in the channel; what finds none is dropped.
    #[arg(long, default_value_t = 60_000)]
    record_wait_ms: u64,
    #[arg(long, default_value_t = 0)]
    min_free_bytes: u64,
    /// How long shutting down may take.
    #[arg(long, default_value_t = 60_000)]
    shutdown_ms: u64,
    /// End when all is recorded, rather than when told to, by the end of standard input.
    #[arg(long, requires = "events")]
    end: bool,
    /// Wait for the first byte of standard input before the store is opened.
    #[arg(long)]
    hold: bool,
    /// After so many events, close all descriptors of files, as who turns itself into a daemon does.
    #[arg(long)]
    close_after: Option<u64>,
    /// A planted bug: tell that what is about to be recorded is in the map.
    #[arg(long)]
    boast: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("writer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let mut teller = Teller::begin(&arguments.told, Told::default())?;
    if arguments.hold {
        io::Read::read(&mut io::stdin(), &mut [0])?;
    }
    let told_to_end = Arc::new(AtomicBool::new(false));
    let store = Store::open(config(arguments))?;
    let tell = |teller: &mut Teller, stage| {
        teller.told.stage = stage;
        teller.tell()
    };
    tell(&mut teller, Stage::Open)?;
    let hears = Arc::clone(&told_to_end);
    std::thread::spawn(move || {
        // Whether the parent says so or is gone is the same.
        let _ = io::stdin().read_line(&mut String::new());
        hears.store(true, Ordering::Relaxed);
    });
    record(&store, arguments, &mut teller, &told_to_end)?;
    tell(&mut teller, Stage::Recorded)?;
    while !arguments.end && !told_to_end.load(Ordering::Relaxed) {
        look(&store, &mut teller)?;
        std::thread::sleep(Duration::from_millis(5));
    }
    tell(&mut teller, Stage::Ending)?;
    let report = store.shutdown(Duration::from_millis(arguments.shutdown_ms));
    if !report.health.is_ok() {
        eprintln!("writer: life {}: {}", arguments.life, report.health);
    }
    (teller.told.appended, teller.told.dropped) = (report.appended, report.dropped);
    tell(&mut teller, Stage::Ended)?;
    Ok(())
}

fn config(arguments: &Arguments) -> Config {
    let mut config = Config::new(&arguments.dir);
    config.sync = match arguments.sync {
        Sync::Always => SyncPolicy::Always,
        Sync::Interval => SyncPolicy::Interval,
        Sync::Never => SyncPolicy::Never,
    };
    config.segment_bytes = arguments.segment_bytes;
    config.channel_events = arguments.channel_events;
    config.record_wait_ms = arguments.record_wait_ms;
    config.min_free_bytes = Some(arguments.min_free_bytes);
    config
}

/// Tells how many events are in the map, and how many were dropped.
fn look(store: &Store, teller: &mut Teller) -> io::Result<()> {
    let stats = store.stats();
    if (teller.told.appended, teller.told.dropped) == (stats.appended, stats.dropped) {
        return Ok(());
    }
    // What another look found may be counted already.
    teller.told.appended = teller.told.appended.max(stats.appended);
    teller.told.dropped = teller.told.dropped.max(stats.dropped);
    teller.tell()
}

fn record(store: &Store, arguments: &Arguments, teller: &mut Teller, told_to_end: &AtomicBool) -> io::Result<()> {
    let recorder = store.recorder();
    let (first, events) = (numbers::first(arguments.life), arguments.events.unwrap_or(u64::MAX));
    let mut descriptors = arguments.close_after;
    while teller.told.attempted < events && !told_to_end.load(Ordering::Relaxed) {
        let begin = teller.told.attempted;
        let end = (begin + arguments.burst.max(1)).min(events);
        teller.told.attempted = end;
        if arguments.boast {
            teller.told.appended = end;
        }
        teller.tell()?;
        for number in begin..end {
            event::record_or_drop(&recorder, first + number);
        }
        if descriptors.is_some_and(|after| after <= end) {
            descriptors = None;
            let again = close_descriptors(arguments, teller.told)?;
            // What is closed already may be somebody else's by now.
            std::mem::forget(std::mem::replace(teller, again));
        }
        look(store, teller)?;
        if arguments.pause_us > 0 {
            std::thread::sleep(Duration::from_micros(arguments.pause_us));
        }
    }
    Ok(())
}

/// Closes what is open beyond the standard streams, and tells in a file that is opened anew. Each number gets a file without
/// anything in it at once: std aborts a debug build that closes what is not open, where a release build goes on.
fn close_descriptors(arguments: &Arguments, told: Told) -> io::Result<Teller> {
    let mut open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|descriptor| *descriptor > 2)
        .collect();
    open.sort_unstable();
    let last = open.last().copied().unwrap_or_default();
    let nothing = || File::open("/dev/null").map(IntoRawFd::into_raw_fd);
    // The lowest number that is free is the next one to be given: now all below are taken.
    while nothing()? < last {}
    for descriptor in open {
        // The one by which they were listed is closed already.
        if nix::unistd::close(descriptor).is_ok() {
            nothing()?;
        }
    }
    Teller::begin(&arguments.told, told)
}
