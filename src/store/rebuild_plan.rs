//! What a rebuild finds and is about to do, as data: what the database and the log hold, and what would be lost.
//!
//! Pure.

pub use crate::index::holdings::{RowSum, TableHoldings};

use crate::ground::position::WriterId;
use serde::Serialize;
use std::path::PathBuf;

/// What a rebuild finds, and what it is about to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RebuildPlan {
    /// What is done.
    pub action: Action,
    /// What the database holds.
    pub database: DatabaseHoldings,
    /// What the log holds.
    pub log: LogHoldings,
    /// What the new database would not have of the old one. Empty if nothing is lost.
    pub losses: Vec<Loss>,
    /// Other processes record into the store, or fold. They go on meanwhile, and fold again once it is done.
    pub in_use: bool,
}

/// What the new database is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// What is derived from rows is computed from the rows, which stay.
    Rows,
    /// The log alone.
    Log,
    /// The log, and what can be read of the damaged database: each row once.
    Salvage,
}

/// The state of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DatabaseState {
    /// There is none, or one without tables.
    Missing,
    /// Nothing is wrong with its rows.
    Sound,
    /// Some of it can't be read.
    Damaged,
    /// Nothing of it can be read.
    Unreadable,
    /// It has folded the log of another store.
    Foreign,
    /// It is of another version than this build knows.
    OtherVersion,
}

/// What a database holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DatabaseHoldings {
    /// The file.
    #[serde(rename = "file")]
    pub path: PathBuf,
    /// Its state.
    pub state: DatabaseState,
    /// What is wrong, if something is.
    pub reason: Option<String>,
    /// How many records it has folded: those that were lost, and those whose rows have expired, included.
    pub folded_records: Option<u64>,
    /// What each table holds; empty where that can't be read.
    pub tables: Vec<TableHoldings>,
}

impl DatabaseHoldings {
    /// What that table holds.
    pub(crate) fn table(&self, name: &str) -> Option<&TableHoldings> {
        self.tables.iter().find(|holdings| holdings.table == name)
    }

    /// Its requests.
    pub fn requests(&self) -> RowSum {
        self.table("request_rows").map(|holdings| holdings.rows).unwrap_or_default()
    }

    /// Its sessions.
    pub fn sessions(&self) -> RowSum {
        self.table("session_state").map(|holdings| holdings.rows).unwrap_or_default()
    }
}

/// What the log holds: the logs of all writers together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LogHoldings {
    /// How many writers' logs there are.
    pub logs: u64,
    /// Their segments, those that are kept included.
    pub segments: u64,
    /// Segments of them that lie in `quarantine/`.
    pub quarantined_segments: u64,
    /// Intact records, each once.
    pub records: RowSum,
    /// Those of them that are not folded.
    pub waiting_records: RowSum,
    /// How many were recorded before the first ones that are there of their logs, and are not there any more: they were
    /// folded. Logs that are gone altogether don't count.
    pub records_before_log: u64,
    /// Records that are missing: between the first and the last one of a log, and those beyond what was folded.
    pub holes: Vec<Hole>,
    /// Places that can't be read.
    pub damaged_places: u64,
    /// Files, in the log and in `quarantine/`, of which nothing can be told any more: they may have been segments.
    pub unreadable_files: u64,
    /// Logs that stay where they are, from a file on: a newer mcplog folds them, or they are another store's.
    pub left_logs: Vec<LeftLog>,
}

impl LogHoldings {
    /// How many records are missing.
    pub fn records_in_holes(&self) -> u64 {
        self.holes.iter().map(Hole::records).sum()
    }
}

/// A log of which a rebuild reads nothing from a file on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LeftLog {
    /// Whose it is.
    #[serde(serialize_with = "as_text")]
    pub writer: WriterId,
    /// The file.
    pub file: PathBuf,
    /// Why.
    pub reason: String,
}

/// Numbers of records that follow each other, and that a log does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Hole {
    /// Whose log.
    #[serde(serialize_with = "as_text")]
    pub writer: WriterId,
    /// The first one.
    pub first_record: u64,
    /// The last one.
    pub last_record: u64,
    /// The database has folded them, so that only the log lacks them. Otherwise they are lost.
    pub folded: bool,
}

impl Hole {
    /// How many records that is.
    pub const fn records(&self) -> u64 {
        self.last_record - self.first_record + 1
    }
}

/// Rows that the new database would not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Loss {
    /// Their table; that of all where it can't be told.
    pub table: &'static str,
    /// What they are called, of one and of many.
    #[serde(skip)]
    pub names: (&'static str, &'static str),
    /// How many, from when to when.
    #[serde(flatten)]
    pub rows: RowSum,
    /// Nobody can read them any more. The rebuild loses nothing that another one would find, but the old file may be all
    /// that is left of them.
    pub unreadable: bool,
}

fn as_text<S: serde::Serializer>(writer: &WriterId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(writer)
}

/// What a database would not have that is made that way from these. All that another store's database has is lost to that
/// store; nobody is to find out afterwards, so a loss is told where it has no rows, too.
pub(crate) fn losses(action: Action, database: &DatabaseHoldings, log: &LogHoldings) -> Vec<Loss> {
    match (action, database.state) {
        (Action::Rows, _) | (_, DatabaseState::Missing) => return Vec::new(),
        (_, DatabaseState::Unreadable | DatabaseState::OtherVersion) => {
            // How many logs are gone altogether, the database alone knew.
            let rows = log.records_before_log + log.records_in_holes();
            let rows = RowSum { rows, ..RowSum::default() };
            return vec![Loss { table: "store.db", names: ("record", "records"), rows, unreadable: true }];
        }
        (Action::Log | Action::Salvage, DatabaseState::Sound | DatabaseState::Damaged | DatabaseState::Foreign) => {}
    }
    let mut losses = Vec::new();
    for holdings in &database.tables {
        let mut add = |rows: RowSum, unreadable| {
            if rows.rows > 0 {
                losses.push(Loss { table: holdings.table, names: holdings.names, rows, unreadable });
            }
        };
        if action == Action::Log {
            add(holdings.only_here, false);
        }
        add(holdings.unreadable_only_here, true);
    }
    if losses.is_empty() && database.state == DatabaseState::Foreign {
        let unreadable = database.tables.is_empty();
        losses.push(Loss { table: "store.db", names: ("row", "rows"), rows: RowSum::default(), unreadable });
    }
    losses
}
