//! When a file was last written. Callable on every thread.

use std::path::Path;
use std::time::UNIX_EPOCH;

/// When the file was last written: Unix time in milliseconds, UTC. `None` where nobody can tell. A link is not followed.
pub(crate) fn written_at_ms(path: &Path) -> Option<i64> {
    let modified = std::fs::symlink_metadata(path).ok()?.modified().ok()?;
    // Before 1970 it is 0, as the clock is.
    Some(modified.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}
