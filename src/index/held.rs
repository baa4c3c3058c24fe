//! What an index remembers of its database, beside what the tables say: all of it true as long as nobody else commits.
//!
//! Runs on the compactor. Every transaction that writes begins here, by [`begin`]: where the fence says that somebody else
//! committed, everything is read again before anything is built on it. Nothing that a transaction decides by may be
//! remembered anywhere else.

use super::age_table::Ages;
use super::expiry::Expiry;
use super::fence::{CopyCount, Fence};
use super::name_numbers::NameNumbers;
use super::remembered_limits;
use super::wal_readers::wal_bytes;
use crate::ground::database_version::{DatabaseVersion, KnownVersions};
use crate::ground::error::IndexError;
use crate::ground::limits::Limits;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is remembered.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) names: NameNumbers,
    pub(super) expiry: Expiry,
    pub(super) ages: Ages,
    /// What the store keeps, and for how long.
    pub(super) limits: Limits,
    /// What people are told of limits that the database does not remember any more.
    pub(super) limits_advice: Option<String>,
}

/// A database, as far as beginning a transaction is concerned.
pub(super) struct Guarded<'a> {
    pub(super) path: &'a Path,
    pub(super) versions: KnownVersions,
    pub(super) copies: CopyCount,
    pub(super) wal_in_doubt: &'a AtomicBool,
}

impl Held {
    /// What the tables say now.
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let remembered = remembered_limits::read(connection)?;
        Ok(Self {
            names: NameNumbers::default(),
            expiry: Expiry::read(connection)?,
            ages: Ages::default(),
            limits: Limits::of(|limit| remembered.value(limit)),
            limits_advice: remembered.advice(),
        })
    }

    /// The same again, but for what is told of this process.
    fn read_again(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let Expiry { expired, looked_at, .. } = std::mem::take(&mut self.expiry);
        *self = Self::read(connection)?;
        (self.expiry.expired, self.expiry.looked_at) = (expired, looked_at);
        Ok(())
    }
}

/// Begins a transaction that writes. What is held is of the state that it begins with.
pub(super) fn begin<'c>(
    connection: &'c Connection,
    fence: &mut Fence,
    held: &mut Held,
    of: &Guarded<'_>,
) -> Result<Transaction<'c>, IndexError> {
    let failed = |source| IndexError::Sqlite { path: of.path.to_owned(), source };
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate).map_err(failed)?;
    if !fence.pass(&transaction, of.copies).map_err(failed)? {
        // Until all of it is read.
        fence.forget();
        let number = transaction.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        DatabaseVersion { number, oldest_reader: None }.check_write(of.versions, of.path)?;
        held.read_again(&transaction).map_err(failed)?;
        // Nobody here knows whether the other one's syncs succeeded.
        if wal_bytes(of.path) > 0 {
            of.wal_in_doubt.store(true, Ordering::Relaxed);
        }
        tracing::debug!(path = %of.path.display(), "somebody else wrote to the database: everything is read again");
        fence.pass(&transaction, of.copies).map_err(failed)?;
    }
    Ok(transaction)
}
