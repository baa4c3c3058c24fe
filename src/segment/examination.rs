//! What there is to say of a segment's file, read to its end: the one judgement that recovery, check, verify, dump and
//! rebuild go by.
//!
//! `format.md`, section 3, has the rules. Runs anywhere, in any process; it only reads. What a record says is not looked
//! at: whoever decodes the frames, which pass by one after the other, adds what they find.

use super::directory::parse_file_name;
use super::format::{Extent, FrameError, SegmentHeader};
use super::marks::{MarkPlace, Marks};
use super::reader::{Damage, Item, SegmentReader, Stop};
use super::wrong_mark::WrongMark;
use crate::ground::error::{HeaderFault, PathError, SegmentError};
use crate::ground::finding::{FindingKind, Severity};
use crate::ground::position::Offset;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;

/// So many damaged places are kept one by one; the others are counted. All pass by.
pub const DAMAGE_KEPT_MAX: usize = 1000;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Examination {
    /// What stands in the place of the header. Unless it is intact, nothing else was read.
    pub header: HeaderState,
    /// The file's name is a segment's, of another id than the header says.
    pub is_misnamed: bool,
    /// Both marks.
    pub marks: Marks,
    /// Where reading ended, and how many frames lie before that, lost ones included.
    pub extent: Extent,
    /// What is there.
    pub ending: Ending,
    /// Bytes that were synced and are no frames any more: the first [`DAMAGE_KEPT_MAX`] places.
    pub damage: Vec<Damage>,
    /// How many places those are.
    pub damaged_places: u64,
    /// How many records were in them.
    pub lost_records: u64,
    /// Where the frames contradict the mark.
    pub wrong_marks: Vec<WrongMark>,
}

/// What stands in the place of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderState {
    /// A header of this version, which may be of another log, or of another name.
    Intact(SegmentHeader),
    /// Nothing but zeros, all through the file: the segment was never started.
    NeverStarted,
    /// The first page is lost.
    FirstPageLost {
        /// Zeros stand in its place. A power cut may leave that of a segment that was never synced; only the log as a
        /// whole tells whether it was: a later segment with a durable mark vouches for this one, too.
        begins_with_zeros: bool,
        /// What was expected, and what was found.
        reason: String,
    },
    /// Something else, or the file is no regular one.
    Damaged {
        /// What was expected, and what was found.
        reason: String,
    },
    /// An intact header of a newer version: nothing is to be done with the file.
    Newer {
        /// That version.
        version: u16,
    },
    /// The system does not let one read it.
    Unreadable {
        /// What the system said.
        reason: String,
    },
}

/// How a segment ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Sealed, and read to its sealed end, or behind it as long as there were frames.
    Sealed {
        /// Bytes that are not zero behind that, from the first to behind the last. They have no meaning.
        leftover: Option<Range<u32>>,
    },
    /// Nothing but zeros follow, or nothing at all.
    Open,
    /// Anything else: what a crash left, or a frame that is being written.
    Torn {
        /// How far it goes: to the last byte that is not zero, or to the sealed end.
        bytes: u32,
        /// What was wrong where it begins.
        reason: FrameError,
    },
    /// From here on, the system does not let one read.
    Unreadable {
        /// Where.
        offset: Offset,
        /// What the system said.
        reason: String,
    },
}

