//! Which file a path leads to, to find out whether another one has taken its place. On any thread; it opens nothing.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The device and inode of the file at `path`; `None` if nobody can tell.
pub(crate) fn file_at(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
