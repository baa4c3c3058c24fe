//! What comes before the first store was tried: held in memory, as far as there is room.
//!
//! Called from whoever records while there is no store, and by the keeper; a lock is taken only then. Events borrow what they
//! say, so they are held as the records that they become. Schema versions need not be: who records them offers them again, and
//! waits for what is on record.

use mcplog::record::Record;
use mcplog::{Event, Session, SessionClosed};
use parking_lot::Mutex;

/// How much is held, in bytes: what passes in the time that opening a store takes is a handful of calls.
const BYTES_MAX: usize = 256 * 1024;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Yes,
    /// There is no room for it, or it is offered again.
    Full,
    /// Nothing is held any more.
    Over,
}

/// Events that came early.
#[derive(Debug)]
pub(super) struct Early(Mutex<Option<Records>>);

#[derive(Debug, Default)]
struct Records {
    payloads: Vec<Vec<u8>>,
    bytes: usize,
}

impl Early {
    /// One that holds nothing, ever.
    pub(super) const fn none() -> Self {
        Self(Mutex::new(None))
    }

    /// One that holds what comes.
    pub(super) fn some() -> Self {
        Self(Mutex::new(Some(Records::default())))
    }

    /// Holds an event, if it may.
    pub(super) fn hold(&self, event: &Event<'_>) -> Held {
        let mut held = self.0.lock();
        let Some(records) = &mut *held else { return Held::Over };
        if matches!(event, Event::SchemaVersion(_)) {
            return Held::Full;
        }
        let mut payload = Vec::new();
        Record::from(*event).encode(&mut payload);
        if records.bytes + payload.len() > BYTES_MAX {
            return Held::Full;
        }
        records.bytes += payload.len();
        records.payloads.push(payload);
        Held::Yes
    }

    /// Hands over what was held, and holds nothing any more. Says how many events were not taken.
    pub(super) fn end(&self, mut take: impl FnMut(Event<'_>) -> bool) -> u64 {
        let records = self.0.lock().take().unwrap_or_default();
        let is_lost = |payload: &&Vec<u8>| !hand_over(payload, &mut take);
        records.payloads.iter().filter(is_lost).count() as u64
    }
}

fn hand_over(payload: &[u8], mut take: impl FnMut(Event<'_>) -> bool) -> bool {
    match Record::decode(payload) {
        Ok(Record::Request(record)) => {
            let request_id = record.request_id.text();
            let (session_id, retry_of) = (record.session_id.map(|id| id.text()), record.retry_of.map(|id| id.text()));
            let mut request = record.map(|_| &*request_id, |_, text| text);
            (request.session_id, request.retry_of) = (session_id.as_deref(), retry_of.as_deref());
            take(request.into())
        }
        Ok(Record::Session(record)) => {
            let session_id = record.session_id.text();
            let mut session = Session::new(&session_id, record.started_at, record.proxy);
            (session.client_name, session.client_version) = (record.client_name, record.client_version);
            (session.client_platform, session.protocol_version) = (record.client_platform, record.protocol_version);
            (session.derived, session.noise_lines) = (record.derived, record.noise_lines);
            take(session.into())
        }
        Ok(Record::SessionClosed(closed)) => {
            take(SessionClosed::new(&closed.session_id.text(), closed.ended_at).into())
        }
        // Nothing else is held.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcplog::event::{Direction, Outcome, Transport};
    use mcplog::{Request, SchemaVersion, Status};

    #[test]
    fn what_is_held_comes_out_as_it_came_in_once() {
        let mut full = Request::new("0197a1c0-0000-7000-8000-000000000001", 1_750_000_000_000, "p", "tools/call");
        full.session_id = Some("a session");
        full.tool = Some("search");
        full.latency_us = 17;
        full.status = Status::Error;
        full.retry_of = Some("0197a1c0-0000-7000-8000-000000000002");
        full.outcome = Some(Outcome::Lost);
        full.transport = Some(Transport::Stdio);
        full.direction = Some(Direction::Server);
        full.cause = Some("exit code 3: \u{1b}[31m");
        let mut session = Session::new("a session", 1, "p");
        (session.client_name, session.client_version) = (Some("c"), Some("1"));
        (session.client_platform, session.protocol_version) = (Some("claude"), Some("2025-06-18"));
        (session.derived, session.noise_lines) = (true, Some(7));
        let events: [Event<'_>; 4] = [
            session.into(),
            full.into(),
            Request::new("by hand", 1, "p", "ping").into(),
            SessionClosed::new("a session", 2).into(),
        ];
        let early = Early::some();
        assert!(events.iter().all(|event| early.hold(event) == Held::Yes));
        let mut taken = 0;
        assert_eq!(early.end(|event| (event == events[taken], taken += 1).0), 0);
        assert_eq!(taken, 4);
        assert_eq!(early.hold(&events[0]), Held::Over);
        assert_eq!(early.end(|_| panic!("it was handed over already")), 0);
    }

    #[test]
    fn what_finds_no_room_and_what_is_offered_again_is_not_held() {
        let early = Early::some();
        assert_eq!(early.hold(&SchemaVersion::new(1, "p", "u", "tools/list", "{}", "h").into()), Held::Full);
        let target = "x".repeat(1000);
        let mut request = Request::new("id", 1, "p", "resources/read");
        request.target = Some(&target);
        let held = std::iter::repeat_with(|| early.hold(&request.into())).take_while(|held| *held == Held::Yes).count();
        assert!((BYTES_MAX / 1100..BYTES_MAX / 1000).contains(&held), "{held}");
        assert_eq!(early.end(|_| false), held as u64, "those that nobody takes are told");
    }
}
