//! What a running store tells about itself. Plain data.

use super::expired::Expired;
use super::health::Health;
use serde::Serialize;

/// Counters since the store was opened, and its state now. Reading them costs the hot path nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Events accepted: appended or still queued. While events are under way it may lag by a batch.
    pub recorded: u64,
    /// Events lost: the channel was full, the store was shut down, or the event was too large.
    pub dropped: u64,
    /// Events in the log, or folded from it.
    pub appended: u64,
    /// Events folded; those that an earlier run left in the log included.
    pub folded: u64,
    /// Messages waiting in the channel.
    pub queued: u64,
    /// Segment files.
    pub segments: u64,
    /// Their size in bytes, as allocated.
    pub log_bytes: u64,
    /// Records that are appended and not folded.
    pub lag_records: u64,
    /// For how long, at most, the oldest of them has waited, in milliseconds.
    pub lag_ms: u64,
    /// Segments that were given up because a sync of theirs failed; what was not durable in them is written again.
    pub poisoned_segments: u64,
    /// Records of a newer mcplog that wait in the database for one that knows them. They count as folded.
    pub newer_records: u64,
    /// How many times the clock was set, ahead or back by more than a minute; between two runs counts with the later one.
    pub clock_steps: u64,
    /// What expired since the store was opened.
    pub expired: Expired,
    /// Whether the store keeps its promises.
    pub health: Health,
}

/// What became of everything when the store was shut down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Events appended since the store was opened.
    pub appended: u64,
    /// Events folded since the store was opened; those that an earlier run left in the log included.
    pub folded: u64,
    /// Events lost since the store was opened.
    pub dropped: u64,
    /// How many of these no gap in the log tells of, because the thread that records gaps died, or the disk refused. A full
    /// log or disk is no reason: each segment keeps room for a last gap. Who opens the store again may
    /// [note](crate::Recorder::note_missed) them.
    pub dropped_untold: u64,
    /// What expired since the store was opened.
    pub expired: Expired,
    /// Events that are safe in the log and not folded; another process folds them, or the next one who opens the store.
    pub left_in_log: u64,
    /// What was wrong at the end.
    pub health: Health,
}
