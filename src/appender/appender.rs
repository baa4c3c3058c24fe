//! The appender: the one thread that takes events from the channel and appends them to the log.
//!
//! The appender looks at the channel by itself, in steps of a few milliseconds when nothing comes, so that no recording
//! thread ever pays for waking it. It never syncs and knows nothing of SQLite. It waits for a disk only when the next
//! segment is not ready yet.

use super::handles::AppenderHandles;
use super::log_writer::LogWriter;
use super::rewrite::rewrite_doubtful;
use super::sync_loop::SyncCommand;
use crate::ground::config::Config;
use crate::ground::error::PathError;
use crate::ground::position::{Sequence, WriterId};
use crate::record::record::ClockStepRecord;
use crate::recorder::intake::Intake;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The shortest sleep, and the first one when nothing comes; it doubles then.
const IDLE_MIN: Duration = Duration::from_millis(1);
/// The longest sleep while events come: one waits this long at most before it is in the map, and safe from a crash of
/// the process.
const IDLE_MAX: Duration = Duration::from_millis(10);
/// The sleep once nothing came for [`QUIET_LOOKS`]. Waking up costs some 40 us of processor time, 27 of them in a
/// program that does nothing else: with a hundred looks a second, an idle store and its proxy took 0.68 % of a core.
/// Looking less closely, at fewer cache lines, changed nothing.
const IDLE_QUIET: Duration = Duration::from_millis(20);
/// About a second.
const QUIET_LOOKS: u32 = 100;
/// It sleeps for as long as so many events take to come. Looking costs a fixed part, which a few events alone don't
/// repay; and threads that record fast get their blocks back while they are still in the cache.
const LOOK_EVENTS: u64 = 256;
/// From so many events on there is likely to be more already: the next look comes at once.
const BUSY_EVENTS: u64 = 1024;
/// How long it keeps looking, without sleeping, after it answered somebody who waits for durability: who waited once is
/// soon back. Nobody has to wake it then, and a processor that is not idle takes the disk's interrupt at once. Measured
/// with 16 waiting threads and folding held off, one run each: 48,000 commits per second without, 67,000 with it.
const ALERT: Duration = Duration::from_micros(150);

/// The thread's state.
pub(crate) struct Appender {
    intake: Intake,
    writer: LogWriter,
}

impl Appender {
    /// An appender that goes on after `last_sequence`, with its first segment. Records up to `counted_as_folded` do not
    /// count as waiting to be folded. `clock_step` is what the clock did since the last run.
    ///
    /// # Errors
    /// There is no room for a segment.
    pub(crate) fn new(
        handles: AppenderHandles,
        config: &Config,
        writer_id: WriterId,
        last_sequence: Sequence,
        counted_as_folded: Sequence,
        clock_step: Option<ClockStepRecord>,
    ) -> Result<Self, PathError> {
        let intake = Intake::new(Arc::clone(&handles.channel));
        let writer = LogWriter::new(handles, config, writer_id, last_sequence, counted_as_folded, clock_step)?;
        Ok(Self { intake, writer })
    }

    /// Runs until the channel is closed and empty.
    pub(crate) fn run(self) {
        let Self { mut intake, mut writer } = self;
        let (channel, progress) = (Arc::clone(&writer.end.handles.channel), Arc::clone(&writer.end.handles.progress));
        let (mut idle, mut quiet_looks) = (IDLE_MIN, 0_u32);
        let mut alert_until = None;
        // A step since the last run comes before what was recorded after it.
        writer.append_clock_step();
        loop {
            rewrite_doubtful(&mut writer.end);
            // Before taking: what was recorded before a ticket was drawn is then taken.
            let drawn = progress.drawn();
            let taken = intake.take(|event| writer.append_event(event));
            writer.end.report_progress();
            if progress.answer(drawn) {
                alert_until = Some(Instant::now() + ALERT);
                writer.end.tell_syncer(SyncCommand::SyncNow(drawn));
            }
            writer.append_gap(taken == 0);
            writer.append_clock_step();
            if taken >= BUSY_EVENTS {
                continue;
            }
            if taken == 0 && !channel.is_open() {
                break;
            }
            writer.end_old_segment();
            alert_until = alert_until.filter(|until| Instant::now() < *until);
            if alert_until.is_some() {
                std::thread::yield_now();
                continue;
            }
            quiet_looks = if taken == 0 { quiet_looks.saturating_add(1) } else { 0 };
            idle = next_idle(idle, taken, quiet_looks);
            std::thread::park_timeout(idle);
        }
        intake.close(|event| writer.append_event(event));
        writer.end.report_progress();
        writer.append_last_gap();
        writer.end.end_segment();
    }
}

/// How long to sleep now, if so many events came in about the time of the last sleep, and none for so many looks.
fn next_idle(last: Duration, events: u64, quiet_looks: u32) -> Duration {
    let last_us = u64::try_from(last.as_micros()).unwrap_or(u64::MAX);
    match last_us.saturating_mul(LOOK_EVENTS).checked_div(events) {
        Some(wanted_us) => Duration::from_micros(wanted_us).clamp(IDLE_MIN, IDLE_MAX),
        None if quiet_looks < QUIET_LOOKS => (last * 2).min(IDLE_MAX),
        None => IDLE_QUIET,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sleeps_for_as_long_as_enough_events_take_to_come_and_never_longer_than_promised() {
        let idle = |last, events| next_idle(last, events, 0);
        assert_eq!(idle(IDLE_MAX, 1), IDLE_MAX);
        assert_eq!(idle(IDLE_MAX, LOOK_EVENTS * 2), IDLE_MAX / 2);
        assert_eq!(idle(IDLE_MAX / 2, LOOK_EVENTS), IDLE_MAX / 2);
        assert_eq!(idle(IDLE_MAX / 2, LOOK_EVENTS * 1000), IDLE_MIN);
        assert_eq!(idle(IDLE_QUIET, 1), IDLE_MAX);
        assert_eq!(idle(IDLE_MAX, u64::MAX), IDLE_MIN);
    }

    #[test]
    fn it_sleeps_longer_only_after_a_second_without_events() {
        assert_eq!(next_idle(IDLE_MIN, 0, 1), IDLE_MIN * 2);
        assert_eq!(next_idle(IDLE_QUIET, 0, 1), IDLE_MAX);
        assert_eq!(next_idle(IDLE_MAX, 0, QUIET_LOOKS - 1), IDLE_MAX);
        assert_eq!(next_idle(IDLE_MAX, 0, QUIET_LOOKS), IDLE_QUIET);
        assert_eq!(next_idle(IDLE_QUIET, 0, u32::MAX), IDLE_QUIET);
    }
}
