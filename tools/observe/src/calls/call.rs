//! One JSON-RPC request on its way, and the promise that it becomes exactly one `Request` event.
//!
//! Shared by the exchange that brought it and, if it belongs to a session, by the index that finds it when its response
//! arrives on another stream. It is told what happens, and [`super::lifecycle`] says what follows. Should nobody tell it
//! anything, its drop does. Lives in the tasks that pass bytes on; it must not wait.

use super::breakdown::{Breakdown, CAUSE_BYTES_MAX};
use super::event::{Ended, How};
use super::facts::Facts;
use super::failure::Failure;
use super::happening::Happening;
use super::lifecycle::{Recorded, State, step};
use super::origin::Origin;
use crate::activity::Activity;
use crate::read::RpcId;
use crate::recording::{Phase, Recording};
use mcplog::event::Direction;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// How long a call that was taken back waits for its answer, so that its row can say that it came. What is still under way
/// then may take minutes, and nobody wants it.
pub(crate) const LATE_WAIT: Duration = Duration::from_secs(10);

/// One JSON-RPC request that waits for its response.
pub(crate) struct Call {
    recording: Arc<Recording>,
    pub(crate) origin: Origin,
    /// The session that it is looked for in: one that is made up, or the one that the transport names.
    pub(crate) session: Option<Arc<str>>,
    /// Who asks. Ids of the two directions have nothing to do with each other.
    pub(crate) direction: Direction,
    /// `None` where the body could not be read, and the request is only known from its head.
    pub(crate) id: Option<RpcId>,
    /// Its result says what the server offers.
    pub(crate) is_schema: bool,
    /// A session may begin with its answer.
    pub(crate) is_handshake: bool,
    /// Its response is a stream that may be silent for hours.
    pub(crate) is_patient: bool,
    /// Either side may end it.
    pub(crate) is_subscription: bool,
    /// Who takes it back does so by closing its response.
    pub(crate) is_cancelled_by_closing: bool,
    /// When its request came.
    pub(crate) arrived_at: Instant,
    /// What it holds in memory at most, in bytes, with what it shares with others.
    pub(crate) bytes: usize,
    /// The stream that brought it, if its server asks: as long as it is open, that one's client owes an answer.
    asked_on: Option<Arc<Activity>>,
    /// Its answer may have passed unread.
    is_answer_unread: AtomicBool,
    /// The HTTP status of its exchange's response; 0 until the head of one is here.
    http_status: AtomicU16,
    /// Its exchange's response is an event stream.
    has_stream: AtomicBool,
    progress: Mutex<Progress>,
}

struct Progress {
    state: State,
    /// `None` once it has ended: who ends it takes the facts out, and records them.
    facts: Option<Facts>,
    /// How it was left by its exchange, if it was.
    left: Option<Left>,
}

struct Left {
    breakdown: Breakdown,
    since: Instant,
    /// How long after that it is over, or after anything last passed on the stream that it waits for.
    wait: Duration,
    stream: Option<Arc<Activity>>,
    /// Its answer is due on whichever stream its session listens on.
    is_due_to_session: bool,
}

impl Call {
    pub(crate) fn begin(recording: &Arc<Recording>, origin: &Origin, facts: Facts) -> Self {
        Self::new(recording, origin, facts, None)
    }

    fn new(recording: &Arc<Recording>, origin: &Origin, mut facts: Facts, asked_on: Option<Arc<Activity>>) -> Self {
        recording.counts.open(facts.direction).rise();
        let bytes = Self::bytes_of(&facts) + origin.text_bytes() + CAUSE_BYTES_MAX;
        let (is_schema, is_patient) = (facts.schema.is_some(), facts.is_patient());
        let is_cancelled_by_closing = facts.is_cancelled_by_closing();
        Self {
            recording: recording.clone(),
            origin: origin.clone(),
            session: facts.derived.as_ref().or(origin.session.as_ref()).cloned(),
            direction: facts.direction,
            id: facts.id.take(),
            is_schema,
            is_handshake: facts.handshake.is_some(),
            is_patient,
            is_subscription: facts.is_subscription(),
            is_cancelled_by_closing,
            arrived_at: facts.arrival.at,
            bytes,
            asked_on,
            is_answer_unread: AtomicBool::new(false),
            http_status: AtomicU16::new(0),
            has_stream: AtomicBool::new(false),
            progress: Mutex::new(Progress { state: State::Waiting, facts: Some(facts), left: None }),
        }
    }

    /// The call of a server that asks on that stream.
    pub(crate) fn begin_asking(recording: &Arc<Recording>, origin: &Origin, facts: Facts, on: &Arc<Activity>) -> Self {
        on.owe();
        Self::new(recording, origin, facts, Some(on.clone()))
    }

    /// What a call with these facts holds in memory for itself, in bytes.
    pub(crate) fn bytes_of(facts: &Facts) -> usize {
        size_of::<Self>() + facts.text_bytes()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.progress.lock().state.is_open()
    }

    /// Whether its client took it back, and its answer would still be noted.
    pub(crate) fn is_taken_back(&self) -> bool {
        self.progress.lock().state == State::TakenBack
    }

    /// Its exchange is over, and it waits for its answer elsewhere.
    pub(crate) fn is_left(&self) -> bool {
        matches!(self.progress.lock().state, State::Resumable | State::OnStream)
    }

    /// Whether its own event stream is open, on which its answer is due.
    pub(crate) fn has_open_stream(&self) -> bool {
        self.has_stream.load(Ordering::Relaxed) && self.progress.lock().state == State::Waiting
    }

    /// Something passed unread that may have been its answer.
    pub(crate) fn on_unread(&self) {
        self.is_answer_unread.store(true, Ordering::Relaxed);
    }

