//! Opening a store for recording: what must be known, and must be so, before the first event is accepted.
//!
//! Runs on the thread that opens the store, before any other thread of it. It starts none, asks SQLite nothing, looks into
//! nobody's log, and waits for nobody. On the disk there are the directory, `LOCK` and `store-id` then; the log comes with
//! the first record, the database with the first one who folds.

use super::store_identity;
use crate::ground::config::Config;
use crate::ground::database_header;
use crate::ground::database_version::{DatabaseVersion, KnownVersions};
use crate::ground::error::OpenError;
use crate::ground::health::HealthBoard;
use crate::ground::machine_clock::MachineClock;
use crate::ground::position::StoreId;
use crate::ground::private_dir::{accept_private_dir, create_private_dir};
use crate::ground::store_lock::StoreLock;
use crate::ground::store_progress::StoreProgress;
use crate::index::build::Build;
use crate::index::database::DATABASE_NAME;
use crate::segment::writer_folder::writer_folders;
use std::path::Path;
use std::sync::Arc;

/// What is known then.
pub(super) struct Opening {
    pub(super) lock: Arc<StoreLock>,
    pub(super) store: StoreId,
    pub(super) progress: Arc<StoreProgress>,
    pub(super) health: Arc<HealthBoard>,
    pub(super) clock: MachineClock,
    pub(super) build: Build,
}

impl Opening {
    /// Opens it. A store of an earlier build, or of a newer one, is left as it is.
    pub(super) fn of(config: &Config, build: &Build, clock: MachineClock) -> Result<Self, OpenError> {
        create_private_dir(&config.dir)?;
        let lock = Arc::new(StoreLock::share(&config.dir)?);
        [config.wal_dir(), config.kept_dir(), config.quarantine_dir()]
            .iter()
            .try_for_each(|dir| accept_private_dir(dir))?;
        expect_known_layout(&config.dir)?;
        expect_known_database(&config.dir, build.schema.versions)?;
        let health = HealthBoard::default();
        let store = store_identity::read_or_make(&config.dir, &health)?;
        let progress = Arc::new(StoreProgress::new());
        Ok(Self { lock, store, progress, health: Arc::new(health), clock, build: *build })
    }
}

/// An error where the store is one of an earlier build, which had one log in `wal/` itself.
pub(super) fn expect_known_layout(dir: &Path) -> Result<(), OpenError> {
    match writer_folders(&dir.join("wal"))?.old_layout.into_iter().next() {
        Some(path) => Err(OpenError::EarlierLayout { path }),
        None => Ok(()),
    }
}

/// An error where the database is of a version that this build does not write to.
fn expect_known_database(dir: &Path, known: KnownVersions) -> Result<(), OpenError> {
    let path = dir.join(DATABASE_NAME);
    if let Ok(metadata) = path.symlink_metadata()
        && !metadata.is_file()
    {
        let found = if metadata.is_symlink() { "a symbolic link" } else { "something else" };
        return Err(OpenError::Unsafe { path, expected: "a regular file", found });
    }
    let Some(number) = database_header::version(&path)? else { return Ok(()) };
    DatabaseVersion { number, oldest_reader: None }.check_write(known, &path)?;
    Ok(())
}
