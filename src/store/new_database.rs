//! A database that is made anew beside the living one, and takes its place at the end, in one step.
//!
//! Everything is made in `rebuild/` within the store's directory: whatever ends the process before the last step leaves the
//! store as it was and that folder, which the next one who rebuilds, or opens the store, removes. Runs on the thread that
//! rebuilds, under the store's lock.

use super::rebuild_plan::{Action, DatabaseState};
use super::rebuild_sources::{ReadLog, Sources};
use crate::compactor::log_fold::fold_log;
use crate::ground::config::Config;
use crate::ground::error::{AtPath, IndexError};
use crate::ground::file_time::written_at_ms;
use crate::ground::position::WriterId;
use crate::ground::private_dir::create_private_dir;
use crate::ground::work::{Watch, WorkError};
use crate::index::checkpoint::Checkpoint;
use crate::index::database::{self, DATABASE_NAME, Index};
use crate::index::leftovers::{WORK_DIR, remove_leftovers};
use crate::index::replacement::{copy_aside, replace};
use crate::index::restore::Old;
use crate::index::row_retention::RowRetention;
use crate::segment::directory::sync_directory;
use crate::segment::log_item::Owner;
use std::collections::HashSet;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// The endings of the names of a database's files, the companions first. One that stayed behind would be taken for the new
/// database's; a database without them is only older than it was.
const COMPANIONS: [&str; 3] = ["-shm", "-wal", ""];

/// What is under way, for who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RebuildStep {
    /// The database and the log are read.
    Reading,
    /// The log is folded.
    Folding,
    /// Rows of the old database are brought over.
    Salvaging,
    /// The old database is copied into `quarantine/`.
    Copying,
    /// The new database takes the place of the old one.
    Replacing,
}

/// Who watches a rebuild: told now and then what is under way and how much of that is done, from 0 to 1. Breaking off leaves
/// everything as it was.
pub type RebuildWatch<'w> = dyn FnMut(RebuildStep, f64) -> ControlFlow<()> + 'w;

/// Makes the new database and puts it in the place of the old one. Returns where a copy of the old one is, if what was in it
/// is not all in the new one.
pub(super) fn make(sources: Sources, watch: &mut RebuildWatch<'_>) -> Result<Option<PathBuf>, WorkError> {
    let dir = sources.told.dir.clone();
    remove_leftovers(&dir)?;
    let made = make_in(&dir.join(WORK_DIR), sources, watch);
    let removed = remove_leftovers(&dir);
    let moved_to = made?;
    removed?;
    Ok(moved_to)
}

fn make_in(work_dir: &Path, sources: Sources, watch: &mut RebuildWatch<'_>) -> Result<Option<PathBuf>, WorkError> {
    let dir = sources.told.dir.clone();
    create_private_dir(work_dir)?;
    let living = dir.join(DATABASE_NAME);
    let state = sources.plan.database.state;
    let is_complete = sources.plan.losses.is_empty() && state == DatabaseState::Sound;
    build(work_dir, &sources, watch)?;
    // Nobody in this process may have the old one open when the new one takes its place.
    drop(sources);
    let new = work_dir.join(DATABASE_NAME);
    let mut moved_to = None;
    if !living.exists() {
        put_in_place(&dir, &new, &living)?;
    } else {
        if !is_complete && state != DatabaseState::Missing {
            moved_to = Some(keep_aside(&dir, work_dir, &living, &mut |done| watch(RebuildStep::Copying, done))?);
        }
        let is_damaged = matches!(state, DatabaseState::Damaged | DatabaseState::Unreadable | DatabaseState::Missing);
        let replaced = replace(&living, &new, is_damaged, &mut |done| watch(RebuildStep::Replacing, done));
        if let (Err(_), Some(copy)) = (&replaced, &moved_to) {
            // The living one is what it was; it needs no copy.
            remove_database(copy);
        }
        replaced?;
    }
    Ok(moved_to)
}

/// Makes the new database.
fn build(work_dir: &Path, sources: &Sources, watch: &mut RebuildWatch<'_>) -> Result<(), WorkError> {
    let Sources { plan, told, kept_since, store, query, old, logs, contents, .. } = sources;
    let mut beside: Config = told.clone();
    beside.dir = work_dir.to_owned();
    let shrinks = database::shrinks(&plan.database.path) || RowRetention::new(&told.limits()).is_limited();
    let mut index = Index::open_as(&beside, *store, shrinks)?;
    if let Some(kept_since) = kept_since {
        index.begin_expiring(*kept_since)?;
    }
    index.restore_meta(&old.meta)?;
    let count = logs.len().max(1) as f64;
    for (at, ReadLog { found, end, lost }) in logs.iter().enumerate() {
        let mut watch = |done| watch(RebuildStep::Folding, (at as f64 + done) / count);
        fold_log(&mut index, &found.files, *store, end.place, lost, &mut watch)?;
    }
    if let Some(query) = query {
        let mut watch = |done| watch(RebuildStep::Salvaging, done);
        query.read_with(|connection| {
            let told = Old { connection, path: query.path(), runs: &old.runs, last_possible: old.last_id };
            let is_expired_alike = kept_since.is_some() && *kept_since == old.kept_since;
            Ok(index.restore_writers(&told, &contents.logged, &mut watch).and_then(|()| match plan.action {
                Action::Salvage => index.restore(&told, &contents.logged, &mut watch),
                _ if is_expired_alike => index.restore_expired(&told, &mut watch),
                _ => Ok(()),
            }))
        })??;
    }
    index.finish_expiring()?;
    note_ends(&mut index, sources)
}

