//! Whether a store that is open records no more, so that opening it again is what helps.
//!
//! Runs on the keeper's thread, once a second: one look at health and one at a file.

use mcplog::Health;
use mcplog::health::Part;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The file that a store holds for as long as it is open.
const LOCK_NAME: &str = "LOCK";

/// A directory, and which one it was when the store was opened.
#[derive(Debug)]
pub(super) struct Place {
    dir: PathBuf,
    /// Device and inode; `None`: nobody could tell.
    identity: Option<(u64, u64)>,
}

impl Place {
    /// Where an open store is.
    pub(super) fn of(dir: &Path) -> Self {
        let identity = std::fs::symlink_metadata(dir.join(LOCK_NAME)).ok().as_ref().map(identity);
        Self { dir: dir.to_owned(), identity }
    }

    /// Why the store there records no more; `None` while it does, or may again by itself.
    pub(super) fn death(&self, health: &Health) -> Option<String> {
        if let Some(problem) = health.problems.get(&Part::Thread) {
            return Some(problem.clone());
        }
        self.is_gone().then(|| format!("{}: the directory was removed or replaced", self.dir.display()))
    }

    /// Whether the directory is not the one any more that the store was opened in.
    pub(super) fn is_gone(&self) -> bool {
        match std::fs::symlink_metadata(self.dir.join(LOCK_NAME)) {
            Ok(found) => self.identity.is_some_and(|own| own != identity(&found)),
            // Whatever else fails may work again, and what the store has open goes on working.
            Err(error) => error.kind() == ErrorKind::NotFound,
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_thread_or_another_directory_is_a_death_and_trouble_that_passes_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        let create = || {
            std::fs::create_dir(&store).unwrap();
            std::fs::write(store.join(LOCK_NAME), "").unwrap();
        };
        create();
        let place = Place::of(&store);
        let mut health = Health::default();
        assert_eq!(place.death(&health), None);
        for part in [Part::Segments, Part::Sync, Part::Fold, Part::Damage] {
            health.problems.insert(part, "no room".into());
        }
        assert_eq!(place.death(&health), None, "the store gets over that by itself, or opening again would not help");
        std::fs::rename(&store, dir.path().join("moved")).unwrap();
        assert!(place.death(&health).unwrap().contains("removed or replaced"));
        create();
        assert!(place.death(&health).is_some(), "another one");
        assert_eq!(Place::of(&store).death(&health), None);
        health.problems.insert(Part::Thread, "the mcplog-append thread died".into());
        assert!(Place::of(&store).death(&health).unwrap().contains("mcplog-append"));
    }
}
