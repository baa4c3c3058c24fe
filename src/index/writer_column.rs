//! A writer's id as tables have it: text, a UUID.

use crate::ground::position::WriterId;
use rusqlite::Row;
use rusqlite::types::Type;

/// A writer's id in a column.
pub(super) fn read(row: &Row<'_>, at: usize) -> rusqlite::Result<WriterId> {
    let text = row.get_ref(at)?.as_str()?;
    WriterId::from_text(text).ok_or_else(|| {
        let error = format!("expected a UUID, found {} bytes of text", text.len());
        rusqlite::Error::FromSqlConversionFailure(at, Type::Text, error.into())
    })
}