impl Examination {
    /// Reads the file. Each frame, damaged place and wrong mark passes by `each`, in their order.
    ///
    /// # Errors
    /// The file is not there, or what `each` returned.
    pub fn of<E: From<SegmentError>>(path: &Path, each: impl FnMut(Item<'_>) -> Result<(), E>) -> Result<Self, E> {
        match SegmentReader::open(path) {
            Ok(mut reader) => Self::of_reader(&mut reader, each),
            Err(SegmentError::Io(error)) if error.source.kind() == ErrorKind::NotFound => {
                Err(SegmentError::Io(error).into())
            }
            Err(error) => Ok(Self::unopened(error)),
        }
    }

    /// The same from where a reader stands; what lies before that counts as sound.
    ///
    /// # Errors
    /// What `each` returned.
    pub fn of_reader<E: From<SegmentError>>(
        reader: &mut SegmentReader,
        each: impl FnMut(Item<'_>) -> Result<(), E>,
    ) -> Result<Self, E> {
        Self::with_error(reader, each).map(|(found, _)| found)
    }

    /// The same, with what the system said where it did not let one read on.
    pub(super) fn with_error<E: From<SegmentError>>(
        reader: &mut SegmentReader,
        mut each: impl FnMut(Item<'_>) -> Result<(), E>,
    ) -> Result<(Self, Option<PathError>), E> {
        let mut found = Self::begin(reader);
        // What follows an end where nothing more was written is looked at once it was seen twice: in a live segment,
        // frames may have come meanwhile.
        let mut seen_end = None;
        let error = loop {
            let stop = match reader.next() {
                Ok(Item::Stop(stop)) => stop,
                Ok(item) => {
                    found.note(&item);
                    each(item)?;
                    continue;
                }
                Err(error) => break error,
            };
            match found.end(reader, stop) {
                Ok(()) if found.is_torn() && stop == Stop::Open && seen_end != Some(found.extent) => {
                    seen_end = Some(found.extent);
                }
                Ok(()) => return Ok((found, None)),
                Err(error) => break error,
            }
        };
        found.end_unread(reader, &error);
        Ok((found, Some(error)))
    }

    /// What is known of a file that could not be opened.
    pub fn unopened(error: SegmentError) -> Self {
        Self::without_header(HeaderState::of(error))
    }

    /// What is known of a segment whose frames are yet to be read: for who reads them himself, gives all that comes to
    /// [`Self::note`], and comes to [`Self::end`].
    pub fn begin(reader: &SegmentReader) -> Self {
        let header = *reader.header();
        let name = reader.path().file_name().and_then(|name| name.to_str()).and_then(parse_file_name);
        let is_misnamed = name.is_some_and(|name| name != header.segment_id);
        Self { is_misnamed, ..Self::without_header(HeaderState::Intact(header)) }
    }

    /// Notes what came next.
    pub fn note(&mut self, item: &Item<'_>) {
        match item {
            Item::Damage(damage) => {
                self.damaged_places += 1;
                self.lost_records += u64::from(damage.records);
                if self.damage.len() < DAMAGE_KEPT_MAX {
                    self.damage.push(*damage);
                }
            }
            Item::WrongMark(wrong) => self.wrong_marks.push(*wrong),
            Item::Frame(_) | Item::Stop(_) => {}
        }
    }

    /// The reader stopped: looks at the marks, and at what is behind. In a live segment more frames may come, and then
    /// another end.
    ///
    /// # Errors
    /// The system refuses to read: [`Self::end_unread`] notes it.
    pub fn end(&mut self, reader: &SegmentReader, stop: Stop) -> Result<(), PathError> {
        self.extent = reader.position();
        self.marks = reader.marks()?;
        self.ending = Ending::of(reader, stop)?;
        Ok(())
    }

    /// The system does not let one read on from where the reader stands.
    pub fn end_unread(&mut self, reader: &SegmentReader, error: &PathError) {
        self.extent = reader.position();
        self.ending = Ending::Unreadable { offset: self.extent.end, reason: error.source.to_string() };
    }

    /// Whether it ends in a torn tail.
    pub fn is_torn(&self) -> bool {
        matches!(self.ending, Ending::Torn { .. })
    }

    /// How bad it is: the worst of all that was found.
    pub fn severity(&self) -> Severity {
        self.kinds().into_iter().map(FindingKind::severity).max().unwrap_or_default()
    }

    /// What was found, each kind once.
    pub fn kinds(&self) -> Vec<FindingKind> {
        use FindingKind as K;
        let header = match self.header {
            HeaderState::Intact(_) => None,
            HeaderState::NeverStarted => Some(K::UnstartedSegment),
            HeaderState::Newer { .. } => Some(K::NewerSegment),
            HeaderState::Unreadable { .. } => Some(K::UnreadableSegment),
            HeaderState::FirstPageLost { begins_with_zeros: true, .. } => Some(K::ZeroedFirstPage),
            HeaderState::FirstPageLost { .. } => Some(K::LostFirstPage),
            HeaderState::Damaged { .. } => Some(K::DamagedHeader),
        };
        let marks = match self.marks.damaged().count() {
            0 => None,
            1 => Some(K::DamagedMark),
            _ => Some(K::DamagedMarks),
        };
        let ending = match self.ending {
            Ending::Open | Ending::Sealed { leftover: None } => None,
            Ending::Sealed { .. } => Some(K::BytesBehindSeal),
            Ending::Torn { .. } => Some(K::TornTail),
            Ending::Unreadable { .. } => Some(K::UnreadableSegment),
        };
        let misnamed = self.is_misnamed.then_some(K::MisnamedSegment);
        let damaged = (self.damaged_places > 0).then_some(K::DamagedPlace);
        let wrong = (!self.wrong_marks.is_empty()).then_some(K::WrongMark);
        [header, misnamed, damaged, wrong, marks, ending].into_iter().flatten().collect()
    }

    fn without_header(header: HeaderState) -> Self {
        Self {
            header,
            is_misnamed: false,
            marks: Marks { places: [MarkPlace::Unwritten; 2] },
            extent: Extent::EMPTY,
            ending: Ending::Open,
            damage: Vec::new(),
            damaged_places: 0,
            lost_records: 0,
            wrong_marks: Vec::new(),
        }
    }
}

impl HeaderState {
    fn of(error: SegmentError) -> Self {
        match error {
            SegmentError::Header { fault: HeaderFault::NeverStarted, .. } => Self::NeverStarted,
            SegmentError::Header { fault, expected, found, .. } => {
                let reason = format!("expected {expected}, found {found}");
                match fault {
                    HeaderFault::FirstPageLost { begins_with_zeros } => {
                        Self::FirstPageLost { begins_with_zeros, reason }
                    }
                    HeaderFault::Damaged | HeaderFault::NeverStarted => Self::Damaged { reason },
                }
            }
            SegmentError::UnsupportedVersion { found, .. } => Self::Newer { version: found },
            error @ SegmentError::NeedsNewer { .. } => Self::Unreadable { reason: error.to_string() },
            SegmentError::Io(error) => Self::Unreadable { reason: error.source.to_string() },
            SegmentError::Gone { .. } => Self::Unreadable { reason: error.to_string() },
        }
    }
}

impl Ending {
    /// What is behind the place where a reader stopped.
    pub(super) fn of(reader: &SegmentReader, stop: Stop) -> Result<Self, PathError> {
        let position = reader.position();
        let leftover = reader.written_from(position.end)?;
        let written = leftover.as_ref().map_or(0, |written| written.end - position.end.0);
        Ok(match stop {
            Stop::Sealed => Self::Sealed { leftover },
            Stop::Torn { reason, .. } => match reader.mark().sealed {
                Some(sealed) => Self::Torn { bytes: written.max(sealed.end.0.saturating_sub(position.end.0)), reason },
                None if written == 0 => Self::Open,
                None => Self::Torn { bytes: written, reason },
            },
            Stop::Open | Stop::Limit => match written {
                0 => Self::Open,
                bytes => Self::Torn { bytes, reason: FrameError::Unwritten },
            },
        })
    }
}
