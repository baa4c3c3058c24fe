//! The versions of what servers offer, and the changes between neighbours.
//!
//! Runs on the compactor. The changes are a function of the set of versions, ordered by time: a version that arrives
//! late is put between its neighbours, and the changes around it are worked out again. So the order of arrival does not
//! matter.

use crate::fold::fold::SchemaVersionRow;
use crate::fold::schema_diff::{Change, diff, initial};
use crate::ground::position::Sequence;
use rusqlite::{Connection, OptionalExtension, Transaction, named_params, params};

/// A row of `schema_versions`.
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
    version: &SchemaVersionRow<'_>,
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
        content_hash: version.content_hash.clone().into_owned(),
        payload: version.payload.clone().into_owned(),
    };
    let before = neighbour(transaction, version, Side::Before)?;
    write_changes(transaction, version, before.as_ref(), &this)?;
    if let Some(after) = neighbour(transaction, version, Side::After)? {
        transaction.prepare_cached("DELETE FROM schema_changes WHERE version_id = ?1")?.execute([after.id])?;
        write_changes(transaction, version, Some(&this), &after)?;
    }
    Ok(())
}

/// A version that was replaced before ?1.
const REPLACED: &str = "ts < ?1 AND EXISTS (
    SELECT 1 FROM schema_versions AS later
    WHERE later.proxy = version.proxy AND later.upstream_url = version.upstream_url
      AND later.method = version.method AND later.ts < ?1
      AND (later.ts, later.content_hash) > (version.ts, version.content_hash))";

/// How many versions were replaced before `kept_since`.
pub(super) fn count_expired(connection: &Connection, kept_since: i64) -> rusqlite::Result<u64> {
    let sql = format!("SELECT count(*) FROM schema_versions AS version WHERE {REPLACED}");
    connection.query_row(&sql, [kept_since], |row| row.get(0))
}

/// Removes versions that were replaced before `kept_since`, at most `max`, of those behind `after` and up to `last`;
/// returns the last version that it looked at. The newest version from before `kept_since` stays: it was current then,
/// and becomes the first version that is known.
pub(super) fn expire(
    transaction: &Transaction<'_>,
    kept_since: i64,
    (after, last): (i64, i64),
    max: usize,
) -> rusqlite::Result<i64> {
    let mut select = transaction.prepare_cached(&format!(
        "SELECT id, proxy, upstream_url, method, ts, content_hash FROM schema_versions AS version
         WHERE id > ?2 AND id <= ?3 AND {REPLACED} ORDER BY id LIMIT ?4"
    ))?;
    // All rows are read first, because what follows changes the table.
    let replaced = select
        .query_map(params![kept_since, after, last, max], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        })?
        .collect::<rusqlite::Result<Vec<(i64, String, String, String, i64, String)>>>()?;
    for (id, proxy, upstream_url, method, ts, content_hash) in &replaced {
        let version = SchemaVersionRow {
            ts: *ts,
            proxy: proxy.into(),
            upstream_url: upstream_url.into(),
            method: method.into(),
            payload: "".into(),
            content_hash: content_hash.into(),
        };
        let after = neighbour(transaction, &version, Side::After)?;
        let changed = after.iter().map(|after| after.id).chain([*id]);
        for id in changed {
            transaction.prepare_cached("DELETE FROM schema_changes WHERE version_id = ?1")?.execute([id])?;
        }
        if let Some(after) = &after {
            write_changes(transaction, &version, None, after)?;
        }
        transaction.prepare_cached("DELETE FROM schema_versions WHERE id = ?1")?.execute([id])?;
    }
    Ok(replaced.last().filter(|_| replaced.len() == max).map_or(last, |version| version.0))
}

#[derive(Clone, Copy)]
enum Side {
    Before,
    After,
}

fn neighbour(
    transaction: &Transaction<'_>,
    version: &SchemaVersionRow<'_>,
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

/// Writes the changes from `old` to `new`: none, if a restart or a race made the same version twice.
fn write_changes(
    transaction: &Transaction<'_>,
    of: &SchemaVersionRow<'_>,
    old: Option<&Version>,
    new: &Version,
) -> rusqlite::Result<()> {
    let changes = match old {
        None => vec![initial()],
        Some(old) if old.content_hash == new.content_hash => Vec::new(),
        Some(old) => diff(&of.method, &old.payload, &new.payload),
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
