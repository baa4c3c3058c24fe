//! Table `rollups`: what requests add up to, kept in step with the rows.
//!
//! Runs on the compactor. A batch's requests gather in memory and are merged into their cells when it ends. The table
//! is a function of the rows: cells that lost a request (a lesser one took its id) are counted again from the rows,
//! and those above them from the cells below.

use crate::event::Status;
use crate::rollup::{Cell, DENSE_CALLS, Level, Sample};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::{BTreeMap, BTreeSet};

/// A cell's call and first millisecond.
type Place = (i64, i64);

/// The requests of a batch, by call and minute.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    minutes: BTreeMap<Place, Vec<Sample>>,
    /// Minutes to be counted again.
    recount: BTreeSet<Place>,
}

impl Gathered {
    /// A row was added.
    pub(super) fn add(&mut self, call: i64, sample: Sample) {
        self.minutes.entry((call, Level::Minute.start_of(sample.ts))).or_default().push(sample);
    }

    /// A row of that call was removed.
    pub(super) fn removed(&mut self, call: i64, ts: i64) {
        self.recount.insert((call, Level::Minute.start_of(ts)));
    }

    /// Brings the table up to date with the rows, which are written already. Cells from before `kept_since` count no more.
    pub(super) fn write(self, connection: &Connection, kept_since: i64) -> rusqlite::Result<()> {
        let mut added = BTreeMap::new();
        for (place, samples) in self.minutes {
            if self.recount.contains(&place) {
                continue;
            }
            let minute = Cell::of(&samples);
            add_to_minute(connection, place, &minute, &samples)?;
            added.insert(place, minute);
        }
        for place in &self.recount {
            count_minute(connection, *place)?;
        }
        let mut recounted = self.recount;
        for levels in Level::ALL.windows(2).skip(1) {
            let (below, level) = (levels[0], levels[1]);
            let above = |&(call, start): &Place| (call, level.start_of(start));
            recounted = recounted.iter().map(above).collect();
            let mut coarser: BTreeMap<Place, Cell> = BTreeMap::new();
            for (place, cell) in &added {
                coarser.entry(above(place)).or_insert_with(Cell::empty).merge(cell);
            }
            coarser.retain(|place, _| !recounted.contains(place));
            for (place, cell) in &coarser {
                add_to(connection, level, *place, cell)?;
            }
            for place in &recounted {
                let cell = sum_of_below(connection, below, level, *place, kept_since)?;
                write(connection, level, *place, &cell)?;
            }
            added = coarser;
        }
        Ok(())
    }
}

/// Makes all cells of one call from its rows.
pub(super) fn rebuild(connection: &Connection, call: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM rollups WHERE call = ?1")?.execute([call])?;
    // The cell that is being summed, of each level from the minute on. Rows come by time, so each is complete when a
    // row behind it comes.
    let levels = &Level::ALL[1..];
    let mut open: Vec<Option<(i64, Cell)>> = vec![None; levels.len()];
    let mut samples: Vec<Sample> = Vec::new();
    let mut statement = connection
        .prepare("SELECT id, ts, latency_us, status, tool_error, bytes_in, bytes_out FROM request_rows WHERE call = ?1 ORDER BY ts")?;
    let mut rows = statement.query([call])?;
    loop {
        let next = rows.next()?.map(read_sample).transpose()?;
        let same_minute =
            |ts| samples.first().is_some_and(|first| Level::Minute.start_of(first.ts) == Level::Minute.start_of(ts));
        if let Some(sample) = next.filter(|sample| samples.is_empty() || same_minute(sample.ts)) {
            samples.push(sample);
            continue;
        }
        let Some(first) = samples.first() else { return Ok(()) };
        let (minute, place) = (Cell::of(&samples), (call, Level::Minute.start_of(first.ts)));
        if minute.calls >= DENSE_CALLS {
            write_seconds(connection, call, &samples)?;
        }
        for (level, open) in levels.iter().zip(&mut open) {
            let start = level.start_of(place.1);
            match open {
                Some((held, cell)) if *held == start => cell.merge(&minute),
                _ => {
                    if let Some((start, cell)) = open.replace((start, minute.clone())) {
                        write(connection, *level, (call, start), &cell)?;
                    }
                }
            }
        }
        samples.clear();
        match next {
            Some(sample) => samples.push(sample),
            None => {
                for (level, open) in levels.iter().zip(open) {
                    if let Some((start, cell)) = open {
                        write(connection, *level, (call, start), &cell)?;
                    }
                }
                return Ok(());
            }
        }
    }
}

