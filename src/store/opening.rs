//! Opening a store: lock, then database, then recovery of the log, and what is known after that.
//!
//! Runs on the thread that opens the store, before any other thread of it. It starts none.

use super::leftovers::remove_leftovers;
use super::lock::StoreLock;
use super::repair_report;
use crate::compactor::fold_start::FoldStart;
use crate::ground::config::Config;
use crate::ground::error::{HeaderFault, IndexError, OpenError, PathError, SegmentError};
use crate::ground::health::{HealthBoard, Part};
use crate::ground::limits::{Limit, Limits};
use crate::ground::machine_clock::MachineClock;
use crate::ground::position::{SegmentId, Sequence, WriterId};
use crate::ground::private_dir::create_private_dir;
use crate::ground::random_uuid::random_uuid;
use crate::ground::store_progress::StoreProgress;
use crate::index::checkpoint::{self, Checkpoint};
use crate::index::database::Index;
use crate::query::database::Query;
use crate::record::record::{ClockStepRecord, Decoder};
use crate::segment::log_owners::LogOwners;
use crate::segment::lost_numbers::LostNumbers;
use crate::segment::quarantine::Note;
use crate::segment::recovery::{RecoveredLog, SealedSegment, recover};
use crate::segment::segment_list::{LogSegment, SegmentList};
use crate::segment::survey::Survey;
use crate::segment::syncer::UnsyncedSegment;
use crate::segment::unfolded_log::{numbers, set_aside_before};
use crate::segment::verdict::NUMBER_MAX;
use crate::segment::writer_id_file::{self, FoundWriterId};
use std::path::Path;
use std::sync::Arc;

/// What is known once lock, database and log are open.
pub(super) struct Opening {
    pub(super) lock: Arc<StoreLock>,
    pub(super) log: Arc<SegmentList>,
    pub(super) progress: Arc<StoreProgress>,
    pub(super) health: Arc<HealthBoard>,
    pub(super) clock: MachineClock,
    /// The step that the clock made while nobody had the store open, as far as that can be known.
    pub(super) clock_step: Option<ClockStepRecord>,
    pub(super) database: Database,
    pub(super) writer_id: WriterId,
    /// The last sequence number in use.
    pub(super) last_sequence: Sequence,
    pub(super) next_segment: SegmentId,
    pub(super) unsynced: Vec<UnsyncedSegment>,
    /// Where folding goes on.
    pub(super) fold_start: FoldStart,
    /// How many bytes of torn tails were cut off.
    pub(super) cut_bytes: u64,
    /// Reads payloads.
    pub(super) decode: Decoder,
}

impl Opening {
    /// Opens everything, in an order in which a log or a database of a newer version leaves everything as it is.
    pub(super) fn of(config: &Config, decode: Decoder, clock: MachineClock) -> Result<Self, OpenError> {
        let lock = Arc::new(StoreLock::acquire(&config.dir)?);
        remove_leftovers(&config.dir)?;
        let wal_dir = config.wal_dir();
        create_private_dir(&wal_dir)?;
        let survey = Survey::of(&wal_dir)?;
        let owners = survey.owners();
        let mut database = Database::open(config, &owners)?;
        let clock_step = database.clock_step(clock.now().wall_ms)?;
        let owner = owners.owner(&config.dir, database.folded().map(|(writer_id, _)| writer_id))?;
        let health = HealthBoard::default();
        let writer_id = match owner {
            Some(writer_id) => writer_id,
            None => WriterId(random_uuid(&config.dir)?),
        };
        // Before anything of the log is durable: whose it is, is never guessed by whoever comes after a crash.
        write_writer_id(&wal_dir, owners.file(), writer_id, &health)?;
        let is_new = survey.is_empty();
        let checkpoint = database.checkpoint();
        let recovered = recover(survey, &config.quarantine_dir(), owner, checkpoint.folded())?;
        let next_segment = recovered.last_segment.max(checkpoint.segment).next();
        let last_sequence = recovered.last_sequence;
        if is_new && last_sequence.0 == 0 {
            database.begin_log(writer_id)?;
        }
        let set_aside = set_aside_before(&config.quarantine_dir(), Some(writer_id));
        let crash_ends = recovered.quarantined.iter().filter_map(Note::last_taken_by_crash).collect();
        let lost_numbers =
            LostNumbers::new(database.accounted(&recovered), numbers(&set_aside)).with_crash_ends(crash_ends);
        let cut_bytes = repair_report::report(&recovered.repairs, &health);
        if let Some(advice) = database.limits_advice() {
            tracing::warn!("{advice}");
            health.note(Part::Limits, Some(advice.to_owned()));
        }
        expect_reachable(&wal_dir, next_segment, last_sequence)?;
        let durable = recovered.unsynced.first().map_or(last_sequence, UnsyncedSegment::durable_sequence);
        let RecoveredLog { segments, superseded, unsynced, quarantined, .. } = recovered;
        let fold_start = FoldStart { checkpoint, lost_numbers, quarantined };
        let log = SegmentList::new(segments.into_iter().map(log_segment), superseded.into_iter().map(log_segment));
        let progress = StoreProgress::new();
        progress.set_writer(writer_id);
        progress.set_appended(last_sequence, 0);
        progress.set_durable(writer_id, durable);
        progress.set_folded(writer_id, checkpoint.sequence);
        progress.set_newer_records(database.newer_records());
        Ok(Self {
            lock,
            log: Arc::new(log),
            progress: Arc::new(progress),
            health: Arc::new(health),
            clock,
            clock_step,
            database,
            writer_id,
            last_sequence,
            next_segment,
            unsynced,
            fold_start,
            cut_bytes,
            decode,
        })
    }
}

