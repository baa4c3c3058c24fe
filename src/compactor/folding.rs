//! Folding itself: what a process does, and remembers, while it folds for all.
//!
//! Runs on the compactor, which makes it when it takes the role and drops it when the role goes: nothing of it outlives
//! that. When the database fails, what was not committed is read again from the checkpoints; the logs go on meanwhile.

use super::clean_up::{CleanUp, FailedCleanUp};
use super::copies::Copies;
use super::fold_error::FoldError;
use super::fold_interval::{self, Backlog};
use super::folder_task::Role;
use super::handles::CompactorHandles;
use super::log_fronts;
use super::newer_records::NewerRecords;
use super::retirement::{RetireError, Retirement};
use super::round::Round;
use super::source::Source;
use super::sources::{BATCH_RECORDS, Sources};
use crate::ground::config::Config;
use crate::ground::error::IndexError;
use crate::ground::health::Part;
use crate::ground::limits::{Limit, Limits};
use crate::ground::position::{StoreId, WriterId};
use crate::ground::room::{Reserve, TooLittle};
use crate::index::database::{DATABASE_NAME, Index};
use crate::index::expiry_turn::Look;
use crate::index::leftovers::remove_leftovers;
use crate::index::row_retention::{RetentionTime, RowRetention};
use crate::segment::folded_hint;
use std::time::{Duration, Instant};

/// How often to look without being woken: nobody tells of what other processes record.
pub(super) const IDLE: Duration = Duration::from_millis(250);
/// How long to wait before a clean-up that failed is tried again.
const CLEAN_UP_RETRY: Duration = Duration::from_secs(1);
/// How long a process that ends goes on with what others left, once its own log is folded.
const FINISH_OTHERS: Duration = Duration::from_millis(200);

/// The state.
pub(crate) struct Folding {
    store: StoreId,
    role: Role,
    index: Index,
    handles: CompactorHandles,
    sources: Sources,
    retirement: Retirement,
    newer_records: NewerRecords,
    /// Whatever the store was told, no row goes.
    keeps_every_row: bool,
    /// What is recorded happened earlier.
    is_import: bool,
    /// Folding waits until what goes is gone, because the database is too large.
    is_overfull: bool,
    copies: Copies,
    reserve: Reserve,
    /// Folding waits, because there is so little room.
    too_little_room: Option<TooLittle>,
    /// When the last round was committed that left nothing behind; `None` while there may be more to fold at once.
    caught_up_at: Option<Instant>,
    /// The clean-up failed, and is tried again in a while.
    failed_clean_up: Option<FailedCleanUp>,
    /// Since when this process ends.
    finishing_since: Option<Instant>,
    /// What was said of folding is of before: it is over with the first commit.
    is_trouble_old: bool,
}

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worked {
    /// There is more to do at once.
    More,
    /// There is nothing to do for so long.
    Idle(Duration),
    /// A process that ends has nothing more to do here.
    Through,
}

impl Folding {
    /// Opens the database, to fold in that role.
    pub(super) fn open(
        config: &Config,
        store: StoreId,
        role: Role,
        handles: &CompactorHandles,
    ) -> Result<Self, FoldError> {
        if role == Role::Holder
            && let Err(error) = remove_leftovers(&config.dir)
        {
            // Nobody needs it to be gone.
            tracing::warn!(%error, "what a rebuild left that was broken off stays");
        }
        let mut index = Self::open_index(config, store, handles)?;
        log_fronts::settle_fronts(&mut index, config, store)?;
        index.note_step_back(handles.clock.now().wall_ms)?;
        if let Some(advice) = index.limits_advice() {
            tracing::warn!("{advice}");
        }
        handles.health.note(Part::Limits, index.limits_advice().map(str::to_owned));
        Ok(Self::with(index.with_copying_thread(), config, store, role, handles))
    }

    /// Opens the database, and brings it up to date where no other process has the store open: those may not know it then.
    fn open_index(config: &Config, store: StoreId, handles: &CompactorHandles) -> Result<Index, FoldError> {
        let (path, build) = (config.dir.join(DATABASE_NAME), &handles.build);
        let _alone = match &handles.lock {
            Some(lock) if build.outdates(&path)? => {
                let Some(alone) = lock.alone()? else { return Err(FoldError::NotAlone(build.not_alone(&path))) };
                Some(alone)
            }
            _ => None,
        };
        Ok(Index::open_by(config, store, &build.schema, &|| log_fronts::look(config, store))?)
    }

