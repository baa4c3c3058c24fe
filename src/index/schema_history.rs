//! Which versions of what servers offer were seen, by whom, and the changes between them.
//!
//! Runs on the compactor. Sightings are ordered by time, and of one time by arrival: by the writer's id, and then by the
//! record's number in its log. Ids of rows say in what order they were folded, which must not matter. The changes are a function of the sightings in that order: one that is folded late is put between its
//! neighbours, and the changes around it are worked out again. So neither batches nor the order of folding matter.
//!
//! What a sighting changes:
//!
//! - what the same caller saw before differs: the differences between the two;
//! - the same caller saw the same before: nothing;
//! - the caller is new, and somebody saw that version before: nothing;
//! - the caller is new, and nobody saw that version before: the differences from what anybody saw last, or `initial`.
//!
//! So callers who are offered different things change nothing by taking turns, and a roll-back for one caller is a change.
//! With a single caller, this is the plain comparison with the version before.
//!
//! A sighting from before the time since which rows are kept says what was current then; it changes nothing but for the
//! first one, which is `initial`.

use super::fold_runs::FoldedRecord;
use crate::fold::fold::SchemaSighting;
use crate::fold::schema_diff::{Change, diff, initial, updated};
use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Transaction, named_params, params};

/// For how many callers of one server and method the version is kept that was current for them when everything of that
/// time expired: those who were seen last. A caller whose credential changes every hour is a new one every hour.
pub(super) const CALLERS_MAX: usize = if cfg!(test) { 2 } else { 64 };

/// A row of `schema_sightings`.
struct Sighting {
    id: i64,
    ts: i64,
    proxy: String,
    upstream_url: String,
    method: String,
    caller: String,
    content_hash: String,
    arrival: Vec<u8>,
}

/// Adds a sighting, unless the same caller saw the same at the same time, and the version, unless it is there already.
///
/// One from before `kept_since` that comes late is as good as never recorded, like a request: what was current then is
/// known, and the sightings that it would have to be put between are gone.
pub(super) fn add(
    transaction: &Transaction<'_>,
    record: FoldedRecord,
    seen: &SchemaSighting<'_>,
    kept_since: i64,
) -> rusqlite::Result<()> {
    if seen.ts < kept_since { Ok(()) } else { restore(transaction, record, seen, kept_since) }
}

