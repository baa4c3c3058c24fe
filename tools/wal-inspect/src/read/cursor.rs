//! Reads one log, record by record, with what there is to say in between.
//!
//! The library reads; here its items become entries, and it is asked whether the writer lives. Of a living writer, what is
//! no frame yet is looked at again. Reads only; prints nothing.

use crate::failure::Failure;
use crate::read::segment_file;
use crate::report::entry::{Content, Entry};
use crate::report::fields::time_ms;
use crate::report::place::Place;
use mcplog::error::SegmentError;
use mcplog::examined_log::{judge_missing, store_id};
use mcplog::finding::{Finding, FindingKind};
use mcplog::position::{Offset, SegmentId, Sequence, StoreId, WriterId};
use mcplog::record::{LEVEL, Record};
use mcplog::segment::directory::{file_name, list_whole};
use mcplog::segment::format::{FRAME_ALIGNMENT, FRAME_HEADER_BYTES, FRAMES_OFFSET, SegmentHeader};
use mcplog::segment::{LogItem, LogReader, Owner, Place as LogPlace, SegmentFile, SegmentReader, WriterFolder};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// How many damaged bytes are kept to be shown.
const HEAD_BYTES: usize = 256;
/// A segment that somebody folds and removes while it is looked for is one that folding has passed. That happens once or
/// twice in a row, not more often.
const RETIRED_IN_A_ROW_MAX: u32 = 64;

/// What a look came to.
#[derive(Debug)]
pub(crate) enum Look {
    Entry(Entry),
    /// Nothing more for now.
    NotYet,
    /// Nothing more for ever.
    Ended,
}

/// Reads a log from a place on.
#[derive(Debug)]
pub(crate) struct LogCursor {
    source: LogSource,
    writer: WriterId,
    reader: LogReader,
    owner: Owner,
    /// The segment that entries come from.
    place: Option<Rc<Place>>,
    /// The time of the last record.
    time_ms: i64,
    waiting: VecDeque<Entry>,
    /// Behind the numbers that the last damaged place took.
    damaged_until: Sequence,
    has_begun: bool,
    has_ended: bool,
    retired_in_a_row: u32,
    /// So many bytes of frames were read.
    read_bytes: u64,
}

/// Where a log lies.
#[derive(Clone, Debug)]
enum LogSource {
    /// In a folder, as a part of that store.
    Folder(WriterFolder, Option<StoreId>),
    /// A file that was picked by hand: its records are a log of their own.
    File(PathBuf),
}

impl LogCursor {
    /// The log in a folder, from its `skipped`th file on.
    pub(crate) fn of_folder(folder: &WriterFolder, skipped: usize) -> Result<Self, Failure> {
        let files = list_whole(&folder.path)?;
        let from = start(&files, skipped);
        let store = folder.path.parent().and_then(store_id);
        let reader = LogReader::open(folder, store, from)?;
        Ok(Self::with(LogSource::Folder(folder.clone(), store), folder.writer, reader))
    }

    /// The records of one file, whatever else is beside it.
    pub(crate) fn of_file(path: &Path) -> Result<Self, Failure> {
        let opened = SegmentReader::open(path);
        if let Err(SegmentError::Io(error)) = opened
            && error.source.kind() == std::io::ErrorKind::NotFound
        {
            return Err(error.into());
        }
        let header = SegmentReader::open(path).ok().map(|reader| *reader.header());
        let name_id = segment_file::name_id(path);
        let id = name_id.or(header.map(|header| header.segment_id)).unwrap_or(SegmentId(1));
        let file = SegmentFile { id, path: path.to_owned() };
        let writer = header.map_or(WriterId([0; 16]), |header| header.writer_id);
        let from = start(std::slice::from_ref(&file), 0);
        let reader = LogReader::over(writer, None, vec![file], from);
        Ok(Self::with(LogSource::File(path.to_owned()), writer, reader))
    }

    /// The log in a folder, from the last records on that pass, so many of them; and the findings among them. No more is
    /// read for that than has to be.
    pub(crate) fn of_last(
        folder: &WriterFolder,
        records_max: usize,
        passes: &dyn Fn(&Entry) -> bool,
    ) -> Result<Self, Failure> {
        let count = list_whole(&folder.path)?.len();
        let mut files = 1;
        loop {
            let mut cursor = Self::of_folder(folder, count.saturating_sub(files))?;
            let kept = cursor.keep_last(records_max, passes)?;
            if kept >= records_max || files >= count {
                return Ok(cursor);
            }
            files *= 2;
        }
    }

