//! What a store can be told: every limit with its unit and its reason.
//!
//! Pure data and validation, on the caller's thread. It must not touch the disk.

pub use super::limits::{
    DATABASE_BYTES_MIN, KEEP_ROWS_AGE_MS_MIN, Limits, SESSION_IDLE_MS_DEFAULT, SESSION_IDLE_MS_MAX,
};

use super::error::ConfigError;
use super::limits::Limit;
use super::position::PAYLOAD_BYTES_MAX;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// The smallest segment: below this, headers and rotation outweigh the frames.
pub const SEGMENT_BYTES_MIN: u64 = 64 * 1024;
/// The largest segment: frame offsets and sequence offsets are 32-bit numbers.
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// The most events the channel may be made for: so much memory it takes in a burst that fills it.
pub const CHANNEL_EVENTS_MAX: usize = 16 * 1024 * 1024;

/// The fewest segments for which a limited log has room: one that is folded, one that takes frames, and some between.
pub const LOG_SEGMENTS_MIN: u64 = 4;

/// When appended frames are forced to the disk.
///
/// A crash of the process loses nothing that was appended under any policy; the policy decides what a power cut may
/// take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncPolicy {
    /// As soon as anything was appended. Waiters share a sync (group commit).
    Always,
    /// Every [`Config::sync_interval_ms`] milliseconds, if anything was appended.
    Interval,
    /// When the system sees fit, at [`Store::flush`](crate::Store::flush) and at shutdown.
    Never,
}

