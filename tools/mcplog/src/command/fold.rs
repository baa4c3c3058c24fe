//! `--fold`: records that wait in the log are folded before a question is answered.
//!
//! Runs on the main thread. It opens the store as a recording process does, for as long as folding takes; where another
//! process has the store open, that one folds, and is waited for. Whatever keeps the records from being folded is said and
//! fails nothing: the question is answered all the same, with how many still wait. It must not make a store where there is
//! none, nor change what a store keeps.

use crate::error::CliError;
use mcplog::config::SEGMENT_BYTES_MIN;
use mcplog::error::{OpenError, WaitError};
use mcplog::query::{Query, TimeRange};
use mcplog::{Config, Store};
use mcplog_terminal::interrupt::Interrupt;
use mcplog_terminal::progress::Progress;
use mcplog_terminal::text::escape;
use mcplog_terminal::units::counted;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often the work looks up: for an interruption, and to move the progress bar.
const LOOK_UP: Duration = Duration::from_millis(100);
/// What is done sooner needs neither a bar nor a word.
const TELL_AFTER: Duration = Duration::from_secs(1);
/// Folding that has not moved for so long is given up: a disk that is full stays full for a while.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the store may take to close.
const SHUTDOWN: Duration = Duration::from_secs(60);
/// The same after an interruption: somebody waits.
const SHUTDOWN_INTERRUPTED: Duration = Duration::from_secs(5);
/// Nothing is recorded, and the memory of the channel is touched when a store is opened.
const CHANNEL_EVENTS: usize = 1_024;

/// Has what waits in the log of the store in `dir` folded, as far as that can be done.
///
/// # Errors
/// The database can't be read, or somebody interrupted the work.
pub(super) fn fold_first(dir: &Path, interrupt: &Interrupt, err: &mut dyn Write) -> Result<(), CliError> {
    // Closed before the store is opened: who closes a database last empties its WAL, and a reader can't.
    let waiting = mcplog::completeness(&Query::open(dir)?, TimeRange::default())?;
    if waiting.unfolded_records == Some(0) {
        return Ok(());
    }
    let mut turn = Turn { last: waiting.last_sequence, moved: Movement::new(), told: false };
    while !interrupt.is_requested() {
        match Store::open(config(dir)) {
            Ok(store) => {
                fold(store, interrupt, err);
                break;
            }
            Err(OpenError::Locked { pid, .. }) => {
                if turn.is_over(dir, pid, err)? {
                    break;
                }
                std::thread::sleep(LOOK_UP);
            }
            Err(error) => {
                say(err, &format!("Nothing can be folded first: {error}"));
                break;
            }
        }
    }
    if interrupt.is_requested() { Err(CliError::Interrupted) } else { Ok(()) }
}

/// Says nothing of any limit, so that the store goes by what it was last told.
fn config(dir: &Path) -> Config {
    let mut config = Config::new(dir);
    (config.channel_events, config.segment_bytes) = (CHANNEL_EVENTS, SEGMENT_BYTES_MIN);
    config
}

/// Waits until the store has folded everything, and closes it.
fn fold(store: Store, interrupt: &Interrupt, err: &mut dyn Write) {
    let all = store.stats().lag_records;
    let mut moved = Movement::new();
    let mut progress = None;
    let failed = loop {
        if interrupt.is_requested() {
            break None;
        }
        match store.wait_folded(LOOK_UP) {
            Ok(()) => break None,
            Err(WaitError::Timeout(_)) => {}
            Err(error) => break Some(error.to_string()),
        }
        let stats = store.stats();
        let folded = all.saturating_sub(stats.lag_records);
        if moved.is_stuck(folded) {
            break Some(format!("folding does not go on: {}", stats.health));
        }
        if moved.began.elapsed() > TELL_AFTER {
            progress.get_or_insert_with(|| Progress::of_things("folding", all)).at(folded);
        }
    };
    drop(progress);
    store.shutdown(if interrupt.is_requested() { SHUTDOWN_INTERRUPTED } else { SHUTDOWN });
    if let Some(failed) = failed {
        say(err, &format!("Not everything could be folded first: {failed}"));
    }
}

/// Waiting for another process, which has the store open and folds.
struct Turn {
    /// The number of the last record that is waited for.
    last: u64,
    moved: Movement,
    told: bool,
}

impl Turn {
    /// Whether that process has folded everything that is waited for, or does not get on.
    fn is_over(&mut self, dir: &Path, pid: Option<u32>, err: &mut dyn Write) -> Result<bool, CliError> {
        let checkpoint = Query::open(dir)?.checkpoint()?;
        let folded = checkpoint.and_then(|checkpoint| u64::try_from(checkpoint.sequence).ok()).unwrap_or(0);
        if folded >= self.last {
            return Ok(true);
        }
        let process = pid.map_or("another process".to_owned(), |pid| format!("process {pid}"));
        if self.moved.is_stuck(folded) {
            say(err, &format!("Not everything is folded: {process} has the store open, and does not get on."));
            return Ok(true);
        }
        if self.moved.began.elapsed() > TELL_AFTER && !std::mem::replace(&mut self.told, true) {
            let records = counted(self.last - folded, "record");
            say(err, &format!("Waiting for {process}, which has the store open, to fold {records}; Ctrl-C ends that."));
        }
        Ok(false)
    }
}

/// How far folding has come, and since when it has not moved.
struct Movement {
    began: Instant,
    moved: Instant,
    folded: Option<u64>,
}

impl Movement {
    fn new() -> Self {
        Self { began: Instant::now(), moved: Instant::now(), folded: None }
    }

    /// Whether folding, which has come so far, has not moved for too long.
    fn is_stuck(&mut self, folded: u64) -> bool {
        if self.folded != Some(folded) {
            (self.folded, self.moved) = (Some(folded), Instant::now());
        }
        self.moved.elapsed() > PATIENCE
    }
}

fn say(err: &mut dyn Write, text: &str) {
    // Without a standard error there is nobody to tell.
    let _ = writeln!(err, "{}", escape(text));
}
