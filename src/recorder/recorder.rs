//! The hot path: [`Recorder::record`] hands an event over and returns.
//!
//! Runs on the caller's threads. It must not block, lock, or make a system call, and it must not wake anybody: the
//! appender looks by itself, because a consumer that is parked in a blocking receive makes every sender pay for a futex
//! call (measured: 4 microseconds at 1,000 events per second, against 40 nanoseconds).

use super::channel::Channel;
use super::lane;
use super::refusal::{Refusal, Refused};
use crate::event::{Event, Observation};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a recorder that was told to wait sleeps before it looks for room again.
const WAIT_STEP: Duration = Duration::from_micros(200);

/// Hands events to the store. A recorder is cheap to clone; share one or clone it, as you like.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// use mcplog::{Config, Request, Store};
///
/// let store = Store::open(Config::new(dir.path().join("data")))?;
/// let recorder = store.recorder();
/// recorder.record(Request::new("0197a1c0-7b1e-7cc3-98c4-dc0c0c07398f", 1_760_000_000_000, "files", "ping"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Recorder {
    pub(super) channel: Arc<Channel>,
    wait: Duration,
}

impl Recorder {
    pub(crate) fn new(channel: Arc<Channel>, wait: Duration) -> Self {
        Self { channel, wait }
    }

    /// Hands an event over; says whether the event was taken.
    ///
    /// An event that the store can't accept is dropped and counted: [`Stats::dropped`](crate::Stats::dropped) says how
    /// many, and a gap record in the log says from when to when. With
    /// [`Config::record_wait_ms`](crate::Config::record_wait_ms) above zero, the caller waits that long for room first.
    ///
    /// Most callers have nothing to do about a drop and leave the answer alone. Who remembers what is on record, so as
    /// not to record it twice, must not remember an event that was dropped.
    #[inline]
    pub fn record<'a>(&self, event: impl Observation<'a>) -> bool {
        match lane::offer(&self.channel, &event) {
            Ok(()) => true,
            Err(refusal) => self.wait_or_drop(&event.into(), refusal),
        }
    }

    /// Hands an event over, or hands it back. Never waits; a refused event is the caller's again and is not counted.
    ///
    /// # Errors
    /// [`Refused`], with the event and the reason.
    #[inline]
    #[expect(clippy::result_large_err, reason = "handing the event back without an allocation is the point")]
    pub fn try_record<'a>(&self, event: impl Observation<'a>) -> Result<(), Refused<'a>> {
        lane::offer(&self.channel, &event).map_err(|reason| Refused { event: event.into(), reason })
    }

    /// Says that so many events were never handed over, since there was no store to take them: they count as
    /// [dropped](crate::Stats::dropped), and a gap in the log tells of them, from when to when (Unix milliseconds).
    ///
    /// For who goes on while a store can't be opened, so that its numbers are complete or say what is missing. Does nothing
    /// for no events.
    pub fn note_missed(&self, events: u64, from_ts: i64, to_ts: i64) {
        if events > 0 {
            self.channel.gap.add_between(events, from_ts, to_ts.max(from_ts));
        }
    }

    #[cold]
    fn wait_or_drop(&self, event: &Event<'_>, mut refusal: Refusal) -> bool {
        let start = Instant::now();
        while refusal == Refusal::Full && start.elapsed() < self.wait {
            std::thread::sleep(WAIT_STEP);
            match lane::offer(&self.channel, event) {
                Ok(()) => return true,
                Err(next) => refusal = next,
            }
        }
        self.channel.gap.add(1);
        false
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("queued", &self.channel.len()).finish_non_exhaustive()
    }
}
