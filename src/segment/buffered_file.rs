//! A segment's file for its reader: plain reads, some of them ahead of what is asked for.
//!
//! Runs anywhere, in any process. It never maps the file (somebody may shorten it) and never writes. It allocates as
//! much as it is asked for, so whoever asks must not trust a number in the file before it is checked.

use super::format::FRAMES_OFFSET;
use crate::ground::error::{AtPath, HeaderFault, PathError, SegmentError, is_unreadable};
use crate::ground::position::Offset;
use crate::ground::sabotage::{self, Spot};
use std::fs::{File, FileType, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How much is read ahead: large enough that the system calls don't show, small enough to stay in the cache.
const READ_AHEAD_BYTES: usize = 256 * 1024;

/// What a disk can't read is a page, or several.
const PAGE_BYTES: usize = 4096;

/// The file, and what was read of it last.
#[derive(Debug)]
pub(super) struct BufferedFile {
    file: File,
    path: PathBuf,
    /// Whether pages that the disk can't read count as zeros.
    passes_unreadable: bool,
    buffer: Vec<u8>,
    /// How much of the buffer was read from the file; the bytes behind are left from before.
    buffered_bytes: usize,
    /// The file offset of the buffer's first byte.
    buffer_offset: u32,
}

impl BufferedFile {
    /// Opens a regular file, without following symbolic links, and reads its first page.
    pub(super) fn open(path: &Path) -> Result<Self, SegmentError> {
        // O_NONBLOCK: opening a FIFO must not hang. It means nothing for a regular file.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                return Err(not_regular(path, "a symbolic link".into()));
            }
            opened => opened.at("open", path)?,
        };
        let metadata = file.metadata().at("inspect", path)?;
        if !metadata.is_file() {
            return Err(not_regular(path, kind_of_file(metadata.file_type()).into()));
        }
        let (path, buffer) = (path.to_owned(), Vec::new());
        let mut file = Self { file, path, passes_unreadable: false, buffer, buffered_bytes: 0, buffer_offset: 0 };
        file.refill(0, FRAMES_OFFSET as usize)?;
        Ok(file)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The size of the file in bytes, now.
    pub(super) fn bytes(&self) -> Result<u64, PathError> {
        Ok(self.file.metadata().at("inspect", &self.path)?.len())
    }

    /// From now on, pages that the disk can't read count as zeros.
    pub(super) fn pass_unreadable(&mut self) {
        self.passes_unreadable = true;
    }

    /// Fills `bytes` with what the file has from `offset` on, as it is, and returns how much that was: less than asked
    /// for only where the file ends. Leaves the buffer alone.
    pub(super) fn read_at(&self, offset: Offset, bytes: &mut [u8]) -> Result<usize, PathError> {
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

    /// From the first byte at or behind `offset` that is not zero to behind the last one; `None` if there is none.
    /// Holes are passed over unread, where the file system tells of them. Offsets are 32-bit numbers: what a larger
    /// file holds beyond them is nobody's. Leaves the buffer alone.
    pub(super) fn written_from(&self, offset: Offset) -> Result<Option<Range<u32>>, PathError> {
        let zeros = vec![0; READ_AHEAD_BYTES];
        let mut chunk = zeros.clone();
        let (mut at, mut written) = (u64::from(offset.0), None::<Range<u32>>);
        while let Some(start) = self.data_from(at).and_then(|start| u32::try_from(start).ok()) {
            let count = self.read_at(Offset(start), &mut chunk)?;
            let is_set = |byte: &u8| *byte != 0;
            let place = |index: usize| start.saturating_add(u32::try_from(index).unwrap_or(u32::MAX));
            // Comparing whole chunks is much faster than looking at bytes, and nearly all chunks are zero.
            if chunk[..count] != zeros[..count] {
                let first = chunk[..count].iter().position(is_set).map_or(start, place);
                let end = chunk[..count].iter().rposition(is_set).map_or(start, |last| place(last + 1));
                written = Some(written.map_or(first, |written| written.start)..end);
            }
            if count < chunk.len() {
                break;
            }
            at = u64::from(start) + count as u64;
        }
        Ok(written)
    }

    /// Where the next data is at or behind `offset`; `None` if only a hole follows, or nothing.
    fn data_from(&self, offset: u64) -> Option<u64> {
        match rustix::fs::seek(&self.file, rustix::fs::SeekFrom::Data(offset)) {
            Ok(data) => Some(data),
            Err(rustix::io::Errno::NXIO) => None,
            // The file system can't tell.
            Err(_) => Some(offset),
        }
    }

    /// The bytes of the file from `offset` on: at least `need` of them, unless the file ends before.
    pub(super) fn from(&mut self, offset: u32, need: usize) -> Result<&[u8], PathError> {
        let is_buffered = offset
            .checked_sub(self.buffer_offset)
            .and_then(|start| self.buffered().get(start as usize..))
            .is_some_and(|bytes| bytes.len() >= need);
        if !is_buffered {
            self.refill(offset, need.max(READ_AHEAD_BYTES))?;
        }
        Ok(self.buffered_from(offset))
    }

    /// What the buffer has from `offset` on, which lies in it.
    pub(super) fn buffered_from(&self, offset: u32) -> &[u8] {
        &self.buffered()[(offset - self.buffer_offset) as usize..]
    }

    /// What the buffer has: the first page at first.
    pub(super) fn buffered(&self) -> &[u8] {
        &self.buffer[..self.buffered_bytes]
    }

    /// Empties the buffer, which may be older than the file.
    pub(super) fn forget(&mut self) {
        self.buffered_bytes = 0;
    }

    /// Empties the buffer, and gives its memory back.
    pub(super) fn release(&mut self) {
        (self.buffer, self.buffered_bytes) = (Vec::new(), 0);
    }

    /// Drops what the kernel keeps of the file, as far as it can be dropped.
    pub(super) fn drop_cache(&self) {
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
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
}

/// What lies in the place of a regular file.
fn kind_of_file(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

fn not_regular(path: &Path, found: String) -> SegmentError {
    let (path, fault) = (path.to_owned(), HeaderFault::Damaged);
    SegmentError::Header { path, expected: "a regular file", found, fault }
}