    /// The head of its exchange's response is here.
    pub(crate) fn on_response_head(&self, http_status: u16, is_stream: bool) {
        self.http_status.store(http_status, Ordering::Relaxed);
        self.has_stream.store(is_stream, Ordering::Relaxed);
    }

    /// Tells it what happened, and when. `true` if that ended it: then it is recorded.
    pub(crate) fn tell(&self, happening: &Happening<'_>, now: Instant) -> bool {
        let mut progress = self.progress.lock();
        let was_open = progress.state.is_open();
        let ended = progress.advance(happening, now);
        let has_closed = was_open && !progress.state.is_open();
        drop(progress);
        if has_closed {
            self.recording.counts.open(self.direction).fall();
            self.asked_on.iter().for_each(|stream| stream.settle(now));
        }
        let Some((facts, mut how, at)) = ended else { return false };
        if let How::Failed { breakdown, .. } = &mut how {
            breakdown.is_unread |= self.is_answer_unread.load(Ordering::Relaxed);
        }
        let http_status = match &how {
            How::Answered(answer) => answer.response.status,
            How::Failed { .. } => Some(self.http_status.load(Ordering::Relaxed)).filter(|status| *status != 0),
        };
        let (recording, origin, id) = (&self.recording, &self.origin, self.id.as_ref());
        Ended { recording, origin, id, facts: &facts, how, http_status, at }.record();
        true
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // Only a call that nobody ended gets here with facts left: its task was cut off in the middle.
        let is_stopping = self.recording.phase.has_reached(Phase::Stopping);
        let failure = if is_stopping { Failure::ProxyShutdown } else { Failure::ClientGone };
        if self.progress.get_mut().facts.is_some() {
            self.tell(&Happening::Abandoned(failure), self.recording.clock.now());
        }
    }
}

impl Progress {
    /// Takes the step that follows. What it returns is to be recorded, and happened then.
    fn advance<'a>(&mut self, happening: &Happening<'a>, now: Instant) -> Option<(Facts, How<'a>, Instant)> {
        let input = happening.input();
        let is_meant = match (happening, &self.left) {
            (Happening::Overdue, left) => left.as_ref().is_some_and(|left| left.is_over(self.asked_at(), now)),
            (Happening::StreamCut(stream, ..), left) => left.as_ref().is_some_and(|left| left.waits_for(stream)),
            (Happening::Listening(..), left) => left.as_ref().is_some_and(|left| left.is_due_to_session),
            _ => true,
        };
        if !is_meant {
            return None;
        }
        let (next, recorded) = step(self.state, input);
        let has_moved = std::mem::replace(&mut self.state, next) != next;
        let (how, at) = match (recorded, happening) {
            (Recorded::Nothing, _) if has_moved => {
                let was_due = self.left.as_ref().is_some_and(|left| left.is_due_to_session);
                self.left = Left::by(happening, was_due, now);
                return None;
            }
            (Recorded::Nothing, _) => return None,
            (Recorded::Answer, Happening::Answered(answer)) => (How::Answered(*answer), now),
            (Recorded::Answer | Recorded::Failure, _) => (How::failed(happening.breakdown()), now),
            (Recorded::FailureOfThen, _) => match self.left.take() {
                Some(left) => {
                    let late = if let Happening::Answered(answer) = happening { Some(*answer) } else { None };
                    (How::Failed { breakdown: left.breakdown, late }, left.since)
                }
                None => (How::failed(happening.breakdown()), now),
            },
            (Recorded::TimeoutOfThen, _) => {
                match self.left.take_if(|left| left.breakdown.failure == Failure::Timeout) {
                    Some(left) => (How::failed(left.breakdown), left.since),
                    None => (How::failed(happening.breakdown()), now),
                }
            }
            (Recorded::Timeout, _) => {
                let failure = if self.asked_at().is_some() { Failure::AnswerTimeout } else { Failure::Timeout };
                (How::failed(failure.into()), now)
            }
        };
        Some((self.facts.take()?, how, at))
    }

    /// When the server asked, if it did.
    fn asked_at(&self) -> Option<Instant> {
        self.facts.as_ref().filter(|facts| facts.direction == Direction::Server).map(|facts| facts.arrival.at)
    }
}

impl Left {
    /// How a call was left, if it was left then.
    fn by(happening: &Happening<'_>, was_due_to_session: bool, now: Instant) -> Option<Self> {
        let (wait, stream) = match happening {
            Happening::LeftToClient(_, wait) | Happening::StreamCut(_, _, wait) => (*wait, None),
            Happening::Cancelled => (LATE_WAIT, None),
            Happening::LeftToStream(stream, limit)
            | Happening::ClientBack(stream, limit)
            | Happening::Listening(stream, limit) => {
                stream.await_answer();
                (*limit, Some(Arc::clone(stream)))
            }
            _ => return None,
        };
        let is_due_to_session = was_due_to_session || matches!(happening, Happening::LeftToStream(..));
        Some(Self { breakdown: happening.breakdown(), since: now, wait, stream, is_due_to_session })
    }

    /// Whether it was left for too long: without an answer, or without anything on the stream where that is due. What a server
    /// asks, its client answers elsewhere, and what passes on the stream meanwhile says nothing of that.
    fn is_over(&self, asked_at: Option<Instant>, now: Instant) -> bool {
        let active = match (&self.stream, asked_at) {
            (None, _) => self.since,
            (Some(_), Some(asked_at)) => asked_at,
            (Some(stream), None) => stream.last().max(self.since),
        };
        now >= active + self.wait
    }

    fn waits_for(&self, stream: &Arc<Activity>) -> bool {
        self.stream.as_ref().is_some_and(|own| Arc::ptr_eq(own, stream))
    }
}
