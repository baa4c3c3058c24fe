//! How complete an answer from the database is: what waits in the log, and what is known to be lost.
//!
//! Runs on the caller's thread, in any process, also while the store is open elsewhere. It only reads and takes no
//! lock. Not a method of the query, which knows nothing of the log.

use super::{store_identity, writer_lock};
use crate::ground::clock::now_ms;
use crate::ground::error::{IndexError, OpenError, PathError, SegmentError};
use crate::ground::finding::Finding;
use crate::ground::position::{Offset, SegmentId, Sequence, StoreId, WriterId};
use crate::query::database::Query;
use crate::query::filter::TimeRange;
use crate::query::known_missing::KnownMissing;
use crate::query::totals::{CheckpointRow, GapTotals};
use crate::record::LEVEL;
use crate::record::record::Record;
use crate::segment::folder_birth;
use crate::segment::folder_lock::probe;
use crate::segment::place::Place;
use crate::segment::waiting_log::{WaitingLog, first_told};
use crate::segment::writer_folder::{WriterFolder, writer_folders};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use std::collections::HashMap;
use std::path::Path;

/// A store that is open folds what was recorded within a second, if the machine has time for it: a sync interval, and
/// 400 ms at most for more to gather. After so long it is no moment any more, in milliseconds.
pub const FOLDS_WITHIN_MS: i64 = 5_000;

/// How complete an answer is that is read from the database after this was asked for.
///
/// Serialized, it is flat, with the members that docs/json.md lists under "answer".
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completeness {
    /// A running process has the store open, and folds. One in another container may not be seen from here.
    pub in_use: bool,
    /// Records that were in the log and not in the database, of whatever time. `None`: the log can't be read.
    pub unfolded_records: Option<u64>,
    /// When that happened of which the oldest of them tells, or ended: Unix time in milliseconds, UTC. `None`: there is
    /// none, or it can't be read.
    pub unfolded_since: Option<i64>,
    /// Why the log can't be read.
    pub log_problem: Option<String>,
    /// The writers whose logs have records that wait, and the number of the last one of each.
    pub waiting: Vec<(WriterId, Sequence)>,
    /// Records beyond what is folded that are in no segment: they are lost. Once what follows them is folded, they are
    /// in [`Completeness::gaps`], and not here.
    pub missing_records: u64,
    /// Events of the range that are known to be lost: those that were dropped, and records that were missing when the
    /// log was folded. A gap does not say of which tool or session they were: all count.
    pub gaps: GapTotals,
    /// Records that nobody could read, and that may be of the range. What is lost in damaged places is in
    /// [`Completeness::gaps`].
    pub quarantined_records: i64,
    /// Files behind a log's last record that can't be read, and that may have had records of the range: how many, nobody
    /// knows.
    pub unreadable_files: i64,
    /// Records of a newer mcplog that wait for it, and that may be of the range.
    pub newer_records: i64,
    /// What is from before has expired: Unix time in milliseconds, UTC. `None`: nothing has.
    pub kept_since: Option<i64>,
    /// Whether the range begins before that. A range without a beginning is about what is on record, and does not.
    pub is_expired: bool,
    /// Whether records wait longer than it takes to fold them.
    pub is_behind: bool,
}

/// Says how complete an answer about `time_range` is that is read through `query` from now on.
///
/// It counts what was in the log when it was asked and is not in the database: all that such an answer may lack is
/// counted, and of that what is folded while the answer is being read may be in it. Records that came later are not
/// counted.
///
/// # Errors
/// The database can't be read. What is wrong with the log is no error: [`Completeness::log_problem`] says it.
pub fn completeness(query: &Query, time_range: TimeRange) -> Result<Completeness, IndexError> {
    completeness_at(query, time_range, now_ms())
}

pub(super) fn completeness_at(query: &Query, time_range: TimeRange, now_ms: i64) -> Result<Completeness, IndexError> {
    let dir = query.path().parent().unwrap_or(Path::new("."));
    let was_in_use = writer_lock::is_held(dir);
    // The files first: what is folded and retired before the tables are asked is in them.
    let logs = WaitingLogs::look(dir, query);
    let known = query.known_missing(time_range)?;
    let folded = known.checkpoints.iter().map(|(writer, row)| (*writer, place(*row))).collect();
    // Of a process that came or went meanwhile, what was read is neither state. It folds, or has folded.
    let in_use = was_in_use || writer_lock::is_held(dir);
    let mut found = Completeness::of_tables(&known, time_range, in_use);
    match logs {
        Ok(logs) => found.add_logs(&logs, &folded, now_ms),
        Err(error) => (found.log_problem, found.is_behind) = (Some(error.to_string()), true),
    }
    Ok(found)
}

/// Where folding a log goes on; at its start, if the row says what no log can have.
fn place(row: CheckpointRow) -> Place {
    let place = || {
        let (segment, offset) = (SegmentId(u64::try_from(row.segment).ok()?), Offset(u32::try_from(row.offset).ok()?));
        Some(Place { segment, offset, sequence: Sequence(u64::try_from(row.sequence).ok()?) })
    };
    place().unwrap_or(Place::START)
}

