//! What a proxy can be told, on the command line and in a TOML file.
//!
//! Pure but for reading the file. Flags win over the file; unknown keys in the file are refused, since a setting that is
//! silently ignored is worse than an error.

use super::upstream_url::{UpstreamError, UpstreamUrl};
use clap::Args;
use serde::{Deserialize, Deserializer};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LISTEN_DEFAULT: &str = "127.0.0.1:3000";
const DIR_DEFAULT: &str = "./mcplog-data";
const UPSTREAM_TIMEOUT_DEFAULT: Duration = Duration::from_secs(300);
const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
const DRAIN_DEFAULT: Duration = Duration::from_secs(5);
/// After how long without a request a session counts as over: 30 minutes, since many clients never close theirs. The
/// store itself has no default, because it is not only for live traffic.
const SESSION_IDLE_MS_DEFAULT: u64 = 30 * 60 * 1000;
/// No time limit may be longer; one that never ends is a mistake.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Put a recording proxy in front of an MCP server
///
/// Clients connect to the proxy instead of the server. Everything passes unchanged; what passes is recorded in DIR, where
/// `mcplog logs`, `sessions`, `stats` and `schema` show it, also while the proxy runs.
///
/// The proxy stands for the server's whole origin: a request keeps its path, so clients use the same path as before. The
/// path / stands for the path of the upstream's URL.
#[derive(Args, Clone, Debug, Default)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct ProxyArgs {
    /// The MCP server, such as http://127.0.0.1:9000/mcp
    ///
    /// http or https. A query is passed on with requests to / only, and is never recorded.
    #[arg(long, short, value_name = "URL")]
    pub(crate) upstream: Option<String>,

    /// Where clients connect [default: 127.0.0.1:3000]
    ///
    /// Port 0 takes any free one. An address other than loopback lets the whole network use the server: the proxy asks
    /// nobody for credentials, it only passes them on.
    #[arg(long, short, value_name = "ADDR")]
    pub(crate) listen: Option<String>,

    /// Where to record; created if missing, readable by its owner only [default: ./mcplog-data]
    #[arg(long, short, value_name = "DIR", env = "MCPLOG_DIR")]
    pub(crate) dir: Option<PathBuf>,

    /// The proxy's name in what it records [default: the upstream's host and port]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Read settings from a TOML file; flags win over it
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Where to serve /healthz and Prometheus /metrics [default: nowhere]
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<String>,

    /// How long the upstream may be silent while a request waits for its response [default: 5m]
    ///
    /// 10ms to 24h, with a unit: ms, s, m or h. The client then gets a 504, or the end of its stream. Streams that wait for
    /// nothing in particular (GET, subscriptions/listen) may be silent for ever.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) upstream_timeout: Option<Duration>,

    /// How long connecting to the upstream may take [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) connect_timeout: Option<Duration>,

    /// How long open requests may go on after Ctrl-C or SIGTERM [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) drain: Option<Duration>,

    /// Send the upstream's own name as Host, instead of the client's
    ///
    /// Public servers behind TLS need it. A local server is safer without: it defends itself against DNS rebinding with
    /// the Host that the client sent.
    #[arg(long)]
    pub(crate) rewrite_host: bool,

    /// Trust the certificates in this PEM file too, for an upstream with a private authority
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,

    /// Pass everything on and record nothing; there is no store then. To measure what recording costs.
    #[arg(long, hide = true)]
    pub(crate) no_record: bool,
}

const EXAMPLES: &str = "\
Examples:
  mcplog proxy --upstream http://127.0.0.1:9000/mcp
  mcplog proxy --upstream https://mcp.example.com/mcp --rewrite-host --listen 127.0.0.1:3001
  mcplog proxy --config proxy.toml --admin 127.0.0.1:9464

The database grows without limit, unless the [store] table of the file says how long requests are kept (keep_rows_age_ms,
in milliseconds) or how large store.db may get (database_bytes_max, in bytes).

A configuration file has the same settings, and those of the store:
  upstream = \"http://127.0.0.1:9000/mcp\"
  listen = \"127.0.0.1:3000\"
  name = \"files\"
  admin = \"127.0.0.1:9464\"
  upstream_timeout = \"5m\"
  connect_timeout = \"10s\"
  drain = \"5s\"
  rewrite_host = false
  ca_file = \"/etc/ssl/private-ca.pem\"

  [store]
  dir = \"./mcplog-data\"
  sync = \"interval\"         # always, interval or never
  sync_interval_ms = 100
  session_idle_ms = 1800000";

/// The file, as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    upstream: Option<String>,
    listen: Option<String>,
    name: Option<String>,
    admin: Option<String>,
    #[serde(default, deserialize_with = "duration")]
    upstream_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    connect_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    drain: Option<Duration>,
    rewrite_host: Option<bool>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    store: toml::Table,
}

