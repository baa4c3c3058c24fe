//! The thread that has the store: opens it, tries again while that fails, notices that it died, and shuts it down.
//!
//! A thread of its own (`mcplog-store`), because opening a store may take long: a disk that hangs. It says what is not
//! recorded and why; it must not hold up the traffic, and nothing that fails here ends the process.

use super::board::{Board, Ended, Phase};
use super::clock::now_ms;
use super::death::Place;
use super::known_schema::{KnownSchemas, known_schemas};
use super::known_session::known_sessions;
use super::retry::Retry;
use super::store_numbers::StoreNumbers;
use super::switch::Switch;
use crate::waiting::Waiting;
use mcplog::burst::Burst;
use mcplog::error::{IndexError, OpenError};
use mcplog::{Config, Store};
use mcplog_observe::KnownSessions;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long what others left in the log may take to be folded, before what is on record of schemas is read. Without it a
/// schema may be recorded again that has not changed.
const CATCH_UP: Duration = Duration::from_secs(5);
/// How often it looks whether that is so.
const CATCH_UP_STEP: Duration = Duration::from_millis(20);
/// How often an open store is looked after.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// How long a store that died may take to end.
const DEAD_SHUTDOWN: Duration = Duration::from_secs(2);
/// How much longer than the store's own time limit the thread may take to end.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// Why nothing is recorded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRecording {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("reading the schemas on record")]
    Schemas(#[from] IndexError),
    #[error("opening the store panicked")]
    Panicked,
    #[error("stopped while the store was being opened")]
    Interrupted,
}

/// Who is told what a store knows.
pub(crate) struct Learners {
    /// Of schemas; `None` when the store is gone.
    pub(crate) schemas: Box<dyn Fn(Option<KnownSchemas>) + Send>,
    /// Of sessions that go on, where any can. Told more than once.
    pub(crate) sessions: Option<Box<dyn Fn(KnownSessions) + Send>>,
    /// Of how recording goes: whenever that fails, and once a second.
    pub(crate) numbers: Box<dyn Fn(&StoreNumbers) + Send>,
}

/// What the thread is told.
enum Command {
    /// Somebody says that it may work now.
    TryNow,
    /// Shut the store down, within that time, and end.
    Stop(Duration),
}

/// How it all ended.
pub(crate) struct Ending {
    /// What became of what was recorded.
    pub(crate) ended: Ended,
    /// Events that no store knows of.
    pub(crate) missed: u64,
    /// What is wrong with the store, if anything.
    pub(crate) trouble: Option<String>,
}

/// The handle of the thread.
pub(crate) struct StoreKeeper {
    board: Arc<Board>,
    commands: Sender<Command>,
    /// Brings what is wrong with the store, once the thread is done with it.
    done: Receiver<Option<String>>,
    first_try: Option<oneshot::Receiver<Result<(), NotRecording>>>,
}

impl StoreKeeper {
    /// Starts the thread, which opens the store at once. The [first try](Self::first_try) is a success when the store is open,
    /// or, where it `must_be_readable`, when all is folded and the database could be read. `learners` get what the store knows
    /// of a proxy of that name, whenever one was opened.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(crate) fn start(
        mut config: Config,
        switch: Arc<Switch>,
        must_be_readable: bool,
        proxy: &str,
        learners: Learners,
    ) -> std::io::Result<Self> {
        config.program.get_or_insert_with(|| "mcplog proxy".to_owned());
        let board = Arc::new(Board::new(Arc::clone(&switch)));
        let (commands, told) = channel();
        let (finished, done) = channel();
        let (first, first_try) = oneshot::channel();
        let of_worker = Arc::clone(&board);
        let first = Some(first);
        let worker = Worker {
            config,
            switch,
            must_be_readable,
            board: of_worker,
            told,
            proxy: proxy.to_owned(),
            learners,
            first,
            said: Burst::new(Duration::MAX),
            said_reason: None,
        };
        std::thread::Builder::new().name("mcplog-store".into()).spawn(move || {
            // Nobody may be left to hear it.
            let _ = finished.send(worker.run());
        })?;
        Ok(Self { board, commands, done, first_try: Some(first_try) })
    }

    /// How recording goes.
    pub(crate) fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    /// What came of the first try, when it is over. To be asked once.
    pub(crate) async fn first_try(&mut self) -> Result<(), NotRecording> {
        match self.first_try.take() {
            Some(first_try) => first_try.await.unwrap_or(Err(NotRecording::Panicked)),
            None => Ok(()),
        }
    }

    /// Has the thread try at once, if it waits.
    pub(crate) fn try_now(&self) {
        // A thread that is gone tries no more, as the board says.
        let _ = self.commands.send(Command::TryNow);
    }

    /// Shuts the store down, within that time. Blocks for so long, and a little more where the store does not come back.
    pub(crate) fn stop(self, timeout: Duration) -> Ending {
        let _ = self.commands.send(Command::Stop(timeout));
        let trouble = match self.done.recv_timeout(timeout.saturating_add(STOP_GRACE)) {
            Ok(trouble) => trouble,
            Err(_) => Some("not shut down in time; the next start recovers it".to_owned()),
        };
        let (ended, missed) = self.board.ended();
        Ending { ended, missed, trouble }
    }
}