/// The database, if it can be used.
pub(super) enum Database {
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
    fn open(config: &Config, owners: &LogOwners) -> Result<Self, OpenError> {
        expect_own(&config.dir, owners)?;
        let opened = Index::open(config, owners).and_then(|index| {
            let folded = index.checkpoint()?;
            let newer_records = index.newer_kinds()?.iter().map(|kind| kind.records).sum();
            Ok(Self::Ready { index: Box::new(index), folded, newer_records })
        });
        match opened {
            Err(OpenError::Index(error)) if error.is_corrupt() => Ok(Self::Corrupt(error)),
            opened => opened,
        }
    }

    /// The limits of the store, of which the configuration says this. A database that can't be used lets nothing go.
    pub(super) fn limits(&self, config: &Config) -> Limits {
        match self {
            Self::Ready { index, .. } => index.limits(),
            Self::Corrupt(_) => config.limits_over(Limit::unlimited),
        }
    }

    /// What people are told of limits that the database does not remember any more.
    fn limits_advice(&self) -> Option<&str> {
        match self {
            Self::Ready { index, .. } => index.limits_advice(),
            Self::Corrupt(_) => None,
        }
    }

    /// Notes that nothing of this log, which is new, is folded yet: whatever is missing in it later was lost.
    fn begin_log(&mut self, writer_id: WriterId) -> Result<(), IndexError> {
        match self {
            Self::Ready { index, folded, .. } if folded.is_none() => {
                index.begin_log(writer_id)?;
                *folded = Some((writer_id, Checkpoint::START));
                Ok(())
            }
            Self::Ready { .. } | Self::Corrupt(_) => Ok(()),
        }
    }

    /// Up to which number it is known what became of the records: they are folded. Where the database never folded
    /// anything, another one did before it was lost, and those in front of the log were retired.
    fn accounted(&self, recovered: &RecoveredLog) -> Sequence {
        let before_log = || {
            let first = recovered.segments.first().map(|segment| segment.header.base_sequence);
            first.map_or(recovered.last_sequence, |first| Sequence(first.0 - 1))
        };
        self.folded().map_or_else(before_log, |(_, checkpoint)| checkpoint.sequence)
    }

    /// Up to where the log is folded.
    pub(super) fn checkpoint(&self) -> Checkpoint {
        self.folded().map_or(Checkpoint::START, |(_, checkpoint)| checkpoint)
    }

    fn newer_records(&self) -> u64 {
        match self {
            Self::Ready { newer_records, .. } => *newer_records,
            Self::Corrupt(_) => 0,
        }
    }

    fn clock_step(&self, clock_ms: i64) -> Result<Option<ClockStepRecord>, IndexError> {
        match self {
            Self::Ready { index, .. } => index.step_back_between_runs(clock_ms),
            Self::Corrupt(_) => Ok(None),
        }
    }

    /// Whose log is folded, and how far; `None` where nothing is, or nobody knows.
    fn folded(&self) -> Option<(WriterId, Checkpoint)> {
        match self {
            Self::Ready { folded, .. } => *folded,
            Self::Corrupt(_) => None,
        }
    }
}

/// An error where the database is another store's, before it is opened for writing: that alone would bring what a killed
/// process left in its WAL into it. Where nothing lies there, opening it changes nothing.
fn expect_own(dir: &Path, owners: &LogOwners) -> Result<(), OpenError> {
    let has_wal = std::fs::metadata(dir.join("store.db-wal")).is_ok_and(|metadata| metadata.len() > 0);
    if !has_wal || owners.told().is_none() {
        return Ok(());
    }
    // What is wrong with the database otherwise, opening it says.
    let folded = Query::open_untouched(dir, false).and_then(|query| query.read_with(checkpoint::read));
    match folded {
        Ok(Some((writer_id, _))) => owners.owner(dir, Some(writer_id)).map(|_| ()),
        _ => Ok(()),
    }
}

/// Says in the log whose it is, if that is not said there. What stands in the file's place and says nothing gives way.
fn write_writer_id(
    wal_dir: &Path,
    found: &FoundWriterId,
    writer_id: WriterId,
    health: &HealthBoard,
) -> Result<(), PathError> {
    let FoundWriterId::Unsound(what) = found else {
        return if *found == FoundWriterId::Missing { writer_id_file::write(wal_dir, writer_id) } else { Ok(()) };
    };
    let path = writer_id_file::path(wal_dir);
    let expected = format!("{}: expected a writer id, found {what}", path.display());
    match writer_id_file::write(wal_dir, writer_id) {
        Ok(()) => health.report(Part::Damage, format_args!("{expected}; it was written anew, for store {writer_id}")),
        // The database and the segments say it, too.
        Err(error) => health.report(Part::Damage, format_args!("{expected}, and it can't be written anew: {error}")),
    }
    Ok(())
}

/// A segment of an earlier run, as the running store lists it.
fn log_segment(segment: SealedSegment) -> LogSegment {
    LogSegment::sealed(segment.path, &segment.header, segment.extent)
}

/// An error where the next segment and record would get numbers that no store reaches.
fn expect_reachable(wal_dir: &Path, next_segment: SegmentId, last_sequence: Sequence) -> Result<(), SegmentError> {
    if next_segment.0 <= NUMBER_MAX && last_sequence.0 <= NUMBER_MAX {
        return Ok(());
    }
    Err(SegmentError::Header {
        path: wal_dir.to_owned(),
        expected: "segment and sequence numbers that a store can reach",
        found: format!("segment {next_segment} to come, sequence {last_sequence}"),
        fault: HeaderFault::Damaged,
    })
}
