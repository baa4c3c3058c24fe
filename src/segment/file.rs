//! A segment's file in memory: allocated, mapped, populated, written, synced. The only `unsafe` of the crate.
//!
//! A new file is split into two halves with one owner each: [`FramePages`] for the appender, which writes frames, and
//! [`HeaderPage`] for the syncer, which writes marks and forces pages to the disk. Neither can reach the other's
//! bytes, so no lock is needed. Nothing here decides what to write or when.
#![expect(unsafe_code, reason = "the one file that maps memory")]

use crate::error::{AtPath, PathError};
use crate::format::{FRAME_ALIGNMENT, FRAMES_OFFSET};
use memmap2::{Advice, MmapOptions, MmapRaw};
use rustix::fs::FallocateFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The mapping that both halves share.
///
/// Invariants, on which every `SAFETY` comment here rests:
/// - The mapping is `bytes` long and stays mapped as long as this value lives.
/// - The file was fully allocated before it was mapped, under a name that only we use, in a directory that only we
///   write to (0700, and the store's lock). Nobody shortens it while it is mapped:
///   [`HeaderPage::shorten`] does, after both halves are gone. So no access meets a page beyond the end of the file (SIGBUS).
/// - In this process, bytes below [`FRAMES_OFFSET`] are touched only through the one [`HeaderPage`], the others only
///   through the one [`FramePages`]. Other readers, here and elsewhere, use read(2), which is no access in Rust's
///   memory model.
#[derive(Debug)]
struct Mapping {
    map: MmapRaw,
    bytes: u32,
}

/// The pages of frames, for the one thread that appends.
#[derive(Debug)]
pub(crate) struct FramePages {
    mapping: Arc<Mapping>,
}

/// The first page and the power to sync, for the one thread that syncs.
#[derive(Debug)]
pub(crate) struct HeaderPage {
    mapping: Arc<Mapping>,
    /// Kept open, so that sealing needs no new file descriptor when the process has run out of them.
    file: File,
}

/// Creates the file at `path` with `bytes` bytes, all zero, allocated on disk and present in memory.
///
/// # Errors
/// The path exists, or the system refuses; then the file is removed again. A full disk shows here, as an error, and
/// not later as a signal.
pub(crate) fn create(path: &Path, bytes: u32) -> Result<(FramePages, HeaderPage), PathError> {
    assert!(bytes > FRAMES_OFFSET, "a segment without room for frames");
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path).at("create", path)?;
    let mapping = fill(&file, path, bytes).inspect_err(|_| {
        // Best effort: what stays behind has a name that recovery removes.
        let _ = std::fs::remove_file(path);
    })?;
    let mapping = Arc::new(mapping);
    Ok((FramePages { mapping: Arc::clone(&mapping) }, HeaderPage { mapping, file }))
}

fn fill(file: &File, path: &Path, bytes: u32) -> Result<Mapping, PathError> {
    allocate(file, bytes).at("allocate", path)?;
    let map = MmapOptions::new().len(bytes as usize).map_raw(file).at("map", path)?;
    // Writing to a page of a sparse file, or of a full file system, ends in SIGBUS; MADV_POPULATE_WRITE does the same
    // faults here and reports an error instead. Kernels before 5.14 don't know it: there the pages fault in one by one.
    match map.advise(Advice::PopulateWrite) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {}
        populated => populated.at("populate", path)?,
    }
    Ok(Mapping { map, bytes })
}

/// Gives the file its blocks. Where the file system can't (fallocate is optional), writing zeros does it.
fn allocate(mut file: &File, bytes: u32) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, u64::from(bytes)) {
        Err(rustix::io::Errno::OPNOTSUPP) => {
            let zeros = [0; 64 * 1024];
            let mut left = bytes as usize;
            while left > 0 {
                let count = left.min(zeros.len());
                file.write_all(&zeros[..count])?;
                left -= count;
            }
            Ok(())
        }
        done => Ok(done?),
    }
}

impl FramePages {
    /// The first offset beyond the pages.
    pub(crate) fn end(&self) -> u32 {
        self.mapping.bytes
    }

