//! The appender: the one thread that takes events from the channel and appends them to the log.
//!
//! It looks at the channel by itself, in steps of a few milliseconds when nothing comes, so that no recording thread ever
//! pays for waking it. It never syncs and knows nothing of SQLite. It waits for
//! a disk only when the next segment is not ready yet.

use crate::config::Config;
use crate::error::PathError;
use crate::format::{Sequence, WriterId};
use crate::handover::Intake;
use crate::syncing::SyncCommand;
pub(crate) use crate::tail::AppenderParts;
use crate::tail::LogTail;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The shortest sleep.
const IDLE_MIN: Duration = Duration::from_millis(1);
/// The longest sleep: an event waits this long at most before it is in the map, and safe from a crash of the process.
const IDLE_MAX: Duration = Duration::from_millis(10);
/// It sleeps for as long as so many events take to come. Looking costs a fixed part, which a few events alone don't
/// repay; and threads that record fast get their blocks back while they are still in the cache.
const LOOK_EVENTS: u64 = 256;
/// From so many events on there is likely to be more already: the next look comes at once.
const BUSY_EVENTS: u64 = 1024;
/// When nothing comes, only every so many looks is it looked for what hardly ever happens: a poisoned segment, a gap, a
/// segment that is old by now. Memory that was not touched for ten milliseconds is in no cache.
const THOROUGH_LOOKS: u32 = 8;
/// How long it keeps looking, without sleeping, after it answered somebody who waits for durability: who waited once is
/// soon back. Nobody has to wake it then, and a processor that is not idle takes the disk's interrupt at once. Measured
/// with 16 waiting threads and folding held off, one run each: 48,000 commits per second without, 67,000 with it.
const ALERT: Duration = Duration::from_micros(150);

/// The thread's state.
pub(crate) struct Appender {
    intake: Intake,
    tail: LogTail,
}

impl Appender {
    /// An appender that goes on after `last_sequence`, with its first segment. What lies up to `not_counted` does not
    /// count as waiting to be folded.
    ///
    /// # Errors
    /// There is no room for a segment.
    pub(crate) fn new(
        parts: AppenderParts,
        config: &Config,
        writer_id: WriterId,
        last_sequence: Sequence,
        not_counted: Sequence,
    ) -> Result<Self, PathError> {
        let intake = Intake::new(Arc::clone(&parts.channel));
        Ok(Self { intake, tail: LogTail::new(parts, config, writer_id, last_sequence, not_counted)? })
    }

    /// Runs until the channel is closed and empty.
    pub(crate) fn run(self) {
        let Self { mut intake, mut tail } = self;
        let (channel, progress) = (Arc::clone(&tail.parts.channel), Arc::clone(&tail.parts.progress));
        let mut idle = IDLE_MAX;
        let mut alert_until = None;
        let mut quiet_looks = 0_u32;
        loop {
            let is_open = channel.is_open();
            let is_thorough = quiet_looks.is_multiple_of(THOROUGH_LOOKS) || !is_open;
            if is_thorough {
                tail.write_again();
            }
            // Before taking: what was recorded before a ticket was drawn is then taken.
            let drawn = progress.drawn();
            let taken = intake.take(|event| tail.append_event(event));
            tail.tell_progress();
            let was_awaited = progress.answer(drawn);
            if was_awaited {
                alert_until = Some(Instant::now() + ALERT);
                tail.tell_syncer(SyncCommand::SyncNow(drawn));
            }
            quiet_looks = if taken > 0 || was_awaited { 0 } else { quiet_looks.wrapping_add(1) };
            if is_thorough {
                tail.append_gap(taken == 0);
            }
            if taken >= BUSY_EVENTS {
                continue;
            }
            if taken == 0 && !is_open {
                break;
            }
            if is_thorough {
                tail.end_old_segment();
            }
            alert_until = alert_until.filter(|until| Instant::now() < *until);
            if alert_until.is_some() {
                std::thread::yield_now();
                continue;
            }
            idle = next_idle(idle, taken);
            std::thread::park_timeout(idle);
        }
        intake.close(|event| tail.append_event(event));
        tail.tell_progress();
        tail.append_gap(true);
        tail.end_segment();
    }
}

/// How long to sleep now, if so many events came in about the time of the last sleep.
fn next_idle(last: Duration, events: u64) -> Duration {
    let last_us = u64::try_from(last.as_micros()).unwrap_or(u64::MAX);
    let wanted_us = last_us.saturating_mul(LOOK_EVENTS).checked_div(events);
    wanted_us.map_or(IDLE_MAX, Duration::from_micros).clamp(IDLE_MIN, IDLE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sleeps_for_as_long_as_enough_events_take_to_come_and_never_longer_than_promised() {
        assert_eq!(next_idle(IDLE_MAX, 0), IDLE_MAX);
        assert_eq!(next_idle(IDLE_MIN, 0), IDLE_MAX);
        assert_eq!(next_idle(IDLE_MAX, 1), IDLE_MAX);
        assert_eq!(next_idle(IDLE_MAX, LOOK_EVENTS * 2), IDLE_MAX / 2);
        assert_eq!(next_idle(IDLE_MAX / 2, LOOK_EVENTS), IDLE_MAX / 2);
        assert_eq!(next_idle(IDLE_MAX / 2, LOOK_EVENTS * 1000), IDLE_MIN);
        assert_eq!(next_idle(IDLE_MAX, u64::MAX), IDLE_MIN);
    }
}
