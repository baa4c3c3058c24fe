//! How the writing connection to the database is set up.
//!
//! Runs on the thread that opens the store.

use rusqlite::Connection;
use rusqlite::config::DbConfig;

/// Twice SQLite's default: the tails of the indexes, which every batch rewrites, make half as many writes.
pub(super) const PAGE_BYTES: u32 = 8192;

/// How long SQLite's WAL grows before the compactor copies it, in pages: 32 MiB. Every single batch reaches SQLite's
/// default, an eighth of that: each batch would wait for two syncs and copy most pages again.
pub(super) const WAL_PAGES_MAX: u32 = 4096;

/// Of a WAL that is longer, in bytes, people are told who is in the way: twice as long as it should get with so many
/// pages.
pub(super) const fn told_bytes(pages_max: u32) -> u64 {
    2 * pages_max as u64 * PAGE_BYTES as u64
}

/// The same with [`WAL_PAGES_MAX`]: 64 MiB.
pub(crate) const LONG_WAL_BYTES: u64 = told_bytes(WAL_PAGES_MAX);

/// Sets the connection up. A database that is to be created `shrinks` when rows go, or keeps their room for others.
pub(super) fn configure(connection: &Connection, shrinks: bool) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    // Plans that don't depend on bound values; otherwise SQLite makes a new one for each value, because a partial index
    // might fit it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Takes effect where nothing is written yet.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    if shrinks {
        // Likewise. A page can then be given back by itself, since it is known who refers to each: noting that takes
        // folding 6 % more time, and a store without limits has no use for it.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // NORMAL: a commit waits for no disk. A power cut may take the last commits, checkpoint and rows together, and then
    // the log still has the records: no segment is retired before `make_durable`.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    // A WAL that grew beyond this limit, because a reader was in the way, is shortened when SQLite begins it anew.
    connection.pragma_update_and_check(
        None,
        "journal_size_limit",
        i64::from(WAL_PAGES_MAX) * i64::from(PAGE_BYTES),
        |_| Ok(()),
    )?;
    connection.pragma_update(None, "cache_size", -8192)?;
    // A statement of many rows keeps the pages that it changes until it is done. In a file, as is the default, that
    // took as long as inserting the rows.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "foreign_keys", false)
}