/// How a [`Store`](crate::Store) is set up. Start from [`Config::new`] and change what you must.
///
/// Deserializes from TOML; every field but `dir` has a default, and unknown fields are refused:
///
/// ```
/// let config: mcplog::Config = toml::from_str(
///     r#"
///     dir = "./mcplog-data"
///     sync = "interval"
///     sync_interval_ms = 50
///     "#,
/// )?;
/// config.validate()?;
/// assert_eq!(config.sync_interval_ms, 50);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The store's directory, created with mode 0700 if it does not exist.
    pub dir: PathBuf,

    /// How many events may wait between the recording threads and the appender; 1 to [`CHANNEL_EVENTS_MAX`].
    ///
    /// It stands for memory: 256 bytes for each, divided into blocks of up to 32 KiB, which are taken as they are needed and
    /// kept for the next burst; half a MiB is taken at once. Each thread that records holds a
    /// block while it lives; so a process with more recording threads than blocks needs a larger channel. A typical
    /// request takes 190 bytes. The default, 262,144 (64 MiB, 2,048 blocks), holds a burst of 200,000 events even if
    /// the appender gets no processor meanwhile.
    #[serde(default = "defaults::channel_events")]
    pub channel_events: usize,

    /// How long `record` may wait for room in a full channel, in milliseconds. 0, the default, never waits: the newest
    /// event is dropped and counted. Proxies want 0; imports want more.
    #[serde(default)]
    pub record_wait_ms: u64,

    /// The largest size of a segment file in bytes; [`SEGMENT_BYTES_MIN`] to [`SEGMENT_BYTES_MAX`], a multiple of 4096.
    ///
    /// A log begins with a segment of 256 KiB, or of what its first event takes; each that fills up within two seconds is
    /// followed by one of four times its size, up to this. After a rest of ten seconds it is 256 KiB again. The default, 8
    /// MiB, keeps the two mapped segments of a busy writer (the active one and the next) within 16 MiB of memory, and is
    /// prepared in a few milliseconds. An event of more than half of this is refused.
    #[serde(default = "defaults::segment_bytes")]
    pub segment_bytes: u64,

    /// A segment that is older than this is sealed even if it is not full, in milliseconds, so that its space comes
    /// back on a quiet server too. Default: ten minutes.
    #[serde(default = "defaults::segment_age_ms")]
    pub segment_age_ms: u64,

    /// When appended frames are forced to the disk. Default: [`SyncPolicy::Interval`].
    #[serde(default = "defaults::sync")]
    pub sync: SyncPolicy,

    /// The interval of [`SyncPolicy::Interval`] in milliseconds; 1 to 60,000. Default: 100.
    #[serde(default = "defaults::sync_interval_ms")]
    pub sync_interval_ms: u64,

    /// How many bytes of folded segments are kept for rebuilding the database. 0 deletes a segment as soon as it is
    /// folded, `u64::MAX` keeps all.
    ///
    /// This, [`Config::keep_segments_age_ms`], [`Config::keep_rows_age_ms`], [`Config::database_bytes_max`] and
    /// [`Config::session_idle_ms`] are limits of the store, and not of the process: it remembers what it was told. Absent, the default, leaves a limit as the store was last told; a new store keeps no folded segment.
    #[serde(default)]
    pub keep_segments_bytes: Option<u64>,

    /// How long folded segments are kept, in milliseconds, as long as [`Config::keep_segments_bytes`] has room; 0: without
    /// limit. Absent: as the store was last told; a new store has no such limit.
    #[serde(default)]
    pub keep_segments_age_ms: Option<u64>,

    /// How many bytes of segments may wait to be folded; 0 for no limit, else at least [`LOG_SEGMENTS_MIN`] segments.
    /// Default: 4 GiB.
    ///
    /// At the limit no new segment is begun: events wait in the channel, and the newest are dropped and counted when it
    /// is full; what is not folded is never given up for them. It goes on by itself. Folded segments that are kept
    /// don't count, and neither does what is written again after a failed sync. What a shutdown drops at the limit is a
    /// gap in the room that the last segment keeps for that; where that segment can't be written, in one more.
    #[serde(default = "defaults::max_log_bytes")]
    pub max_log_bytes: u64,

    /// How long requests are kept in the database, in milliseconds, and with them everything else of their time:
    /// roll-ups, sessions that are over, old schema versions, gaps, the quarantine. At least [`KEEP_ROWS_AGE_MS_MIN`].
    /// They may stay up to a twenty-fourth longer. 0: for ever. Absent: as the store was last told; a new store keeps
    /// them for ever.
    #[serde(default)]
    pub keep_rows_age_ms: Option<u64>,

    /// How many bytes `store.db` may have; at least [`DATABASE_BYTES_MIN`]. Beyond it the oldest requests go, by whole
    /// minutes, with everything else of their time; the newest minute stays. SQLite's WAL beside it,
    /// `store.db-wal`, takes up to about 32 MiB more. 0: no limit. Absent: as the store was last told; a new store has
    /// no limit.
    ///
    /// The file of a database that was created without this and [`Config::keep_rows_age_ms`] does not get shorter: what
    /// comes takes the room of what went. [`rebuild`](crate::rebuild()) makes it one that does.
    #[serde(default)]
    pub database_bytes_max: Option<u64>,

    /// Whether a database for which no limit is told gets one by the size of its file system: the lesser of 10 GiB and a tenth
    /// of the file system, and never less than the database has already. Made at each opening;
    /// [`Config::database_limit`] tells it. `false`, the default: such a database grows without limit. A program that
    /// embeds a store decides that for its users, as `mcplog proxy` does.
    #[serde(default)]
    pub limit_database_by_disk: bool,

    /// How many bytes of its file system the store leaves free. Absent, the default: the lesser of 1 GiB and a twentieth
    /// of the file system; 0: none.
    ///
    /// With less, no new segment is begun: events wait in the channel, and the newest are dropped and counted when it is
    /// full. With less than half of it, folding waits too. Both go on by themselves.
    #[serde(default)]
    pub min_free_bytes: Option<u64>,

    /// After how long without a request a session counts as ended, in milliseconds; 0 means never. Many clients never
    /// close theirs. It then ended with its last request; one that speaks again goes on. Absent, the default, leaves the
    /// store as it was last told; in a new store it is [`SESSION_IDLE_MS_DEFAULT`].
    #[serde(default)]
    pub session_idle_ms: Option<u64>,

    /// Whether what is recorded happened earlier, in the order of its times, as in an import. What is too old then counts from
    /// the newest request on record instead of the clock, as it did when it happened, until
    /// [`Store::wait_expired`](crate::Store::wait_expired) is called. Otherwise events that are too old by the clock would
    /// come too late for the sums of a session that goes on. `false`, the default, for what is recorded as it happens.
    #[serde(default)]
    pub is_import: bool,

    /// What the store is told of who records, for people: `mcplog proxy`, say. Absent, the default: the name of the
    /// executable. What a process was called with is never told, since arguments may hold secrets.
    #[serde(default)]
    pub program: Option<String>,

    /// The version of that program. Absent, the default: the version of this library.
    #[serde(default)]
    pub program_version: Option<String>,

    /// How long dropping the store may take to drain and sync, in milliseconds. Default: 5,000.
    #[serde(default = "defaults::shutdown_ms")]
    pub shutdown_ms: u64,
}

