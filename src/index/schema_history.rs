//! The versions of what servers offer, and the changes between neighbours.
//!
//! The changes are a function of the set of versions, ordered by time: a version that arrives late is put between its
//! neighbours, and the changes around it are worked out again. So the order of arrival does not matter.

use crate::format::Sequence;
use crate::record::SchemaVersionRecord;
use crate::schema_diff::{Change, diff, initial};
use rusqlite::{OptionalExtension, Transaction, named_params, params};

struct Version {
    id: i64,
    ts: i64,
    content_hash: String,
    payload: String,
}

/// Adds a version, unless it is there already.
pub(super) fn add(
    transaction: &Transaction<'_>,
    sequence: Sequence,
    version: &SchemaVersionRecord<'_>,
) -> rusqlite::Result<()> {
    let added = transaction
        .prepare_cached(
            "INSERT INTO schema_versions (id, proxy, upstream_url, method, ts, content_hash, payload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (proxy, upstream_url, method, ts, content_hash) DO NOTHING",
        )?
        .execute(params![
            sequence.0,
            version.proxy,
            version.upstream_url,
            version.method,
            version.ts,
            version.content_hash,
            version.payload,
        ])?;
    if added == 0 {
        return Ok(());
    }
    let this = Version {
        id: i64::try_from(sequence.0).unwrap_or(i64::MAX),
        ts: version.ts,
        content_hash: version.content_hash.to_owned(),
        payload: version.payload.to_owned(),
    };
    let before = neighbour(transaction, version, Side::Before)?;
    write_changes(transaction, version, before.as_ref(), &this)?;
    if let Some(after) = neighbour(transaction, version, Side::After)? {
        transaction.prepare_cached("DELETE FROM schema_changes WHERE version_id = ?1")?.execute([after.id])?;
        write_changes(transaction, version, Some(&this), &after)?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Side {
    Before,
    After,
}

fn neighbour(
    transaction: &Transaction<'_>,
    version: &SchemaVersionRecord<'_>,
    side: Side,
) -> rusqlite::Result<Option<Version>> {
    let (comparison, direction) = match side {
        Side::Before => ("<", "DESC"),
        Side::After => (">", "ASC"),
    };
    let sql = format!(
        "SELECT id, ts, content_hash, payload FROM schema_versions
         WHERE proxy = :proxy AND upstream_url = :upstream_url AND method = :method
           AND (ts, content_hash) {comparison} (:ts, :content_hash)
         ORDER BY ts {direction}, content_hash {direction} LIMIT 1"
    );
    let parameters = named_params! {
        ":proxy": version.proxy,
        ":upstream_url": version.upstream_url,
        ":method": version.method,
        ":ts": version.ts,
        ":content_hash": version.content_hash,
    };
    transaction
        .prepare_cached(&sql)?
        .query_row(parameters, |row| {
            Ok(Version { id: row.get(0)?, ts: row.get(1)?, content_hash: row.get(2)?, payload: row.get(3)? })
        })
        .optional()
}

/// Writes what changed from `old` to `new`; nothing, if a restart or a race made the same version twice.
fn write_changes(
    transaction: &Transaction<'_>,
    of: &SchemaVersionRecord<'_>,
    old: Option<&Version>,
    new: &Version,
) -> rusqlite::Result<()> {
    let changes = match old {
        None => vec![initial()],
        Some(old) if old.content_hash == new.content_hash => Vec::new(),
        Some(old) => diff(of.method, &old.payload, &new.payload),
    };
    let mut insert = transaction.prepare_cached(
        "INSERT INTO schema_changes
             (proxy, upstream_url, method, change_type, item_name, old_hash, new_hash, detected_at, version_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for Change { change_type, item_name } in changes {
        insert.execute(params![
            of.proxy,
            of.upstream_url,
            of.method,
            change_type,
            item_name,
            old.map(|old| old.content_hash.as_str()),
            new.content_hash,
            new.ts,
            new.id,
        ])?;
    }
    Ok(())
}
