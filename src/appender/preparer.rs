//! The preparing thread: makes the segment that comes next before it is needed, and the folder of a new log with its first.
//!
//! Allocating and populating a segment takes milliseconds; the appender must not wait for that. It orders the next segment
//! while the active one takes frames, and nothing while it is idle: a segment that nobody may ever need would take room
//! and memory. The thread sleeps until something is ordered, makes it, and waits until that is taken.

use crate::ground::config::Config;
use crate::ground::error::{AtPath, OpenError, PathError};
use crate::ground::position::{SegmentId, StoreId, WriterId};
use crate::ground::private_dir::create_private_dir;
use crate::ground::room::Reserve;
use crate::ground::sabotage::{self, Spot};
use crate::segment::folder_birth::NewFolder;
use crate::segment::log_home::LogHome;
use crate::segment::writer::PreparedSegment;
use crate::segment::writer_folder::WriterFolder;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the appender waits for a segment before it says so, and looks whether it is to give up. A btrfs without
/// room takes half a minute to say that there is none.
const PATIENCE: Duration = Duration::from_secs(1);

/// A segment, or why there is none: the appender decides when to order again.
pub(crate) type PrepareResult = Result<Prepared, PathError>;

/// A segment that is to be made.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) id: SegmentId,
    pub(crate) bytes: u32,
    pub(crate) log: OrderedLog,
}

/// The log that it is made for.
#[derive(Clone, Debug)]
pub(crate) enum OrderedLog {
    /// One that this makes, too.
    New { store: StoreId, writer: WriterId },
    /// One that is there.
    Existing(LogHome),
}

impl OrderedLog {
    /// Whether something that was made serves this log.
    fn is_served_by(&self, prepared: &Prepared) -> bool {
        match self {
            // Whatever its id: it has none before that.
            Self::New { .. } => prepared.folder.is_some(),
            Self::Existing(home) => prepared.folder.is_none() && home.path() == prepared.segment.home().path(),
        }
    }
}

/// What was made.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) segment: PreparedSegment,
    /// The folder of a log of which this is the first segment. It does not have its place yet.
    pub(crate) folder: Option<NewFolder>,
}

impl Prepared {
    /// Removes what nobody needs any more.
    fn discard(self) {
        // The segment first: a folder goes when nothing is in it.
        self.segment.discard();
    }
}

/// What segments are made of.
#[derive(Clone, Debug)]
pub(crate) struct Preparer {
    wal_dir: PathBuf,
    /// What is left free of the disk.
    reserve: Reserve,
}

impl Preparer {
    /// For a store in which there is room beyond what it leaves to others.
    pub(crate) fn new(config: &Config) -> Self {
        Self { wal_dir: config.wal_dir(), reserve: Reserve::new(config) }
    }

    fn prepare(&self, order: Order) -> PrepareResult {
        let Order { id, bytes, log } = order;
        sabotage::at(Spot::Prepare, &self.wal_dir).at("prepare a segment in", &self.wal_dir)?;
        let admitted = self.reserve.admits_segment(bytes.into());
        admitted
            .map_err(|too_little| io::Error::new(io::ErrorKind::StorageFull, too_little))
            .at("prepare a segment in", &self.wal_dir)?;
        match log {
            OrderedLog::Existing(home) => {
                let segment = PreparedSegment::create_in(home.path(), &home, id, bytes)?;
                Ok(Prepared { segment, folder: None })
            }
            OrderedLog::New { store, writer } => {
                self.make_wal_dir()?;
                // Where anything fails from here on, the folder goes with `folder`.
                let folder = NewFolder::create(&self.wal_dir, store, writer)?;
                sabotage::at(Spot::PrepareFirst, &self.wal_dir).at("prepare a segment in", &self.wal_dir)?;
                let home = LogHome::of_new(&folder, WriterFolder::within(&self.wal_dir, writer).path)?;
                let segment = PreparedSegment::create_in(folder.path(), &home, id, bytes)?;
                Ok(Prepared { segment, folder: Some(folder) })
            }
        }
    }

    /// The directory of all logs comes with the first record of the first writer.
    fn make_wal_dir(&self) -> Result<(), PathError> {
        create_private_dir(&self.wal_dir).map_err(|error| match error {
            OpenError::Io(error) => error,
            other => {
                let source = io::Error::other(other.to_string());
                PathError { operation: "create directory", path: self.wal_dir.clone(), source }
            }
        })
    }

    /// Prepares what is ordered until nobody orders or takes any more.
    pub(crate) fn run(self, work: PreparerWork) {
        for order in &work.orders {
            if let Err(unwanted) = work.prepared.send(self.prepare(order)) {
                if let Ok(prepared) = unwanted.into_inner() {
                    prepared.discard();
                }
                return;
            }
        }
    }
}

