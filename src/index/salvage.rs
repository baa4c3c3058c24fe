//! Reading a table that may be damaged: every row that SQLite gives, and which numbers may have had others.
//!
//! A table is read upwards to where SQLite stumbles, and downwards to where it does from the other end. What is between is
//! halved, and each half read from both its ends, down to single numbers: so no sound page between two damaged ones is
//! passed over. Runs on the thread that rebuilds, by a connection that only reads.

use crate::ground::work::{Watch, WorkError, tell};
use rusqlite::{Connection, ErrorCode, Row, Rows};
use std::collections::VecDeque;

/// How often a table is tried at most where it can't be read: some seconds' worth.
const TRIES_MAX: u32 = 1 << 18;
/// How far beyond the last row that can be read others are looked for, where the table does not tell its last number: so
/// many rows are on the pages below one damaged one.
const BEYOND: i64 = 1 << 16;
/// How often who watches is told.
const TELL_STEPS: u32 = 1024;

/// Numbers of rows of which nobody can say what they said: the first and the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: i64,
    pub(crate) last: i64,
}

impl Span {
    pub(crate) fn contains(self, number: i64) -> bool {
        (self.first..=self.last).contains(&number)
    }
}

/// What became of a row that SQLite gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It says what such a row can say.
    Read,
    /// It does not: its bytes are damaged.
    Damaged,
}

/// A table, or a part of one, whose rows have ascending numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    /// Selects the rows, the number first. A condition and an order are added.
    pub(super) select: &'a str,
    /// The number's column.
    pub(super) key: &'a str,
    /// The table, for the last number.
    pub(super) table: &'a str,
    /// The last number that a row may have, where the table itself does not tell; 0 if nobody knows.
    pub(super) last_possible: i64,
}

/// Reads all rows that SQLite gives, each once, and hands them to `each`. Returns which numbers may have had others.
///
/// # Errors
/// What `each` returned; that no more is wanted; or SQLite refuses for another reason than damage.
pub(super) fn read(
    connection: &Connection,
    source: Source<'_>,
    watch: &mut Watch<'_>,
    each: &mut dyn FnMut(&Row<'_>) -> Result<Fate, WorkError>,
    failed: &dyn Fn(rusqlite::Error) -> WorkError,
) -> Result<Vec<Span>, WorkError> {
    let Source { select, key, table, last_possible } = source;
    let mut table_rows = TableRows {
        connection,
        up: format!("{select} WHERE {key} > ?1 AND {key} < ?2 ORDER BY {key}"),
        down: format!("{select} WHERE {key} > ?1 AND {key} < ?2 ORDER BY {key} DESC"),
        each,
        watch,
        failed,
        steps: 0,
        last: i64::MAX,
        unreadable: Vec::new(),
    };
    let told = connection.query_row(&format!("SELECT max({key}) FROM {table}"), [], |row| row.get::<_, Option<i64>>(0));
    let last = match told {
        Ok(last) => Some(last.unwrap_or(0)),
        Err(error) if is_damage(&error) => None,
        Err(error) => return Err(failed(error)),
    };
    table_rows.last = last.unwrap_or(last_possible).max(1);
    let mut after = 0;
    let before = match last {
        Some(last) => last.saturating_add(1),
        None => {
            after = table_rows.run(Direction::Up, 0, i64::MAX)?;
            if after == i64::MAX {
                return Ok(table_rows.unreadable);
            }
            if last_possible > 0 { last_possible.max(after).saturating_add(1) } else { after.saturating_add(BEYOND) }
        }
    };
    table_rows.read_between(after, before)?;
    let mut spans = table_rows.unreadable;
    spans.sort_unstable_by_key(|span| span.first);
    spans.dedup_by(|next, span| {
        let follows = span.last.saturating_add(1) >= next.first;
        if follows {
            span.last = span.last.max(next.last);
        }
        follows
    });
    Ok(spans)
}

/// Whether an error says that the file is not what was written to it.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    let codes = [ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase, ErrorCode::SystemIoFailure];
    error.sqlite_error_code().is_some_and(|code| codes.contains(&code)) || is_no_value(error)
}

/// Whether a value has a type that its column can't have.
pub(super) fn is_no_value(error: &rusqlite::Error) -> bool {
    use rusqlite::Error;
    matches!(
        error,
        Error::InvalidColumnType(..)
            | Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::Utf8Error(..)
    )
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

struct TableRows<'a, 'w> {
    connection: &'a Connection,
    up: String,
    down: String,
    each: &'a mut dyn FnMut(&Row<'_>) -> Result<Fate, WorkError>,
    watch: &'a mut Watch<'w>,
    failed: &'a dyn Fn(rusqlite::Error) -> WorkError,
    steps: u32,
    last: i64,
    unreadable: Vec<Span>,
}

impl TableRows<'_, '_> {
    /// Reads the rows between two numbers, both excluded.
    fn read_between(&mut self, after: i64, before: i64) -> Result<(), WorkError> {
        // The larger parts first, so that where the tries end, all of the table was looked at alike.
        let mut parts = VecDeque::from([(after, before)]);
        let mut tries = 0;
        while let Some((after, before)) = parts.pop_front() {
            if before - after < 2 {
                continue;
            }
            if tries >= TRIES_MAX {
                self.unreadable.push(Span { first: after + 1, last: before - 1 });
                continue;
            }
            tries += 1;
            let after = self.run(Direction::Up, after, before)?;
            if after >= before {
                continue;
            }
            let before = self.run(Direction::Down, after, before)?;
            if before <= after {
                continue;
            }
            match before - after {
                ..2 => {}
                2 => self.unreadable.push(Span { first: after + 1, last: after + 1 }),
                _ => {
                    let middle = after + (before - after) / 2;
                    // The number in the middle is in the first part.
                    parts.extend([(after, middle + 1), (middle, before)]);
                }
            }
        }
        Ok(())
    }

    /// Reads in one direction; returns the number up to which that went, that one included: `before` or `after`, the end of
    /// the part, if it went all the way.
    fn run(&mut self, direction: Direction, after: i64, before: i64) -> Result<i64, WorkError> {
        let (sql, start, end) = match direction {
            Direction::Up => (&self.up, after, before),
            Direction::Down => (&self.down, before, after),
        };
        let mut statement = match self.connection.prepare_cached(sql) {
            Ok(statement) => statement,
            Err(error) if is_damage(&error) => return Ok(start),
            Err(error) => return Err((self.failed)(error)),
        };
        let mut rows: Rows<'_> = match statement.query([after, before]) {
            Ok(rows) => rows,
            Err(error) if is_damage(&error) => return Ok(start),
            Err(error) => return Err((self.failed)(error)),
        };
        let mut reached = start;
        loop {
            let row = match rows.next() {
                Ok(None) => return Ok(end),
                Ok(Some(row)) => row,
                Err(error) if is_damage(&error) => return Ok(reached),
                Err(error) => return Err((self.failed)(error)),
            };
            // On pages that refer to each other in a circle, numbers come again.
            let Ok(number) = row.get::<_, i64>(0) else { return Ok(reached) };
            let goes_on = match direction {
                Direction::Up => number > reached && number < end,
                Direction::Down => number < reached && number > end,
            };
            if !goes_on {
                return Ok(reached);
            }
            reached = number;
            if (self.each)(row)? == Fate::Damaged {
                self.unreadable.push(Span { first: number, last: number });
            }
            self.steps += 1;
            if self.steps.is_multiple_of(TELL_STEPS) {
                tell(self.watch, (number as f64 / self.last as f64).clamp(0.0, 1.0))?;
            }
        }
    }
}
