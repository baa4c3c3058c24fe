//! Making the database anew: what it derives from its rows, or all of it from the log and what can be read of the old one.
//!
//! Runs on the caller's thread, under the fold lock, which whoever folds lets go for it. Those who record go on meanwhile: what
//! they append is folded when the lock is free again.

pub use super::new_database::{RebuildStep, RebuildWatch};
pub use super::old_database::LimitsFrom;
pub use super::rebuild_plan::{
    Action, DatabaseHoldings, DatabaseState, Hole, LeftLog, LogHoldings, Loss, RebuildPlan, RowSum, TableHoldings,
};
pub use super::rebuild_sources::Source;
pub use crate::index::rebuild::RebuildReport;

use super::file_limit;
use super::fold_role::FoldRole;
use super::new_database::make;
use super::rebuild_sources::Sources;
use super::writer_lock;
use crate::compactor::fold_waiting::{Waiting, fold_waiting};
use crate::ground::config::Config;
use crate::ground::error::{AtPath, IndexError, OpenError, PathError};
use crate::ground::health::HealthBoard;
use crate::ground::limits::Limits;
use crate::ground::store_lock::StoreLock;
use crate::ground::work::WorkError;
use crate::index::build::Build;
use crate::index::database::{DATABASE_NAME, Index};
use crate::index::expiry_plan;
use crate::index::leftovers::remove_leftovers;
use crate::index::row_retention::RowRetention;
use crate::query::database::Query;
use crate::segment::writer_folder::writer_folders;
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// So often what there is is looked at once more where files vanish meanwhile: who folds retires them.
const ATTEMPTS_MAX: u32 = 10;

/// What was made anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rebuilt {
    /// Roll-ups, sums and digests, from the rows; records that waited in the log are folded.
    Rows(RowsReport),
    /// The whole database, from the log.
    Log(RefoldReport),
    /// The whole database, from the log and from what can be read of the damaged one.
    Salvage(RefoldReport),
}

/// What was derived from rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RowsReport {
    /// How much was made anew.
    #[serde(flatten)]
    pub rebuilt: RebuildReport,
    /// Records that waited in the log, and are folded now.
    pub folded_records: u64,
    /// Logs that wait on, for a newer mcplog or because they are another store's.
    pub left_logs: Vec<LeftLog>,
}

/// A database that was made anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RefoldReport {
    /// Rows of table `requests` now.
    pub requests: i64,
    /// Rows of table `sessions` now.
    pub sessions: i64,
    /// Requests of the damaged database that could be read and that the log did not have.
    pub salvaged_requests: u64,
    /// Segments that were folded.
    pub segments: u64,
    /// Records that were recorded before the oldest that the log still holds: their segments were folded and deleted.
    pub records_before_log: u64,
    /// Requests in the log that were not folded, because they are expired: they are from before [`RefoldReport::kept_since`].
    pub expired_requests: u64,
    /// Since when requests are kept, in Unix milliseconds; `None`: nothing is expired.
    pub kept_since: Option<i64>,
    /// What the store keeps from now on, and for how long.
    pub limits: Limits,
    /// Where these limits come from.
    pub limits_from: LimitsFrom,
    /// What of the old database is not in the new one, as it was accepted.
    pub losses: Vec<Loss>,
    /// Logs that stay where they are, from a file on: a newer mcplog folds them, or they are another store's.
    pub left_logs: Vec<LeftLog>,
    /// Where a copy of the database is that was there before, if it was damaged, or more was in it than in the new one.
    pub moved_to: Option<PathBuf>,
}

/// Why a database was not made anew. Unless it says otherwise, everything is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// The store can't be opened: there is none, or who folds does not let go of its database.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Rows would be lost, and nobody said that they may.
    #[error("rows of {} would be lost; nothing was changed", .0.database.path.display())]
    WouldLose(Box<RebuildPlan>),
    /// Who watches wanted no more.
    #[error("interrupted; everything is as it was")]
    Interrupted,
    /// Folding does not get on.
    #[error(
        "folding the log does not get on: {0}; what is folded so far stays, and the next one who opens the store goes on"
    )]
    Stalled(String),
}

impl From<IndexError> for RebuildError {
    fn from(error: IndexError) -> Self {
        Self::Open(error.into())
    }
}

