//! A file that is written whole: under another name beside its place, synced, and then renamed.
//!
//! Runs on the main thread. Whatever ends the process, or fills the disk, the old file or the new one is there, and nothing
//! in between; what was begun is removed where writing fails.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// What the names of files begin with that are being written.
const PREFIX: &str = ".mcplog-";

/// Puts a new file with `bytes` in the place of `path`. It is its owner's only, until `prepare` says otherwise, which is
/// asked when everything is on the disk, right before the rename; an error of its leaves all as it was.
///
/// # Errors
/// What the system said, or `prepare`.
pub(super) fn write_new<E: From<io::Error>>(
    path: &Path,
    bytes: &[u8],
    prepare: impl FnOnce(&File) -> Result<(), E>,
) -> Result<(), E> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(PREFIX).tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    prepare(file.as_file())?;
    file.persist(path).map_err(|error| error.error)?;
    // The name is on the disk too; a file system that can't sync directories does what it can.
    if let Ok(directory) = File::open(directory) {
        let _ = directory.sync_all();
    }
    Ok(())
}