/// The same for a sighting that is on record already, in another database: one from before `kept_since` says what was
/// current then.
pub(super) fn restore(
    transaction: &Transaction<'_>,
    record: FoldedRecord,
    seen: &SchemaSighting<'_>,
    kept_since: i64,
) -> rusqlite::Result<()> {
    let sighting = Sighting {
        id: record.id.0,
        ts: seen.ts,
        proxy: seen.proxy.clone().into_owned(),
        upstream_url: seen.upstream_url.clone().into_owned(),
        method: seen.method.clone().into_owned(),
        caller: seen.caller.clone().into_owned(),
        content_hash: seen.content_hash.clone().into_owned(),
        arrival: [&record.writer.0[..], &record.sequence.0.to_be_bytes()[..]].concat(),
    };
    let mut changed = match &seen.payload {
        Some(payload) => add_version(transaction, sighting.version(), payload)?,
        None => Vec::new(),
    };
    let same: Option<(i64, Vec<u8>)> = transaction
        .prepare_cached(
            "SELECT id, arrival FROM schema_sightings WHERE proxy = ?1 AND upstream_url = ?2 AND method = ?3
                 AND caller = ?4 AND ts = ?5 AND content_hash = ?6",
        )?
        .query_row(
            params![
                sighting.proxy,
                sighting.upstream_url,
                sighting.method,
                sighting.caller,
                sighting.ts,
                sighting.content_hash
            ],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    // Of two equal ones the first to arrive counts, in whatever order they are folded.
    if same.as_ref().is_none_or(|(_, arrival)| sighting.arrival < *arrival) {
        if let Some((id, arrival)) = same {
            let other = Sighting { id, arrival, ..sighting.copy() };
            changed.extend(other.followers(transaction)?);
            other.delete(transaction)?;
        }
        sighting.insert(transaction)?;
        changed.push(sighting.id);
        changed.extend(sighting.followers(transaction)?);
    }
    changed.sort_unstable();
    changed.dedup();
    changed.into_iter().try_for_each(|id| rewrite_changes(transaction, id, kept_since))
}

/// Adds a version that is on record in another database: proxy, address, method and hash name it.
pub(super) fn restore_version(
    transaction: &Transaction<'_>,
    of: [&str; 4],
    payload: &str,
    kept_since: i64,
) -> rusqlite::Result<()> {
    let changed = add_version(transaction, of, payload)?;
    changed.into_iter().try_for_each(|id| rewrite_changes(transaction, id, kept_since))
}

/// Adds a version; returns the sightings whose changes have to be worked out again, because it was missing before.
fn add_version(transaction: &Transaction<'_>, of: [&str; 4], payload: &str) -> rusqlite::Result<Vec<i64>> {
    let added = transaction
        .prepare_cached(
            "INSERT INTO schema_versions (proxy, upstream_url, method, content_hash, payload) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (proxy, upstream_url, method, content_hash) DO NOTHING",
        )?
        .execute(params![of[0], of[1], of[2], of[3], payload])?;
    if added == 0 {
        return Ok(Vec::new());
    }
    transaction
        .prepare_cached(
            "SELECT DISTINCT sighting_id FROM schema_changes WHERE proxy = ?1 AND upstream_url = ?2 AND method = ?3
                 AND (old_hash = ?4 OR new_hash = ?4)",
        )?
        .query_map(of, |row| row.get(0))?
        .collect()
}

/// Whether sighting `sighting` is from before ?1, and no part of what was current then: its caller saw another version
/// later, before ?1, or there are too many callers who were seen later than this one.
fn is_expired() -> String {
    let same = |other: &str| {
        format!(
            "{other}.proxy = sighting.proxy AND {other}.upstream_url = sighting.upstream_url
             AND {other}.method = sighting.method AND {other}.ts < ?1"
        )
    };
    let (of_later, of_own) = (same("later"), same("own"));
    format!(
        "sighting.ts < ?1 AND (
             EXISTS (SELECT 1 FROM schema_sightings AS later
                     WHERE {of_later} AND (later.ts, later.arrival) > (sighting.ts, sighting.arrival)
                       AND later.caller = sighting.caller AND later.content_hash <> sighting.content_hash)
             OR {CALLERS_MAX} = (
                 SELECT count(*) FROM (
                     SELECT DISTINCT later.caller FROM schema_sightings AS later
                     WHERE {of_later} AND (later.ts, later.arrival) > (
                         SELECT own.ts, own.arrival FROM schema_sightings AS own WHERE {of_own} AND own.caller = sighting.caller
                         ORDER BY own.ts DESC, own.arrival DESC LIMIT 1)
                     LIMIT {CALLERS_MAX})))"
    )
}

/// How many sightings expire if what is from before `kept_since` does.
pub(super) fn count_expired(connection: &Connection, kept_since: i64) -> rusqlite::Result<u64> {
    let sql = format!("SELECT count(*) FROM schema_sightings AS sighting WHERE {}", is_expired());
    connection.query_row(&sql, [kept_since], |row| row.get(0))
}

