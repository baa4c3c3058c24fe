//! Reading a segment, live or sealed, by plain reads: frames in order, damage, and why reading stopped.
//!
//! Runs anywhere, in any process. It never maps the file (somebody may shorten it), never writes, never allocates more
//! than one frame takes, and never trusts a number in the file before it is checked.

use super::buffered_file::BufferedFile;
use super::format::{
    Extent, FORMAT_VERSION, FRAME_ALIGNMENT, FRAME_HEADER_BYTES, FRAMES_OFFSET, Frame, FrameError, HEADER_BYTES,
    HeaderError, Mark, PAYLOAD_BYTES_MAX, SegmentHeader, frame_bytes, u32_at,
};
use crate::ground::error::{PathError, SegmentError};
use crate::ground::position::{Offset, Sequence};
use std::path::Path;

/// How many bytes may be checksummed while looking for the next intact frame, per byte of the segment. Honest damage
/// needs about one; only a forged file, in which every word looks like a length, comes near the limit.
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
    /// The segment is sealed and was read to its end.
    Sealed,
    /// Nothing more was written, so far.
    Open,
    /// The limit set with [`SegmentReader::set_limit`] was reached.
    Limit,
    /// The next bytes are no frame, and nothing vouches for them: what a crash leaves behind, or, for an instant, a
    /// frame that is being written.
    Torn {
        /// How many bytes lie behind the last good frame.
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
}

impl SegmentReader {
    /// Opens a segment and reads its header.
    ///
    /// # Errors
    /// [`SegmentError`]: it can't be opened or is no regular file (symbolic links are not followed), its header is
    /// damaged or absent, or its version is newer than this build.
    pub fn open(path: &Path) -> Result<Self, SegmentError> {
        let file = BufferedFile::open(path)?;
        let header = read_header(path, file.buffered())?;
        let mark = Mark::newest(file.buffered(), header.salt);
        Ok(Self { file, header, mark, limit: None, position: Extent::EMPTY })
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
    }

    /// Reads no further than `limit`. The caller vouches for everything before it, whatever the mark says: what is no
    /// frame there is damage.
    pub fn set_limit(&mut self, limit: Extent) {
        self.limit = Some(limit);
    }

