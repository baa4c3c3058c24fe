//! What a batch takes over from another database: its rows, by the rules of folding, or as they are.
//!
//! Runs on the thread that rebuilds.

use super::batch::Batch;
use super::fold_runs::FoldedRecord;
use super::{schema_history, session_table};
use crate::fold::fold::SchemaSighting;
use crate::fold::session_facts::{RequestFacts, SessionFacts};
use crate::ground::position::{Sequence, WriterId};
use crate::record::id::Id;
use rusqlite::params_from_iter;
use rusqlite::types::Value;

/// Where a row of another database has what is another number here.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowPlaces {
    /// The column of its id.
    pub(super) id: Option<usize>,
    /// The column of its writer.
    pub(super) writer: Option<usize>,
}

impl Batch<'_> {
    /// Adds what another database has on record of a session.
    pub(super) fn restore_session(&mut self, session_id: &str, facts: SessionFacts) -> rusqlite::Result<()> {
        self.has_stale |= facts.started_at().max(facts.last_seen_at()) < self.expiry.kept_since;
        self.add_facts(Id::new(session_id), facts)
    }

    /// Adds a sighting that another database has on record: also one from before everything is kept, which says what was
    /// current then.
    pub(super) fn restore_sighting(
        &mut self,
        writer: WriterId,
        sequence: Sequence,
        seen: &SchemaSighting<'_>,
    ) -> rusqlite::Result<()> {
        let writer_number = self.number(writer)?;
        let id = self.take_id(writer_number, sequence)?;
        let record = FoldedRecord { id, writer, writer_number, sequence };
        schema_history::restore(&self.transaction, record, seen, self.expiry.kept_since)
    }

    /// Inserts a row that another database has. With `sequence` it is that record's, and takes the next id; otherwise its
    /// table numbers it anew. Its writer's number is the one of this database.
    pub(super) fn restore_row(
        &mut self,
        insert: &str,
        values: &mut [Value],
        places: RowPlaces,
        writer: WriterId,
        sequence: Option<Sequence>,
    ) -> rusqlite::Result<()> {
        if let Some(value) = places.writer.and_then(|at| values.get_mut(at)) {
            *value = Value::Integer(self.number(writer)?);
        }
        if let Some(value) = places.id.and_then(|at| values.get_mut(at)) {
            *value = match sequence {
                Some(sequence) => {
                    let number = self.number(writer)?;
                    Value::Integer(self.take_id(number, sequence)?.0)
                }
                None => Value::Null,
            };
        }
        self.transaction.prepare_cached(insert)?.execute(params_from_iter(values.iter())).map(|_| ())
    }

    /// Adds a version that another database has on record.
    pub(super) fn restore_version(&mut self, key: [&str; 4], payload: &str) -> rusqlite::Result<()> {
        schema_history::restore_version(&self.transaction, key, payload, self.expiry.kept_since)
    }

    /// Whether anything named a session of that id.
    pub(super) fn has_session(&self, session_id: &str) -> rusqlite::Result<bool> {
        self.connection.prepare_cached("SELECT 1 FROM session_state WHERE session_id = ?1")?.exists([session_id])
    }

    /// Keeps what a session's requests added up to in another database, as far as they are not here.
    pub(super) fn keep_sums(&mut self, session_id: &str, told: &RequestFacts) -> rusqlite::Result<()> {
        let session = self.names.session(self.connection, session_id)?;
        self.recount(session, session_id);
        session_table::keep_sums(self.connection, session, told)
    }
}
