//! How complete an answer from the database is: what waits in the log, and what is known to be lost.
//!
//! Runs on the caller's thread, in any process, also while the store is open elsewhere. It only reads and takes no lock.
//! Not a method of the query, which knows nothing of the log.

use super::writer_lock;
use crate::ground::clock::now_ms;
use crate::ground::error::{IndexError, OpenError};
use crate::ground::file_time::written_at_ms;
use crate::ground::position::{Offset, SegmentId, Sequence, WriterId};
use crate::index::checkpoint;
use crate::query::database::Query;
use crate::query::filter::TimeRange;
use crate::query::known_missing::KnownMissing;
use crate::query::totals::{CheckpointRow, GapTotals};
use crate::record::record::Record;
use crate::segment::format::FRAMES_OFFSET;
use crate::segment::survey::Survey;
use crate::segment::unfolded_log::{FirstRecord, SetAside, UnfoldedLog, set_aside_before, unreadable_beyond};
use crate::segment::witness::Folded;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use std::io::ErrorKind;
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
    /// The number of the last record in the log that is folded, or waits to be; 0 for none.
    pub last_sequence: u64,
    /// Intact records that nobody folds by himself, because records before them are missing: those in quarantine, and those
    /// that the next opening moves there.
    pub set_aside_records: u64,
    /// Records beyond what is folded that are in no segment: they are lost. Once what follows them is folded, they are in
    /// [`Completeness::gaps`], and not here.
    pub missing_records: u64,
    /// Events of the range that are known to be lost: those that were dropped, and records that were missing when the log was
    /// folded. A gap does not say of which tool or session they were: all count.
    pub gaps: GapTotals,
    /// Records that nobody could read, and that may be of the range, and files behind the log's last record of which nobody
    /// knows what they hold. What is lost in damaged places is in [`Completeness::gaps`].
    pub quarantined_records: i64,
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
    let folded = query.read_with(checkpoint::read)?;
    let folded = folded.map(|(writer_id, checkpoint)| (writer_id, checkpoint.folded()));
    let log = look(dir, folded, was_in_use);
    // Once more: what was folded meanwhile does not wait.
    let known = query.known_missing(time_range)?;
    // Of a process that came or went meanwhile, what was read is neither state. It folds, or has folded.
    let in_use = was_in_use || writer_lock::is_held(dir);
    let mut found = Completeness::of_tables(&known, time_range, in_use);
    let (quarantine_dir, owner) = (dir.join("quarantine"), folded.map(|(writer_id, _)| writer_id));
    let set_aside = set_aside_before(&quarantine_dir, owner);
    match log {
        Ok(log) => {
            let may_be_folding = in_use;
            found.add_log(
                log.as_ref(),
                &set_aside,
                known.checkpoints.first().map(|(_, checkpoint)| *checkpoint),
                may_be_folding,
                now_ms,
            );
        }
        Err(error) => (found.log_problem, found.is_behind) = (Some(error.to_string()), true),
    }
    let may_be_of_range =
        |path: &Path| time_range.since_ts.is_none_or(|since_ts| written_at_ms(path).is_none_or(|at| at >= since_ts));
    let of_range = set_aside.iter().filter(|aside| may_be_of_range(&aside.path));
    found.set_aside_records += of_range.map(|aside| aside.records).sum::<u64>();
    let unreadable = unreadable_beyond(
        &quarantine_dir,
        owner,
        position_of(known.checkpoints.first().map(|(_, checkpoint)| *checkpoint)).0,
    );
    let of_range = unreadable.iter().filter(|path| may_be_of_range(path)).count();
    found.quarantined_records += i64::try_from(of_range).unwrap_or(i64::MAX);
    Ok(found)
}

