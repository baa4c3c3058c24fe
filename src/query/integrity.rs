//! Whether the database is sound: SQLite's own structure, and what is derived from rows against the rows.
//!
//! Runs on the caller's thread. Reads every page; it must not write.

use super::Query;
use crate::error::IndexError;
use crate::rollup::Level;

/// So many complaints of SQLite are passed on.
const COMPLAINTS_MAX: usize = 20;

/// What is wrong with a database, one sentence each. Empty if it is sound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Integrity {
    /// What SQLite says of pages and indexes. The rows themselves can't be trusted then.
    pub damage: Vec<String>,
    /// Sums that are not what the rows add up to; looked at only where there is no damage.
    pub wrong_sums: Vec<String>,
}

impl Query {
    /// Checks the database. With `quick`, indexes are not compared with their tables, which takes most of the time.
    ///
    /// # Errors
    /// The check could not be made. What a damaged database makes of it is no error but a complaint.
    pub fn integrity(&self, quick: bool) -> Result<Integrity, IndexError> {
        match self.at_one_time(|| self.integrity_now(quick)) {
            Err(error) if error.is_corrupt() => {
                Ok(Integrity { damage: vec![error.to_string()], ..Integrity::default() })
            }
            checked => checked,
        }
    }

    fn integrity_now(&self, quick: bool) -> Result<Integrity, IndexError> {
        let check = if quick { "quick_check" } else { "integrity_check" };
        let mut damage = self.rows(&format!("PRAGMA {check}({COMPLAINTS_MAX})"), &[], |row| row.get(0))?;
        damage.retain(|complaint: &String| complaint != "ok");
        let wrong_sums = if damage.is_empty() { self.wrong_sums()? } else { Vec::new() };
        Ok(Integrity { damage, wrong_sums })
    }

    fn wrong_sums(&self) -> Result<Vec<String>, IndexError> {
        let mut complaints = Vec::new();
        let mut compare = |what: String, held: i64, counted: i64| {
            if held != counted {
                complaints
                    .push(format!("{what} says {held} requests, the rows say {counted}; `mcplog rebuild` mends it"));
            }
        };
        let requests = self.value("SELECT count(*) FROM request_rows", &[])?;
        for level in Level::ALL.into_iter().skip_while(|level| *level < Level::Minute) {
            let sql = "SELECT coalesce(sum(calls), 0) FROM rollups WHERE level = ?";
            compare(format!("roll-up level {}", level.number()), self.value(sql, &[level.number().into()])?, requests);
        }
        let in_sessions = self.value("SELECT count(*) FROM request_rows WHERE session IS NOT NULL", &[])?;
        let of_sessions = self.value("SELECT coalesce(sum(total_calls), 0) FROM session_state", &[])?;
        compare("the sum over sessions".into(), of_sessions, in_sessions);
        Ok(complaints)
    }
}