/// The preparing thread's ends of its two channels.
#[derive(Debug)]
pub(crate) struct PreparerWork {
    orders: Receiver<Order>,
    prepared: Sender<PrepareResult>,
}

/// Where the appender orders segments and takes them. Dropping it ends the preparing thread.
#[derive(Debug)]
pub(crate) struct Supply {
    orders: Sender<Order>,
    /// Of capacity zero: what nobody takes stays with the preparing thread, which removes it.
    prepared: Receiver<PrepareResult>,
    /// Something is ordered and was not taken yet.
    is_ordered: bool,
    /// For when the preparing thread has died.
    preparer: Preparer,
}

impl Supply {
    /// A supply, and the work of the preparing thread.
    pub(crate) fn new(preparer: Preparer) -> (PreparerWork, Self) {
        let (orders, ordered) = crossbeam_channel::bounded(1);
        let (sender, prepared) = crossbeam_channel::bounded(0);
        (PreparerWork { orders: ordered, prepared: sender }, Self { orders, prepared, is_ordered: false, preparer })
    }

    /// Has a segment made that is likely to be the next, unless one is being made. Never waits.
    pub(crate) fn order_ahead(&mut self, order: Order) {
        self.is_ordered = self.is_ordered || self.orders.try_send(order).is_ok();
    }

    /// Gives back a segment that was ordered ahead, if it is there: it may not be needed for long.
    pub(crate) fn discard_ahead(&mut self) {
        if self.is_ordered
            && let Ok(result) = self.prepared.try_recv()
        {
            self.is_ordered = false;
            result.map(Prepared::discard).unwrap_or_default();
        }
    }

    /// The segment that is needed now, or one that was ordered ahead and has as much room. It is ready, or soon will be;
    /// only if the preparing thread died is it made here. Of the order only `needed_bytes` must be met.
    ///
    /// # Errors
    /// There is no room, or not within [`PATIENCE`].
    pub(crate) fn take(&mut self, order: &Order, needed_bytes: u32) -> PrepareResult {
        if self.is_ordered {
            match self.wait() {
                Ok(ahead) if order.log.is_served_by(&ahead) && ahead.segment.bytes() >= needed_bytes => {
                    return Ok(ahead);
                }
                Ok(ahead) => ahead.discard(),
                // Still being made: nothing else can be before that.
                Err(error) if self.is_ordered => return Err(error),
                // It failed some time ago.
                Err(_) => {}
            }
        }
        self.order_ahead(order.clone());
        if self.is_ordered { self.wait() } else { self.preparer.prepare(order.clone()) }
    }

    /// Waits for what is ordered, which may take longer than that: then it is still ordered.
    fn wait(&mut self) -> PrepareResult {
        let taken = self.prepared.recv_timeout(PATIENCE);
        self.is_ordered = matches!(taken, Err(RecvTimeoutError::Timeout));
        let error = |kind, why| Err(fault(&self.preparer.wal_dir, io::Error::new(kind, why)));
        match taken {
            Ok(taken) => taken,
            Err(RecvTimeoutError::Timeout) => error(io::ErrorKind::TimedOut, "the file system is still at it"),
            Err(RecvTimeoutError::Disconnected) => error(io::ErrorKind::BrokenPipe, "the preparing thread is gone"),
        }
    }
}

fn fault(wal_dir: &Path, source: io::Error) -> PathError {
    PathError { operation: "prepare a segment in", path: wal_dir.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::writer_folder::writer_folders;
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    use std::fs::File;
    use std::process::Command;

    const ALONE: &str = "MCPLOG_TEST_ALONE";

    #[test]
    fn a_birth_that_runs_out_of_file_descriptors_leaves_nothing() {
        // The limit is the whole process's, and other tests run in this one.
        if std::env::var_os(ALONE).is_none() {
            let name = "appender::preparer::tests::a_birth_that_runs_out_of_file_descriptors_leaves_nothing";
            let mut child = Command::new(std::env::current_exe().unwrap());
            let output = child.args(["--exact", name]).env(ALONE, "1").output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::new(dir.path());
        config.min_free_bytes = Some(0);
        let preparer = Preparer::new(&config);
        preparer.make_wal_dir().unwrap();
        let limit = Rlimit { current: Some(64), ..getrlimit(Resource::Nofile) };
        setrlimit(Resource::Nofile, limit).unwrap();
        let mut made = Vec::new();
        for free in 0..12 {
            let mut files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
            files.truncate(files.len() - free);
            let log = OrderedLog::New { store: StoreId([5; 16]), writer: WriterId([7; 16]) };
            let prepared = preparer.prepare(Order { id: SegmentId(1), bytes: 65536, log });
            made.push(prepared.is_ok());
            drop(prepared);
            drop(files);
            assert_eq!(writer_folders(&config.wal_dir()).unwrap(), Default::default(), "{free} free");
        }
        assert!(made.is_sorted() && !made[0] && made[11], "{made:?}");
    }
}
