//! Reading a table that may be damaged: every row that SQLite gives, and which numbers may have had others.
//!
//! A table that SQLite's own check finds sound is read in one go. Otherwise it is read upwards to where SQLite stumbles, and
//! downwards to where it does from the other end. What is between is halved, and each half read from both its ends, down to
//! single numbers. SQLite stumbles without a word over a page whose numbers are damaged: it takes one that is too high for
//! the end. So what it says of the end is not believed either, and no sound page between two damaged ones is passed over.
//!
//! Runs on the thread that rebuilds, by a connection that only reads.

use crate::ground::work::{Watch, WorkError, tell};
use crate::segment::number_set::NumberSet;
use rusqlite::{Connection, ErrorCode, Row};
use std::collections::VecDeque;

/// How often a table is tried at most where it can't be read: some seconds' worth.
const TRIES_MAX: u32 = 1 << 17;
/// How far beyond the last row that can be read others are looked for, where neither the table nor an index tells the last
/// number: more than are on one page.
const BEYOND: i64 = 1 << 10;
/// How often who watches is told.
const TELL_STEPS: u32 = 1024;

/// Numbers of rows of which nobody can say what they said: the first and the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// What became of a row that SQLite gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It says what such a row can say.
    Read,
    /// It does not: its bytes are damaged.
    Damaged,
}

/// What came of reading a table.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// SQLite's check finds nothing wrong with the table and its indexes: the rows are all that there are.
    pub(super) is_sound: bool,
    /// The numbers of the rows that say something.
    pub(super) numbers: NumberSet,
    /// Numbers that may have had rows: where these would be can't be read.
    pub(super) unreadable: Vec<Span>,
}

/// A table, or a part of one, whose rows have ascending numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    /// Selects the rows, the number first. A condition and an order are added.
    pub(super) select: &'a str,
    /// The number's column.
    pub(super) key: &'a str,
    /// The table, and an index of it that has every row.
    pub(super) table: &'a str,
    pub(super) index: Option<&'a str>,
    /// The last number that a row may have, where neither the index nor the table tells; 0 if nobody knows.
    pub(super) last_possible: i64,
}

/// Reads all rows that SQLite gives, each once, and hands them to `each`.
///
/// # Errors
/// What `each` returned; that no more is wanted; or SQLite refuses for another reason than damage.
pub(super) fn read(
    connection: &Connection,
    source: Source<'_>,
    watch: &mut Watch<'_>,
    each: &mut dyn FnMut(&Row<'_>) -> Result<Fate, WorkError>,
    failed: &dyn Fn(rusqlite::Error) -> WorkError,
) -> Result<Outcome, WorkError> {
    let Source { select, key, table, .. } = source;
    let mut rows = TableRows {
        connection,
        up: format!("{select} WHERE {key} > ?1 AND {key} < ?2 ORDER BY {key}"),
        down: format!("{select} WHERE {key} > ?1 AND {key} < ?2 ORDER BY {key} DESC"),
        each,
        watch,
        failed,
        steps: 0,
        last: 1,
        seen: NumberSet::default(),
        outcome: Outcome::default(),
    };
    let is_sound = rows.is_sound(table)?;
    let told = rows.last_in(&format!("SELECT max({key}) FROM {table}"))?;
    rows.last = told.unwrap_or(0).max(source.last_possible).max(1);
    // A statement that can't even be prepared reads nothing, however often: the table's description is damaged.
    if rows.unless_damaged(connection.prepare_cached(&rows.up).map(drop))?.is_none() {
        rows.outcome.unreadable.push(Span { first: 1, last: rows.last });
        return Ok(rows.outcome);
    }
    if is_sound {
        let run = rows.run(Direction::Up, 0, i64::MAX)?;
        if !run.broke {
            rows.outcome.is_sound = true;
            return Ok(rows.outcome);
        }
    }
    let indexed = match source.index {
        Some(index) => {
            rows.last_in(&format!("SELECT max({key}) FROM (SELECT {key} FROM {table} INDEXED BY {index} LIMIT -1)"))?
        }
        None => None,
    };
    let last = match indexed.or(told) {
        Some(last) => last,
        None if source.last_possible > 0 => source.last_possible,
        None => rows.run(Direction::Up, 0, i64::MAX)?.reached.min(i64::MAX - BEYOND) + BEYOND,
    };
    rows.read_between(0, last.saturating_add(1))?;
    let mut outcome = rows.outcome;
    outcome.unreadable.sort_unstable_by_key(|span| span.first);
    outcome.unreadable.dedup_by(|next, span| {
        let follows = span.last.saturating_add(1) >= next.first;
        if follows {
            span.last = span.last.max(next.last);
        }
        follows
    });
    Ok(outcome)
}

/// Whether an error says that the file is not what was written to it. A damaged length may ask for more memory than there is.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    let codes = [
        ErrorCode::DatabaseCorrupt,
        ErrorCode::NotADatabase,
        ErrorCode::SystemIoFailure,
        ErrorCode::OutOfMemory,
        ErrorCode::TooBig,
    ];
    error.sqlite_error_code().is_some_and(|code| codes.contains(&code)) || is_no_value(error)
}

