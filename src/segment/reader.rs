//! Reading a segment, live or sealed, by plain reads: frames in order, damage, a wrong mark, and why reading stopped.
//!
//! `format.md`, section 3, has the table that this follows. Everybody who reads frames reads them here, so that all read
//! the same.
//!
//! Runs anywhere, in any process. It never maps the file (somebody may shorten it), never writes, never allocates more
//! than one frame takes, and never trusts a number in the file before it is checked.

use super::buffered_file::BufferedFile;
use super::format::{
    Extent, FORMAT_VERSION, FRAME_ALIGNMENT, FRAME_HEADER_BYTES, FRAMES_OFFSET, Frame, FrameError, HEADER_BYTES,
    HeaderError, Mark, PAYLOAD_BYTES_MAX, SegmentHeader, frame_bytes, u32_at,
};
use super::marks::Marks;
use super::wrong_mark::{Contradiction, MarkEnd, WrongMark};
use crate::ground::error::{HeaderFault, PathError, SegmentError};
use crate::ground::position::{Offset, Sequence};
use std::ops::Range;
use std::path::Path;

/// How many bytes may be checksummed while looking for the next intact frame, per byte of the file. Honest damage needs
/// about one; only a forged file, in which every word looks like a length, comes near the limit.
const RESYNC_BUDGET_PER_BYTE: u64 = 16;

/// A frame that was found, with where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameAt<'a> {
    /// Where it starts.
    pub offset: Offset,
    /// The sequence number of its record.
    pub sequence: Sequence,
    /// The record's bytes.
    pub payload: &'a [u8],
}

/// Bytes that were vouched for (they lie below the durable mark) and are no frames any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where it starts.
    pub offset: Offset,
    /// How many frames of the segment lie before it.
    pub index: u32,
    /// How far it is to the next intact frame, or to the mark.
    pub bytes: u32,
    /// How many records are missing.
    pub records: u32,
    /// What was wrong at `offset`.
    pub reason: FrameError,
}

/// Why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The segment is sealed, and no frame stands at its end or behind that.
    Sealed,
    /// Nothing more was written, so far: here stands a length of zero, or the file ends. What may lie behind that is
    /// not looked at; [`super::examination`] does.
    Open,
    /// The limit set with [`SegmentReader::set_limit`] was reached.
    Limit,
    /// The next bytes are no frame, and nothing vouches for them: what a crash leaves behind, or, for an instant, a
    /// frame that is being written. Also where a seal says that there were more frames, whatever is there now.
    Torn {
        /// How far it is from the last good frame to the end of the file, or to the sealed end if that lies behind it.
        bytes: u32,
        /// What was wrong with them.
        reason: FrameError,
    },
}

/// What [`SegmentReader::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// An intact frame.
    Frame(FrameAt<'a>),
    /// Damage; reading goes on behind it.
    Damage(Damage),
    /// The frames contradict the mark; reading goes on by the frames. Each of the mark's ends is named once at most.
    WrongMark(WrongMark),
    /// The end, for now: a later call looks again.
    Stop(Stop),
}

/// Reads one segment from its first frame on.
#[derive(Debug)]
pub struct SegmentReader {
    file: BufferedFile,
    header: SegmentHeader,
    mark: Mark,
    limit: Option<Extent>,
    /// Where the next frame is due.
    position: Extent,
    /// Ends of the mark that were told to be wrong.
    told_wrong: Vec<MarkEnd>,
}

impl SegmentReader {
    /// Opens a segment and reads its header.
    ///
    /// # Errors
    /// [`SegmentError`]: it can't be opened or is no regular file (symbolic links are not followed), its header is
    /// damaged or absent, or its version is newer than this build.
    pub fn open(path: &Path) -> Result<Self, SegmentError> {
        let file = BufferedFile::open(path)?;
        let header = read_header(&file)?;
        let mark = Marks::read(file.buffered(), header.salt).newest();
        Ok(Self { file, header, mark, limit: None, position: Extent::EMPTY, told_wrong: Vec::new() })
    }

    /// The segment's header.
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// The mark, as it was when the reader last looked: when it was opened, or before it last stopped.
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Where the next frame is due.
    pub fn position(&self) -> Extent {
        self.position
    }

    /// The sequence number that is due next.
    pub fn next_sequence(&self) -> Sequence {
        self.position.next_sequence(self.header.base_sequence)
    }

