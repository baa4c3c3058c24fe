//! Table `rollups`: what requests add up to, kept in step with the rows.
//!
//! Runs on the compactor. A batch collects its requests in memory and merges them into their cells when it ends. The
//! table is a function of the rows. So a minute that lost a request, because a lesser request has the same id, is
//! counted again from its rows, and the cells above the minute from the cells below them.

use crate::event::Outcome;
use crate::fold::cell_scope::CellScope;
use crate::fold::rollup::{Cell, DENSE_CALLS, Level, Sample};
use crate::fold::rollup_page;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// Requests by call.
type Samples = BTreeMap<i64, Vec<Sample>>;
/// Cells that begin at the same time: one for each call, and one for all calls together.
type Cells = BTreeMap<CellScope, Cell>;

/// The range of all pages.
const ALL_PAGES: RangeInclusive<i64> = i64::MIN..=i64::MAX;
/// From about how many rows at a time a rebuild makes cells, so that memory does not grow with the store.
const REBUILD_ROWS: usize = if cfg!(test) { 100 } else { 65_536 };

/// The requests of a batch, by the first millisecond of their minute.
#[derive(Debug, Default)]
pub(super) struct RollupChanges {
    minutes: BTreeMap<i64, Samples>,
    /// The minutes that are to be counted again, by their first milliseconds.
    recount: BTreeSet<i64>,
}

impl RollupChanges {
    /// Notes that a row was added.
    pub(super) fn add(&mut self, call: i64, sample: Sample) {
        let minute = self.minutes.entry(Level::Minute.start_of(sample.ts)).or_default();
        minute.entry(call).or_default().push(sample);
    }

    /// Notes that a row was removed.
    pub(super) fn note_removed(&mut self, ts: i64) {
        self.recount.insert(Level::Minute.start_of(ts));
    }

    /// Brings the table up to date with the rows, which are written already. Cells from before `kept_since` (Unix
    /// milliseconds) count no more.
    pub(super) fn write(self, connection: &Connection, kept_since: i64) -> rusqlite::Result<()> {
        let mut added: BTreeMap<i64, Cells> = BTreeMap::new();
        for (start, samples) in self.minutes {
            if !self.recount.contains(&start) {
                let cells = cells_of(&samples);
                add_to_minute(connection, start, &cells, &samples)?;
                added.insert(start, cells);
            }
        }
        for start in &self.recount {
            count_minute(connection, *start)?;
        }
        let mut recounted = self.recount;
        for levels in Level::ALL.windows(2).skip(1) {
            let (below, level) = (levels[0], levels[1]);
            recounted = recounted.iter().map(|start| level.start_of(*start)).collect();
            let mut coarser: BTreeMap<i64, Cells> = BTreeMap::new();
            for (start, cells) in &added {
                merge(coarser.entry(level.start_of(*start)).or_default(), cells);
            }
            coarser.retain(|start, _| !recounted.contains(start));
            for (start, cells) in &coarser {
                add_to(connection, level, *start, cells)?;
            }
            for start in &recounted {
                let cells = sum_of_below(connection, below, (level, *start), kept_since, ALL_PAGES)?;
                replace(connection, level, *start, ALL_PAGES, &cells)?;
            }
            added = coarser;
        }
        Ok(())
    }
}

