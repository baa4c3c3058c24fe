//! The progress bar on standard error: only where that is a terminal, and never among the output.
//!
//! Drawn by the thread that tells it something new, and by one of its own where the work may be silent for long.

use crate::units::count;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Work that is done before this needs no bar.
const DELAY: Duration = Duration::from_millis(400);
/// How often a bar is drawn at most, per second.
const DRAWS_HZ: u8 = 8;
/// How often a bar moves although nothing new was said.
const TICK: Duration = Duration::from_millis(120);
/// How many bytes may go by between looks at the clock, before the bar is there.
const LOOK_BYTES: u64 = 1024 * 1024;
/// The length of a bar that is about a share: thousandths.
const STEPS: u64 = 1_000;

const BYTES: &str = "{prefix} {wide_bar:.cyan/dim} {percent:>3} %  {binary_bytes_per_sec}  {msg}  {eta:>4} left";
const BYTES_OF_UNKNOWN: &str = "{prefix}  {bytes}  {binary_bytes_per_sec}  {msg}  {elapsed}";
const SHARE: &str = "{spinner:.cyan} {prefix} {msg} {wide_bar:.cyan/dim} {percent:>3} %";
const THINGS: &str = "{spinner:.cyan} {prefix} {wide_bar:.cyan/dim} {percent:>3} %  {human_pos} of {human_len}";

/// How much of some work is done.
pub struct Progress {
    bar: ProgressBar,
    /// The bar is still to come, if the work takes long.
    waits: Option<Wait>,
    done: u64,
}

struct Wait {
    since: Instant,
    looked_at: u64,
}

impl Progress {
    /// Bytes that are read, `total` of them if that is known. The bar comes if the work takes long; never if `hidden`.
    #[must_use]
    pub fn of_bytes(doing: &'static str, total: Option<u64>, hidden: bool) -> Self {
        let template = if total.is_some() { BYTES } else { BYTES_OF_UNKNOWN };
        let is_seen = !hidden && io::stderr().is_terminal();
        let waits = is_seen.then(|| Wait { since: Instant::now(), looked_at: 0 });
        Self { bar: bar_of(doing, total, template, ProgressDrawTarget::hidden()), waits, done: 0 }
    }

    /// A share from 0 to 1 of work that may be silent for a while; the bar is there at once.
    #[must_use]
    pub fn of_share(doing: &'static str) -> Self {
        Self::at_once(bar_of(doing, Some(STEPS), SHARE, stderr()))
    }

    /// So many things that are done one after the other; the bar is there at once.
    #[must_use]
    pub fn of_things(doing: &'static str, total: u64) -> Self {
        Self::at_once(bar_of(doing, Some(total), THINGS, stderr()))
    }

    fn at_once(bar: ProgressBar) -> Self {
        bar.enable_steady_tick(TICK);
        Self { bar, waits: None, done: 0 }
    }

    /// So much is done, of all.
    pub fn at(&mut self, done: u64) {
        self.done = done;
        if let Some(wait) = &mut self.waits {
            if done.saturating_sub(wait.looked_at) < LOOK_BYTES {
                return;
            }
            wait.looked_at = done;
            if wait.since.elapsed() < DELAY {
                return;
            }
            self.bar.set_draw_target(stderr());
            self.waits = None;
        }
        self.bar.set_position(done);
    }

    /// Such a share is done.
    pub fn at_share(&mut self, share: f64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share from 0 to 1")]
        self.at((share * STEPS as f64) as u64);
    }

    /// How much is done.
    #[must_use]
    pub const fn done(&self) -> u64 {
        self.done
    }

    /// What is at work just now.
    pub fn say(&self, what: impl Into<String>) {
        self.bar.set_message(what.into());
    }

    /// How many of something came of it so far.
    pub fn say_count(&self, number: u64, nouns: &str) {
        self.say(format!("{} {nouns}", count(number)));
    }

    /// Takes the bar off the screen while something is written there.
    pub fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// Lets `write` write to standard error without mixing with the bar.
    pub fn aside(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        // Without a standard error there is nobody to tell.
        self.suspend(|| drop(write(&mut anstream::stderr())));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn stderr() -> ProgressDrawTarget {
    ProgressDrawTarget::stderr_with_hz(DRAWS_HZ)
}

fn bar_of(doing: &'static str, total: Option<u64>, template: &str, target: ProgressDrawTarget) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(total, target);
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("━━─"));
    bar.set_prefix(doing);
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_is_known_whether_or_not_a_bar_is_seen() {
        let mut bytes = Progress::of_bytes("reading", Some(10 * LOOK_BYTES), true);
        bytes.at(LOOK_BYTES);
        assert_eq!(bytes.done(), LOOK_BYTES);
        let mut share = Progress::of_share("checking");
        share.at_share(0.25);
        assert_eq!(share.done(), STEPS / 4);
        assert_eq!(bytes.suspend(|| 7), 7);
    }

    #[test]
    fn every_template_is_one_that_the_library_knows() {
        for template in [BYTES, BYTES_OF_UNKNOWN, SHARE, THINGS] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
        assert!(ProgressStyle::with_template("{bar:x}").is_err(), "what it does not know it says");
    }
}
