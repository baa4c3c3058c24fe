//! Which store a database is of, as its table `meta` says it: so that a database beside another store's logs is named, and
//! nothing of them is folded into it.
//!
//! Runs on whatever thread opens the database.

use crate::ground::position::StoreId;
use rusqlite::{Connection, OptionalExtension};

/// The key in table `meta`.
pub(crate) const KEY: &str = "store_id";

/// The store's id; `None` if the database does not say it, or not as one is written.
pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Option<StoreId>> {
    let sql = "SELECT value FROM meta WHERE key = ?1";
    let text: Option<String> = connection.query_row(sql, [KEY], |row| row.get(0)).optional()?;
    Ok(text.as_deref().and_then(StoreId::from_text))
}
