//! The database that records are folded into: opening it, creating it, and making its commits durable.
//!
//! Owned by the compactor; opening happens on the thread that opens the store. Nobody else writes to `store.db`, but
//! for a commit of `sqlite_wal.rs` that changes nothing.

use super::batch::Batch;
use super::checkpoint::{self, Checkpoint};
use super::connection;
use super::fence::Fence;
use super::held::{self, Guarded, Held};
use super::migration::Schema;
use super::newer_records::{self, NewerKind};
use super::remembered_limits;
use super::row_retention::RowRetention;
use super::sqlite_wal::{BUSY_TIMEOUT, WalCopier, note_doubt};
use super::store_id;
use super::unknown_fronts::LookForFronts;
use super::wal_readers::{companion, wal_bytes};
use super::writers;
use crate::ground::config::Config;
use crate::ground::database_version::{DatabaseVersion, KnownVersions, Preparation, WritePermit};
use crate::ground::error::{AtPath, IndexError, OpenError};
use crate::ground::file_identity::file_at;
use crate::ground::limits::Limits;
use crate::ground::position::{StoreId, WriterId};
use crate::ground::sabotage::{self, Spot};
use rusqlite::ffi;
use rusqlite::{Connection, Transaction};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The name of the database within the store's directory.
pub(crate) const DATABASE_NAME: &str = "store.db";
/// Where a database's header says whether pages can be given back one by one: not zero if so, by SQLite's file format.
const INCREMENTAL_VACUUM_OFFSET: u64 = 64;

/// The database, for its one writer.
#[derive(Debug)]
pub(crate) struct Index {
    /// Declared before the connection, so that the copying thread's connection closes first.
    pub(super) copier: WalCopier,
    pub(super) connection: Connection,
    path: PathBuf,
    /// Which file that was when it was opened, and which ones SQLite's WAL and its index were, as far as they were there.
    files: [Option<(u64, u64)>; 3],
    permit: WritePermit,
    versions: KnownVersions,
    pub(super) fence: Fence,
    /// What is remembered of the tables.
    pub(super) held: Held,
    /// Whatever the store was told, nothing of the log is let go.
    keeps_log: bool,
    /// Whether a sync of SQLite's WAL may have failed since the WAL was last copied whole into the database: in this
    /// process, or in the process that left the WAL behind.
    pub(super) wal_in_doubt: Arc<AtomicBool>,
}

impl Index {
    /// Opens the database of that store in its directory, creating it beside the logs that `fronts` finds, and bringing
    /// it up to date by a build that has these tables. Where that [outdates](super::build::Build::outdates) what other
    /// processes may know, the caller is alone.
    ///
    /// # Errors
    /// [`OpenError`]. A database of another store is as it was then.
    pub(crate) fn open_by(
        config: &Config,
        store: StoreId,
        schema: &Schema,
        fronts: LookForFronts<'_>,
    ) -> Result<Self, OpenError> {
        Self::open_at(config, Some(store), RowRetention::new(&config.limits()).is_limited(), schema, Some(fronts))
    }

    /// The same by this build.
    #[cfg(test)]
    pub(crate) fn open(config: &Config, store: StoreId) -> Result<Self, OpenError> {
        Self::open_by(config, store, &Schema::THIS_BUILD, &|| Ok(Vec::new()))
    }

    /// The same; without a store, of whichever it is. If it has to be created, it `shrinks` when rows go, or keeps their
    /// room for others.
    pub(crate) fn open_as(config: &Config, store: Option<StoreId>, shrinks: bool) -> Result<Self, OpenError> {
        Self::open_at(config, store, shrinks, &Schema::THIS_BUILD, None)
    }

