//! The session that a server's process is: who its client is, and what the store is told of it.
//!
//! Called by those who pass bytes on; a short critical section, and none once the client is known. The process is one session,
//! however often its client shakes hands. It is announced when the first request is answered that says who the client is, and
//! at the end at the latest, if there is anything to say.

use crate::calls::{Call, Facts};
use crate::read::{Message, RpcId, Slot};
use crate::recording::Recording;
use crate::session::{Announcement, ClientIdentity};
use mcplog::event::Direction;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How an id begins.
const PREFIX: &str = "stdio-";
/// How long it takes at least until noise that grew is told again.
const NOISE_INTERVAL: Duration = Duration::from_secs(10);

/// The session that a server's process is.
pub(super) struct PipeSession {
    id: Arc<str>,
    /// In Unix milliseconds.
    started_at: i64,
    /// Rows name it.
    has_rows: AtomicBool,
    is_announced: AtomicBool,
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

/// A request that says who the client is.
struct Introduced {
    by: Option<RpcId>,
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
            is_announced: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    pub(super) fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// A request passes.
    pub(super) fn on_request(&self, facts: &Facts) {
        self.has_rows.store(true, Ordering::Relaxed);
        if self.is_announced.load(Ordering::Relaxed) {
            return;
        }
        if let Some(client) = facts.handshake.as_ref().or(facts.introduced.as_ref()) {
            let (by, protocol_version) = (facts.id.clone(), facts.protocol_version.clone());
            self.state.lock().introduced = Some(Introduced { by, client: client.clone(), protocol_version });
        }
    }

    /// A call was answered by that result, when there were so many lines of noise. If its request said who the client is, the
    /// session is announced.
    pub(super) fn on_result(&self, recording: &Recording, call: &Call, result: &Message, noise_lines: u64) {
        if self.is_announced.load(Ordering::Relaxed) || call.direction != Direction::Client {
            return;
        }
        let mut state = self.state.lock();
        if state.announcement.is_some() || !state.introduced.as_ref().is_some_and(|introduced| introduced.by == call.id)
        {
            return;
        }
        self.announce(recording, &mut state, result.text(Slot::AgreedVersion).as_deref(), noise_lines);
    }

    /// There are so many lines of noise now.
    pub(super) fn on_noise(&self, recording: &Recording, lines: u64) {
        if self.is_announced.load(Ordering::Relaxed) {
            let (mut state, now) = (self.state.lock(), recording.clock.now());
            let is_due = |(told, at): (u64, Instant)| {
                told == 0 || (lines >= told.saturating_mul(2) && now.saturating_duration_since(at) >= NOISE_INTERVAL)
            };
            if state.told.is_some_and(is_due) {
                self.tell_noise(recording, &mut state, lines);
            }
        }
    }

    /// The process is over, after so many lines of noise.
    pub(super) fn close(&self, recording: &Recording, noise_lines: u64) {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.is_closed, true) {
            return;
        }
        let has_rows = self.has_rows.load(Ordering::Relaxed);
        if state.announcement.is_none() && (has_rows || noise_lines > 0) {
            self.announce(recording, &mut state, None, noise_lines);
        } else if state.told.is_some_and(|(told, _)| told < noise_lines) {
            self.tell_noise(recording, &mut state, noise_lines);
        }
        if state.announcement.is_some() {
            recording.close_session(&self.id, self.started_at, true);
        }
    }

    fn announce(&self, recording: &Recording, state: &mut State, agreed_version: Option<&str>, noise_lines: u64) {
        let (client, asked_version) = match state.introduced.take() {
            Some(Introduced { client, protocol_version, .. }) => (client, protocol_version),
            None => (ClientIdentity::new(None, None), None),
        };
        let announcement = Announcement {
            started_at: self.started_at,
            client,
            protocol_version: agreed_version.or(asked_version.as_deref()).map(Box::from),
            is_derived: true,
        };
        recording.counts.sessions.add(1);
        state.announcement = Some(announcement);
        self.tell_noise(recording, state, noise_lines);
        self.is_announced.store(true, Ordering::Relaxed);
    }

    /// Announces it, or says again what it is: with so many lines of noise.
    fn tell_noise(&self, recording: &Recording, state: &mut State, noise_lines: u64) {
        let Some(announcement) = &state.announcement else { return };
        state.told = Some((noise_lines, recording.clock.now()));
        recording.announce(&self.id, announcement.clone());
    }
}