/// The logs, as far as they were not folded when they were looked at.
struct WaitingLogs {
    store: Option<StoreId>,
    logs: Vec<(WriterFolder, bool, WaitingLog)>,
}

impl WaitingLogs {
    fn look(dir: &Path, query: &Query) -> Result<Self, WaitingError> {
        let store = store_identity::read(dir)?;
        let checkpoints = query.checkpoints()?.into_iter();
        let folded: HashMap<WriterId, Place> = checkpoints.map(|(writer, row)| (writer, place(row))).collect();
        let mut logs = Vec::new();
        for folder in folder_birth::logs(writer_folders(&dir.join("wal"))?) {
            // A writer that lives may still write again what looks missing.
            let is_dead = probe(&folder.path).is_ok_and(|is_held| !is_held);
            let from = folded.get(&folder.writer).copied().unwrap_or(Place::START);
            match WaitingLog::look(&folder, store, from, LEVEL) {
                Ok(log) => logs.push((folder, is_dead, log)),
                // It was folded, and is gone.
                Err(SegmentError::Gone { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self { store, logs })
    }
}

/// Why the logs can't be looked at.
#[derive(Debug, thiserror::Error)]
enum WaitingError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl Completeness {
    /// Whether nothing is known to be missing. What a process that has the store open has recorded within the last
    /// moment ([`FOLDS_WITHIN_MS`]) is not: an answer a moment later has it.
    pub fn is_complete(&self) -> bool {
        let lost = self.gaps.events + self.quarantined_records + self.unreadable_files + self.newer_records;
        !self.is_behind && !self.is_expired && self.missing_records == 0 && lost == 0
    }

    /// What the tables say; nothing waits.
    fn of_tables(known: &KnownMissing, time_range: TimeRange, in_use: bool) -> Self {
        Self {
            in_use,
            unfolded_records: None,
            unfolded_since: None,
            log_problem: None,
            waiting: Vec::new(),
            missing_records: 0,
            gaps: known.gaps,
            quarantined_records: known.quarantined,
            unreadable_files: known.unreadable_files,
            newer_records: known.newer_records,
            kept_since: known.kept_since,
            is_expired: known.kept_since.zip(time_range.since_ts).is_some_and(|(kept, since)| since < kept),
            is_behind: false,
        }
    }

    fn add_logs(&mut self, logs: &WaitingLogs, folded: &HashMap<WriterId, Place>, now_ms: i64) {
        let (mut waiting_records, mut is_moment) = (0, true);
        for (folder, is_dead, log) in &logs.logs {
            let from = folded.get(&folder.writer).copied().unwrap_or(Place::START);
            if *is_dead {
                self.missing_records += log.missing_beyond(from.sequence);
                self.unreadable_files += i64::try_from(log.unreadable_files).unwrap_or(i64::MAX);
            }
            if let Some(waits) = &log.waits {
                let Finding { path, text, .. } = waits.finding();
                (self.log_problem, self.is_behind) = (Some(format!("{}: {text}", path.display())), true);
            }
            let records = log.records_beyond(from.sequence);
            if records == 0 {
                continue;
            }
            waiting_records += records;
            self.waiting.push((folder.writer, log.last()));
            let first = first_told(folder, logs.store, from, ended_at);
            self.unfolded_since = [self.unfolded_since, first].into_iter().flatten().min();
            // What can't be read any more was retired in this instant.
            is_moment &= first.is_none_or(|since_ts| now_ms.saturating_sub(since_ts) <= FOLDS_WITHIN_MS);
        }
        self.unfolded_records = Some(waiting_records);
        self.is_behind |= waiting_records > 0 && !(self.in_use && is_moment);
    }
}

/// When that ended of which a record tells: a request with its response, which is when it is recorded. `None`: it is
/// the log's own, or none.
fn ended_at(payload: &[u8]) -> Option<i64> {
    let record = Record::decode(payload).ok()?;
    if matches!(record, Record::WriterBegan(_) | Record::WriterEnded(_)) {
        return None;
    }
    let lasted_ms = if let Record::Request(request) = &record { request.latency_us / 1_000 } else { 0 };
    Some(record.happened_at().saturating_add(lasted_ms))
}

impl Serialize for Completeness {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut answer = serializer.serialize_struct("Completeness", 12)?;
        answer.serialize_field("complete", &self.is_complete())?;
        answer.serialize_field("in_use", &self.in_use)?;
        answer.serialize_field("unfolded_records", &self.unfolded_records)?;
        answer.serialize_field("unfolded_since", &self.unfolded_since)?;
        answer.serialize_field("log_problem", &self.log_problem)?;
        answer.serialize_field("missing_records", &self.missing_records)?;
        answer.serialize_field("dropped_events", &self.gaps.events)?;
        answer.serialize_field("quarantined_records", &self.quarantined_records)?;
        answer.serialize_field("unreadable_files", &self.unreadable_files)?;
        answer.serialize_field("newer_records", &self.newer_records)?;
        answer.serialize_field("kept_since", &self.kept_since)?;
        answer.serialize_field("expired", &self.is_expired)?;
        answer.end()
    }
}
