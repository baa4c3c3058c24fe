//! What a store holds once it was opened again and everything was folded.

use crate::event;
use mcplog::{Config, Health, Store};
use rusqlite::Connection;
use std::path::Path;
use std::time::Duration;

/// Long enough for a loaded machine; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(120);
/// How many events the channel holds while nobody records: its memory is touched each time the store is opened, and
/// rounds open it by the hundred.
const CHANNEL_EVENTS: usize = 1024;

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
    /// Opens the store with a configuration that is the default one where it matters, folds everything, shuts it down, and
    /// looks. Checks what no fault may change: SQLite's own integrity, each event once and as it was recorded, sums that
    /// equal what the rows say.
    ///
    /// # Panics
    /// The store can't be opened or folded, or one of these checks fails.
    pub fn of(dir: &Path) -> Self {
        Self::try_of(dir).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same for who expects that checks fail.
    ///
    /// # Errors
    /// What [`Holdings::of`] would panic with.
    pub fn try_of(dir: &Path) -> Result<Self, String> {
        let mut config = Config::new(dir);
        config.channel_events = CHANNEL_EVENTS;
        Self::try_with(config)
    }

    /// The same with another configuration.
    ///
    /// # Panics
    /// As [`Holdings::of`].
    pub fn with(config: Config) -> Self {
        Self::try_with(config).unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_with(config: Config) -> Result<Self, String> {
        let dir = config.dir.clone();
        let store = Store::open(config).map_err(|error| format!("open {}: {error}", dir.display()))?;
        let folded = store.wait_folded(PATIENCE);
        let health = store.stats().health;
        folded.map_err(|error| format!("fold {}: {error}; {health}", dir.display()))?;
        store.shutdown(PATIENCE);
        Ok(Self { health, ..Self::try_read(&dir)? })
    }

    /// Looks at the database as it is.
    ///
    /// # Panics
    /// As [`Holdings::of`].
    pub fn read(dir: &Path) -> Self {
        Self::try_read(dir).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same for who expects that there may be no database yet.
    ///
    /// # Errors
    /// What [`Holdings::read`] would panic with.
    pub fn try_read(dir: &Path) -> Result<Self, String> {
        let path = dir.join("store.db");
        query(&path)
            .map_err(|error| error.to_string())
            .and_then(|found| found)
            .map_err(|e| format!("{}: {e}", path.display()))
    }

    /// How many events of `first..` are there without a hole.
    pub fn prefix(&self, first: u64) -> u64 {
        let from = self.numbers.partition_point(|number| *number < first);
        (first..).zip(&self.numbers[from..]).take_while(|(expected, found)| expected == *found).count() as u64
    }
}

/// The outer error is SQLite's, the inner one tells which check failed.
fn query(path: &Path) -> rusqlite::Result<Result<Holdings, String>> {
    let database = Connection::open(path)?;
    let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, u64>(0));
    let integrity: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if integrity != "ok" {
        return Ok(Err(integrity));
    }
    let mut numbers = Vec::new();
    let mut requests = database.prepare("SELECT request_id, ts, session_id FROM requests")?;
    let mut rows = requests.query([])?;
    while let Some(row) = rows.next()? {
        let (id, ts, session) = (row.get::<_, String>(0)?, row.get(1)?, row.get::<_, Option<String>>(2)?);
        match event::number(&id) {
            Some(number) if event::is_as_recorded(number, ts, session.as_deref()) => numbers.push(number),
            _ => return Ok(Err(format!("nobody recorded {id:?} at {ts} in {session:?}"))),
        }
    }
    numbers.sort_unstable();
    if !numbers.is_sorted_by(|a, b| a < b) {
        return Ok(Err("an event has two rows".into()));
    }
    let rows = numbers.len() as u64;
    // A session that goes on still counts its requests that are expired; roll-ups let go of them before their rows go.
    let expired = count("SELECT coalesce(sum(calls), 0) FROM expired_requests")?;
    let kept = "SELECT count(*) FROM request_rows WHERE ts >= coalesce((SELECT kept_since FROM retention), ts)";
    let kept = count(kept)?;
    let calls = count("SELECT coalesce(sum(total_calls), 0) FROM sessions")?;
    if calls != rows + expired {
        return Ok(Err(format!("{rows} rows, {expired} expired, and sessions with {calls} calls")));
    }
    for level in 1..=6 {
        let calls = count(&format!("SELECT coalesce(sum(calls), 0) FROM rollups WHERE level = {level}"))?;
        if !(kept..=rows).contains(&calls) {
            return Ok(Err(format!(
                "{rows} rows, {kept} of them kept, and roll-ups of level {level} with {calls} calls"
            )));
        }
    }
    Ok(Ok(Holdings {
        numbers,
        gap_events: count("SELECT coalesce(sum(events), 0) FROM gaps")?,
        quarantined: count("SELECT count(*) FROM quarantine")?,
        health: Health::default(),
    }))
}
