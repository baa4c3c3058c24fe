//! One writer's log, read to its end: what each file is to the log, and which numbers are missing in between.
//!
//! For who only looks: runs on the caller's thread, in any process, also while the writer appends. It only reads, by
//! the same rules as who folds. What the database has is told to nobody here: see `store/examined_log.rs`.

use super::directory::SegmentFile;
use super::examination::{Examination, HeaderState};
use super::log_file::{LogFile, LogPart};
use super::log_item::{LogItem, Owner, Waits};
use super::log_reader::LogReader;
use super::number_set::NumberSet;
use crate::ground::error::SegmentError;
use crate::ground::finding::{Finding, FindingKind};
use crate::ground::position::{SegmentId, Sequence};
use std::collections::HashMap;
use std::path::PathBuf;

/// The log.
#[derive(Debug, Default)]
pub struct LogExamination {
    /// Its files, by ascending id.
    pub files: Vec<LogFile>,
    /// The numbers that are in no segment, in their order.
    pub missing: Vec<MissingNumbers>,
    /// What there is to say of each segment that was read, by its file.
    pub segments: HashMap<PathBuf, Examination>,
    /// What the system said where it did not let one read.
    pub unreadable: Vec<Finding>,
    /// Why the log waits, if it does.
    pub waits: Option<Waits>,
    /// The number before the first that the log has, or shows to be missing behind one that it has.
    pub begins_behind: Sequence,
    /// Its last number.
    pub last: Sequence,
    /// Its intact records.
    pub(crate) numbers: NumberSet,
}

/// Numbers that no segment of a log has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingNumbers {
    /// The first one.
    pub first: Sequence,
    /// The last one.
    pub last: Sequence,
    /// The segment that shows that they were there.
    pub behind: SegmentId,
    /// A segment behind them is durable, at least a part of it: so were they, and no power cut took them.
    pub was_durable: bool,
    /// They were in a damaged place, which is told by itself.
    pub in_damage: bool,
    /// A file lies there that this user can't read, and that may have them.
    pub may_be_in_file: bool,
}

impl MissingNumbers {
    /// Numbers that who reads along met before segment `behind`.
    pub(crate) const fn new(first: Sequence, last: Sequence, behind: SegmentId, was_durable: bool) -> Self {
        Self { first, last, behind, was_durable, in_damage: false, may_be_in_file: false }
    }

    /// Those of them that are not in that set, by runs.
    pub(crate) fn without(&self, others: &NumberSet) -> Vec<Self> {
        let runs = others.missing_within(self.first.0, self.last.0).into_iter();
        runs.map(|(first, last)| Self { first: Sequence(first), last: Sequence(last), ..*self }).collect()
    }

    /// How many they are.
    pub const fn count(&self) -> u64 {
        self.last.0 - self.first.0 + 1
    }
}

impl LogExamination {
    /// Reads the log to its end. What comes passes by `each`, with the number that was due.
    ///
    /// # Errors
    /// A file is [`SegmentError::Gone`]: somebody folded it meanwhile. Whatever else can't be read is no error but a
    /// finding.
    pub(crate) fn of(
        mut reader: LogReader,
        owner: Owner,
        mut each: impl FnMut(&LogItem<'_>),
    ) -> Result<Self, SegmentError> {
        reader.examine();
        reader.pass_refused();
        let mut found = Self { begins_behind: reader.place().sequence, ..Self::default() };
        let mut taken: HashMap<SegmentId, NumberSet> = HashMap::new();
        // How many of the missing numbers that come next were durable, and are damaged.
        let (mut refused_before, mut damaged) = (false, 0_u64);
        // Up to this number, what is missing may still come.
        let mut awaited = Sequence(0);
        loop {
            let item = match reader.next(owner) {
                Ok(item) => item,
                Err(error @ SegmentError::Gone { .. }) => return Err(error),
                Err(error) => {
                    found.unreadable.push(Finding::of_segment_error(&error));
                    if found.unreadable.len() > 1 {
                        break;
                    }
                    // What the disk can't give back is as good as damaged.
                    reader.pass_unreadable();
                    continue;
                }
            };
            each(&item);
            match item {
                LogItem::Frame { segment, frame } => {
                    taken.entry(segment).or_default().insert(frame.sequence.0);
                    found.numbers.insert(frame.sequence.0);
                    (found.last, refused_before) = (frame.sequence, false);
                }
                LogItem::Hole { last, .. } if last <= awaited => {}
                LogItem::Hole { first, last, behind } => {
                    let hole = MissingNumbers::new(first, last, behind, damaged > 0);
                    let (in_damage, may_be_in_file) = (damaged > 0, refused_before);
                    damaged = damaged.saturating_sub(hole.count());
                    found.missing.push(MissingNumbers { in_damage, may_be_in_file, ..hole });
                    found.last = last;
                }
                LogItem::BadFile { file, finding, .. } => {
                    refused_before |= finding.kind == FindingKind::UnreadableSegment;
                    found.files.push(LogFile::passed_over(file, *finding));
                }
                LogItem::Waits(waits) => {
                    found.waits = Some(waits);
                    break;
                }
                // Who folds waits here. What is behind is there all the same.
                LogItem::NotYet => match reader.pass_awaited() {
                    Some(last) => awaited = last,
                    None => break,
                },
                LogItem::End => break,
                LogItem::Damage { lost, .. } => damaged = lost,
                LogItem::WrongMark { .. } | LogItem::DamagedMarks { .. } | LogItem::Torn { .. } => {}
            }
        }
        found.add_unread(reader.unread().cloned().collect());
        found.add_examined(reader.take_examined(), taken);
        found.files.sort_by(|one, other| (one.file.id, &one.file.path).cmp(&(other.file.id, &other.file.path)));
        Ok(found)
    }

    fn add_unread(&mut self, files: Vec<SegmentFile>) {
        let mut cause = self.waits.as_ref().map(Waits::finding);
        for file in files {
            // The first one is why; those behind it may be sound.
            let finding = cause.take().unwrap_or_else(|| {
                Finding::new(
                    FindingKind::WaitingSegment,
                    &file.path,
                    "not looked into: the log waits at a file before it",
                )
            });
            self.files.push(LogFile::waiting(file, finding));
        }
    }

    fn add_examined(&mut self, examined: Vec<(SegmentFile, Examination)>, mut taken: HashMap<SegmentId, NumberSet>) {
        for (file, segment) in examined {
            let HeaderState::Intact(header) = segment.header else { continue };
            let (base, durable) = (header.base_sequence, segment.marks.newest().durable.frames > 0);
            let behind = self.missing.iter_mut().filter(|hole| hole.last < base);
            behind.for_each(|hole| hole.was_durable |= durable);
            let numbers = taken.remove(&file.id).unwrap_or_default();
            self.files.push(LogFile::of(file.clone(), base, segment.extent.frames.into(), numbers));
            self.segments.insert(file.path, segment);
        }
    }

    /// Whether the log has a record of that number.
    pub fn has(&self, sequence: Sequence) -> bool {
        self.numbers.contains(sequence.0)
    }

    /// Whether nothing keeps anybody from folding all of it.
    pub fn is_foldable(&self) -> bool {
        self.waits.is_none() && !self.files.iter().any(|file| matches!(file.part, LogPart::Waits(_)))
    }
}