impl From<WorkError> for RebuildError {
    fn from(error: WorkError) -> Self {
        match error {
            WorkError::Interrupted => Self::Interrupted,
            WorkError::Index(error) => Self::Open(error.into()),
            WorkError::Segment(error) => Self::Open(error.into()),
            WorkError::Io(error) => Self::Open(error.into()),
            WorkError::Open(error) => Self::Open(error),
        }
    }
}

/// What [`rebuild`] would find and do. Changes nothing, and works while others record.
///
/// # Errors
/// [`RebuildError`]: the directory has no store, or something can't be read.
pub fn plan(
    config: &Config,
    source: Source,
    accept_loss: bool,
    watch: &mut RebuildWatch<'_>,
) -> Result<RebuildPlan, RebuildError> {
    config.validate().map_err(OpenError::from)?;
    expect_store(config)?;
    let in_use = writer_lock::is_held(&config.dir);
    let mut watch = |done| watch(RebuildStep::Reading, done);
    let mut attempts = 1;
    loop {
        match Sources::read(config, source, accept_loss, false, in_use, &mut watch) {
            // Who folds let go of a file or a folder that was listed: the database has what was in it by now.
            Err(error) if error.is_gone() && attempts < ATTEMPTS_MAX => attempts += 1,
            read => return Ok(read?.plan),
        }
    }
}

/// A rebuild that was looked at and is yet to be done. It holds the store's fold lock: nobody folds meanwhile.
#[derive(Debug)]
pub struct Rebuild {
    config: Config,
    sources: Sources,
    accept_loss: bool,
    role: FoldRole,
    /// Held where it brings the database up to date: others may not know it then.
    _alone: Option<StoreLock>,
}

impl Rebuild {
    /// Takes the store's fold lock from whoever has it, and reads what there is.
    ///
    /// What `config` says of the store's limits is told the store, as by [`Store::open`](crate::Store::open); what it does not
    /// say stays as the old database remembers it. What had expired there does not come back: it is not even folded, unless
    /// `config` says anew how long requests are kept, or how large the database may get.
    ///
    /// # Errors
    /// [`RebuildError`]: the directory has no store, who folds does not let go, or something can't be read.
    pub fn prepare(
        config: &Config,
        source: Source,
        accept_loss: bool,
        watch: &mut RebuildWatch<'_>,
    ) -> Result<Self, RebuildError> {
        config.validate().map_err(OpenError::from)?;
        expect_store(config)?;
        let in_use = writer_lock::is_held(&config.dir);
        let mut role = FoldRole::take(&config.dir)?;
        let alone = be_alone_to_outdate(&config.dir).map_err(OpenError::from)?;
        let mut watch = |done| {
            role.beat();
            watch(RebuildStep::Reading, done)
        };
        let sources = Sources::read(config, source, accept_loss, true, in_use, &mut watch)?;
        Ok(Self { config: config.clone(), sources, accept_loss, role, _alone: alone })
    }

    /// What was found, and what is about to be done.
    pub fn plan(&self) -> &RebuildPlan {
        &self.sources.plan
    }

    /// Does it. From rows, it is one transaction. Otherwise a new database is made beside the old one, and takes its place by
    /// one transaction at the end: whoever reads meanwhile, by whatever connection, sees the old state or the new one.
    ///
    /// # Errors
    /// [`RebuildError`]: rows would be lost, it was interrupted, or something can't be read or written. Everything is as it
    /// was then, but for records that waited in the log: those that are folded stay so.
    pub fn run(self, watch: &mut RebuildWatch<'_>) -> Result<Rebuilt, RebuildError> {
        if !self.sources.plan.losses.is_empty() && !self.accept_loss {
            return Err(RebuildError::WouldLose(Box::new(self.sources.plan)));
        }
        file_limit::as_an_error(|| match self.sources.plan.action {
            Action::Rows => self.derive(watch).map(Rebuilt::Rows),
            Action::Log => self.replace(watch).map(Rebuilt::Log),
            Action::Salvage => self.replace(watch).map(Rebuilt::Salvage),
        })
    }

