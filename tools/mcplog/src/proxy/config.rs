//! What a proxy can be told: its flags, and what flags, file and defaults come to together.
//!
//! Pure but for reading the file and the environment. Flags win over the environment, that over the file, the file over the
//! defaults.

use super::access_log::AccessTarget;
use super::config_file::{ConfigFile, ReadError};
use super::config_limits::{
    parse_address, parse_connections, parse_database_size, parse_drain, parse_keep, parse_min_free, parse_timeout,
};
use super::diagnostics::{LEVEL_DEFAULT, LogFormat, level_of_environment, parse_level};
use super::http::ClientLimits;
use super::upstream_url::{UpstreamError, UpstreamUrl};
use clap::Args;
use mcplog::config::SESSION_IDLE_MS_DEFAULT;
use mcplog::{DefaultDir, NoDefaultDir};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LISTEN_DEFAULT: &str = "127.0.0.1:3000";
const UPSTREAM_TIMEOUT_DEFAULT: Duration = Duration::from_secs(300);
const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
const DRAIN_DEFAULT: Duration = Duration::from_secs(5);
const HEAD_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
const BODY_TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
const IDLE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(300);

/// Put a recording proxy in front of an MCP server
///
/// Clients connect to the proxy instead of the server. Everything passes; what passes is recorded in DIR, where
/// `mcplog logs`, `sessions`, `stats` and `schema` show it, also while the proxy runs.
///
/// Bodies pass byte for byte, header fields with their names as they were written and in their order. Of fields, this alone
/// is normalised: those of one name stand together, where the first of them was; spaces around a value go, and the case of
/// names in trailers. Connection, Keep-Alive, TE, Transfer-Encoding, Upgrade and Proxy-* are each connection's own. In
/// Accept-Encoding, codings that can't be read are left out; Location and Content-Location lead back through the proxy.
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
    #[arg(long, short, value_name = "ADDR", value_parser = parse_address)]
    pub(crate) listen: Option<String>,

    /// Where to record; created if missing, readable by its owner only
    ///
    /// Without it, MCPLOG_DIR of the environment says where, else the configuration file, else it is the directory where
    /// every command looks: mcplog in $XDG_DATA_HOME or ~/.local/share (on macOS, in ~/Library/Application Support).
    #[arg(long, short, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,

    /// The proxy's name in what it records [default: the upstream's host and port]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Read settings from a TOML file; flags win over it
    ///
    /// docs/configuration.md explains every key.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Where to serve /livez, /readyz, /healthz and Prometheus /metrics [default: nowhere]
    ///
    /// /livez says whether the proxy serves, /readyz whether it records, /healthz whether the store is well; docs/operating.md
    /// has more.
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub(crate) admin: Option<String>,

    /// How long the upstream may be silent while a request waits for its response [default: 5m]
    ///
    /// 10ms to 1d, with a unit. The client then gets a 504, or the end of its stream. Streams that wait for
    /// nothing in particular (GET, subscriptions/listen) may be silent for ever.
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    pub(crate) upstream_timeout: Option<Duration>,

    /// How long connecting to the upstream may take [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    pub(crate) connect_timeout: Option<Duration>,

    /// How long open requests may go on after Ctrl-C or SIGTERM [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = parse_drain)]
    pub(crate) drain: Option<Duration>,

    /// How long a client may take to send the head of a request [default: 30s]
    ///
    /// From its first byte; for the first request, from the connection's beginning. The client then gets a 408.
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    pub(crate) head_timeout: Option<Duration>,

    /// How long a client may take between two parts of a request's body [default: 1m]
    ///
    /// Counted only while the upstream is ready for more. The client then gets a 408, and the request a row.
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    pub(crate) body_timeout: Option<Duration>,

    /// How long a client's connection may stay open between two requests [default: 5m]
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    pub(crate) idle_timeout: Option<Duration>,

    /// How many clients may be connected at once [default: half of the file descriptors that the process may have]
    ///
    /// Each takes two, its own and one to the upstream. Those beyond get a 503.
    #[arg(long, value_name = "N", value_parser = parse_connections)]
    pub(crate) max_connections: Option<usize>,

    /// Send the upstream's own name as Host, instead of the client's
    ///
    /// Public servers behind TLS need it. A local server is safer without: it defends itself against DNS rebinding with
    /// the Host that the client sent.
    #[arg(long)]
    pub(crate) rewrite_host: bool,

    /// Trust the certificates in this PEM file too, for an upstream with a private authority
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,

    /// What is said on standard error: a level, or levels of targets, such as warn,mcplog::index=debug [default: warn]
    ///
    /// off, error, warn, info, debug or trace; docs/operating.md lists the targets. RUST_LOG says the same where this flag
    /// does not.
    #[arg(long, value_name = "LEVEL", value_parser = parse_level)]
    pub(crate) log_level: Option<String>,

    /// How it is said, and the access log: text, or json, one object a line [default: text]
    #[arg(long, value_name = "FORMAT", value_enum, hide_possible_values = true)]
    pub(crate) log_format: Option<LogFormat>,

    /// Write a line for each call into this file; - for standard output [default: nowhere]
    ///
    /// Method, tool, client, status, outcome and latency, never payload. SIGHUP opens the file anew, after somebody moved it.
    /// It holds up nothing: lines that are not written in time are left out, and told.
    #[arg(long, value_name = "FILE|-")]
    pub(crate) access_log: Option<PathBuf>,

    /// Do not record with which words a server or a tool failed
    ///
    /// Without it, the message of a JSON-RPC error and the text of a result that says isError are kept, the first 512
    /// characters of each; they may repeat what was asked for. That a call failed, and its error's code, are recorded in
    /// any case. SIGHUP takes a change over.
    #[arg(long)]
    pub(crate) no_error_text: bool,

    /// Let requests go that are older than this, such as 30d; or unlimited
    ///
    /// The store remembers it, for all who open it later. Without this flag it goes by what it was last told; a new store
    /// keeps all.
    #[arg(long, value_name = "TIME", value_parser = parse_keep)]
    pub(crate) keep: Option<u64>,

    /// Let the oldest requests go where the database would get larger, such as 2GiB; or unlimited
    ///
    /// Remembered as --keep is. A store that was never told: 10GiB or a tenth of the disk, whichever is less, and never less
    /// than the database has already.
    #[arg(long, value_name = "SIZE", value_parser = parse_database_size)]
    pub(crate) max_size: Option<u64>,

    /// Leave so much of the disk free [default: 1GiB, or a twentieth of the disk]
    ///
    /// By default, whichever is less. With less, what comes is not recorded, but counted, and passes all the same; 0 fills the
    /// disk.
    #[arg(long, value_name = "SIZE", value_parser = parse_min_free)]
    pub(crate) min_free: Option<u64>,

    /// Do not start where nothing can be recorded
    ///
    /// Without it the proxy serves all the same, says that it is not recording, and tries again until it is. Once it has
    /// started, trouble with the store never ends it.
    #[arg(long)]
    pub(crate) require_recording: bool,

    /// Pass everything on and record nothing; there is no store then. To measure what recording costs.
    #[arg(long, hide = true)]
    pub(crate) no_record: bool,
}