    /// Writes a frame: all of it but the first word, and then that word, which makes the frame visible to readers.
    ///
    /// # Panics
    /// If the frame does not lie within the pages or is not aligned: the caller's bug.
    pub(crate) fn publish(&mut self, offset: u32, first_word: u32, parts: [&[u8]; 2]) {
        let total: usize = 4 + parts.iter().map(|part| part.len()).sum::<usize>();
        assert!(offset >= FRAMES_OFFSET && offset.is_multiple_of(FRAME_ALIGNMENT), "frame at {offset}");
        assert!(total <= self.mapping.bytes.saturating_sub(offset) as usize, "{total} bytes at {offset}");
        let mut at = offset as usize + 4;
        for part in parts {
            // SAFETY: `at + part.len()` is at most `offset + total`, which the assertion above keeps within the
            // mapping. Source and destination don't overlap: nobody can hold a reference into the mapping, since
            // this module gives none out. `&mut self` is the only access to these bytes (see `Mapping`).
            unsafe { std::ptr::copy_nonoverlapping(part.as_ptr(), self.mapping.map.as_mut_ptr().add(at), part.len()) };
            at += part.len();
        }
        // SAFETY: the word lies within the mapping (asserted above), is aligned to four bytes (the mapping starts at a
        // page, `offset` is a multiple of four), and is accessed in this process by nobody else (see `Mapping`).
        let word = unsafe { AtomicU32::from_ptr(self.mapping.map.as_mut_ptr().add(offset as usize).cast()) };
        // Release: a reader that sees the length sees the payload. Reading order is the reader's part of the bargain.
        word.store(first_word.to_le(), Ordering::Release);
    }
}

impl HeaderPage {
    /// Writes bytes into the first page.
    ///
    /// # Panics
    /// If they reach beyond it: the caller's bug.
    pub(crate) fn write(&mut self, offset: u32, bytes: &[u8]) {
        let end = offset as usize + bytes.len();
        assert!(end <= FRAMES_OFFSET as usize, "header bytes up to {end}");
        // SAFETY: the range lies within the first page (asserted), which the mapping holds (`create` asserts its
        // size). `&mut self` is the only access to this page (see `Mapping`), and nobody holds a reference into it.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                self.mapping.map.as_mut_ptr().add(offset as usize),
                bytes.len(),
            );
        }
    }

    /// Forces everything before `end` to the disk; returns when it is there.
    ///
    /// One call for the whole range: the kernel writes the pages that are dirty, and no others.
    pub(crate) fn sync(&self, end: u32) -> io::Result<()> {
        self.mapping.map.flush_range(0, end.min(self.mapping.bytes) as usize)
    }

    /// Ends the mapping, and then shortens the file to `end`.
    ///
    /// # Panics
    /// If the frame pages are still held: the caller's bug.
    pub(crate) fn shorten(self, end: u32) -> io::Result<()> {
        assert_eq!(Arc::strong_count(&self.mapping), 1, "the appender still holds the segment's pages");
        drop(self.mapping);
        self.file.set_len(u64::from(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_bytes_are_seen_by_plain_reads_without_a_sync() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        let (mut frames, mut header) = create(&path, 8192).unwrap();
        header.write(8, b"header");
        frames.publish(FRAMES_OFFSET, 7, [b"payload", b"!"]);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 8192);
        assert_eq!(&bytes[8..14], b"header");
        assert_eq!(&bytes[4096..4108], b"\x07\0\0\0payload!");
        header.sync(8192).unwrap();
    }

    #[test]
    fn the_file_is_fully_allocated_and_private() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        let _halves = create(&path, 1024 * 1024).unwrap();
        let metadata = std::fs::metadata(&path).unwrap();
        assert!(metadata.blocks() * 512 >= 1024 * 1024, "{} blocks", metadata.blocks());
        assert_eq!(metadata.mode() & 0o777, 0o600);
    }

    #[test]
    fn an_existing_file_is_never_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        std::fs::write(&path, "mine").unwrap();
        assert_eq!(create(&path, 8192).unwrap_err().source.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    #[should_panic(expected = "bytes at 8188")]
    fn a_frame_beyond_the_end_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (mut frames, _header) = create(&dir.path().join("segment"), 8192).unwrap();
        frames.publish(8188, 1, [b"x", b""]);
    }
}