    fn derive(self, watch: &mut RebuildWatch<'_>) -> Result<RowsReport, RebuildError> {
        let Self { config, sources, mut role, .. } = self;
        let (waiting, store) = (sources.plan.log.waiting_records.rows, sources.store);
        let left_logs = sources.plan.log.left_logs.clone();
        // The folders' locks go with it.
        drop(sources);
        remove_leftovers(&config.dir).map_err(OpenError::from)?;
        let shrinks = RowRetention::new(&config.limits()).is_limited();
        let mut index = Index::open_as(&config, store, shrinks)?;
        let rebuilt = index.rebuild(&mut |done| {
            role.beat();
            watch(RebuildStep::Folding, done)
        })?;
        drop(index);
        role.note_sound();
        if let (Some(store), true) = (store, waiting > 0) {
            let health = Arc::new(HealthBoard::default());
            let give_up = Arc::new(AtomicBool::new(false));
            let how = Waiting { build: Build::THIS, keeps_every_row: false, deadline: None, give_up };
            if !fold_waiting(&config, store, &how, &health)? {
                return Err(RebuildError::Stalled(health.get().to_string()));
            }
        }
        Ok(RowsReport { rebuilt, folded_records: waiting, left_logs })
    }

    fn replace(self, watch: &mut RebuildWatch<'_>) -> Result<RefoldReport, RebuildError> {
        let Self { config, sources, mut role, .. } = self;
        let (limits, limits_from) = (sources.told.limits(), sources.limits_from);
        let RebuildPlan { action, database, log, losses, .. } = sources.plan.clone();
        let only_here = database.table("request_rows").map_or(0, |holdings| holdings.only_here.rows);
        let moved_to = make(sources, &mut |step, done| {
            role.beat();
            match role.expect_in_place(&config.dir) {
                Ok(()) => watch(step, done),
                // Somebody else may fold into the old one meanwhile.
                Err(_) => ControlFlow::Break(()),
            }
        })?;
        role.note_sound();
        let query = Query::open(&config.dir)?;
        let expired = query.read_with(expiry_plan::expired)?;
        let totals = query.totals()?;
        Ok(RefoldReport {
            requests: totals.requests,
            sessions: totals.sessions,
            salvaged_requests: if action == Action::Salvage { only_here } else { 0 },
            segments: log.segments + log.quarantined_segments,
            records_before_log: log.records_before_log,
            expired_requests: expired.map_or(0, |(_, late_requests)| late_requests),
            kept_since: expired.map(|(kept_since, _)| kept_since),
            limits,
            limits_from,
            losses,
            left_logs: log.left_logs,
            moved_to,
        })
    }
}

/// Makes the database of the store in `config.dir` anew: [`Rebuild::prepare`] and [`Rebuild::run`], for who does not want to
/// know what is found before. Nothing is done where rows would be lost.
///
/// # Errors
/// As those two.
pub fn rebuild(
    config: &Config,
    source: Source,
    mut watch: impl FnMut(RebuildStep, f64) -> ControlFlow<()>,
) -> Result<Rebuilt, RebuildError> {
    Rebuild::prepare(config, source, false, &mut watch)?.run(&mut watch)
}

/// An error where the database is of an older version, and another process has the store open, which may not know the new one.
fn be_alone_to_outdate(dir: &Path) -> Result<Option<StoreLock>, PathError> {
    let (path, build) = (dir.join(DATABASE_NAME), Build::THIS);
    if !build.outdates(&path)? {
        return Ok(None);
    }
    StoreLock::take_alone(dir)?.map(Some).ok_or_else(|| build.not_alone(&path))
}

