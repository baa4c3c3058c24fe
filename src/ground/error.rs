//! What can go wrong, as types: configuration, opening, the log, waiting.
//!
//! Errors name the path, the offset, what was expected and what was found. They never carry what an event said.

pub use super::access::User;

use super::access::refusal;
use super::position::{Sequence, StoreId, WriterId};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A field of [`Config`](crate::Config) out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("configuration: {field} is {found}; expected {expected}")]
pub struct ConfigError {
    /// The field's name.
    pub field: &'static str,
    /// Its value.
    pub found: String,
    /// The values that are possible.
    pub expected: String,
}

/// An I/O error and what it happened to. Where the system refused, it is told whose the file is, and who asked.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}: {source}{}", path.display(), Why { operation, path, kind: source.kind() })]
pub struct PathError {
    /// What was attempted, as a verb: `open`, `allocate`.
    pub operation: &'static str,
    /// On which path.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// What there is to add to what the system said.
struct Why<'a> {
    operation: &'a str,
    path: &'a Path,
    kind: io::ErrorKind,
}

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            io::ErrorKind::PermissionDenied => {
                if let Some(refusal) = refusal(self.path) {
                    write!(f, "; {refusal}")?;
                }
                let creates = self.operation.starts_with("create");
                f.write_str(if creates { "; record into a directory of your own" } else { "" })
            }
            io::ErrorKind::ReadOnlyFilesystem => {
                f.write_str("; record into another directory (what is recorded here can be read)")
            }
            _ => Ok(()),
        }
    }
}

impl PathError {
    /// Whether the disk can't give back what was written to it.
    pub(crate) fn is_unreadable(&self) -> bool {
        is_unreadable(&self.source)
    }
}

pub(crate) fn is_unreadable(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// Attaches a path to an [`io::Result`].
pub(crate) trait AtPath<T> {
    fn at(self, operation: &'static str, path: &Path) -> Result<T, PathError>;
}

impl<T, E: Into<io::Error>> AtPath<T> for Result<T, E> {
    fn at(self, operation: &'static str, path: &Path) -> Result<T, PathError> {
        self.map_err(|source| PathError { operation, path: path.to_owned(), source: source.into() })
    }
}

/// What is known of a file that has no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// Every byte is zero, or there is none: what a power cut leaves of a segment that was never synced, and no damage.
    NeverStarted,
    /// Its first page is lost: the file is shorter than that, or begins with zeros in the place of a header, and has
    /// something behind them. Which records it held is not known any more.
    FirstPageLost {
        /// Zeros stand in the place of the header, as a power cut leaves them where later pages reached the disk first.
        begins_with_zeros: bool,
    },
    /// Something else stands in the place of a header, or the file is no regular one.
    Damaged,
}

/// Why a segment can't be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] PathError),
    /// The file is no segment, or its header is damaged.
    #[error("{}: corrupt segment header: expected {expected}, found {found}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What the format asks for.
        expected: &'static str,
        /// What is there.
        found: String,
        /// What that makes of the file.
        fault: HeaderFault,
    },
    /// The file was written by a newer version; it is left alone.
    #[error("{}: format version {found} is not supported: this build reads up to {supported}; use a newer mcplog", path.display())]
    UnsupportedVersion {
        /// The file.
        path: PathBuf,
        /// The newest version that this build reads.
        supported: u16,
        /// The version in the header.
        found: u16,
    },
    /// A file or folder of a log that was there is not there any more: who folds has retired it.
    #[error("{}: it was there, and is gone: somebody folded and removed it", path.display())]
    Gone {
        /// The file or folder.
        path: PathBuf,
    },
    /// The log may have records that a newer version alone knows; it is left alone.
    #[error("{}: records of level {found} are not supported: this build knows up to {supported}; use a newer mcplog", path.display())]
    NeedsNewer {
        /// The file.
        path: PathBuf,
        /// The highest level that this build knows.
        supported: u16,
        /// The level that the header asks for.
        found: u16,
    },
}

