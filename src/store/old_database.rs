//! What a database that is about to be made anew from the log has to say to the new one: whose log it is, what the store
//! keeps, what has expired, and what callers' keys are salted with.
//!
//! By a connection that only reads, on the thread that rebuilds. The database may be damaged: then it says what can be read.

use crate::ground::config::Config;
use crate::ground::error::IndexError;
use crate::ground::limits::{Limit, RememberedLimits};
use crate::ground::position::WriterId;
use crate::index::{checkpoint, expiry_plan, remembered_limits};
use crate::query::database::Query;
use serde::Serialize;
use std::path::Path;

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
#[derive(Debug)]
pub(super) struct OldDatabase {
    /// Whose log it has folded.
    pub(super) writer_id: Option<WriterId>,
    remembered: Option<RememberedLimits>,
    /// What is from before this time had expired.
    pub(super) kept_since: Option<i64>,
    /// What callers' keys are salted with.
    pub(super) caller_salt: Option<String>,
}

impl OldDatabase {
    pub(super) fn read(dir: &Path) -> Self {
        let query = Query::open(dir);
        // Each by itself: one page may be damaged, and another one sound.
        fn ask<T>(query: &Result<Query, IndexError>, read: impl Fn(&Query) -> Result<T, IndexError>) -> Option<T> {
            query.as_ref().ok().and_then(|query| read(query).ok())
        }
        Self {
            writer_id: ask(&query, |query| query.read_with(checkpoint::read)).flatten().map(|(writer_id, _)| writer_id),
            remembered: ask(&query, |query| query.read_with(remembered_limits::read)),
            kept_since: ask(&query, |query| query.read_with(expiry_plan::kept_since)).flatten(),
            caller_salt: ask(&query, Query::caller_salt),
        }
    }

    /// Another store's has no say.
    pub(super) fn ignore(&mut self) {
        *self = Self { writer_id: None, remembered: None, kept_since: None, caller_salt: None };
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
