//! A burst of drops is told once when it begins and once when it is over, however many gaps it leaves in the log; so is a log
//! that is full again and again.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use mcplog_fixture::{Fixture, wait_until};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// What was said: the level, the message, and the number of events.
static SAID: Mutex<Vec<(Level, String, u64)>> = Mutex::new(Vec::new());

/// What is said is one process's: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Remembers what the library's threads say.
struct Listener;

#[derive(Default)]
struct Words {
    message: String,
    events: u64,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "events" {
            self.events = value;
        }
    }
}

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &Event<'_>) {
        let mut words = Words::default();
        event.record(&mut words);
        SAID.lock().unwrap().push((*event.metadata().level(), words.message, words.events));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Listens to what is said from now on, for one test.
fn listen() -> MutexGuard<'static, ()> {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Once is enough.
    let _ = tracing::subscriber::set_global_default(Listener);
    SAID.lock().unwrap().clear();
    alone
}

/// How often that was said at that level.
fn times(level: Level, text: &str) -> usize {
    SAID.lock().unwrap().iter().filter(|(at, message, _)| *at == level && message == text).count()
}

/// What was said of drops at that level, and of how many events.
fn said(level: Level) -> Vec<(String, u64)> {
    let said = SAID.lock().unwrap();
    let of_drops = said.iter().filter(|(at, message, _)| *at == level && message.contains("dropped"));
    of_drops.map(|(_, message, events)| (message.clone(), *events)).collect()
}

#[test]
fn a_burst_of_drops_is_told_once_and_once_when_it_is_over() {
    let _alone = listen();
    let mut fixture = Fixture::with(|_| {});
    let recorder = fixture.recorder();
    // Those that a proxy had no store for: each time a gap of its own.
    for time in 0..20 {
        recorder.note_missed(3, 1_750_000_000_000 + time, 1_750_000_000_000 + time);
        let gaps = |gap: u64| said(Level::WARN).len() as u64 + said(Level::DEBUG).len() as u64 > gap;
        wait_until("it is in the log", || gaps(u64::try_from(time).unwrap()));
    }
    assert_eq!(said(Level::WARN), [("events are dropped".to_owned(), 3)]);
    assert_eq!(said(Level::DEBUG).len(), 19);
    fixture.shut_down();
    let told = [("events are dropped".to_owned(), 3), ("no more events are dropped".to_owned(), 60)];
    assert_eq!(said(Level::WARN), told);
}

#[test]
fn a_log_that_is_full_again_and_again_is_told_once_and_once_when_it_is_over() {
    let _alone = listen();
    let mut fixture = Fixture::with(|config| {
        config.segment_bytes = 64 * 1024;
        config.max_log_bytes = 256 * 1024;
    });
    wait_until("it was full, and had room again, three times", || {
        fixture.record(0..1000);
        times(Level::DEBUG, "the event store works again, for now") >= 3
    });
    assert_eq!(times(Level::WARN, "the event store works again"), 0);
    fixture.shut_down();
    assert_eq!(times(Level::ERROR, "the event store is degraded"), 1);
    assert_eq!(times(Level::WARN, "the event store works again"), 1);
}
