//! A store: opens everything in order, owns the threads, and shuts them down in order.
//!
//! Runs on the caller's thread. Opening: lock, database, recovery, threads. Shutting down: the appender drains the
//! channel, the syncing thread seals the log, the compactor folds the rest.

use super::file_limit;
use super::lock::StoreLock;
use super::worker::Worker;
use crate::appender::appender::Appender;
use crate::appender::parts::AppenderParts;
use crate::appender::preparer::{Preparer, Supply};
use crate::appender::sync_loop::{SyncLoop, SyncParts};
use crate::compactor::compactor::{Compactor, CompactorParts, report_corrupt};
use crate::ground::config::Config;
use crate::ground::error::{AtPath, IndexError, OpenError, SegmentError, WaitError};
use crate::ground::health::{HealthBoard, Part};
use crate::ground::position::{SegmentId, Sequence, WriterId};
use crate::ground::private_dir::create_private_dir;
use crate::ground::progress::{Progress, Ticket};
use crate::ground::stats::{ShutdownReport, Stats};
use crate::index::checkpoint::Checkpoint;
use crate::index::database::{DATABASE_NAME, Index};
use crate::record::record::{DECODER, Decoder};
use crate::recorder::channel::Channel;
use crate::recorder::recorder::Recorder;
use crate::segment::quarantine::{Damaged, Note};
use crate::segment::recovery::{Recovered, Repair, SealedSegment, Survey, Torn};
use crate::segment::segment_list::{LogSegment, SegmentList};
use crate::segment::syncer::UnsyncedSegment;
use crate::segment::verdict::NUMBER_MAX;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long threads that were told to give up get to notice.
const GIVE_UP_GRACE: Duration = Duration::from_millis(500);

/// An open store: the only writer of its directory.
///
/// Dropping it shuts it down within [`Config::shutdown_ms`]; call [`Store::shutdown`] to choose the time and to learn
/// what became of everything.
#[derive(Debug)]
pub struct Store {
    config: Config,
    channel: Arc<Channel>,
    log: Arc<SegmentList>,
    pub(super) progress: Arc<Progress>,
    health: Arc<HealthBoard>,
    finish: Arc<AtomicBool>,
    pub(super) give_up: Arc<AtomicBool>,
    appender: Worker,
    syncer: Worker,
    preparer: Worker,
    compactor: Worker,
    cut_bytes: u64,
    stopped: bool,
}

impl Store {
    /// Opens the store in `config.dir`, creating it if need be, and recovers what a crash left.
    ///
    /// # Errors
    /// [`OpenError`]: a value in `config` is out of range, another process writes here, the directory is not ours, the
    /// log or the database can't be read or is of a newer version, or there is no room for a segment.
    pub fn open(config: Config) -> Result<Self, OpenError> {
        Self::open_with(config, DECODER)
    }

    /// The same as a build that reads payloads like this.
    pub(crate) fn open_with(config: Config, decode: Decoder) -> Result<Self, OpenError> {
        config.validate()?;
        file_limit::as_an_error(|| Self::recover_and_start(config, decode))
    }

