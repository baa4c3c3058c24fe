//! The compactor: one thread for each process, which holds the role and folds all logs, or stands by.
//!
//! At low priority. Who holds the lock `FOLD` folds; the others try it twice a second. The lock is this thread's and goes
//! with it, however it ends. The database is opened when the role is taken and dropped when it goes. What makes two that
//! fold harmless is not the lock but the database, which takes no transaction that builds on an older state.

use super::beat_watch::BeatWatch;
use super::fold_error::FoldError;
use super::folder_task::Role;
use super::folding::{Folding, IDLE, Worked};
use super::handles::CompactorHandles;
use super::log_size::others_log_bytes;
use super::patience::Patience;
use crate::ground::config::Config;
use crate::ground::error::{IndexError, PathError};
use crate::ground::fold_failure::FoldingAsked;
use crate::ground::fold_holder::FoldHolder;
use crate::ground::fold_lock::{FoldLock, FoldTry};
use crate::ground::fold_stand_in::FoldStandIn;
use crate::ground::fold_want::FoldWant;
use crate::ground::health::Part;
use crate::ground::limits::Limit;
use crate::ground::position::StoreId;
use crate::index::database::DATABASE_NAME;
use crate::segment::folded_hint;
use crate::segment::writer_folder::WriterFolder;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often the fold lock is tried.
const TRY: Duration = Duration::from_millis(500);
/// How often who waits for folding is told how far another process is with it.
const TRY_AWAITED: Duration = Duration::from_millis(20);
/// How often the logs are measured.
const MEASURE: Duration = Duration::from_secs(2);
/// The first pause after an error, which doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// The thread's nice value: recording and serving come first.
const NICENESS: i32 = 10;

/// The thread's state.
pub(crate) struct Compactor {
    config: Config,
    store: StoreId,
    handles: CompactorHandles,
    keeps_log: bool,
    standing: Standing,
    watch: BeatWatch,
    patience: Patience,
    retry: Duration,
    /// This process asks for the lock, and nobody else takes it meanwhile.
    want: Option<FoldWant>,
    measured_at: Option<Instant>,
    /// What this process was told of the store's limits is not in the database yet.
    has_limits_to_tell: bool,
    /// This process can fold only when no other one has the store open, and why. Another folds meanwhile what it knows.
    why_not_alone: Option<String>,
    /// The database was removed while this process folded. It makes none in its place: what was folded is in the one that was
    /// there.
    has_lost_database: bool,
    /// Who asked for folding before what is being tried.
    answers: FoldingAsked,
}

/// As what the thread stands.
enum Standing {
    By,
    /// In this order: the lock goes first, then what the database still has to do.
    Holder {
        lock: FoldLock,
        folding: Box<Folding>,
    },
    StandIn {
        _lock: FoldStandIn,
        folding: Box<Folding>,
        beat: u64,
    },
}

/// What the thread does next.
enum Next {
    Again,
    Sleep(Duration),
    End,
}

impl Compactor {
    pub(crate) fn new(handles: CompactorHandles, config: &Config, store: StoreId) -> Self {
        let answers = handles.progress.folding_asked();
        Self {
            config: config.clone(),
            store,
            handles,
            keeps_log: false,
            standing: Standing::By,
            watch: BeatWatch::default(),
            patience: Patience::default(),
            retry: RETRY_MIN,
            want: None,
            measured_at: None,
            why_not_alone: None,
            has_lost_database: false,
            answers,
            has_limits_to_tell: Limit::EACH.iter().any(|limit| config.told(*limit).is_some()),
        }
    }

    /// The same, but whatever the store was told, this process lets go nothing of the log.
    pub(crate) fn keeping_log(mut self) -> Self {
        self.keeps_log = true;
        self
    }

    /// Runs until told to finish and this process's log is folded, or somebody else folds it; or until told to give up.
    pub(crate) fn run(mut self) {
        // Best effort: a thread that is not nice is only less polite.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
        while !self.handles.give_up.load(Ordering::Relaxed) {
            self.handles.health.tell_over();
            // Read before looking at the logs: what was appended before it was set is then seen.
            let finishing = self.handles.finish.load(Ordering::Acquire);
            self.answers = self.handles.progress.folding_asked();
            self.measure();
            let next = match self.standing {
                Standing::By => self.stand_by(finishing),
                Standing::Holder { .. } => self.hold(finishing),
                Standing::StandIn { .. } => self.stand_in(finishing),
            };
            match next {
                Next::Again => {}
                Next::Sleep(pause) => std::thread::park_timeout(pause),
                Next::End => break,
            }
        }
    }