/// Why a store can't be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A configuration value is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system refused.
    #[error(transparent)]
    Io(#[from] PathError),
    /// A process of an earlier build, which shares a store with nobody, records into this directory.
    #[error(
        "{} is in use by {} of an earlier mcplog, which shares it with nobody; stop that one, or record into another \
         directory (readers are always welcome)",
        dir.display(), Holder(*pid, *pid_elsewhere)
    )]
    Locked {
        /// The store's directory.
        dir: PathBuf,
        /// The process that holds the lock, if it said so and is of this process's pid namespace.
        pid: Option<u32>,
        /// Its number in its own pid namespace, if that is another one.
        pid_elsewhere: Option<u32>,
    },
    /// The store is one of an earlier build, which had one log for all. Nothing was changed.
    #[error(
        "{}: a store of an earlier build of mcplog, from before the first release, which is not read; nothing was changed. \
         Record into another directory, or move this one away",
        path.display()
    )]
    EarlierLayout {
        /// What shows that.
        path: PathBuf,
    },
    /// The file `store-id` is lost, there is no database that says which store this is, and as many logs are of one store as
    /// of another. Nothing was changed.
    #[error(
        "{}: as many logs here are of store {first} as of store {second}, and neither store-id nor a database says which is \
         the one; nothing was changed. Write the right id into store-id, or move the logs of the other store away \
         (`mcplog check` names them)",
        dir.display()
    )]
    UnknownStore {
        /// The store's directory.
        dir: PathBuf,
        /// One of the two.
        first: StoreId,
        /// The other.
        second: StoreId,
    },
    /// The task needs the store's database for itself, and who folds does not let go of it.
    #[error(
        "{}: {by} folds what is recorded, and does not let go of the database; see why it does not move, or try again later",
        dir.display()
    )]
    Folding {
        /// The store's directory.
        dir: PathBuf,
        /// Who that is.
        by: String,
    },
    /// The directory belongs to another user.
    #[error(
        "{}: belongs to {owner}, and this is {user}; record into a directory within it, or into another one",
        path.display()
    )]
    ForeignOwner {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        owner: User,
        /// Who wants to write there.
        user: User,
    },
    /// The path exists and is no directory: a symbolic link, or a file.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Unsafe {
        /// The path.
        path: PathBuf,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A segment can't be read.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The database can't be used.
    #[error(transparent)]
    Index(#[from] IndexError),
}

struct Holder(Option<u32>, Option<u32>);

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (Some(pid), _) => write!(f, "process {pid}"),
            (None, Some(pid)) => write!(f, "a process in another container (number {pid} there)"),
            (None, None) => f.write_str("another process"),
        }
    }
}

