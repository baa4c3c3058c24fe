//! What a store keeps is the store's own: who opens it without saying anything leaves it as it was told.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use mcplog::health::Part;
use mcplog::store::Severity;
use mcplog::{Config, Request, Store};
use mcplog_fixture::{Fixture, PATIENCE};
use rusqlite::types::Value;

/// A limit: how it is told, its key in table `meta`, and two of its values.
type Case = (&'static str, fn(&mut Config, Option<u64>), [u64; 3]);
const CASES: [Case; 5] = [
    ("keep_rows_age_ms", |config, value| config.keep_rows_age_ms = value, [60_000, 86_400_000, 0]),
    ("database_bytes_max", |config, value| config.database_bytes_max = value, [1 << 20, 1 << 30, 0]),
    ("keep_segments_bytes", |config, value| config.keep_segments_bytes = value, [1 << 20, 0, u64::MAX]),
    ("keep_segments_age_ms", |config, value| config.keep_segments_age_ms = value, [1, 86_400_000, 0]),
    ("session_idle_ms", |config, value| config.session_idle_ms = value, [1, 1_800_000, 0]),
];

fn remembered(fixture: &Fixture) -> Vec<(String, String)> {
    let text = |value: &Value| if let Value::Text(text) = value { text.clone() } else { panic!("{value:?}") };
    let rows = fixture
        .rows("SELECT key, value FROM meta WHERE key LIKE '%\\_ms' ESCAPE '\\' OR key LIKE '%bytes%' ORDER BY key");
    let rows = rows.iter().map(|row| (text(&row[0]), text(&row[1]))).filter(|(key, _)| key != "created_at");
    rows.collect()
}

/// A request of now: one of a time long ago would make the store doubt the clock.
fn record_now(store: &Store) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!(store.recorder().record(Request::new("told", i64::try_from(now.as_millis()).unwrap(), "p", "ping")));
    store.wait_folded(PATIENCE).unwrap();
}

/// Opens the store as one who says nothing but what `tell` says, and closes it.
fn open_told(fixture: &mut Fixture, tell: impl FnOnce(&mut Config)) -> mcplog::config::Limits {
    let mut config = Config::new(fixture.dir());
    tell(&mut config);
    let store = Store::open(config).unwrap();
    // Whoever folds opens the database, and tells it.
    record_now(&store);
    let limits = store.limits();
    let notes = store.stats().health.notes;
    assert!(notes.is_empty(), "{notes:?}");
    store.shutdown(PATIENCE);
    limits
}

#[test]
fn each_limit_stays_as_it_was_told_until_somebody_says_otherwise() {
    let mut fixture = Fixture::with(|_| {});
    record_now(fixture.store());
    fixture.shut_down();
    let new: Vec<_> = remembered(&fixture);
    assert_eq!(new.len(), CASES.len());
    let idle = mcplog::config::SESSION_IDLE_MS_DEFAULT.to_string();
    assert!(new.iter().all(|(key, value)| value == if key == "session_idle_ms" { &idle } else { "0" }), "{new:?}");
    for (key, tell, values) in CASES {
        for value in values {
            open_told(&mut fixture, |config| tell(config, Some(value)));
            let told = remembered(&fixture);
            assert!(told.contains(&(key.to_owned(), value.to_string())), "{key} = {value}: {told:?}");
            let limits = open_told(&mut fixture, |_| ());
            assert_eq!(remembered(&fixture), told, "who says nothing changes nothing");
            let check = mcplog::check(fixture.dir(), true, |_| {}).unwrap();
            assert_eq!((check.limits, check.verdict), (Some(limits), Severity::Sound));
            assert_eq!(mcplog::plan(&Config::new(fixture.dir())).unwrap().limits, limits);
            // Planning with other limits is no telling.
            let mut other = Config::new(fixture.dir());
            tell(&mut other, Some(values[0]));
            assert_eq!(mcplog::plan(&other).unwrap().limits == limits, value == values[0], "{key}");
            assert_eq!(remembered(&fixture), told);
        }
    }
}

