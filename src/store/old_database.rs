//! What a database that is about to be made anew has to say to the new one: whose log it is, how far that is folded, what the
//! store keeps, what has expired, and what else table `meta` says.
//!
//! By a connection that only reads, on the thread that rebuilds. The database may be damaged: then it says what can be read.

use crate::ground::config::Config;
use crate::ground::limits::{Limit, RememberedLimits};
use crate::ground::position::{Sequence, WriterId};
use crate::index::checkpoint::{self, Checkpoint};
use crate::index::{expiry_plan, holdings, remembered_limits, restore};
use crate::query::database::Query;
use crate::segment::number_set::NumberSet;
use crate::segment::verdict::NUMBER_MAX;
use serde::Serialize;

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
    /// Whose log it has folded.
    pub(super) writer_id: Option<WriterId>,
    /// How far.
    pub(super) checkpoint: Option<Checkpoint>,
    /// The highest number of a record that it speaks of; 0 for none.
    pub(super) last_sequence: Sequence,
    remembered: Option<RememberedLimits>,
    /// What is from before this time had expired.
    pub(super) kept_since: Option<i64>,
    /// The numbers of records that it says are lost.
    pub(super) missing: NumberSet,
    /// What table `meta` says.
    pub(super) meta: Vec<(String, String)>,
}

impl OldDatabase {
    pub(super) fn read(query: &Query) -> Self {
        let folded = query.ask(checkpoint::read).flatten();
        let last = query.ask(|connection| Ok(holdings::last_number(connection))).unwrap_or(0);
        Self {
            writer_id: folded.map(|(writer_id, _)| writer_id),
            checkpoint: folded.map(|(_, checkpoint)| checkpoint),
            // A number that no store reaches is a damaged one.
            last_sequence: Sequence(u64::try_from(last).ok().filter(|last| *last <= NUMBER_MAX).unwrap_or(0)),
            remembered: query.ask(remembered_limits::read),
            kept_since: query.ask(expiry_plan::kept_since).flatten(),
            missing: query.ask(|connection| Ok(holdings::missing(connection))).unwrap_or_default(),
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
}
