//! The demo from start to end: server, proxy, clients, tables.
//!
//! Starts the runtime that everything else here runs on. It listens on loopback addresses only.

use super::bookshop::Bookshop;
use super::directory;
use super::script;
use super::show;
use super::steps::Steps;
use crate::arguments::DemoArgs;
use crate::error::{CliError, EXIT_OK};
use crate::proxy::{Proxy, ProxyConfig};
use crate::recording::{KnownSchemas, known_schemas};
use mcplog::{Config, Store};
use mcplog_terminal::interrupt::outlive_terminal;
use mcplog_terminal::style::{DIM, HEADER};
use mcplog_terminal::units::{counted, elapsed};
use mcplog_terminal::view::View;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the proxy waits for the bookshop. Its stock report takes longer, so that there is a timeout to see.
const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(1);
/// How long open requests may go on at the end. A client that stays connected keeps one open for ever.
const DRAIN: Duration = Duration::from_millis(500);
/// How long the store may take to fold and to close.
const STORE_PATIENCE: Duration = Duration::from_secs(5);
/// The log of a demo is kept, up to this size, so that there is something to inspect.
const KEEP_SEGMENTS_BYTES: u64 = 64 * 1024 * 1024;
/// How long a new store's database may take to be there, and how often to look.
const MADE_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(5);

/// Runs the command.
pub(crate) fn run(args: &DemoArgs, view: &View, out: &mut dyn Write) -> Result<u8, CliError> {
    let start = Instant::now();
    outlive_terminal().map_err(failed("listen for signals"))?;
    // The clients' HTTP library comes without a TLS provider and wants one even for plain HTTP. An error says that one
    // is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    writeln!(out, "{HEADER}mcplog demo{HEADER:#}: an MCP server, five clients, and a recording proxy between them\n")?;
    out.flush()?;

    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => directory::fresh(&std::env::temp_dir())?,
    };
    let runtime = tokio::runtime::Runtime::new().map_err(failed("start the runtime"))?;
    runtime.block_on(record(&dir, start))?;
    runtime.shutdown_timeout(Duration::from_millis(100));

    let program = std::env::args().next().unwrap_or_else(|| "mcplog".to_owned());
    show::write_all(out, &dir, &program, view)?;
    out.flush()?;
    Ok(EXIT_OK)
}

/// What the store knows of schemas, when there is a database: the thread that folds makes it.
async fn known_schemas_once_made(dir: &Path) -> Result<KnownSchemas, CliError> {
    let until = Instant::now() + MADE_WITHIN;
    loop {
        match known_schemas(dir) {
            Err(_) if Instant::now() < until => tokio::time::sleep(LOOK).await,
            known => return Ok(known?),
        }
    }
}

/// Everything that is recorded: ends when it is folded and the store is closed.
async fn record(dir: &Path, start: Instant) -> Result<(), CliError> {
    let steps = Steps;
    let mut config = Config::new(dir);
    config.keep_segments_bytes = Some(KEEP_SEGMENTS_BYTES);
    config.program = Some("mcplog demo".to_owned());
    let store = Store::open(config).map_err(|error| CliError::Failed(error.to_string()))?;
    let bookshop = Bookshop::start().await.map_err(failed("start the demo's server"))?;
    steps.done("MCP server", &format!("{}  {DIM}a bookshop, on the Rust SDK{DIM:#}", bookshop.url()));

    let mut config = ProxyConfig::new(&bookshop.url()).map_err(|error| CliError::Failed(error.to_string()))?;
    config.name = "bookshop".to_owned();
    config.upstream_timeout = UPSTREAM_TIMEOUT;
    config.drain = DRAIN;
    // What an earlier demo in the same directory recorded of the server.
    let known = known_schemas_once_made(dir).await?;
    let proxy = Proxy::start(&config, store.recorder(), &known).await;
    let proxy = proxy.map_err(|error| CliError::Failed(format!("can't start the proxy: {error}")))?;
    let url = format!("http://{}/mcp", proxy.local_addr());
    steps.done("mcplog proxy", &format!("{url}  {DIM}what passes is recorded{DIM:#}"));

    let played = script::play(&url, &bookshop, &steps).await;
    // The proxy goes first: a client that is still connected then keeps its session open in the record.
    proxy.shutdown().await;
    bookshop.stop();
    let still_connected = played.map_err(CliError::Failed)?;
    drop(still_connected);

    store.wait_folded(STORE_PATIENCE).map_err(|error| CliError::Failed(format!("can't fold: {error}")))?;
    let report = store.shutdown(STORE_PATIENCE);
    let took = elapsed(start.elapsed());
    let events = counted(report.folded, "event");
    steps.done("store", &format!("{events} recorded and folded, {} lost  {DIM}{took} in all{DIM:#}", report.dropped));
    Ok(())
}

fn failed(what: &str) -> impl Fn(std::io::Error) -> CliError {
    move |error| CliError::Failed(format!("can't {what}: {error}"))
}
