//! After a failed sync: the records that it left in doubt are read back and written once more, into new segments.
//!
//! Runs on the appender, which appends nothing else meanwhile. `format.md` says how readers tell the two writings
//! apart; [`super::sync_loop`] says when a segment is poisoned, and what it needs to be told.

use super::log_end::{LAST_BYTES, LogEnd, NoSegment};
use super::sync_loop::SyncCommand;
use crate::ground::error::{AtPath, SegmentError};
use crate::ground::health::Part;
use crate::ground::position::{SegmentId, Sequence};
use crate::ground::sabotage::{self, Spot};
use crate::segment::format::{Extent, frame_bytes};
use crate::segment::reader::{Item, SegmentReader};
use crate::segment::segment_list::{LogSegment, SegmentToRead};
use crate::segment::syncer::UnsyncedSegment;
use crate::segment::writer::NotAppended;
use std::io::ErrorKind;

/// Rewrites what a failed sync left in doubt, if one failed: everything beyond the durable mark of the poisoned
/// segment, through all segments after it, goes into new segments, with the same numbers. Nothing else is appended
/// before that is done.
///
/// A crash meanwhile leaves both writings. Each number is taken where it comes first, and what is damaged there is taken from
/// the second writing.
pub(super) fn rewrite_doubtful(end: &mut LogEnd) {
    let Ok(poisoned) = end.handles.poisoned.try_recv() else { return };
    end.report_progress();
    end.end_segment();
    end.tell_syncer(SyncCommand::BeginRewrite);
    let doubtful = Doubtful::of(&poisoned, end);
    let mut rewrite = Rewrite { end, segments: Vec::new(), last: doubtful.durable, missing: Vec::new() };
    for segment in rewrite.end.handles.log.all_beyond(doubtful.durable) {
        let from = if segment.segment.id == doubtful.poisoned { doubtful.extent } else { Extent::EMPTY };
        if !rewrite.rewrite_segment(&segment, from) {
            if rewrite.end.has_given_up {
                // The new segments do no harm: they do not reach as far as the old ones.
                rewrite.end.is_in_doubt = true;
                return;
            }
            // The log was taken away, and with it what is not written once more.
            rewrite.pass_over_to(rewrite.end.last_sequence);
            break;
        }
    }
    rewrite.finish(&doubtful);
}

/// What is in doubt of the log.
struct Doubtful {
    /// Everything up to this number is on the disk.
    durable: Sequence,
    /// The segment of which a part is, and that part.
    poisoned: SegmentId,
    extent: Extent,
}

impl Doubtful {
    fn of(poisoned: &UnsyncedSegment, end: &LogEnd) -> Self {
        if end.log.as_ref().is_some_and(|log| log.identity.writer == poisoned.writer) {
            return Self { durable: poisoned.durable_sequence(), poisoned: poisoned.segment, extent: poisoned.durable };
        }
        // The segment is one of the log before this one, which was taken away. The syncing thread owes this one nothing
        // any more, and segments have numbers from 1 on.
        Self { durable: end.handles.progress.durable(), poisoned: SegmentId(0), extent: Extent::EMPTY }
    }
}

/// A rewrite under way.
struct Rewrite<'a> {
    end: &'a mut LogEnd,
    /// The new segments.
    segments: Vec<LogSegment>,
    /// The last number that was written once more, or found to be lost.
    last: Sequence,
    /// Records that can't be read back: for each run of them, the number before it and its last one.
    missing: Vec<(Sequence, Sequence)>,
}