    /// Reads as far as there is something, and keeps the last records that pass to be handed out: so many of them, and the
    /// findings among them. Returns how many records these are.
    pub(crate) fn keep_last(&mut self, records_max: usize, passes: &dyn Fn(&Entry) -> bool) -> Result<usize, Failure> {
        let (mut kept, mut records) = (VecDeque::new(), 0);
        while let Look::Entry(entry) = self.next()? {
            if !passes(&entry) {
                continue;
            }
            records += usize::from(entry.is_record());
            kept.push_back(entry);
            while records > records_max {
                records -= usize::from(kept.pop_front().is_some_and(|entry| entry.is_record()));
            }
        }
        self.waiting = kept;
        Ok(records)
    }

    fn with(source: LogSource, writer: WriterId, reader: LogReader) -> Self {
        let mut cursor = Self {
            source,
            writer,
            reader,
            owner: Owner::Living,
            place: None,
            time_ms: i64::MIN,
            waiting: VecDeque::new(),
            damaged_until: Sequence(0),
            has_begun: false,
            has_ended: false,
            retired_in_a_row: 0,
            read_bytes: 0,
        };
        cursor.owner = cursor.ask_owner();
        cursor
    }

    /// Whose log it is.
    pub(crate) fn writer(&self) -> WriterId {
        self.writer
    }

