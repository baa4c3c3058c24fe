//! Copies of configuration files from before a change.
//!
//! Runs on the main thread. They lie in mcplog's directory of state, and not beside the file: a project's directory is
//! committed, and some clients read every file of a directory. A file's copies lie under the file's own path there. A copy
//! has the mode of the file, or a narrower one, since secrets stand in both.

use super::config_file::ConfigFile;
use super::whole_file::write_new;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

/// The directory of all copies, within that of the state.
const BACKUPS: &str = "backups";
/// How many copies of a file are kept: the newest ones. A change and its undoing take two.
const KEPT: usize = 5;

/// Why no copy was made.
#[derive(Debug, thiserror::Error)]
#[error("{}: no copy of {} can be made there, so that was left as it is: {source}", path.display(), of.display())]
pub(super) struct BackupError {
    path: PathBuf,
    of: PathBuf,
    source: io::Error,
}

/// Copies a file as it was read, and lets its older copies go. Returns where the copy is.
pub(super) fn back_up(state_dir: &Path, file: &ConfigFile, now: jiff::Timestamp) -> Result<PathBuf, BackupError> {
    let directory = directory_of(state_dir, &file.target);
    let path = directory.join(now.strftime("%Y%m%dT%H%M%S.%6fZ").to_string());
    let error = |source| BackupError { path: path.clone(), of: file.target.clone(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(error)?;
    let prepare = |copy: &File| -> io::Result<()> {
        // Somebody else's file, changed by root: the copy stays root's only.
        if copy.metadata()?.uid() == file.metadata.uid() {
            copy.set_permissions(Permissions::from_mode(file.metadata.mode() & 0o777))?;
        }
        Ok(())
    };
    write_new(&path, file.text.as_bytes(), prepare).map_err(error)?;
    // The copy is there; that an old one stays too is no reason to stop.
    let _ = let_go(&directory, &path);
    Ok(path)
}

/// The directory of a file's copies: its own path, below that of all copies.
fn directory_of(state_dir: &Path, file: &Path) -> PathBuf {
    let names = file.components().filter(|component| matches!(component, Component::Normal(_)));
    names.fold(state_dir.join(BACKUPS), |path, name| path.join(name))
}

/// Removes the oldest copies but for `newest`: a clock that was set back gives it the earliest time.
fn let_go(directory: &Path, newest: &Path) -> io::Result<()> {
    let mut copies = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() && entry.path() != newest {
            copies.push(entry.path());
        }
    }
    copies.sort();
    let surplus = (copies.len() + 1).saturating_sub(KEPT);
    copies[..surplus].iter().try_for_each(fs::remove_file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_copies_of_each_file_are_kept_with_the_files_mode() {
        let root = tempfile::tempdir().unwrap();
        let state = root.path().join("state");
        let path = root.path().join("mcp.json");
        let at = |second: i64| jiff::Timestamp::from_second(1_764_000_000 + second).unwrap();
        for (begins, mode) in [(0, 0o600), (100, 0o644)] {
            let mut copies = Vec::new();
            for second in 0..8 {
                fs::write(&path, format!("{mode} {second}")).unwrap();
                fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
                let file = ConfigFile::read(&path).unwrap().unwrap();
                copies.push(back_up(&state, &file, at(begins + second)).unwrap());
                assert_eq!(fs::metadata(&copies[copies.len() - 1]).unwrap().mode() & 0o777, mode);
            }
            let kept: Vec<_> = copies.iter().map(|copy| fs::read_to_string(copy).ok()).collect();
            let expected: Vec<_> = (0..8).map(|second| (second > 2).then(|| format!("{mode} {second}"))).collect();
            assert_eq!(kept, expected);
        }
        // The clock was set back.
        let file = ConfigFile::read(&path).unwrap().unwrap();
        assert!(back_up(&state, &file, at(50)).unwrap().exists());
        let mut directory = directory_of(&state, &path);
        while directory != *root.path() {
            assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o777, 0o700, "{directory:?}");
            directory.pop();
        }
    }
}
