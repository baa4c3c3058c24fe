//! Why a command ends without having done its work, and the exit codes.
//!
//! Pure data. Error texts name files and limits; they never carry what an event said.

use crate::dir_args::DirArgs;
use crate::proxy::{self, LogFormat};
use mcplog::error::IndexError;
use mcplog_terminal::output::complain;
use std::io;
use std::process::ExitCode;

/// Everything went well.
pub(crate) const EXIT_OK: u8 = 0;
/// The command could not do its work: wrong usage, no store, an I/O error. Those of `check` are its verdict's.
pub(crate) const EXIT_ERROR: u8 = 1;
/// `ingest` did its work, but some lines were no events.
pub(crate) const EXIT_BAD_LINES: u8 = 2;
/// `attach` or `detach` did a part of its work, or `attached` could not read every file.
pub(crate) const EXIT_IN_PART: u8 = 2;
/// `ingest` or `backup` was interrupted, or `--fold`.
pub(crate) const EXIT_INTERRUPTED: u8 = 130;

/// Why a command gave up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The database can't be read.
    #[error("{}{}", .0, next_step(.0))]
    Index(#[from] IndexError),
    /// The output can't be written. A reader that went away (`| head`) is no error.
    #[error("can't write the output: {0}")]
    Output(#[from] io::Error),
    /// Somebody ended it before it could answer.
    #[error(
        "interrupted while records were being folded; what is folded stays so, and the next one who opens the store goes on"
    )]
    Interrupted,
    /// The proxy does not run, in words, which are said in its format.
    #[error("{0}")]
    NotRun(String, LogFormat),
    /// Anything else, in words.
    #[error("{0}")]
    Failed(String),
}

impl CliError {
    /// What went wrong, in the words of whoever found out.
    pub(crate) fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    /// The same with why it was looked for there, if no store is where nobody said that one is.
    pub(crate) fn of_store(self, store: &DirArgs) -> Self {
        match (&self, store.why_there()) {
            (Self::Index(_) | Self::Failed(_), Some(why)) if !store.is_there() => {
                Self::Failed(format!("{self}; {why}"))
            }
            _ => self,
        }
    }

    /// Prints the error, if it is one, and chooses the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if let Self::Output(error) = self
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            return ExitCode::from(EXIT_OK);
        }
        match self {
            Self::NotRun(error, format) => proxy::complain(*format, error),
            _ => complain(self),
        }
        ExitCode::from(if matches!(self, Self::Interrupted) { EXIT_INTERRUPTED } else { EXIT_ERROR })
    }
}

/// What to do about a damaged database.
fn next_step(error: &IndexError) -> &'static str {
    if error.is_corrupt() {
        "; `mcplog check` says what is damaged, `mcplog rebuild` makes the database anew from what can be read of it and the log"
    } else {
        ""
    }
}
