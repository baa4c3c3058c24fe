//! The import itself: parse lines, record events, wait until they are folded.
//!
//! Runs on the main thread. It records over the same path as the proxy, but where the proxy drops it waits.

use super::bad_lines::BadLines;
use super::line;
use super::reader::{self, Batch, LINE_BYTES_MAX};
use super::reason::Reason;
use super::summary::Summary;
use super::unpack::Packing;
use crate::arguments::IngestArgs;
use crate::error::CliError;
use mcplog::error::WaitError;
use mcplog::health::Part;
use mcplog::{Config, Event, Recorder, Refusal, Store};
use mcplog_terminal::clock::Clock;
use mcplog_terminal::interrupt::{Interrupt, outlive_terminal};
use mcplog_terminal::json;
use mcplog_terminal::progress::Progress;
use mcplog_terminal::text::escape;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often the work looks up: for an interruption, and to move the progress bar.
const LOOK_UP: Duration = Duration::from_millis(100);
/// How long to wait before a full channel is tried again.
const RETRY: Duration = Duration::from_micros(200);
/// Folding that is in trouble and has not moved for so long is given up; the log keeps what it has.
const FOLD_PATIENCE: Duration = Duration::from_secs(30);
/// How long the import waits for the store before it says why.
const TELL_AFTER: Duration = Duration::from_secs(2);
/// How long the store may take to close.
const SHUTDOWN: Duration = Duration::from_secs(60);
/// The same after an interruption: somebody waits.
const SHUTDOWN_INTERRUPTED: Duration = Duration::from_secs(5);

/// Runs the command; the exit code says whether lines were bad.
pub(crate) fn run(args: &IngestArgs, out: &mut dyn Write) -> Result<u8, CliError> {
    let interrupt = Interrupt::catch().map_err(|error| failed("listen for signals", &error))?;
    outlive_terminal().map_err(|error| failed("listen for signals", &error))?;
    let (input, bytes) = open(&args.file)?;
    let mut config = Config::new(&args.store.dir);
    args.limits.tell(&mut config);
    config.min_free_bytes = args.min_free;
    (config.is_import, config.program) = (true, Some("mcplog ingest".to_owned()));
    // Nothing of what is read could be folded.
    mcplog::plan::expect_own_database(&args.store.dir).map_err(|error| CliError::Failed(error.to_string()))?;
    let store = Store::open(config).map_err(|error| CliError::Failed(error.to_string()))?;
    let batches = reader::spawn(input).map_err(|error| failed("start the reader", &error))?;

    let progress = Progress::of_bytes("recording", bytes, false);
    let mut feed = Feed {
        store: &store,
        recorder: store.recorder(),
        stall: Stall::default(),
        interrupt: &interrupt,
        progress,
        bad_lines: BadLines::default(),
        summary: Summary::default(),
    };
    let start = Instant::now();
    let read = feed.read_all(&batches);
    let record_time = start.elapsed();
    let Feed { mut summary, mut bad_lines, progress, .. } = feed;
    progress.aside(|stderr| bad_lines.flush(stderr));
    summary.bad_lines = bad_lines.count;
    drop(progress);

    let folded = if read.is_ok() { settle(&store, &interrupt) } else { Ok(()) };
    let limits = store.limits();
    summary.damage = store.stats().health.problems.get(&Part::Damage).cloned();
    summary.interrupted = interrupt.is_requested();
    let report = store.shutdown(if summary.interrupted { SHUTDOWN_INTERRUPTED } else { SHUTDOWN });
    summary.folded_records = report.folded;
    summary.unfolded_records = report.left_in_log;
    summary.set_expired(report.expired, limits);
    summary.set_times(record_time, start.elapsed());

    let printed =
        if args.json { json::write_line(out, &summary) } else { writeln!(out, "{}", summary.text(&Clock::system())) };
    let printed = printed.and_then(|()| out.flush());
    // How the work went comes before how it was told.
    read?;
    folded?;
    printed?;
    Ok(summary.exit_code())
}

/// The input, and its size if that is known.
fn open(path: &Path) -> Result<(Box<dyn Read + Send>, Option<u64>), CliError> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let failed = |error: io::Error| CliError::Failed(format!("can't open {}: {error}", path.display()));
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(CliError::Failed(format!("can't read {}: it is a directory", path.display())));
    }
    // A pipe or a device has no size that means anything, and what is packed has another one than its text.
    let mut first = [0; Packing::BYTES];
    let is_plain = metadata.is_file()
        && file.read_at(&mut first, 0).is_ok_and(|read| Packing::of(&first[..read]) == Packing::Plain);
    Ok((Box::new(file), is_plain.then_some(metadata.len())))
}

