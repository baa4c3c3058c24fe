//! The sources of a rebuild: the database, as it lies, and the log. Opened, read once, and told as a plan.
//!
//! Runs on the thread that rebuilds. It changes nothing, so that whoever only asks can ask while others record.

use super::old_database::{LimitsFrom, OldDatabase};
use super::rebuild_plan::{Action, DatabaseHoldings, DatabaseState, Hole, LogHoldings, RebuildPlan, losses};
use crate::compactor::log_fold::{LogContents, read_log};
use crate::ground::clock::now_ms;
use crate::ground::config::Config;
use crate::ground::error::IndexError;
use crate::ground::limits::Limit;
use crate::ground::position::{Sequence, WriterId};
use crate::ground::work::{Watch, WorkError};
use crate::index::database::DATABASE_NAME;
use crate::index::holdings;
use crate::index::row_retention::RowRetention;
use crate::query::database::Query;
use crate::segment::log_owners::LogOwners;
use crate::segment::log_walk::{ReadableLog, ReadableSegment};
use crate::segment::number_set::NumberSet;
use crate::segment::quarantine;
use crate::segment::survey::Survey;

/// What a database is made from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Its own rows where it is sound; where it is damaged, the log and what can be read of the rows; the log alone where it
    /// is gone.
    #[default]
    BestKept,
    /// The log, also where the database is sound.
    Log,
}

/// The sources, open.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) plan: RebuildPlan,
    /// What the caller said, completed by what the old database remembers.
    pub(super) told: Config,
    pub(super) limits_from: LimitsFrom,
    /// Since when the new database keeps requests.
    pub(super) kept_since: Option<i64>,
    /// Whose log it is.
    pub(super) owner: Option<WriterId>,
    pub(super) owners: LogOwners,
    /// What can be read of the old database, if it is this store's.
    pub(super) query: Option<Query>,
    pub(super) old: OldDatabase,
    pub(super) segments: Vec<ReadableSegment>,
    pub(super) contents: LogContents,
    /// The records that the new database notes as lost: each run's first number and last.
    pub(super) lost: Vec<(u64, u64)>,
    /// The last number that anything here speaks of.
    pub(super) last_sequence: Sequence,
}

