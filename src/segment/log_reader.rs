//! Reading one writer's log: its records in the order of their numbers, each once, and all that is wrong or missing.
//!
//! `format.md`, section 4, has the rules. Who folds, checks, shows or rebuilds a log reads it here, so that all read
//! the same; frames within a segment are [`SegmentReader`](super::reader::SegmentReader)'s.
//!
//! Runs anywhere, in any process, also while the writer appends. It only reads, and takes no lock: who says that the
//! writer is dead holds the folder's. Looking at a log in which nothing happened takes two small reads and a look at
//! the folder's time of change.

use super::directory::SegmentFile;
use super::examination::{Ending, Examination};
use super::file_numbers::place_by_number;
use super::folder_listing::FolderListing;
use super::format::SegmentHeader;
use super::given_numbers::GivenNumbers;
use super::log_item::{LogItem, Owner, Waits};
use super::missing_run::{MissingNext, MissingRun, expect_there, is_durable_behind};
use super::next_file::{NextFile, Wanted};
use super::open_segment::{Came, OpenSegment};
use super::place::Place;
use super::read_step::Step;
use super::reader::{Damage, Stop};
use super::second_writing::{Bases, FoundAgain, SecondWriting};
use super::writer_folder::WriterFolder;
use crate::ground::error::{AtPath, SegmentError};
use crate::ground::finding::Finding;
use crate::ground::position::{Offset, SegmentId, Sequence, StoreId, WriterId};
use crate::ground::sabotage::{self, Spot};
use std::path::PathBuf;

/// Reads one log from a place on.
#[derive(Debug)]
pub struct LogReader {
    wanted: Wanted,
    passes_unreadable: bool,
    listing: FolderListing,
    place: Place,
    current: Option<OpenSegment>,
    /// What there is to say of each segment that was read to its end, if somebody asks.
    examined: Option<Vec<(SegmentFile, Examination)>>,
    /// Numbers that come before the current segment is read on.
    missing: Option<MissingRun>,
    /// A record of the current segment that comes behind them.
    held: Option<FoundAgain>,
    /// The segment that was read last before the current one.
    before: Option<PathBuf>,
    /// The same, unless it was sealed.
    unsealed_before: Option<PathBuf>,
    bases: Bases,
    given: GivenNumbers,
    waits: Option<Waits>,
    /// The folder was read since the writer is dead.
    is_listed_dead: bool,
}

impl LogReader {
    /// The log in that folder, from a place on. `store` is the store that it has to be a part of; without, any will do.
    /// The folder's files are listed here: those that are retired later are missed by their names. Where a file before the
    /// place has a record behind the place's number, reading goes on there.
    ///
    /// # Errors
    /// The folder can't be read, or is gone.
    pub fn open(folder: &WriterFolder, store: Option<StoreId>, from: Place) -> Result<Self, SegmentError> {
        let wanted = Wanted { writer: folder.writer, store, level: None, passes_refused: false };
        let from = place_by_number(&folder.path, &wanted, from)?;
        let listing = FolderListing::of(&folder.path, from.before())?;
        Ok(Self::with(wanted, listing, from))
    }

    /// The log of that writer in the given files, wherever they lie; no others come.
    pub fn over(writer: WriterId, store: Option<StoreId>, files: Vec<SegmentFile>, from: Place) -> Self {
        let wanted = Wanted { writer, store, level: None, passes_refused: false };
        Self::with(wanted, FolderListing::given(files, from.before()), from)
    }

    fn with(wanted: Wanted, listing: FolderListing, from: Place) -> Self {
        Self {
            wanted,
            passes_unreadable: false,
            listing,
            place: from,
            current: None,
            examined: None,
            missing: None,
            held: None,
            before: None,
            unsealed_before: None,
            bases: Bases::new(),
            given: GivenNumbers::default(),
            waits: None,
            is_listed_dead: false,
        }
    }

    /// A log that may have records of a higher level than this waits.
    pub fn know_level(&mut self, level: u16) {
        self.wanted.level = Some(level);
    }

    /// From now on, pages that the disk can't read count as zeros, which is damage where anything vouches for them.
    pub fn pass_unreadable(&mut self) {
        self.passes_unreadable = true;
        self.current.iter_mut().for_each(|current| current.reader.pass_unreadable());
        self.missing.iter_mut().for_each(|run| run.second.pass_unreadable());
    }

    /// Records up to that number are not wanted: somebody has them.
    pub fn pass_over(&mut self, last: Sequence) {
        if last > self.place.sequence {
            self.set_place(self.place.segment, Place::START.offset, last);
        }
    }

