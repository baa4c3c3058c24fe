//! The hot path: [`Recorder::record`] hands an event over and returns.
//!
//! Runs on the caller's threads. It must not block, lock, or make a system call, and it must not wake anybody: the
//! appender looks by itself, because a consumer that is parked in a blocking receive makes every sender pay for a
//! futex call (measured: 4 microseconds at 1,000 events per second, against 40 nanoseconds).

use crate::event::Event;
use crate::gap::GapCounter;
use crate::handover::{Message, Pool};
use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// How long a recorder that was told to wait sleeps before it looks for room again.
const WAIT_STEP: Duration = Duration::from_micros(200);

/// Hands events to the store. Cheap to clone; share it or clone it, as you like.
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
    channel: Arc<Channel>,
    wait: Duration,
}

/// An event that was not accepted, handed back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused<'a> {
    /// The event.
    pub event: Event<'a>,
    /// Why.
    pub reason: Refusal,
}

/// Why an event was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The channel is full: events come faster than they can be written.
    #[error("the channel is full")]
    Full,
    /// The store was shut down, or its appender died.
    #[error("the store is shut down")]
    Closed,
    /// The event is too large for a segment.
    #[error("the event takes {bytes} bytes; a segment of this store holds events of up to {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The largest size.
        bytes_max: usize,
    },
}

impl Recorder {
    pub(crate) fn new(channel: Arc<Channel>, wait: Duration) -> Self {
        Self { channel, wait }
    }

    /// Hands an event over; it never fails.
    ///
    /// An event that the store can't accept is dropped and counted: [`Stats::dropped`](crate::Stats::dropped) says how
    /// many, and a gap record in the log says from when to when. With
    /// [`Config::record_wait_ms`](crate::Config::record_wait_ms) above zero it waits that long for room first.
    #[inline]
    pub fn record<'a>(&self, event: impl Into<Event<'a>>) {
        let event = event.into();
        if let Err(refusal) = self.channel.offer(&event) {
            self.refused(&event, refusal);
        }
    }

    /// Hands an event over, or back. It never waits; a refused event is the caller's again and is not counted.
    ///
    /// # Errors
    /// [`Refused`], with the event and the reason.
    #[inline]
    #[expect(clippy::result_large_err, reason = "handing the event back without an allocation is the point")]
    pub fn try_record<'a>(&self, event: impl Into<Event<'a>>) -> Result<(), Refused<'a>> {
        let event = event.into();
        self.channel.offer(&event).map_err(|reason| Refused { event, reason })
    }

    #[cold]
    fn refused(&self, event: &Event<'_>, mut refusal: Refusal) {
        let start = Instant::now();
        while refusal == Refusal::Full && start.elapsed() < self.wait {
            std::thread::sleep(WAIT_STEP);
            match self.channel.offer(event) {
                Ok(()) => return,
                Err(again) => refusal = again,
            }
        }
        self.channel.gap.add(1);
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("queued", &self.channel.len()).finish_non_exhaustive()
    }
}

/// Events are accepted.
const OPEN: u8 = 0;
/// New events are refused; the appender takes what was accepted before.
const CLOSING: u8 = 1;
/// The appender takes nothing any more.
const CLOSED: u8 = 2;

/// What the recording threads share with the appender.
pub(crate) struct Channel {
    sender: Sender<Message>,
    receiver: Receiver<Message>,
    state: AtomicU8,
    event_bytes_max: usize,
    pub(crate) pool: Pool,
    pub(crate) gap: GapCounter,
}

impl Channel {
    pub(crate) fn new(events: usize, event_bytes_max: usize) -> Self {
        let (sender, receiver) = crossbeam_channel::bounded(events);
        Self {
            sender,
            receiver,
            state: AtomicU8::new(OPEN),
            event_bytes_max,
            pool: Pool::new(),
            gap: GapCounter::new(),
        }
    }

    #[inline]
    fn offer(&self, event: &Event<'_>) -> Result<(), Refusal> {
        if self.state.load(Ordering::Relaxed) != OPEN {
            return Err(Refusal::Closed);
        }
        let bytes_max = self.event_bytes_max;
        let message =
            Message::pack(event, &self.pool, bytes_max).map_err(|bytes| Refusal::TooLarge { bytes, bytes_max })?;
        match self.sender.try_send(message) {
            Ok(()) => {
                self.sent();
                Ok(())
            }
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => {
                if let Message::Large(buffer) = message {
                    self.pool.put(buffer);
                }
                Err(Refusal::Full)
            }
        }
    }

