//! What a database that is about to be made anew has to say to the new one: which store's it is, how far each log is folded,
//! which records its rows are, what the store keeps, what has expired, and what else table `meta` says.
//!
//! By a connection that only reads, on the thread that rebuilds. The database may be damaged: then it says what can be read.

use crate::compactor::log_fold::LostRun;
use crate::ground::config::Config;
use crate::ground::limits::{Limit, RememberedLimits};
use crate::ground::position::{Sequence, StoreId, WriterId};
use crate::index::checkpoint::{self, Checkpoint};
use crate::index::missing_records;
use crate::index::old_runs::OldRuns;
use crate::index::{expiry_plan, holdings, remembered_limits, restore, store_id};
use crate::query::database::Query;
use crate::segment::number_set::NumberSet;
use serde::Serialize;
use std::collections::HashMap;

/// Where the limits of a database that was made anew come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LimitsFrom {
    /// The caller told each of them.
    Told,
    /// The caller told some perhaps, and the database before the others.
    OldDatabase,
    /// The caller told some perhaps, and nobody can say what the store was told of the others: there was no database
    /// before, or another store's, or its table `meta` can't be read. Nothing is let go for those.
    Unknown,
}

/// What the old database says.
#[derive(Debug, Default)]
pub(super) struct OldDatabase {
    /// Which store's it is.
    pub(super) store: Option<StoreId>,
    /// Up to where each log is folded.
    pub(super) checkpoints: HashMap<WriterId, Checkpoint>,
    /// Which records its rows are.
    pub(super) runs: OldRuns,
    /// No row of a record has a higher id; 0 if nobody knows.
    pub(super) last_id: i64,
    remembered: Option<RememberedLimits>,
    /// What is from before this time had expired.
    pub(super) kept_since: Option<i64>,
    /// The records of each log that it says are lost.
    pub(super) missing: HashMap<WriterId, Vec<LostRun>>,
    /// The records of each log that tell of dropped events: their rows come into each new database.
    pub(super) dropped: HashMap<WriterId, NumberSet>,
    /// What table `meta` says.
    pub(super) meta: Vec<(String, String)>,
}

impl OldDatabase {
    pub(super) fn read(query: &Query) -> Self {
        let runs = query.ask(|connection| Ok(OldRuns::read(connection, query.path()).unwrap_or_default()));
        let runs = runs.unwrap_or_default();
        let mut checkpoints: HashMap<_, _> = query.ask(checkpoint::read_all).unwrap_or_default().into_iter().collect();
        // Where the checkpoint can't be read, the ids that were given tell how far each log is folded.
        for (writer, last) in runs.last_numbers() {
            let told = checkpoints.entry(writer).or_insert(Checkpoint::START);
            if told.sequence < last {
                *told = Checkpoint { sequence: last, ..Checkpoint::START };
            }
        }
        let mut missing = HashMap::<_, Vec<_>>::new();
        let told = query.ask(missing_records::read_all).unwrap_or_default();
        for (writer, (first, last), times) in told {
            missing.entry(writer).or_default().push(LostRun { first, last, times: Some(times) });
        }
        let mut dropped = HashMap::<_, NumberSet>::new();
        for (writer, number) in query.ask(missing_records::read_dropped).unwrap_or_default() {
            dropped.entry(writer).or_default().insert(number);
        }
        Self {
            store: query.ask(store_id::read).flatten(),
            checkpoints,
            last_id: query.ask(|connection| Ok(holdings::last_id(connection))).unwrap_or(0),
            runs,
            remembered: query.ask(remembered_limits::read),
            kept_since: query.ask(expiry_plan::kept_since).flatten(),
            missing,
            dropped,
            meta: query.ask(|connection| Ok(restore::read_meta(connection))).unwrap_or_default(),
        }
    }

    /// Completes the configuration: what it does not say of the store's limits is what the old database remembers.
    pub(super) fn complete(&self, config: &mut Config) -> LimitsFrom {
        let mut from = LimitsFrom::Told;
        for limit in Limit::EACH.into_iter().filter(|limit| config.told(*limit).is_none()).collect::<Vec<_>>() {
            let known = self.remembered.as_ref().and_then(|remembered| remembered.known(limit));
            match known {
                None => from = LimitsFrom::Unknown,
                Some(_) if from == LimitsFrom::Told => from = LimitsFrom::OldDatabase,
                Some(_) => {}
            }
            config.tell_if_untold(limit, known.unwrap_or(limit.of_a_lost_store()));
        }
        from
    }

    /// The last number of a log that it has folded, or found to be missing; `None` where it never heard of that log.
    pub(super) fn folded(&self, writer: WriterId) -> Option<Sequence> {
        self.checkpoints.get(&writer).map(|checkpoint| checkpoint.sequence)
    }
}
