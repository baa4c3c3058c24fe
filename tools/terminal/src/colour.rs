//! `--color`: when output has colours.
//!
//! Asked once, on the main thread, before anything is printed.

use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Colour {
    /// From now on, all of this process's `anstream` streams follow the choice.
    pub fn apply(self) {
        match self {
            // Also what a process starts with.
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        }
        .write_global();
    }

    /// Whether standard output has colours, now that a choice was applied.
    #[must_use]
    pub fn is_on_stdout() -> bool {
        AutoStream::choice(&std::io::stdout()) != ColorChoice::Never
    }
}