/// Whether a statement names an index that is not there.
pub(super) fn is_unknown(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::Unknown)
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

/// How far a run went.
#[derive(Clone, Copy)]
struct Run {
    /// The number of the last row; where the run began, if there was none.
    reached: i64,
    /// It ended because something could not be read.
    broke: bool,
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
    /// The numbers of the rows that were handed over: a damaged number may be another row's.
    seen: NumberSet,
    outcome: Outcome,
}

impl TableRows<'_, '_> {
    /// Whether SQLite's check finds nothing wrong with the table and its indexes.
    fn is_sound(&self, table: &str) -> Result<bool, WorkError> {
        let sql = format!("PRAGMA quick_check({table})");
        let complaint = self.connection.query_row(&sql, [], |row| row.get::<_, String>(0));
        self.unless_damaged(complaint).map(|complaint| complaint.is_some_and(|complaint| complaint == "ok"))
    }

    /// The last number that a statement tells; `None` if it can't be read.
    fn last_in(&self, sql: &str) -> Result<Option<i64>, WorkError> {
        let last = self.connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
        self.unless_damaged(last).map(|last| last.map(|last| last.unwrap_or(0)))
    }

    fn unless_damaged<T>(&self, read: rusqlite::Result<T>) -> Result<Option<T>, WorkError> {
        match read {
            Ok(value) => Ok(Some(value)),
            Err(error) if is_damage(&error) || is_unknown(&error) => Ok(None),
            Err(error) => Err((self.failed)(error)),
        }
    }

    /// Reads the rows between two numbers, both excluded.
    fn read_between(&mut self, after: i64, before: i64) -> Result<(), WorkError> {
        // The larger parts first, so that where the tries end, all of the table was looked at alike.
        let mut parts = VecDeque::from([(after, before, false)]);
        let mut tries = 0;
        while let Some((after, before, broke)) = parts.pop_front() {
            if before - after < 2 {
                continue;
            }
            if tries >= TRIES_MAX {
                if broke {
                    self.outcome.unreadable.push(Span { first: after + 1, last: before - 1 });
                }
                continue;
            }
            tries += 1;
            self.step(after)?;
            let up = self.run(Direction::Up, after, before)?;
            let down = self.run(Direction::Down, up.reached, before)?;
            let (after, before, broke) = (up.reached, down.reached, up.broke || down.broke);
            match before - after {
                ..2 => {}
                2 if broke => self.outcome.unreadable.push(Span { first: after + 1, last: after + 1 }),
                2 => {}
                _ => {
                    let middle = after + (before - after) / 2;
                    // The number in the middle is in the first part.
                    parts.extend([(after, middle + 1, broke), (middle, before, broke)]);
                }
            }
        }
        Ok(())
    }

    /// Reads in one direction, the rows between two numbers.
    fn run(&mut self, direction: Direction, after: i64, before: i64) -> Result<Run, WorkError> {
        let (sql, start, end) = match direction {
            Direction::Up => (&self.up, after, before),
            Direction::Down => (&self.down, before, after),
        };
        let mut run = Run { reached: start, broke: true };
        let Some(mut statement) = self.unless_damaged(self.connection.prepare_cached(sql))? else { return Ok(run) };
        let Some(mut rows) = self.unless_damaged(statement.query([after, before]))? else { return Ok(run) };
        while let Some(next) = self.unless_damaged(rows.next())? {
            let Some(row) = next else { return Ok(Run { broke: false, ..run }) };
            // On pages that refer to each other in a circle, numbers come again.
            let goes_on = |number: &i64| match direction {
                Direction::Up => *number > run.reached && *number < end,
                Direction::Down => *number < run.reached && *number > end,
            };
            let Some(number) = row.get::<_, i64>(0).ok().filter(goes_on) else { break };
            run.reached = number;
            let key = u64::try_from(number).unwrap_or(0);
            if self.seen.insert(key) {
                match (self.each)(row)? {
                    Fate::Read => drop(self.outcome.numbers.insert(key)),
                    Fate::Damaged => self.outcome.unreadable.push(Span { first: number, last: number }),
                }
            }
            self.step(number)?;
        }
        Ok(run)
    }

    /// Tells who watches now and then how far the reading has come: up to that number.
    fn step(&mut self, number: i64) -> Result<(), WorkError> {
        self.steps += 1;
        if self.steps.is_multiple_of(TELL_STEPS) {
            tell(self.watch, (number as f64 / self.last as f64).clamp(0.0, 1.0))?;
        }
        Ok(())
    }
}
