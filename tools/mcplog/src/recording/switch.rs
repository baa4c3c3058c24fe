//! Where the proxy's events go: to the store's recorder while there is one, else they are counted.
//!
//! The hot path: called from the tasks that pass bytes on. The first store's recorder stays where it is for good, so that
//! finding it costs two plain reads of what hardly ever changes. Those of later stores, after one died, are found by
//! arc-swap, without a lock. Measured, an event handed over at full speed: 33.4 ns by the recorder itself, 33.4 by a
//! `OnceLock` like this one, 42.4 by arc-swap alone, with or without its cache for each thread. Only the keeper changes
//! anything.

use super::early::{Early, Held};
use arc_swap::ArcSwapOption;
use mcplog::record::GapRecord;
use mcplog::recorder::GapCounter;
use mcplog::{Event, Recorder};
use mcplog_observe::{Sink, Taken};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Takes events, whether or not there is a store.
pub(crate) struct Switch {
    /// That of the first store. It is kept, with the memory of its channel, even when that store is gone.
    first: OnceLock<Recorder>,
    /// Whether that store is the one that is open.
    first_is_open: AtomicBool,
    /// That of the store that is open, where it is not the first.
    later: ArcSwapOption<Recorder>,
    /// What comes before the first store was tried, if that is held. Touched only while there is none.
    early: Early,
    /// Events that met no store. Touched only while there is none.
    missed: GapCounter,
}

impl Switch {
    /// A switch without a store.
    pub(crate) const fn new() -> Self {
        Self {
            first: OnceLock::new(),
            first_is_open: AtomicBool::new(false),
            later: ArcSwapOption::const_empty(),
            early: Early::none(),
            missed: GapCounter::new(),
        }
    }

    /// One that holds what comes before a store was tried for the first time, as far as there is room, and gives it to that
    /// store: for who does not wait for a store, and whose first messages say what it is.
    pub(crate) fn holding() -> Self {
        Self { early: Early::some(), ..Self::new() }
    }

    /// No store is there as yet: what is held is missed, and so is what comes.
    pub(super) fn hold_no_more(&self) {
        self.missed.add(self.early.end(|_| false));
    }

    /// From now on events go there; they are counted where that is nowhere.
    pub(super) fn set(&self, recorder: Option<Recorder>) {
        let later = match recorder {
            Some(recorder) => match self.first.set(recorder) {
                Ok(()) => {
                    self.first_is_open.store(true, Ordering::Release);
                    // Now that whoever comes records by itself, so that nothing comes to be held behind this.
                    let missed = self.early.end(|event| self.record(event));
                    return self.missed.add(missed);
                }
                Err(later) => Some(later),
            },
            None => None,
        };
        self.first_is_open.store(false, Ordering::Release);
        self.later.store(later.map(Arc::new));
    }

    /// Tells the store of what was missed. To be called now and then: a task that found no store may count its event a
    /// moment after there was one.
    pub(super) fn tell_missed(&self) {
        let later = self.later.load();
        let Some(recorder) = self.first_if_open().or(later.as_deref()) else { return };
        if let Some(GapRecord { events, from_ts, to_ts }) = self.missed.take() {
            recorder.note_missed(events, from_ts, to_ts);
        }
    }

    /// What was not recorded although a store was there.
    pub(super) fn add_missed(&self, events: u64, from_ts: i64, to_ts: i64) {
        self.missed.add_between(events, from_ts, to_ts);
    }

    /// How many events met no store, since the process started.
    pub(super) fn missed_total(&self) -> u64 {
        self.missed.total()
    }

    /// How many of these no store was told of yet.
    pub(super) fn missed_untold(&self) -> u64 {
        self.missed.untaken()
    }

    #[inline]
    fn first_if_open(&self) -> Option<&Recorder> {
        if self.first_is_open.load(Ordering::Acquire) { self.first.get() } else { None }
    }

    #[cold]
    fn record_later(&self, event: &Event<'_>) -> bool {
        match &*self.later.load() {
            Some(recorder) => recorder.record(*event),
            None => self.hold_or_miss(event),
        }
    }

