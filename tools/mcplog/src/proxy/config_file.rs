//! The configuration file of `mcplog proxy`, read and checked. docs/configuration.md explains every key.
//!
//! Pure but for reading the file. What is absent stays absent: defaults and flags are [`super::config`]'s.

use super::config_limits::{
    CONNECTIONS, DATABASE_SIZES, DRAINS, KEEPS, LONGEST, MIN_FREES, SIZE_MAX, TIMEOUTS, parse_address, whole_ms,
};
use super::config_table::{ConfigFileError, Origin, Table};
use super::diagnostics::{FORMATS, LogFormat, parse_level};
use mcplog::config::{CHANNEL_EVENTS_MAX, LOG_SEGMENTS_MIN, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use mcplog::{Config, SyncPolicy};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Segments consist of whole pages.
const PAGE_BYTES: u64 = 4096;
/// What the library measures in.
const SHORTEST: Duration = Duration::from_millis(1);
/// Why a file can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("reading {}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Content(#[from] ConfigFileError),
}

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct ConfigFile {
    pub(super) listen: Option<String>,
    pub(super) drain: Option<Duration>,
    pub(super) head_timeout: Option<Duration>,
    pub(super) body_timeout: Option<Duration>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) max_connections: Option<usize>,
    pub(super) log_level: Option<String>,
    pub(super) log_format: Option<LogFormat>,
    pub(super) access_log: Option<PathBuf>,
    pub(super) admin: Option<String>,
    pub(super) upstream: Upstream,
    pub(super) store: StoreTable,
}

/// `[[upstream]]`.
#[derive(Debug, Default)]
pub(super) struct Upstream {
    pub(super) name: Option<String>,
    pub(super) url: Option<String>,
    pub(super) timeout: Option<Duration>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) rewrite_host: Option<bool>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) no_error_text: Option<bool>,
}

/// `[store]`. Where there are two `Option`s, the inner one is the limit, if there is one.
#[derive(Debug, Default)]
pub(super) struct StoreTable {
    pub(super) dir: Option<PathBuf>,
    pub(super) require_recording: Option<bool>,
    keep: Option<Option<Duration>>,
    max_size: Option<Option<u64>>,
    min_free: Option<u64>,
    session_idle: Option<Option<Duration>>,
    sync: Option<SyncPolicy>,
    sync_interval: Option<Duration>,
    segment_size: Option<u64>,
    segment_age: Option<Duration>,
    keep_segments_size: Option<Option<u64>>,
    keep_segments_age: Option<Option<Duration>>,
    max_log_size: Option<Option<u64>>,
    channel_events: Option<u64>,
    shutdown_timeout: Option<Duration>,
}