    /// Numbers that are waited for, since a living writer may still write them again, come as holes: for who looks behind
    /// them. The last of them.
    pub(crate) fn pass_awaited(&mut self) -> Option<Sequence> {
        self.missing.as_mut().and_then(MissingRun::settle)
    }

    /// From now on, files that the system does not let one open are passed over.
    pub(crate) fn pass_refused(&mut self) {
        self.wanted.passes_refused = true;
    }

    /// From now on, what there is to say of each segment is kept, for [`Self::take_examined`].
    pub(crate) fn examine(&mut self) {
        self.examined = Some(Vec::new());
    }

    /// What there is to say of the segments that were read, the current one included: for who reads no further.
    pub(crate) fn take_examined(&mut self) -> Vec<(SegmentFile, Examination)> {
        let mut examined = self.examined.take().unwrap_or_default();
        examined.extend(self.current.take().and_then(OpenSegment::examined));
        examined
    }

    /// The files that were not read.
    pub(crate) fn unread(&self) -> impl Iterator<Item = &SegmentFile> {
        self.listing.waiting().iter()
    }

    /// Whose log it is.
    pub fn writer(&self) -> WriterId {
        self.wanted.writer
    }

    /// Where reading goes on: what came before was read. Files of segments below the place's are not needed any more.
    pub fn place(&self) -> Place {
        self.place
    }

    /// What the segment says of itself that is being read; `None` between two.
    pub fn header(&self) -> Option<&SegmentHeader> {
        self.current.as_ref().map(OpenSegment::header)
    }

