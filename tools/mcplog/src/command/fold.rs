//! Records that wait in the log are folded before a question is answered: with `--fold` however long that takes, and
//! without, where nobody has the store open, for a moment.
//!
//! Runs on the main thread. It opens the store as a recording process does, for as long as folding takes; where another
//! process folds, that one is waited for. Whatever keeps the records from being folded is said and fails nothing: the
//! question is answered all the same, with how many still wait. It must not make a store where there is none, nor change
//! what a store keeps.

use crate::error::CliError;
use crate::waiting::Waiting;
use mcplog::config::SEGMENT_BYTES_MIN;
use mcplog::{Config, Store};
use mcplog_terminal::interrupt::Interrupt;
use mcplog_terminal::progress::Progress;
use mcplog_terminal::text::escape;
use mcplog_terminal::units::counted;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often the work looks up: for an interruption, and to move the progress bar.
const LOOK_UP: Duration = Duration::from_millis(100);
/// The same where somebody waits for an answer.
const LOOK_UP_SOON: Duration = Duration::from_millis(10);
/// What is done sooner needs neither a bar nor a word.
const TELL_AFTER: Duration = Duration::from_secs(1);
/// How long a question that nobody asked to fold may take longer for it.
const MOMENT: Duration = Duration::from_secs(1);
/// Folding that has not moved for so long is given up: a disk that is full stays full for a while.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the store may take to close.
const SHUTDOWN: Duration = Duration::from_secs(60);
/// The same where somebody waits: after an interruption, or for an answer.
const SHUTDOWN_SOON: Duration = Duration::from_secs(1);
/// Nothing is recorded.
const CHANNEL_EVENTS: usize = 1_024;

/// Has what waits in the log of the store in `dir` folded, as far as that can be done.
///
/// # Errors
/// The database can't be read, or somebody interrupted the work.
pub(super) fn fold_first(dir: &Path, interrupt: &Interrupt, err: &mut dyn Write) -> Result<(), CliError> {
    let waiting = Waiting::in_store(dir)?;
    let all = waiting.left()?;
    if all == 0 {
        return Ok(());
    }
    let store = match Store::open(config(dir)) {
        Ok(store) => store,
        Err(error) => {
            say(err, &format!("Nothing can be folded first: {error}"));
            return Ok(());
        }
    };
    let mut moved = Movement::new(all);
    let (mut progress, mut told) = (None, false);
    let left = loop {
        let left = waiting.left()?;
        if left == 0 || interrupt.is_requested() || moved.is_stuck(left) {
            break left;
        }
        if moved.began.elapsed() > TELL_AFTER {
            progress.get_or_insert_with(|| Progress::of_things("folding", all)).at(all - left);
        }
        if moved.stands() > TELL_AFTER && !std::mem::replace(&mut told, true) {
            let records = counted(left, "record");
            say(err, &format!("Waiting until {records} can be folded; Ctrl-C ends that."));
        }
        std::thread::sleep(if moved.began.elapsed() > TELL_AFTER { LOOK_UP } else { LOOK_UP_SOON });
    };
    drop(progress);
    let health = store.stats().health;
    store.shutdown(if interrupt.is_requested() { SHUTDOWN_SOON } else { SHUTDOWN });
    if interrupt.is_requested() {
        return Err(CliError::Interrupted);
    }
    if left > 0 {
        let records = counted(left, "record");
        say(
            err,
            &format!("Not everything could be folded first: {records} wait, and folding does not go on: {health}"),
        );
    }
    Ok(())
}

/// The same for a question that did not ask for it: for a moment only, where the store is whose who asks, and silently. What
/// can't be folded then waits, as the answer says. Whether the store is let go of again: folding that somebody keeps from
/// getting on may last longer.
pub(super) fn fold_for_a_moment(dir: &Path, waiting: &Waiting) -> bool {
    let is_owner = std::fs::metadata(dir).is_ok_and(|metadata| metadata.uid() == rustix::process::geteuid().as_raw());
    let began = Instant::now();
    let is_folded = || !waiting.left().is_ok_and(|left| left > 0);
    if !is_owner || is_folded() {
        return true;
    }
    let Ok(store) = Store::open(config(dir)) else { return true };
    while !is_folded() && began.elapsed() < MOMENT {
        std::thread::sleep(LOOK_UP_SOON);
    }
    let closing = Instant::now();
    store.shutdown(SHUTDOWN_SOON);
    closing.elapsed() < SHUTDOWN_SOON
}

/// Says nothing of any limit, so that the store goes by what it was last told.
fn config(dir: &Path) -> Config {
    let mut config = Config::new(dir);
    (config.channel_events, config.segment_bytes) = (CHANNEL_EVENTS, SEGMENT_BYTES_MIN);
    config
}

/// How far folding has come, and since when it has not moved.
struct Movement {
    began: Instant,
    moved: Instant,
    left: u64,
}

impl Movement {
    fn new(left: u64) -> Self {
        Self { began: Instant::now(), moved: Instant::now(), left }
    }

    /// Whether folding, which leaves so many records, has not moved for too long.
    fn is_stuck(&mut self, left: u64) -> bool {
        if self.left != left {
            (self.left, self.moved) = (left, Instant::now());
        }
        self.stands() > PATIENCE
    }

    /// For how long it has not moved.
    fn stands(&self) -> Duration {
        self.moved.elapsed()
    }
}

fn say(err: &mut dyn Write, text: &str) {
    // Without a standard error there is nobody to tell.
    let _ = writeln!(err, "{}", escape(text));
}