const EXAMPLES: &str = "\
Examples:
  mcplog proxy --upstream http://127.0.0.1:9000/mcp
  mcplog proxy --upstream https://mcp.example.com/mcp --rewrite-host
  mcplog proxy --config proxy.toml --admin 127.0.0.1:9464
  mcplog proxy --upstream http://127.0.0.1:9000/mcp --keep 30d --max-size 2GiB

The oldest requests go by age (--keep) and where the database gets too large
(--max-size). The start tells how large it may get, and what is left free.

The proxy serves even where it can't record: it says so, and records as soon as
it can. Ctrl-C and SIGTERM let open requests end, a second one ends it at once;
SIGHUP reads the settings again.

A configuration file has the same settings, and more of the store's; its paths
are relative to itself. But for name, url, dir and [admin], these are the
defaults; docs/configuration.md has every key:
  listen = \"127.0.0.1:3000\"
  drain = \"5s\"
  head_timeout = \"30s\"
  body_timeout = \"1m\"
  idle_timeout = \"5m\"

  [[upstream]]
  name = \"files\"
  url = \"http://127.0.0.1:9000/mcp\"
  timeout = \"5m\"
  connect_timeout = \"10s\"
  rewrite_host = false

  [admin]
  listen = \"127.0.0.1:9464\"

  [store]
  dir = \"./data\"
  sync = \"interval\"          # always, interval or never
  sync_interval = \"100ms\"
  session_idle = \"30m\"";

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
    /// How long a client may take for heads, and between requests.
    pub(crate) client_limits: ClientLimits,
    /// How long a client may take between two parts of a body.
    pub(crate) body_timeout: Duration,
    /// How many clients may be connected at once; without it, as many as there are descriptors for.
    pub(crate) max_connections: Option<usize>,
    pub(crate) rewrite_host: bool,
    pub(crate) ca_file: Option<PathBuf>,
    /// Whether rows say with which words a server or a tool failed.
    pub(crate) keeps_error_text: bool,
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
            client_limits: ClientLimits { head: HEAD_TIMEOUT_DEFAULT, idle: IDLE_TIMEOUT_DEFAULT },
            body_timeout: BODY_TIMEOUT_DEFAULT,
            max_connections: None,
            rewrite_host: false,
            ca_file: None,
            keeps_error_text: true,
            session_idle_ms: SESSION_IDLE_MS_DEFAULT,
        })
    }
}

