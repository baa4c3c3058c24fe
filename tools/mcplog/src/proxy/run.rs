//! `mcplog proxy`: takes its addresses, serves, records as soon as there is a store, and ends in good order.
//!
//! The main thread; the runtime's threads serve, and a thread of its own has the store. It must not record anything itself,
//! and nothing that it says may decide anything: it shuts down first and talks then.

use super::access_log::{AccessLog, AccessTarget, Accessed};
use super::config::{ProxyArgs, Settings, SettingsError};
use super::diagnostics::LogFormat;
use super::greeting::{farewell, greeting};
use super::http::{Admin, Liveness, Proxy, ProxyHandle, Sources, StartError};
use super::reload::wants_restart;
use super::signals::{Signals, Wish};
use super::store_limits;
use super::talk::Talk;
use crate::recording::{Board, Ending, KnownSchemas, Learners, NotRecording, StoreKeeper, StoreNumbers, Switch};
use mcplog_observe::{Nowhere, Sink};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long clients wait at the start for a store that is being opened, and neither open nor refused: a sound one takes some
/// 30 ms, on a busy disk a second, and the first requests should be on record. Then they are served without.
const START_PATIENCE: Duration = Duration::from_secs(5);
/// The exit code of a process that was told twice to stop, as shells have it for an interrupted one.
const EXIT_INTERRUPTED: i32 = 130;

