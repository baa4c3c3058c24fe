//! Where the proxy's events go: to the store's recorder while there is one, else they are counted.
//!
//! The hot path: called from the tasks that pass bytes on. Reading which recorder there is takes no lock and no
//! read-modify-write that others share (arc-swap); only the keeper changes it.

use super::missed::{Missed, MissedEvents};
use arc_swap::ArcSwapOption;
use mcplog::{Event, Recorder};
use mcplog_observe::Sink;
use std::sync::Arc;

/// Takes events, whether or not there is a store.
pub(crate) struct Switch {
    recorder: ArcSwapOption<Recorder>,
    missed: MissedEvents,
}

impl Switch {
    /// A switch without a store.
    pub(crate) const fn new() -> Self {
        Self { recorder: ArcSwapOption::const_empty(), missed: MissedEvents::new() }
    }

    /// From now on events go there; they are counted where that is nowhere.
    pub(super) fn set(&self, recorder: Option<Recorder>) {
        self.recorder.store(recorder.map(Arc::new));
    }

    /// Tells the store of what was missed. To be called now and then: a task that found no store may count its event a
    /// moment after there was one.
    pub(super) fn tell_missed(&self) {
        let recorder = self.recorder.load();
        let Some(recorder) = &*recorder else { return };
        if let Some(Missed { events, from_ts, to_ts }) = self.missed.take() {
            recorder.note_missed(events, from_ts, to_ts);
        }
    }

    /// What was not recorded although a store was there.
    pub(super) fn add_missed(&self, missed: Missed) {
        self.missed.add(missed);
    }

    /// How many events met no store, since the process started.
    pub(super) fn missed_total(&self) -> u64 {
        self.missed.total()
    }

    /// How many of these no store was told of yet.
    pub(super) fn missed_untold(&self) -> u64 {
        self.missed.untold()
    }

    #[cold]
    fn miss(&self, event: &Event<'_>) -> bool {
        // Sessions and versions are offered again until they are taken, so they are not missing.
        if !matches!(event, Event::Session(_) | Event::SchemaVersion(_)) {
            self.missed.add_one();
        }
        false
    }
}

impl Sink for Switch {
    #[inline]
    fn record(&self, event: Event<'_>) -> bool {
        match &*self.recorder.load() {
            Some(recorder) => recorder.record(event),
            None => self.miss(&event),
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
}
