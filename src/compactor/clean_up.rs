//! What a clean-up came to: rows expire, and segments are retired.
//!
//! Pure data.

use super::retirement::RetireError;
use std::time::Instant;

/// A clean-up that failed, and when.
pub(super) struct FailedCleanUp {
    pub(super) at: Instant,
    pub(super) error: RetireError,
}

/// What a clean-up came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CleanUp {
    /// It failed, or none was tried.
    NotNow,
    /// There is more to do at once.
    More,
    Done,
}
