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
use crate::ground::position::StoreId;
use crate::recorder::intake::Intake;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The shortest sleep, and the first one when nothing comes; it doubles then.
const IDLE_MIN: Duration = Duration::from_millis(1);
/// The longest sleep while events come: one waits this long at most before it is in the map, and safe from a crash of
/// the process.
const IDLE_MAX: Duration = Duration::from_millis(10);
/// The sleep once nothing came for [`QUIET`]. Waking up costs some 40 us of processor time, 27 of them in a program that
/// does nothing else: with a hundred looks a second, an idle store and its proxy took 0.68 % of a core. Looking less
/// closely, at fewer cache lines, changed nothing.
const IDLE_QUIET: Duration = Duration::from_millis(20);
const QUIET: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(1) };
/// The sleep once nothing came for [`REST`]: ten stores that look each 20 ms took 1.4 to 2.8 % of a core together. Waking
/// the appender by the first event after a rest was rejected: recording threads would have to see, for each event, whether
/// it sleeps.
const IDLE_REST: Duration = Duration::from_millis(100);
const REST: Duration = if cfg!(test) { Duration::from_millis(200) } else { Duration::from_secs(10) };
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
    /// The appender of a process in that store. It leaves nothing on the disk before something is recorded.
    pub(crate) fn new(handles: AppenderHandles, config: &Config, store: StoreId) -> Self {
        let intake = Intake::new(Arc::clone(&handles.channel));
        Self { intake, writer: LogWriter::new(handles, config, store) }
    }

    /// Runs until the channel is closed and empty.
    pub(crate) fn run(self) {
        let Self { mut intake, mut writer } = self;
        let (channel, progress) = (Arc::clone(&writer.end.handles.channel), Arc::clone(&writer.end.handles.progress));
        let (mut idle, mut quiet_since, mut rests) = (IDLE_MIN, Instant::now(), false);
        let mut alert_until = None;
        loop {
            writer.end.look_after_folder(false);
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
            if taken > 0 {
                (quiet_since, rests) = (Instant::now(), false);
            }
            let quiet = quiet_since.elapsed();
            if quiet >= REST {
                match std::mem::replace(&mut rests, true) {
                    false => writer.rest(),
                    // One that was being made then.
                    true => writer.end.handles.supply.discard_ahead(),
                }
            }
            idle = next_idle(idle, taken, quiet);
            std::thread::park_timeout(idle);
        }
        // What is appended to a log that was taken away is lost, and nobody looks later.
        writer.end.look_after_folder(true);
        intake.close(|event| writer.append_event(event));
        writer.end.report_progress();
        writer.append_last();
        writer.end.end_segment();
    }
}

/// How long to sleep now, if so many events came in about the time of the last sleep, and none for so long.
fn next_idle(last: Duration, events: u64, quiet: Duration) -> Duration {
    let last_us = u64::try_from(last.as_micros()).unwrap_or(u64::MAX);
    match last_us.saturating_mul(LOOK_EVENTS).checked_div(events) {
        Some(wanted_us) => Duration::from_micros(wanted_us).clamp(IDLE_MIN, IDLE_MAX),
        None if quiet < QUIET => (last * 2).min(IDLE_MAX),
        None if quiet < REST => IDLE_QUIET,
        None => IDLE_REST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sleeps_for_as_long_as_enough_events_take_to_come_and_never_longer_than_promised() {
        let idle = |last, events| next_idle(last, events, Duration::ZERO);
        assert_eq!(idle(IDLE_MAX, 1), IDLE_MAX);
        assert_eq!(idle(IDLE_MAX, LOOK_EVENTS * 2), IDLE_MAX / 2);
        assert_eq!(idle(IDLE_MAX / 2, LOOK_EVENTS), IDLE_MAX / 2);
        assert_eq!(idle(IDLE_MAX / 2, LOOK_EVENTS * 1000), IDLE_MIN);
        assert_eq!((idle(IDLE_QUIET, 1), idle(IDLE_REST, 1)), (IDLE_MAX, IDLE_MAX));
        assert_eq!(idle(IDLE_MAX, u64::MAX), IDLE_MIN);
    }

    #[test]
    fn it_sleeps_longer_only_after_a_second_without_events_and_longest_after_ten() {
        let just_before = |time: Duration| time - Duration::from_nanos(1);
        assert_eq!(next_idle(IDLE_MIN, 0, IDLE_MIN), IDLE_MIN * 2);
        assert_eq!(next_idle(IDLE_QUIET, 0, IDLE_MIN), IDLE_MAX);
        assert_eq!(next_idle(IDLE_MAX, 0, just_before(QUIET)), IDLE_MAX);
        assert_eq!(next_idle(IDLE_MAX, 0, QUIET), IDLE_QUIET);
        assert_eq!(next_idle(IDLE_QUIET, 0, just_before(REST)), IDLE_QUIET);
        assert_eq!(next_idle(IDLE_QUIET, 0, REST), IDLE_REST);
        assert_eq!(next_idle(IDLE_REST, 0, Duration::MAX), IDLE_REST);
    }
}