    /// The same, with the tables of that schema.
    pub(super) fn open_at(
        config: &Config,
        store: Option<StoreId>,
        shrinks: bool,
        schema: &Schema,
        fronts: Option<LookForFronts<'_>>,
    ) -> Result<Self, OpenError> {
        let path = config.dir.join(DATABASE_NAME);
        create_private_file(&path)?;
        let Connected { mut connection, permit, copier, wal_in_doubt } = connect(&path, shrinks, schema)?;
        let failed = |source| IndexError::Sqlite { path: path.clone(), source };
        let has_tables = permit.preparation() != Preparation::Create;
        if let Some(expected) = store
            && let Some(found) = if has_tables { store_id::read(&connection).map_err(failed)? } else { None }
            && found != expected
        {
            return Err(IndexError::ForeignStore { path, expected, found }.into());
        }
        let begins = fronts.filter(|_| !has_tables).map(|look| look()).transpose()?;
        schema.prepare(&mut connection, &path, permit, store, begins.as_deref())?;
        remembered_limits::remember(&connection, config).map_err(failed)?;
        // First the fence: what is read behind it may be newer than it says, and is read once more then.
        let fence = Fence::new(&connection).map_err(failed)?;
        let held = Held::read(&connection).map_err(failed)?;
        let files = files_of(&path).map(|path| file_at(&path));
        if files[0].is_none() {
            return Err(IndexError::Replaced { path }.into());
        }
        let versions = schema.versions;
        Ok(Self { copier, connection, path, files, permit, versions, fence, held, keeps_log: false, wal_in_doubt })
    }

    /// A bug for a test: nobody asks whether a checkpoint is another one by now.
    #[cfg(test)]
    pub(crate) fn plant_old_checkpoints(&mut self) {
        self.fence.planted = Some(super::fence::Planted::OldCheckpoint);
    }

    /// The database file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the store keeps, and for how long.
    pub(crate) fn limits(&self) -> Limits {
        let limits = self.held.limits;
        if self.keeps_log { Limits { keep_segments_bytes: None, keep_segments_age_ms: None, ..limits } } else { limits }
    }

    /// What people are told of limits that the database does not remember any more.
    pub(crate) fn limits_advice(&self) -> Option<&str> {
        self.held.limits_advice.as_deref()
    }

    /// Whatever the store was told, nothing of the log is let go as long as this process has it open.
    pub(crate) fn keep_log(&mut self) {
        self.keeps_log = true;
    }

    /// Since when requests are kept: what is from before is expired. `i64::MIN` if nothing ever expired.
    pub(crate) fn kept_since(&self) -> i64 {
        self.held.expiry.kept_since
    }

    /// Up to where one writer's log is folded; `None` if nothing of it is. Few of the writers that ever were have logs:
    /// this spares reading the others.
    pub(crate) fn checkpoint_of(&self, writer: WriterId) -> Result<Option<Checkpoint>, IndexError> {
        self.checked(checkpoint::read_of(&self.connection, writer))
    }

    /// Whether a writer's log says that it ended, as far as it is folded, or somebody noted that it is dead.
    pub(crate) fn has_ended(&self, writer: WriterId) -> Result<bool, IndexError> {
        self.checked(writers::has_ended(&self.connection, writer))
    }

    /// Records that wait here for a newer build, by kind and version.
    pub(crate) fn newer_kinds(&self) -> Result<Vec<NewerKind>, IndexError> {
        self.checked(newer_records::kinds(&self.connection))
    }