/// What is said, how, and where.
#[derive(Clone, Debug)]
pub(super) struct LogSettings {
    /// A filter that was [read](parse_level).
    pub(super) level: String,
    pub(super) format: LogFormat,
    pub(super) access: Option<AccessTarget>,
}

impl LogSettings {
    /// Whether standard output is the access log's.
    pub(super) fn access_is_stdout(&self) -> bool {
        self.access == Some(AccessTarget::Stdout)
    }
}

/// Everything `mcplog proxy` was told.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) proxy: ProxyConfig,
    pub(super) admin: Option<String>,
    pub(super) log: LogSettings,
    pub(super) store: mcplog::Config,
    pub(super) records: bool,
    /// Whether a proxy that can't record must not start.
    pub(super) require_recording: bool,
    /// The store is where every command looks for one.
    pub(super) is_default_dir: bool,
}

/// Why settings are not usable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error(
        "no upstream: say --upstream http://127.0.0.1:9000/mcp, or `url` in an [[upstream]] table of the configuration \
         file"
    )]
    NoUpstream,
    #[error("an empty name")]
    EmptyName,
    #[error(transparent)]
    File(#[from] ReadError),
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error(transparent)]
    Store(#[from] mcplog::error::ConfigError),
    #[error("{0}; or say --dir, or `dir` in [store] of the configuration file")]
    NoDir(NoDefaultDir),
}

impl Settings {
    /// Puts flags, environment, file and defaults together.
    pub(super) fn resolve(args: ProxyArgs) -> Result<Self, SettingsError> {
        Self::resolve_beside(args, mcplog::default_dir())
    }