    /// The size of the file in bytes, now.
    ///
    /// # Errors
    /// The system refuses.
    pub fn file_bytes(&self) -> Result<u64, PathError> {
        self.file.bytes()
    }

    /// Continues at `position`, which must be where an earlier reader of the same segment stood.
    pub fn seek(&mut self, position: Extent) {
        self.position = position;
        self.told_wrong.clear();
    }

    /// Reads no further than `limit`. The caller vouches for everything before it, whatever the mark says: what is no
    /// frame there is damage.
    pub fn set_limit(&mut self, limit: Extent) {
        self.limit = Some(limit);
    }

    /// From now on, pages that the disk can't read count as zeros, which is damage where anything vouches for them.
    pub(crate) fn pass_unreadable(&mut self) {
        self.file.pass_unreadable();
    }

    /// Fills `bytes` with what the file has from `offset` on, as it is, and returns how much that was: less than asked
    /// for only where the file ends. Leaves the position alone.
    ///
    /// # Errors
    /// The system refuses to read.
    pub fn read_at(&self, offset: Offset, bytes: &mut [u8]) -> Result<usize, PathError> {
        self.file.read_at(offset, bytes)
    }

    /// The bytes behind `offset` that are not zero: from the first to behind the last. `None`: there is none.
    ///
    /// # Errors
    /// The system refuses to read.
    pub fn written_from(&self, offset: Offset) -> Result<Option<Range<u32>>, PathError> {
        self.file.written_from(offset)
    }

    /// Both marks, as they are in the file now.
    ///
    /// # Errors
    /// The system refuses to read.
    pub fn marks(&self) -> Result<Marks, PathError> {
        let mut page = [0; FRAMES_OFFSET as usize];
        let count = self.read_at(Offset(0), &mut page)?;
        Ok(Marks::read(&page[..count], self.header.salt))
    }

    /// Whether nothing has come since the reader stopped, by two small reads: no length stands where the next frame is
    /// due, and no new mark.
    pub(super) fn is_unchanged(&self) -> Result<bool, PathError> {
        let mut word = [0; 4];
        let count = self.read_at(self.position.end, &mut word)?;
        Ok(word[..count] == [0; 4][..count] && self.marks()?.newest().generation <= self.mark.generation)
    }

    /// Gives back the memory that is read into.
    pub(super) fn release(&mut self) {
        self.file.release();
    }