    /// What a sender owes after sending: a look at whether anybody will still take the message.
    ///
    /// A sender may have passed the check at the top before the store closed, and have sent after the appender's last
    /// look. Either the appender's last look comes after this send (then it takes the message), or this load comes
    /// after the store to `state` (then the message is found here): sending changes the channel's tail with a
    /// sequentially consistent read-modify-write, and the appender stores `CLOSED` before it looks at the tail for the
    /// last time. So no message stays behind uncounted.
    #[inline]
    fn sent(&self) {
        if self.state.load(Ordering::SeqCst) == CLOSED {
            self.count_leftovers();
        }
    }

    #[cold]
    fn count_leftovers(&self) {
        while let Ok(message) = self.receiver.try_recv() {
            if message.packed().is_some() {
                self.gap.add(1);
            }
        }
    }

    /// The next message, for the appender.
    pub(crate) fn take(&self) -> Result<Message, TryRecvError> {
        self.receiver.try_recv()
    }

    /// How many messages wait.
    pub(crate) fn len(&self) -> usize {
        self.receiver.len()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state.load(Ordering::Relaxed) == OPEN
    }

    /// Refuses new events; those that were accepted are still taken.
    pub(crate) fn begin_closing(&self) {
        self.state.fetch_max(CLOSING, Ordering::SeqCst);
    }

    /// Declares that the appender takes no more; it must look once more after this call (see [`Self::sent`]).
    pub(crate) fn close(&self) {
        self.state.store(CLOSED, Ordering::SeqCst);
    }

    /// Closes, and counts everything that was not taken as dropped: for an appender that died.
    pub(crate) fn abandon(&self) {
        self.close();
        self.count_leftovers();
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("queued", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Request;

    fn recorder(events: usize, wait: Duration) -> Recorder {
        Recorder::new(Arc::new(Channel::new(events, 1000)), wait)
    }

    fn request() -> Request<'static> {
        Request::new("id", 1, "proxy", "ping")
    }

    #[test]
    fn a_full_channel_drops_the_newest_and_counts_it() {
        let recorder = recorder(2, Duration::ZERO);
        for _ in 0..5 {
            recorder.record(request());
        }
        assert_eq!((recorder.channel.len(), recorder.channel.gap.total()), (2, 3));
    }

    #[test]
    fn try_record_hands_the_event_back_uncounted() {
        let recorder = recorder(1, Duration::ZERO);
        recorder.try_record(request()).unwrap();
        let refused = recorder.try_record(request()).unwrap_err();
        assert_eq!(refused, Refused { event: request().into(), reason: Refusal::Full });
        assert_eq!(recorder.channel.gap.total(), 0);
    }

    #[test]
    fn waiting_takes_the_room_that_appears() {
        let recorder = recorder(1, Duration::from_secs(60));
        recorder.record(request());
        std::thread::scope(|scope| {
            scope.spawn(|| recorder.record(request()));
            std::thread::sleep(Duration::from_millis(5));
            recorder.channel.take().unwrap();
        });
        assert_eq!((recorder.channel.len(), recorder.channel.gap.total()), (1, 0));
    }

    #[test]
    fn an_event_too_large_for_a_segment_is_refused_and_counted() {
        let recorder = recorder(1, Duration::from_secs(60));
        let long = "x".repeat(2000);
        let mut request = request();
        request.target = Some(&long);
        let refused = recorder.try_record(request).unwrap_err();
        assert!(matches!(refused.reason, Refusal::TooLarge { bytes_max: 1000, .. }), "{refused:?}");
        recorder.record(request);
        assert_eq!(recorder.channel.gap.total(), 1);
    }

    #[test]
    fn a_closed_store_refuses_and_counts_and_loses_no_late_sender() {
        let recorder = recorder(10, Duration::from_secs(60));
        recorder.record(request());
        recorder.channel.begin_closing();
        recorder.record(request());
        assert_eq!((recorder.channel.len(), recorder.channel.gap.total()), (1, 1));
        // A sender that had passed the first check before the store closed.
        recorder.channel.take().unwrap();
        recorder.channel.close();
        let message = Message::pack(&request().into(), &recorder.channel.pool, 1000).unwrap();
        recorder.channel.sender.try_send(message).map_err(|_| ()).unwrap();
        recorder.channel.sent();
        assert_eq!((recorder.channel.len(), recorder.channel.gap.total()), (0, 2));
        assert_eq!(recorder.try_record(request()).unwrap_err().reason, Refusal::Closed);
    }
}