    /// So many bytes of frames were read.
    pub(crate) fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// Looks for what comes next.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn next(&mut self) -> Result<Look, Failure> {
        loop {
            if let Some(entry) = self.waiting.pop_front() {
                return Ok(Look::Entry(entry));
            }
            if self.has_ended {
                return Ok(Look::Ended);
            }
            match self.read() {
                Ok(Some(look)) => return Ok(look),
                Ok(None) => self.retired_in_a_row = 0,
                Err(Failure::Segment(SegmentError::Gone { .. })) if self.retired_in_a_row < RETIRED_IN_A_ROW_MAX => {
                    self.retired_in_a_row += 1;
                    self.reopen()?;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Reads on. `None`: what came waits.
    fn read(&mut self) -> Result<Option<Look>, Failure> {
        let due = self.reader.place().sequence.next();
        let item = self.reader.next(self.owner)?;
        let has_begun = std::mem::replace(&mut self.has_begun, true);
        match item {
            LogItem::Frame { segment, frame } => {
                let (offset, sequence, payload) = (frame.offset, frame.sequence, frame.payload.to_vec());
                self.read_bytes +=
                    (u64::from(FRAME_HEADER_BYTES) + payload.len() as u64).next_multiple_of(FRAME_ALIGNMENT.into());
                if let Ok(record) = Record::decode(&payload) {
                    self.time_ms = time_ms(&record);
                }
                let place = self.enter(segment);
                self.push(place, Content::Record { offset, sequence, payload });
            }
            LogItem::Hole { first, last, behind } => {
                // What a damaged place took, was told with that.
                let first = first.max(self.damaged_until);
                if first > last {
                    return Ok(None);
                }
                let mut findings = judge_missing(self.parent(), self.writer, first, last, behind);
                if !has_begun {
                    // What lies before all that is left was folded and removed, unless somebody knows that it was not.
                    let is_lost =
                        |kind| matches!(kind, FindingKind::MissingRecords | FindingKind::UndurableRecordsMissing);
                    findings.retain(|finding| is_lost(finding.kind));
                }
                let place = self.enter(behind);
                findings.into_iter().for_each(|finding| self.tell(Rc::clone(&place), finding, Vec::new()));
            }
            LogItem::Damage { segment, damage, .. } => {
                let place = self.enter(segment);
                let path = self.path(segment);
                let head = head(&path, damage.offset, damage.bytes);
                self.damaged_until = Sequence(due.0 + u64::from(damage.records));
                self.tell(place, damage.finding(&path, due), head);
            }
            LogItem::WrongMark { segment, wrong } => {
                let place = self.enter(segment);
                self.tell(place, wrong.finding(&self.path(segment)), Vec::new());
            }
            // Marks are told when a segment is entered.
            LogItem::DamagedMarks { .. } => {}
            LogItem::BadFile { file, finding, .. } => {
                let place = Rc::new(Place::new(&file.path, Some(file.id), None));
                self.tell(place, *finding, Vec::new());
            }
            LogItem::Torn { segment, .. } => {
                let place = self.enter(segment);
                if let Some(finding) = segment_file::tail_finding(&self.path(segment))? {
                    self.tell(place, finding, Vec::new());
                }
            }
            LogItem::NotYet if self.owner == Owner::Living => {
                self.owner = self.ask_owner();
                return Ok((self.owner == Owner::Living).then_some(Look::NotYet));
            }
            LogItem::NotYet => return Ok(Some(Look::NotYet)),
            LogItem::End => self.has_ended = true,
            LogItem::Waits(waits) => {
                let finding = waits.finding();
                let place = Rc::new(Place::new(&finding.path, segment_file::name_id(&finding.path), None));
                self.tell(place, finding, Vec::new());
                self.has_ended = true;
            }
        }
        Ok(None)
    }

    /// The place of entries in that segment. Where it is another one than before, what its marks are is told as well.
    fn enter(&mut self, segment: SegmentId) -> Rc<Place> {
        if let Some(place) = self.place.as_ref().filter(|place| place.segment == Some(segment)) {
            return Rc::clone(place);
        }
        let path = self.path(segment);
        let header = self.header(segment, &path);
        let place = Rc::new(Place::new(&path, Some(segment), header));
        if self.time_ms == i64::MIN {
            self.time_ms = header.map_or(i64::MIN, |header| header.created_at);
        }
        self.place = Some(Rc::clone(&place));
        let level = header.and_then(|header| header.check_level(&path, LEVEL).err());
        let level = level.map(|error| Finding::of_segment_error(&error));
        for finding in level.into_iter().chain(segment_file::mark_findings(&path)) {
            self.tell(Rc::clone(&place), finding, Vec::new());
        }
        place
    }

    fn header(&self, segment: SegmentId, path: &Path) -> Option<SegmentHeader> {
        let known = self.reader.header().filter(|header| header.segment_id == segment).copied();
        known.or_else(|| SegmentReader::open(path).ok().map(|reader| *reader.header()))
    }

    fn tell(&mut self, place: Rc<Place>, finding: Finding, head: Vec<u8>) {
        self.push(place, Content::Finding(finding, head));
    }

    fn push(&mut self, place: Rc<Place>, content: Content) {
        self.waiting.push_back(Entry { place, time_ms: self.time_ms, content });
    }

    /// Files that were listed are gone: somebody folded and removed them. Reading goes on with what is left.
    fn reopen(&mut self) -> Result<(), Failure> {
        let LogSource::Folder(folder, store) = &self.source else {
            self.has_ended = true;
            return Ok(());
        };
        match LogReader::open(folder, *store, self.reader.place()) {
            Ok(reader) => self.reader = reader,
            // With the folder: nothing more comes.
            Err(SegmentError::Gone { .. }) => self.has_ended = true,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn ask_owner(&self) -> Owner {
        let folder = match &self.source {
            LogSource::Folder(folder, _) => &folder.path,
            LogSource::File(path) => segment_file::folder(path),
        };
        if segment_file::has_writer(folder) { Owner::Living } else { Owner::Dead }
    }

    fn path(&self, segment: SegmentId) -> PathBuf {
        match &self.source {
            LogSource::Folder(folder, _) => folder.path.join(file_name(segment)),
            LogSource::File(path) => path.clone(),
        }
    }

    /// The directory in which the log's folder lies.
    fn parent(&self) -> &Path {
        let folder = match &self.source {
            LogSource::Folder(folder, _) => &folder.path,
            LogSource::File(path) => segment_file::folder(path),
        };
        folder.parent().unwrap_or(folder)
    }
}

/// Where reading begins at the `skipped`th of these files, whatever came before it.
fn start(files: &[SegmentFile], skipped: usize) -> LogPlace {
    let readers = files.iter().skip(skipped).filter_map(|file| SegmentReader::open(&file.path).ok());
    // Numbers begin no lower in later segments; files of which none can be read say nothing.
    let base = readers.map(|reader| reader.header().base_sequence).next();
    let segment = files.get(skipped).filter(|_| skipped > 0).map_or(LogPlace::START.segment, |file| file.id);
    let sequence = base.filter(|_| skipped > 0).map_or(LogPlace::START.sequence, |base| Sequence(base.0 - 1));
    LogPlace { segment, offset: Offset(FRAMES_OFFSET), sequence }
}

/// The first of the damaged bytes, as far as they can be read.
fn head(path: &Path, offset: Offset, bytes: u32) -> Vec<u8> {
    let mut head = vec![0; HEAD_BYTES.min(bytes as usize)];
    let read = SegmentReader::open(path).ok().and_then(|reader| reader.read_at(offset, &mut head).ok());
    head.truncate(read.unwrap_or(0));
    head
}
