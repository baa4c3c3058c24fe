//! The log of this process: its folder and identity, and whether the folder is still where it was put.
//!
//! Runs on the appender. One look at a folder costs two system calls, once a second.

use crate::ground::position::SegmentId;
use crate::segment::format::LogIdentity;
use crate::segment::log_home::LogHome;
use std::time::{Duration, Instant};

/// How often to look. What is recorded into a folder that was taken away is lost, for so long at most.
const INTERVAL: Duration = if cfg!(test) { Duration::from_millis(10) } else { Duration::from_secs(1) };

/// A log that has its folder.
#[derive(Debug)]
pub(super) struct OwnLog {
    pub(super) home: LogHome,
    pub(super) identity: LogIdentity,
    pub(super) next_segment: SegmentId,
    pub(super) born: Instant,
    looked_at: Instant,
    /// The folder is not in its place any more: nothing is appended to this log.
    pub(super) is_taken_away: bool,
}

impl OwnLog {
    pub(super) fn new(home: LogHome, identity: LogIdentity) -> Self {
        let born = Instant::now();
        Self { home, identity, next_segment: SegmentId(1), born, looked_at: born, is_taken_away: false }
    }

    /// Looks, if it is time or `at_once`: whether the folder is found, for the first time, not to be in its place.
    pub(super) fn finds_folder_gone(&mut self, at_once: bool) -> bool {
        if self.is_taken_away || !at_once && self.looked_at.elapsed() < INTERVAL {
            return false;
        }
        self.looked_at = Instant::now();
        match self.home.is_in_place() {
            Ok(in_place) => self.is_taken_away = !in_place,
            Err(error) => tracing::debug!(%error, "nobody can tell whether the log is in its place"),
        }
        self.is_taken_away
    }
}