    /// The frame that was read last, once more.
    pub(super) fn frame_again(&self, offset: Offset, sequence: Sequence) -> FrameAt<'_> {
        let bytes = self.file.buffered_from(offset.0);
        let start = FRAME_HEADER_BYTES as usize;
        FrameAt { offset, sequence, payload: &bytes[start..start + u32_at(bytes, 0) as usize] }
    }

    /// The next frame, damage, a wrong mark, or the reason why there is nothing more.
    ///
    /// # Errors
    /// The system refuses to read.
    #[expect(clippy::should_implement_trait, reason = "an item borrows the reader's buffer, which Iterator can't say")]
    pub fn next(&mut self) -> Result<Item<'_>, PathError> {
        if let Some(wrong) = self.wrong_count() {
            return Ok(Item::WrongMark(wrong));
        }
        let offset = self.position.end;
        let mut looked_again = false;
        let reason = loop {
            if self.limit.is_some_and(|limit| offset >= limit.end) {
                return Ok(Item::Stop(Stop::Limit));
            }
            match self.decode_at(offset.0)? {
                Ok(index) if index == self.position.frames => {
                    return Ok(match self.wrong_place() {
                        Some(wrong) => Item::WrongMark(wrong),
                        None => Item::Frame(self.advance()),
                    });
                }
                _ if !looked_again => {
                    // The buffer may be older than the file: look again before saying so. The mark first: the frames
                    // that it vouches for were written before it.
                    self.refresh_mark()?;
                    self.file.forget();
                    looked_again = true;
                    if offset < self.vouched().end {
                        // What the kernel keeps of a file system that a process serves may be old, too: on FUSE, a page
                        // that was read while it was being written was seen to stay as it was before, and a good frame
                        // was called damaged. Where that can't be dropped, it is the file.
                        self.file.drop_cache();
                    }
                }
                Ok(found) => break FrameError::Index { expected: self.position.frames, found },
                Err(reason) => break reason,
            }
        };
        let (vouched, sealed) = (self.vouched(), self.mark.sealed.filter(|_| self.limit.is_none()));
        if sealed.is_some_and(|sealed| offset >= sealed.end) {
            return Ok(Item::Stop(Stop::Sealed));
        }
        if offset < vouched.end {
            return Ok(Item::Damage(self.skip_damage(vouched, reason)?));
        }
        let bytes = u32::try_from(self.file_bytes()?).unwrap_or(u32::MAX).saturating_sub(offset.0);
        if let Some(sealed) = sealed {
            return Ok(Item::Stop(Stop::Torn { bytes: bytes.max(sealed.end.0 - offset.0), reason }));
        }
        // Less than a header, and zeros: no length was written there either.
        let rest = self.file.buffered_from(offset.0);
        let is_short = bytes < FRAME_HEADER_BYTES && rest.iter().all(|byte| *byte == 0);
        if is_short || reason == FrameError::Unwritten {
            return Ok(Item::Stop(Stop::Open));
        }
        Ok(Item::Stop(Stop::Torn { bytes, reason }))
    }

    /// Up to here frames were written: the caller says so, or the mark does.
    fn vouched(&self) -> Extent {
        self.limit.map_or(self.mark.durable, |limit| limit.max(self.mark.durable))
    }

    /// The ends of the mark that are still believed. Where both are the same it is the sealed one.
    fn ends(&self) -> impl Iterator<Item = (MarkEnd, Extent)> + use<> {
        let Mark { durable, sealed, .. } = self.mark;
        let durable = (sealed != Some(durable)).then_some((MarkEnd::Durable, durable));
        let mut ends = [durable, sealed.map(|sealed| (MarkEnd::Sealed, sealed))];
        for end in &mut ends {
            end.take_if(|(end, _)| self.told_wrong.contains(end));
        }
        ends.into_iter().flatten()
    }

    /// At an end of the mark, whether it says another number of frames than there are.
    fn wrong_count(&mut self) -> Option<WrongMark> {
        let found = self.position;
        let (end, expected) = self.ends().find(|(_, says)| says.end == found.end && says.frames != found.frames)?;
        self.told_wrong.push(end);
        Some(WrongMark { end, contradiction: Contradiction::Count, expected, found })
    }

    /// Whether the intact frame that [`Self::decode_at`] has just found at the position stands where no frame can be by
    /// what the mark says.
    fn wrong_place(&mut self) -> Option<WrongMark> {
        let found = self.position;
        let length = u32_at(self.file.buffered_from(found.end.0), 0);
        let behind = Offset(found.end.0 + frame_bytes(length));
        let contradiction = |(end, says): &(MarkEnd, Extent)| match end {
            MarkEnd::Sealed if found.end >= says.end => Some(Contradiction::Behind),
            _ if found.end < says.end && says.end < behind => Some(Contradiction::Across),
            _ => None,
        };
        let (contradiction, (end, expected)) =
            self.ends().find_map(|says| contradiction(&says).map(|contradiction| (contradiction, says)))?;
        self.told_wrong.push(end);
        Some(WrongMark { end, contradiction, expected, found })
    }

    /// Steps over the frame that [`Self::decode_at`] has just found at the position.
    fn advance(&mut self) -> FrameAt<'_> {
        let (offset, sequence) = (self.position.end, self.next_sequence());
        let length = u32_at(self.file.buffered_from(offset.0), 0);
        self.position = Extent { end: Offset(offset.0 + frame_bytes(length)), frames: self.position.frames + 1 };
        self.frame_again(offset, sequence)
    }

    /// Looks for the next intact frame up to the end of `vouched`, and goes there.
    fn skip_damage(&mut self, vouched: Extent, reason: FrameError) -> Result<Damage, PathError> {
        let (start, expected) = (self.position.end.0, self.position.frames);
        // A wrong mark may vouch for fewer frames than were read; numbers never go back.
        let mut next = Extent { frames: vouched.frames.max(expected), ..vouched };
        let file_bytes = self.file_bytes()?;
        let mut budget_bytes = file_bytes.saturating_mul(RESYNC_BUDGET_PER_BYTE);
        // From here on, not behind: the frame that is due may be missing, and the next one stand in its place.
        let mut offset = start;
        // Up to the end and there as well: where the last frame before it is lost, the next one stands there.
        while offset <= vouched.end.0 && budget_bytes > 0 {
            // An honest index is close: no frame is shorter than a header and a word.
            let index_max = expected.saturating_add((offset - start) / (FRAME_HEADER_BYTES + FRAME_ALIGNMENT) + 1);
            let header = self.file.from(offset, FRAME_HEADER_BYTES as usize)?;
            if header.len() < 8 {
                break;
            }
            let (length, index) = (u32_at(header, 0), u32_at(header, 4));
            // A damaged length that says more than the file has costs nothing.
            let ends = u64::from(offset) + u64::from(FRAME_HEADER_BYTES) + u64::from(length);
            if (expected..=index_max).contains(&index) && length > 0 && ends <= file_bytes {
                if let Ok(index) = self.decode_at(offset)? {
                    next = Extent { end: Offset(offset), frames: index };
                    break;
                }
                budget_bytes = budget_bytes.saturating_sub(u64::from(FRAME_HEADER_BYTES) + u64::from(length));
            }
            let Some(behind) = offset.checked_add(FRAME_ALIGNMENT) else { break };
            offset = behind;
        }
        self.position = next;
        let (bytes, records) = (next.end.0 - start, next.frames - expected);
        Ok(Damage { offset: Offset(start), index: expected, bytes, records, reason })
    }

    /// The index of the intact frame at `offset`, which then lies in the buffer, or why there is none.
    fn decode_at(&mut self, offset: u32) -> Result<Result<u32, FrameError>, PathError> {
        let salt = self.header.salt;
        let mut need = FRAME_HEADER_BYTES;
        loop {
            let bytes = self.file.from(offset, need as usize)?;
            let available = bytes.len();
            match Frame::decode(bytes, salt) {
                Ok(frame) => {
                    // Offsets are 32-bit numbers: a frame that ends beyond them is nobody's, however intact.
                    let length = u32::try_from(frame.payload.len()).unwrap_or(PAYLOAD_BYTES_MAX);
                    let ends = offset.checked_add(frame_bytes(length)).is_some();
                    return Ok(if ends { Ok(frame.index) } else { Err(FrameError::Length(length)) });
                }
                Err(FrameError::Incomplete(total)) if total > need && available >= need as usize => {
                    // Before making room for what the length word asks: does the file have it?
                    if u64::from(offset) + u64::from(total) > self.file_bytes()? {
                        return Ok(Err(FrameError::Incomplete(total)));
                    }
                    need = total;
                }
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    fn refresh_mark(&mut self) -> Result<(), PathError> {
        let mark = self.marks()?.newest();
        if mark.generation > self.mark.generation {
            self.mark = mark;
        }
        Ok(())
    }
}

/// Reads the header of a file of which the first page is in the buffer.
fn read_header(file: &BufferedFile) -> Result<SegmentHeader, SegmentError> {
    let (path, page) = (file.path(), file.buffered());
    let no_header =
        |fault, expected, found: String| Err(SegmentError::Header { path: path.to_owned(), expected, found, fault });
    let (start, bytes) = (&page[..page.len().min(HEADER_BYTES)], page.len());
    if start.iter().all(|byte| *byte == 0) {
        let Some(written) = file.written_from(Offset(0))? else {
            let found = if bytes == 0 { "0 bytes" } else { "zeros" };
            return no_header(
                HeaderFault::NeverStarted,
                "a header",
                format!("{found}: this segment was never started"),
            );
        };
        let fault = HeaderFault::FirstPageLost { begins_with_zeros: true };
        let found = format!("zeros, with other bytes behind them, from {} on: its first page is lost", written.start);
        return no_header(fault, "a header", found);
    }
    match start.first_chunk::<HEADER_BYTES>().map(SegmentHeader::decode) {
        // How long its first page is, only that version knows.
        Some(Err(HeaderError::UnsupportedVersion(found))) => {
            Err(SegmentError::UnsupportedVersion { path: path.to_owned(), supported: FORMAT_VERSION, found })
        }
        Some(Ok(header)) if bytes >= FRAMES_OFFSET as usize => Ok(header),
        Some(Err(HeaderError::Corrupt { expected, found })) if bytes >= FRAMES_OFFSET as usize => {
            no_header(HeaderFault::Damaged, expected, found)
        }
        _ => {
            let fault = HeaderFault::FirstPageLost { begins_with_zeros: false };
            no_header(fault, "a first page of 4096 bytes", format!("{bytes} bytes"))
        }
    }
}