/// Makes all cells from the rows. Now and then, `progress` gets the number of rows that are done.
pub(super) fn rebuild(
    connection: &Connection,
    progress: &mut dyn FnMut(usize) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM rollups", [])?;
    let mut statement = connection.prepare(
        "SELECT call, id, ts, latency_us, outcome, bytes_in, bytes_out
         FROM request_rows INDEXED BY request_rows_by_ts ORDER BY ts",
    )?;
    let mut rows = statement.query([])?;
    let (mut changes, mut change_rows, mut done) = (RollupChanges::default(), 0, 0);
    let (mut minute, mut minute_rows) = (i64::MIN, 0);
    while let Some(row) = rows.next()? {
        let (call, sample) = read_sample(row)?;
        if Level::Minute.start_of(sample.ts) != minute {
            (minute, minute_rows) = (Level::Minute.start_of(sample.ts), 0);
        }
        // Not within a minute that is not dense yet: when a minute becomes dense, its seconds are made from all its
        // rows, also from rows that were not read here.
        if change_rows >= REBUILD_ROWS && !(1..DENSE_CALLS).contains(&minute_rows) {
            std::mem::take(&mut changes).write(connection, i64::MIN)?;
            done += std::mem::take(&mut change_rows);
            progress(done)?;
        }
        changes.add(call, sample);
        (change_rows, minute_rows) = (change_rows + 1, minute_rows + 1);
    }
    changes.write(connection, i64::MIN)
}

/// What the requests add up to, call by call and all together.
fn cells_of(samples: &Samples) -> Cells {
    let mut cells: Cells = samples.iter().map(|(call, samples)| (CellScope::Call(*call), Cell::of(samples))).collect();
    let mut all = Cell::empty();
    cells.values().for_each(|cell| all.merge(cell));
    cells.insert(CellScope::All, all);
    cells
}

fn merge(sums: &mut Cells, cells: &Cells) {
    for (scope, cell) in cells {
        sums.entry(*scope).or_insert_with(Cell::empty).merge(cell);
    }
}

/// Removes cells of the time before `kept_since`, at most `pages_max` pages; returns how many pages.
pub(super) fn expire(connection: &Connection, kept_since: i64, pages_max: usize) -> rusqlite::Result<usize> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM rollups WHERE id IN (SELECT id FROM rollups WHERE level = ?1 AND start < ?2 ORDER BY start LIMIT ?3)",
    )?;
    let mut removed = 0;
    for level in Level::ALL {
        removed += delete.execute(params![level.number(), level.start_of(kept_since), pages_max - removed])?;
    }
    Ok(removed)
}

/// Counts the cells again that `kept_since`, a minute's start, lies within: those of the first page behind `after` that
/// has any; returns that page. The time before `kept_since` counts no more.
pub(super) fn recount_cut_cells(
    connection: &Connection,
    after: Option<i64>,
    kept_since: i64,
) -> rusqlite::Result<Option<i64>> {
    let [.., coarsest] = Level::ALL;
    if coarsest.start_of(kept_since) == kept_since {
        return Ok(None);
    }
    // A cell has the pages of all cells within it. So if the coarsest cell lacks a page, the others lack that page too.
    let next: Option<i64> = connection
        .prepare_cached("SELECT min(page) FROM rollups WHERE level = ?1 AND start = ?2 AND (?3 IS NULL OR page > ?3)")?
        .query_row(params![coarsest.number(), coarsest.start_of(kept_since), after], |row| row.get(0))?;
    let Some(page) = next else { return Ok(None) };
    for levels in Level::ALL.windows(2).skip(1) {
        let (below, level) = (levels[0], levels[1]);
        let start = level.start_of(kept_since);
        if start < kept_since {
            let cells = sum_of_below(connection, below, (level, start), kept_since, page..=page)?;
            replace(connection, level, start, page..=page, &cells)?;
        }
    }
    Ok(Some(page))
}

/// Adds requests to a minute, and to its seconds if the minute is dense now.
fn add_to_minute(connection: &Connection, start: i64, cells: &Cells, samples: &Samples) -> rusqlite::Result<()> {
    let added = cells.get(&CellScope::All).map_or(0, |all| all.counts.calls());
    let calls = add_to(connection, Level::Minute, start, cells)?;
    if calls < DENSE_CALLS {
        return Ok(());
    }
    if (1..DENSE_CALLS).contains(&(calls - added)) {
        return write_seconds(connection, &samples_of(connection, start)?);
    }
    write_seconds(connection, samples)
}

