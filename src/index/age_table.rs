//! Table `age_clock`: the believed time, from one look and one process to the next.
//!
//! Runs on the compactor, which alone writes. `age_clock.rs` decides. The row is written when the clock is first doubted or
//! believed again, and otherwise once an hour, so that an idle store leaves the disk alone: as long as the machine does not
//! start again, what has passed since is known exactly, however old the row is.

use super::age_clock::{AgeClock, Doubts, HeldBack};
use super::row_retention::RetentionTime;
use crate::ground::machine_clock::Moment;
use rusqlite::{Connection, OptionalExtension, params};

/// How often the row is written where nothing happens.
const SAVE_INTERVAL_MS: i64 = 3_600_000;

/// The believed time of a running store.
#[derive(Debug, Default)]
pub(super) struct Ages {
    /// The time, and the last look; `None` before the first.
    last: Option<(AgeClock, Moment)>,
    /// The state that the table has, and of when.
    saved: Option<(AgeClock, Moment)>,
}

/// The row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SavedAge {
    clock: AgeClock,
    patience_ms: i64,
    at: Moment,
}

impl Ages {
    /// What time it is for what is kept for `age_ms`; the clock's time where nothing goes by its age. [`Ages::save`]
    /// comes behind it.
    pub(super) fn time(
        &mut self,
        connection: &Connection,
        age_ms: Option<u64>,
        now: Moment,
    ) -> rusqlite::Result<RetentionTime> {
        let Some(age_ms) = age_ms else { return Ok(RetentionTime::of_clock(now.wall_ms)) };
        if self.last.is_none() {
            self.saved = read(connection)?.map(|saved| (saved.clock, saved.at));
            self.last = self.saved;
        }
        let doubts = Doubts::of_age(age_ms);
        let clock = next(connection, self.last, now, doubts)?;
        self.last = Some((clock, now));
        Ok(time_of(&clock, now, doubts))
    }

    /// Whether the row is to be written.
    pub(super) fn is_save_due(&self, age_ms: Option<u64>) -> bool {
        let (Some(_), Some((clock, now))) = (age_ms, self.last) else { return false };
        !self.saved.is_some_and(|(saved, at)| {
            saved.doubted_ms.is_some() == clock.doubted_ms.is_some()
                && now.since(&at).is_some_and(|passed_ms| passed_ms < SAVE_INTERVAL_MS)
        })
    }

    /// Writes the row, if there was a look.
    pub(super) fn save(&mut self, connection: &Connection, age_ms: Option<u64>) -> rusqlite::Result<()> {
        let (Some(age_ms), Some((clock, now))) = (age_ms, self.last) else { return Ok(()) };
        save(connection, &clock, Doubts::of_age(age_ms), &now)?;
        self.saved = Some((clock, now));
        Ok(())
    }
}

/// What [`Ages::time`] would say, by a connection that only reads.
pub(crate) fn retention_time(
    connection: &Connection,
    age_ms: Option<u64>,
    now: Moment,
) -> rusqlite::Result<RetentionTime> {
    let Some(age_ms) = age_ms else { return Ok(RetentionTime::of_clock(now.wall_ms)) };
    let doubts = Doubts::of_age(age_ms);
    let saved = read(connection)?.map(|saved| (saved.clock, saved.at));
    Ok(time_of(&next(connection, saved, now, doubts)?, now, doubts))
}

/// The believed time now, where the last look had that one, if there was a look.
fn next(
    connection: &Connection,
    last: Option<(AgeClock, Moment)>,
    now: Moment,
    doubts: Doubts,
) -> rusqlite::Result<AgeClock> {
    Ok(match last {
        Some((clock, at)) => clock.after(now.since(&at), now.wall_ms, doubts),
        None => AgeClock::first(newest_request(connection)?, now.wall_ms, doubts),
    })
}

fn time_of(clock: &AgeClock, now: Moment, doubts: Doubts) -> RetentionTime {
    RetentionTime {
        now_ms: now.wall_ms,
        aged_at_ms: clock.aged_at_ms(now.wall_ms),
        held_back: clock.held_back(now.wall_ms, doubts.patience_ms),
    }
}

/// Whether the store doubts the clock, whatever its limits are.
pub(crate) fn held_back(connection: &Connection, now: Moment) -> rusqlite::Result<Option<HeldBack>> {
    Ok(read(connection)?.and_then(|SavedAge { mut clock, patience_ms, at }| {
        let passed_ms = now.since(&at).unwrap_or(0);
        clock.believed_ms = clock.believed_ms.saturating_add(passed_ms);
        clock.doubted_ms = clock.doubted_ms.map(|doubted_ms| doubted_ms.saturating_add(passed_ms));
        clock.held_back(now.wall_ms, patience_ms)
    }))
}

fn read(connection: &Connection) -> rusqlite::Result<Option<SavedAge>> {
    let sql = "SELECT believed_ms, doubted_ms, patience_ms, clock_ms, up_ms, boot_id FROM age_clock WHERE id = 1";
    connection
        .query_row(sql, [], |row| {
            Ok(SavedAge {
                clock: AgeClock { believed_ms: row.get(0)?, doubted_ms: row.get(1)? },
                patience_ms: row.get(2)?,
                at: Moment {
                    wall_ms: row.get(3)?,
                    up_ms: row.get(4)?,
                    boot_id: u128::from_be_bytes(row.get::<_, [u8; 16]>(5)?),
                },
            })
        })
        .optional()
}

fn save(connection: &Connection, clock: &AgeClock, doubts: Doubts, at: &Moment) -> rusqlite::Result<()> {
    let AgeClock { believed_ms, doubted_ms } = clock;
    let boot_id = at.boot_id.to_be_bytes();
    let sql = "INSERT OR REPLACE INTO age_clock (id, believed_ms, doubted_ms, patience_ms, clock_ms, up_ms, boot_id)
               VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)";
    let row = params![believed_ms, doubted_ms, doubts.patience_ms, at.wall_ms, at.up_ms, boot_id];
    connection.prepare_cached(sql)?.execute(row).map(|_| ())
}

fn newest_request(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection.query_row("SELECT max(ts) FROM request_rows", [], |row| row.get(0))
}
