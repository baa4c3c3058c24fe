//! A turn of expiring: it looks whether anything is too old or too much, and steps through the stages.
//!
//! Runs on the compactor, between batches. `expiry.rs` has the stages.

use super::database::Index;
use super::expiry::{self, Stage};
use super::expiry_plan;
use super::held::Held;
use super::row_retention::{CutReason, RetentionTime, RowRetention};
use crate::ground::error::IndexError;
use crate::ground::expired::{Expired, ExpiredRows, ExpiryReason};
use crate::ground::machine_clock::Moment;
use crate::ground::position::WriterId;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// How often to look whether anything is too old or too much.
const LOOK_INTERVAL: Duration = if cfg!(test) { Duration::from_millis(10) } else { Duration::from_secs(10) };
/// How long steps follow each other before folding has its turn. The last step may begin just before that, so a turn
/// ends within 50 ms.
const TURN: Duration = Duration::from_millis(10);

/// When a turn looks whether anything is expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// If nobody looked lately.
    Seldom,
    /// At once.
    Now,
}

impl Index {
    /// The same index, but expiring no longer waits for the disk: a thread of its own copies SQLite's WAL, and wakes
    /// the calling thread when a copy ends.
    pub(crate) fn with_copying_thread(mut self) -> Self {
        self.copier.use_own_thread();
        self
    }

    /// Whether that thread is copying SQLite's WAL. Making anything durable waits until the copy is made.
    pub(crate) fn is_copying(&self) -> bool {
        self.copier.is_copying()
    }

    /// What time it is for what is kept for `age_ms`; the clock's time where nothing goes by its age.
    pub(crate) fn retention_time(&mut self, age_ms: Option<u64>, now: Moment) -> Result<RetentionTime, IndexError> {
        let time = self.held.ages.time(&self.connection, age_ms, now);
        let time = self.checked(time)?;
        let saved = if self.held.ages.is_save_due(age_ms) {
            self.within_transaction(|transaction, held| held.ages.save(transaction, age_ms))
        } else {
            Ok(())
        };
        if let Err(error) = saved {
            // On a full disk, say: then what is expired must go all the same, to make room. The next look tries again.
            tracing::debug!(%error, "the believed time is not saved");
        }
        Ok(time)
    }

    /// Removes what is expired, for some milliseconds; returns whether there is more to do at once. Of the
    /// `present` writers files may be there: segments in `wal/`, or damaged ones in `quarantine/`. They were looked for
    /// before `wal/` was last synced, so that no other folder comes back after a power cut.
    pub(crate) fn expire(
        &mut self,
        look: Look,
        retention: &RowRetention,
        time: RetentionTime,
        present: &HashSet<WriterId>,
    ) -> Result<bool, IndexError> {
        if self.checked(self.copier.is_busy())? {
            return Ok(false);
        }
        self.held.expiry.present = Some(present.clone());
        if self.held.expiry.stage == Stage::Look {
            let looked_lately = self.held.expiry.looked_at.is_some_and(|looked_at| looked_at.elapsed() < LOOK_INTERVAL);
            if (looked_lately && look == Look::Seldom) || !retention.is_limited() || !self.look(retention, time)? {
                return Ok(false);
            }
        }
        let turn = Instant::now();
        let mut is_copied = false;
        while self.held.expiry.stage != Stage::Look && turn.elapsed() < TURN && !is_copied {
            self.step(retention)?;
            is_copied = self.copier.copy_if_due();
        }
        Ok(!is_copied)
    }

    /// Whether the database is so much larger than it may be that nothing is folded before what goes is gone.
    pub(crate) fn is_overfull(&self, retention: &RowRetention) -> Result<bool, IndexError> {
        if !retention.limits_bytes() {
            return Ok(false);
        }
        Ok(retention.is_overfull(self.checked(expiry_plan::size(&self.connection))?))
    }

    /// What expired since the database was opened.
    pub(crate) fn expired(&self) -> &Expired {
        &self.held.expiry.expired
    }

    /// The time of the newest request that is not from later than `now_ms`, in Unix milliseconds.
    pub(crate) fn newest_request(&self, now_ms: i64) -> Result<Option<i64>, IndexError> {
        let sql = "SELECT max(ts) FROM request_rows WHERE ts <= ?1";
        let newest =
            self.connection.prepare_cached(sql).and_then(|mut newest| newest.query_row([now_ms], |row| row.get(0)));
        self.checked(newest)
    }