impl Sources {
    /// Looks at both. `in_use` says whether somebody has the store open; `accept_loss`, that a database of another version may
    /// be given up.
    pub(super) fn read(
        config: &Config,
        source: Source,
        accept_loss: bool,
        in_use: bool,
        watch: &mut Watch<'_>,
    ) -> Result<Self, WorkError> {
        let dir = &config.dir;
        let survey = Survey::of_any(&config.wal_dir())?;
        let owners = survey.owners();
        let FoundDatabase { mut query, mut state, reason } = match FoundDatabase::at(config, in_use) {
            Err(error) if error.is_version() && source == Source::Log && accept_loss => {
                FoundDatabase::unasked(DatabaseState::OtherVersion, Some(error.to_string()))
            }
            found => found?,
        };
        let mut old = query.as_ref().map(OldDatabase::read).unwrap_or_default();
        if old.writer_id.is_some_and(|writer_id| owners.is_foreign(writer_id)) {
            if source == Source::BestKept && state == DatabaseState::Sound {
                owners.owner(dir, old.writer_id)?;
            }
            (old, query, state) = (OldDatabase::default(), None, DatabaseState::Foreign);
        }
        // Whose log it is, before anything is moved.
        let owner = owners.owner(dir, old.writer_id)?;
        let owner = owner.or_else(|| quarantine::most_are_of(&config.quarantine_dir()));
        let noted = quarantine::notes(&config.quarantine_dir()).into_iter().map(|note| note.segment);
        let there: Vec<u64> = survey.ids().map(|id| id.0).chain(noted).collect();
        let log = ReadableLog::of(survey, &config.quarantine_dir(), owner);
        let segments = &log.segments;
        let folded = old.checkpoint.map_or(Sequence(0), |checkpoint| checkpoint.sequence);
        let mut contents = read_log(segments, folded, watch)?;
        contents.logged.segments.extend(there.into_iter().chain(segments.iter().map(|segment| segment.id.0)));
        let mut told = config.clone();
        let limits_from = old.complete(&mut told);
        let kept_since = kept_since(config, &told, &old, contents.events.to_ts);
        let action = match (source, state) {
            (Source::BestKept, DatabaseState::Sound) => Action::Rows,
            (Source::BestKept, DatabaseState::Damaged) => Action::Salvage,
            _ => Action::Log,
        };
        let missing = MissingInLog::new(&log, &contents, &old);
        let lost = missing.noted(action, &old);
        lost.iter().for_each(|(first, last)| contents.logged.lost.insert_all(*first, *last));
        contents.logged.outside = contents.logged.frames.first().map(|first| (first, missing.last_in_log));
        let tables = match (&query, action) {
            (None, _) => Vec::new(),
            (Some(query), Action::Rows) => query.read_with(holdings::count)?,
            (Some(query), _) => query.read_with(|connection| {
                let logged = &contents.logged;
                let last = i64::try_from(missing.last_sequence.0).unwrap_or(i64::MAX);
                let since = kept_since.unwrap_or(i64::MIN);
                Ok(holdings::compare(connection, query.path(), logged, since, last, watch))
            })??,
        };
        let database = DatabaseHoldings {
            path: dir.join(DATABASE_NAME),
            state,
            reason,
            last_folded_record: old.checkpoint.map(|checkpoint| checkpoint.sequence.0),
            tables,
        };
        let holdings = log_holdings(&log, &contents, &missing);
        let losses = losses(action, &database, &holdings);
        let plan = RebuildPlan { action, database, log: holdings, losses, in_use };
        let (segments, last_sequence) = (log.segments, missing.last_sequence);
        Ok(Self {
            plan,
            told,
            limits_from,
            kept_since,
            owner,
            owners,
            query,
            old,
            segments,
            contents,
            lost,
            last_sequence,
        })
    }
}

/// The database as it is found.
struct FoundDatabase {
    query: Option<Query>,
    state: DatabaseState,
    /// What is wrong with it.
    reason: Option<String>,
}

impl FoundDatabase {
    /// One that can't be asked.
    fn unasked(state: DatabaseState, reason: Option<String>) -> Self {
        Self { query: None, state, reason }
    }

    fn at(config: &Config, in_use: bool) -> Result<Self, IndexError> {
        let query = match Query::open_untouched(&config.dir, in_use) {
            Ok(query) => query,
            Err(IndexError::Missing { .. }) => return Ok(Self::unasked(DatabaseState::Missing, None)),
            Err(error) if holdings::says_damage(&error) => {
                return Ok(Self::unasked(DatabaseState::Unreadable, Some(error.to_string())));
            }
            Err(error) => return Err(error),
        };
        // Indexes are compared with their tables, too: what only sums would be made anew of would keep the damage.
        let reason = match query.integrity(false) {
            Ok(found) => found.damage.into_iter().next(),
            Err(error) if holdings::says_damage(&error) => Some(error.to_string()),
            Err(error) => return Err(error),
        };
        let state = if reason.is_some() { DatabaseState::Damaged } else { DatabaseState::Sound };
        Ok(Self { query: Some(query), state, reason })
    }
}

/// The records that the log does not have.
struct MissingInLog {
    /// How many were recorded before the log, and folded.
    before_log: u64,
    /// The others, in their order.
    holes: Vec<Hole>,
    /// The last number that anything speaks of: the log, or the database.
    last_sequence: Sequence,
    /// The last number of the log.
    last_in_log: u64,
}

