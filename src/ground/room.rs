//! Room to breathe: how much of its file system a store leaves to others, and how large its database gets by itself.
//!
//! Whoever fills a disk takes down its neighbours and, often, the way to mend it. So a store stops short of that. The log
//! stops first: no new segment is prepared where less than the reserve would be left; events then wait in the channel, and are
//! dropped and counted when that is full, as where the log may hold no more. Folding goes on into the first half of the
//! reserve and stops there. What is in the log by then is bounded, and a segment goes only once it is folded; but its rows
//! take more room than the segment gives back (about 190 bytes for 110), so folding alone frees nothing, and it may not eat
//! the whole reserve. Retiring and expiring always go on: they give room back. Rows do not expire for want of room: what
//! somebody else writes must not delete what was recorded.
//!
//! Looking costs one statvfs(2): for each segment that is prepared, and for each batch that is folded. A store opens without
//! a segment, and so folds and expires whatever is free.
//!
//! On the preparing thread, the compactor, and whoever asks for the limits. Nothing here writes.

use super::config::{Config, DATABASE_BYTES_MIN};
use super::limits::{Limit, Limits};
use crate::ground::sabotage::{self, Spot};
use std::fmt;
use std::path::{Path, PathBuf};

const MIB: u64 = 1024 * 1024;
/// The most that is left free where nobody says how much: enough for a system to log, to update itself, and for people to
/// look around.
const MIN_FREE_BYTES_MAX: u64 = 1024 * MIB;
/// The part of a file system that is left free where that is less: a twentieth, which ext4 keeps for root as well. On 10 GB
/// it is half a GiB, and a test's 64 MB still have room for a store.
const MIN_FREE_PARTS: u64 = 20;
/// The largest size of a database for which nobody says any limit: some fifty million requests.
const DATABASE_BYTES_MAX: u64 = 10 * 1024 * MIB;
/// The part of a file system that such a database takes at most where that is less.
const DATABASE_PARTS: u64 = 10;

/// What a file system has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DiskSpace {
    /// What is free for those who are not root, in bytes.
    pub(crate) free: u64,
    /// All of it, in bytes.
    pub(crate) total: u64,
}

/// What a store leaves free on its file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reserve {
    dir: PathBuf,
    /// In bytes; `None`: as much as is usual.
    told: Option<u64>,
}

/// Too little is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLittle {
    free: u64,
    reserve: u64,
}

impl Config {
    /// How many bytes the store's file system keeps free: [`Config::min_free_bytes`], or the usual part. 0 where the file
    /// system does not say how large it is. Looks at the file system.
    pub fn min_free(&self) -> u64 {
        self.min_free_bytes.unwrap_or_else(|| disk_space(&self.dir).map_or(0, usual_min_free))
    }

    /// How many bytes the database of a store may have that was never told: [`Config::database_bytes_max`], or, with
    /// [`Config::limit_database_by_disk`], a limit by the size of the file system. `None`: no limit. Looks at the file
    /// system.
    pub fn database_limit(&self) -> Option<u64> {
        let by_disk = || disk_space(&self.dir).map(|space| usual_database_limit(space, database_bytes(&self.dir)));
        match self.database_bytes_max {
            Some(told) => Some(told).filter(|told| *told != Limit::DatabaseBytes.unlimited()),
            None => self.limit_database_by_disk.then(by_disk).flatten(),
        }
    }

    /// The limits of a store of which the settings have these values where this configuration says nothing. A size that
    /// neither this configuration nor the store knows is the usual one, if that is wanted; nobody remembers that one.
    pub(crate) fn limits_over(&self, value: impl Fn(Limit) -> u64) -> Limits {
        let mut limits = Limits::of(|limit| self.told(limit).unwrap_or_else(|| value(limit)));
        limits.database_bytes_max = limits.database_bytes_max.or_else(|| self.database_limit());
        limits
    }

    /// The limits of a new store.
    pub(crate) fn limits(&self) -> Limits {
        self.limits_over(Limit::of_a_new_store)
    }
}

impl Reserve {
    pub(crate) fn new(config: &Config) -> Self {
        Self { dir: config.dir.clone(), told: config.min_free_bytes }
    }

    /// Whether a segment of that size may be added to the log.
    pub(crate) fn admits_segment(&self, bytes: u64) -> Result<(), TooLittle> {
        self.look(|reserve| reserve.saturating_add(bytes))
    }

    /// Whether records may be folded.
    pub(crate) fn admits_folding(&self) -> Result<(), TooLittle> {
        self.look(|reserve| reserve / 2)
    }