    /// Tries the lock, and follows what its holder does.
    fn stand_by(&mut self, finishing: bool) -> Next {
        self.follow();
        self.has_lost_database &= !self.has_database();
        if self.has_lost_database {
            self.stop_folding(IndexError::Replaced { path: self.config.dir.join(DATABASE_NAME) });
            return if finishing { Next::End } else { Next::Sleep(TRY) };
        }
        let tried = match &self.want {
            Some(want) => FoldLock::try_take_wanted(want, self.handles.build.level),
            None if self.patience.stays_away(false, Instant::now()) => {
                FoldLock::look(&self.config.dir).map(|holder| holder.map_or(FoldTry::Wanted, FoldTry::Held))
            }
            None => FoldLock::try_take(&self.config.dir, self.handles.build.level),
        };
        let may_come_back = !self.patience.stays_away(matches!(tried, Ok(FoldTry::Held(_))), Instant::now());
        match tried {
            Ok(FoldTry::Taken(lock)) => return self.take_role(lock),
            Ok(FoldTry::Held(holder)) => self.wait_for(&holder, finishing || !may_come_back),
            Ok(FoldTry::Wanted) => self.watch.forget(),
            Ok(FoldTry::Elsewhere(holder)) => {
                self.report(format_args!("folding waits: {holder} folds this store, or did not let go of it"));
            }
            Ok(FoldTry::Corrupt) => {
                let database = self.config.dir.join(DATABASE_NAME);
                self.stop_folding(format_args!("{}: the process that folded found it damaged", database.display()));
            }
            Err(error) => self.report(format_args!("folding waits: {error}")),
        }
        match (finishing, &self.standing) {
            (true, Standing::By) => Next::End,
            (_, Standing::StandIn { .. }) => Next::Again,
            _ if self.handles.progress.folding_awaited() => Next::Sleep(TRY_AWAITED),
            _ => Next::Sleep(TRY),
        }
    }

    /// The lock is taken: opens the database.
    fn take_role(&mut self, lock: FoldLock) -> Next {
        self.watch.forget();
        // Who asked has what was asked for.
        self.want = None;
        match self.open(Role::Holder) {
            Ok(folding) => {
                self.handles.progress.resume_folding();
                (self.has_limits_to_tell, self.why_not_alone) = (false, None);
                self.standing = Standing::Holder { lock, folding };
                Next::Again
            }
            Err(error) => self.fail(&error, Some(&lock)),
        }
    }

    fn open(&self, role: Role) -> Result<Box<Folding>, FoldError> {
        let folding = Folding::open(&self.config, self.store, role, &self.handles)?;
        Ok(Box::new(if self.keeps_log { folding.keeping_log() } else { folding }))
    }

    /// Another process folds. Where it does not move although this one's records wait, this one stands in.
    fn wait_for(&mut self, holder: &FoldHolder, only_waits: bool) {
        let progress = &self.handles.progress;
        // Whatever this process found, that one has a database that it can fold into.
        progress.resume_folding();
        let waits = progress.appended() > progress.folded();
        let asked = progress.expiry_asked().is_some();
        let knows_less = holder.level != 0 && holder.level < self.handles.build.level;
        if !waits {
            self.watch.forget();
            self.handles.health.clear(Part::Fold);
        } else if self.watch.has_stopped(holder.beat, Instant::now()) {
            self.report(format_args!("folding waits: {holder} holds the fold lock and does nothing"));
            if !only_waits {
                self.begin_standing_in(holder.beat);
            }
        } else if let Some(why) = self.why_not_alone.as_ref().filter(|_| knows_less) {
            self.report(format_args!("folding waits: {why}"));
        } else {
            self.handles.health.clear(Part::Fold);
        }
        // What that process can't do, this one can: tell what limits there are, expire when asked, fold what it does not know.
        let needs_role = self.has_limits_to_tell || asked || (waits && knows_less);
        if needs_role && !only_waits && self.want.is_none() {
            self.want = FoldWant::try_take(&self.config.dir).ok().flatten();
        }
    }

    fn begin_standing_in(&mut self, beat: u64) {
        match FoldStandIn::try_take(&self.config.dir) {
            Ok(Some(lock)) => match self.open(Role::StandIn) {
                Ok(folding) => self.standing = Standing::StandIn { _lock: lock, folding, beat },
                Err(error) => self.report(format_args!("folding waits: {error}")),
            },
            // Another one does.
            Ok(None) => {}
            Err(error) => self.report(format_args!("folding waits: {error}")),
        }
    }

    /// Folds in the place of a holder that does not move, until it does, or is gone.
    fn stand_in(&mut self, finishing: bool) -> Next {
        let Standing::StandIn { folding, beat, .. } = &mut self.standing else { return Next::Again };
        let holder = FoldLock::look(&self.config.dir);
        if !matches!(&holder, Ok(Some(holder)) if holder.beat == *beat) {
            self.watch.forget();
            self.standing = Standing::By;
            return Next::Again;
        }
        match folding.work(finishing) {
            Ok(Worked::More) => Next::Again,
            Ok(Worked::Idle(_) | Worked::Through) if finishing => Next::End,
            Ok(Worked::Idle(idle)) => Next::Sleep(idle),
            Ok(Worked::Through) => Next::End,
            Err(error) if error.is_moved() => {
                folding.start_anew(self.config.wal_dir());
                Next::Again
            }
            Err(error) => {
                // It stopped in the middle of a transaction, most likely.
                self.handles.health.report(Part::Fold, format_args!("folding waits: {error}"));
                Next::Sleep(TRY)
            }
        }
    }

