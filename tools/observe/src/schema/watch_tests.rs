//! The watch in front of a sink that refuses.

use super::*;
use crate::budget::Budget;
use crate::schema::merged::Merged;
use crate::schema::{Asked, Caller, KnownVersion, SchemaMethod, Scope};
use mcplog::Event;
use parking_lot::Mutex;
use serde_json::json;
use std::time::Instant;

/// A sink that takes nothing larger than it says, and nothing at all while it is full.
#[derive(Default)]
struct Log {
    is_full: Mutex<bool>,
    payload_bytes_max: Mutex<Option<usize>>,
    /// The callers and the payloads' lengths of what was taken.
    taken: Mutex<Vec<(String, Option<usize>)>>,
    refused: Mutex<usize>,
}

impl Sink for Log {
    fn record(&self, event: Event<'_>) -> bool {
        self.offer(event) == Taken::Yes
    }

    fn offer(&self, event: Event<'_>) -> Taken {
        let Event::SchemaVersion(version) = event else { panic!("{event:?}") };
        let bytes = version.payload.map(str::len);
        let is_too_large = bytes.zip(*self.payload_bytes_max.lock()).is_some_and(|(bytes, max)| bytes > max);
        if is_too_large || *self.is_full.lock() {
            *self.refused.lock() += 1;
            return if is_too_large { Taken::TooLarge } else { Taken::NotNow };
        }
        self.taken.lock().push((version.caller.to_owned(), bytes));
        Taken::Yes
    }
}

struct Fixture {
    log: Arc<Log>,
    watch: SchemaWatch,
    ts: i64,
}

impl Fixture {
    fn new() -> Self {
        let log = Arc::new(Log::default());
        let watch = SchemaWatch::new(log.clone(), Arc::default(), "p".into(), "http://u".into());
        Self { log, watch, ts: 0 }
    }

    /// A client lists the tools, and gets this one.
    fn list(&mut self, caller: &Caller, tool: &str) {
        self.list_described(caller, tool, "");
    }

    /// The same with a description of the tool.
    fn list_described(&mut self, caller: &Caller, tool: &str, description: &str) {
        self.ts += 1;
        let now = Instant::now();
        let tool = json!({"name": tool, "description": description});
        let message = json!({"id": 1, "result": {"tools": [tool]}}).to_string().into_bytes();
        self.watch.look_at(&SchemaResult::new(
            &Budget::new(usize::MAX),
            Asked {
                scope: Scope::Connection(1),
                endpoint: None,
                method: SchemaMethod::Tools,
                cursor: None,
                caller: caller.clone(),
                asked_at: now,
            },
            (self.ts, now),
            i64::try_from(message.len()).unwrap(),
            Some(&message),
        ));
    }

    /// What was taken since the last look: whether with a payload.
    fn taken(&self) -> Vec<bool> {
        self.log.taken.lock().drain(..).map(|(_, payload)| payload.is_some()).collect()
    }
}

fn named(name: &str) -> Caller {
    Caller { credential: None, client: Some(name.into()) }
}

#[test]
fn a_version_that_was_refused_is_recorded_when_it_is_seen_again() {
    let mut fixture = Fixture::new();
    let cursor = named("cursor");
    *fixture.log.is_full.lock() = true;
    fixture.list(&cursor, "a");
    fixture.list(&cursor, "a");
    assert_eq!((fixture.taken(), *fixture.log.refused.lock()), (vec![], 2));
    *fixture.log.is_full.lock() = false;
    fixture.list(&cursor, "a");
    fixture.list(&cursor, "a");
    assert_eq!(fixture.taken(), [true]);
    assert_eq!(fixture.watch.counts.schema_versions.get(), 1, "what was refused does not count");
    // The same of who else is offered it.
    *fixture.log.is_full.lock() = true;
    fixture.list(&named("zed"), "a");
    *fixture.log.is_full.lock() = false;
    fixture.list(&named("zed"), "a");
    assert_eq!(fixture.taken(), [false]);
}