    /// The same in an environment that says so of stores.
    fn resolve_beside(args: ProxyArgs, default: Result<DefaultDir, NoDefaultDir>) -> Result<Self, SettingsError> {
        let file = match &args.config {
            Some(path) => ConfigFile::read(path)?,
            None => ConfigFile::default(),
        };
        let upstream = file.upstream;
        let mut proxy = ProxyConfig::new(&args.upstream.or(upstream.url).ok_or(SettingsError::NoUpstream)?)?;
        proxy.listen = args.listen.or(file.listen).unwrap_or_else(|| LISTEN_DEFAULT.to_owned());
        proxy.name = args.name.or(upstream.name).unwrap_or(proxy.name);
        if proxy.name.trim().is_empty() {
            return Err(SettingsError::EmptyName);
        }
        proxy.upstream_timeout = args.upstream_timeout.or(upstream.timeout).unwrap_or(proxy.upstream_timeout);
        proxy.connect_timeout = args.connect_timeout.or(upstream.connect_timeout).unwrap_or(proxy.connect_timeout);
        proxy.drain = args.drain.or(file.drain).unwrap_or(proxy.drain);
        let limits = &mut proxy.client_limits;
        limits.head = args.head_timeout.or(file.head_timeout).unwrap_or(limits.head);
        limits.idle = args.idle_timeout.or(file.idle_timeout).unwrap_or(limits.idle);
        proxy.body_timeout = args.body_timeout.or(file.body_timeout).unwrap_or(proxy.body_timeout);
        proxy.max_connections = args.max_connections.or(file.max_connections);
        proxy.rewrite_host = args.rewrite_host || upstream.rewrite_host.unwrap_or(false);
        proxy.ca_file = args.ca_file.or(upstream.ca_file);
        proxy.keeps_error_text = !(args.no_error_text || upstream.no_error_text.unwrap_or(false));

        let of_environment = |default: &DefaultDir| default.variable == mcplog::DIR_VARIABLE;
        let default_path = default.as_ref().ok().map(|default| default.path.clone());
        let dir = match (args.dir, default, file.store.dir.clone()) {
            (Some(flag), ..) => flag,
            (None, Ok(default), None) => default.path,
            (None, Ok(default), Some(_)) if of_environment(&default) => default.path,
            (None, _, Some(file)) => file,
            // Where nothing is recorded, the store is nowhere.
            (None, Err(_), None) if args.no_record => PathBuf::from("."),
            (None, Err(error), None) => return Err(SettingsError::NoDir(error)),
        };
        let is_default_dir = default_path.is_some_and(|default| default == dir);
        let mut store = mcplog::Config::new(dir);
        store.session_idle_ms = Some(SESSION_IDLE_MS_DEFAULT);
        store.limit_database_by_disk = true;
        file.store.apply(&mut store);
        store.keep_rows_age_ms = args.keep.or(store.keep_rows_age_ms);
        if args.max_size.is_some() {
            store.database_bytes_max = args.max_size;
            store.limit_database_by_disk = false;
        }
        store.min_free_bytes = args.min_free.or(store.min_free_bytes);
        store.validate()?;
        proxy.session_idle_ms = store.session_idle_ms.unwrap_or(SESSION_IDLE_MS_DEFAULT);
        Ok(Self {
            proxy,
            admin: args.admin.or(file.admin),
            log: LogSettings {
                level: args
                    .log_level
                    .or_else(level_of_environment)
                    .or(file.log_level)
                    .unwrap_or_else(|| LEVEL_DEFAULT.to_owned()),
                format: args.log_format.or(file.log_format).unwrap_or_default(),
                access: args.access_log.or(file.access_log).map(AccessTarget::of),
            },
            store,
            records: !args.no_record,
            require_recording: args.require_recording || file.store.require_recording.unwrap_or(false),
            is_default_dir,
        })
    }
}

/// What a proxy's configuration file says of its store, for the one in `dir`.
pub(crate) fn store_settings(path: &Path, dir: &Path) -> Result<mcplog::Config, SettingsError> {
    let mut store = mcplog::Config::new(dir);
    store.limit_database_by_disk = true;
    ConfigFile::read(path)?.store.apply(&mut store);
    store.validate()?;
    Ok(store)
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