/// The next call after that one which has cells.
pub(super) fn next_call(connection: &Connection, after: i64) -> rusqlite::Result<Option<i64>> {
    let mut select = connection.prepare_cached("SELECT min(call) FROM rollups WHERE level = ?1 AND call > ?2")?;
    let mut next = None;
    for level in Level::ALL {
        let call: Option<i64> = select.query_row(params![level.number(), after], |row| row.get(0))?;
        next = call.into_iter().chain(next).min();
    }
    Ok(next)
}

/// Removes what a call's cells say of the time before `kept_since`, a minute's start: the cells that it cuts are put
/// together again from those below, the ones before it go, at most `max` at once. Whether none is left.
pub(super) fn expire(connection: &Connection, call: i64, kept_since: i64, max: usize) -> rusqlite::Result<bool> {
    for levels in Level::ALL.windows(2).skip(1) {
        let (below, level) = (levels[0], levels[1]);
        let start = level.start_of(kept_since);
        let first_ts: Option<i64> = connection
            .prepare_cached("SELECT first_ts FROM rollups WHERE level = ?1 AND call = ?2 AND start = ?3")?
            .query_row(params![level.number(), call, start], |row| row.get(0))
            .optional()?;
        if start < kept_since && first_ts.is_some_and(|first_ts| first_ts < kept_since) {
            let cell = sum_of_below(connection, below, level, (call, start), kept_since)?;
            write(connection, level, (call, start), &cell)?;
        }
    }
    let mut left = max;
    for level in Level::ALL {
        left -= connection
            .prepare_cached(
                "DELETE FROM rollups WHERE level = ?1 AND call = ?2 AND start IN (
                     SELECT start FROM rollups WHERE level = ?1 AND call = ?2 AND start < ?3 ORDER BY start LIMIT ?4)",
            )?
            .execute(params![level.number(), call, level.start_of(kept_since), left])?;
    }
    Ok(left > 0)
}

/// Adds requests to a minute, and to its seconds where it has many or now gets them.
fn add_to_minute(connection: &Connection, place: Place, minute: &Cell, samples: &[Sample]) -> rusqlite::Result<()> {
    let before = read(connection, Level::Minute, place)?;
    let was_dense = before.as_ref().is_some_and(|before| before.calls >= DENSE_CALLS);
    let mut sum = before.unwrap_or_else(Cell::empty);
    sum.merge(minute);
    write(connection, Level::Minute, place, &sum)?;
    if sum.calls < DENSE_CALLS {
        return Ok(());
    }
    if !was_dense {
        return write_seconds(connection, place.0, &samples_of(connection, Level::Minute, place)?);
    }
    for (start, second) in by_second(samples) {
        add_to(connection, Level::Second, (place.0, start), &second)?;
    }
    Ok(())
}

/// Counts a minute again from its rows.
fn count_minute(connection: &Connection, place: Place) -> rusqlite::Result<()> {
    let (call, start) = place;
    connection
        .prepare_cached("DELETE FROM rollups WHERE level = ?1 AND call = ?2 AND start BETWEEN ?3 AND ?4")?
        .execute(params![Level::Second.number(), call, start, last_of(Level::Minute, start)])?;
    let samples = samples_of(connection, Level::Minute, place)?;
    let minute = Cell::of(&samples);
    write(connection, Level::Minute, place, &minute)?;
    if minute.calls >= DENSE_CALLS { write_seconds(connection, call, &samples) } else { Ok(()) }
}

fn write_seconds(connection: &Connection, call: i64, samples: &[Sample]) -> rusqlite::Result<()> {
    for (start, second) in by_second(samples) {
        write(connection, Level::Second, (call, start), &second)?;
    }
    Ok(())
}

fn by_second(samples: &[Sample]) -> BTreeMap<i64, Cell> {
    let mut seconds: BTreeMap<i64, Vec<Sample>> = BTreeMap::new();
    for sample in samples {
        seconds.entry(Level::Second.start_of(sample.ts)).or_default().push(*sample);
    }
    seconds.into_iter().map(|(start, samples)| (start, Cell::of(&samples))).collect()
}

/// The last millisecond of the cell that begins at `start`.
fn last_of(level: Level, start: i64) -> i64 {
    match level.end_of(start) {
        i64::MAX => i64::MAX,
        end => end - 1,
    }
}

