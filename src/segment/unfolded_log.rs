//! What a log holds beyond what is folded, as whoever opens the store next would take it.
//!
//! Runs on the caller's thread, in any process, also while the store is open elsewhere. It only reads: headers, marks, and
//! the frames behind the marks; a segment whole where nothing bears its mark out ([`super::witness`]). So it takes about
//! as long for a gigabyte that waits as for a record: one among those that wait may turn out to be damaged.

use super::format::Extent;
use super::found_file::FoundFile;
use super::lost_header::LostHeader;
use super::lost_numbers::LostNumbers;
use super::number_range::{NumberRange, reading_order};
use super::number_set::NumberSet;
use super::quarantine::{self, QuarantinedSegment};
use super::reader::{Item, SegmentReader};
use super::reading_plan::Link;
use super::recovery_plan::RecoveryPlan;
use super::survey::Survey;
use super::verdict::Numbers;
use super::witness::Folded;
use crate::ground::error::{OpenError, SegmentError};
use crate::ground::position::{Offset, SegmentId, Sequence, WriterId};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The first record that waits is looked for over so many frames of its segment at most, where no checkpoint leads to it.
const LOOK_FRAMES_MAX: u32 = 100_000;

/// The log beyond what is folded.
#[derive(Debug)]
pub(crate) struct UnfoldedLog {
    /// What is read from the segments, in the order of their numbers.
    parts: Vec<Part>,
    /// What the next opening moves to quarantine, because records before it are missing.
    pub(crate) set_aside: Vec<SetAside>,
    /// Files in which nothing tells what they hold, behind all that can be read: of others, the numbers tell what is missing.
    /// The next opening moves them to quarantine, too.
    pub(crate) unreadable_files: u64,
    /// The number before the first that a log has of which nothing is folded.
    begins_behind: Sequence,
}

/// Intact records in a segment that nobody folds by himself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetAside {
    pub(crate) path: PathBuf,
    /// The number of the first one.
    pub(crate) first: u64,
    pub(crate) records: u64,
}

/// The numbers of the records.
pub(crate) fn numbers(set_aside: &[SetAside]) -> NumberSet {
    let mut numbers = NumberSet::default();
    set_aside.iter().for_each(|aside| aside.add_to(&mut numbers));
    numbers
}

impl SetAside {
    fn add_to(&self, numbers: &mut NumberSet) {
        numbers.insert_all(self.first, self.first.saturating_add(self.records).saturating_sub(1));
    }
}

/// The first record that waits, as far as that is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FirstRecord {
    /// None waits; or it does not wait any more, for its segment is retired.
    Folded,
    Payload(Vec<u8>),
    /// It can't be read, or lies too far away to be looked for.
    Unknown,
}

/// The numbers that are read from a segment.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    id: SegmentId,
    /// Of the segment's first frame; what is read may begin behind it.
    base: Sequence,
    numbers: NumberRange,
}

impl UnfoldedLog {
    /// Looks at the log of the store `owner`, which the database has as far as `folded` says. A segment that lies
    /// behind missing records is one to be set aside, unless somebody has the store open (`in_use`): then that one knows.
    ///
    /// # Errors
    /// A file can't be read, or is of a newer version.
    pub(crate) fn look(
        survey: Survey,
        owner: Option<WriterId>,
        folded: impl Into<Folded>,
        in_use: bool,
    ) -> Result<Self, OpenError> {
        let folded = folded.into();
        let plan = if in_use { RecoveryPlan::of_opened } else { RecoveryPlan::of };
        let RecoveryPlan { files, reading, .. } = plan(survey, owner, folded)?;
        let links: Vec<_> = files.iter().map(FoundFile::link).collect();
        let (order, behind_gap) = if in_use {
            (reading_order(&links.iter().map(Link::numbers).collect::<Vec<_>>()), Vec::new())
        } else {
            let is_behind = |place: &usize| reading.numbers[*place] == Numbers::BehindGap;
            (reading.order, (0..files.len()).filter(is_behind).collect())
        };
        let set_aside = behind_gap.into_iter().map(|place: usize| SetAside {
            path: files[place].file.path.clone(),
            first: links[place].numbers().first,
            records: links[place].numbers().count,
        });
        let set_aside = set_aside.filter(|aside| aside.records > 0).collect();
        let behind = order.iter().max().map_or(0, |last| last + 1);
        let parts = parts(&files, &links, &order);
        let last = Sequence(parts.iter().map(|part| part.numbers.end().saturating_sub(1)).max().unwrap_or(0));
        let mut unreadable_files = 0;
        for (place, found) in files.iter().enumerate().filter(|(_, found)| found.header.is_unreadable()) {
            // The name of a segment under another one's says nothing of where its numbers lie.
            let is_behind = place >= behind && found.records_beyond(folded)? != Some(0)
                || found.misnamed_id().is_some()
                    && found.last_sequence_possible(Sequence(0), None, folded, owner)? > last.max(folded.sequence);
            unreadable_files += u64::from(is_behind);
        }
        let begins_behind = parts.first().map_or(folded.sequence, |part| Sequence(part.base.0 - 1));
        Ok(Self { parts, set_aside, unreadable_files, begins_behind })
    }