fn failed(what: &str, error: &io::Error) -> CliError {
    CliError::Failed(format!("can't {what}: {error}"))
}

/// The main thread's state while it reads.
struct Feed<'a> {
    store: &'a Store,
    recorder: Recorder,
    stall: Stall,
    interrupt: &'a Interrupt,
    progress: Progress,
    bad_lines: BadLines,
    summary: Summary,
}

/// What became of a line.
enum Outcome {
    Recorded,
    Blank,
    Bad(Reason),
    /// Nothing: it waited for room when somebody interrupted the work.
    Interrupted,
}

impl Feed<'_> {
    fn read_all(&mut self, batches: &Receiver<io::Result<Batch>>) -> Result<(), CliError> {
        while !self.interrupt.is_requested() {
            match batches.recv_timeout(LOOK_UP) {
                Ok(Ok(batch)) => self.record_batch(&batch)?,
                Ok(Err(error)) => return Err(failed("read on", &error)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
        Ok(())
    }

    fn record_batch(&mut self, batch: &Batch) -> Result<(), CliError> {
        for (number, text) in batch.lines() {
            let parsed = text.map_or(Err(Reason::TooLong { bytes_max: LINE_BYTES_MAX }), line::parse);
            let outcome = match &parsed {
                Ok(Some(line)) => self.record(line.event())?,
                Ok(None) => Outcome::Blank,
                Err(reason) => Outcome::Bad(reason.clone()),
            };
            match outcome {
                Outcome::Recorded => self.summary.recorded_events += 1,
                Outcome::Blank => self.summary.blank_lines += 1,
                Outcome::Bad(reason) => self.progress.aside(|stderr| self.bad_lines.push(number, reason, stderr)),
                Outcome::Interrupted => return Ok(()),
            }
            self.summary.lines = number;
        }
        self.summary.input_bytes += batch.bytes_read;
        self.progress.at(self.summary.input_bytes);
        self.progress.say_count(self.summary.recorded_events, "events");
        Ok(())
    }

    /// Hands one event over, however long that takes.
    fn record(&mut self, event: Event<'_>) -> Result<Outcome, CliError> {
        let waits_since = Instant::now();
        loop {
            let Err(refused) = self.recorder.try_record(event) else { return Ok(Outcome::Recorded) };
            match refused.reason {
                Refusal::TooLarge { bytes, bytes_max } => {
                    return Ok(Outcome::Bad(Reason::TooLarge { bytes, bytes_max }));
                }
                Refusal::Full if self.interrupt.is_requested() => return Ok(Outcome::Interrupted),
                Refusal::Full => {
                    self.stall.tell(waits_since, self.store, &self.progress);
                    std::thread::sleep(RETRY);
                }
                reason => return Err(CliError::Failed(reason.to_string())),
            }
        }
    }
}

/// What was said of the store's trouble, for which the import waits.
#[derive(Default)]
struct Stall {
    told: Option<String>,
}

impl Stall {
    /// Says what is wrong with the store if it has not moved for a while, and if that was not said before.
    fn tell(&mut self, moved: Instant, store: &Store, progress: &Progress) {
        if moved.elapsed() < TELL_AFTER {
            return;
        }
        let health = store.stats().health;
        let told = (!health.is_ok()).then(|| health.to_string()).filter(|told| self.told.as_ref() != Some(told));
        if let Some(told) = told {
            progress.aside(|stderr| writeln!(stderr, "waiting: the store is {}", escape(&told)));
            self.told = Some(told);
        }
    }
}

/// Waits until everything recorded is in the database, and what the store does not keep is gone; or somebody interrupts, or
/// there is no hope.
fn settle(store: &Store, interrupt: &Interrupt) -> Result<(), CliError> {
    let mut progress = Progress::of_things("folding", store.stats().recorded);
    let mut best = (0, 0);
    let mut moved = Instant::now();
    let mut stall = Stall::default();
    while !interrupt.is_requested() {
        match store.wait_expired(LOOK_UP) {
            Ok(()) => return Ok(()),
            Err(WaitError::Timeout(_)) => {}
            Err(error) => return Err(CliError::Failed(format!("can't fold: {error}"))),
        }
        let stats = store.stats();
        progress.at(stats.folded);
        stall.tell(moved, store, &progress);
        let now = (stats.folded, stats.expired.requests());
        if now > best {
            best = now;
            moved = Instant::now();
        } else if !stats.health.is_ok() && moved.elapsed() > FOLD_PATIENCE {
            return Err(CliError::Failed(format!("folding does not go on: {}", stats.health)));
        }
    }
    Ok(())
}