    fn hold_or_miss(&self, event: &Event<'_>) -> bool {
        match self.early.hold(event) {
            Held::Yes => true,
            Held::Full => self.miss(event),
            // It may be over because there is a store since.
            Held::Over => match self.first_if_open() {
                Some(first) => first.record(*event),
                None => self.miss(event),
            },
        }
    }

    #[cold]
    fn offer_later(&self, event: &Event<'_>) -> Taken {
        match &*self.later.load() {
            Some(recorder) => Sink::offer(&**recorder, *event),
            None => {
                self.miss(event);
                Taken::NotNow
            }
        }
    }

    fn miss(&self, event: &Event<'_>) -> bool {
        // Sessions and versions are offered again until they are taken, so they are not missing.
        if !matches!(event, Event::Session(_) | Event::SchemaVersion(_)) {
            self.missed.add(1);
        }
        false
    }
}

impl Sink for Switch {
    #[inline]
    fn record(&self, event: Event<'_>) -> bool {
        match self.first_if_open() {
            Some(first) => first.record(event),
            None => self.record_later(&event),
        }
    }

    fn offer(&self, event: Event<'_>) -> Taken {
        match self.first_if_open() {
            Some(first) => Sink::offer(first, event),
            None => self.offer_later(&event),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcplog::query::Query;
    use mcplog::{Config, Request, SchemaVersion, Session, SessionClosed, Store};
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn request(id: &str) -> Event<'_> {
        Request::new(id, 1, "p", "ping").into()
    }

    #[test]
    fn what_met_no_store_is_a_gap_in_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let switch = Switch::new();
        assert!(!switch.record(request("before")));
        assert!(!switch.record(SessionClosed::new("s", 2).into()));
        assert!(!switch.record(Session::new("s", 1, "p").into()), "it is told again");
        assert!(!switch.record(SchemaVersion::new(1, "p", "u", "tools/list", "{}", "h").into()), "so is this");
        let store = Store::open(Config::new(dir.path().join("store"))).unwrap();
        switch.set(Some(store.recorder()));
        assert!(switch.record(request("with")));
        switch.tell_missed();
        switch.tell_missed();
        switch.set(None);
        assert!(!switch.record(request("after")));
        assert_eq!((switch.missed_total(), switch.missed_untold()), (3, 1));
        store.wait_folded(PATIENCE).unwrap();
        let report = store.shutdown(PATIENCE);
        assert_eq!((report.appended, report.dropped), (1, 2));
        let totals = Query::open(&dir.path().join("store")).unwrap().totals().unwrap();
        assert_eq!((totals.requests, totals.dropped), (1, 2));
    }

    #[test]
    fn who_offers_a_version_that_no_segment_holds_learns_that_of_every_store() {
        let dir = tempfile::tempdir().unwrap();
        let switch = Switch::new();
        let payload = "x".repeat(100_000);
        let large = || SchemaVersion::new(1, "p", "u", "tools/list", &payload, "h").into();
        for number in 0..2 {
            assert_eq!(switch.offer(large()), Taken::NotNow, "a store may come that has room");
            let mut config = Config::new(dir.path().join(number.to_string()));
            config.segment_bytes = mcplog::config::SEGMENT_BYTES_MIN;
            let store = Store::open(config).unwrap();
            switch.set(Some(store.recorder()));
            assert_eq!(switch.offer(large()), Taken::TooLarge, "store {number}");
            assert_eq!(switch.offer(request("with")), Taken::Yes);
            switch.set(None);
            store.shutdown(PATIENCE);
        }
    }

    #[test]
    fn each_store_that_follows_another_gets_what_passes_while_it_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let switch = Switch::new();
        for number in 0..3 {
            let dir = dir.path().join(number.to_string());
            let store = Store::open(Config::new(&dir)).unwrap();
            switch.set(Some(store.recorder()));
            assert!(switch.record(request("with")));
            switch.tell_missed();
            switch.set(None);
            assert!(!switch.record(request("between")));
            store.wait_folded(PATIENCE).unwrap();
            store.shutdown(PATIENCE);
            let totals = Query::open(&dir).unwrap().totals().unwrap();
            assert_eq!((totals.requests, totals.dropped), (1, i64::from(number > 0)), "store {number}");
        }
        assert_eq!((switch.missed_total(), switch.missed_untold()), (3, 1));
    }
}