fn samples_of(connection: &Connection, level: Level, (call, start): Place) -> rusqlite::Result<Vec<Sample>> {
    connection
        .prepare_cached(
            "SELECT id, ts, latency_us, status, tool_error, bytes_in, bytes_out
             FROM request_rows WHERE call = ?1 AND ts BETWEEN ?2 AND ?3",
        )?
        .query_map(params![call, start, last_of(level, start)], read_sample)?
        .collect()
}

fn read_sample(row: &Row<'_>) -> rusqlite::Result<Sample> {
    Ok(Sample {
        id: row.get(0)?,
        ts: row.get(1)?,
        latency_us: row.get(2)?,
        status: Status::from_number(row.get(3)?),
        tool_error: row.get::<_, Option<bool>>(4)? == Some(true),
        bytes_in: row.get(5)?,
        bytes_out: row.get(6)?,
    })
}

const COLUMNS: &str =
    "calls, errors, timeouts, tool_errors, bytes_in, bytes_out, first_ts, last_ts, latencies, slowest";

fn read(connection: &Connection, level: Level, (call, start): Place) -> rusqlite::Result<Option<Cell>> {
    let sql = format!("SELECT {COLUMNS} FROM rollups WHERE level = ?1 AND call = ?2 AND start = ?3");
    connection.prepare_cached(&sql)?.query_row(params![level.number(), call, start], read_cell).optional()
}

/// What the cells below add up to, from the one on that `kept_since` lies in.
fn sum_of_below(
    connection: &Connection,
    below: Level,
    level: Level,
    (call, start): Place,
    kept_since: i64,
) -> rusqlite::Result<Cell> {
    let first = start.max(below.start_of(kept_since));
    let mut sum = Cell::empty();
    let sql = format!("SELECT {COLUMNS} FROM rollups WHERE level = ?1 AND call = ?2 AND start BETWEEN ?3 AND ?4");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![below.number(), call, first, last_of(level, start)])?;
    while let Some(row) = rows.next()? {
        sum.merge(&read_cell(row)?);
    }
    Ok(sum)
}

fn add_to(connection: &Connection, level: Level, place: Place, cell: &Cell) -> rusqlite::Result<()> {
    match read(connection, level, place)? {
        None => write(connection, level, place, cell),
        Some(mut sum) => {
            sum.merge(cell);
            write(connection, level, place, &sum)
        }
    }
}

/// Writes a cell; one without requests is no row.
fn write(connection: &Connection, level: Level, (call, start): Place, cell: &Cell) -> rusqlite::Result<()> {
    if cell.calls == 0 {
        return connection
            .prepare_cached("DELETE FROM rollups WHERE level = ?1 AND call = ?2 AND start = ?3")?
            .execute(params![level.number(), call, start])
            .map(|_| ());
    }
    let (mut latencies, mut slowest) = (Vec::new(), Vec::new());
    cell.latencies.encode(&mut latencies);
    cell.slowest.encode(&mut slowest);
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO rollups VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            level.number(),
            call,
            start,
            cell.calls,
            cell.errors,
            cell.timeouts,
            cell.tool_errors,
            cell.bytes_in,
            cell.bytes_out,
            cell.first_ts,
            cell.last_ts,
            latencies,
            slowest,
        ])
        .map(|_| ())
}

/// Reads [`COLUMNS`].
fn read_cell(row: &Row<'_>) -> rusqlite::Result<Cell> {
    let blob = |index| row.get_ref(index)?.as_blob().map_err(rusqlite::Error::from);
    // Only this module writes them. A blob that is none means that the file is damaged, and the batch must not commit.
    let corrupt = |index| rusqlite::Error::InvalidColumnType(index, "roll-up".into(), rusqlite::types::Type::Blob);
    Ok(Cell {
        calls: row.get(0)?,
        errors: row.get(1)?,
        timeouts: row.get(2)?,
        tool_errors: row.get(3)?,
        bytes_in: row.get(4)?,
        bytes_out: row.get(5)?,
        first_ts: row.get(6)?,
        last_ts: row.get(7)?,
        latencies: crate::histogram::Histogram::decode(blob(8)?).map_err(|_| corrupt(8))?,
        slowest: crate::rollup::Slowest::decode(blob(9)?).ok_or_else(|| corrupt(9))?,
    })
}