/// What a proxy needs to run, checked.
#[derive(Clone, Debug)]
pub(crate) struct ProxyConfig {
    pub(crate) upstream: UpstreamUrl,
    /// An address to bind, such as `127.0.0.1:3000`.
    pub(crate) listen: String,
    /// The proxy's name in every row.
    pub(crate) name: String,
    /// The longest silence while a request waits.
    pub(crate) upstream_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    /// How long open requests may go on at shutdown.
    pub(crate) drain: Duration,
    pub(crate) rewrite_host: bool,
    pub(crate) ca_file: Option<PathBuf>,
    /// After how long without a request a derived session is over; 0 means never.
    pub(crate) session_idle_ms: u64,
}

impl ProxyConfig {
    /// A proxy on any free loopback port, with the defaults for everything else.
    pub(crate) fn new(upstream: &str) -> Result<Self, UpstreamError> {
        let upstream = UpstreamUrl::parse(upstream)?;
        Ok(Self {
            name: upstream.authority().to_owned(),
            upstream,
            listen: "127.0.0.1:0".to_owned(),
            upstream_timeout: UPSTREAM_TIMEOUT_DEFAULT,
            connect_timeout: CONNECT_TIMEOUT_DEFAULT,
            drain: DRAIN_DEFAULT,
            rewrite_host: false,
            ca_file: None,
            session_idle_ms: SESSION_IDLE_MS_DEFAULT,
        })
    }
}

/// Everything `mcplog proxy` was told.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) proxy: ProxyConfig,
    pub(super) admin: Option<String>,
    pub(super) store: mcplog::Config,
    pub(super) records: bool,
}

/// Why settings are not usable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("no upstream: say --upstream http://127.0.0.1:9000/mcp, or `upstream = ...` in the configuration file")]
    NoUpstream,
    #[error("an empty name")]
    EmptyName,
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("in {}", path.display())]
    Parse {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    #[error("in the [store] table of {}", path.display())]
    ParseStore {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error(transparent)]
    Store(#[from] mcplog::error::ConfigError),
}

impl Settings {
    /// Puts flags, file and defaults together.
    pub(super) fn resolve(args: ProxyArgs) -> Result<Self, SettingsError> {
        let file = match &args.config {
            Some(path) => read(path)?,
            None => ConfigFile::default(),
        };
        let upstream = args.upstream.or(file.upstream).ok_or(SettingsError::NoUpstream)?;
        let mut store = store_config(file.store, args.dir, args.config.as_deref().unwrap_or(Path::new("")))?;
        store.validate()?;
        let mut proxy = ProxyConfig::new(&upstream)?;
        proxy.listen = args.listen.or(file.listen).unwrap_or_else(|| LISTEN_DEFAULT.to_owned());
        if let Some(name) = args.name.or(file.name) {
            proxy.name = name;
        }
        if proxy.name.trim().is_empty() {
            return Err(SettingsError::EmptyName);
        }
        proxy.upstream_timeout = args.upstream_timeout.or(file.upstream_timeout).unwrap_or(proxy.upstream_timeout);
        proxy.connect_timeout = args.connect_timeout.or(file.connect_timeout).unwrap_or(proxy.connect_timeout);
        proxy.drain = args.drain.or(file.drain).unwrap_or(proxy.drain);
        proxy.rewrite_host = args.rewrite_host || file.rewrite_host.unwrap_or(false);
        proxy.ca_file = args.ca_file.or(file.ca_file);
        proxy.session_idle_ms = *store.session_idle_ms.get_or_insert(SESSION_IDLE_MS_DEFAULT);
        Ok(Self { proxy, admin: args.admin.or(file.admin), store, records: !args.no_record })
    }
}

fn read(path: &Path) -> Result<ConfigFile, SettingsError> {
    let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    toml::from_str(&text).map_err(|source| SettingsError::Parse { path: path.to_owned(), source: Box::new(source) })
}

/// The store's settings. The flag wins over the file's `dir`.
fn store_config(mut table: toml::Table, dir: Option<PathBuf>, path: &Path) -> Result<mcplog::Config, SettingsError> {
    if !table.contains_key("dir") {
        table.insert("dir".to_owned(), DIR_DEFAULT.into());
    }
    let mut config: mcplog::Config = table
        .try_into()
        .map_err(|source| SettingsError::ParseStore { path: path.to_owned(), source: Box::new(source) })?;
    if let Some(dir) = dir {
        config.dir = dir;
    }
    Ok(config)
}

/// Reads a duration such as `500ms`, `30s`, `5m` or `1h`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let expected = || format!("{text:?}: expected a number and a unit, such as 500ms, 30s, 5m or 1h");
    let digits = text.find(|character: char| !character.is_ascii_digit()).ok_or_else(expected)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| expected())?;
    let unit_ms = match unit.trim() {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return Err(expected()),
    };
    let duration = Duration::from_millis(number.saturating_mul(unit_ms));
    if duration < Duration::from_millis(10) || duration > DURATION_MAX {
        return Err(format!("{text:?}: expected 10ms to 24h"));
    }
    Ok(duration)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
