//! A database that is made anew beside the living one, and takes its place at the end, in one step.
//!
//! Everything is made in `rebuild/` within the store's directory: whatever ends the process before the last step leaves the
//! store as it was and that folder, which the next one who rebuilds, or opens the store, removes. Runs on the thread that
//! rebuilds, under the store's lock.

use super::leftovers::{WORK_DIR, remove_leftovers};
use super::rebuild_plan::{Action, DatabaseState};
use super::rebuild_sources::Sources;
use crate::compactor::log_fold::fold_log;
use crate::ground::config::Config;
use crate::ground::error::{AtPath, IndexError};
use crate::ground::position::{Offset, SegmentId, WriterId};
use crate::ground::private_dir::create_private_dir;
use crate::ground::random_uuid::random_uuid;
use crate::ground::work::{Watch, WorkError};
use crate::index::checkpoint::Checkpoint;
use crate::index::database::{self, DATABASE_NAME, Index};
use crate::index::replacement::{copy_aside, replace};
use crate::index::restore::Old;
use crate::index::row_retention::RowRetention;
use crate::segment::directory::sync_directory;
use crate::segment::format::FRAMES_OFFSET;
use crate::segment::log_owners::LogOwners;
use crate::segment::quarantine::note_folded;
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
    let aside: Vec<_> =
        sources.segments.iter().filter(|segment| segment.is_aside).map(|segment| segment.path.clone()).collect();
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
    // From here on nothing can be lost any more: what fails is done by the next one.
    aside.iter().try_for_each(|segment| note_folded(segment))?;
    Ok(moved_to)
}

/// Makes the new database.
fn build(work_dir: &Path, sources: &Sources, watch: &mut RebuildWatch<'_>) -> Result<(), WorkError> {
    let Sources { plan, told, kept_since, owner, query, old, segments, contents, lost, .. } = sources;
    let mut beside: Config = told.clone();
    beside.dir = work_dir.to_owned();
    let shrinks = database::shrinks(&plan.database.path) || RowRetention::new(&told.limits()).is_limited();
    let mut index = Index::open_as(&beside, &LogOwners::default(), shrinks)?;
    if let Some(kept_since) = kept_since {
        index.begin_expiring(*kept_since)?;
    }
    index.restore_meta(&old.meta)?;
    let last = sources.last_sequence;
    // Rows keep the numbers of their records: whoever records next must not begin at the first number again.
    let writer_id: Option<WriterId> = match owner {
        None if last.0 > 0 => Some(WriterId(random_uuid(work_dir)?)),
        owner => *owner,
    };
    if let Some(writer_id) = writer_id {
        fold_log(&mut index, segments, lost, writer_id, &mut |done| watch(RebuildStep::Folding, done))?;
        if let Some(query) = query {
            let mut watch = |done| watch(RebuildStep::Salvaging, done);
            query.read_with(|connection| {
                let last_possible = i64::try_from(last.0).unwrap_or(i64::MAX);
                let old = Old { connection, path: query.path(), last_possible, owner: writer_id };
                Ok(match plan.action {
                    Action::Salvage => index.restore(&old, &contents.logged, &mut watch),
                    _ => {
                        let is_expired_alike = kept_since.is_some() && *kept_since == sources.old.kept_since;
                        index.restore_gaps_outside(&old, &contents.logged, &mut watch).and_then(|()| {
                            if is_expired_alike { index.restore_expired(&old, &mut watch) } else { Ok(()) }
                        })
                    }
                })
            })??;
        }
        index.finish_expiring()?;
        let mut batch = index.begin()?;
        if let Some(last_ts) = contents.last_ts {
            batch.note_last(writer_id, last_ts)?;
        }
        let from = batch.checkpoint(writer_id)?;
        batch.reached(writer_id, from, checkpoint(sources))?;
        batch.commit()?;
    }
    Ok(())
}

/// Everything that there is is folded.
fn checkpoint(sources: &Sources) -> Checkpoint {
    let sequence = sources.last_sequence;
    let here = sources.contents.end.map(|(segment, offset)| Checkpoint { segment, offset, sequence });
    let before = sources.old.checkpoint.map(|checkpoint| Checkpoint { sequence, ..checkpoint });
    let nowhere = Checkpoint { segment: SegmentId(0), offset: Offset(FRAMES_OFFSET), sequence };
    here.into_iter().chain(before).max_by_key(|checkpoint| checkpoint.segment).unwrap_or(nowhere)
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
