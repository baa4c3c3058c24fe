//! The session that a server's process is: who its client is, and what the store is told of it.
//!
//! Called by those who pass bytes on; a short critical section, and none once the client is known. The process is one
//! session, however often its client shakes hands. It is announced when the first request is answered, again once it is
//! known who the client is, and at the end at the latest, if there is anything to say.

use crate::calls::{Call, Facts};
use crate::read::{Message, RpcId, Slot};
use crate::recording::Recording;
use crate::session::{Announcement, ClientIdentity};
use mcplog::event::Direction;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How an id begins.
pub(super) const PREFIX: &str = "stdio-";
/// How long it takes at least until noise that grew is told again.
pub(super) const NOISE_INTERVAL: Duration = Duration::from_secs(10);

/// The session that a server's process is.
pub(super) struct PipeSession {
    id: Arc<str>,
    /// In Unix milliseconds.
    started_at: i64,
    /// Rows name it.
    has_rows: AtomicBool,
    /// It was announced with that.
    is_client_known: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Who the client says it is, as long as that is not announced.
    introduced: Option<Introduced>,
    /// What was announced.
    announcement: Option<Announcement>,
    /// How much noise that told of, in lines, and when.
    told: Option<(u64, Instant)>,
    is_closed: bool,
}

/// What the latest request says that says who the client is.
struct Introduced {
    /// The id of a handshake. What is agreed on stands in its own answer; any other says who its client is in each
    /// request.
    handshake: Option<RpcId>,
    client: ClientIdentity,
    /// That it names, or asks for.
    protocol_version: Option<Arc<str>>,
}
impl PipeSession {
    /// That of a process that starts at that time.
    pub(super) fn new(started_at: i64) -> Self {
        Self {
            id: format!("{PREFIX}{}", Uuid::now_v7()).into(),
            started_at,
            has_rows: AtomicBool::new(false),
            is_client_known: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    pub(super) fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// A request passes.
    pub(super) fn on_request(&self, facts: &Facts) {
        self.has_rows.store(true, Ordering::Relaxed);
        if self.is_client_known.load(Ordering::Relaxed) {
            return;
        }
        if let Some(client) = facts.handshake.as_ref().or(facts.introduced.as_ref()) {
            let (client, protocol_version) = (client.clone(), facts.protocol_version.clone());
            let handshake = facts.id.clone().filter(|_| facts.handshake.is_some());
            self.state.lock().introduced = Some(Introduced { handshake, client, protocol_version });
        }
    }

    /// A call was answered by that result, when there were so many lines of noise. The first one announces the session,
    /// and so does the first one by which it is known who the client is.
    pub(super) fn on_result(&self, recording: &Recording, call: &Call, result: &Message, noise_lines: u64) {
        if self.is_client_known.load(Ordering::Relaxed) || call.direction != Direction::Client {
            return;
        }
        let mut state = self.state.lock();
        let is_answered =
            |introduced: &mut Introduced| introduced.handshake.is_none() || introduced.handshake == call.id;
        let introduced = state.introduced.take_if(is_answered);
        if introduced.is_none() && state.announcement.is_some() {
            return;
        }
        self.is_client_known.store(introduced.is_some(), Ordering::Relaxed);
        let agreed_version = result.text(Slot::AgreedVersion);
        self.begin(recording, &mut state, introduced, agreed_version.as_deref());
        self.announce(recording, state, noise_lines);
    }

    /// There are so many lines of noise now.
    pub(super) fn on_noise(&self, recording: &Recording, lines: u64) {
        let state = self.state.lock();
        let now = recording.clock.now();
        let is_due = |(told, at): (u64, Instant)| {
            told == 0 || (lines >= told.saturating_mul(2) && now.saturating_duration_since(at) >= NOISE_INTERVAL)
        };
        if state.told.is_some_and(is_due) {
            self.announce(recording, state, lines);
        }
    }

    /// The process is over, after so many lines of noise. Rows that come all the same are followed by another end.
    pub(super) fn close(&self, recording: &Recording, noise_lines: u64) {
        let has_rows = self.has_rows.swap(false, Ordering::Relaxed);
        let mut state = self.state.lock();
        let is_there = has_rows || noise_lines > 0 || state.announcement.is_some();
        if !is_there {
            return;
        }
        let introduced = state.introduced.take();
        let is_news = introduced.is_some() || state.told.is_none_or(|(told, _)| told < noise_lines);
        if introduced.is_some() || state.announcement.is_none() {
            self.begin(recording, &mut state, introduced, None);
        }
        let was_closed = std::mem::replace(&mut state.is_closed, true);
        if is_news {
            self.announce(recording, state, noise_lines);
        } else {
            drop(state);
        }
        if has_rows || !was_closed {
            recording.close_session(&self.id, self.started_at, true);
        }
    }

    /// The session is known from now on: with its client, if that said who it is.
    fn begin(
        &self,
        recording: &Recording,
        state: &mut State,
        introduced: Option<Introduced>,
        agreed_version: Option<&str>,
    ) {
        if state.announcement.is_none() {
            recording.counts.sessions.add(1);
        }
        let (client, asked_version) = match introduced {
            Some(Introduced { client, protocol_version, .. }) => (client, protocol_version),
            None => (ClientIdentity::new(None, None), None),
        };
        state.announcement = Some(Announcement {
            started_at: self.started_at,
            client,
            protocol_version: agreed_version.or(asked_version.as_deref()).map(Box::from),
            is_derived: true,
            noise_lines: None,
        });
    }

    /// Says what the session is, or says it again: with so many lines of noise.
    fn announce(&self, recording: &Recording, mut state: MutexGuard<'_, State>, noise_lines: u64) {
        state.told = Some((noise_lines, recording.clock.now()));
        let Some(announcement) = state.announcement.clone() else { return };
        drop(state);
        let noise_lines = i64::try_from(noise_lines).ok().filter(|lines| *lines > 0);
        recording.announce(&self.id, Announcement { noise_lines, ..announcement });
    }
}
