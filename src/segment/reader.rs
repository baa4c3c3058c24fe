//! Reading a segment, live or sealed, by plain reads: frames in order, damage, and why reading stopped.
//!
//! Runs anywhere, in any process. It never maps the file (somebody may shorten it), never writes, never allocates more
//! than one frame's worth, and never trusts a number in the file before it is checked.

use super::format::{
    Extent, FORMAT_VERSION, FRAME_ALIGNMENT, FRAME_HEADER_BYTES, FRAMES_OFFSET, Frame, FrameError, HEADER_BYTES,
    HeaderError, Mark, PAYLOAD_BYTES_MAX, SegmentHeader, frame_bytes,
};
use crate::ground::error::{AtPath, PathError, SegmentError, is_unreadable};
use crate::ground::position::{Offset, Sequence};
use crate::ground::sabotage::{self, Spot};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How much is read ahead: large enough that the system calls don't show, small enough to stay in the cache.
const READ_AHEAD_BYTES: usize = 256 * 1024;

/// What a disk can't read is a page, or several.
const PAGE_BYTES: usize = 4096;

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
    file: File,
    path: PathBuf,
    header: SegmentHeader,
    mark: Mark,
    limit: Option<Extent>,
    /// Whether pages that the disk can't read count as zeros.
    passes_unreadable: bool,
    /// Where the next frame is due.
    position: Extent,
    buffer: Vec<u8>,
    /// How much of the buffer was read from the file; what lies behind is left from before.
    buffered_bytes: usize,
    /// The file offset of the buffer's first byte.
    buffer_offset: u32,
}

