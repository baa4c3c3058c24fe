//! `mcplog proxy`: opens the store, runs the proxy until it is told to stop, and says what became of everything.
//!
//! The main thread; the runtime's threads serve. It must not record anything itself.

use super::config::{ProxyArgs, Settings, SettingsError};
use super::http::{Admin, Proxy, ProxyHandle, StartError, StoreNumbers, StoreStatus};
use super::known_schemas::KnownSchemas;
use mcplog::{ShutdownReport, Store};
use mcplog_observe::Nowhere;
use mcplog_terminal::shell::quoted;
use parking_lot::Mutex;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// How long the start waits for what an earlier run left in the log to be folded. Without it the proxy starts all the
/// same, and may record a schema again that has not changed.
const CATCH_UP: Duration = Duration::from_secs(5);
/// The exit code of a process that was told twice to stop, as shells have it for an interrupted one.
const EXIT_INTERRUPTED: i32 = 130;

/// Why the proxy does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Open(#[from] mcplog::error::OpenError),
    #[error("reading the schemas on record")]
    Schemas(#[from] mcplog::error::IndexError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("starting the runtime")]
    Runtime(#[source] io::Error),
    #[error("printing")]
    Print(#[source] io::Error),
}

/// Runs the proxy until Ctrl-C or SIGTERM. A second one ends the process at once.
pub(crate) fn run(args: ProxyArgs, out: &mut impl Write) -> Result<(), RunError> {
    log_to_stderr();
    let settings = Settings::resolve(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(RunError::Runtime)?;
    // The address first: a proxy that cannot listen should leave no store behind.
    let listener = runtime.block_on(Proxy::bind(&settings.proxy))?;
    let store = if settings.records { Some(Store::open(settings.store.clone())?) } else { None };
    let known = store.as_ref().map_or_else(|| Ok(KnownSchemas::default()), known_schemas)?;
    let recorder = store.as_ref().map(Store::recorder);
    // Whoever takes the store out shuts it down; until then the admin server asks it how it is.
    let store = Arc::new(Mutex::new(store));
    runtime.block_on(async {
        let mut signals = Signals::listen().map_err(RunError::Runtime)?;
        let proxy = match recorder {
            Some(recorder) => Proxy::start_on(listener, &settings.proxy, recorder, &known)?,
            None => Proxy::start_on(listener, &settings.proxy, Nowhere, &known)?,
        };
        let admin = match &settings.admin {
            Some(address) => Some(Admin::start(address, proxy.metrics(), status_of(store.clone())).await?),
            None => None,
        };
        greet(out, &settings, &proxy, admin.as_ref().map(|admin| admin.local_addr)).map_err(RunError::Print)?;
        signals.next().await;
        tokio::spawn(async move {
            signals.next().await;
            std::process::exit(EXIT_INTERRUPTED);
        });
        writeln!(out, "Stopping. Once more ends it at once.").and_then(|()| out.flush()).map_err(RunError::Print)?;
        proxy.shutdown().await;
        Ok::<(), RunError>(())
    })?;
    let taken = store.lock().take();
    if let Some(store) = taken {
        let report = store.shutdown(Duration::from_millis(settings.store.shutdown_ms));
        say_goodbye(out, &settings.store.dir, &report).map_err(RunError::Print)?;
    }
    Ok(())
}

/// Ctrl-C and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Diagnostics go to stderr, warnings and errors unless `RUST_LOG` asks for more.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    // Fails if somebody has set one up already, which is as good.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).try_init();
}

fn known_schemas(store: &Store) -> Result<KnownSchemas, RunError> {
    if let Err(error) = store.wait_folded(CATCH_UP) {
        tracing::warn!(%error, "what an earlier run left in the log is not folded yet");
    }
    Ok(KnownSchemas::read(store.dir())?)
}

fn status_of(store: Arc<Mutex<Option<Store>>>) -> StoreStatus {
    Arc::new(move || match &*store.lock() {
        Some(store) => store.stats().into(),
        None => StoreNumbers { trouble: Some("not recording".to_owned()), ..StoreNumbers::default() },
    })
}

fn greet(out: &mut impl Write, settings: &Settings, proxy: &ProxyHandle, admin: Option<SocketAddr>) -> io::Result<()> {
    let address = proxy.local_addr();
    let upstream = &settings.proxy.upstream;
    let dir = quoted(&settings.store.dir.display().to_string());
    writeln!(out, "mcplog is {}.", if settings.records { "recording" } else { "recording nothing" })?;
    writeln!(out, "  clients connect to  http://{address}{}", upstream.path())?;
    writeln!(out, "  upstream            {}  (proxy name: {})", upstream.recorded(), settings.proxy.name)?;
    if settings.records {
        writeln!(out, "  records in          {dir}")?;
    }
    if let Some(admin) = admin {
        writeln!(out, "  health, metrics     http://{admin}/healthz  http://{admin}/metrics")?;
    }
    if settings.records {
        writeln!(out, "  to look at it       mcplog logs --dir {dir}")?;
    }
    if !address.ip().is_loopback() {
        writeln!(out, "Anybody who reaches {address} can use the upstream: the proxy asks for no credentials.")?;
    }
    writeln!(out, "Ctrl-C stops it.")?;
    out.flush()
}

fn say_goodbye(out: &mut impl Write, dir: &Path, report: &ShutdownReport) -> io::Result<()> {
    writeln!(out, "Stopped. {} events appended, {} folded.", report.appended, report.folded)?;
    if report.dropped > 0 {
        writeln!(out, "{} events were lost: `mcplog stats` shows when.", report.dropped)?;
    }
    if report.left_in_log > 0 {
        let dir = quoted(&dir.display().to_string());
        writeln!(out, "{} are safe in {dir}/wal; the next start folds them.", report.left_in_log)?;
    }
    if !report.health.is_ok() {
        writeln!(out, "The store is {}.", report.health)?;
    }
    out.flush()
}
