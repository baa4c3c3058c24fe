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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::config::Config;
    use crate::ground::position::StoreId;
    use crate::index::migration::Schema;

    #[test]
    fn where_logs_begin_is_noted_with_the_tables_or_later_once_and_not_where_anything_is_folded() {
        const STORE: StoreId = StoreId([5; 16]);
        let (one, two) = (WriterId([1; 16]), WriterId([2; 16]));
        let begins = vec![(one, Sequence(5)), (two, Sequence(1))];
        let folded = |index: &Index, writer| index.checkpoint_of(writer).unwrap().map(|found| found.sequence.0);
        for is_looked_at_once in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let config = Config::new(dir.path());
            let open = |begins: &[(WriterId, Sequence)]| {
                Index::open_by(&config, STORE, &Schema::THIS_BUILD, &|| Ok(begins.to_vec())).unwrap()
            };
            let mut index = match is_looked_at_once {
                true => open(&begins),
                false => Index::open_as(&config, Some(STORE), false).unwrap(),
            };
            assert_eq!(index.knows_no_fronts().unwrap(), !is_looked_at_once);
            if !is_looked_at_once {
                index.settle_fronts(&begins).unwrap();
            }
            // Whoever comes later has no say: what is not there any more is lost.
            drop(index);
            let mut index = open(&[(one, Sequence(9)), (two, Sequence(9))]);
            assert!(!index.knows_no_fronts().unwrap());
            assert_eq!((folded(&index, one), folded(&index, two)), (Some(4), None));
            index.settle_fronts(&[(one, Sequence(9))]).unwrap();
            assert_eq!(folded(&index, one), Some(4));
        }
    }
}