/// Counts a minute again from its rows.
fn count_minute(connection: &Connection, start: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM rollups WHERE level = ?1 AND start BETWEEN ?2 AND ?3")?.execute(params![
        Level::Second.number(),
        start,
        last_of(Level::Minute, start)
    ])?;
    let samples = samples_of(connection, start)?;
    let cells = if samples.is_empty() { Cells::new() } else { cells_of(&samples) };
    replace(connection, Level::Minute, start, ALL_PAGES, &cells)?;
    let is_dense = cells.get(&CellScope::All).is_some_and(|all| all.counts.calls() >= DENSE_CALLS);
    if is_dense { write_seconds(connection, &samples) } else { Ok(()) }
}

/// Adds requests to their seconds.
fn write_seconds(connection: &Connection, samples: &Samples) -> rusqlite::Result<()> {
    let mut seconds: BTreeMap<i64, Samples> = BTreeMap::new();
    for (call, samples) in samples {
        for sample in samples {
            let second = seconds.entry(Level::Second.start_of(sample.ts)).or_default();
            second.entry(*call).or_default().push(*sample);
        }
    }
    for (start, samples) in &seconds {
        add_to(connection, Level::Second, *start, &cells_of(samples))?;
    }
    Ok(())
}

/// The last millisecond of the cell that begins at `start`.
fn last_of(level: Level, start: i64) -> i64 {
    match level.end_of(start) {
        i64::MAX => i64::MAX,
        end => end - 1,
    }
}

/// The rows of a minute.
fn samples_of(connection: &Connection, start: i64) -> rusqlite::Result<Samples> {
    let mut statement = connection.prepare_cached(
        "SELECT call, id, ts, latency_us, outcome, bytes_in, bytes_out
         FROM request_rows INDEXED BY request_rows_by_ts WHERE ts BETWEEN ?1 AND ?2",
    )?;
    let mut rows = statement.query(params![start, last_of(Level::Minute, start)])?;
    let mut samples = Samples::new();
    while let Some(row) = rows.next()? {
        let (call, sample) = read_sample(row)?;
        samples.entry(call).or_default().push(sample);
    }
    Ok(samples)
}

fn read_sample(row: &Row<'_>) -> rusqlite::Result<(i64, Sample)> {
    let sample = Sample {
        id: row.get(1)?,
        ts: row.get(2)?,
        latency_us: row.get(3)?,
        outcome: Outcome::from_number(row.get(4)?),
        bytes_in: row.get(5)?,
        bytes_out: row.get(6)?,
    };
    Ok((row.get(0)?, sample))
}

/// The sum of the cells below a cell, in some pages: of those from the cell on that `kept_since` lies in.
fn sum_of_below(
    connection: &Connection,
    below: Level,
    (level, start): (Level, i64),
    kept_since: i64,
    pages: RangeInclusive<i64>,
) -> rusqlite::Result<Cells> {
    let mut statement = connection.prepare_cached(
        "SELECT start, page, cells FROM rollups
         WHERE level = ?1 AND start BETWEEN ?2 AND ?3 AND page BETWEEN ?4 AND ?5",
    )?;
    let first = start.max(below.start_of(kept_since));
    let mut rows =
        statement.query(params![below.number(), first, last_of(level, start), pages.start(), pages.end()])?;
    let mut sums = Cells::new();
    while let Some(row) = rows.next()? {
        let (start, page) = (row.get(0)?, row.get(1)?);
        for cell in rollup_page::cells(page, row.get_ref(2)?.as_blob()?) {
            let (scope, bytes) = cell.map_err(|_| corrupt())?;
            let cell = Cell::decode(start, bytes).ok_or_else(corrupt)?;
            sums.entry(scope).or_insert_with(Cell::empty).merge(&cell);
        }
    }
    Ok(sums)
}

