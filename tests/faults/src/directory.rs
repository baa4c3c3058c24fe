//! Directories as values: copied, and compared byte by byte.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Copies a directory with everything in it; `to` must not exist.
///
/// # Panics
/// The system refuses.
pub fn copy(from: &Path, to: &Path) {
    fn try_copy(from: &Path, to: &Path) -> io::Result<()> {
        std::fs::create_dir(to)?;
        for entry in std::fs::read_dir(from)? {
            let entry = entry?;
            let target = to.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                try_copy(&entry.path(), &target)?;
            } else {
                std::fs::copy(entry.path(), target)?;
            }
        }
        Ok(())
    }
    try_copy(from, to).unwrap_or_else(|error| panic!("copy {} to {}: {error}", from.display(), to.display()));
}

/// The files in a directory, and in those within it, with their bytes; nothing if there is no such directory.
///
/// # Panics
/// The system refuses.
pub fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn gather(dir: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> io::Result<()> {
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                gather(&path, files)?;
            } else {
                let bytes = std::fs::read(&path)?;
                files.insert(path, bytes);
            }
        }
        Ok(())
    }
    let mut files = BTreeMap::new();
    if dir.exists() {
        gather(dir, &mut files).unwrap_or_else(|error| panic!("read {}: {error}", dir.display()));
    }
    files
}
