//! Where the demo records, and what is there afterwards.
//!
//! Runs on the main thread.

use crate::error::CliError;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// So many demos may lie around; then somebody should clean up.
const DEMOS_MAX: u32 = 1_000;

/// A directory of its own for this demo: `mcplog-demo-1`, or the next number that is free.
///
/// In the system's directory for temporary files, so that a demo litters nobody's project.
pub(super) fn fresh(parent: &Path) -> Result<PathBuf, CliError> {
    for number in 1..=DEMOS_MAX {
        let path = parent.join(format!("mcplog-demo-{number}"));
        // Creating it is the test: two demos at once, or a link laid by somebody else, can't get in between.
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(CliError::Failed(format!("can't create {}: {error}", path.display()))),
        }
    }
    let parent = parent.display();
    Err(CliError::Failed(format!("{DEMOS_MAX} demos lie in {parent} already; remove them, or name another --dir")))
}

/// A file of the store, or one of its directories with all that lies in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoreFile {
    /// Relative to the store's directory; a directory's ends in `/`.
    pub(super) name: String,
    pub(super) bytes: u64,
}

/// What lies in the store's directory, by name, directories last. An empty one is left out.
pub(super) fn files(dir: &Path) -> io::Result<Vec<StoreFile>> {
    let (mut files, mut directories) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match entry.metadata()? {
            metadata if metadata.is_dir() => {
                let bytes = bytes_in(&entry.path())?;
                directories.extend((bytes > 0).then(|| StoreFile { name: format!("{name}/"), bytes }));
            }
            metadata => files.push(StoreFile { name, bytes: metadata.len() }),
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    directories.sort_by(|a, b| a.name.cmp(&b.name));
    files.append(&mut directories);
    Ok(files)
}

/// The bytes of all files in a directory, and in those within it.
fn bytes_in(dir: &Path) -> io::Result<u64> {
    fs::read_dir(dir)?.try_fold(0, |bytes, entry| {
        let entry = entry?;
        let metadata = entry.metadata()?;
        Ok(bytes + if metadata.is_dir() { bytes_in(&entry.path())? } else { metadata.len() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_demo_gets_a_directory_of_its_own() {
        let parent = tempfile::tempdir().unwrap();
        let first = fresh(parent.path()).unwrap();
        let second = fresh(parent.path()).unwrap();
        assert_eq!(first, parent.path().join("mcplog-demo-1"));
        assert_eq!(second, parent.path().join("mcplog-demo-2"));
        // What lies there is left alone, whatever it is.
        std::os::unix::fs::symlink("/nowhere", parent.path().join("mcplog-demo-3")).unwrap();
        assert_eq!(fresh(parent.path()).unwrap(), parent.path().join("mcplog-demo-4"));
        assert!(fresh(&parent.path().join("missing")).is_err());
    }

    #[test]
    fn files_are_listed_with_their_sizes() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["kept/w", "kept/v", "wal/w"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        for (name, bytes) in [("store.db", 5), ("LOCK", 0), ("kept/v/a.seg", 2), ("kept/w/a.seg", 1)] {
            fs::write(dir.path().join(name), vec![0; bytes]).unwrap();
        }
        let found: Vec<_> = files(dir.path()).unwrap().into_iter().map(|file| (file.name, file.bytes)).collect();
        let expected = [("LOCK", 0), ("store.db", 5), ("kept/", 3)];
        assert_eq!(found, expected.map(|(name, bytes)| (name.to_owned(), bytes)));
    }
}
