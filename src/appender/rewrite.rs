//! After a failed sync: what it left in doubt is read back and written again, into new segments.
//!
//! Runs on the appender, which appends nothing else meanwhile. `format.md` says how readers tell the two writings apart;
//! [`super::sync_loop`] says when a segment is poisoned, and what it needs to be told.

use super::sync_loop::SyncCommand;
use super::tail::LogTail;
#[cfg(test)]
use crate::ground::error::AtPath;
use crate::ground::error::SegmentError;
use crate::ground::health::Part;
use crate::ground::position::Sequence;
use crate::segment::format::Extent;
use crate::segment::reader::{Item, SegmentReader};
use crate::segment::segment_list::{LogSegment, Readable};
use crate::segment::writer::NotAppended;
#[cfg(test)]
use std::time::Duration;

impl LogTail {
    /// If a sync failed, writes again what it left in doubt: everything beyond the durable mark of the poisoned segment,
    /// through all segments after it, into new ones, with the same numbers. Nothing else is appended before that is done.
    ///
    /// A crash meanwhile leaves both writings, of which recovery takes the one that reaches further.
    pub(crate) fn write_again(&mut self) {
        let Ok(poisoned) = self.parts.poisoned.try_recv() else { return };
        self.tell_progress();
        self.end_segment();
        self.tell_syncer(SyncCommand::WritingAgain);
        let mut again = WritingAgain { segments: Vec::new(), last: poisoned.durable_sequence(), missing: Vec::new() };
        for doubtful in self.parts.log.all_beyond(poisoned.durable_sequence()) {
            let from = if doubtful.segment.id == poisoned.segment { poisoned.durable } else { Extent::EMPTY };
            if !self.copy(&doubtful, from, &mut again) {
                // The store is giving up. What is there already does no harm: it does not reach as far.
                return;
            }
        }
        if again.last_written() < self.last_sequence {
            // What comes next would get the number of a record that is lost.
            self.end_segment();
        }
        // What of it is folded before the other writing takes its place is in the database, and not lost.
        let folding = (!again.missing.is_empty()).then(|| self.parts.log.hold_folding());
        let folded = self.parts.progress.folded();
        let lost = again.missing_beyond(folded);
        if lost > 0 {
            self.parts.progress.forget_events(again.missing_beyond(folded.max(self.last_of_earlier_runs)));
            self.parts.channel.gap.add(lost);
        }
        self.parts.log.supersede(poisoned.durable_sequence(), poisoned.segment, poisoned.durable, again.segments);
        drop(folding);
        self.tell_syncer(SyncCommand::WrittenAgain { lost });
    }

    /// Copies what a segment has beyond what was written again. `false`: the store is giving up.
    fn copy(&mut self, doubtful: &Readable, from: Extent, again: &mut WritingAgain) -> bool {
        let Readable { segment: doubtful, last } = doubtful;
        let published = doubtful.progress.published();
        again.begin_at(doubtful.base_sequence);
        let mut copy_all = || -> Result<bool, SegmentError> {
            #[cfg(test)]
            {
                let late = crate::ground::sabotage::is_due(&doubtful.path, crate::ground::sabotage::Spot::ReadBackLate);
                while late && self.parts.progress.folded() < *last {
                    std::thread::sleep(Duration::from_millis(1));
                }
                crate::ground::sabotage::fail(&doubtful.path, crate::ground::sabotage::Spot::ReadBack)
                    .at("read", &doubtful.path)?;
            }
            let mut reader = SegmentReader::open(&doubtful.path)?;
            reader.seek(from);
            // All of it was published; what is no frame any more was lost since.
            reader.set_limit(published);
            loop {
                match reader.next()? {
                    Item::Frame(frame) if frame.sequence <= again.last => {}
                    // From there on, the next segment has it.
                    Item::Frame(frame) if frame.sequence > *last => return Ok(true),
                    Item::Frame(frame) => {
                        again.pass_over_to(Sequence(frame.sequence.0 - 1));
                        if !self.append_again(frame.sequence, frame.payload, again) {
                            return Ok(false);
                        }
                    }
                    Item::Damage(damage) => {
                        let (id, offset) = (doubtful.id, damage.offset);
                        let problem = format_args!(
                            "segment {id}, offset {offset}: {}; what a failed sync left there is lost",
                            damage.reason
                        );
                        self.parts.health.report(Part::Damage, problem);
                    }
                    Item::Stop(_) => return Ok(true),
                }
            }
        };
        let go_on = copy_all().unwrap_or_else(|error| {
            self.parts.health.report(Part::Damage, format_args!("{error}; what a failed sync left in it is lost"));
            true
        });
        again.pass_over_to(*last);
        go_on
    }

    /// Appends a record that has its number already. `false`: the store is giving up.
    fn append_again(&mut self, sequence: Sequence, payload: &[u8], again: &mut WritingAgain) -> bool {
        #[cfg(test)]
        if let Some(active) = &self.active {
            crate::ground::sabotage::strike(active.writer.path(), crate::ground::sabotage::Spot::WriteAgain);
            if crate::ground::sabotage::is_due(active.writer.path(), crate::ground::sabotage::Spot::WriteAgainSlowly) {
                std::thread::sleep(Duration::from_millis(300));
            }
        }
        loop {
            let mut refused = Ok(());
            if let Some(active) = &mut self.active {
                let (extent, base) = (active.writer.extent(), active.writer.header().base_sequence);
                if base.0 + u64::from(extent.frames) == sequence.0 {
                    match active.writer.append(payload) {
                        Ok(_) => {
                            again.last = sequence;
                            return true;
                        }
                        // Segments were larger when it was recorded.
                        Err(NotAppended::Full) if extent.frames == 0 => {
                            again.pass_over_to(sequence);
                            return true;
                        }
                        Err(NotAppended::Full) => {}
                        Err(NotAppended::Refused(error)) => refused = Err(error),
                    }
                }
            }
            self.end_segment();
            match refused.and_then(|()| self.start_segment(sequence)) {
                Ok((active, segment)) => {
                    self.parts.health.clear(Part::Segments);
                    self.active = Some(active);
                    again.segments.push(segment);
                }
                Err(error) => {
                    if !self.wait_for_segment(&error.into()) {
                        return false;
                    }
                }
            }
        }
    }
}

/// How far writing again has come.
struct WritingAgain {
    /// The new segments.
    segments: Vec<LogSegment>,
    /// The last number that was written again, or found to be lost.
    last: Sequence,
    /// What can't be read back: the number before it, and its last one.
    missing: Vec<(Sequence, Sequence)>,
}

impl WritingAgain {
    /// A segment with that first number comes next. Numbers that no segment holds are not in doubt: nothing was
    /// recorded under them, or it was found to be lost, and counted, when it was written again before.
    fn begin_at(&mut self, base_sequence: Sequence) {
        self.last = self.last.max(Sequence(base_sequence.0 - 1));
    }

    /// What lies between the last number and this one can't be read back.
    fn pass_over_to(&mut self, sequence: Sequence) {
        if sequence > self.last {
            self.missing.push((self.last, sequence));
            self.last = sequence;
        }
    }

    /// How much of what is missing lies beyond that number.
    fn missing_beyond(&self, sequence: Sequence) -> u64 {
        self.missing.iter().map(|(before, last)| last.0.saturating_sub(sequence.max(*before).0)).sum()
    }

    /// The last number that is in the new segments.
    fn last_written(&self) -> Sequence {
        self.segments.last().map_or(Sequence(0), LogSegment::last_published)
    }
}