    /// How many records are lost beyond what is folded, if `folded` is the last number that is: those whose numbers no
    /// segment has. `set_aside` is what lies in the quarantine already.
    pub(crate) fn lost_beyond(&self, folded: Option<Sequence>, set_aside: &[SetAside]) -> u64 {
        let mut aside = numbers(set_aside);
        self.set_aside.iter().for_each(|aside_now| aside_now.add_to(&mut aside));
        let mut read = NumberSet::default();
        self.parts.iter().for_each(|part| read.insert_all(part.numbers.first, part.numbers.end() - 1));
        let accounted = folded.unwrap_or(self.begins_behind);
        LostNumbers::new(accounted, aside).count_beyond(accounted, &read)
    }

    /// How many records lie beyond that number.
    pub(crate) fn records_beyond(&self, folded: Sequence) -> u64 {
        let beyond =
            |part: &Part| part.numbers.end().saturating_sub(part.numbers.first.max(folded.0.saturating_add(1)));
        self.parts.iter().map(beyond).sum()
    }

    /// The number of the last record; 0 for none.
    pub(crate) fn last(&self) -> Sequence {
        Sequence(self.parts.iter().map(|part| part.numbers.end().saturating_sub(1)).max().unwrap_or(0))
    }

    /// The first record beyond the number `folded`. What follows `folded` in segment `at.0` is due at `at.1`, if nothing
    /// changed there.
    pub(crate) fn first_beyond(&self, folded: Sequence, at: (SegmentId, Offset)) -> FirstRecord {
        let Some(part) = self.parts.iter().find(|part| part.numbers.end() > folded.0.saturating_add(1)) else {
            return FirstRecord::Folded;
        };
        match part.first_beyond(folded, at) {
            Ok(found) => found.map_or(FirstRecord::Unknown, FirstRecord::Payload),
            Err(error) if is_gone(&error) => FirstRecord::Folded,
            Err(_) => FirstRecord::Unknown,
        }
    }
}

impl Part {
    fn first_beyond(&self, folded: Sequence, at: (SegmentId, Offset)) -> Result<Option<Vec<u8>>, SegmentError> {
        let mut reader = SegmentReader::open(&self.path)?;
        if let Some(before) = folded.0.checked_sub(self.base.0).filter(|_| self.id == at.0)
            && let Ok(frames) = u32::try_from(before + 1)
        {
            reader.seek(Extent { end: at.1, frames });
        }
        for _ in 0..LOOK_FRAMES_MAX {
            match reader.next()? {
                Item::Frame(frame) if frame.sequence > folded => return Ok(Some(frame.payload.to_vec())),
                Item::Frame(_) | Item::Damage(_) | Item::WrongMark(_) => {}
                Item::Stop(_) => break,
            }
        }
        Ok(None)
    }
}

/// What was set aside at an earlier opening, and lies in the quarantine with records that are not folded: those of the
/// store `owner`, where that is known.
pub(crate) fn set_aside_before(quarantine_dir: &Path, owner: Option<WriterId>) -> Vec<SetAside> {
    let unfolded = |aside: QuarantinedSegment| {
        // What was folded before it was moved reserves no numbers.
        aside.note.as_ref()?.last_sequence?;
        let state = FoundFile::in_quarantine(&aside, owner)?.segment?;
        let records = u64::from(state.extent.frames);
        let first = state.header.base_sequence.0;
        (records > 0).then_some(SetAside { path: aside.path, first, records })
    };
    quarantine::segments(quarantine_dir).into_iter().filter_map(unfolded).collect()
}

/// The files in the quarantine of which nobody can tell what they hold, and which may have held records beyond that number;
/// and those of which not even a number says what they may have held, whatever is folded since: nothing else counts it.
pub(crate) fn unreadable_beyond(quarantine_dir: &Path, owner: Option<WriterId>, folded: Sequence) -> Vec<PathBuf> {
    let is_unreadable = |aside: &QuarantinedSegment| {
        let Some(note) = &aside.note else { return false };
        if note.last_sequence() > folded {
            return FoundFile::in_quarantine(aside, owner).is_none_or(|found| found.header.is_unreadable());
        }
        // Where the file lay before others, their numbers tell what is missing; and a crash takes nothing that was promised.
        let was_last = note.last_sequence.is_some() && !note.damage.is_empty();
        was_last && aside.open().is_err() && reserves_nothing(&aside.path)
    };
    let all = quarantine::segments(quarantine_dir).into_iter();
    all.filter(is_unreadable).map(|aside| aside.path).collect()
}

/// Whether nothing in a file tells of a record, so that no number is left out for it.
fn reserves_nothing(path: &Path) -> bool {
    LostHeader::of(path).is_ok_and(|lost| lost.records_max == 0)
}

/// Each segment is read up to where the next one begins.
fn parts(files: &[FoundFile], links: &[Link], order: &[usize]) -> Vec<Part> {
    let mut parts = Vec::with_capacity(order.len());
    for (at, place) in order.iter().enumerate() {
        let Some(state) = &files[*place].segment else { continue };
        let numbers = links[*place].numbers();
        let next = order.get(at + 1).map_or(u64::MAX, |next| links[*next].numbers().first);
        let count = numbers.end().min(next).saturating_sub(numbers.first);
        parts.push(Part {
            path: files[*place].file.path.clone(),
            id: state.header.segment_id,
            base: state.header.base_sequence,
            numbers: NumberRange { count, ..numbers },
        });
    }
    parts
}

/// Whether the file is not there any more.
fn is_gone(error: &SegmentError) -> bool {
    matches!(error, SegmentError::Io(error) if error.source.kind() == ErrorKind::NotFound)
}