mod defaults {
    use super::SyncPolicy;

    pub(super) fn channel_events() -> usize {
        262_144
    }
    pub(super) fn segment_bytes() -> u64 {
        8 * 1024 * 1024
    }
    pub(super) fn segment_age_ms() -> u64 {
        10 * 60 * 1000
    }
    pub(super) fn sync() -> SyncPolicy {
        SyncPolicy::Interval
    }
    pub(super) fn sync_interval_ms() -> u64 {
        100
    }
    pub(super) fn max_log_bytes() -> u64 {
        4 * 1024 * 1024 * 1024
    }
    pub(super) fn shutdown_ms() -> u64 {
        5_000
    }
}

impl Config {
    /// The defaults, for a store in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            channel_events: defaults::channel_events(),
            record_wait_ms: 0,
            segment_bytes: defaults::segment_bytes(),
            segment_age_ms: defaults::segment_age_ms(),
            sync: defaults::sync(),
            sync_interval_ms: defaults::sync_interval_ms(),
            keep_segments_bytes: None,
            keep_segments_age_ms: None,
            max_log_bytes: defaults::max_log_bytes(),
            keep_rows_age_ms: None,
            database_bytes_max: None,
            limit_database_by_disk: false,
            min_free_bytes: None,
            session_idle_ms: None,
            is_import: false,
            program: None,
            program_version: None,
            shutdown_ms: defaults::shutdown_ms(),
        }
    }

    /// Checks every limit. [`Store::open`](crate::Store::open) calls it too.
    ///
    /// # Errors
    /// The first field that is out of its range, with the range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.dir.as_os_str().is_empty() {
            return Err(ConfigError { field: "dir", found: "an empty path".into(), expected: "a directory".into() });
        }
        in_range("channel_events", self.channel_events as u64, 1, CHANNEL_EVENTS_MAX as u64)?;
        in_range("segment_bytes", self.segment_bytes, SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)?;
        if !self.segment_bytes.is_multiple_of(4096) {
            return Err(ConfigError {
                field: "segment_bytes",
                found: self.segment_bytes.to_string(),
                expected: "a multiple of 4096".into(),
            });
        }
        if self.max_log_bytes > 0 {
            in_range("max_log_bytes", self.max_log_bytes, LOG_SEGMENTS_MIN * self.segment_bytes, u64::MAX)?;
        }
        in_range("segment_age_ms", self.segment_age_ms, 1, i64::MAX as u64)?;
        in_range("sync_interval_ms", self.sync_interval_ms, 1, 60_000)?;
        in_range("record_wait_ms", self.record_wait_ms, 0, 3_600_000)?;
        for limit in Limit::EACH {
            let Some(found) = self.told(limit).filter(|told| !limit.allows(*told)) else { continue };
            let (range, unlimited) = (limit.range(), limit.unlimited());
            return Err(ConfigError {
                field: limit.key(),
                found: found.to_string(),
                expected: format!("{} to {}, or {unlimited} for no limit", range.start(), range.end()),
            });
        }
        in_range("min_free_bytes", self.min_free_bytes.unwrap_or(0), 0, i64::MAX as u64)?;
        in_range("shutdown_ms", self.shutdown_ms, 1, 3_600_000)
    }

    /// What is said of one of the store's limits.
    pub(crate) fn told(&self, limit: Limit) -> Option<u64> {
        match limit {
            Limit::RowsAge => self.keep_rows_age_ms,
            Limit::DatabaseBytes => self.database_bytes_max,
            Limit::SegmentsBytes => self.keep_segments_bytes,
            Limit::SegmentsAge => self.keep_segments_age_ms,
            Limit::SessionIdle => self.session_idle_ms,
        }
    }

    /// Says that of one of the store's limits, if nothing is said of it.
    pub(crate) fn tell_if_untold(&mut self, limit: Limit, value: u64) {
        let setting = match limit {
            Limit::RowsAge => &mut self.keep_rows_age_ms,
            Limit::DatabaseBytes => &mut self.database_bytes_max,
            Limit::SegmentsBytes => &mut self.keep_segments_bytes,
            Limit::SegmentsAge => &mut self.keep_segments_age_ms,
            Limit::SessionIdle => &mut self.session_idle_ms,
        };
        setting.get_or_insert(value);
    }

    pub(crate) fn wal_dir(&self) -> PathBuf {
        self.dir.join("wal")
    }

    pub(crate) fn kept_dir(&self) -> PathBuf {
        self.dir.join("kept")
    }

    pub(crate) fn quarantine_dir(&self) -> PathBuf {
        self.dir.join("quarantine")
    }

    pub(crate) fn segment_bytes_u32(&self) -> u32 {
        u32::try_from(self.segment_bytes).unwrap_or(u32::MAX)
    }

    /// The largest event, packed for the channel: half a segment. A record takes hardly more bytes than that, so it
    /// always fits into an empty segment, and into the format's limit.
    pub(crate) fn event_bytes_max(&self) -> usize {
        (self.segment_bytes_u32() / 2).min(PAYLOAD_BYTES_MAX / 2) as usize
    }

    pub(crate) fn sync_interval(&self) -> Duration {
        Duration::from_millis(self.sync_interval_ms)
    }
}