    /// From now on the mark says nothing: it vouches for no frame, and gives no end.
    pub(crate) fn distrust_mark(&mut self) {
        // No other is newer.
        self.mark = Mark { generation: u64::MAX, ..Mark::UNWRITTEN };
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

    /// The next frame, damage, or the reason why there is none.
    ///
    /// # Errors
    /// The system refuses to read.
    #[expect(clippy::should_implement_trait, reason = "an item borrows the reader's buffer, which Iterator can't say")]
    pub fn next(&mut self) -> Result<Item<'_>, PathError> {
        let offset = self.position.end;
        let mut looked_again = false;
        let reason = loop {
            if self.limit.is_some_and(|limit| offset >= limit.end) {
                return Ok(Item::Stop(Stop::Limit));
            }
            if self.limit.is_none() && self.mark.sealed.is_some_and(|sealed| offset >= sealed.end) {
                return Ok(Item::Stop(Stop::Sealed));
            }
            match self.decode_at(offset.0)? {
                Ok(index) if index == self.position.frames => return Ok(Item::Frame(self.advance())),
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
        let vouched = self.vouched();
        if offset < vouched.end {
            return Ok(Item::Damage(self.skip_damage(vouched, reason)?));
        }
        let bytes = u32::try_from(self.file_bytes()?).unwrap_or(u32::MAX).saturating_sub(offset.0);
        if bytes == 0 || reason == FrameError::Unwritten {
            return Ok(Item::Stop(Stop::Open));
        }
        Ok(Item::Stop(Stop::Torn { bytes, reason }))
    }

    /// Up to here frames were written: the caller says so, or the mark does.
    fn vouched(&self) -> Extent {
        self.limit.map_or(self.mark.durable, |limit| limit.max(self.mark.durable))
    }

    /// Steps over the frame that [`Self::decode_at`] has just found at the position.
    fn advance(&mut self) -> FrameAt<'_> {
        let (offset, sequence) = (self.position.end, self.next_sequence());
        let bytes = self.file.buffered_from(offset.0);
        let length = u32_at(bytes, 0);
        let start = FRAME_HEADER_BYTES as usize;
        self.position = Extent { end: Offset(offset.0 + frame_bytes(length)), frames: self.position.frames + 1 };
        FrameAt { offset, sequence, payload: &bytes[start..start + length as usize] }
    }

    /// Looks for the next intact frame before `vouched`, and goes there.
    fn skip_damage(&mut self, vouched: Extent, reason: FrameError) -> Result<Damage, PathError> {
        let (start, expected) = (self.position.end.0, self.position.frames);
        let mut budget_bytes = u64::from(vouched.end.0) * RESYNC_BUDGET_PER_BYTE;
        // A forged mark may vouch for fewer frames than were read; numbers never go back.
        let mut next = Extent { frames: vouched.frames.max(expected), ..vouched };
        // From here on, not behind: the frame that is due may be missing, and the next one stand in its place.
        let mut offset = start;
        // The file may have been cut below what was vouched for.
        let end = u64::from(vouched.end.0).min(self.file_bytes()?);
        while u64::from(offset) < end && budget_bytes > 0 {
            // An honest index is close: no frame is shorter than a header and a word.
            let index_max = expected + (offset - start) / (FRAME_HEADER_BYTES + FRAME_ALIGNMENT) + 1;
            let header = self.file.from(offset, FRAME_HEADER_BYTES as usize)?;
            if header.len() < 8 {
                break;
            }
            let (length, index) = (u32_at(header, 0), u32_at(header, 4));
            // Nor does what is vouched for end in the middle of a frame. So a damaged length that says more than there
            // is costs nothing.
            let ends = u64::from(offset) + u64::from(FRAME_HEADER_BYTES) + u64::from(length);
            if (expected..=index_max).contains(&index) && length > 0 && ends <= end {
                if let Ok(index) = self.decode_at(offset)? {
                    next = Extent { end: Offset(offset), frames: index };
                    break;
                }
                budget_bytes = budget_bytes.saturating_sub(u64::from(FRAME_HEADER_BYTES) + u64::from(length));
            }
            offset += FRAME_ALIGNMENT;
        }
        self.position = next;
        Ok(Damage { offset: Offset(start), bytes: next.end.0 - start, records: next.frames - expected, reason })
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
        let mut page = [0; FRAMES_OFFSET as usize];
        let count = self.read_at(Offset(0), &mut page)?;
        let mark = Mark::newest(&page[..count], self.header.salt);
        if mark.generation > self.mark.generation {
            self.mark = mark;
        }
        Ok(())
    }
}

/// Reads the header in the first page of a file.
fn read_header(path: &Path, page: &[u8]) -> Result<SegmentHeader, SegmentError> {
    let no_header = |expected, found: String, never_started| SegmentError::Header {
        path: path.to_owned(),
        expected,
        found,
        never_started,
    };
    let Some(bytes) = page.first_chunk::<HEADER_BYTES>() else {
        return Err(no_header("a header of 64 bytes", format!("{} bytes", page.len()), true));
    };
    SegmentHeader::decode(bytes).map_err(|error| match error {
        // A header reaches the disk before any mark does. So nothing vouches for one that is zero while both marks are.
        HeaderError::Unwritten if page.iter().all(|byte| *byte == 0) => {
            no_header("a header", "zeros: this segment was never started".into(), true)
        }
        HeaderError::Unwritten => no_header("a header", "zeros, with a mark behind them".into(), false),
        HeaderError::Corrupt { expected, found } => no_header(expected, found, false),
        HeaderError::UnsupportedVersion(found) => {
            SegmentError::UnsupportedVersion { path: path.to_owned(), supported: FORMAT_VERSION, found }
        }
    })
}