    /// Starts a batch. Dropping it undoes it.
    pub(crate) fn begin(&mut self) -> Result<Batch<'_>, IndexError> {
        self.expect_in_place()?;
        sabotage::at(Spot::Fold, &self.path)
            .map_err(|fault| IndexError::Sqlite { path: self.path.clone(), source: fault.into() })?;
        let Self { copier, connection, path, versions, fence, held, wal_in_doubt, .. } = self;
        let guarded = Guarded { path, versions: *versions, copies: copier.count(), wal_in_doubt };
        let transaction = held::begin(connection, fence, held, &guarded)?;
        Ok(Batch::new(transaction, connection, path, fence, held, wal_in_doubt))
    }

    /// Does something in a transaction of its own.
    pub(super) fn within_transaction<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &mut Held) -> rusqlite::Result<T>,
    ) -> Result<T, IndexError> {
        let Self { copier, connection, path, versions, fence, held, wal_in_doubt, .. } = self;
        let guarded = Guarded { path, versions: *versions, copies: copier.count(), wal_in_doubt };
        let transaction = held::begin(connection, fence, held, &guarded)?;
        let done = work(&transaction, held).and_then(|done| transaction.commit().map(|()| done));
        if done.is_err() {
            fence.forget();
        }
        self.checked(done)
    }

    /// Has SQLite's WAL copied into the database, if something was committed some time ago: then a copy of `store.db`
    /// alone has it. Waits for nothing.
    pub(crate) fn copy_on_schedule(&mut self) {
        self.copier.copy_on_schedule();
    }

    /// Why what is committed stays in SQLite's WAL, if copying it failed.
    pub(crate) fn copy_failure(&self) -> Option<String> {
        self.copier.failure()
    }

    /// What people are told of a SQLite WAL that is too long because somebody reads; `None` where that is not so.
    pub(crate) fn held_note(&self) -> Option<String> {
        self.copier.held_note()
    }

    /// Makes every commit so far durable, also those of others. A segment may be retired only after this.
    pub(crate) fn make_durable(&mut self) -> Result<(), IndexError> {
        self.expect_in_place()?;
        // Nobody else may sync meanwhile: the kernel may tell only the first caller of a failed sync.
        self.copier.wait();
        if self.wal_in_doubt.load(Ordering::Relaxed) {
            self.checked(self.empty_wal())?;
            self.wal_in_doubt.store(false, Ordering::Relaxed);
        }
        // What SQLite's WAL does not have is in the database, which was synced before the WAL was emptied. On a full disk there
        // is no room for a commit, and none is needed.
        if wal_bytes(&self.path) == 0 {
            return self.sync_emptied_wal();
        }
        // Under FULL a commit syncs SQLite's WAL, and with it all commits before; but only a commit that writes a page.
        // An UPDATE that changes nothing writes no page; setting the header's user version always does.
        let full = self.connection.pragma_update(None, "synchronous", "FULL");
        self.checked(full)?;
        let version = self.permit.to();
        let done = self.within_transaction(|transaction, _| transaction.pragma_update(None, "user_version", version));
        let normal = self.connection.pragma_update(None, "synchronous", "NORMAL");
        done.and(self.checked(normal))?;
        // Somebody else committed, and what that one's syncs came to, the next attempt finds out.
        if self.wal_in_doubt.load(Ordering::Relaxed) { self.make_durable() } else { Ok(()) }
    }

    /// Makes durable that SQLite's WAL is empty. A power cut that brought it back would bring back what its frames were, and
    /// where a sync of them had failed not all of them: an older state would lie over what the database has.
    fn sync_emptied_wal(&self) -> Result<(), IndexError> {
        // SQLite has no lock on this file that closing it could drop.
        let path = companion(&self.path, "-wal");
        let synced = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            opened => opened.and_then(|wal| wal.sync_all()).at("sync", &path),
        };
        // It is emptied once more then.
        self.wal_in_doubt.fetch_or(synced.is_err(), Ordering::Relaxed);
        Ok(synced?)
    }

    /// An error if one of its files is not in its place any more: SQLite goes on with one that was removed, and never says
    /// so, but nobody finds again what is folded there. SQLite itself keeps all three for as long as this connection is open.
    fn expect_in_place(&self) -> Result<(), IndexError> {
        let paths = files_of(&self.path).into_iter().zip(self.files);
        match paths.into_iter().find(|(path, file)| file.is_some() && file_at(path) != *file) {
            None => Ok(()),
            Some((path, _)) => Err(IndexError::Replaced { path }),
        }
    }

    /// Copies every page of SQLite's WAL into the database, syncs the database, and empties the WAL.
    ///
    /// Linux reports a failed write once and then calls the pages clean, so another sync of the WAL would succeed
    /// whether its frames are on the disk or not. Copying writes the database's pages anew, and a sync of those tells
    /// the truth. If that sync fails, the WAL is not emptied, and the next attempt writes the pages once more.
    fn empty_wal(&self) -> rusqlite::Result<()> {
        let busy: bool = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy {
            let why = "a reader keeps SQLite's WAL, of which a sync may have failed, from being emptied; segments stay until then";
            return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), Some(why.to_owned())));
        }
        Ok(())
    }

    pub(super) fn checked<T>(&self, result: rusqlite::Result<T>) -> Result<T, IndexError> {
        note_doubt(&result, &self.wal_in_doubt);
        result.map_err(|source| IndexError::Sqlite { path: self.path.clone(), source })
    }
}