    fn recover_and_start(config: Config, decode: Decoder) -> Result<Self, OpenError> {
        let lock = Arc::new(StoreLock::acquire(&config.dir)?);
        create_private_dir(&config.wal_dir())?;
        // Before the database is touched: a log of a newer version leaves everything as it is.
        let survey = Survey::of(&config.wal_dir())?;
        let database = Database::open(&config)?;
        let (writer_id, checkpoint) = match &database {
            Database::Ready { folded: Some((writer_id, checkpoint)), .. } => (Some(*writer_id), *checkpoint),
            Database::Ready { folded: None, .. } | Database::Corrupt(_) => (None, Checkpoint::START),
        };
        let folded = writer_id.map(|writer_id| (writer_id, checkpoint.sequence));
        let recovered = survey.recover(&config.quarantine_dir(), folded)?;
        let health = Arc::new(HealthBoard::default());
        let cut_bytes = report_repairs(&recovered, &health);
        let writer_id = match recovered.writer_id {
            Some(writer_id) => writer_id,
            None => new_writer_id(&config.dir)?,
        };
        let last_sequence = recovered.last_sequence;
        let next_segment = recovered.last_segment.max(checkpoint.segment).next();
        if next_segment.0 > NUMBER_MAX || last_sequence.0 > NUMBER_MAX {
            return Err(OpenError::Segment(SegmentError::Header {
                path: config.wal_dir(),
                expected: "segment and sequence numbers that a store can reach",
                found: format!("segment {next_segment} to come, sequence {last_sequence}"),
                never_started: false,
            }));
        }
        let durable = recovered.unsynced.first().map_or(last_sequence, UnsyncedSegment::durable_sequence);
        let log = SegmentList::new(
            recovered.segments.into_iter().map(sealed_segment),
            recovered.superseded.into_iter().map(sealed_segment),
        );
        let progress = Progress::new(last_sequence, durable, checkpoint.sequence);
        if let Database::Ready { newer_records, .. } = &database {
            progress.set_newer_records(*newer_records);
        }
        let opened = Opened {
            log: Arc::new(log),
            progress: Arc::new(progress),
            health,
            database,
            checkpoint,
            writer_id,
            last_sequence,
            next_segment,
            unsynced: recovered.unsynced,
            quarantined: recovered.quarantined,
            cut_bytes,
            decode,
        };
        Self::start(config, lock, opened)
    }

    fn start(config: Config, lock: Arc<StoreLock>, opened: Opened) -> Result<Self, OpenError> {
        let Opened { log, progress, health, writer_id, last_sequence, .. } = opened;
        let channel = Arc::new(Channel::new(config.channel_events, config.event_bytes_max()));
        let finish = Arc::new(AtomicBool::new(false));
        let give_up = Arc::new(AtomicBool::new(false));
        let spawn = |name: &'static str, work: Box<dyn FnOnce() + Send>, on_panic: Box<dyn FnOnce() + Send>| {
            let health = Arc::clone(&health);
            let died = move || {
                health.report(Part::Thread, format_args!("the {name} thread died; restart the process"));
                on_panic();
            };
            Worker::spawn(name, Arc::clone(&lock), work, died).at("start a thread for", &config.dir)
        };

        let preparer = Preparer {
            wal_dir: config.wal_dir(),
            segment_bytes: config.segment_bytes_u32(),
            next: opened.next_segment,
        };
        let (prepared, supply) = Supply::new(preparer.clone());
        let preparer = spawn("mcplog-prepare", Box::new(move || preparer.run(prepared)), Box::new(|| {}))?;

        let (sync, commands) = crossbeam_channel::unbounded();
        let (poisoned_sender, poisoned) = crossbeam_channel::bounded(1);
        let parts = AppenderParts {
            channel: Arc::clone(&channel),
            supply,
            sync,
            poisoned,
            log: Arc::clone(&log),
            progress: Arc::clone(&progress),
            health: Arc::clone(&health),
            give_up: Arc::clone(&give_up),
        };
        // Without a database nobody knows what is folded, and what was kept may be more than the log may hold.
        let is_corrupt = matches!(opened.database, Database::Corrupt(_));
        let not_counted = if is_corrupt { last_sequence } else { Sequence(0) };
        let appender = Appender::new(parts, &config, writer_id, last_sequence, not_counted)?;

        let parts = CompactorParts {
            log: Arc::clone(&log),
            progress: Arc::clone(&progress),
            health: Arc::clone(&health),
            finish: Arc::clone(&finish),
            give_up: Arc::clone(&give_up),
            decode: opened.decode,
        };
        let fold: Box<dyn FnOnce() + Send> = match opened.database {
            Database::Ready { index, .. } => {
                let compactor =
                    Compactor::new(parts, &config, writer_id, *index, opened.checkpoint, opened.quarantined);
                Box::new(move || compactor.run())
            }
            Database::Corrupt(error) => Box::new(move || report_corrupt(&error, &parts.progress, &parts.health)),
        };
        let unfolded = Arc::clone(&progress);
        let died = move || unfolded.stop_folding("the thread that folds died".into());
        let compactor = spawn("mcplog-compact", fold, Box::new(died))?;