/// Looks at the log. `folded` is whose log the database has, and how far. `None`: there is no log.
fn look(dir: &Path, folded: Option<(WriterId, Folded)>, in_use: bool) -> Result<Option<UnfoldedLog>, OpenError> {
    let wal_dir = dir.join("wal");
    if std::fs::symlink_metadata(&wal_dir).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(None);
    }
    let (database, folded) = (folded.map(|(writer_id, _)| writer_id), folded.map_or(Sequence(0).into(), |(_, at)| at));
    let survey = Survey::beyond(&wal_dir, folded.sequence)?;
    let owner = survey.owners().owner(dir, database)?;
    UnfoldedLog::look(survey, owner, folded, in_use).map(Some)
}

impl Completeness {
    /// Whether nothing is known to be missing. What a process that has the store open has recorded within the last moment
    /// ([`FOLDS_WITHIN_MS`]) is not: an answer a moment later has it.
    pub fn is_complete(&self) -> bool {
        let lost = self.gaps.events + self.quarantined_records + self.newer_records;
        !self.is_behind && !self.is_expired && self.set_aside_records + self.missing_records == 0 && lost == 0
    }

    /// What the tables say; nothing waits.
    fn of_tables(known: &KnownMissing, time_range: TimeRange, in_use: bool) -> Self {
        Self {
            in_use,
            unfolded_records: None,
            unfolded_since: None,
            log_problem: None,
            last_sequence: 0,
            set_aside_records: 0,
            missing_records: 0,
            gaps: known.gaps,
            quarantined_records: known.quarantined,
            newer_records: known.newer_records,
            kept_since: known.kept_since,
            is_expired: known.kept_since.zip(time_range.since_ts).is_some_and(|(kept, since)| since < kept),
            is_behind: false,
        }
    }

    fn add_log(
        &mut self,
        log: Option<&UnfoldedLog>,
        set_aside: &[SetAside],
        checkpoint: Option<CheckpointRow>,
        may_be_folding: bool,
        now_ms: i64,
    ) {
        let (folded, at) = position_of(checkpoint);
        let waiting = log.map_or(0, |log| log.records_beyond(folded));
        self.unfolded_records = Some(waiting);
        self.last_sequence = folded.max(log.map_or(Sequence(0), UnfoldedLog::last)).0;
        let Some(log) = log else { return };
        self.set_aside_records += log.set_aside.iter().map(|aside| aside.records).sum::<u64>();
        self.missing_records = log.lost_beyond(checkpoint.map(|_| folded), set_aside);
        self.quarantined_records += i64::try_from(log.unreadable_files).unwrap_or(i64::MAX);
        if waiting > 0 {
            let first = log.first_beyond(folded, at);
            if let FirstRecord::Payload(payload) = &first {
                self.unfolded_since = ended_at(payload);
            }
            let is_recent = |since_ts: i64| now_ms.saturating_sub(since_ts) <= FOLDS_WITHIN_MS;
            let is_being_folded = first == FirstRecord::Folded || self.unfolded_since.is_some_and(is_recent);
            self.is_behind = !(may_be_folding && is_being_folded);
        }
    }
}

fn position_of(checkpoint: Option<CheckpointRow>) -> (Sequence, (SegmentId, Offset)) {
    let number = |number: i64| u64::try_from(number).unwrap_or(0);
    checkpoint.map_or((Sequence(0), (SegmentId(0), Offset(FRAMES_OFFSET))), |checkpoint| {
        let offset = Offset(u32::try_from(checkpoint.offset).unwrap_or(FRAMES_OFFSET));
        (Sequence(number(checkpoint.sequence)), (SegmentId(number(checkpoint.segment)), offset))
    })
}

/// When that ended of which a record tells: a request with its response, which is when it is recorded.
fn ended_at(payload: &[u8]) -> Option<i64> {
    let record = Record::decode(payload).ok()?;
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
        answer.serialize_field("set_aside_records", &self.set_aside_records)?;
        answer.serialize_field("missing_records", &self.missing_records)?;
        answer.serialize_field("dropped_events", &self.gaps.events)?;
        answer.serialize_field("quarantined_records", &self.quarantined_records)?;
        answer.serialize_field("newer_records", &self.newer_records)?;
        answer.serialize_field("kept_since", &self.kept_since)?;
        answer.serialize_field("expired", &self.is_expired)?;
        answer.end()
    }
}
