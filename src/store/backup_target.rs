//! Where a copy of a store is made: a directory beside its place, which takes that place at the end.
//!
//! Runs on the caller's thread. It must not touch what somebody else left.

use crate::ground::error::{AtPath, OpenError, PathError};
use crate::ground::private_dir::create_private_dir;
use crate::segment::directory::sync_directory;
use std::path::{Path, PathBuf};

/// Why nothing can be made at a place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// Something is there already.
    #[error("{}: {found}; name a directory that does not exist yet, or an empty one", path.display())]
    Taken {
        /// The place.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// It lies in the store itself.
    #[error("{}: lies in the store that it would be a copy of; name a directory outside of it", path.display())]
    Within {
        /// The place.
        path: PathBuf,
    },
    /// The path has no last name, as `/` or `..`.
    #[error("{}: is no name for a new directory", path.display())]
    Nameless {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error(transparent)]
    Io(#[from] PathError),
}

/// The directory in which a copy is made. When dropped before it is in its place, it is removed with all that is in it.
#[derive(Debug)]
pub(super) struct Target {
    place: PathBuf,
    dir: PathBuf,
    is_in_place: bool,
}

impl Target {
    /// Chooses a directory beside `place`, for a copy of the store in `store`.
    pub(super) fn choose(store: &Path, place: &Path) -> Result<Self, TargetError> {
        let name = place.file_name().ok_or_else(|| TargetError::Nameless { path: place.to_owned() })?;
        expect_free(place)?;
        let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let real = parent.canonicalize().at("look at", parent)?;
        if store.canonicalize().is_ok_and(|store| real.starts_with(store)) {
            return Err(TargetError::Within { path: place.to_owned() });
        }
        let dir = (0_u32..).map(|number| {
            let mut temporary = std::ffi::OsString::from(".");
            temporary.push(name);
            temporary.push(format!(".{}-{number}.partial", std::process::id()));
            parent.join(temporary)
        });
        // What another one left stays.
        let dir = dir.into_iter().find(|dir| dir.symlink_metadata().is_err());
        let dir = dir.ok_or_else(|| TargetError::Nameless { path: place.to_owned() })?;
        Ok(Self { place: place.to_owned(), dir, is_in_place: false })
    }

    /// Makes the directory.
    pub(super) fn create(&self) -> Result<(), OpenError> {
        create_private_dir(&self.dir)
    }

    /// The directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Renames the directory, which is synced, to its place; returns that. Until then nothing is there, and afterwards
    /// all.
    pub(super) fn put_in_place(mut self) -> Result<PathBuf, TargetError> {
        // Takes the place of an empty directory, and of nothing else.
        std::fs::rename(&self.dir, &self.place).map_err(|error| match expect_free(&self.place) {
            Err(taken) => taken,
            Ok(()) => PathError { operation: "rename to", path: self.place.clone(), source: error }.into(),
        })?;
        self.is_in_place = true;
        let parent = self.place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_directory(parent)?;
        Ok(self.place.clone())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.is_in_place
            && let Err(error) = std::fs::remove_dir_all(&self.dir)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, dir = %self.dir.display(), "what was copied can't be removed");
        }
    }
}

/// An error if anything but an empty directory is there.
fn expect_free(place: &Path) -> Result<(), TargetError> {
    let taken = |found| Err(TargetError::Taken { path: place.to_owned(), found });
    match place.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(PathError { operation: "look at", path: place.to_owned(), source }.into()),
        Ok(metadata) if metadata.is_symlink() => taken("a symbolic link is there"),
        Ok(metadata) if !metadata.is_dir() => taken("a file is there"),
        Ok(_) => match std::fs::read_dir(place).at("read directory", place)?.next() {
            None => Ok(()),
            Some(_) => taken("the directory is not empty"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn only_nothing_and_an_empty_directory_are_taken_over() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let store = at("store");
        for dir in ["store", "empty", "full", "full/x"] {
            std::fs::create_dir(at(dir)).unwrap();
        }
        std::fs::write(at("file"), "").unwrap();
        std::os::unix::fs::symlink(at("empty"), at("link")).unwrap();
        let before = names(root.path());
        for (place, expected) in [
            ("new", None),
            ("empty", None),
            ("full", Some("is not empty")),
            ("file", Some("a file is there")),
            ("link", Some("a symbolic link")),
            ("store/backup", Some("lies in the store")),
            ("full/../store/backup", Some("lies in the store")),
            ("full/..", Some("no name")),
            ("nowhere/new", Some("No such file")),
        ] {
            match (Target::choose(&store, &at(place)), expected) {
                (Ok(target), None) => {
                    target.create().unwrap();
                    assert!(target.dir().is_dir());
                }
                (Err(error), Some(expected)) => assert!(error.to_string().contains(expected), "{place}: {error}"),
                (prepared, expected) => panic!("{place}: {prepared:?}, {expected:?}"),
            }
            assert_eq!(names(root.path()), before, "{place}");
            assert!(names(&store).is_empty());
        }
    }

    #[test]
    fn what_another_one_left_stays_and_what_comes_meanwhile_is_not_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("copy");
        let left = root.path().join(format!(".copy.{}-0.partial", std::process::id()));
        std::fs::create_dir(&left).unwrap();
        let target = Target::choose(Path::new("/nowhere"), &place).unwrap();
        target.create().unwrap();
        std::fs::write(target.dir().join("file"), "of the copy").unwrap();
        std::fs::create_dir(&place).unwrap();
        std::fs::write(place.join("file"), "of another").unwrap();
        assert!(matches!(target.put_in_place(), Err(TargetError::Taken { .. })));
        assert_eq!(std::fs::read(place.join("file")).unwrap(), b"of another");
        assert!(left.is_dir());
        assert_eq!(names(root.path()).len(), 2);
    }
}