    /// Whether as much is free as `needed` makes of the reserve. A file system that does not tell is taken for large.
    fn look(&self, needed: impl FnOnce(u64) -> u64) -> Result<(), TooLittle> {
        if self.told == Some(0) {
            return Ok(());
        }
        let Some(space) = disk_space(&self.dir) else { return Ok(()) };
        let reserve = self.told.unwrap_or_else(|| usual_min_free(space));
        if space.free >= needed(reserve) { Ok(()) } else { Err(TooLittle { free: space.free, reserve }) }
    }
}

impl fmt::Display for TooLittle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (free, reserve) = (self.free / MIB, self.reserve.div_ceil(MIB));
        write!(f, "the disk has {free} MiB free, and {reserve} MiB are left to others (min_free)")
    }
}

impl std::error::Error for TooLittle {}

/// What is left free of a file system where nobody says how much.
fn usual_min_free(space: DiskSpace) -> u64 {
    MIN_FREE_BYTES_MAX.min(space.total / MIN_FREE_PARTS)
}

/// How large a database gets where nobody says how large. Never less than it is: a limit that nobody asked for deletes
/// nothing.
fn usual_database_limit(space: DiskSpace, database_bytes: u64) -> u64 {
    DATABASE_BYTES_MAX.min(space.total / DATABASE_PARTS).max(DATABASE_BYTES_MIN).max(database_bytes)
}

/// What the file system has on which that directory is, or will be. `None`: it does not say.
fn disk_space(dir: &Path) -> Option<DiskSpace> {
    let existing = dir.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let found = rustix::fs::statvfs(existing).ok()?;
    let total = found.f_blocks.saturating_mul(found.f_frsize);
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let free = if sabotage::at(Spot::DiskSpace, dir).is_ok() { free } else { 0 };
    (total > 0).then_some(DiskSpace { free, total })
}

/// The size of the database's file; 0 if there is none.
fn database_bytes(dir: &Path) -> u64 {
    std::fs::metadata(dir.join("store.db")).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1024 * MIB;

    #[test]
    fn what_is_left_free_and_what_a_database_takes_follow_the_size_of_the_disk() {
        for (total, min_free, database) in [
            (0, 0, MIB),
            (5 * MIB, MIB / 4, MIB),
            (64 * MIB, 64 * MIB / 20, 64 * MIB / 10),
            (10 * GIB, GIB / 2, GIB),
            (20 * GIB, GIB, 2 * GIB),
            (100 * GIB, GIB, 10 * GIB),
            (u64::MAX, GIB, 10 * GIB),
        ] {
            let space = DiskSpace { free: 0, total };
            assert_eq!(usual_min_free(space), min_free, "{total}");
            assert_eq!(usual_database_limit(space, 0), database, "{total}");
            assert_eq!(usual_database_limit(space, 50 * GIB), 50 * GIB, "nothing goes that nobody asked to let go");
        }
    }

    #[test]
    fn the_limits_that_are_told_count_and_the_usual_ones_where_none_is() {
        let dir = tempfile::tempdir().unwrap();
        // It does not have to exist yet.
        let mut config = Config::new(dir.path().join("a/b"));
        assert_eq!(config.database_limit(), None);
        config.limit_database_by_disk = true;
        let usual = config.database_limit().unwrap();
        assert!((DATABASE_BYTES_MIN..=DATABASE_BYTES_MAX).contains(&usual), "{usual}");
        assert!((1..=MIN_FREE_BYTES_MAX).contains(&config.min_free()), "{}", config.min_free());
        (config.database_bytes_max, config.min_free_bytes) = (Some(5 * MIB), Some(7));
        assert_eq!((config.database_limit(), config.min_free()), (Some(5 * MIB), 7));
    }

    #[test]
    fn the_log_stops_at_the_reserve_and_folding_at_half_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let free = disk_space(dir.path()).unwrap().free;
        // What is free changes meanwhile, by whatever else runs here.
        let slack = free / 4;
        for (told, segment, folding) in [
            (Some(0), true, true),
            (Some(free - slack), true, true),
            (Some(free + slack), false, true),
            (Some(2 * free + 2 * slack), false, false),
            (Some(u64::MAX), false, false),
        ] {
            let reserve = Reserve { dir: dir.path().to_owned(), told };
            assert_eq!(reserve.admits_segment(4096).is_ok(), segment, "{told:?}");
            assert_eq!(reserve.admits_folding().is_ok(), folding, "{told:?}");
        }
        let text = TooLittle { free: 5 * MIB + 1, reserve: GIB }.to_string();
        assert_eq!(text, "the disk has 5 MiB free, and 1024 MiB are left to others (min_free)");
    }
}