fn in_range(field: &'static str, found: u64, min: u64, max: u64) -> Result<(), ConfigError> {
    if (min..=max).contains(&found) {
        return Ok(());
    }
    Err(ConfigError { field, found: found.to_string(), expected: format!("{min} to {max}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        Config::new("x").validate().unwrap();
    }

    #[test]
    fn every_limit_is_checked_on_both_sides() {
        type Set = fn(&mut Config, u64);
        let cases: &[(&str, Set, &[u64], &[u64])] = &[
            (
                "channel_events",
                |c, v| c.channel_events = usize::try_from(v).unwrap(),
                &[0, 16_777_217],
                &[1, 16_777_216],
            ),
            ("segment_bytes", |c, v| c.segment_bytes = v, &[0, 65_535, 65_537, (1 << 30) + 4096], &[65_536, 1 << 30]),
            ("max_log_bytes", |c, v| c.max_log_bytes = v, &[1, (32 << 20) - 1], &[0, 32 << 20, u64::MAX]),
            ("segment_age_ms", |c, v| c.segment_age_ms = v, &[0, u64::MAX], &[1]),
            ("sync_interval_ms", |c, v| c.sync_interval_ms = v, &[0, 60_001], &[1, 60_000]),
            ("record_wait_ms", |c, v| c.record_wait_ms = v, &[3_600_001], &[0, 3_600_000]),
            ("keep_rows_age_ms", |c, v| c.keep_rows_age_ms = Some(v), &[1, 59_999, u64::MAX], &[0, 60_000]),
            ("database_bytes_max", |c, v| c.database_bytes_max = Some(v), &[1, 1_048_575, u64::MAX], &[0, 1_048_576]),
            ("keep_segments_bytes", |c, v| c.keep_segments_bytes = Some(v), &[], &[0, 1, u64::MAX]),
            ("keep_segments_age_ms", |c, v| c.keep_segments_age_ms = Some(v), &[u64::MAX], &[0, 1]),
            ("min_free_bytes", |c, v| c.min_free_bytes = Some(v), &[1 << 63, u64::MAX], &[0, 1, i64::MAX as u64]),
            ("session_idle_ms", |c, v| c.session_idle_ms = Some(v), &[u64::MAX], &[0, SESSION_IDLE_MS_MAX]),
            ("shutdown_ms", |c, v| c.shutdown_ms = v, &[0, 3_600_001], &[1, 3_600_000]),
        ];
        for (field, set, bad, good) in cases {
            for value in *bad {
                let mut config = Config::new("x");
                set(&mut config, *value);
                assert_eq!(config.validate().unwrap_err().field, *field, "{field} = {value}");
            }
            for value in *good {
                let mut config = Config::new("x");
                set(&mut config, *value);
                config.validate().unwrap_or_else(|e| panic!("{field} = {value}: {e}"));
            }
        }
    }

    #[test]
    fn toml_defaults_equal_new_and_unknown_fields_are_refused() {
        let config: Config = toml::from_str("dir = 'x'").unwrap();
        assert_eq!(config, Config::new("x"));
        assert!(toml::from_str::<Config>("dir = 'x'\nsegmnt_bytes = 1").is_err());
    }
}