#[test]
fn who_opens_a_store_with_the_defaults_deletes_nothing_that_it_was_told_to_keep() {
    let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
    for number in 0..5 {
        fixture.record(number * 100..number * 100 + 100);
        fixture.reopen();
    }
    fixture.fold();
    fixture.shut_down();
    let kept = fixture.names("kept");
    assert_eq!(kept.len(), 5, "the last one recorded nothing");
    for _ in 0..2 {
        open_told(&mut fixture, |_| ());
    }
    let now = fixture.names("kept");
    assert!(kept.iter().all(|name| now.contains(name)), "{kept:?}, then {now:?}");
    // One who says that nothing is to be kept is believed.
    open_told(&mut fixture, |config| config.keep_segments_bytes = Some(0));
    assert!(!fixture.names("kept").contains(&kept[0]));
}

#[test]
fn requests_go_by_a_limit_of_which_the_one_who_opens_the_store_says_nothing() {
    let mut fixture = Fixture::with(|config| config.keep_rows_age_ms = Some(86_400_000));
    fixture.record(0..1);
    fixture.fold();
    fixture.shut_down();
    fixture.config.keep_rows_age_ms = None;
    // Nothing has expired so far: who opens the store next finds out what is too old.
    fixture.database().execute("DELETE FROM retention", []).unwrap();
    fixture.open();
    fixture.recorder().record(Request::new("old", 1_000, "p", "ping"));
    fixture.fold();
    // The rows of a store that is open go in turns.
    mcplog_fixture::wait_until("the old request is gone", || fixture.number("SELECT count(*) FROM requests") == 0);
    fixture.shut_down();
}

#[test]
fn a_limit_that_is_not_known_any_more_lets_nothing_go_and_is_named_until_it_is_told_anew() {
    for (key, tell, values) in CASES {
        for damage in ["DELETE FROM meta WHERE key = ?1", "UPDATE meta SET value = 'x' WHERE key = ?1"] {
            let mut fixture = Fixture::with(|config| tell(config, Some(values[0])));
            fixture.record(0..10);
            fixture.fold();
            // What was let go while the limit was known goes later, too.
            fixture.store().wait_expired(PATIENCE).unwrap();
            fixture.shut_down();
            fixture.database().execute(damage, [key]).unwrap();
            let check = mcplog::check(fixture.dir(), true, |_| {}).unwrap();
            assert_eq!(check.verdict, Severity::Attention, "{key}");
            assert!(check.findings.iter().any(|found| found.text.contains(key)), "{:?}", check.findings);
            let (segments, requests) = (fixture.names("kept"), fixture.number("SELECT count(*) FROM requests"));
            let store = Store::open(Config::new(fixture.dir())).unwrap();
            mcplog_fixture::wait_until("it is named", || !store.stats().health.notes.is_empty());
            let (limits, health) = (store.limits(), store.stats().health);
            assert!(health.is_ok() && health.notes[&Part::Limits].contains(key), "{health}");
            store.shutdown(PATIENCE);
            let mut unlimited = Config::new(fixture.dir());
            tell(&mut unlimited, Some(values[2]));
            assert_eq!(limits, mcplog::plan(&unlimited).unwrap().limits, "{key}: no limit");
            assert_eq!(fixture.number("SELECT count(*) FROM requests"), requests);
            if key == "keep_segments_bytes" {
                assert!(segments.iter().all(|name| fixture.names("kept").contains(name)));
            }
            open_told_anew(&mut fixture, tell, values[1]);
        }
    }
}

/// Tells a limit that was not known; it is known then.
fn open_told_anew(fixture: &mut Fixture, tell: fn(&mut Config, Option<u64>), value: u64) {
    open_told(fixture, |config| tell(config, Some(value)));
    assert_eq!(mcplog::check(fixture.dir(), true, |_| {}).unwrap().verdict, Severity::Sound);
}

#[test]
fn a_database_made_anew_from_the_log_salts_callers_keys_as_before() {
    let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
    fixture.record(0..1);
    fixture.fold();
    fixture.shut_down();
    let salt = |fixture: &Fixture| mcplog::Query::open(fixture.dir()).unwrap().caller_salt().unwrap();
    let before = salt(&fixture);
    mcplog::rebuild(&Config::new(fixture.dir()), mcplog::rebuild::Source::Log, |_, _| {
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(salt(&fixture), before);
    fixture.remove_database();
    mcplog::rebuild(&Config::new(fixture.dir()), mcplog::rebuild::Source::Log, |_, _| {
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    assert_ne!(salt(&fixture), before, "nobody knows the salt of a database that is gone");
}