impl SegmentReader {
    /// Opens a segment and reads its header.
    ///
    /// # Errors
    /// [`SegmentError`]: it can't be opened or is no regular file (symbolic links are not followed), its header is
    /// damaged or absent, or its version is newer than this build.
    pub fn open(path: &Path) -> Result<Self, SegmentError> {
        // O_NONBLOCK: opening a FIFO must not hang. It means nothing for a regular file.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        let header_error = |expected, found: String| SegmentError::Header {
            path: path.to_owned(),
            expected,
            found,
            never_started: false,
        };
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                return Err(header_error("a regular file", "a symbolic link".into()));
            }
            opened => opened.at("open", path)?,
        };
        let metadata = file.metadata().at("inspect", path)?;
        if !metadata.is_file() {
            return Err(header_error("a regular file", format!("{:?}", metadata.file_type())));
        }
        let mut reader = Self {
            file,
            path: path.to_owned(),
            // Replaced below; a header is what tells whether this is a segment at all.
            header: SegmentHeader {
                salt: 0,
                writer_id: crate::ground::position::WriterId([0; 16]),
                segment_id: crate::ground::position::SegmentId(0),
                base_sequence: Sequence(1),
                created_at: 0,
            },
            mark: Mark::UNWRITTEN,
            limit: None,
            passes_unreadable: false,
            position: Extent::EMPTY,
            buffer: Vec::new(),
            buffered_bytes: 0,
            buffer_offset: 0,
        };
        reader.refill(0, FRAMES_OFFSET as usize)?;
        let Some(bytes) = reader.buffered().first_chunk::<HEADER_BYTES>() else {
            let found = format!("{} bytes", reader.buffered_bytes);
            return Err(SegmentError::Header {
                path: path.to_owned(),
                expected: "a header of 64 bytes",
                found,
                never_started: true,
            });
        };
        reader.header = SegmentHeader::decode(bytes).map_err(|error| match error {
            HeaderError::Unwritten if reader.first_page_is_zero() => SegmentError::Header {
                path: path.to_owned(),
                expected: "a header",
                found: "zeros: this segment was never started".into(),
                never_started: true,
            },
            HeaderError::Unwritten => header_error("a header", "zeros, with a mark behind them".into()),
            HeaderError::Corrupt { expected, found } => header_error(expected, found),
            HeaderError::UnsupportedVersion(found) => {
                SegmentError::UnsupportedVersion { path: path.to_owned(), supported: FORMAT_VERSION, found }
            }
        })?;
        reader.mark = Mark::newest(reader.buffered(), reader.header.salt);
        Ok(reader)
    }

    /// The segment's header.
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// The mark, as it was when it was last looked at: when the reader was opened, or before it last stopped.
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
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
        Ok(self.file.metadata().at("inspect", &self.path)?.len())
    }

    /// Continues at `position`, which must be where an earlier reader of the same segment stood.
    pub fn seek(&mut self, position: Extent) {
        self.position = position;
    }

    /// Reads no further than `limit`. The caller vouches for everything before it, whatever the mark says: what is no frame
    /// there is damage.
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
        self.passes_unreadable = true;
    }

    /// Fills `bytes` with what the file has from `offset` on, as it is, and returns how much that was: less than asked
    /// for only where the file ends. Leaves the position alone.
    ///
    /// # Errors
    /// The system refuses to read.
    pub fn read_at(&self, offset: Offset, bytes: &mut [u8]) -> Result<usize, PathError> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read_some(u64::from(offset.0) + filled as u64, &mut bytes[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.passes_unreadable && is_unreadable(&error) => {
                    let at = offset.0 as usize + filled;
                    let end = bytes.len().min(filled + PAGE_BYTES - at % PAGE_BYTES);
                    match self.read_some(at as u64, &mut bytes[filled..end]) {
                        Ok(0) => break,
                        Ok(count) => filled += count,
                        Err(_) => {
                            bytes[filled..end].fill(0);
                            filled = end;
                        }
                    }
                }
                Err(error) => return Err(error).at("read", &self.path),
            }
        }
        Ok(filled)
    }

    fn read_some(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        sabotage::at(Spot::Read { from: offset, to: offset + bytes.len() as u64 }, &self.path)?;
        self.file.read_at(bytes, offset)
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
                    // What is buffered may be older than what is in the file: look again before saying so. The
                    // mark first: what it vouches for was written before it.
                    self.refresh_mark()?;
                    self.buffered_bytes = 0;
                    looked_again = true;
                    if offset < self.vouched().end {
                        // So may be what the kernel keeps of a file system that a process serves: on FUSE, a page that was
                        // read while it was being written was seen to stay as it was before, and a good frame was called
                        // damaged. Where it can't be dropped, it is the file.
                        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
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

    /// What lies before this was written: the caller says so, or the mark does.
    fn vouched(&self) -> Extent {
        self.limit.map_or(self.mark.durable, |limit| limit.max(self.mark.durable))
    }

    /// Steps over the frame that [`Self::decode_at`] has just found at the position.
    fn advance(&mut self) -> FrameAt<'_> {
        let (offset, sequence) = (self.position.end, self.next_sequence());
        let start = (offset.0 - self.buffer_offset) as usize + FRAME_HEADER_BYTES as usize;
        let length = self.payload_length(offset.0);
        self.position = Extent { end: Offset(offset.0 + frame_bytes(length)), frames: self.position.frames + 1 };
        FrameAt { offset, sequence, payload: &self.buffer[start..start + length as usize] }
    }

    fn payload_length(&self, offset: u32) -> u32 {
        let start = (offset - self.buffer_offset) as usize;
        u32::from_le_bytes([self.buffer[start], self.buffer[start + 1], self.buffer[start + 2], self.buffer[start + 3]])
    }

    /// Looks for the next intact frame before `vouched`, and goes there.
    fn skip_damage(&mut self, vouched: Extent, reason: FrameError) -> Result<Damage, PathError> {
        let (start, expected) = (self.position.end.0, self.position.frames);
        let mut budget_bytes = u64::from(vouched.end.0) * RESYNC_BUDGET_PER_BYTE;
        // A forged mark may vouch for fewer frames than were read; numbers never go back.
        let mut next = Extent { frames: vouched.frames.max(expected), ..vouched };
        // From here on, not behind: what is due may be missing, and the frame after it stand in its place.
        let mut offset = start;
        // The file may have been cut below what was vouched for.
        let end = u64::from(vouched.end.0).min(self.file_bytes()?);
        while u64::from(offset) < end && budget_bytes > 0 {
            // An honest index is close: no frame is shorter than a header and a word.
            let index_max = expected + (offset - start) / (FRAME_HEADER_BYTES + FRAME_ALIGNMENT) + 1;
            let Some(header) = self.at(offset, FRAME_HEADER_BYTES as usize)?.first_chunk::<8>() else { break };
            let [a, b, c, d, e, f, g, h] = *header;
            let (length, index) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
            // Nor does what is vouched for end in the middle of a frame. So a length that was hurt, and now says more than
            // there is, costs nothing.
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
            let bytes = self.at(offset, need as usize)?;
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

    /// The bytes of the file from `offset` on: at least `need` of them, unless the file ends before.
    fn at(&mut self, offset: u32, need: usize) -> Result<&[u8], PathError> {
        let buffered = offset
            .checked_sub(self.buffer_offset)
            .and_then(|start| self.buffered().get(start as usize..))
            .is_some_and(|bytes| bytes.len() >= need);
        if !buffered {
            self.refill(offset, need.max(READ_AHEAD_BYTES))?;
        }
        Ok(&self.buffered()[(offset - self.buffer_offset) as usize..])
    }

    fn buffered(&self) -> &[u8] {
        &self.buffer[..self.buffered_bytes]
    }

    fn refill(&mut self, offset: u32, bytes: usize) -> Result<(), PathError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.len() < bytes {
            buffer = vec![0; bytes];
        }
        let read = self.read_at(Offset(offset), &mut buffer[..bytes]);
        (self.buffer, self.buffer_offset, self.buffered_bytes) = (buffer, offset, 0);
        self.buffered_bytes = read?;
        Ok(())
    }

    /// Nothing vouches for a header that is zero while both marks are: a header reaches the disk before any mark does.
    fn first_page_is_zero(&self) -> bool {
        self.buffered().iter().all(|byte| *byte == 0)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::position::{SegmentId, WriterId};
    use crate::segment::format::MARK_BYTES;
    use crate::segment::syncer::SegmentSyncer;
    use crate::segment::writer::{PreparedSegment, SegmentWriter};

    /// A segment on disk with verbs.
    struct Fixture {
        _dir: tempfile::TempDir,
        path: PathBuf,
        writer: Option<SegmentWriter>,
        syncer: Option<SegmentSyncer>,
    }

    impl Fixture {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let prepared = PreparedSegment::create(dir.path(), SegmentId(1), 64 * 1024).unwrap();
            let (writer, syncer) = prepared.activate(WriterId([7; 16]), Sequence(101), 5).unwrap();
            let path = writer.path().to_owned();
            Self { _dir: dir, path, writer: Some(writer), syncer: Some(syncer) }
        }
        fn write(&mut self, payload: &[u8]) -> Sequence {
            self.writer.as_mut().unwrap().append(payload).unwrap()
        }
        fn sync(&mut self) -> Extent {
            self.syncer.as_mut().unwrap().sync().unwrap()
        }
        fn seal(&mut self) {
            let extent = self.writer.take().unwrap().finish();
            self.syncer.take().unwrap().seal(extent, true).unwrap();
        }
        fn patch(&self, offset: u32, bytes: &[u8]) {
            let file = OpenOptions::new().write(true).open(&self.path).unwrap();
            file.write_all_at(bytes, u64::from(offset)).unwrap();
        }
        fn open(&self) -> SegmentReader {
            SegmentReader::open(&self.path).unwrap()
        }
    }

    /// Offset, sequence, payload.
    type Found = (u32, u64, Vec<u8>);

    /// Everything up to the stop.
    fn read_all(reader: &mut SegmentReader) -> (Vec<Found>, Vec<Damage>, Stop) {
        let (mut frames, mut damage) = (Vec::new(), Vec::new());
        loop {
            match reader.next().unwrap() {
                Item::Frame(frame) => frames.push((frame.offset.0, frame.sequence.0, frame.payload.to_vec())),
                Item::Damage(found) => damage.push(found),
                Item::Stop(stop) => return (frames, damage, stop),
            }
        }
    }

    #[test]
    fn a_live_segment_is_read_as_it_grows_and_to_its_seal() {
        let mut segment = Fixture::new();
        let mut reader = segment.open();
        assert_eq!(reader.next().unwrap(), Item::Stop(Stop::Open));
        for round in 0..3_u64 {
            assert_eq!(segment.write(b"payload"), Sequence(101 + round));
            assert!(matches!(reader.next().unwrap(), Item::Frame(frame) if frame.sequence.0 == 101 + round));
            assert_eq!(reader.next().unwrap(), Item::Stop(Stop::Open));
        }
        segment.seal();
        assert_eq!(reader.next().unwrap(), Item::Stop(Stop::Sealed));
        assert_eq!(std::fs::metadata(&segment.path).unwrap().len(), u64::from(reader.position().end.0));
    }

    #[test]
    fn a_frame_larger_than_the_read_ahead_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let prepared = PreparedSegment::create(dir.path(), SegmentId(1), 4 * 1024 * 1024).unwrap();
        let (mut writer, _syncer) = prepared.activate(WriterId([7; 16]), Sequence(1), 5).unwrap();
        let large = vec![0xab; 1024 * 1024];
        writer.append(b"small").unwrap();
        writer.append(&large).unwrap();
        writer.append(b"small").unwrap();
        let (frames, _, stop) = read_all(&mut SegmentReader::open(writer.path()).unwrap());
        assert_eq!(frames.iter().map(|frame| frame.2.len()).collect::<Vec<_>>(), [5, large.len(), 5]);
        assert_eq!(stop, Stop::Open);
    }

    #[test]
    fn the_same_bad_bytes_are_damage_below_the_durable_mark_and_a_torn_tail_above() {
        for synced in [true, false] {
            let mut segment = Fixture::new();
            for payload in [b"first ", b"second", b"third "] {
                segment.write(payload);
            }
            if synced {
                segment.sync();
            }
            let (whole, _, _) = read_all(&mut segment.open());
            segment.patch(whole[1].0 + FRAME_HEADER_BYTES, b"X");
            let (frames, damage, stop) = read_all(&mut segment.open());
            if synced {
                assert_eq!(frames, [whole[0].clone(), whole[2].clone()]);
                assert_eq!((damage[0].offset.0, damage[0].records), (whole[1].0, 1));
                assert_eq!(damage[0].bytes, whole[2].0 - whole[1].0);
                assert_eq!(stop, Stop::Open);
            } else {
                assert_eq!(frames, [whole[0].clone()]);
                assert!(damage.is_empty());
                assert!(matches!(stop, Stop::Torn { reason: FrameError::Checksum { .. }, .. }), "{stop:?}");
            }
        }
    }

    #[test]
    fn damage_up_to_the_mark_loses_the_rest_and_says_how_much() {
        let mut segment = Fixture::new();
        for _ in 0..3 {
            segment.write(b"payload");
        }
        let durable = segment.sync();
        segment.patch(FRAMES_OFFSET, &vec![0; (durable.end.0 - FRAMES_OFFSET) as usize]);
        let (frames, damage, stop) = read_all(&mut segment.open());
        assert!(frames.is_empty());
        assert_eq!((damage[0].records, damage[0].reason), (3, FrameError::Unwritten));
        assert_eq!(stop, Stop::Open);
    }

    #[test]
    fn lengths_that_reach_into_the_room_behind_the_mark_cost_their_records_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        // Much more room than frames: reading what the length says would take all the effort that the search may take.
        let prepared = PreparedSegment::create(dir.path(), SegmentId(1), 1024 * 1024).unwrap();
        let (mut writer, mut syncer) = prepared.activate(WriterId([7; 16]), Sequence(1), 5).unwrap();
        for payload in [b"first ", b"second", b"third "] {
            writer.append(payload).unwrap();
        }
        syncer.sync().unwrap();
        for bit in 0..32 {
            let file = OpenOptions::new().write(true).open(writer.path()).unwrap();
            for frame in [0, 20] {
                let length = (6_u32 ^ 1 << bit).to_le_bytes();
                file.write_all_at(&length, u64::from(FRAMES_OFFSET + frame)).unwrap();
            }
            let (frames, damage, _) = read_all(&mut SegmentReader::open(writer.path()).unwrap());
            assert_eq!((frames.len(), damage.len(), damage[0].records), (1, 1, 2), "bit {bit}");
        }
    }

    #[test]
    fn a_frame_that_stands_in_the_place_of_a_missing_one_is_read() {
        let mut segment = Fixture::new();
        for payload in [b"first ", b"second", b"third "] {
            segment.write(payload);
        }
        segment.sync();
        let bytes = std::fs::read(&segment.path).unwrap();
        let (frame, start) = (20, FRAMES_OFFSET as usize);
        segment.patch(FRAMES_OFFSET, &bytes[start + frame..start + 3 * frame]);
        let (frames, damage, _) = read_all(&mut segment.open());
        assert_eq!(frames.iter().map(|frame| frame.1).collect::<Vec<_>>(), [102, 103]);
        assert_eq!((damage[0].bytes, damage[0].records), (0, 1));
    }

    #[test]
    fn a_limit_is_kept_and_vouches_for_what_lies_before() {
        let mut segment = Fixture::new();
        segment.write(b"first");
        let limit = segment.writer.as_ref().unwrap().extent();
        segment.write(b"second");
        let mut reader = segment.open();
        reader.set_limit(limit);
        let (frames, _, stop) = read_all(&mut reader);
        assert_eq!((frames.len(), stop), (1, Stop::Limit));
        segment.patch(FRAMES_OFFSET + 12, b"X");
        let mut reader = segment.open();
        reader.set_limit(limit);
        let (frames, damage, stop) = read_all(&mut reader);
        assert_eq!((frames.len(), damage.len(), stop), (0, 1, Stop::Limit));
    }

    #[test]
    fn what_is_no_segment_is_refused_with_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("000000000001.seg");
        let expect = |text: &str| {
            let error = SegmentReader::open(&path).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        };
        expect("No such file");
        std::fs::write(&path, b"").unwrap();
        expect("found 0 bytes");
        std::fs::write(&path, [0; 8192]).unwrap();
        expect("never started");
        std::fs::write(&path, [b'x'; 8192]).unwrap();
        expect("expected the magic");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        expect("found a symbolic link");
        std::fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
        expect("a regular file");
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        expect("a regular file");
    }

    #[test]
    fn a_header_of_zeros_is_a_power_cut_only_while_there_is_no_mark() {
        let never_started = |path: &Path| match SegmentReader::open(path) {
            Err(SegmentError::Header { never_started, .. }) => never_started,
            other => panic!("{other:?}"),
        };
        let mut segment = Fixture::new();
        segment.write(b"payload");
        segment.patch(0, &[0; HEADER_BYTES]);
        assert!(never_started(&segment.path), "a frame may reach the disk before the header does");
        let mut segment = Fixture::new();
        segment.write(b"payload");
        segment.sync();
        segment.patch(0, &[0; HEADER_BYTES]);
        assert!(!never_started(&segment.path), "the mark was written after the header was synced");
        for length in [0, 1, HEADER_BYTES - 1, HEADER_BYTES] {
            std::fs::write(&segment.path, vec![0; length]).unwrap();
            assert!(never_started(&segment.path), "{length} zeros");
        }
    }

    #[test]
    fn plain_bytes_are_given_as_far_as_the_file_goes() {
        let mut segment = Fixture::new();
        segment.write(b"payload");
        let (mut some, mut rest) = ([0; 7], [0xff; 64]);
        let reader = segment.open();
        assert_eq!(reader.read_at(Offset(FRAMES_OFFSET + FRAME_HEADER_BYTES), &mut some).unwrap(), 7);
        assert_eq!(&some, b"payload");
        assert_eq!(reader.read_at(Offset(64 * 1024 - 10), &mut rest).unwrap(), 10);
        assert_eq!(reader.position(), Extent::EMPTY);
    }

    #[test]
    fn a_frame_that_ends_beyond_the_last_offset_is_refused() {
        let segment = Fixture::new();
        let salt = segment.writer.as_ref().unwrap().header().salt;
        let header = crate::segment::format::FrameHeader::for_payload(salt, 0, b"payload");
        let offset = u32::MAX - 15;
        let file = OpenOptions::new().write(true).open(&segment.path).unwrap();
        for (at, word) in [header.length, header.index, header.crc].iter().enumerate() {
            file.write_all_at(&word.to_le_bytes(), u64::from(offset) + 4 * at as u64).unwrap();
        }
        file.write_all_at(b"payload\0", u64::from(offset) + 12).unwrap();
        let mut reader = segment.open();
        reader.seek(Extent { end: Offset(offset), frames: 0 });
        assert!(matches!(reader.next().unwrap(), Item::Stop(Stop::Torn { reason: FrameError::Length(7), .. })));
    }

    #[test]
    fn a_mark_with_a_forged_extent_is_no_mark() {
        let mut segment = Fixture::new();
        segment.write(b"payload");
        let salt = segment.writer.as_ref().unwrap().header().salt;
        let forged = Mark { generation: 9, durable: Extent { end: Offset(7), frames: 1 }, sealed: None };
        let bytes: [u8; MARK_BYTES] = forged.encode(salt);
        segment.patch(Mark::offset(9), &bytes);
        let (frames, damage, stop) = read_all(&mut segment.open());
        assert_eq!((frames.len(), damage.len(), stop), (1, 0, Stop::Open));
    }
}