/// Removes sightings that are expired, at most `max`, and versions that no sighting names any more. Goes through the
/// sightings behind `after` and up to `last`; returns the last one that it is done with. What was current for a caller stays.
pub(super) fn expire(
    transaction: &Transaction<'_>,
    kept_since: i64,
    (after, last): (i64, i64),
    max: usize,
) -> rusqlite::Result<i64> {
    let sql = format!(
        "SELECT id, {} FROM schema_sightings AS sighting WHERE id > ?2 AND id <= ?3 AND ts < ?1 ORDER BY id LIMIT ?4",
        is_expired()
    );
    // All rows are read first, because what follows changes the table.
    let old = transaction
        .prepare_cached(&sql)?
        .query_map(params![kept_since, after, last, max], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(i64, bool)>>>()?;
    let (mut done, mut left) = (after, max);
    for (id, is_expired) in &old {
        if !is_expired {
            // It may have changed something as long as there were others before it.
            rewrite_changes(transaction, *id, kept_since)?;
        }
        while *is_expired && let Some(sighting) = Sighting::read(transaction, *id)? {
            if left == 0 {
                return Ok(done);
            }
            left -= 1;
            // What the caller saw before is expired as well, and goes first: with this one gone, it would look current.
            let first = match sighting.neighbour(transaction, "id", Side::First, "caller = :caller")? {
                Some(first) => Sighting::read(transaction, first)?.unwrap_or(sighting),
                None => sighting,
            };
            let followers = first.followers(transaction)?;
            first.delete(transaction)?;
            first.delete_version_if_unseen(transaction)?;
            followers.into_iter().try_for_each(|id| rewrite_changes(transaction, id, kept_since))?;
        }
        done = *id;
    }
    Ok(if old.len() == max { done } else { last })
}

/// Works out what the sighting changes, and writes that if something else stands there.
fn rewrite_changes(transaction: &Transaction<'_>, id: i64, kept_since: i64) -> rusqlite::Result<()> {
    let Some(sighting) = Sighting::read(transaction, id)? else { return Ok(()) };
    let (old_hash, changes) = sighting.changes(transaction, kept_since)?;
    let stands = transaction
        .prepare_cached(
            "SELECT change_type, item_name, old_hash FROM schema_changes WHERE sighting_id = ?1 ORDER BY id",
        )?
        .query_map([id], |row| {
            Ok((Change { change_type: row.get(0)?, item_name: row.get(1)? }, row.get::<_, Option<String>>(2)?))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let is_same = stands.len() == changes.len()
        && stands.iter().zip(&changes).all(|((stands, old), change)| stands == change && *old == old_hash);
    if is_same {
        return Ok(());
    }
    transaction.prepare_cached("DELETE FROM schema_changes WHERE sighting_id = ?1")?.execute([id])?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO schema_changes
             (proxy, upstream_url, method, change_type, item_name, old_hash, new_hash, detected_at, caller, sighting_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for Change { change_type, item_name } in changes {
        insert.execute(params![
            sighting.proxy,
            sighting.upstream_url,
            sighting.method,
            change_type,
            item_name,
            old_hash,
            sighting.content_hash,
            sighting.ts,
            sighting.caller,
            id,
        ])?;
    }
    Ok(())
}

/// Where a neighbour is looked for.
#[derive(Clone, Copy)]
enum Side {
    /// The first of those before.
    First,
    Before,
    After,
}

impl Sighting {
    fn read(transaction: &Transaction<'_>, id: i64) -> rusqlite::Result<Option<Self>> {
        transaction
            .prepare_cached(
                "SELECT ts, proxy, upstream_url, method, caller, content_hash, arrival FROM schema_sightings WHERE id = ?1",
            )?
            .query_row([id], |row| {
                Ok(Self {
                    id,
                    ts: row.get(0)?,
                    proxy: row.get(1)?,
                    upstream_url: row.get(2)?,
                    method: row.get(3)?,
                    caller: row.get(4)?,
                    content_hash: row.get(5)?,
                    arrival: row.get(6)?,
                })
            })
            .optional()
    }

    fn copy(&self) -> Self {
        Self {
            id: self.id,
            ts: self.ts,
            proxy: self.proxy.clone(),
            upstream_url: self.upstream_url.clone(),
            method: self.method.clone(),
            caller: self.caller.clone(),
            content_hash: self.content_hash.clone(),
            arrival: self.arrival.clone(),
        }
    }

    /// What names the version that was seen.
    fn version(&self) -> [&str; 4] {
        [&self.proxy, &self.upstream_url, &self.method, &self.content_hash]
    }

    fn insert(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let sql = "INSERT INTO schema_sightings (id, proxy, upstream_url, method, caller, ts, content_hash, arrival)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let Self { id, ts, proxy, upstream_url, method, caller, content_hash, arrival } = self;
        transaction
            .prepare_cached(sql)?
            .execute(params![id, proxy, upstream_url, method, caller, ts, content_hash, arrival])
            .map(|_| ())
    }

    /// Removes the sighting and its changes.
    fn delete(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        transaction.prepare_cached("DELETE FROM schema_changes WHERE sighting_id = ?1")?.execute([self.id])?;
        transaction.prepare_cached("DELETE FROM schema_sightings WHERE id = ?1")?.execute([self.id]).map(|_| ())
    }

    /// Removes the version if no sighting names it.
    fn delete_version_if_unseen(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        transaction
            .prepare_cached(
                "DELETE FROM schema_versions WHERE proxy = ?1 AND upstream_url = ?2 AND method = ?3 AND content_hash = ?4
                     AND NOT EXISTS (SELECT 1 FROM schema_sightings WHERE proxy = ?1 AND upstream_url = ?2
                                         AND method = ?3 AND content_hash = ?4)",
            )?
            .execute(params![self.proxy, self.upstream_url, self.method, self.content_hash])
            .map(|_| ())
    }

    /// The sightings whose changes depend on whether this one is there: the next one, the next one of the same caller, and
    /// the next one of the same version.
    fn followers(&self, transaction: &Transaction<'_>) -> rusqlite::Result<Vec<i64>> {
        let mut followers = Vec::new();
        for condition in ["TRUE", "caller = :caller", "content_hash = :content_hash"] {
            followers.extend(self.neighbour::<i64>(transaction, "id", Side::After, condition)?);
        }
        Ok(followers)
    }

    /// What the sighting changes, and the version before it, if it is compared with one.
    fn changes(
        &self,
        transaction: &Transaction<'_>,
        kept_since: i64,
    ) -> rusqlite::Result<(Option<String>, Vec<Change>)> {
        let before = |condition| self.neighbour::<String>(transaction, "content_hash", Side::Before, condition);
        let Some(last) = before("TRUE")? else { return Ok((None, vec![initial()])) };
        if self.ts < kept_since {
            return Ok((None, Vec::new()));
        }
        let old = match before("caller = :caller")? {
            Some(of_caller) => of_caller,
            None if before("content_hash = :content_hash")?.is_some() => return Ok((None, Vec::new())),
            None => last,
        };
        if old == self.content_hash {
            return Ok((None, Vec::new()));
        }
        let payloads = (self.payload(transaction, &old)?, self.payload(transaction, &self.content_hash)?);
        let changes = match payloads {
            (Some(old), Some(new)) => diff(&self.method, &old, &new),
            // A payload that was lost, or comes later.
            _ => vec![updated()],
        };
        Ok((Some(old), changes))
    }

    fn payload(&self, transaction: &Transaction<'_>, content_hash: &str) -> rusqlite::Result<Option<String>> {
        transaction
            .prepare_cached(
                "SELECT payload FROM schema_versions
                 WHERE proxy = ?1 AND upstream_url = ?2 AND method = ?3 AND content_hash = ?4",
            )?
            .query_row(params![self.proxy, self.upstream_url, self.method, content_hash], |row| row.get(0))
            .optional()
    }

    /// A column of the nearest sighting on that side, of those of the same server and method that fulfil the condition.
    fn neighbour<T: FromSql>(
        &self,
        transaction: &Transaction<'_>,
        column: &str,
        side: Side,
        condition: &str,
    ) -> rusqlite::Result<Option<T>> {
        let (comparison, direction) = match side {
            Side::First => ("<", "ASC"),
            Side::Before => ("<", "DESC"),
            Side::After => (">", "ASC"),
        };
        let sql = format!(
            "SELECT {column} FROM schema_sightings
             WHERE proxy = :proxy AND upstream_url = :upstream_url AND method = :method AND {condition}
               AND (ts, arrival) {comparison} (:ts, :arrival)
             ORDER BY ts {direction}, arrival {direction} LIMIT 1"
        );
        let mut statement = transaction.prepare_cached(&sql)?;
        let all = named_params! {
            ":proxy": self.proxy,
            ":upstream_url": self.upstream_url,
            ":method": self.method,
            ":ts": self.ts,
            ":arrival": self.arrival,
            ":caller": self.caller,
            ":content_hash": self.content_hash,
        };
        // A value for a name that the statement does not have is an error.
        let mut used = Vec::with_capacity(all.len());
        for (name, value) in all {
            if statement.parameter_index(name)?.is_some() {
                used.push((*name, *value));
            }
        }
        statement.query_row(used.as_slice(), |row| row.get(0)).optional()
    }
}
