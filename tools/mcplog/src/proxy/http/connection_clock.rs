//! Where one client connection stands, and how long it may stay there.
//!
//! Shared by the connection's stream, its task, and the exchanges that it brings. Pure but for the clock.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a client may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientLimits {
    /// For the head of a request, from its first byte; of the first one, from the connection's beginning.
    pub(crate) head: Duration,
    /// Between two requests.
    pub(crate) idle: Duration,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The rest of a request's head.
    Head,
    /// The first byte of the next request.
    Idle,
    /// Something else: an exchange is open, which has limits of its own.
    Busy,
}

/// One connection's clock.
pub(super) struct ConnectionClock {
    limits: ClientLimits,
    state: Mutex<State>,
}

struct State {
    /// How many exchanges are open.
    open: u32,
    /// Bytes of a head are here, or the connection is new.
    is_in_head: bool,
    /// Something was read.
    has_read: bool,
    /// A request was taken whose response has not begun.
    is_owed: bool,
    since: Instant,
}

/// An open exchange. Once it is dropped, the connection is idle.
pub(super) struct Busy(Arc<ConnectionClock>);

impl ConnectionClock {
    /// The clock of a connection that was accepted now.
    pub(super) fn new(limits: ClientLimits, now: Instant) -> Self {
        let state = State { open: 0, is_in_head: true, has_read: false, is_owed: false, since: now };
        Self { limits, state: Mutex::new(state) }
    }

    /// A request's head was read.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        let mut state = self.state.lock();
        state.open += 1;
        state.is_in_head = false;
        state.is_owed = true;
        drop(state);
        Busy(self.clone())
    }

    /// Bytes came in.
    pub(super) fn on_read(&self, now: Instant) {
        let mut state = self.state.lock();
        state.has_read = true;
        if state.open == 0 && !state.is_in_head {
            (state.is_in_head, state.since) = (true, now);
        }
    }

    /// Bytes go out. `true` if they answer no request that was taken: the HTTP library refuses what it can't read.
    pub(super) fn on_write(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.is_owed) || state.open > 0 {
            return false;
        }
        if !state.is_in_head {
            // The end of a response, to a client that reads it slowly.
            state.since = now;
        }
        state.is_in_head
    }

    /// Whether anything was read in the current head.
    pub(super) fn has_read(&self) -> bool {
        self.state.lock().has_read
    }

    /// What the connection waits for, and until when.
    pub(super) fn phase(&self) -> (Phase, Option<Instant>) {
        let state = self.state.lock();
        match (state.open, state.is_in_head) {
            (0, true) => (Phase::Head, Some(state.since + self.limits.head)),
            (0, false) => (Phase::Idle, Some(state.since + self.limits.idle)),
            _ => (Phase::Busy, None),
        }
    }

    /// Ends when the connection has waited for too long. Looks rarely: a limit that begins later ends later.
    pub(super) async fn overdue(&self) -> Phase {
        let shortest = self.limits.head.min(self.limits.idle);
        loop {
            let now = Instant::now();
            let (phase, deadline) = self.phase();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return phase;
            }
            let next = deadline.map_or(now + shortest, |deadline| deadline.min(now + shortest));
            tokio::time::sleep_until(next.into()).await;
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.open -= 1;
        state.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ClientLimits = ClientLimits { head: Duration::from_secs(30), idle: Duration::from_secs(300) };

    #[test]
    fn each_phase_has_its_limit_from_where_it_begins() {
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let clock = Arc::new(ConnectionClock::new(LIMITS, start));
        assert_eq!(clock.phase(), (Phase::Head, Some(later(30))), "a new connection");
        clock.on_read(later(20));
        assert_eq!(clock.phase(), (Phase::Head, Some(later(30))), "who trickles gains nothing");
        let (first, second) = (clock.begin(), clock.begin());
        clock.on_read(later(21));
        assert_eq!(clock.phase(), (Phase::Busy, None));
        drop(first);
        assert_eq!(clock.phase(), (Phase::Busy, None), "another one is open");
        drop(second);
        let (phase, Some(idle)) = clock.phase() else { panic!("no limit") };
        assert!(phase == Phase::Idle && idle >= later(300));
        clock.on_read(later(100));
        clock.on_read(later(110));
        assert_eq!(clock.phase(), (Phase::Head, Some(later(130))), "from the first byte");
    }

    #[test]
    fn only_what_answers_nothing_is_the_librarys_own() {
        let now = Instant::now();
        let clock = Arc::new(ConnectionClock::new(LIMITS, now));
        assert!(clock.on_write(now), "the first head can't be read");
        let busy = clock.begin();
        assert!(!clock.on_write(now), "interim, or the response itself");
        drop(busy);
        assert!(!clock.on_write(now), "the rest of the response");
        clock.on_read(now);
        assert!(clock.on_write(now), "the next head can't be read");
        drop(clock.begin());
        assert!(!clock.on_write(now), "a response without an exchange");
    }
}