    /// What comes next. Who calls with [`Owner::Dead`] once does so from then on. After an error it may be called
    /// again.
    ///
    /// # Errors
    /// The system refuses; or a file that was there is [`SegmentError::Gone`]: somebody folded and retired it, and
    /// knows how far the log is read.
    pub fn next(&mut self, owner: Owner) -> Result<LogItem<'_>, SegmentError> {
        let (reader, FoundAgain { segment, offset, sequence }) = match self.step(owner)? {
            Step::Item(item) => return Ok(item),
            Step::Frame(found) => (self.current.as_ref().map(|current| &current.reader), found),
            Step::FrameAgain(found) => (self.missing.as_ref().and_then(|run| run.second.reader()), found),
        };
        let frame = reader.map(|reader| reader.frame_again(offset, sequence));
        Ok(frame.map_or(LogItem::NotYet, |frame| LogItem::Frame { segment, frame }))
    }

    fn step(&mut self, owner: Owner) -> Result<Step, SegmentError> {
        if let Some(waits) = &self.waits {
            return Ok(Step::Item(LogItem::Waits(waits.clone())));
        }
        if owner == Owner::Dead && !self.is_listed_dead {
            // The last segment may have come after the last look. What is read from here on was all written before.
            self.listing.read()?;
            self.is_listed_dead = true;
            self.current.iter_mut().for_each(|current| current.is_quiet = false);
        }
        loop {
            let step = if self.missing.is_some() {
                self.next_missing(owner)?
            } else if let Some(found) = self.held.take() {
                self.take(found);
                Some(Step::Frame(found))
            } else if self.current.is_some() {
                self.read_current(owner)?
            } else {
                self.open_next(owner)?.map(Step::Item)
            };
            if let Some(step) = step {
                return Ok(step);
            }
        }
    }

    /// The next of the numbers that the current segment does not have. `None`: all came, or there is more to look at.
    fn next_missing(&mut self, owner: Owner) -> Result<Option<Step>, SegmentError> {
        let due = self.place.sequence.next();
        let Some(run) = &mut self.missing else { return Ok(None) };
        let next = run.next(due)?;
        if matches!(next, MissingNext::Hole(_)) {
            expect_there(self.before.as_deref())?;
        }
        if matches!(next, MissingNext::Hole(_)) && owner == Owner::Living && !run.is_settled {
            return self.settle_missing();
        }
        let (last, behind) = (run.last, run.behind);
        Ok(match next {
            MissingNext::Again(found) => {
                self.pass_missing(found.sequence, last);
                Some(Step::FrameAgain(found))
            }
            MissingNext::Hole(number) => {
                self.pass_missing(number, last);
                Some(Step::Item(LogItem::Hole { first: due, last: number, behind }))
            }
            MissingNext::Through => {
                self.missing = None;
                None
            }
        })
    }

    /// Before a living writer's numbers are called missing: what came since the folder was read may have them, or they
    /// may be still to come.
    fn settle_missing(&mut self) -> Result<Option<Step>, SegmentError> {
        self.listing.refresh()?;
        let Some(mut run) = self.missing.take() else { return Ok(None) };
        run.second = self.second_writing(run.last);
        let run = self.missing.insert(run);
        let due = self.place.sequence.next();
        if run.second.first_from(due)? == Some(due) {
            return Ok(None);
        }
        let files = self.current.iter().map(|current| &current.file).chain(self.listing.waiting());
        let may_come = run.may_come(files);
        run.is_settled = !may_come;
        Ok(may_come.then_some(Step::Item(LogItem::NotYet)))
    }

    /// Missing numbers up to that one came, of which `last` is the last.
    fn pass_missing(&mut self, number: Sequence, last: Sequence) {
        // Unless all came, reading would go on at the segment's first frame: how many lie before its damaged place, the
        // number does not tell here.
        let held = self.held.filter(|_| number == last);
        match held {
            Some(held) => self.set_place(held.segment, held.offset, number),
            None => self.set_place(self.place.segment, Place::START.offset, number),
        }
        if number == last && held.is_none() {
            self.reach_current();
        }
    }

    /// The numbers from the one that is due to `last` are not where they are due.
    fn miss(&mut self, last: Sequence, behind: SegmentId, before: Option<PathBuf>) {
        let second = self.second_writing(last);
        self.missing = Some(MissingRun { last, behind, second, before, is_settled: false });
    }

    fn second_writing(&mut self, last: Sequence) -> SecondWriting {
        let wanted = self.wanted;
        let mut second = SecondWriting::of(self.listing.waiting(), last, &mut self.bases, |file, header| {
            wanted.is_ours(file, header)
        });
        if self.passes_unreadable {
            second.pass_unreadable();
        }
        second
    }

    fn read_current(&mut self, owner: Owner) -> Result<Option<Step>, SegmentError> {
        let due = self.place.sequence.next();
        let Some(current) = &mut self.current else { return Ok(None) };
        let segment = current.id();
        if current.is_still_quiet()? {
            return self.look_for_successor();
        }
        let first = current.reader.next_sequence();
        let came = current.read()?;
        Ok(match came {
            Came::Frame(_, sequence) if sequence < due => None,
            Came::Frame(offset, sequence) => {
                let found = FoundAgain { segment, offset, sequence };
                if sequence > due {
                    self.held = Some(found);
                    self.miss(Sequence(sequence.0 - 1), segment, self.unsealed_before.clone());
                    return Ok(None);
                }
                self.take(found);
                Some(Step::Frame(found))
            }
            Came::Damage(damage) => {
                let lost = self.lose(first, damage, segment);
                Some(Step::Item(LogItem::Damage { segment, damage, lost }))
            }
            Came::WrongMark(wrong) => Some(Step::Item(LogItem::WrongMark { segment, wrong })),
            Came::Stop(stop) => {
                if owner == Owner::Dead || current.has_successor {
                    return self.end_current(stop);
                }
                current.is_quiet = true;
                self.look_for_successor()?
            }
        })
    }

    /// The frames of the current segment end, by a look that may be older than its successor: if there is one now, they
    /// are looked at again.
    fn look_for_successor(&mut self) -> Result<Option<Step>, SegmentError> {
        if let Some(current) = &self.current {
            let path = current.reader.path();
            sabotage::at(Spot::SegmentEnd, path).at("look for what follows", path)?;
        }
        self.listing.refresh()?;
        if self.listing.waiting().is_empty() {
            return Ok(Some(Step::Item(LogItem::NotYet)));
        }
        self.current.iter_mut().for_each(|current| (current.is_quiet, current.has_successor) = (false, true));
        Ok(None)
    }

    /// The current segment has ended.
    fn end_current(&mut self, stop: Stop) -> Result<Option<Step>, SegmentError> {
        let Some(current) = &mut self.current else { return Ok(None) };
        let (segment, header, ending) = (current.id(), *current.header(), current.ending(stop)?);
        if !current.has_told_marks && current.reader.marks()?.damaged().count() > 1 {
            current.has_told_marks = true;
            return Ok(Some(Step::Item(LogItem::DamagedMarks { segment })));
        }
        let (offset, is_sealed) = (current.position().end, current.reader.mark().sealed.is_some());
        self.before = Some(current.file.path.clone());
        self.unsealed_before = self.before.clone().filter(|_| !is_sealed);
        if let Some(frames) = current.frames_by_seal() {
            self.given.note(&header, frames);
        }
        let ended = self.current.take();
        if let Some(examined) = &mut self.examined {
            examined.extend(ended.and_then(OpenSegment::examined));
        }
        Ok(match ending {
            Ending::Torn { bytes, reason } => {
                let due = self.place.sequence.next();
                let is_again = self.second_writing(due).first_from(due).is_ok_and(|found| found.is_some());
                let is_vouched_for =
                    !is_again && self.listing.waiting().iter().any(|file| is_durable_behind(file, due));
                Some(Step::Item(LogItem::Torn { segment, offset, bytes, reason, is_vouched_for }))
            }
            Ending::Sealed { .. } | Ending::Open | Ending::Unreadable { .. } => None,
        })
    }

    /// Opens the next segment. `None`: it is open, or there is another one to be opened.
    fn open_next(&mut self, owner: Owner) -> Result<Option<LogItem<'static>>, SegmentError> {
        if self.listing.waiting().is_empty() && owner == Owner::Living {
            self.listing.refresh()?;
        }
        let Some(file) = self.listing.waiting().front().cloned() else {
            return Ok(Some(match owner {
                Owner::Living => LogItem::NotYet,
                Owner::Dead => self.end(),
            }));
        };
        let mut reader = match self.wanted.look(&file)? {
            NextFile::Segment(reader) => reader,
            NextFile::Waits(waits) => return Ok(Some(LogItem::Waits(self.waits.insert(waits).clone()))),
            NextFile::Bad(finding, told) => {
                if let Some((header, frames)) = told {
                    self.given.note(&header, frames);
                }
                return Ok(Some(self.pass_file(file, finding, told.is_some())));
            }
        };
        if self.passes_unreadable {
            reader.pass_unreadable();
        }
        let (place, base) = (self.place, reader.header().base_sequence);
        self.listing.take_first();
        let has_successor = !self.listing.waiting().is_empty();
        if let Some(extent) = place.extent(base).filter(|_| place.segment == file.id) {
            reader.seek(extent);
        } else if base <= place.sequence.next() {
            self.set_place(file.id, Place::START.offset, place.sequence);
        } else {
            // Until they came, reading would go on in the segment before.
            self.miss(Sequence(base.0 - 1), file.id, self.unsealed_before.clone());
        }
        self.current = Some(OpenSegment::new(file, reader, has_successor, self.examined.is_some()));
        Ok(None)
    }

    /// Nothing more comes: what segments said that they had, and nobody has, is missing. The place stays where reading
    /// came to: what is put back behind it is read.
    fn end(&mut self) -> LogItem<'static> {
        let due = self.place.sequence.next();
        if let Some((last, behind)) = self.given.from(due) {
            self.set_place(self.place.segment, Place::START.offset, last);
            return LogItem::Hole { first: due, last, behind };
        }
        LogItem::End
    }

    /// The next file is passed over.
    fn pass_file(&mut self, file: SegmentFile, finding: Finding, tells_numbers: bool) -> LogItem<'static> {
        self.listing.take_first();
        self.set_place(file.id.next().max(self.place.segment), Place::START.offset, self.place.sequence);
        LogItem::BadFile { file, finding: Box::new(finding), tells_numbers }
    }

    /// A damaged place came, of which `first` is the first number: how many records are lost in it that were due.
    fn lose(&mut self, first: Sequence, damage: Damage, segment: SegmentId) -> u64 {
        let due = self.place.sequence.next().max(first);
        let last = Sequence((first.0 + u64::from(damage.records)).saturating_sub(1));
        if due > last {
            self.reach_current();
            return 0;
        }
        // Only for the count: this is done again before any of them is called missing, and matters then.
        let _ = self.listing.refresh();
        // They were durable: nobody writes them again from now on.
        self.miss(last, segment, None);
        let found = self.missing.as_mut().and_then(|run| run.second.count(due).ok());
        last.0 - due.0 + 1 - found.unwrap_or(0)
    }

    /// That record comes next; reading goes on behind it.
    fn take(&mut self, found: FoundAgain) {
        self.place.sequence = found.sequence;
        self.reach_current();
    }

    /// All before the place where the current segment is being read is done with, if anything of that was due.
    fn reach_current(&mut self) {
        let Some(current) = &self.current else { return };
        let (header, position) = (*current.header(), current.position());
        let last = position.last_sequence(header.base_sequence);
        if last >= self.place.sequence {
            self.set_place(header.segment_id, position.end, last);
        }
    }

    fn set_place(&mut self, segment: SegmentId, offset: Offset, sequence: Sequence) {
        self.place = Place { segment, offset, sequence };
    }
}