/// Notes how far each log is folded now, which of the old one's are lost although they have no file any more, and which
/// writers are dead.
fn note_ends(index: &mut Index, sources: &Sources) -> Result<(), WorkError> {
    let Sources { old, logs, .. } = sources;
    let found: HashSet<WriterId> = logs.iter().map(|log| log.found.files.writer).collect();
    let mut batch = index.begin()?;
    for (writer, runs) in old.missing.iter().filter(|(writer, _)| !found.contains(writer)) {
        for run in runs {
            let (before, behind) = run.times.unzip();
            batch.note_missing(*writer, (run.first, run.last), before, behind)?;
        }
    }
    for (writer, folded) in old.checkpoints.iter().filter(|(writer, _)| !found.contains(writer)) {
        let from = batch.checkpoint(*writer)?;
        batch.reached(*writer, from, *folded)?;
    }
    for ReadLog { found, end, .. } in logs {
        let writer = found.files.writer;
        let here = end.checkpoint();
        // What the files do not have any more may have been folded further. What waits is folded again by whom it is for,
        // unless its rows are here.
        let is_ahead = |before: &&Checkpoint| before.sequence > here.sequence && !sources.goes_on(end);
        let before = old.checkpoints.get(&writer).filter(is_ahead);
        if let Some(last_ts) = end.last_ts {
            batch.note_last(writer, last_ts)?;
        }
        let from = batch.checkpoint(writer)?;
        batch.reached(writer, from, before.copied().unwrap_or(here))?;
        if found.files.owner == Owner::Dead && !found.is_in_wal() && end.waits.is_none() {
            let written_at = found.files.files.last().and_then(|file| written_at_ms(&file.path));
            if let Some(died_at) = end.last_ts.or(written_at) {
                batch.end_writer(writer, died_at)?;
            }
        }
    }
    Ok(batch.commit()?)
}

/// Puts a new database where there is none.
fn put_in_place(dir: &Path, new: &Path, living: &Path) -> Result<(), WorkError> {
    let companions = COMPANIONS.map(|companion| beside(living, companion));
    // What is left of a database that is gone would be taken for the new one's.
    if companions.iter().any(|path| path.symlink_metadata().is_ok()) {
        let to = free_name(dir)?;
        for companion in COMPANIONS {
            match std::fs::rename(beside(living, companion), beside(&to, companion)) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                renamed => renamed.at("move to quarantine", living)?,
            }
        }
    }
    std::fs::File::open(new).and_then(|file| file.sync_all()).at("sync", new)?;
    std::fs::rename(new, living).at("put in place", living)?;
    Ok(sync_directory(dir)?)
}

/// Copies the database into `quarantine/`, as it is. It gets there once it is whole: what is left of a copy that was broken
/// off lies in `work_dir`, with everything else that the next rebuild removes.
fn keep_aside(dir: &Path, work_dir: &Path, living: &Path, watch: &mut Watch<'_>) -> Result<PathBuf, WorkError> {
    let copy = work_dir.join("aside.db");
    match copy_aside(living, &copy, watch) {
        // SQLite does not take it for a database: its bytes are copied.
        Err(WorkError::Index(IndexError::Sqlite { .. })) => {
            remove_database(&copy);
            copy_files(living, &copy)?;
        }
        copied => copied?,
    }
    let to = free_name(dir)?;
    for companion in ["-wal", ""] {
        match std::fs::rename(beside(&copy, companion), beside(&to, companion)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            renamed => renamed.at("move to quarantine", &to)?,
        }
    }
    to.parent().map_or(Ok(()), sync_directory)?;
    Ok(to)
}

fn copy_files(living: &Path, to: &Path) -> Result<(), WorkError> {
    for companion in ["-wal", ""] {
        let (from, to) = (beside(living, companion), beside(to, companion));
        match std::fs::copy(&from, &to) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            copied => copied.at("copy", &from)?,
        };
        std::fs::File::open(&to).and_then(|file| file.sync_all()).at("sync", &to)?;
    }
    if let Some(dir) = to.parent() {
        sync_directory(dir)?;
    }
    Ok(())
}

fn remove_database(path: &Path) {
    for companion in COMPANIONS {
        // Best effort: what stays is a copy that is not needed.
        let _ = std::fs::remove_file(beside(path, companion));
    }
}

/// A name in `quarantine/` that neither a database nor any of its companions has.
fn free_name(dir: &Path) -> Result<PathBuf, WorkError> {
    let quarantine_dir = dir.join("quarantine");
    create_private_dir(&quarantine_dir)?;
    let names = (1_u32..).map(|number| quarantine_dir.join(format!("{DATABASE_NAME}.{number}")));
    let is_free =
        |name: &PathBuf| COMPANIONS.iter().all(|companion| beside(name, companion).symlink_metadata().is_err());
    Ok(names.into_iter().find(is_free).unwrap_or_else(|| quarantine_dir.join(DATABASE_NAME)))
}

fn beside(path: &Path, companion: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(companion);
    name.into()
}