/// What the thread has.
struct Worker {
    config: Config,
    switch: Arc<Switch>,
    must_be_readable: bool,
    board: Arc<Board>,
    told: Receiver<Command>,
    /// The proxy's name in every row.
    proxy: String,
    learners: Learners,
    first: Option<oneshot::Sender<Result<(), NotRecording>>>,
    /// Nothing is recorded, as the diagnostics tell it, and for which reason.
    said: Burst,
    said_reason: Option<String>,
}

/// What ended a wait.
enum Next {
    /// Time to try again.
    Try,
    /// Stop, within that time.
    Stop(Duration),
}

impl Worker {
    /// Until it is told to stop. Says what is wrong with the store then.
    fn run(mut self) -> Option<String> {
        let mut retry = Retry::new();
        loop {
            let opened = catch_unwind(AssertUnwindSafe(|| Store::open(self.config.clone())));
            let pause = match opened.map_err(|_| NotRecording::Panicked).and_then(|opened| Ok(opened?)) {
                Ok(store) => {
                    let began = Instant::now();
                    match self.keep(store) {
                        Kept::Stop(timeout) => return self.shut_down(timeout),
                        Kept::Died(reason) => {
                            self.bury(reason);
                            retry.after_death(began.elapsed())
                        }
                    }
                }
                Err(error) => {
                    self.fail(error);
                    retry.after_failure()
                }
            };
            if let Next::Stop(timeout) = self.wait(pause) {
                return self.shut_down(timeout);
            }
        }
    }

    /// Records into the store until it dies or is to stop.
    fn keep(&mut self, store: Store) -> Kept {
        let place = Place::of(store.dir());
        self.switch.set(Some(store.recorder()));
        self.board.open(store);
        self.said_reason = None;
        if let Some(over) = self.said.end(Instant::now()) {
            let (missed, dir) = (self.switch.missed_total(), self.config.dir.display());
            let (times, lasted_ms) = (over.times, over.lasted_ms());
            tracing::warn!(%dir, missed, times, lasted_ms, "recording begins; what was missed before is a gap");
        }
        self.switch.tell_missed();
        // At once, so that clients that come first go on in their sessions; and again when what was left is folded.
        self.learn_sessions();
        if let Some(timeout) = self.learn_schemas() {
            return Kept::Stop(timeout);
        }
        let (mut last_look, mut last_recorded) = (now_ms(), self.recorded());
        loop {
            match self.told.recv_timeout(LOOK_AFTER) {
                Ok(Command::Stop(timeout)) => return Kept::Stop(timeout),
                Err(RecvTimeoutError::Disconnected) => return Kept::Stop(self.shutdown_timeout()),
                Ok(Command::TryNow) | Err(RecvTimeoutError::Timeout) => {}
            }
            self.switch.tell_missed();
            let death = self.board.with_store(|store| place.death(&store.stats().health)).flatten();
            if let Some(reason) = death {
                self.switch.set(None);
                if place.is_gone() {
                    // What went to the log since the last look went with it.
                    let events = self.recorded().saturating_sub(last_recorded);
                    self.switch.add_missed(events, last_look, now_ms());
                }
                return Kept::Died(reason);
            }
            (last_look, last_recorded) = (now_ms(), self.recorded());
            // Also so that /healthz knows since when something is wrong.
            self.tell_numbers();
        }
    }

    /// Reads what is on record of schemas, when what others left is folded; `Some`: it was told to stop meanwhile.
    fn learn_schemas(&mut self) -> Option<Duration> {
        let until = Instant::now() + CATCH_UP;
        // As long as there is no database, nobody has folded anything, and everything waits.
        let mut waiting = None;
        while !self.is_folded(&mut waiting) {
            if Instant::now() >= until {
                tracing::warn!("what others left in the log is not folded yet");
                break;
            }
            if !self.must_be_readable && (waiting.is_some() || self.is_troubled()) {
                // Who starts the proxy need not wait for what others left. For a database that is being made, though: it has
                // what the names of derived sessions are salted with.
                self.tell_first(Ok(()));
            }
            match self.told.recv_timeout(CATCH_UP_STEP) {
                Ok(Command::Stop(timeout)) => return Some(timeout),
                Ok(Command::TryNow) | Err(_) => {}
            }
        }
        self.learn_sessions();
        let known = known_schemas(&self.config.dir);
        let first = match known {
            Ok(known) => {
                (self.learners.schemas)(Some(known));
                Ok(())
            }
            Err(error) => {
                if !self.decides_the_start() {
                    tracing::warn!(%error, "what is on record of schemas can't be read: they are recorded again");
                }
                (self.learners.schemas)(Some(KnownSchemas::default()));
                Err(error.into())
            }
        };
        self.tell_first(first);
        None
    }

