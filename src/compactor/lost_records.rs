//! Records that are missing before the one that comes next: noted in table `gaps` in the transaction that passes over them.
//!
//! Runs on the compactor. A hole is one row, however many transactions it takes to get past it: what is missing at the end
//! of a segment, and what is in front of the next one. The row says from the outset how many are lost, and until when once
//! a record behind them is folded.

use crate::ground::error::IndexError;
use crate::ground::health::{HealthBoard, Part};
use crate::ground::position::{Sequence, WriterId};
use crate::index::batch::Batch;
use crate::segment::lost_numbers::LostNumbers;

/// Runs of missing records that nothing was folded behind so far, by their first numbers and last.
#[derive(Debug, Default)]
pub(super) struct LostRecords(Vec<(u64, u64)>);

impl LostRecords {
    /// What the table says is missing right before the first record behind `folded`.
    pub(super) fn up_to(batch: &mut Batch<'_>, writer: WriterId, folded: Sequence) -> Result<Self, IndexError> {
        Ok(Self(batch.missing_up_to(writer, folded)?.map(|first| (first.0, folded.0)).into_iter().collect()))
    }

    /// Adds runs, in their order.
    pub(super) fn add(&mut self, runs: &[(u64, u64)]) {
        for (first, last) in runs {
            match self.0.last_mut() {
                Some((_, end)) if *end + 1 == *first => *end = *last,
                _ => self.0.push((*first, *last)),
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes them. `behind` is the time of the first record behind them, if one was folded.
    pub(super) fn note(
        &mut self,
        batch: &mut Batch<'_>,
        writer: WriterId,
        behind: Option<i64>,
    ) -> Result<(), IndexError> {
        let before = batch.last_ts(writer)?;
        self.0.drain(..).try_for_each(|run| batch.note_missing(writer, run, before, behind))
    }
}

/// Notes runs that are missing behind `folded`, and behind which nothing is folded in this transaction.
pub(super) fn note_up_to(
    batch: &mut Batch<'_>,
    writer: WriterId,
    folded: Sequence,
    runs: &[(u64, u64)],
) -> Result<(), IndexError> {
    let mut lost = LostRecords::up_to(batch, writer, folded)?;
    lost.add(runs);
    lost.note(batch, writer, None)
}

/// Tells people of runs of missing records. Health does too, unless it names the damage already that took them, or a crash
/// took them, as it may.
pub(super) fn tell(runs: &[(u64, u64)], lost_numbers: &LostNumbers, health: &HealthBoard) {
    for (first, last) in runs {
        let text = match last - first {
            0 => format!("record {first} is missing in the log, and lost"),
            more => format!("{} records are missing in the log, and lost: numbers {first} to {last}", more + 1),
        };
        if lost_numbers.is_by_crash(*last) || health.get().problems.contains_key(&Part::Damage) {
            tracing::warn!("{text}");
        } else {
            health.report(Part::Damage, text);
        }
    }
}
