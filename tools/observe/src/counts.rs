//! What observation counts of itself.
//!
//! Touched inside the tasks that pass bytes on, read by whoever shows the numbers. Nothing else is ordered by a count.

use mcplog::Status;
use mcplog::event::{Code, Direction, Outcome};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// What it has reached.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many of something there are now.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// One more.
    pub fn rise(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn fall(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many there are.
    pub fn get(&self) -> u64 {
        u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

/// What one observer counted since it started.
#[derive(Debug, Default)]
pub struct Counts {
    /// Calls of clients that ended, by what they count as: one number for each outcome, in their order.
    by_outcome: [Counter; <Outcome as Code>::ALL.len()],
    /// Those of servers, likewise.
    asked_by_outcome: [Counter; <Outcome as Code>::ALL.len()],
    /// Requests beyond what one exchange may hold: they pass, but have no row of their own.
    pub requests_unrecorded: Counter,
    /// Notifications and responses of clients that the server refused, or that did not get there: they have no row.
    pub notifications_refused: Counter,
    /// Calls of clients that wait for their response.
    pub in_flight: Gauge,
    /// Calls of servers that wait for their client's response.
    pub asked_in_flight: Gauge,
    /// Sessions that began.
    pub sessions: Counter,
    /// Schema versions that were recorded.
    pub schema_versions: Counter,
    /// Those of them that were too long to be kept whole.
    pub schema_versions_cut: Counter,
    /// Results of schema methods that were not looked at: no memory, too many at once, or not to be read.
    pub schema_results_missed: Counter,
}

impl Counts {
    /// One more call of that direction ended so.
    pub fn count(&self, direction: Direction, outcome: Outcome) {
        let by_outcome = match direction {
            Direction::Client => &self.by_outcome,
            Direction::Server => &self.asked_by_outcome,
        };
        by_outcome[place(outcome)].add(1);
    }

    /// The calls of that direction that wait for their response.
    pub(crate) fn open(&self, direction: Direction) -> &Gauge {
        match direction {
            Direction::Client => &self.in_flight,
            Direction::Server => &self.asked_in_flight,
        }
    }

    /// How many calls of clients ended so.
    pub fn with_outcome(&self, outcome: Outcome) -> u64 {
        self.by_outcome[place(outcome)].get()
    }

    /// How many calls of servers ended so.
    pub fn asked_with_outcome(&self, outcome: Outcome) -> u64 {
        self.asked_by_outcome[place(outcome)].get()
    }

    /// How many calls of clients ended with that status.
    pub fn with_status(&self, status: Status) -> u64 {
        let outcomes = Outcome::ALL.iter().filter(|outcome| outcome.status() == status);
        outcomes.map(|outcome| self.with_outcome(*outcome)).sum()
    }
}

/// Numbers begin with 1.
const fn place(outcome: Outcome) -> usize {
    outcome as usize - 1
}