/// Adds to the cells that begin at `start`; returns how many requests all calls have there now.
fn add_to(connection: &Connection, level: Level, start: i64, cells: &Cells) -> rusqlite::Result<i64> {
    let mut select =
        connection.prepare_cached("SELECT id, cells FROM rollups WHERE level = ?1 AND start = ?2 AND page = ?3")?;
    let mut update = connection.prepare_cached("UPDATE rollups SET calls = calls + ?2, cells = ?3 WHERE id = ?1")?;
    let mut calls = 0;
    for (page, cells) in by_page(cells) {
        let stored = select.query_row(params![level.number(), start, page], |row| {
            let (id, bytes): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            Ok((id, bytes))
        });
        let Some((id, page_bytes)) = stored.optional()? else {
            calls = cells.get(&CellScope::All).map_or(calls, |all| all.counts.calls());
            insert(connection, level, start, page, &cells)?;
            continue;
        };
        let mut changes: BTreeMap<CellScope, Vec<u8>> = BTreeMap::new();
        let added_calls = calls_in(&cells);
        let mut new_cells = cells;
        for cell in rollup_page::cells(page, &page_bytes) {
            let (scope, bytes) = cell.map_err(|_| corrupt())?;
            let Some(added) = new_cells.remove(&scope) else { continue };
            let mut sum = Cell::decode(start, bytes).ok_or_else(corrupt)?;
            sum.merge(added);
            if scope == CellScope::All {
                calls = sum.counts.calls();
            }
            changes.insert(scope, encode(start, &sum));
        }
        changes.extend(new_cells.into_iter().map(|(scope, cell)| (scope, encode(start, cell))));
        let new_bytes = rollup_page::replace_cells(page, &page_bytes, &changes).map_err(|_| corrupt())?;
        update.execute(params![id, added_calls, new_bytes])?;
    }
    Ok(calls)
}

/// Writes cells in place of all that begin at `start` and are in those pages.
fn replace(
    connection: &Connection,
    level: Level,
    start: i64,
    pages: RangeInclusive<i64>,
    cells: &Cells,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM rollups WHERE level = ?1 AND start = ?2 AND page BETWEEN ?3 AND ?4")?
        .execute(params![level.number(), start, pages.start(), pages.end()])?;
    by_page(cells).iter().try_for_each(|(page, cells)| insert(connection, level, start, *page, cells))
}

fn insert(
    connection: &Connection,
    level: Level,
    start: i64,
    page: i64,
    cells: &BTreeMap<CellScope, &Cell>,
) -> rusqlite::Result<()> {
    let changes = cells.iter().map(|(scope, cell)| (*scope, encode(start, cell))).collect();
    let bytes = rollup_page::replace_cells(page, &[], &changes).map_err(|_| corrupt())?;
    connection
        .prepare_cached("INSERT INTO rollups (level, start, page, calls, cells) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![level.number(), start, page, calls_in(cells), bytes])
        .map(|_| ())
}

fn by_page(cells: &Cells) -> BTreeMap<i64, BTreeMap<CellScope, &Cell>> {
    let mut pages: BTreeMap<i64, BTreeMap<CellScope, &Cell>> = BTreeMap::new();
    for (scope, cell) in cells {
        pages.entry(rollup_page::page_of(*scope)).or_default().insert(*scope, cell);
    }
    pages
}

/// How many requests the cells count, call by call.
fn calls_in(cells: &BTreeMap<CellScope, &Cell>) -> i64 {
    cells.iter().filter(|(scope, _)| **scope != CellScope::All).map(|(_, cell)| cell.counts.calls()).sum()
}

fn encode(start: i64, cell: &Cell) -> Vec<u8> {
    let mut bytes = Vec::new();
    cell.encode(start, &mut bytes);
    bytes
}

/// Only this module writes pages. So bytes that are no page mean that the file is damaged, and the batch must not
/// commit.
fn corrupt() -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(0, "roll-ups".into(), Type::Blob)
}
