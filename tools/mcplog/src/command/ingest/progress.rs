//! The progress bar on stderr: reading first, folding after it. Nothing at all where stderr is no terminal.
//!
//! Drawn on the main thread, as often as it is told something new.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, Write};
use std::time::Duration;

/// How often a bar moves although nothing new was said.
const TICK: Duration = Duration::from_millis(120);

/// What the main thread says while it works.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Reading; `bytes` is the input's size, if it is known.
    pub(super) fn reading(bytes: Option<u64>) -> Self {
        let (bar, template) = match bytes {
            Some(bytes) => (
                ProgressBar::new(bytes),
                "{spinner:.cyan} recording {wide_bar:.cyan/dim} {percent:>3} %  {msg}  {eta:>4} left",
            ),
            None => (ProgressBar::no_length(), "{spinner:.cyan} recording  {bytes}  {msg}  {elapsed}"),
        };
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        bar.set_style(style(template));
        bar.enable_steady_tick(TICK);
        Self { bar }
    }

    pub(super) fn read(&self, bytes: u64, events: u64) {
        self.bar.inc(bytes);
        self.bar.set_message(format!("{} events", super::progress::grouped(events)));
    }

    /// From here on: folding `records` records.
    pub(super) fn start_folding(&self, records: u64) {
        self.bar.reset();
        self.bar.set_message("");
        self.bar.set_length(records);
        self.bar.set_style(style(
            "{spinner:.cyan} folding   {wide_bar:.cyan/dim} {percent:>3} %  {human_pos} of {human_len}",
        ));
        self.bar.enable_steady_tick(TICK);
    }

    pub(super) fn folded(&self, records: u64) {
        self.bar.set_position(records);
    }

    /// Lets `write` write to stderr without mixing with the bar.
    pub(super) fn aside(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        // Without a stderr there is nobody to tell.
        self.bar.suspend(|| drop(write(&mut anstream::stderr())));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    let plain = ProgressStyle::default_bar();
    ProgressStyle::with_template(template).unwrap_or(plain).progress_chars("━━─")
}

fn grouped(number: u64) -> String {
    crate::units::count(i64::try_from(number).unwrap_or(i64::MAX))
}
