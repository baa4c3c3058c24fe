//! What a rebuild finds and is about to do, as data: what the database and the log hold, and what would be lost.
//!
//! Pure.

pub use crate::index::holdings::{RowSum, TableHoldings};

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
    /// Somebody else has the store open, so that nothing can be done now.
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
    /// The number of the last record that it has folded.
    pub last_folded_record: Option<u64>,
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

/// What the log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LogHoldings {
    /// Its segments.
    pub segments: u64,
    /// Segments of it that lie in `quarantine/`.
    pub quarantined_segments: u64,
    /// Intact records, each once.
    pub records: RowSum,
    /// Those of them that are not folded.
    pub waiting_records: RowSum,
    /// The number of the first record that is there.
    pub first_record: Option<u64>,
    /// The number of the last one.
    pub last_record: Option<u64>,
    /// How many were recorded before the first one, and are not there any more: they were folded.
    pub records_before_log: u64,
    /// Records that are missing: between the first and the last one, and those beyond what was folded that are missing before
    /// the first one, or behind the last one.
    pub holes: Vec<Hole>,
    /// Places that can't be read.
    pub damaged_places: u64,
    /// Files, in the log and in `quarantine/`, of which nothing can be told any more: they may have been segments.
    pub unreadable_files: u64,
}

impl LogHoldings {
    /// How many records are missing.
    pub fn records_in_holes(&self) -> u64 {
        self.holes.iter().map(Hole::records).sum()
    }
}

/// Numbers of records that follow each other, and that the log does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Hole {
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

/// What a database would not have that is made that way from these.
pub(crate) fn losses(action: Action, database: &DatabaseHoldings, log: &LogHoldings) -> Vec<Loss> {
    match (action, database.state) {
        (Action::Rows, _) | (_, DatabaseState::Missing | DatabaseState::Foreign) => return Vec::new(),
        (_, DatabaseState::Unreadable | DatabaseState::OtherVersion) => {
            let rows = log.records_before_log + log.records_in_holes();
            let is_whole = log.first_record == Some(1) && rows == 0;
            let rows = RowSum { rows, at_most: true, ..RowSum::default() };
            let loss = Loss { table: "store.db", names: ("record", "records"), rows, unreadable: true };
            return if is_whole && database.state == DatabaseState::Unreadable { Vec::new() } else { vec![loss] };
        }
        (Action::Log | Action::Salvage, DatabaseState::Sound | DatabaseState::Damaged) => {}
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
    losses
}