impl Drop for Index {
    /// Copies what is committed into the database, also where others have it open, so that its file alone has
    /// everything. A reader in the way, or a disk without room, leaves it where it is, and the next one who opens the
    /// store copies it.
    fn drop(&mut self) {
        self.copier.wait();
        if let Err(error) = self.copier.empty_now(&self.connection) {
            tracing::warn!(%error, path = %self.path.display(), "what was committed last stays in SQLite's WAL");
        }
    }
}

/// The files that SQLite keeps a database in: its own, the WAL, and the index of that.
fn files_of(database: &Path) -> [PathBuf; 3] {
    [database.to_owned(), companion(database, "-wal"), companion(database, "-shm")]
}

/// A connection that nothing was changed by.
struct Connected {
    /// Declared before the connection, as in [`Index`].
    copier: WalCopier,
    connection: Connection,
    permit: WritePermit,
    wal_in_doubt: Arc<AtomicBool>,
}

fn connect(path: &Path, shrinks: bool, schema: &Schema) -> Result<Connected, IndexError> {
    // The last connection to close removes the WAL. So a WAL that exists now was left by a process that died, and
    // nobody knows whether its syncs succeeded.
    let wal_left_behind = wal_bytes(path) > 0;
    let at_path = |source| IndexError::Sqlite { path: path.to_owned(), source };
    let mut connection = Connection::open(path).map_err(at_path)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(at_path)?;
    // Before anything is changed: a newer database stays untouched.
    let number = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(at_path)?;
    let version = DatabaseVersion { number, oldest_reader: None };
    let permit = version.check_write(schema.versions, path)?;
    let has_tables = "SELECT EXISTS (SELECT 1 FROM sqlite_schema)";
    if number == 0 && connection.query_row(has_tables, [], |row| row.get(0)).map_err(at_path)? {
        return Err(IndexError::NotOurs { path: path.to_owned() });
    }
    connection::configure(&connection, shrinks).map_err(at_path)?;
    let wal_in_doubt = Arc::new(AtomicBool::new(wal_left_behind));
    let copier = WalCopier::new(path, Arc::clone(&wal_in_doubt));
    copier.copy_when_long(&mut connection).map_err(at_path)?;
    if wal_left_behind {
        copier.note_left_behind();
    }
    Ok(Connected { connection, permit, copier, wal_in_doubt })
}

/// Whether a database was created as one that shrinks. SQLite is not asked: the file may be damaged. Nobody in this
/// process may have it open, for the reason that [`create_private_file`] has.
pub(crate) fn shrinks(database: &Path) -> bool {
    let is_file = std::fs::symlink_metadata(database).is_ok_and(|metadata| metadata.is_file());
    let mut incremental = [0; 4];
    let mut read = || File::open(database)?.read_exact_at(&mut incremental, INCREMENTAL_VACUUM_OFFSET);
    is_file && read().is_ok() && incremental != [0; 4]
}

/// Creates the database file readable by its owner only; SQLite would leave it readable for others, and its -wal and
/// -shm files take over this one's mode.
///
/// A file that is there is not opened: closing it would drop every POSIX lock that this process holds on it, those of
/// SQLite connections included, and two connections without locks destroy each other's commits.
pub(super) fn create_private_file(path: &Path) -> Result<(), OpenError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let metadata = std::fs::symlink_metadata(path).at("inspect", path)?;
            if metadata.is_file() {
                return Ok(());
            }
            let found = if metadata.is_symlink() { "a symbolic link" } else { "something else" };
            Err(OpenError::Unsafe { path: path.to_owned(), expected: "a regular file", found })
        }
        created => Ok(created.map(drop).at("create", path)?),
    }
}