/// Why the database can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// SQLite refused.
    #[error("{}: {source}", path.display())]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// There is no database.
    #[error("{}: {}", path.display(), if *has_log {
        "there is a log here and no database; `mcplog rebuild` makes one of the segments that are kept"
    } else {
        "no store here; record something first (`mcplog demo` makes an example)"
    })]
    Missing {
        /// The database file.
        path: PathBuf,
        /// Whether there is a log beside the place where it would be.
        has_log: bool,
    },
    /// The database is from before the first release; it is left alone.
    #[error("{}: database version {found} is from before the first release and is not read; move store.db, store.db-wal and store.db-shm away: what segments are kept is then folded again", path.display())]
    UnreleasedVersion {
        /// The database file.
        path: PathBuf,
        /// The version found.
        found: i64,
    },
    /// The database is of an older version, and a reader changes nothing.
    #[error(
        "{}: database version {found} is older than {expected}, which this build reads; start what records with this build, \
         which brings the database up to date, or read it with the mcplog that wrote it",
        path.display()
    )]
    OlderVersion {
        /// The database file.
        path: PathBuf,
        /// The version that this build reads.
        expected: i64,
        /// The version found.
        found: i64,
    },
    /// An older database could not be brought up to date. It is what it was before.
    #[error(
        "{}: database version {from} could not be brought to {to} ({name}: {source}), and is what it was; mend that and try \
         again, or go on with the mcplog that wrote it",
        path.display()
    )]
    Migration {
        /// The database file.
        path: PathBuf,
        /// The version that it has.
        from: i64,
        /// The version that it was to have.
        to: i64,
        /// The step that failed.
        name: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The system refused.
    #[error(transparent)]
    Io(#[from] PathError),
    /// The file was removed, or another one put in its place, while it was in use.
    #[error("{}: the database was removed or replaced while it was in use", path.display())]
    Replaced {
        /// The database file.
        path: PathBuf,
    },
    /// The database is of another store than the directory that it lies in. It is left alone.
    #[error(
        "{}: store.db belongs to another store: it is of store {found}, and this is store {expected}; put the one back that \
         belongs here, or let `mcplog rebuild --from-log --accept-loss` put a copy of it into quarantine/ and make a new one from the log",
        path.display()
    )]
    ForeignStore {
        /// The database file.
        path: PathBuf,
        /// The store that the directory is.
        expected: StoreId,
        /// The store that the database is of.
        found: StoreId,
    },
    /// Somebody else folded meanwhile. What was read from the log is dropped, and folding goes on from where that one came to.
    #[error("{}: the log of writer {writer} is folded up to record {found} and not {expected}: somebody else folds too", path.display())]
    Moved {
        /// The database file.
        path: PathBuf,
        /// Whose log.
        writer: WriterId,
        /// The number of the last record that was thought to be folded.
        expected: Sequence,
        /// The number of the last record that is.
        found: Sequence,
    },
    /// The files of a database that can't be shared, on media that can't be written to for example, changed while they were
    /// read: somebody writes to them.
    #[error("{}: somebody began to write to the database while it was read; ask again", path.display())]
    Changed {
        /// The database file.
        path: PathBuf,
    },
    /// The file is another program's database; it is left alone.
    #[error("{}: this is another program's database, which is left alone; record into another directory", path.display())]
    NotOurs {
        /// The database file.
        path: PathBuf,
    },
    /// The database was written by a newer version; it is left alone.
    #[error("{}: database version {found} is not supported: this build knows up to {supported}; use a newer mcplog", path.display())]
    UnsupportedVersion {
        /// The database file.
        path: PathBuf,
        /// The newest version that this build knows.
        supported: i64,
        /// The version found.
        found: i64,
    },
}

impl IndexError {
    /// Whether the database is of another version than this build can use.
    pub fn is_version(&self) -> bool {
        matches!(self, Self::OlderVersion { .. } | Self::UnsupportedVersion { .. } | Self::UnreleasedVersion { .. })
    }

    /// Whether somebody else is writing to the database, and nothing else is wrong.
    pub(crate) fn is_busy(&self) -> bool {
        let Self::Sqlite { source, .. } = self else { return false };
        let code = source.sqlite_error_code();
        matches!(code, Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked))
    }

    /// Whether the database itself is damaged, or gone from its place, so that trying again can't help.
    pub fn is_corrupt(&self) -> bool {
        if let Self::Replaced { .. } = self {
            return true;
        }
        let (Self::Sqlite { source, .. } | Self::Migration { source, .. }) = self else { return false };
        let code = source.sqlite_error_code();
        matches!(code, Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase))
    }
}

/// Why waiting for the store ended without what was waited for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The time ran out; the work goes on.
    #[error("not done within {}", Millis(*.0))]
    Timeout(Duration),
    /// The store was shut down.
    #[error("the store is shut down")]
    Closed,
    /// The log could not be synced; what was waited for may be lost at a power cut, or some of it is lost already.
    #[error("the log could not be synced: {0}")]
    Sync(String),
    /// Nothing is folded any more; what was waited for stays in the log.
    #[error("folding has ended: {0}")]
    Fold(String),
}

struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0.as_millis())
    }
}
