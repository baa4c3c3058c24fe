//! What lies in front of the logs beside which a database is made: their first segments may have been folded into one that
//! is lost, and retired. So what is in front counts as folded, and not as lost.
//!
//! Table `meta` says that this is to be found out, from when the tables are made until it was: a crash in between changes
//! nothing. Runs on the compactor.

use super::batch::Batch;
use super::checkpoint::Checkpoint;
use super::database::Index;
use super::unknown_fronts::KEY;
use crate::ground::error::IndexError;
use crate::ground::position::{Sequence, WriterId};

impl Index {
    /// Whether the database was made, and nobody has looked where the logs beside it begin.
    pub(crate) fn knows_no_fronts(&self) -> Result<bool, IndexError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM meta WHERE key = ?1)";
        self.checked(self.connection.query_row(sql, [KEY], |row| row.get(0)))
    }

    /// Takes what lies in front of these logs, each with the number with which it begins, for folded; but for logs of which
    /// anything is folded.
    pub(crate) fn settle_fronts(&mut self, begins: &[(WriterId, Sequence)]) -> Result<(), IndexError> {
        let mut batch = self.begin()?;
        for (writer, first) in begins.iter().filter(|(_, first)| first.0 > 1) {
            if batch.checkpoint(*writer)? == Checkpoint::START {
                let to = Checkpoint { sequence: Sequence(first.0 - 1), ..Checkpoint::START };
                batch.reached(*writer, Checkpoint::START, to)?;
            }
        }
        batch.close_fronts()?;
        batch.commit()
    }
}

impl Batch<'_> {
    fn close_fronts(&self) -> Result<(), IndexError> {
        self.checked(self.transaction.execute("DELETE FROM meta WHERE key = ?1", [KEY])).map(|_| ())
    }
}