    /// The same with a database that is open.
    fn with(index: Index, config: &Config, store: StoreId, role: Role, handles: &CompactorHandles) -> Self {
        Self {
            store,
            role,
            index,
            handles: handles.clone(),
            sources: Sources::new(config.wal_dir(), role, handles.build.level),
            retirement: Retirement::new(config, store),
            newer_records: NewerRecords::new(handles.build.decode, std::sync::Arc::clone(&handles.health)),
            keeps_every_row: false,
            is_import: config.is_import,
            is_overfull: false,
            copies: Copies::new(config),
            reserve: Reserve::new(config),
            too_little_room: None,
            caught_up_at: None,
            failed_clean_up: None,
            finishing_since: None,
            is_trouble_old: true,
        }
    }

    /// The same, which lets nothing of the log go, whatever the store was told.
    pub(super) fn keeping_log(mut self) -> Self {
        self.index.keep_log();
        self
    }

    /// The same, which lets no row go, whatever the store was told: what it makes is a copy, and has everything.
    pub(super) fn keeping_every_row(mut self) -> Self {
        self.keeps_every_row = true;
        self
    }

    /// Folds, if the records have gathered for long enough, and cleans up, also while they gather. Rows that are yet to
    /// expire when a process ends are removed by the next one who folds.
    pub(super) fn work(&mut self, finishing: bool) -> Result<Worked, FoldError> {
        let worked = self.work_once(finishing);
        if worked.is_err() {
            self.undo();
            self.is_trouble_old = true;
        }
        worked
    }

    fn work_once(&mut self, finishing: bool) -> Result<Worked, FoldError> {
        let now = Instant::now();
        self.finishing_since = finishing.then(|| self.finishing_since.unwrap_or(now));
        let own = self.handles.progress.writer();
        self.sources.refresh(&self.index, own.filter(|_| finishing))?;
        if self.role == Role::StandIn {
            let folded = self.pause().is_none() && self.round(own)?;
            return Ok(if folded { Worked::More } else { Worked::Idle(self.pause().unwrap_or(IDLE)) });
        }
        let asked = self.handles.progress.expiry_asked();
        let pause = self.pause().filter(|_| !finishing);
        // Before anything is folded: what time it is may not depend on what this turn brings.
        let time = self.retention_time(asked.is_some())?;
        let waited = self.is_overfull;
        let stepped = if pause.is_none() && !waited { self.step(own, time) } else { Ok(false) };
        let folded = *stepped.as_ref().unwrap_or(&false);
        if let Err(error) = &stepped {
            if error.is_moved() || error.is_corrupt() {
                return stepped.map(|_| Worked::More);
            }
            // On a full disk nothing can be committed, not even that a writer is dead. What is folded goes all the same, and
            // gives room back.
            self.sources.note_undead();
        }
        let cleaned = self.clean_up(finishing, folded, asked.is_some(), time);
        stepped?;
        let expired = cleaned == CleanUp::More;
        // Who is told that it is done asks what it was.
        self.handles.progress.set_expired(self.index.expired());
        // Not where none was tried: a copy that was in the way may have ended since.
        if let Some(asked) = asked.filter(|_| !folded && cleaned == CleanUp::Done && !self.index.is_copying()) {
            self.handles.progress.set_expiry_done(asked);
        }
        self.index.copy_on_schedule();
        self.handles.health.note(Part::DatabaseWal, self.index.held_note());
        self.handles.health.note(Part::Fold, self.sources.left_alone());
        let goes_on = waited && !self.is_overfull;
        Ok(match folded || expired || goes_on {
            _ if finishing && !self.is_overfull && self.is_through(own, folded) => Worked::Through,
            true => Worked::More,
            false => Worked::Idle(pause.unwrap_or(IDLE)),
        })
    }

    /// What keeps the role from being done though no look fails; `None`: all is well. That somebody else is in the way of
    /// the clean-up is no trouble of a process that ends (`finishing`): the next one who folds cleans up.
    pub(super) fn trouble(&self, finishing: bool) -> Option<String> {
        let is_trouble = |failed: &&FailedCleanUp| {
            !finishing || !matches!(&failed.error, RetireError::Index(error) if error.is_busy())
        };
        if let Some(failed) = self.failed_clean_up.as_ref().filter(is_trouble) {
            return Some(format!("what is not needed any more stays: {}", failed.error));
        }
        if let Some(too_little) = self.too_little_room {
            return Some(format!("folding waits: {too_little}"));
        }
        self.index.copy_failure().map(|failure| format!("rows stay in store.db-wal: {failure}"))
    }

    /// What the clean-up found, if it found the database corrupt or another one in its place.
    pub(super) fn take_corrupt(&mut self) -> Option<FoldError> {
        let found =
            |failed: &mut FailedCleanUp| matches!(&failed.error, RetireError::Index(error) if error.is_corrupt());
        match self.failed_clean_up.take_if(found)?.error {
            RetireError::Index(error) => Some(error.into()),
            _ => None,
        }
    }

