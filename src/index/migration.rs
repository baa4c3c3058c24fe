//! Creating the tables of `store.db`, and bringing those of an older version up to date.
//!
//! Runs on the thread that opens the store, before anybody folds. It must not run without a permit to write, which
//! `ground/database_version.rs` gives.
//!
//! `schema.sql` is the tables as they are now. What changes them is written down twice: there, and as the last of
//! [`MIGRATIONS`]; a test holds that both ways lead to the same tables. The rows of each version stay what they meant:
//! a migration changes tables, never what an event said.
//!
//! All migrations that are due and the version's number are one transaction. Whatever goes wrong in between (a kill, a
//! full disk, a statement that fails) leaves the database as it was, for the build that wrote it and for the next
//! attempt. One transaction for each was rejected: of several, those that went through would lock the older build out,
//! though the upgrade failed.

use super::sqlite_wal::BUSY_TIMEOUT;
use super::store_id;
use super::unknown_fronts;
use crate::ground::clock::now_ms;
use crate::ground::database_version::{CALLER_SALT_KEY, KnownVersions, OLDEST_READER_KEY, Preparation, WritePermit};
use crate::ground::error::{AtPath, IndexError};
use crate::ground::limits::Limit;
use crate::ground::position::{Sequence, StoreId, WriterId};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a migration waits for another connection that writes. That is somebody's sqlite3 shell: only one mcplog
/// writes.
const PATIENCE: Duration = Duration::from_secs(30);

/// The steps from [`OLDEST_VERSION`](crate::ground::database_version::OLDEST_VERSION) to
/// [`DATABASE_VERSION`](crate::ground::database_version::DATABASE_VERSION), in their order.
///
/// None yet: until the first release the tables change in place, under a version that no build before had.
const MIGRATIONS: &[Migration] = &[];

const _: () = assert!(
    is_chain(MIGRATIONS, KnownVersions::THIS_BUILD),
    "the migrations lead from the oldest version to the newest, one version each"
);

/// The tables of a version, and the way there. There is one in every build; tests have others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema {
    /// The versions between which it leads.
    pub(crate) versions: KnownVersions,
    /// Creates the tables.
    pub(crate) sql: &'static str,
    /// The version of the five tables that other tools read, as `meta.schema_version` says it.
    pub(crate) tables_version: &'static str,
    /// The steps.
    pub(crate) migrations: &'static [Migration],
}

/// A step from one version to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Migration {
    /// The version before the step; the version after it is one more.
    pub(crate) from: i64,
    /// What the step does, in a few words, for people.
    pub(crate) name: &'static str,
    /// The change of the tables.
    pub(crate) change: Change,
    /// Whether readers of the version before can't read the version after: a column that they name is gone, or means
    /// something else.
    pub(crate) breaks_readers: bool,
    /// Whether rows are changed or removed so that nothing says what they were. Then the database is copied first, so
    /// that there is a way back. Additions need no copy, since one transaction takes them back.
    pub(crate) rewrites_rows: bool,
}

/// How a migration changes the tables. It must not commit.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "no released version has a successor yet, but for one that tests make up")
)]
pub(crate) enum Change {
    /// Statements.
    Sql(&'static str),
    /// What statements alone can't do.
    Function(fn(&Transaction<'_>) -> rusqlite::Result<()>),
}

impl Schema {
    /// This build's.
    pub(crate) const THIS_BUILD: Self = Self {
        versions: KnownVersions::THIS_BUILD,
        sql: include_str!("schema.sql"),
        tables_version: "4",
        migrations: MIGRATIONS,
    };

    /// Creates the tables of the database at `path`, which is of that store, beside logs that begin there (as far as somebody
    /// has looked), or brings them up to date.
    ///
    /// # Errors
    /// What SQLite said. The database is as it was then.
    pub(super) fn prepare(
        &self,
        connection: &mut Connection,
        path: &Path,
        permit: WritePermit,
        store: Option<StoreId>,
        begins: Option<&[(WriterId, Sequence)]>,
    ) -> Result<(), IndexError> {
        match permit.preparation() {
            Preparation::Nothing => Ok(()),
            Preparation::Create => {
                let created = self.create(connection, store, begins);
                created.map_err(|source| IndexError::Sqlite { path: path.to_owned(), source })
            }
            Preparation::Migrate => self.migrate(connection, path, permit),
        }
    }

    fn create(
        &self,
        connection: &mut Connection,
        store: Option<StoreId>,
        begins: Option<&[(WriterId, Sequence)]>,
    ) -> rusqlite::Result<()> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Somebody else may have made them since the version was looked at.
        if transaction.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))? == self.versions.newest {
            return Ok(());
        }
        transaction.execute_batch(self.sql)?;
        set_meta(&transaction, "created_at", &now_ms().to_string())?;
        for limit in Limit::EACH {
            set_meta(&transaction, limit.key(), &limit.of_a_new_store().to_string())?;
        }
        let salt: String = transaction.query_row("SELECT lower(hex(randomblob(16)))", [], |row| row.get(0))?;
        set_meta(&transaction, CALLER_SALT_KEY, &salt)?;
        if let Some(store) = store {
            set_meta(&transaction, store_id::KEY, &store.to_string())?;
        }
        unknown_fronts::begin(&transaction, begins)?;
        self.finish(transaction)
    }