impl ConfigFile {
    /// Reads and checks a file.
    pub(super) fn read(path: &Path) -> Result<Self, ReadError> {
        let text = std::fs::read_to_string(path).map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
        Ok(Self::parse(path, &text)?)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigFileError> {
        let origin = Origin { path, text };
        let mut root = Table::of_file(origin)?;
        let upstream = upstream(root.tables("upstream", "[[upstream]]")?)?;
        let mut admin = root.table("admin", "[admin]")?;
        let file = Self {
            listen: address(&mut root)?,
            drain: root.duration("drain", DRAINS)?,
            head_timeout: root.duration("head_timeout", TIMEOUTS)?,
            body_timeout: root.duration("body_timeout", TIMEOUTS)?,
            idle_timeout: root.duration("idle_timeout", TIMEOUTS)?,
            max_connections: root.count("max_connections", CONNECTIONS)?.and_then(|count| usize::try_from(count).ok()),
            log_level: root.parsed("log_level", parse_level)?,
            log_format: root.word("log_format", &FORMATS)?,
            access_log: root.path("access_log")?.map(stdout_or_file),
            admin: address(&mut admin)?,
            upstream,
            store: store(root.table("store", "[store]")?)?,
        };
        admin.finish()?;
        root.finish()?;
        Ok(file)
    }
}

impl StoreTable {
    /// Writes what the table says into the store's settings, but for the directory.
    pub(super) fn apply(&self, config: &mut Config) {
        let set = |to: &mut u64, value: Option<u64>| *to = value.unwrap_or(*to);
        if let Some(keep) = self.keep {
            // 0 means no limit, here and below.
            config.keep_rows_age_ms = Some(keep.map_or(0, whole_ms));
        }
        if let Some(max_size) = self.max_size {
            config.database_bytes_max = Some(max_size.unwrap_or(0));
            config.limit_database_by_disk = false;
        }
        config.min_free_bytes = self.min_free.or(config.min_free_bytes);
        if let Some(session_idle) = self.session_idle {
            // 0 means never.
            config.session_idle_ms = Some(session_idle.map_or(0, whole_ms));
        }
        if let Some(sync) = self.sync {
            config.sync = sync;
        }
        set(&mut config.sync_interval_ms, self.sync_interval.map(whole_ms));
        set(&mut config.segment_bytes, self.segment_size);
        set(&mut config.segment_age_ms, self.segment_age.map(whole_ms));
        if let Some(size) = self.keep_segments_size {
            config.keep_segments_bytes = Some(size.unwrap_or(u64::MAX));
        }
        if let Some(age) = self.keep_segments_age {
            config.keep_segments_age_ms = Some(age.map_or(0, whole_ms));
        }
        // 0 means no limit.
        set(&mut config.max_log_bytes, self.max_log_size.map(|size| size.unwrap_or(0)));
        if let Some(events) = self.channel_events.and_then(|events| usize::try_from(events).ok()) {
            config.channel_events = events;
        }
        set(&mut config.shutdown_ms, self.shutdown_timeout.map(whole_ms));
    }
}

/// `-`, which is no file beside the configuration file, or the path.
fn stdout_or_file(path: PathBuf) -> PathBuf {
    if path.file_name().is_some_and(|name| name == "-") { PathBuf::from("-") } else { path }
}

fn address(table: &mut Table<'_>) -> Result<Option<String>, ConfigFileError> {
    table.parsed("listen", parse_address)
}

fn upstream(tables: Vec<Table<'_>>) -> Result<Upstream, ConfigFileError> {
    let mut tables = tables.into_iter();
    let Some(mut table) = tables.next() else { return Ok(Upstream::default()) };
    if let Some(second) = tables.next() {
        let problem = "a second [[upstream]]: several upstreams in one proxy are not served yet; start a proxy for each, \
                       with a `listen` and a [store] dir of its own";
        return Err(second.refuse(problem));
    }
    table.refuse_key("route", "routes are for several upstreams, which are not served yet; leave it out")?;
    let upstream = Upstream {
        name: table.text("name", "a name")?,
        url: table.text("url", "a URL, such as \"http://127.0.0.1:9000/mcp\"")?,
        timeout: table.duration("timeout", TIMEOUTS)?,
        connect_timeout: table.duration("connect_timeout", TIMEOUTS)?,
        rewrite_host: table.boolean("rewrite_host")?,
        ca_file: table.path("ca_file")?,
        no_error_text: table.boolean("no_error_text")?,
    };
    table.finish()?;
    Ok(upstream)
}

fn store(mut table: Table<'_>) -> Result<StoreTable, ConfigFileError> {
    const SYNC: [(&str, SyncPolicy); 3] =
        [("always", SyncPolicy::Always), ("interval", SyncPolicy::Interval), ("never", SyncPolicy::Never)];
    let segment_size = table.size("segment_size", SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX, PAGE_BYTES)?;
    let segment_bytes = segment_size.unwrap_or_else(|| Config::new("").segment_bytes);
    let read = StoreTable {
        dir: table.path("dir")?,
        require_recording: table.boolean("require_recording")?,
        keep: table.duration_limit("keep", KEEPS)?,
        max_size: table.size_limit("max_size", DATABASE_SIZES)?,
        min_free: table.size("min_free", MIN_FREES, 1)?,
        session_idle: table.duration_or("session_idle", "never", SHORTEST..=LONGEST)?,
        sync: table.word("sync", &SYNC)?,
        sync_interval: table.duration("sync_interval", SHORTEST..=Duration::from_secs(60))?,
        segment_size,
        segment_age: table.duration("segment_age", SHORTEST..=LONGEST)?,
        keep_segments_size: table.size_limit("keep_segments_size", 0..=SIZE_MAX)?,
        keep_segments_age: table.duration_limit("keep_segments_age", SHORTEST..=LONGEST)?,
        max_log_size: table.size_limit("max_log_size", LOG_SEGMENTS_MIN * segment_bytes..=SIZE_MAX)?,
        channel_events: table.count("channel_events", 1..=CHANNEL_EVENTS_MAX as u64)?,
        shutdown_timeout: table.duration("shutdown_timeout", SHORTEST..=Duration::from_secs(3600))?,
    };
    table.finish()?;
    Ok(read)
}

#[cfg(test)]
#[path = "config_file_tests.rs"]
mod tests;