/// Why the proxy does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("not recording, and --require-recording says that this is no start")]
    NotRecording(#[source] Box<NotRecording>),
    #[error("starting the runtime")]
    Runtime(#[source] io::Error),
    #[error("starting a thread")]
    Thread(#[source] io::Error),
    #[error("opening the access log {}", path.display())]
    AccessLog {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("listening for signals")]
    Signals(#[source] io::Error),
}

impl From<NotRecording> for RunError {
    fn from(reason: NotRecording) -> Self {
        Self::NotRecording(Box::new(reason))
    }
}

/// Why the proxy does not run, and how that is to be said: as all that it says.
#[derive(Debug)]
pub(crate) struct NotRun {
    pub(crate) error: RunError,
    pub(crate) format: LogFormat,
}

/// Runs the proxy until Ctrl-C or SIGTERM. A second one ends the process at once.
pub(crate) fn run(args: ProxyArgs) -> Result<(), NotRun> {
    // What the file says is known with the settings only.
    let format = args.log_format.unwrap_or_default();
    let settings = Settings::resolve(args.clone()).map_err(|error| NotRun { error: error.into(), format })?;
    let format = settings.log.format;
    let talk = Talk::start(&settings.log).map_err(|error| NotRun { error: RunError::Thread(error), format })?;
    let result = serve(args, settings, &talk);
    talk.end();
    result.map_err(|error| NotRun { error, format })
}

fn serve(args: ProxyArgs, settings: Settings, talk: &Talk) -> Result<(), RunError> {
    let access_log = settings.log.access.as_ref().map(|target| open_access_log(target, &settings)).transpose()?;
    let mut signals = signals(talk)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(RunError::Runtime)?;
    // All that can fail before the store: a proxy that can't serve should leave none behind.
    let listener = runtime.block_on(Proxy::bind(&settings.proxy))?;
    let admin_listener = settings.admin.as_deref().map(Admin::bind).transpose()?;
    let _within = runtime.enter();
    let switch = Arc::new(Switch::new());
    let mut sink: Arc<dyn Sink> = if settings.records { switch.clone() } else { Arc::new(Nowhere) };
    if let Some(log) = access_log.clone() {
        sink = Arc::new(Accessed { sink, log });
    }
    let proxy = Proxy::prepare(listener, &settings.proxy, sink)?;
    let learners = Learners {
        schemas: Box::new(proxy.learner()),
        sessions: Some(Box::new(proxy.session_learner())),
        numbers: Box::new(|_| {}),
    };
    let serving = Serving { runtime: runtime.handle().clone(), accepts: Arc::default() };
    let metrics = proxy.metrics();
    let mut keeper = match settings.records {
        true => Some(
            StoreKeeper::start(
                settings.store.clone(),
                switch,
                settings.require_recording,
                &settings.proxy.name,
                learners,
            )
            .map_err(RunError::Thread)?,
        ),
        false => {
            (learners.schemas)(Some(KnownSchemas::default()));
            None
        }
    };
    let board = keeper.as_ref().map(StoreKeeper::board);
    let admin = admin_listener
        .map(|listener| {
            let sources = Sources { metrics, store: numbers_of(board.clone()), liveness: serving.liveness() };
            Admin::start(listener, sources)
        })
        .transpose();
    let start_up = async {
        let admin = admin?;
        if let Some(keeper) = &mut keeper {
            first_try(keeper, &settings, &mut signals).await?;
        }
        Ok::<_, RunError>(admin)
    };
    let ending = match runtime.block_on(start_up) {
        Ok(admin) => {
            let mut proxy = proxy.serve();
            serving.began(&proxy);
            let store = board.as_ref().map(|board| board.numbers());
            let admin_address = admin.as_ref().map(|admin| admin.local_addr);
            // Only of a store that opened: asking a file system that is gone may wait for ever.
            let records = store.as_ref().is_some_and(|store| store.recording);
            let room = records.then(|| store_limits::told(&settings.store));
            talk.say(&greeting(&settings, proxy.local_addr(), admin_address, store.as_ref(), room.as_deref()));
            runtime.block_on(async {
                while signals.next().await == Wish::Reload {
                    if let Some(log) = &access_log {
                        log.reopen();
                    }
                    reload(&args, &settings, &mut proxy, keeper.as_ref(), talk);
                }
                talk.say("Stopping. Once more ends it at once.\n");
                proxy.shutdown().await;
            });
            Ok(stop(keeper, &settings))
        }
        Err(error) => {
            stop(keeper, &settings);
            Err(error)
        }
    };
    if let Some(log) = &access_log {
        log.end();
    }
    if let Some(ending) = ending? {
        talk.say(&farewell(&settings.store.dir, &ending));
    }
    Ok(())
}

fn open_access_log(target: &AccessTarget, settings: &Settings) -> Result<AccessLog, RunError> {
    AccessLog::open(target, settings.log.format).map_err(|source| {
        let path = if let AccessTarget::File(path) = target { path.clone() } else { PathBuf::from("-") };
        RunError::AccessLog { path, source }
    })
}

/// Catches signals, for good.
fn signals(talk: &Talk) -> Result<Signals, RunError> {
    let talk = talk.clone();
    Signals::catch(move || {
        talk.say("Ended at once. Open requests have no row; what was recorded is safe.\n");
        talk.end();
        std::process::exit(EXIT_INTERRUPTED);
    })
    .map_err(RunError::Signals)
}

/// Waits for the store: for as long as that takes where recording is required, else not for long.
async fn first_try(keeper: &mut StoreKeeper, settings: &Settings, signals: &mut Signals) -> Result<(), RunError> {
    if !settings.require_recording {
        // How it went is on the board, and the keeper has said what is wrong.
        let _ = tokio::time::timeout(START_PATIENCE, keeper.first_try()).await;
        return Ok(());
    }
    tokio::select! {
        tried = keeper.first_try() => Ok(tried?),
        () = signals.stop() => Err(NotRecording::Interrupted.into()),
    }
}

fn stop(keeper: Option<StoreKeeper>, settings: &Settings) -> Option<Ending> {
    Some(keeper?.stop(Duration::from_millis(settings.store.shutdown_ms)))
}

fn numbers_of(board: Option<Arc<Board>>) -> Arc<dyn Fn() -> StoreNumbers + Send + Sync> {
    Arc::new(move || board.as_ref().map_or_else(StoreNumbers::of_nothing_to_record, |board| board.numbers()))
}

/// Reads the settings again, and takes over what can change while the proxy runs. Has the store tried at once, if it waits.
fn reload(args: &ProxyArgs, running: &Settings, proxy: &mut ProxyHandle, keeper: Option<&StoreKeeper>, talk: &Talk) {
    if let Some(keeper) = keeper {
        keeper.try_now();
    }
    match Settings::resolve(args.clone()) {
        Err(error) => {
            let error = super::chain(&error);
            tracing::warn!(error, "the settings can't be read again, and stay what they are");
        }
        Ok(read) => {
            proxy.set_drain(read.proxy.drain);
            proxy.keep_error_text(read.proxy.keeps_error_text);
            let texts = if read.proxy.keeps_error_text { "kept" } else { "not kept" };
            talk.say(&format!("Settings read again: drain is {:?}, texts of errors are {texts}.\n", read.proxy.drain));
            let waiting = wants_restart(running, &read);
            if !waiting.is_empty() {
                let keys = waiting.join(", ");
                tracing::warn!(keys, "these settings differ and are taken over by a restart only");
            }
        }
    }
}

/// Whether clients are served, for whoever asks while the proxy starts, serves and ends.
struct Serving {
    runtime: tokio::runtime::Handle,
    accepts: Arc<OnceLock<Box<dyn Fn() -> bool + Send + Sync>>>,
}

impl Serving {
    /// The proxy serves from now on.
    fn began(&self, proxy: &ProxyHandle) {
        let _ = self.accepts.set(Box::new(proxy.accepts()));
    }

    fn liveness(&self) -> Liveness {
        let accepts = Arc::clone(&self.accepts);
        // Who has not begun is alive.
        let accepts = move || accepts.get().is_none_or(|accepts| accepts());
        Liveness { runtime: self.runtime.clone(), accepts: Arc::new(accepts) }
    }
}
