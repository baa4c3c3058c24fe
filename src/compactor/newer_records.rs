//! Records that a newer build wrote: kept while this one does not know them, folded by the first one that does.
//!
//! Runs on the compactor. Folding goes on past such a record: it is no damage, and what follows it does not depend on it.
//! What is known never changes while a process runs, so what waits is looked through once, when the store is opened.

use crate::fold::fold::fold;
use crate::ground::error::IndexError;
use crate::ground::health::{HealthBoard, Part};
use crate::ground::position::{SegmentId, WriterId};
use crate::ground::store_progress::StoreProgress;
use crate::index::batch::Batch;
use crate::index::database::Index;
use crate::index::newer_records::NewerKind;
use crate::record::record::{Decoder, RecordError};
use crate::segment::reader::FrameAt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many of them one transaction folds at most. Others are appended meanwhile, and have their turn between two of these.
const BATCH_RECORDS: usize = if cfg!(test) { 3 } else { 2_000 };
/// And how many bytes of payload, so that a batch of large ones stays small in memory.
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// How often they are counted while they become more or fewer.
const COUNT_INTERVAL: Duration = if cfg!(test) { Duration::from_millis(10) } else { Duration::from_secs(1) };
/// So many kinds and versions are named one by one.
const NAMED_MAX: usize = 5;

/// What the compactor knows about them.
pub(super) struct NewerRecords {
    decode: Decoder,
    health: Arc<HealthBoard>,
    /// Some that wait may be of a kind and version that this build knows.
    may_be_known: bool,
    /// Since they were counted, there may be more of them, or fewer.
    is_stale: bool,
    counted_at: Option<Instant>,
}

/// Where a record that can't be decoded is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// With those that wait for a newer build.
    ForNewer,
    /// In table `quarantine`.
    InQuarantine,
}

impl NewerRecords {
    pub(super) fn new(decode: Decoder, health: Arc<HealthBoard>) -> Self {
        Self { decode, health, may_be_known: true, is_stale: true, counted_at: None }
    }

    /// Reads payloads.
    pub(super) fn decoder(&self) -> Decoder {
        self.decode
    }

    /// Somebody else folded: there may be others.
    pub(super) fn note_moved(&mut self) {
        (self.may_be_known, self.is_stale) = (true, true);
    }

    /// Whether some of them may have expired.
    pub(super) fn note_expired(&mut self, may_be: bool) {
        self.is_stale |= may_be;
    }

    /// Keeps a record that can't be decoded: with those that wait, if a newer build wrote it; otherwise in table `quarantine`.
    pub(super) fn keep(
        &mut self,
        batch: &mut Batch<'_>,
        writer: WriterId,
        segment: SegmentId,
        frame: &FrameAt<'_>,
        error: &RecordError,
    ) -> Result<Kept, IndexError> {
        match error.newer() {
            Some(kind) => {
                self.is_stale = true;
                batch.keep_newer(writer, segment, frame, kind)?;
                Ok(Kept::ForNewer)
            }
            None => {
                batch.quarantine_record(writer, segment, frame, &error.to_string())?;
                report(writer, segment, frame, error, &self.health);
                Ok(Kept::InQuarantine)
            }
        }
    }

    /// Folds some of those that wait and are known by now; `true`: there may be more. Says how many wait, if that may have
    /// changed.
    pub(super) fn step(&mut self, index: &mut Index, progress: &StoreProgress) -> Result<bool, IndexError> {
        let has_folded = self.fold_some(index)?;
        if !has_folded {
            self.count(index, progress)?;
        }
        Ok(has_folded)
    }

    /// Folds some of them in a transaction of their own. `false`: none that waits is known.
    fn fold_some(&mut self, index: &mut Index) -> Result<bool, IndexError> {
        if !self.may_be_known {
            return Ok(false);
        }
        let decode = self.decode;
        // Kind and version tell whether a record is known, whatever its fields are.
        let is_known = |waiting: &NewerKind| {
            let without_fields = [waiting.kind, waiting.version];
            decode(&without_fields).err().is_none_or(|error| error.newer().is_none())
        };
        let Some(known) = index.newer_kinds()?.into_iter().find(is_known) else {
            self.may_be_known = false;
            return Ok(false);
        };
        let mut batch = index.begin()?;
        let records = batch.take_newer((known.kind, known.version), BATCH_RECORDS, BATCH_BYTES)?;
        let mut mutations = Vec::with_capacity(records.len());
        for record in &records {
            match decode(&record.payload) {
                Ok(decoded) => mutations.push((record, fold(decoded))),
                Err(error) => {
                    batch.note_as_of(record.noted_at);
                    batch.quarantine_kept(record, &error.to_string())?;
                    report(record.writer, record.segment, &record.frame(), &error, &self.health);
                }
            }
        }
        batch.apply_kept(mutations)?;
        batch.commit()?;
        self.is_stale = true;
        Ok(true)
    }

    /// Counts them, if there may be more or fewer, and says how many wait.
    fn count(&mut self, index: &Index, progress: &StoreProgress) -> Result<(), IndexError> {
        if !self.is_stale || self.counted_at.is_some_and(|counted_at| counted_at.elapsed() < COUNT_INTERVAL) {
            return Ok(());
        }
        let kinds = index.newer_kinds()?;
        let records = kinds.iter().map(|kind| kind.records).sum();
        (self.is_stale, self.counted_at) = (false, Some(Instant::now()));
        self.health.note(Part::NewerRecords, (records > 0).then(|| advice(records, &kinds)));
        // Who sees the number finds the note.
        progress.set_newer_records(records);
        Ok(())
    }
}

fn report(writer: WriterId, segment: SegmentId, frame: &FrameAt<'_>, error: &RecordError, health: &HealthBoard) {
    health.report(
        Part::Damage,
        format_args!("log of writer {writer}, segment {segment}, offset {}: {error}", frame.offset),
    );
}

/// How many wait, which, and what to do.
fn advice(records: u64, kinds: &[NewerKind]) -> String {
    let (s, they) = if records == 1 { ("", "it") } else { ("s", "them") };
    let named = kinds.iter().take(NAMED_MAX);
    let named: Vec<_> = named
        .map(|NewerKind { kind, version, records }| format!("{records} of kind {kind}, version {version}"))
        .collect();
    let more = if kinds.len() > NAMED_MAX { "; and others" } else { "" };
    format!(
        "{records} record{s} of a newer mcplog wait{} in the database ({}{more}): open the store with that mcplog, which folds \
         {they}",
        if records == 1 { "s" } else { "" },
        named.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_names_kinds_and_what_to_do() {
        let of = |kind| NewerKind { kind, version: 2, records: 3 };
        let text = advice(3, &[of(9)]);
        assert!(text.starts_with("3 records of a newer mcplog") && text.contains("3 of kind 9, version 2)"), "{text}");
        assert!(text.contains("open the store with that mcplog, which folds them"), "{text}");
        let many: Vec<_> = (10..20).map(of).collect();
        let text = advice(30, &many);
        assert!(text.contains("kind 14, version 2; and others") && !text.contains("kind 15"), "{text}");
    }
}