    /// Whether something is wrong with the store.
    fn is_troubled(&self) -> bool {
        self.board.with_store(|store| !store.stats().health.is_ok()).unwrap_or(true)
    }

    /// Whether all is folded that was in the log when there first was a database to look into.
    fn is_folded(&self, waiting: &mut Option<Waiting>) -> bool {
        if waiting.is_none() {
            *waiting = Waiting::in_store(&self.config.dir).ok();
        }
        waiting.as_ref().is_some_and(|waiting| waiting.left().is_ok_and(|left| left == 0))
    }

    /// Reads what is on record of sessions. Where that can't be read, those that go on are recorded as ones that nobody knows.
    fn learn_sessions(&self) {
        let Some(learn) = &self.learners.sessions else { return };
        match known_sessions(&self.config.dir, &self.proxy) {
            Ok(known) => learn(known),
            Err(error) => tracing::debug!(%error, "what is on record of sessions can't be read"),
        }
    }

    /// Opening failed.
    fn fail(&mut self, error: NotRecording) {
        let reason = error.to_string();
        self.switch.hold_no_more();
        self.board.enter(Phase::Waiting(reason.clone()));
        self.say(reason);
        self.tell_numbers();
        if self.first.is_some() && matches!(error, NotRecording::Open(OpenError::Locked { .. })) {
            // A process of an earlier mcplog has the store, such as the proxy that this one follows. It may be readable.
            self.learn_sessions();
        }
        self.tell_first(Err(error));
    }

    /// Takes a store away that died. What it lost without a gap to tell of it is told to the next one.
    fn bury(&mut self, reason: String) {
        let from_ts = now_ms() - i64::try_from(LOOK_AFTER.as_millis()).unwrap_or(0);
        (self.learners.schemas)(None);
        let store = self.board.close(Phase::Waiting(reason.clone()));
        self.say(reason);
        self.tell_numbers();
        let Some(store) = store else { return };
        let report = store.shutdown(DEAD_SHUTDOWN);
        self.board.add_ended(&report);
        self.switch.add_missed(report.dropped_untold, from_ts, now_ms());
    }

    fn shut_down(&mut self, timeout: Duration) -> Option<String> {
        // Whoever found no store counts its event before its call ends, and all calls have ended.
        self.switch.tell_missed();
        let Some(store) = self.board.close(Phase::Stopped) else {
            return self.said_reason.take();
        };
        let report = store.shutdown(timeout);
        self.switch.set(None);
        self.board.add_ended(&report);
        self.switch.add_missed(report.dropped_untold, now_ms(), now_ms());
        (!report.health.is_ok()).then(|| report.health.to_string())
    }

    /// Waits before the next try.
    fn wait(&self, pause: Duration) -> Next {
        match self.told.recv_timeout(pause) {
            Ok(Command::Stop(timeout)) => Next::Stop(timeout),
            Err(RecvTimeoutError::Disconnected) => Next::Stop(self.shutdown_timeout()),
            Ok(Command::TryNow) | Err(RecvTimeoutError::Timeout) => Next::Try,
        }
    }

    /// Says loudly that nothing is recorded, and why; each reason once, until something is.
    fn say(&mut self, reason: String) {
        let missed = self.switch.missed_total();
        let begins = self.said.note(1, Instant::now());
        if self.decides_the_start() {
            tracing::debug!(reason, missed, "nothing is recorded, and whoever starts the proxy is told");
        } else if begins || self.said_reason.as_ref() != Some(&reason) {
            tracing::error!(reason, missed, "nothing is recorded; the proxy serves, and tries again every few seconds");
        } else {
            tracing::debug!(reason, missed, "nothing is recorded still");
        }
        self.said_reason = Some(reason);
    }

    /// Whether the proxy does not start if this try fails: then it neither serves nor tries again, and says why itself.
    fn decides_the_start(&self) -> bool {
        self.must_be_readable && self.first.is_some()
    }

    fn tell_first(&mut self, result: Result<(), NotRecording>) {
        if let Some(first) = self.first.take() {
            // Whoever did not want to wait is gone.
            let _ = first.send(result);
        }
    }

    fn tell_numbers(&self) {
        (self.learners.numbers)(&self.board.numbers());
    }

    fn recorded(&self) -> u64 {
        self.board.with_store(|store| store.stats().recorded).unwrap_or(0)
    }

    fn shutdown_timeout(&self) -> Duration {
        Duration::from_millis(self.config.shutdown_ms)
    }
}

/// How an open store ended.
enum Kept {
    /// It is to be shut down, within that time.
    Stop(Duration),
    /// It records no more.
    Died(String),
}