    fn migrate(&self, connection: &mut Connection, path: &Path, permit: WritePermit) -> Result<(), IndexError> {
        let due: Vec<_> = self.migrations.iter().filter(|migration| migration.from >= permit.from()).collect();
        let failed = |name: &'static str| {
            let (from, to) = (permit.from(), permit.to());
            move |source| IndexError::Migration { path: path.to_owned(), from, to, name, source }
        };
        let started = Instant::now();
        if due.iter().any(|migration| migration.rewrites_rows) {
            copy_beside(connection, path, permit.from())?;
        }
        tracing::info!(path = %path.display(), from = permit.from(), to = permit.to(), "bringing the database up to date");
        connection.busy_timeout(PATIENCE).map_err(failed("waiting for others"))?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = transaction.map_err(failed("waiting for others"))?;
        for migration in due {
            let changed = match migration.change {
                Change::Sql(sql) => transaction.execute_batch(sql),
                Change::Function(function) => function(&transaction),
            };
            changed.map_err(failed(migration.name))?;
        }
        transaction.busy_timeout(BUSY_TIMEOUT).map_err(failed("noting the version"))?;
        self.finish(transaction).map_err(failed("noting the version"))?;
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(path = %path.display(), took_ms, "the database is up to date");
        Ok(())
    }

    /// Writes the version's numbers to each place that has them, and commits.
    fn finish(&self, transaction: Transaction<'_>) -> rusqlite::Result<()> {
        set_meta(&transaction, "schema_version", self.tables_version)?;
        set_meta(&transaction, OLDEST_READER_KEY, &self.oldest_reader().to_string())?;
        transaction.pragma_update(None, "user_version", self.versions.newest)?;
        transaction.commit()
    }

    /// The oldest version whose readers can read the newest version: the version after the last migration that breaks
    /// readers.
    fn oldest_reader(&self) -> i64 {
        let breaking = self.migrations.iter().rev().find(|migration| migration.breaks_readers);
        breaking.map_or(self.versions.oldest, |migration| migration.from + 1)
    }
}

/// The beginning of a copy's file extension; the version of the copied database follows.
const COPY_EXTENSION: &str = "version-";

/// Where a copy of the database goes before its rows are rewritten: `store.db.version-5`.
pub(super) fn copy_path(database: &Path, version: i64) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(format!(".{COPY_EXTENSION}{version}"));
    name.into()
}

/// Whether `path` is a copy of `database` by [`copy_path`].
pub(crate) fn is_copy(path: &Path, database: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    path.with_extension("") == database && extension.is_some_and(|extension| extension.starts_with(COPY_EXTENSION))
}

/// Copies the database beside itself. A copy that exists already was made by an attempt that failed, and the database
/// has changed since: the new copy takes its place, but only once it is whole.
fn copy_beside(connection: &Connection, path: &Path, version: i64) -> Result<(), IndexError> {
    let to = copy_path(path, version);
    let mut unfinished = to.clone().into_os_string();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    let copied = copy(connection, &unfinished, &to);
    if copied.is_err() {
        // The log needs the room that the copy took.
        let _ = std::fs::remove_file(&unfinished);
    }
    copied?;
    tracing::info!(to = %to.display(), "the database was copied, before its rows are rewritten");
    Ok(())
}

fn copy(connection: &Connection, unfinished: &Path, to: &Path) -> Result<(), IndexError> {
    match std::fs::remove_file(unfinished) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        removed => removed.at("remove", unfinished)?,
    }
    // SQLite writes into the empty file and keeps its mode.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(unfinished).at("create", unfinished)?;
    let name = unfinished.to_string_lossy();
    connection
        .execute("VACUUM INTO ?1", [&name])
        .map_err(|source| IndexError::Sqlite { path: unfinished.to_owned(), source })?;
    file.sync_all().at("sync", unfinished)?;
    std::fs::rename(unfinished, to).at("rename", unfinished)?;
    let dir = to.parent().unwrap_or(Path::new("."));
    Ok(File::open(dir).and_then(|dir| dir.sync_all()).at("sync", dir)?)
}

fn set_meta(transaction: &Transaction<'_>, key: &str, value: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";
    transaction.execute(sql, params![key, value]).map(|_| ())
}

/// Whether the migrations lead from the oldest version to the newest, one version each.
pub(super) const fn is_chain(migrations: &[Migration], versions: KnownVersions) -> bool {
    let mut due = versions.oldest;
    let mut place = 0;
    while place < migrations.len() {
        if migrations[place].from != due {
            return false;
        }
        due += 1;
        place += 1;
    }
    due == versions.newest
}
