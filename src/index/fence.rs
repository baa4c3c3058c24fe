//! The fence: whether anybody else committed since we last did.
//!
//! Runs on the compactor, within a transaction that writes, so that the answer holds until the commit. Folding is exact
//! because of the fence, and not because of a lock: a lock can be lost (a network file system, a file that somebody
//! removed, a process that was stopped for a while and goes on). Who finds that somebody else committed forgets what was
//! remembered and reads it again.
//!
//! Two things tell. SQLite counts the commits of other connections (`PRAGMA data_version`). Among those are our own
//! copying thread's, which change nothing; so who folds writes a word of its own into the database, and where that still
//! stands after our own copies, nobody else did anything. The word alone was rejected: a backup that is put back over a
//! living database may have the same. A counter in each commit was rejected: it is one more page in each.

use rusqlite::{Connection, OptionalExtension};

/// The row of `meta` with the word of who committed last.
pub(super) const KEY: &str = "last_folder";

/// What the last transaction saw.
#[derive(Debug)]
pub(super) struct Fence {
    /// Random, and this connection's.
    word: String,
    /// `PRAGMA data_version` then; `None`: nothing that is remembered is worth anything.
    version: Option<i64>,
    copies: CopyCount,
    #[cfg(test)]
    pub(super) planted: Option<Planted>,
}

/// A bug for a test.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Planted {
    /// What is remembered stays, whoever committed.
    OldMemory,
    /// Nobody asks whether the checkpoint is another one by now.
    OldCheckpoint,
}

/// How often a copy by another thread of ours began or ended: odd while one is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CopyCount(pub(super) u64);

impl Fence {
    /// The fence of a connection on which nothing is remembered that was read before.
    pub(super) fn new(connection: &Connection) -> rusqlite::Result<Self> {
        let word = connection.query_row("SELECT lower(hex(randomblob(16)))", [], |row| row.get(0))?;
        Ok(Self {
            word,
            version: Some(version(connection)?),
            copies: CopyCount::default(),
            #[cfg(test)]
            planted: None,
        })
    }

    /// Whether nobody else committed since the last time. The transaction of the connection writes.
    pub(super) fn pass(&mut self, connection: &Connection, copies: CopyCount) -> rusqlite::Result<bool> {
        let sql = "SELECT value FROM meta WHERE key = ?1";
        let found: Option<String> = connection.prepare_cached(sql)?.query_row([KEY], |row| row.get(0)).optional()?;
        let is_own = found.as_ref() == Some(&self.word);
        let version = version(connection)?;
        let has_copied = copies != self.copies || copies.0 % 2 == 1;
        let stands = self.version == Some(version) || (self.version.is_some() && is_own && has_copied);
        if !is_own {
            let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";
            connection.prepare_cached(sql)?.execute([KEY, &self.word])?;
        }
        (self.version, self.copies) = (Some(version), copies);
        #[cfg(test)]
        let stands = stands || self.planted == Some(Planted::OldMemory);
        Ok(stands)
    }

    /// A transaction failed in a way that leaves it open whether it committed: the next one reads everything again.
    pub(super) fn forget(&mut self) {
        self.version = None;
    }
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}