    /// Whether something fails, for now, that another process may be able to do: a log can't be read, or not be retired.
    pub(super) fn may_lack_something(&self) -> bool {
        self.sources.any_failed() || self.failed_clean_up.is_some()
    }

    /// What was not committed is read again, and what is remembered of the database as well.
    fn undo(&mut self) {
        self.sources.undo();
        self.caught_up_at = None;
    }

    /// Everything that is remembered of the database is read again: somebody else committed.
    pub(super) fn start_anew(&mut self, wal_dir: std::path::PathBuf) {
        self.sources = Sources::new(wal_dir, self.role, self.handles.build.level);
        self.retirement.forget();
        self.newer_records.note_moved();
        self.caught_up_at = None;
    }

    /// Whether everything that is there is folded, by the last look; what lives may have gone on.
    pub(super) fn has_all(&self) -> bool {
        let is_done = |source: &Source| source.is_folded() || source.is_left();
        self.caught_up_at.is_none() && !self.is_stuck() && self.sources.sources.iter().all(is_done)
    }

    /// Whether something can't be folded for now.
    pub(super) fn is_stuck(&self) -> bool {
        self.too_little_room.is_some() || self.is_overfull || self.sources.any_failed()
    }

    /// The same, with a bug: nobody asks whether somebody else folded meanwhile.
    #[cfg(test)]
    pub(super) fn without_fence(mut self) -> Self {
        self.index.plant_old_checkpoints();
        self
    }

    #[cfg(test)]
    pub(super) fn is_copying(&self) -> bool {
        self.index.is_copying()
    }

    /// The next look folds, whatever has gathered.
    pub(super) fn hurry(&mut self) {
        self.caught_up_at = None;
    }

    fn is_through(&self, own: Option<WriterId>, folded: bool) -> bool {
        // Neither folding nor the end of a process waits for the clean-up: it had its turn.
        let progress = &self.handles.progress;
        let is_folded = !folded && progress.folded() >= progress.appended();
        let own_is_through =
            own.is_none_or(|own| is_folded || self.sources.is_closed(own) || self.sources.is_left(own));
        let is_late = self.finishing_since.is_some_and(|since| since.elapsed() >= FINISH_OTHERS);
        own_is_through && (is_late || (!folded && !self.sources.have_more()))
    }

    fn limits(&self) -> Limits {
        self.index.limits()
    }

    fn row_retention(&self) -> RowRetention {
        match self.keeps_every_row {
            true => RowRetention::new(&Limits::of(Limit::unlimited)),
            false => RowRetention::new(&self.limits()),
        }
    }

    /// How long what may be folded should still gather. Of other processes' records nobody knows before they are read.
    fn pause(&self) -> Option<Duration> {
        let progress = &self.handles.progress;
        let own = progress.appended().0.saturating_sub(progress.folded().0);
        let backlog = Backlog {
            records: own.max(1),
            batch_records: BATCH_RECORDS as u64,
            awaited: progress.folding_awaited() || progress.expiry_asked().is_some(),
        };
        fold_interval::pause(backlog, self.caught_up_at?.elapsed())
    }

    /// Folds a round if there is something to fold. `false`: there is nothing to do now.
    fn step(&mut self, own: Option<WriterId>, time: RetentionTime) -> Result<bool, FoldError> {
        let retention = self.row_retention();
        self.index.take_back(&retention, time.now_ms)?;
        if self.newer_records.step(&mut self.index, &self.handles.progress)? {
            return Ok(true);
        }
        self.round(own)
    }

    fn round(&mut self, own: Option<WriterId>) -> Result<bool, FoldError> {
        let seen_at = Instant::now();
        let appended = self.handles.progress.appended();
        let bytes_max = self.row_retention().batch_bytes_max();
        let Self { index, sources, newer_records, reserve, handles, store, .. } = self;
        let mut round = Round::new(index, *store, newer_records, reserve, &handles.health);
        sources.fold(&mut round, own, bytes_max)?;
        let (folded, too_little_room) = round.commit()?;
        self.too_little_room = too_little_room;
        let Some(folded) = folded else {
            self.tell_folded(own);
            // What was read of transactions that did not begin is read again.
            if too_little_room.is_none() && own.is_none_or(|_| self.handles.progress.folded() >= appended) {
                self.handles.progress.set_caught_up(seen_at);
            }
            self.sources.let_go();
            return Ok(false);
        };
        // Of who stands in, that the holder does not move stays to be said.
        if std::mem::take(&mut self.is_trouble_old) && self.role == Role::Holder {
            // Before anybody is told: who waited for folding may ask next whether all is well.
            self.handles.health.clear(Part::Fold);
        }
        self.retirement.note_damaged(folded.damaged);
        self.sources.sources.iter_mut().for_each(Source::commit);
        self.tell_folded(own);
        let has_more = self.sources.have_more();
        self.caught_up_at = (!has_more).then(Instant::now);
        if !has_more {
            self.handles.progress.set_caught_up(seen_at);
        }
        self.sources.let_go();
        Ok(true)
    }

