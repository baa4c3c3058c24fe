//! An honest log, recorded by the library: its segments, what each number says, and the database at several moments.
//!
//! Recorded once for each recipe and process. The same recipe gives the same segments, but for salts, writer ids and times.

use crate::segment_image::SegmentImage;
use mcplog::position::WriterId;
use mcplog::{Request, SchemaVersion, Session, SessionClosed, Status, SyncPolicy};
use mcplog_fixture::{Fixture, PATIENCE, event};
use std::collections::BTreeMap;

/// What is recorded: in each run so many events.
#[derive(Clone, Copy, Debug)]
struct Recipe {
    runs: &'static [u64],
    /// Events take several hundred bytes, so that runs fill segments.
    is_large: bool,
    sync: SyncPolicy,
    /// The number of the first event, so that no two recipes have an event in common.
    first_event: u64,
}

const fn recipe(runs: &'static [u64], is_large: bool, sync: SyncPolicy, first_event: u64) -> Recipe {
    Recipe { runs, is_large, sync, first_event }
}

const RECIPES: [Recipe; 6] = [
    recipe(&[12, 9, 15, 7, 20], false, SyncPolicy::Interval, 1),
    recipe(&[30, 22, 31], false, SyncPolicy::Always, 1),
    recipe(&[90, 10, 80], true, SyncPolicy::Never, 1),
    recipe(&[25], false, SyncPolicy::Interval, 1),
    recipe(&[3, 4, 3, 5, 3, 4, 6, 3], false, SyncPolicy::Always, 1),
    recipe(&[5, 2, 100], true, SyncPolicy::Interval, 1),
];

/// Logs of other stores, whose events have numbers of their own.
const FOREIGN_RECIPES: [Recipe; 2] = [
    recipe(&[8, 11, 9, 6], false, SyncPolicy::Interval, 1_000_000),
    recipe(&[14, 3, 25], false, SyncPolicy::Always, 2_000_000),
];

/// How many honest logs there are.
pub const RECORDINGS: usize = RECIPES.len();

/// How many logs of other stores there are.
pub const FOREIGN_RECORDINGS: usize = FOREIGN_RECIPES.len();

/// An honest log.
#[derive(Debug)]
pub struct Recording {
    /// Its segments: all sealed, all durable.
    pub segments: Vec<SegmentImage>,
    /// The database, by the last number that it has folded.
    pub databases: BTreeMap<u64, Vec<u8>>,
    /// Whose log it is.
    pub writer_id: WriterId,
}

impl Recording {
    /// Records the log with that number.
    ///
    /// # Panics
    /// The store can't be opened, or does not do as it is told.
    pub fn honest(number: usize) -> Self {
        Self::of(&RECIPES[number])
    }

    /// Records a log of another store.
    ///
    /// # Panics
    /// As [`Recording::honest`].
    pub fn foreign(number: usize) -> Self {
        Self::of(&FOREIGN_RECIPES[number])
    }

    fn of(recipe: &Recipe) -> Self {
        let mut fixture = Fixture::new();
        fixture.config.sync = recipe.sync;
        fixture.config.keep_segments_bytes = Some(u64::MAX);
        fixture.config.keep_segments_age_ms = None;
        let (mut databases, mut number) = (BTreeMap::new(), recipe.first_event);
        for events in recipe.runs {
            fixture.open();
            note_database(&fixture, &mut databases);
            for event in 0..*events {
                if event == events / 2 {
                    fixture.fold();
                    note_database(&fixture, &mut databases);
                }
                record(&fixture, number, recipe.is_large);
                number += 1;
            }
            fixture.fold();
            note_database(&fixture, &mut databases);
            fixture.shut_down();
        }
        let segments: Vec<_> = fixture.segments().iter().map(|path| SegmentImage::read(path)).collect();
        Self { databases, writer_id: segments[0].header.writer_id, segments }
    }

    /// The number of the last record.
    pub fn last_number(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.numbers().end - 1)
    }
}

fn note_database(fixture: &Fixture, databases: &mut BTreeMap<u64, Vec<u8>>) {
    let folded = fixture.number("SELECT coalesce(max(sequence), 0) FROM checkpoint");
    let path = fixture.root().join("database");
    let name = path.to_str().expect("UTF-8");
    fixture.database().execute("VACUUM INTO ?", [name]).expect("a copy of the database");
    // As a store leaves it.
    let copy = rusqlite::Connection::open(&path).expect("a copy of the database");
    copy.pragma_update(None, "journal_mode", "wal").expect("a database with a write-ahead log");
    copy.close().expect("closed");
    let bytes = std::fs::read(&path).expect("a copy of the database");
    std::fs::remove_file(&path).expect("the copy removed");
    databases.insert(u64::try_from(folded).expect("a number"), bytes);
}

/// Records event `number`, of a kind that goes by it.
fn record(fixture: &Fixture, number: u64, is_large: bool) {
    let recorder = fixture.recorder();
    let ts = 1_760_000_000_000_i64.saturating_add_unsigned(number);
    match number % 12 {
        3 => {
            let id = announced(number);
            let mut session = Session::new(&id, ts, "files");
            session.client_name = Some("claude");
            assert!(recorder.record(session), "accepted");
        }
        7 => assert!(recorder.record(SessionClosed::new(&announced(number - 4), ts)), "accepted"),
        5 => {
            let payload = format!("{{\"tools\":[{{\"name\":\"tool-{number}\",\"inputSchema\":{{}}}}]}}");
            let hash = format!("{number:064x}");
            let version = SchemaVersion::new(ts, "files", "http://files", "tools/list", &payload, &hash);
            assert!(recorder.record(version), "accepted");
        }
        9 => {
            // A gap is appended when the appender looks; before and after it, nothing waits.
            fixture.store().flush(PATIENCE).expect("flushed");
            recorder.note_missed(number % 100 + 1, ts - 1, ts);
            fixture.store().flush(PATIENCE).expect("flushed");
        }
        _ if is_large => {
            let (id, session) = (event::request_id(number), format!("session-{}", number % 7));
            let message = "\u{20ac}".repeat(512);
            let mut request = Request::new(&id, ts, "files", "tools/call");
            request.session_id = Some(&session);
            request.tool = Some("search");
            request.error_msg = Some(&message);
            request.status = Status::Error;
            assert!(recorder.record(request), "accepted");
        }
        _ => assert!(event::record(&recorder, number), "accepted"),
    }
}

/// The id of a session that an event announced.
pub fn announced(number: u64) -> String {
    format!("announced-{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_gives_the_same_segments_again() {
        for number in 0..RECORDINGS {
            let [one, other] = [Recording::honest(number), Recording::honest(number)].map(|recording| {
                let sizes = |segment: &SegmentImage| segment.frames.iter().map(Vec::len).collect::<Vec<_>>();
                let segments = recording.segments.iter().map(|segment| (segment.numbers(), sizes(segment)));
                (segments.collect::<Vec<_>>(), recording.databases.keys().copied().collect::<Vec<_>>())
            });
            assert_eq!(one, other, "recipe {number}");
            println!("{number}: {:?} {:?}", one.0.iter().map(|s| s.0.clone()).collect::<Vec<_>>(), one.1);
        }
    }
}