        let parts = SyncParts {
            commands,
            poisoned: poisoned_sender,
            progress: Arc::clone(&progress),
            health: Arc::clone(&health),
            compactor: compactor.thread(),
        };
        let sync_loop = SyncLoop::new(parts, config.sync, config.sync_interval(), opened.unsynced, last_sequence);
        let unsynced = Arc::clone(&progress);
        // If a thread can't be started, those before it must not stay and hold the lock.
        let give_up_on_error = |error| {
            give_up.store(true, Ordering::Relaxed);
            compactor.thread().unpark();
            error
        };
        let syncer = spawn(
            "mcplog-sync",
            Box::new(move || sync_loop.run()),
            Box::new(move || unsynced.give_up_sync("the thread that syncs died".into())),
        )
        .map_err(give_up_on_error)?;
        let (abandoned, unanswered) = (Arc::clone(&channel), Arc::clone(&progress));
        let died = move || {
            abandoned.abandon();
            unanswered.close();
        };
        let appender =
            spawn("mcplog-append", Box::new(move || appender.run()), Box::new(died)).map_err(give_up_on_error)?;
        Ok(Self {
            config,
            channel,
            log,
            progress,
            health,
            finish,
            give_up,
            appender,
            syncer,
            preparer,
            compactor,
            cut_bytes: opened.cut_bytes,
            stopped: false,
        })
    }

    /// A handle that records into this store. Take as many as you like.
    pub fn recorder(&self) -> Recorder {
        Recorder::new(Arc::clone(&self.channel), Duration::from_millis(self.config.record_wait_ms))
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.config.dir
    }

    /// The path of the database, for [`Query`](crate::Query) or the `sqlite3` shell.
    pub fn database(&self) -> PathBuf {
        self.config.dir.join(DATABASE_NAME)
    }

    /// Waits until every event recorded before this call is durable, whatever the sync policy.
    ///
    /// # Errors
    /// [`WaitError`]: not within `timeout`, the store is shut down, or the disk refused.
    pub fn flush(&self, timeout: Duration) -> Result<(), WaitError> {
        let deadline = deadline_after(timeout);
        self.progress.wait_durable(self.draw_ticket(), deadline, timeout)
    }

    /// Waits until every event recorded before this call is in the database.
    ///
    /// By itself it gets there within a second, if the machine has time for it: a sync interval, and 400 ms at most for
    /// more to gather. Folding does not wait for more while somebody waits here.
    ///
    /// # Errors
    /// [`WaitError`]: not within `timeout`, or the store is shut down.
    pub fn wait_folded(&self, timeout: Duration) -> Result<(), WaitError> {
        let deadline = deadline_after(timeout);
        let target = self.progress.wait_answered(self.draw_ticket(), deadline, timeout)?;
        self.progress.await_folding(target);
        self.compactor.thread().unpark();
        self.progress.wait_folded(target, deadline, timeout)
    }

    /// Counters, and whether all is well.
    pub fn stats(&self) -> Stats {
        let (segments, log_bytes) = self.log.size();
        let queued = self.channel.len();
        let (appended, folded) = (self.progress.appended_events(), self.progress.folded_events());
        let lag_records = self.progress.appended().0.saturating_sub(self.progress.folded().0);
        Stats {
            recorded: appended + queued,
            dropped: self.channel.dropped(),
            appended,
            folded,
            queued,
            segments,
            log_bytes,
            lag_records,
            poisoned_segments: self.progress.poisoned_segments(),
            newer_records: self.progress.newer_records(),
            cut_bytes: self.cut_bytes,
            lag_ms: if lag_records == 0 { 0 } else { self.progress.caught_up_ms_ago() },
            health: self.health.get(),
        }
    }

    /// Shuts down: refuses new events, appends, syncs and folds what was accepted, within `timeout`.
    ///
    /// What is not folded by then stays in the log for the next one who opens the store.
    pub fn shutdown(mut self, timeout: Duration) -> ShutdownReport {
        self.stop(timeout)
    }

    pub(super) fn stop(&mut self, timeout: Duration) -> ShutdownReport {
        let deadline = deadline_after(timeout);
        self.channel.begin_closing();
        if !self.appender.wait(deadline) {
            self.give_up.store(true, Ordering::Relaxed);
            if !self.appender.wait(Instant::now() + GIVE_UP_GRACE) {
                self.channel.abandon();
            }
        }
        self.stopped = true;
        // The log is sealed before the compactor is told that nothing more comes.
        self.syncer.wait(deadline);
        self.preparer.wait(deadline);
        self.finish.store(true, Ordering::Release);
        if !self.compactor.wait(deadline) {
            self.give_up.store(true, Ordering::Relaxed);
            self.compactor.wait(Instant::now() + GIVE_UP_GRACE);
        }
        ShutdownReport {
            appended: self.progress.appended_events(),
            folded: self.progress.folded_events(),
            dropped: self.channel.dropped(),
            left_in_log: self.progress.appended().0.saturating_sub(self.progress.folded().0),
            health: self.health.get(),
        }
    }

    /// Draws a ticket for what was recorded so far, and has the appender see to it.
    fn draw_ticket(&self) -> Ticket {
        let ticket = self.progress.draw();
        self.appender.thread().unpark();
        ticket
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if !self.stopped {
            self.stop(Duration::from_millis(self.config.shutdown_ms));
        }
    }
}