    /// Tells each writer that lives how far its log is folded, also where that is long so: who committed it may have
    /// died before it said so, and this process may not have known yet that a log is its own.
    fn tell_folded(&mut self, own: Option<WriterId>) {
        for source in &mut self.sources.sources {
            let (writer, last) = (source.folder.writer, source.checkpoint.sequence);
            if Some(writer) == own {
                self.handles.progress.set_folded(writer, last);
            } else if !source.is_dead() && source.told < last {
                match folded_hint::write(&source.folder.path, last) {
                    Ok(()) => source.told = last,
                    Err(error) => tracing::debug!(%error, "who records there learns later how far that is folded"),
                }
            }
        }
    }

    /// Retires what is folded, and removes what is expired for a moment. What fails is tried again in a while. While
    /// SQLite's write-ahead log is copied nothing is tried; the end of that wakes this thread. Neither folding nor a
    /// shutdown waits for the clean-up.
    fn clean_up(&mut self, finishing: bool, folded: bool, asked: bool, time: RetentionTime) -> CleanUp {
        let retention = self.row_retention();
        self.is_overfull |= folded && self.index.is_overfull(&retention).unwrap_or(false);
        let is_last = finishing && !folded;
        let was_tried = self.failed_clean_up.as_ref().is_some_and(|failed| failed.at.elapsed() < CLEAN_UP_RETRY);
        if !is_last && (was_tried || self.index.is_copying()) {
            return CleanUp::NotNow;
        }
        let look = if asked || self.is_overfull { Look::Now } else { Look::Seldom };
        let cleaned = self.retire_and_expire(finishing, look, &retention, time);
        let has_more = matches!(cleaned, Ok(true));
        self.newer_records.note_expired(has_more);
        self.failed_clean_up = cleaned.err().map(|error| FailedCleanUp { at: Instant::now(), error });
        // Where nothing more goes, waiting would be for nothing: the newest minute stays.
        self.is_overfull &= has_more || (self.failed_clean_up.is_none() && self.index.is_copying());
        match self.failed_clean_up {
            Some(_) => CleanUp::NotNow,
            None if has_more => CleanUp::More,
            None => CleanUp::Done,
        }
    }

    /// What time it is for what goes by its age. Says so where that is not what the clock says. In an import it is as late
    /// as the newest request, unless everything is to expire.
    fn retention_time(&mut self, everything: bool) -> Result<RetentionTime, IndexError> {
        let age_ms = self.row_retention().age_max_ms().or(self.limits().keep_segments_age_ms);
        let mut time = self.index.retention_time(age_ms, self.handles.clock.now())?;
        if self.is_import && !everything && age_ms.is_some() {
            // Nothing on record is too old before there is anything.
            time.aged_at_ms = self.index.newest_request(time.aged_at_ms)?.unwrap_or(i64::MIN);
        }
        self.handles.health.note(Part::Clock, time.held_back.map(|held_back| held_back.to_string()));
        Ok(time)
    }

    /// Tells whether there is more to let go.
    fn retire_and_expire(
        &mut self,
        finishing: bool,
        look: Look,
        retention: &RowRetention,
        time: RetentionTime,
    ) -> Result<bool, RetireError> {
        let (limits, expired_before) = (self.limits(), self.expired_before(retention, time));
        let Self { index, sources, retirement, .. } = self;
        let retired = retirement.retire(index, sources, &limits, time.aged_at_ms, expired_before);
        let is_database_well = !matches!(retired, Err(RetireError::Index(_)));
        // What is much too much goes before more is folded, also at the end.
        let expires = is_database_well && (!finishing || self.is_overfull);
        let expired = expires && self.index.expire(look, retention, time, &self.sources.writers())?;
        // Rows first: what is expired by now is expired in copies too.
        if let Some(expired_before) = self.expired_before(retention, time).filter(|_| !finishing) {
            self.copies.expire(expired_before)?;
        }
        retired.map(|has_more| has_more || expired)
    }

    /// Before which time everything is expired by its age, in the database and so in copies too: kept segments, and what
    /// lies in `quarantine/`. `None`: nothing goes by its age. What expired for want of room stays in copies, which have
    /// limits of their own.
    fn expired_before(&self, retention: &RowRetention, time: RetentionTime) -> Option<i64> {
        Some(retention.kept_since_by_age(time.aged_at_ms)?.min(self.index.kept_since()))
    }
}