/// An error where there is neither a log nor a database, before anything is created.
fn expect_store(config: &Config) -> Result<(), RebuildError> {
    let database = config.dir.join(DATABASE_NAME);
    // What nobody may look at is not absent.
    let looked = |path: &Path| path.try_exists().at("look at", path).map_err(OpenError::from);
    let mut has_log = false;
    for dir in [config.wal_dir(), config.kept_dir(), config.quarantine_dir()] {
        if looked(&dir)? {
            let found = writer_folders(&dir).map_err(OpenError::from)?;
            has_log |= !found.folders.is_empty() || !found.old_layout.is_empty();
        }
    }
    if has_log || looked(&database)? { Ok(()) } else { Err(IndexError::Missing { path: database, has_log }.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::database;
    use crate::store::Store;
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn config(dir: &Path) -> Config {
        let mut config = Config::new(dir);
        config.keep_segments_bytes = Some(u64::MAX);
        config
    }

    /// Records a request, and ends.
    fn record(config: &Config, request_id: &str) {
        let store = Store::open(config.clone()).unwrap();
        store.recorder().record(crate::Request::new(request_id, 1, "files", "tools/call"));
        store.wait_folded(PATIENCE).unwrap();
        store.shutdown(PATIENCE);
    }

    fn from_log(config: &Config) -> RefoldReport {
        let mut watch = |_, _| ControlFlow::Continue(());
        let prepared = Rebuild::prepare(&Config::new(&config.dir), Source::Log, true, &mut watch).unwrap();
        match prepared.run(&mut watch).unwrap() {
            Rebuilt::Log(report) => report,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_database_made_from_the_log_shrinks_if_the_one_before_did() {
        for database_bytes_max in [None, Some(1 << 40)] {
            let dir = tempfile::tempdir().unwrap();
            let mut config = config(&dir.path().join("data"));
            config.database_bytes_max = database_bytes_max;
            record(&config, "request");
            assert_eq!(from_log(&config).requests, 1);
            assert_eq!(database::shrinks(&config.dir.join(DATABASE_NAME)), database_bytes_max.is_some());
        }
    }

    #[test]
    fn another_stores_log_is_left_where_it_lies_and_the_others_are_folded() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (config(&dir.path().join("ours")), config(&dir.path().join("theirs")));
        ["1", "2", "3"].into_iter().for_each(|request_id| record(&ours, request_id));
        record(&theirs, "theirs");
        let strayed = writer_folders(&theirs.kept_dir()).unwrap().folders.remove(0);
        let place = |parent: PathBuf| parent.join(strayed.path.file_name().unwrap());
        for parent in [ours.kept_dir(), ours.quarantine_dir()] {
            crate::ground::private_dir::create_private_dir(&parent).unwrap();
            std::fs::create_dir(place(parent.clone())).unwrap();
            for file in crate::segment::list(&strayed.path).unwrap() {
                std::fs::copy(&file.path, place(parent.clone()).join(file.path.file_name().unwrap())).unwrap();
            }
            assert_eq!(from_log(&ours).requests, 3, "{parent:?}");
            assert!(place(parent.clone()).exists());
            std::fs::remove_dir_all(place(parent)).unwrap();
        }
    }

    #[test]
    fn a_rebuild_takes_the_role_from_who_folds_and_those_who_record_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(&dir.path().join("data"));
        let stores = [0, 1].map(|_| Store::open(config.clone()).unwrap());
        let record = |round: usize| {
            for (at, store) in stores.iter().enumerate() {
                let request_id = format!("{round} of {at}");
                store.recorder().record(crate::Request::new(&request_id, 1, "files", "tools/call"));
            }
        };
        let requests = || Query::open(&config.dir).unwrap().totals().unwrap().requests;
        for round in 0..5 {
            record(round);
            stores.iter().for_each(|store| store.flush(PATIENCE).unwrap());
            // What is recorded meanwhile is in the log, and folded when the role is free again.
            let mut has_recorded = false;
            let mut watch = |_, _| {
                if !std::mem::replace(&mut has_recorded, true) {
                    record(round + 100);
                }
                ControlFlow::Continue(())
            };
            let source = if round % 2 == 0 { Source::Log } else { Source::BestKept };
            let prepared = Rebuild::prepare(&Config::new(&config.dir), source, true, &mut watch).unwrap();
            prepared.run(&mut watch).unwrap();
            stores.iter().for_each(|store| store.wait_folded(PATIENCE).unwrap());
            assert_eq!(requests(), (round as i64 + 1) * 4);
        }
        let [one, other] = stores;
        assert!(one.stats().health.is_ok() && other.stats().health.is_ok(), "{:?} {:?}", one.stats(), other.stats());
        [one, other].into_iter().for_each(|store| _ = store.shutdown(PATIENCE));
        assert_eq!(from_log(&config).requests, 20);
    }
}