impl Rewrite<'_> {
    /// Rewrites the records of a segment that are not rewritten yet. `false`: the store is giving up.
    fn rewrite_segment(&mut self, doubtful: &SegmentToRead, from: Extent) -> bool {
        self.begin_at(doubtful.segment.base_sequence);
        let goes_on = match self.rewrite_frames(doubtful, from) {
            Ok(goes_on) => goes_on,
            // It was folded, and made durable in the database before it was removed.
            Err(error) if is_gone(&error) && !self.end.finds_log_taken_away() => {
                self.last = self.last.max(doubtful.last);
                true
            }
            Err(error) => {
                self.report_damage(format_args!("{error}; what a failed sync left in it is lost"));
                true
            }
        };
        if goes_on {
            self.pass_over_to(doubtful.last);
        }
        goes_on
    }

    /// Reads a segment's frames back and appends them. `false`: the store is giving up.
    fn rewrite_frames(&mut self, doubtful: &SegmentToRead, from: Extent) -> Result<bool, SegmentError> {
        let SegmentToRead { segment: LogSegment { id, path, progress, .. }, last } = doubtful;
        // Looked at first: what is published meanwhile is no part of the rewrite.
        let published = progress.published();
        sabotage::at(Spot::ReadBack, path).at("read", path)?;
        let mut reader = SegmentReader::open(path)?;
        reader.seek(from);
        // All of it was published; what is no frame any more was lost since.
        reader.set_limit(published);
        loop {
            match reader.next()? {
                Item::Frame(frame) if frame.sequence <= self.last => {}
                // From there on, the next segment has the records.
                Item::Frame(frame) if frame.sequence > *last => return Ok(true),
                Item::Frame(frame) => {
                    sabotage::at(Spot::Rewrite, path).at("read", path)?;
                    self.pass_over_to(Sequence(frame.sequence.0 - 1));
                    if !self.append_numbered(frame.sequence, frame.payload) {
                        return Ok(false);
                    }
                }
                Item::Damage(damage) => {
                    let (offset, reason) = (damage.offset, damage.reason);
                    self.report_damage(format_args!(
                        "segment {id}, offset {offset}: {reason}; what a failed sync left there is lost"
                    ));
                }
                // Its frames count, whatever its mark says; folding names it.
                Item::WrongMark(_) => {}
                Item::Stop(_) => return Ok(true),
            }
        }
    }

    fn report_damage(&self, problem: std::fmt::Arguments<'_>) {
        self.end.handles.health.report(Part::Damage, problem);
    }

    /// Appends a record that has its number already. `false`: the store is giving up, or the log was taken away.
    fn append_numbered(&mut self, sequence: Sequence, payload: &[u8]) -> bool {
        let frame_bytes = frame_bytes(u32::try_from(payload.len()).unwrap_or(u32::MAX));
        while !self.end.is_log_taken_away() {
            let mut refused = Ok(());
            if let Some(active) = &mut self.end.active {
                let (extent, base) = (active.writer.extent(), active.writer.header().base_sequence);
                if extent.next_sequence(base) == sequence {
                    match active.writer.append_leaving(LAST_BYTES, payload) {
                        Ok(_) => {
                            self.last = sequence;
                            return true;
                        }
                        // Segments were larger when the record was appended first.
                        Err(NotAppended::Full) if extent.frames == 0 => {
                            self.pass_over_to(sequence);
                            return true;
                        }
                        Err(NotAppended::Full) => {}
                        Err(NotAppended::Refused(error)) => refused = Err(error),
                    }
                }
            }
            self.end.note_filled();
            self.end.end_segment();
            match refused.map_err(NoSegment::from).and_then(|()| self.end.activate_prepared(sequence, frame_bytes)) {
                Ok(segment) => {
                    self.end.handles.health.clear(Part::Segments);
                    self.segments.push(segment);
                }
                Err(error) => {
                    if !self.end.wait_for_segment(&error) {
                        return false;
                    }
                }
            }
        }
        false
    }

    /// Puts the new segments in the place of those in doubt, and counts what is lost. No gap record tells of that: the
    /// numbers that are missing in the log do, to whoever folds or reads it, and also after a kill.
    fn finish(self, doubtful: &Doubtful) {
        if self.last_written() < self.end.last_sequence {
            // The next record would get the number of a record that is lost.
            self.end.end_segment();
        }
        let handles = &self.end.handles;
        // A missing record that is folded is in the database, and not lost. Where another process folds, it tells a moment
        // later how far; the count may then be too large, and the tables say what is missing.
        let lost = self.missing_beyond(handles.progress.folded());
        if lost > 0 {
            handles.progress.forget_events(lost);
            handles.channel.gap.add_told(lost);
        }
        handles.log.supersede(doubtful.durable, doubtful.poisoned, doubtful.extent, self.segments);
        self.end.tell_syncer(SyncCommand::EndRewrite { lost });
    }

    /// A segment with that first number comes next. Numbers that no segment holds are not in doubt: nothing was
    /// recorded under them, or an earlier rewrite found and counted them as lost.
    fn begin_at(&mut self, base_sequence: Sequence) {
        self.last = self.last.max(Sequence(base_sequence.0 - 1));
    }

    /// The records between the last number and this one can't be read back.
    fn pass_over_to(&mut self, sequence: Sequence) {
        if sequence > self.last {
            self.missing.push((self.last, sequence));
            self.last = sequence;
        }
    }

    /// How many of the missing records lie beyond that number.
    fn missing_beyond(&self, sequence: Sequence) -> u64 {
        self.missing.iter().map(|(before, last)| last.0.saturating_sub(sequence.max(*before).0)).sum()
    }

    /// The last number that is in the new segments.
    fn last_written(&self) -> Sequence {
        self.segments.last().map_or(Sequence(0), LogSegment::last_published)
    }
}

/// Whether the file is not there any more.
fn is_gone(error: &SegmentError) -> bool {
    matches!(error, SegmentError::Io(error) if error.source.kind() == ErrorKind::NotFound)
}
