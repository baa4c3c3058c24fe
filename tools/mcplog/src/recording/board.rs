//! How recording goes right now, and what became of everything since the process started.
//!
//! Written by the keeper, read by whoever asks: the admin server's threads and the main thread. Never touched by the tasks
//! that pass bytes on.

use super::clock::now_ms;
use super::store_numbers::StoreNumbers;
use super::switch::Switch;
use mcplog::{ShutdownReport, Store};
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;

/// Whether there is a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is being opened, which may take long where a crash left much.
    Opening,
    /// It can't be opened, and why.
    Waiting(String),
    /// It is open.
    Open,
    /// It was shut down, with the process.
    Stopped,
}

/// What became of the events of stores that are not open any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) appended: u64,
    pub(crate) folded: u64,
    /// Lost, as the log tells.
    pub(crate) dropped: u64,
    /// Records that are in the log of the last one and not folded.
    pub(crate) left_in_log: u64,
}

/// What everybody may know of recording.
pub(crate) struct Board {
    switch: Arc<Switch>,
    store: RwLock<Option<Store>>,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    ended: Ended,
    /// Since when something is wrong: when it was first noticed, in Unix milliseconds.
    trouble_since: Option<i64>,
}

impl Board {
    pub(super) fn new(switch: Arc<Switch>) -> Self {
        let state = State { phase: Phase::Opening, ended: Ended::default(), trouble_since: Some(now_ms()) };
        Self { switch, store: RwLock::new(None), state: Mutex::new(state) }
    }

    /// How recording goes, in numbers that go on when one store follows another.
    pub(crate) fn numbers(&self) -> StoreNumbers {
        let mut numbers =
            self.with_store(|store| StoreNumbers::from(store.stats())).unwrap_or_else(StoreNumbers::of_no_store);
        let mut state = self.state.lock();
        numbers.recording &= state.phase == Phase::Open;
        match &state.phase {
            Phase::Opening => numbers.trouble = Some("the store is being opened".to_owned()),
            Phase::Waiting(reason) => numbers.trouble = Some(reason.clone()),
            Phase::Stopped => numbers.trouble = Some("the proxy is ending".to_owned()),
            Phase::Open => {}
        }
        if numbers.trouble.is_none() {
            state.trouble_since = None;
        } else {
            numbers.trouble_since = Some(*state.trouble_since.get_or_insert_with(now_ms));
        }
        let Ended { appended, folded, dropped, .. } = state.ended;
        numbers.recorded += appended;
        numbers.appended += appended;
        numbers.folded += folded;
        numbers.dropped += dropped + self.switch.missed_untold();
        numbers.missed = self.switch.missed_total();
        numbers
    }

    /// What became of everything in the stores that are closed, and how many events no store was told of.
    pub(super) fn ended(&self) -> (Ended, u64) {
        (self.state.lock().ended.clone(), self.switch.missed_untold())
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.state.lock().phase = phase;
    }

    pub(super) fn open(&self, store: Store) {
        *self.store.write() = Some(store);
        self.enter(Phase::Open);
    }

    /// Lets somebody ask the store, if one is open. Others may ask at the same time.
    pub(super) fn with_store<T>(&self, ask: impl FnOnce(&Store) -> T) -> Option<T> {
        self.store.read().as_ref().map(ask)
    }

    /// Takes the store out, to be shut down.
    pub(super) fn close(&self, phase: Phase) -> Option<Store> {
        self.enter(phase);
        self.store.write().take()
    }

    pub(super) fn add_ended(&self, report: &ShutdownReport) {
        let ended = &mut self.state.lock().ended;
        ended.appended += report.appended;
        ended.folded += report.folded;
        ended.dropped += report.dropped.saturating_sub(report.dropped_untold);
        ended.left_in_log = report.left_in_log;
    }
}
