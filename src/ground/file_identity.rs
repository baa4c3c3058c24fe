//! Which file a path leads to, to find out whether another one has taken its place. On any thread; it opens nothing.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The device and inode of the file at `path`; `None` if nobody can tell.
pub(crate) fn file_at(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// The same of a file that is open.
pub(crate) fn identity_of(file: &File) -> Option<(u64, u64)> {
    file.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