impl MissingInLog {
    fn new(log: &ReadableLog, contents: &LogContents, old: &OldDatabase) -> Self {
        let numbers = &contents.logged.frames;
        let last_in_log = contents.last_sequence.0;
        let last_sequence = old.last_sequence.max(Sequence(last_in_log));
        let folded = old.checkpoint.map(|checkpoint| checkpoint.sequence.0);
        let first = numbers.first().unwrap_or(last_sequence.0 + 1);
        // What is damaged at the beginning of the log was not deleted, and what is beyond the checkpoint was not folded.
        let first_segment = log.segments.iter().min_by_key(|segment| segment.base_sequence);
        let begins = first_segment.map_or(first, |segment| segment.base_sequence.0.min(first));
        let begins = folded.map_or(begins, |folded| begins.min(folded + 1));
        let runs = numbers.missing_within(begins, last_in_log);
        let holes = runs.into_iter().flat_map(|run| holes(run, folded, &old.missing)).collect();
        let before_log = (begins - 1).saturating_sub(old.missing.count_within(1, begins - 1));
        Self { before_log: if numbers.first().is_some() { before_log } else { 0 }, holes, last_sequence, last_in_log }
    }

    /// Those that a database that is made that way notes as lost. One that is made from the log alone does not have what
    /// only the old one had folded.
    fn noted(&self, action: Action, old: &OldDatabase) -> Vec<(u64, u64)> {
        let is_noted = |hole: &&Hole| match action {
            Action::Log => true,
            // What the damaged one says was lost is brought over, as it says it.
            Action::Rows | Action::Salvage => !hole.folded && !old.missing.contains(hole.first_record),
        };
        let mut noted: Vec<(u64, u64)> = Vec::new();
        for hole in self.holes.iter().filter(is_noted) {
            match noted.last_mut() {
                Some((_, last)) if *last + 1 == hole.first_record => *last = hole.last_record,
                _ => noted.push((hole.first_record, hole.last_record)),
            }
        }
        noted
    }
}

/// A run of missing records, in parts: those that the database has folded, up to the number `folded`, and those that are
/// lost. It says itself of some that they were `missing` when it came there.
fn holes((first, last): (u64, u64), folded: Option<u64>, missing: &NumberSet) -> Vec<Hole> {
    let mut in_database = NumberSet::default();
    for (first, last) in missing.missing_within(first, last.min(folded.unwrap_or(0))) {
        in_database.insert_all(first, last);
    }
    let hole = |folded| move |(first_record, last_record)| Hole { first_record, last_record, folded };
    let lost = in_database.missing_within(first, last).into_iter().map(hole(false));
    let mut holes: Vec<_> = in_database.runs().map(hole(true)).chain(lost).collect();
    holes.sort_by_key(|hole| hole.first_record);
    holes
}

fn log_holdings(log: &ReadableLog, contents: &LogContents, missing: &MissingInLog) -> LogHoldings {
    let aside = log.segments.iter().filter(|segment| segment.is_aside).count() as u64;
    LogHoldings {
        segments: log.segments.len() as u64 - aside,
        quarantined_segments: aside,
        records: contents.events,
        waiting_records: contents.waiting,
        first_record: contents.logged.frames.first(),
        last_record: contents.logged.frames.last(),
        records_before_log: missing.before_log,
        holes: missing.holes.clone(),
        damaged_places: contents.damaged_places,
        unreadable_files: log.unreadable,
    }
}

/// Since when the new database keeps requests, if anything is expired from the outset.
///
/// Where `config` tells nothing of what of the database is kept, that is what the old database says: a request that had
/// expired does not come back, and no clock is asked. Otherwise ages count from the newest event in the log, if that is
/// before now; the store that is opened later lets go the rest by its clock.
fn kept_since(config: &Config, told: &Config, old: &OldDatabase, newest: Option<i64>) -> Option<i64> {
    let is_told = config.told(Limit::RowsAge).is_some() || config.told(Limit::DatabaseBytes).is_some();
    if !is_told && old.kept_since.is_some() {
        return old.kept_since;
    }
    let limits = told.limits();
    limits.keep_rows_age_ms?;
    RowRetention::new(&limits).kept_since_by_age(newest?.min(now_ms()))
}
