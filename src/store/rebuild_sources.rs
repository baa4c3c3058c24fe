//! The sources of a rebuild: the database, as it lies, and the log. Opened, read once, and told as a plan.
//!
//! Runs on the thread that rebuilds. It changes nothing, so that whoever only asks can ask while others record.

use super::found_log::{self, FoundLog};
use super::lost_records::{KnownLog, LostRecords};
use super::old_database::{LimitsFrom, OldDatabase};
use super::opening::expect_known_layout;
use super::rebuild_plan::{
    Action, DatabaseHoldings, DatabaseState, LeftLog, LogHoldings, RebuildPlan, TableHoldings, losses,
};
use super::store_identity;
use crate::compactor::log_fold::{LogContents, LogEnd, LostRun, read_log};
use crate::ground::clock::now_ms;
use crate::ground::config::Config;
use crate::ground::error::IndexError;
use crate::ground::limits::Limit;
use crate::ground::position::{Sequence, StoreId};
use crate::ground::work::{Watch, WorkError};
use crate::index::database::DATABASE_NAME;
use crate::index::holdings;
use crate::index::row_retention::RowRetention;
use crate::query::database::Query;
use crate::segment::file_numbers::first_of_log;
use crate::segment::number_set::NumberSet;
use std::collections::HashMap;

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
    /// Which store it is; `None` where nothing says so, and there is nothing.
    pub(super) store: Option<StoreId>,
    /// What can be read of the old database, if it is this store's.
    pub(super) query: Option<Query>,
    pub(super) old: OldDatabase,
    /// Each log, how far it was read, and the records of it that the new database notes as lost.
    pub(super) logs: Vec<ReadLog>,
    pub(super) contents: LogContents,
}

/// One log, as it was read.
#[derive(Debug)]
pub(super) struct ReadLog {
    pub(super) found: FoundLog,
    pub(super) end: LogEnd,
    pub(super) lost: Vec<LostRun>,
}