/// When `timeout` will have passed; a year from now for one that no clock can hold.
fn deadline_after(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or(now + Duration::from_secs(365 * 24 * 3600))
}

/// What is known once lock, database and log are open.
struct Opened {
    log: Arc<SegmentList>,
    pub(super) progress: Arc<Progress>,
    health: Arc<HealthBoard>,
    database: Database,
    checkpoint: Checkpoint,
    writer_id: WriterId,
    last_sequence: Sequence,
    next_segment: SegmentId,
    unsynced: Vec<UnsyncedSegment>,
    quarantined: Vec<Note>,
    cut_bytes: u64,
    decode: Decoder,
}

/// The database, if it can be used.
enum Database {
    Ready {
        index: Box<Index>,
        /// Whose log is folded there, and how far.
        folded: Option<(WriterId, Checkpoint)>,
        /// Records that wait there for a newer build.
        newer_records: u64,
    },
    /// It is damaged: recording goes on without it.
    Corrupt(IndexError),
}

impl Database {
    fn open(config: &Config) -> Result<Self, OpenError> {
        let opened = Index::open(config).and_then(|index| {
            let folded = index.checkpoint()?;
            let newer_records = index.newer_kinds()?.iter().map(|kind| kind.records).sum();
            Ok(Self::Ready { index: Box::new(index), folded, newer_records })
        });
        match opened {
            Err(OpenError::Index(error)) if error.is_corrupt() => Ok(Self::Corrupt(error)),
            opened => opened,
        }
    }
}

fn sealed_segment(segment: SealedSegment) -> LogSegment {
    LogSegment::sealed(segment.path, &segment.header, segment.extent)
}

/// Says what recovery had to do; returns how many bytes of torn tails it cut off.
fn report_repairs(recovered: &Recovered, health: &HealthBoard) -> u64 {
    let mut cut_bytes = 0;
    for repair in &recovered.repairs {
        match repair {
            Repair::Sealed { segment, at } => {
                tracing::info!(%segment, at, "the last run did not end cleanly; its last segment was sealed");
            }
            Repair::Cut { segment, at, torn: Torn { bytes, frames_follow } } => {
                cut_bytes += u64::from(*bytes);
                tracing::warn!(
                    %segment, at, bytes, frames_follow,
                    "a torn tail was cut off: what a crash left behind the last frame, and nobody was promised"
                );
            }
            Repair::SetAside { segment, frames, to } => {
                tracing::warn!(
                    %segment, frames, to = %to.display(),
                    "a segment was moved aside: records before it are missing, and nobody was promised what it holds. \
                     `mcplog rebuild --from-log` folds it all the same"
                );
            }
            Repair::Disproved { segment, damaged: Damaged { offset, reason, .. } } => {
                health.report(Part::Damage, format_args!("segment {segment}, offset {offset}: {reason}"));
            }
            Repair::Quarantined { from, to, reason } => {
                health.report(Part::Damage, format_args!("{}: {reason}; moved to {}", from.display(), to.display()))
            }
        }
    }
    cut_bytes
}

/// A random (version 4) UUID.
fn new_writer_id(dir: &Path) -> Result<WriterId, crate::ground::error::PathError> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).at("get randomness for", dir)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(WriterId(bytes))
}
