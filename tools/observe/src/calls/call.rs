//! One JSON-RPC request on its way, and the promise that it becomes exactly one `Request` event.
//!
//! Shared by the exchange that brought it and, if it belongs to a session, by the index that finds it when its response
//! arrives on another stream. It is told what happens, and [`super::lifecycle`] says what follows. Should nobody tell it
//! anything, its drop does. Lives in the tasks that pass bytes on; it must not wait.

use super::breakdown::{Breakdown, CAUSE_BYTES_MAX};
use super::event::{Ended, How};
use super::facts::Facts;
use super::failure::Failure;
use super::happening::{Answer, Happening};
use super::lifecycle::{Input, Recorded, State, step};
use super::origin::Origin;
use crate::read::RpcId;
use crate::recording::{Phase, Recording};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Instant;

/// One JSON-RPC request that waits for its response.
pub(crate) struct Call {
    recording: Arc<Recording>,
    pub(crate) origin: Origin,
    /// `None` where the body could not be read, and the request is only known from its head.
    pub(crate) id: Option<RpcId>,
    /// Its result says what the server offers.
    pub(crate) is_schema: bool,
    /// Its response is a stream that may be silent for hours.
    pub(crate) is_patient: bool,
    /// What it holds in memory at most, in bytes, with what it shares with others.
    pub(crate) bytes: usize,
    /// The HTTP status of its exchange's response; 0 until the head of one is here.
    http_status: AtomicU16,
    progress: Mutex<Progress>,
}

struct Progress {
    state: State,
    /// `None` once it has ended: who ends it takes the facts out, and records them. Those of a call that was cancelled and
    /// asks what the server offers come back: its result says that, however late it comes.
    facts: Option<Facts>,
    /// How it was left by its exchange, if it was.
    left: Option<Left>,
}

struct Left {
    breakdown: Breakdown,
    since: Instant,
    deadline: Instant,
}

impl Call {
    pub(crate) fn begin(recording: &Arc<Recording>, origin: &Origin, mut facts: Facts) -> Self {
        recording.counts.in_flight.rise();
        let bytes = Self::bytes_of(&facts) + origin.text_bytes() + CAUSE_BYTES_MAX;
        let (is_schema, is_patient) = (facts.schema.is_some(), facts.is_patient());
        Self {
            recording: recording.clone(),
            origin: origin.clone(),
            id: facts.id.take(),
            is_schema,
            is_patient,
            bytes,
            http_status: AtomicU16::new(0),
            progress: Mutex::new(Progress { state: State::Waiting, facts: Some(facts), left: None }),
        }
    }

    /// What a call with these facts holds in memory for itself, in bytes.
    pub(crate) fn bytes_of(facts: &Facts) -> usize {
        size_of::<Self>() + facts.text_bytes()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.progress.lock().state != State::Ended
    }

    /// Whether a response with that id is its own. One whose id is not known takes any.
    pub(crate) fn is_answered_by(&self, id: &RpcId) -> bool {
        self.id.as_ref().is_none_or(|own| own == id) && self.is_open()
    }

    /// Whether its client takes a response with an id of that number for its own, if no other request has that very id.
    pub(crate) fn is_answered_by_number(&self, number: i64) -> bool {
        self.id.as_ref().is_some_and(|own| own.number() == Some(number)) && self.is_open()
    }

    /// The head of its exchange's response is here.
    pub(crate) fn on_response_head(&self, http_status: u16) {
        self.http_status.store(http_status, Ordering::Relaxed);
    }

    /// Tells it what happened, and when. `true` if that ended it: then it is recorded.
    pub(crate) fn tell(&self, happening: &Happening<'_>, now: Instant) -> bool {
        let ended = self.progress.lock().advance(happening, now);
        let Some((facts, how, at)) = ended else { return false };
        let http_status = match &how {
            How::Answered(answer) => answer.response.status,
            How::Failed(_) => Some(self.http_status.load(Ordering::Relaxed)).filter(|status| *status != 0),
        };
        let (recording, origin, id) = (&self.recording, &self.origin, self.id.as_ref());
        let is_cancelled = matches!(&how, How::Failed(breakdown) if breakdown.failure == Failure::Cancelled);
        Ended { recording, origin, id, facts: &facts, how, http_status, at }.record();
        if is_cancelled && self.is_schema {
            self.progress.lock().facts = Some(facts);
        }
        true
    }

    /// Whether it was cancelled, and its result is worth reading yet.
    pub(crate) fn is_late(&self) -> bool {
        self.is_schema && self.progress.lock().is_late()
    }

    /// Whether a response with that id is what it no longer waits for.
    pub(crate) fn is_answered_late_by(&self, id: &RpcId) -> bool {
        self.id.as_ref() == Some(id) && self.is_late()
    }

    /// Its answer came after it was cancelled: the row stays, and what the server offers is known.
    pub(crate) fn tell_late(&self, answer: Answer<'_>, at: Instant) {
        let mut progress = self.progress.lock();
        let facts = if progress.is_late() { progress.facts.take() } else { None };
        drop(progress);
        let Some(facts) = facts else { return };
        let (recording, origin, id) = (&self.recording, &self.origin, self.id.as_ref());
        let (how, http_status) = (How::Answered(answer), answer.response.status);
        Ended { recording, origin, id, facts: &facts, how, http_status, at }.offer_late_schema();
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // A call that nobody ended gets here with facts left: its task was cut off in the middle. One that ended stays so.
        let is_stopping = self.recording.phase.has_reached(Phase::Stopping);
        let failure = if is_stopping { Failure::ProxyShutdown } else { Failure::ClientGone };
        if self.progress.get_mut().facts.is_some() {
            self.tell(&Happening::Abandoned(failure), self.recording.clock.now());
        }
    }
}

impl Progress {
    fn is_late(&self) -> bool {
        self.state == State::Ended && self.facts.is_some()
    }

    /// Takes the step that follows. What it returns is to be recorded, and happened then.
    fn advance<'a>(&mut self, happening: &Happening<'a>, now: Instant) -> Option<(Facts, How<'a>, Instant)> {
        let input = happening.input();
        if input == Input::Overdue && self.left.as_ref().is_none_or(|left| now < left.deadline) {
            return None;
        }
        let (next, recorded) = step(self.state, input);
        let has_moved = std::mem::replace(&mut self.state, next) != next;
        let (how, at) = match (recorded, happening) {
            (Recorded::Nothing, Happening::LeftToClient(_, wait) | Happening::LeftToStream(wait)) if has_moved => {
                self.left = Some(Left { breakdown: happening.breakdown(), since: now, deadline: now + *wait });
                return None;
            }
            (Recorded::Nothing, _) => return None,
            (Recorded::Answer, Happening::Answered(answer)) => (How::Answered(*answer), now),
            (Recorded::Answer | Recorded::Failure, _) => (How::Failed(happening.breakdown()), now),
            (Recorded::FailureOfThen, _) => match self.left.take() {
                Some(left) => (How::Failed(left.breakdown), left.since),
                None => (How::Failed(happening.breakdown()), now),
            },
            (Recorded::Timeout, _) => (How::Failed(Failure::Timeout.into()), now),
        };
        Some((self.facts.take()?, how, at))
    }
}
