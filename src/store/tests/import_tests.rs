//! An import ends with what would be on record if everything had been recorded when it happened, on a machine whose clock
//! went along.

use crate::ground::config::Config;
use crate::ground::machine_clock::MachineClock;
use crate::index::build::Build;
use crate::store::store::Store;
use crate::{Event, Recorder, Request, SchemaVersion, Session, SessionClosed, Status};
use proptest::prelude::*;
use rusqlite::types::Value;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// For how long rows are kept.
const KEPT_DAYS: i64 = 10;

/// What happened, so many hours after the first event.
#[derive(Clone, Debug)]
struct Happened {
    hours: i64,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Request { number: usize, session: Option<u8>, status: Status },
    Session(u8),
    Closed(u8),
    Schema { version: u8, caller: u8 },
}

fn what() -> impl Strategy<Value = What> {
    let status = prop_oneof![Just(Status::Ok), Just(Status::Error), Just(Status::Timeout)];
    prop_oneof![
        6 => (any::<usize>(), proptest::option::of(0..4_u8), status)
            .prop_map(|(number, session, status)| What::Request { number, session, status }),
        1 => (0..4_u8).prop_map(What::Session),
        1 => (0..4_u8).prop_map(What::Closed),
        2 => (0..3_u8, 0..2_u8).prop_map(|(version, caller)| What::Schema { version, caller }),
    ]
}

/// Events of some forty days, in the order of their times. Nobody is silent for so long that a session expires and then
/// speaks again: that one begins anew, and when it was found to be over depends on when somebody looked.
fn history() -> impl Strategy<Value = Vec<Happened>> {
    let turn = (1..30_i64, what());
    proptest::collection::vec(turn, 1..60).prop_map(|turns| {
        let mut hours = 0;
        let mut history = Vec::new();
        for (place, (step, what)) in turns.into_iter().enumerate() {
            hours += step;
            history.push(Happened { hours, what });
            // Everybody says something every few days.
            if place % 4 == 3 {
                for session in 0..4 {
                    let number = 1_000 + place * 4 + usize::from(session);
                    let what = What::Request { number, session: Some(session), status: Status::Ok };
                    history.push(Happened { hours, what });
                }
            }
        }
        history
    })
}

impl Happened {
    fn record(&self, place: usize, start: i64, recorder: &Recorder) {
        let ts = start + self.hours * HOUR_MS;
        let session_id = |session: u8| format!("session-{session}");
        let event_of = |event: Event<'_>| assert!(recorder.record(event), "there is room");
        match &self.what {
            What::Request { number, session, status } => {
                let (id, session) = (format!("request-{place}-{number}"), session.map(session_id));
                let mut request = Request::new(&id, ts, "files", if number % 2 == 0 { "tools/call" } else { "ping" });
                request.session_id = session.as_deref();
                request.status = *status;
                event_of(request.into());
            }
            What::Session(session) => event_of(Session::new(&session_id(*session), ts, "files").into()),
            What::Closed(session) => event_of(SessionClosed::new(&session_id(*session), ts).into()),
            What::Schema { version, caller } => {
                let payload = format!(r#"{{"tools":[{{"name":"tool-{version}"}}]}}"#);
                let (hash, caller) = (format!("hash-{version}"), format!("caller-{caller}"));
                let mut seen = SchemaVersion::new(ts, "files", "http://upstream", "tools/list", &payload, &hash);
                seen.caller = &caller;
                event_of(seen.into());
            }
        }
    }
}

/// A store in a directory of its own.
struct Recorded {
    _root: tempfile::TempDir,
    config: Config,
}

impl Recorded {
    fn new(configure: impl FnOnce(&mut Config)) -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut config = Config::new(root.path().join("data"));
        config.segment_bytes = 64 * 1024;
        config.channel_events = 4096;
        config.record_wait_ms = 60_000;
        configure(&mut config);
        Self { _root: root, config }
    }

    fn open(&self, clock: &MachineClock) -> Store {
        Store::open_by(self.config.clone(), &Build::THIS, clock.clone()).unwrap()
    }

