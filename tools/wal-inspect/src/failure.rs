//! What ends a command early: usage, I/O, or a reader of the output that went away.

use crate::read::writer_prefix::WriterPrefix;
use mcplog::error::{PathError, SegmentError};
use mcplog::{DefaultDir, NoDefaultDir};
use std::io;
use std::path::PathBuf;

/// Why a command could not do its work. Damage in a segment is no failure but a finding.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Standard output can't be written. A broken pipe among these is no error: `| head` has seen enough.
    #[error("write the output: {0}")]
    Output(#[from] io::Error),
    /// The system refused.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A segment can't be read.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The directory is no store.
    #[error(
        "{}: no segments here; name a store's directory (the one with `wal` in it), its `wal` directory, the folder \
         of a writer in there, or segment files (000000000001.seg)", .0.display()
    )]
    NoStore(PathBuf),
    /// The directory is of a store that an earlier build made.
    #[error(
        "{}: segments of an unreleased mcplog, which had one log for all processes; this one reads none of it", .0.display()
    )]
    EarlierBuild(PathBuf),
    /// No log of such a writer.
    #[error(
        "{}: no log of a writer whose id begins with {prefix}; `wal-inspect list` shows the writers", dir.display()
    )]
    NoWriter {
        /// Where.
        dir: PathBuf,
        /// The beginning.
        prefix: WriterPrefix,
    },
    /// The directory is a store's, but nothing is in it.
    #[error(
        "{}: no segments yet; start the proxy with this directory, or wait for the first one with `wal-inspect tail \
         --follow`", .0.display()
    )]
    NoSegments(PathBuf),
    /// There is nothing where nobody said that there is something.
    #[error("{failure}; no PATH was given, and {variable} says where a store lies then")]
    ByDefault {
        /// What is wrong there.
        failure: Box<Failure>,
        /// The variable of the environment.
        variable: &'static str,
    },
    /// No path was given, and the environment has none either.
    #[error("{0}; or name a PATH")]
    NoDefault(#[from] NoDefaultDir),
    /// Only directories can be followed.
    #[error(
        "{}: only a directory can be followed, because the log goes on in the next file; name the store's directory, or \
         leave out --follow", .0.display()
    )]
    FollowFile(PathBuf),
    /// Signals can't be caught.
    #[error("catch Ctrl-C: {0}")]
    Signals(io::Error),
}

impl Failure {
    /// The same of a log that no path named.
    pub(crate) fn by_default(self) -> Self {
        match (&self, mcplog::default_dir()) {
            (Self::Path(_) | Self::NoStore(_) | Self::NoSegments(_), Ok(DefaultDir { variable, .. })) => {
                Self::ByDefault { failure: Box::new(self), variable }
            }
            _ => self,
        }
    }

    /// Whoever read the output has seen enough.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