#[test]
fn of_a_version_that_is_too_large_as_much_is_recorded_as_the_log_takes() {
    // What the log takes: not even a size, a size, the items' digests. How often it refused; how long what it took is.
    for (bytes_max, refused, bytes) in [(60, 3, None), (150, 2, Some(80..150)), (400, 1, Some(151..400))] {
        let mut fixture = Fixture::new();
        *fixture.log.payload_bytes_max.lock() = Some(bytes_max);
        let (cursor, long) = (named("cursor"), "x".repeat(1000));
        fixture.list(&cursor, "a");
        for _ in 0..5 {
            fixture.list_described(&cursor, "a", &long);
        }
        fixture.list(&cursor, "a");
        let taken: Vec<_> = fixture.log.taken.lock().iter().map(|(_, payload)| *payload).collect();
        let [Some(_), large, None] = taken[..] else { panic!("{taken:?}") };
        assert_eq!((large.is_some(), *fixture.log.refused.lock()), (bytes.is_some(), refused), "{bytes_max}");
        assert!(large.is_none_or(|large| bytes.is_some_and(|bytes| bytes.contains(&large))), "{large:?}");
        assert_eq!(fixture.watch.counts.schema_versions_cut.get(), 1);
    }
}

#[test]
fn a_list_that_is_longer_than_what_is_looked_at_is_one_version_and_what_is_missed_is_counted() {
    let mut fixture = Fixture::new();
    let pass = |fixture: &mut Fixture, bytes: usize| {
        fixture.ts += 1;
        let (now, bytes) = (Instant::now(), i64::try_from(bytes).unwrap());
        let asked = Asked {
            scope: Scope::Connection(1),
            endpoint: None,
            method: SchemaMethod::Tools,
            cursor: None,
            caller: named("cursor"),
            asked_at: now,
        };
        fixture.watch.look_at(&SchemaResult::new(&Budget::new(0), asked, (fixture.ts, now), bytes, None));
    };
    fixture.list(&named("cursor"), "a");
    pass(&mut fixture, SCHEMA_BYTES_MAX + 1);
    pass(&mut fixture, SCHEMA_BYTES_MAX + 2);
    assert_eq!(fixture.taken(), [true, true]);
    pass(&mut fixture, 100);
    fixture.list(&named("cursor"), "a");
    assert_eq!(fixture.taken(), [false]);
    let counts = &fixture.watch.counts;
    assert_eq!((counts.schema_versions_cut.get(), counts.schema_results_missed.get()), (1, 1));
}

#[test]
fn what_a_store_knows_can_come_late_and_its_salt_gives_callers_their_keys() {
    let alice = Caller { credential: Some(crate::credential::Credential::of("Bearer alice")), client: None };
    let mut fixture = Fixture::new();
    fixture.list(&alice, "a");
    let key = |fixture: &Fixture| fixture.log.taken.lock().last().unwrap().0.clone();
    let random = key(&fixture);
    let known = |versions| Known { salt: "salt".to_owned(), versions };
    fixture.watch.learn(known(Vec::new()));
    fixture.list(&alice, "a");
    let salted = key(&fixture);
    assert!(salted != random && salted == *alice.key("salt"));

    let list = json!({"tools": [{"name": "a", "description": ""}]}).to_string().into();
    let content_hash = Merged::new(SchemaMethod::Tools, vec![list]).content_hash().unwrap();
    let (method, caller) = (SchemaMethod::Tools, salted);
    let mut restarted = Fixture::new();
    restarted.watch.learn(known(vec![KnownVersion {
        endpoint: None,
        method,
        content_hash,
        caller,
        since_ts: 1,
        last_ts: 1,
    }]));
    restarted.list(&alice, "a");
    assert_eq!(restarted.taken(), [] as [bool; 0]);
    restarted.list(&alice, "b");
    assert_eq!(restarted.taken(), [true]);
}