    /// What is on record, without the numbers that depend on the order in the log.
    fn tables(&self) -> Vec<Vec<Vec<Value>>> {
        let database = rusqlite::Connection::open(self.config.dir.join("store.db")).unwrap();
        let rows = |sql: &str| -> Vec<Vec<Value>> {
            let mut statement = database.prepare(sql).unwrap();
            let columns = statement.column_count();
            let rows = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect()).unwrap();
            rows.map(Result::unwrap).collect()
        };
        [
            "SELECT request_id, ts, proxy, session_id, method, status FROM requests ORDER BY request_id",
            "SELECT * FROM sessions ORDER BY session_id",
            "SELECT proxy, method, payload, captured_at, schema_hash FROM server_schema ORDER BY 1, 2, 4",
            "SELECT proxy, method, change_type, item_name, old_hash, new_hash, detected_at, caller FROM schema_changes
             ORDER BY detected_at, caller, change_type, item_name",
            "SELECT caller, ts, content_hash FROM schema_sightings ORDER BY 1, 2, 3",
            "SELECT sum(calls), level FROM rollups GROUP BY level ORDER BY level",
            "SELECT kept_since FROM retention",
        ]
        .map(rows)
        .into()
    }
}

/// Records it as it happened, by a clock that goes along; returns what is on record then.
fn record_live(history: &[Happened], start: i64, clock: &MachineClock, keeps: Option<u64>) -> Recorded {
    let recorded = Recorded::new(|config| config.keep_rows_age_ms = keeps);
    let store = recorded.open(clock);
    let recorder = store.recorder();
    let mut hours = 0;
    for (place, happened) in history.iter().enumerate() {
        clock.pass((happened.hours - hours) * HOUR_MS);
        hours = happened.hours;
        happened.record(place, start, &recorder);
        store.wait_expired(PATIENCE).unwrap();
    }
    store.shutdown(PATIENCE);
    recorded
}

/// Imports it, by a clock that says what that of [`record_live`] said at the end. Between some events the store has time to
/// look whether anything is too old.
fn import(history: &[Happened], start: i64, clock: &MachineClock, keeps: Option<u64>, looks: usize) -> Recorded {
    let recorded = Recorded::new(|config| (config.keep_rows_age_ms, config.is_import) = (keeps, true));
    for _ in 0..2 {
        let store = recorded.open(clock);
        let recorder = store.recorder();
        for (place, happened) in history.iter().enumerate() {
            happened.record(place, start, &recorder);
            if place % looks == 0 {
                store.wait_folded(PATIENCE).unwrap_or_else(|error| panic!("{error}: {:?}", store.stats()));
                // So that the store, which in tests looks every ten milliseconds, has looked before some events and not others.
                std::thread::sleep(Duration::from_millis(12));
            }
        }
        store.wait_expired(PATIENCE).unwrap_or_else(|error| panic!("{error}: {:?}", store.stats()));
        store.shutdown(PATIENCE);
    }
    recorded
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_imported_once_or_twice_is_on_record_as_if_it_had_been_recorded_live(
        history in history(), is_kept_for_ever in any::<bool>(), looks in 1..40_usize,
    ) {
        let clock = MachineClock::new();
        // In the middle of a day, so that no border between days lies within the test.
        let now = clock.now().wall_ms;
        clock.pass(2 * DAY_MS - now.rem_euclid(DAY_MS) + 12 * HOUR_MS);
        let start = clock.now().wall_ms;
        let keeps = (!is_kept_for_ever).then_some((KEPT_DAYS * DAY_MS) as u64);
        let live = record_live(&history, start, &clock, keeps);
        let imported = import(&history, start, &clock, keeps, looks);
        for (imported, live) in imported.tables().iter().zip(live.tables()) {
            prop_assert_eq!(imported, &live);
        }
    }
}

#[test]
fn what_came_too_late_is_counted_and_leaves_nothing_behind() {
    let clock = MachineClock::new();
    let recorded = Recorded::new(|config| config.keep_rows_age_ms = Some(DAY_MS as u64));
    let store = recorded.open(&clock);
    let (now, recorder) = (clock.now().wall_ms, store.recorder());
    assert!(recorder.record(Request::new("new", now, "files", "ping")));
    store.wait_expired(PATIENCE).unwrap();
    let old = now - 5 * DAY_MS;
    assert!(recorder.record(Request::new("old", old, "files", "ping")));
    assert!(recorder.record(SchemaVersion::new(old, "files", "http://upstream", "tools/list", "{}", "hash")));
    assert!(recorder.record(Session::new("session", old, "files")));
    store.wait_expired(PATIENCE).unwrap();
    let expired = store.stats().expired;
    assert_eq!(expired.late_events, 2, "{expired:?}");
    assert_eq!(expired.rows.iter().map(|rows| rows.sessions).sum::<u64>(), 1, "{expired:?}");
    store.shutdown(PATIENCE);
    let tables = recorded.tables();
    assert_eq!([tables[0].len(), tables[1].len(), tables[4].len()], [1, 0, 0]);
}