    /// Folds for all.
    fn hold(&mut self, finishing: bool) -> Next {
        let Standing::Holder { lock, folding } = &mut self.standing else { return Next::Again };
        lock.beat();
        if !lock.is_in_place() {
            self.report(format_args!(
                "folding waits: the file FOLD of this store is another one than the one that is locked"
            ));
            return self.let_go(TRY);
        }
        if lock.is_wanted() {
            tracing::debug!("another process wants to fold");
            if !finishing {
                return self.let_go(TRY_AWAITED);
            }
            if folding.trouble(false).is_some() && folding.trouble(true).is_none() {
                self.handles.health.clear(Part::Fold);
            }
            return Next::End;
        }
        match folding.work(finishing) {
            Ok(worked) => {
                if let Some(error) = folding.take_corrupt() {
                    return self.fail(&error, None);
                }
                self.retry = RETRY_MIN;
                let lacks = folding.may_lack_something();
                match folding.trouble(finishing) {
                    Some(trouble) => self.handles.health.report(Part::Fold, trouble),
                    None => self.handles.health.clear(Part::Fold),
                }
                if !lacks {
                    self.patience.clear();
                } else if self.patience.is_over(Instant::now()) {
                    return self.let_go(TRY);
                }
                match worked {
                    Worked::More => Next::Again,
                    Worked::Idle(idle) => Next::Sleep(idle.min(IDLE)),
                    Worked::Through => Next::End,
                }
            }
            Err(error) if error.is_moved() => {
                folding.start_anew(self.config.wal_dir());
                Next::Again
            }
            Err(error) => self.fail(&error, None),
        }
    }

    /// Folding failed; `taken` is the lock where the role is not taken yet. Tries again in a while, or lets another process
    /// try.
    fn fail(&mut self, error: &FoldError, taken: Option<&FoldLock>) -> Next {
        let lock = match (&self.standing, taken) {
            (_, Some(lock)) | (Standing::Holder { lock, .. }, None) => Some(lock),
            _ => None,
        };
        let is_removed = error.is_replaced() && !self.has_database();
        self.has_lost_database = is_removed;
        if error.is_corrupt() || is_removed {
            // Trying again can't help, and writing to it might take what can still be saved. Of one that is not there nobody
            // else is told: what comes in its place is another one.
            if let Some(lock) = lock.filter(|_| !is_removed) {
                lock.say_corrupt();
            }
            self.stop_folding(error);
            return self.let_go(TRY);
        }
        self.report(format_args!("folding waits: {error}"));
        if let FoldError::NotAlone(why) = error {
            self.why_not_alone = Some(why.to_string());
            self.patience.let_go(Instant::now());
            return self.let_go(TRY);
        }
        if error.is_replaced() {
            return self.let_go(RETRY_MIN);
        }
        let pause = self.retry;
        self.retry = (self.retry * 2).min(RETRY_MAX);
        let is_over = error.may_be_own() && self.patience.is_over(Instant::now());
        if is_over || taken.is_some() {
            return self.let_go(pause);
        }
        Next::Sleep(pause)
    }

    /// The role goes, and the database with it.
    fn let_go(&mut self, pause: Duration) -> Next {
        self.standing = Standing::By;
        Next::Sleep(pause)
    }

    fn has_database(&self) -> bool {
        self.config.dir.join(DATABASE_NAME).symlink_metadata().is_ok()
    }

    fn report(&self, problem: std::fmt::Arguments<'_>) {
        self.handles.health.report(Part::Fold, problem);
    }

    /// Nothing is folded until somebody makes a new database. The logs go on, and keep every segment.
    fn stop_folding(&self, why: impl std::fmt::Display) {
        let why = format!("{why}; nothing is folded any more and the log keeps every segment: run `mcplog rebuild`");
        self.handles.health.report(Part::Fold, &why);
        self.handles.progress.stop_folding(why, self.answers);
    }

    /// Reads how far another process has folded this one's log.
    fn follow(&self) {
        let progress = &self.handles.progress;
        let Some(writer) = progress.writer() else { return };
        let (seen_at, appended) = (Instant::now(), progress.appended());
        if let Some(last) = folded_hint::read(&WriterFolder::within(&self.config.wal_dir(), writer).path) {
            progress.set_folded(writer, last);
        }
        if progress.folded() >= appended {
            progress.set_caught_up(seen_at);
        }
    }

    /// Measures how much room the other logs take.
    fn measure(&mut self) {
        if self.measured_at.is_some_and(|at| at.elapsed() < MEASURE) {
            return;
        }
        self.measured_at = Some(Instant::now());
        let measured: Result<u64, PathError> = others_log_bytes(&self.config.wal_dir(), self.handles.progress.writer());
        match measured {
            Ok(bytes) => self.handles.progress.set_others_log_bytes(bytes),
            Err(error) => tracing::debug!(%error, "the other logs are not measured"),
        }
    }
}