    /// Takes back since when requests are kept, where that is later than the clock says: somebody set the clock back. What is
    /// recorded from now on would come too late, and be counted and not folded.
    pub(crate) fn take_back(&mut self, retention: &RowRetention, now_ms: i64) -> Result<(), IndexError> {
        if self.held.expiry.kept_since > now_ms {
            self.look(retention, RetentionTime::of_clock(now_ms))?;
        }
        Ok(())
    }

    /// Removes all that an expiry under way still has to remove.
    pub(crate) fn finish_expiring(&mut self) -> Result<(), IndexError> {
        let unlimited = RowRetention::UNLIMITED;
        while self.held.expiry.stage != Stage::Look {
            self.step(&unlimited)?;
        }
        Ok(())
    }

    /// Looks whether anything is expired by now, and if so begins to expire it; returns whether it began.
    fn look(&mut self, retention: &RowRetention, time: RetentionTime) -> Result<bool, IndexError> {
        self.held.expiry.looked_at = Some(Instant::now());
        let state =
            self.checked(expiry_plan::database_state(&self.connection, retention, self.held.expiry.kept_since))?;
        let Some(cut) = retention.cut(state, time) else {
            let has_stale = std::mem::take(&mut self.held.expiry.has_stale);
            if has_stale {
                self.held.expiry.stage = Stage::Cells;
            }
            return Ok(has_stale);
        };
        tracing::debug!(kept_since = cut.kept_since, reason = ?cut.reason, "what is older expires");
        self.begin_expiring(cut.kept_since)?;
        self.held.expiry.reason = match cut.reason {
            CutReason::Age => ExpiryReason::Age,
            CutReason::Size => ExpiryReason::Size,
            CutReason::Clock => ExpiryReason::UnderWay,
        };
        Ok(true)
    }

    /// From now on, requests from before `kept_since` (Unix milliseconds) are expired, and are not folded any more. Nothing
    /// happens where somebody else wrote since that was decided: the next look decides anew.
    pub(crate) fn begin_expiring(&mut self, kept_since: i64) -> Result<(), IndexError> {
        let decided_on = self.held.expiry.kept_since;
        self.within_transaction(|transaction, held| {
            if held.expiry.kept_since != decided_on {
                return Ok(());
            }
            let sql = "INSERT INTO retention (id, kept_since, late_requests) VALUES (1, ?1, 0)
                       ON CONFLICT (id) DO UPDATE SET kept_since = ?1";
            transaction.execute(sql, [kept_since])?;
            held.expiry.kept_since = kept_since;
            held.expiry.stage = Stage::Cells;
            held.expiry.has_stale = false;
            Ok(())
        })
    }

    /// Makes one step, in one transaction.
    pub(super) fn step(&mut self, retention: &RowRetention) -> Result<(), IndexError> {
        let started = Instant::now();
        let (stage, next, gone) = match self.held.expiry.stage {
            Stage::Pages => {
                let Held { expiry, .. } = &self.held;
                let next = expiry::give_pages_back(&self.connection, retention, expiry.step_size);
                let gone = ExpiredRows::none(expiry.reason);
                (Stage::Pages, self.checked(next)?, gone)
            }
            _ => self.within_transaction(|transaction, Held { names, expiry, .. }| {
                // Where somebody else wrote, another stage is due.
                let (next, gone) = expiry::step(transaction, names, expiry)?;
                Ok((expiry.stage, next, gone))
            })?,
        };
        let expiry = &mut self.held.expiry;
        expiry.expired.add(&gone);
        let took = started.elapsed();
        expiry.step_size = expiry.step_size.after(took);
        tracing::trace!(?stage, took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX), "expired some");
        if next == Stage::Look {
            // A database that was too large may still be too large: the next look comes at once.
            expiry.looked_at = None;
            // Emptying the WAL makes the database's file shorter.
            let emptied = self.copier.empty(&self.connection);
            self.checked(emptied)?;
        }
        self.held.expiry.stage = next;
        Ok(())
    }
}
