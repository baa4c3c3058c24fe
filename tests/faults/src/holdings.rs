//! What a store holds once it was opened again and everything was folded.

use crate::event::number;
use mcplog::{Config, Health, Store};
use rusqlite::Connection;
use std::path::Path;
use std::time::Duration;

/// Long enough for a loaded machine; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(120);

/// A store's contents, as far as victims made them.
#[derive(Clone, Debug)]
pub struct Holdings {
    /// The numbers of the events that have a row, in ascending order.
    pub numbers: Vec<u64>,
    /// How many events the store says were lost, by gap records.
    pub gap_events: u64,
    /// How many entries the quarantine table has.
    pub quarantined: u64,
    /// What was wrong when everything was folded.
    pub health: Health,
}

impl Holdings {
    /// Opens the store with a default configuration, folds everything, shuts it down, and looks. Checks what no fault may
    /// change: SQLite's own integrity, each event once, sums that equal what the rows say.
    ///
    /// # Panics
    /// The store can't be opened or folded, or one of these checks fails.
    pub fn of(dir: &Path) -> Self {
        Self::with(Config::new(dir))
    }

    /// The same with another configuration.
    ///
    /// # Panics
    /// As [`Holdings::of`].
    pub fn with(config: Config) -> Self {
        let dir = config.dir.clone();
        let store = Store::open(config).unwrap_or_else(|error| panic!("open {}: {error}", dir.display()));
        let folded = store.wait_folded(PATIENCE);
        let health = store.stats().health;
        folded.unwrap_or_else(|error| panic!("fold {}: {error}; {health}", dir.display()));
        store.shutdown(PATIENCE);
        let mut holdings = Self::read(&dir);
        holdings.health = health;
        holdings
    }

    /// Looks at the database as it is.
    ///
    /// # Panics
    /// As [`Holdings::of`].
    pub fn read(dir: &Path) -> Self {
        let path = dir.join("store.db");
        Self::try_read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn try_read(path: &Path) -> rusqlite::Result<Self> {
        let database = Connection::open(path)?;
        let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, u64>(0));
        let integrity: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        assert_eq!(integrity, "ok", "{}", path.display());
        let mut ids = database.prepare("SELECT request_id FROM requests")?;
        let mut numbers = ids
            .query_map([], |row| row.get::<_, String>(0))?
            .map(|id| id.map(|id| number(&id).unwrap_or_else(|| panic!("nobody recorded {id:?}"))))
            .collect::<rusqlite::Result<Vec<_>>>()?;
        numbers.sort_unstable();
        let rows = numbers.len() as u64;
        assert!(numbers.is_sorted_by(|a, b| a < b), "an event has two rows");
        assert_eq!(count("SELECT coalesce(sum(total_calls), 0) FROM sessions")?, rows, "calls of all sessions");
        for level in 1..=6 {
            let sql = format!("SELECT coalesce(sum(calls), 0) FROM rollups WHERE level = {level}");
            assert_eq!(count(&sql)?, rows, "calls of all roll-ups of level {level}");
        }
        Ok(Self {
            numbers,
            gap_events: count("SELECT coalesce(sum(events), 0) FROM gaps")?,
            quarantined: count("SELECT count(*) FROM quarantine")?,
            health: Health::default(),
        })
    }

    /// How many events of `first..` are there without a hole.
    pub fn prefix(&self, first: u64) -> u64 {
        let from = self.numbers.partition_point(|number| *number < first);
        (first..).zip(&self.numbers[from..]).take_while(|(expected, found)| expected == *found).count() as u64
    }
}
