//! The store's limits in table `meta`: read by whoever asks, written where one is told that differs.

use crate::ground::config::Config;
use crate::ground::limits::{Limit, RememberedLimits};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

/// What the database remembers.
pub(crate) fn read(connection: &Connection) -> rusqlite::Result<RememberedLimits> {
    let mut select = connection.prepare("SELECT value FROM meta WHERE key = ?1")?;
    let mut written = Limit::EACH.map(|_| None);
    for limit in Limit::EACH {
        written[limit as usize] = select.query_row([limit.key()], |row| row.get(0)).optional()?;
    }
    Ok(RememberedLimits::of(|limit| written[limit as usize].clone()))
}

/// Remembers what the configuration says of the store's limits; returns what they are now. Nothing is written where
/// nothing changes, so that a busy database does not keep a store from opening.
pub(super) fn remember(connection: &Connection, config: &Config) -> rusqlite::Result<RememberedLimits> {
    let remembered = read(connection)?;
    let differs = |(limit, told): &(Limit, u64)| remembered.known(*limit) != Some(*told);
    let told = Limit::EACH.into_iter().filter_map(|limit| Some((limit, config.told(limit)?)));
    let told: Vec<_> = told.filter(differs).collect();
    if told.is_empty() {
        return Ok(remembered);
    }
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    for (limit, value) in told {
        let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";
        transaction.execute(sql, [limit.key(), &value.to_string()])?;
    }
    transaction.commit()?;
    read(connection)
}
