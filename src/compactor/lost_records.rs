//! Records that are missing before the one that comes next: noted in table `gaps` in the transaction that passes over them.
//!
//! Runs on the compactor. A hole is one row, however many transactions it takes to get past it: what is missing at the end
//! of a segment, and what is in front of the next one. The row says from the outset how many are lost, and until when once
//! a record behind them is folded.

use crate::ground::error::IndexError;
use crate::ground::health::{HealthBoard, Part};
use crate::ground::position::{Sequence, WriterId};
use crate::index::batch::Batch;

/// Runs of missing records that nothing was folded behind so far, by their first numbers and last.
#[derive(Debug, Default)]
pub(super) struct LostRecords(Vec<(u64, u64)>);

impl LostRecords {
    /// What the table says is missing in a log right before the first record behind `folded`.
    pub(super) fn up_to(batch: &mut Batch<'_>, writer: WriterId, folded: Sequence) -> Result<Self, IndexError> {
        Ok(Self(batch.missing_up_to(writer, folded)?.map(|first| (first.0, folded.0)).into_iter().collect()))
    }

    /// Adds a run, which lies behind the others.
    pub(super) fn add(&mut self, (first, last): (u64, u64)) {
        match self.0.last_mut() {
            Some((_, end)) if *end + 1 == first => *end = last,
            _ => self.0.push((first, last)),
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
        if self.0.is_empty() {
            return Ok(());
        }
        let before = batch.last_ts(writer)?;
        self.0.drain(..).try_for_each(|run| batch.note_missing(writer, run, before, behind))
    }
}

/// Tells people of a run of missing records. Health does too, unless it names the damage already that took them.
pub(super) fn tell(writer: WriterId, (first, last): (u64, u64), health: &HealthBoard) {
    let text = match last - first {
        0 => format!("record {first} of writer {writer} is missing in its log, and lost"),
        more => format!(
            "{} records of writer {writer} are missing in its log, and lost: numbers {first} to {last}",
            more + 1
        ),
    };
    if health.get().problems.contains_key(&Part::Damage) {
        tracing::warn!("{text}");
    } else {
        health.report(Part::Damage, text);
    }
}