impl Sources {
    /// Looks at both. With `is_alone`, this process holds the fold lock; `accept_loss` says that a database of another version
    /// may be given up.
    pub(super) fn read(
        config: &Config,
        source: Source,
        accept_loss: bool,
        is_alone: bool,
        in_use: bool,
        watch: &mut Watch<'_>,
    ) -> Result<Self, WorkError> {
        let dir = &config.dir;
        expect_known_layout(dir)?;
        let store = store_identity::read(dir)?;
        let FoundDatabase { mut query, mut state, reason } = match FoundDatabase::at(config, !is_alone) {
            Err(error) if error.is_version() && source == Source::Log && accept_loss => {
                FoundDatabase::unasked(DatabaseState::OtherVersion, Some(error.to_string()))
            }
            found => found?,
        };
        let mut old = query.as_ref().map(OldDatabase::read).unwrap_or_default();
        let mut foreign_tables = None;
        if let (Some(found), Some(expected)) = (old.store, store)
            && found != expected
        {
            if source == Source::BestKept && state == DatabaseState::Sound {
                return Err(IndexError::ForeignStore { path: dir.join(DATABASE_NAME), expected, found }.into());
            }
            foreign_tables = query.as_ref().map(count_foreign).transpose()?;
            (old, query, state) = (OldDatabase::default(), None, DatabaseState::Foreign);
        }
        let action = match (source, state) {
            (Source::BestKept, DatabaseState::Sound) => Action::Rows,
            (Source::BestKept, DatabaseState::Damaged) => Action::Salvage,
            _ => Action::Log,
        };
        let (mut contents, mut logs) = (LogContents::default(), Vec::new());
        let mut holdings = LogHoldings::default();
        let all = found_log::find(config, is_alone)?;
        let count = all.len().max(1) as f64;
        for (at, found) in all.into_iter().enumerate() {
            let log = &found.files;
            let folded = old.folded(log.writer);
            let mut watch = |done| watch((at as f64 + done) / count);
            let end = read_log(log, store, folded.unwrap_or(Sequence(0)), &mut contents, &mut watch)?;
            holdings.logs += 1;
            holdings.segments += found.segments;
            holdings.quarantined_segments += found.quarantined;
            if let Some(waits) = &end.waits {
                let (file, reason) = (waits.path().to_owned(), waits.finding().text);
                holdings.left_logs.push(LeftLog { writer: found.files.writer, file, reason });
            }
            logs.push(ReadLog { found, end, lost: Vec::new() });
        }
        contents.logged.identify(&old.runs);
        let (mut left, none) = (HashMap::<_, NumberSet>::new(), NumberSet::default());
        for ReadLog { found, end, lost } in &mut logs {
            let writer = found.files.writer;
            let Some(records) = contents.logged.logs.get(&writer) else { continue };
            let missing = old.missing.get(&writer).map_or(&[][..], Vec::as_slice);
            let (there, last, folded) = (&records.all, end.place.sequence, old.folded(writer));
            let (goes_on, kept) = (goes_on(end, action), old.dropped.get(&writer).unwrap_or(&none));
            let begins = first_of_log(writer, store, &found.files.files);
            let known = KnownLog { writer, there, begins, last, folded, missing, kept, goes_on };
            let absent = LostRecords::of(known, action);
            if let Some(folded) = folded.filter(|folded| goes_on && *folded > last) {
                left.entry(writer).or_default().insert_all(last.0 + 1, folded.0);
            }
            holdings.records_before_log += absent.before_log;
            holdings.holes.extend(absent.holes);
            *lost = absent.noted;
        }
        contents.logged.leave(&old.runs, &left);
        (holdings.records, holdings.waiting_records) = (contents.events, contents.waiting);
        (holdings.damaged_places, holdings.unreadable_files) = (contents.damaged_places, contents.unreadable_files);
        let mut told = config.clone();
        let limits_from = old.complete(&mut told);
        let kept_since = kept_since(config, &told, &old, contents.events.to_ts);
        let tables = match (&query, action) {
            (None, _) => foreign_tables.unwrap_or_default(),
            (Some(query), Action::Rows) => query.read_with(holdings::count)?,
            (Some(query), _) => query.read_with(|connection| {
                let since = kept_since.unwrap_or(i64::MIN);
                let (path, runs) = (query.path(), &old.runs);
                Ok(holdings::compare(connection, path, runs, &contents.logged, since, old.last_id, watch))
            })??,
        };
        let folded_records = old.checkpoints.values().map(|checkpoint| checkpoint.sequence.0).sum();
        let database = DatabaseHoldings {
            path: dir.join(DATABASE_NAME),
            state,
            reason,
            folded_records: query.is_some().then_some(folded_records),
            tables,
        };
        let losses = losses(action, &database, &holdings);
        let plan = RebuildPlan { action, database, log: holdings, losses, in_use };
        Ok(Self { plan, told, limits_from, kept_since, store, query, old, logs, contents })
    }

    /// Whether that log is folded on from where it was read to by somebody else.
    pub(super) fn goes_on(&self, end: &LogEnd) -> bool {
        goes_on(end, self.plan.action)
    }
}

/// Whether a log is folded on from where it was read to by somebody else: it waits for that, and no rows of what lies behind
/// are brought over.
fn goes_on(end: &LogEnd, action: Action) -> bool {
    end.waits.is_some() && action == Action::Log
}

/// What another store's database holds, which no log of this one has; nothing if that can't be read.
fn count_foreign(query: &Query) -> Result<Vec<TableHoldings>, IndexError> {
    match query.read_with(holdings::count) {
        Ok(tables) => Ok(tables.into_iter().map(|table| TableHoldings { only_here: table.rows, ..table }).collect()),
        Err(error) if holdings::says_damage(&error) => Ok(Vec::new()),
        Err(error) => Err(error),
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
