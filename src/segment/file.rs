//! A segment's file, allocated, written, synced; in memory where its file system can be trusted with that. This file
//! has the only `unsafe` of the crate.
//!
//! A new file is split into two halves with one owner each: [`FramePages`] for the appender, which writes frames, and
//! [`HeaderPage`] for the syncer, which writes marks and forces pages to the disk. Neither can reach the other's bytes,
//! so no lock is needed. Nothing here decides what to write or when.
//!
//! A file is either mapped, and then written by plain stores, or written by pwrite(2). Its owners see one difference:
//! how long it takes. Mapped, a frame costs no system call; written, two (1.5 us together), because a reader of the
//! file sees either way the payload no later than the word that announces it.
#![expect(unsafe_code, reason = "the one file that maps memory")]

use super::filesystem::{self, Access};
use super::folder_lock::FolderLock;
use super::format::{FRAME_ALIGNMENT, FRAMES_OFFSET};
use crate::ground::error::{AtPath, PathError};
use crate::ground::file_identity::identity_of;
use memmap2::{Advice, MmapOptions, MmapRaw};
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How much of a mapped file is populated before it is handed over: all of a segment of the default size. Populating 1
/// GiB took 2.2 s of a busy processor, the first 8 MiB of it 8 ms, and nothing can be recorded into a store before its
/// first segment is there.
const POPULATED_FIRST_BYTES: u32 = 8 * 1024 * 1024;
/// How much the appender populates at once where it goes beyond that. It took 1.6 ms, in which events wait in the
/// channel; 13,000 of them fill a megabyte. Letting the pages fault in one by one was the alternative: it costs more
/// for each, and a fault that the file system can't serve is a signal, where populating returns an error.
const POPULATED_STEP_BYTES: u32 = 1024 * 1024;

/// The file that both halves share.
///
/// Invariants, on which every `SAFETY` comment here rests:
/// - The mapping, if there is one, is `bytes` long and stays mapped as long as this value lives.
/// - The file was fully allocated before it was mapped, under a name that only we use, in a folder that names one life of
///   one process (0700). No other process ever shortens a file of such a folder, or writes into one, not even of a dead one:
///   a lock can be lost, and a process that has lost its lock goes on with its mapping. Here [`HeaderPage::shorten`] does,
///   after both halves are gone. So no access meets a page beyond the end of the file (SIGBUS).
/// - The lock of the folder is held as long as this value lives: who finds the lock free knows that nothing is stored
///   through the mapping any more.
/// - In this process, bytes below [`FRAMES_OFFSET`] are touched only through the one [`HeaderPage`], the others only
///   through the one [`FramePages`]. Other readers, here and elsewhere, use read(2), which is no access in Rust's
///   memory model.
#[derive(Debug)]
struct Pages {
    /// Absent where the file is written by pwrite(2).
    map: Option<MmapRaw>,
    /// Kept open, so that sealing needs no new file descriptor when the process has run out of them.
    file: File,
    /// Which file that is.
    identity: (u64, u64),
    bytes: u32,
    /// The last field, which is dropped last: the mapping has ended by then.
    lock: Option<FolderLock>,
}

/// The pages of frames, for the one thread that appends.
#[derive(Debug)]
pub(crate) struct FramePages {
    pages: Arc<Pages>,
    /// Up to here, a mapped file was populated.
    populated: u32,
    /// A frame that is written by pwrite(2), in one piece; kept for its allocation.
    frame: Vec<u8>,
}

/// The first page and the power to sync, for the one thread that syncs.
#[derive(Debug)]
pub(crate) struct HeaderPage {
    pages: Arc<Pages>,
}

/// Creates the file at `path` with `bytes` bytes, all zero, allocated on disk; mapped, its beginning present in memory,
/// where the file system can be trusted with a mapping and the system grants one. `lock` is that of its folder.
///
/// # Errors
/// The path exists, or the system refuses; then the file is removed again. A full disk shows here, as an error, and
/// not later as a signal.
pub(crate) fn create(path: &Path, bytes: u32, lock: Option<FolderLock>) -> Result<(FramePages, HeaderPage), PathError> {
    create_for(path, bytes, lock, None)
}

/// The same; `access` leaves the file system no choice.
fn create_for(
    path: &Path,
    bytes: u32,
    lock: Option<FolderLock>,
    access: Option<Access>,
) -> Result<(FramePages, HeaderPage), PathError> {
    assert!(bytes > FRAMES_OFFSET, "a segment without room for frames");
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path).at("create", path)?;
    allocate(&file, bytes).at("allocate", path).inspect_err(|_| {
        // Best effort: what stays behind has a name that recovery removes.
        let _ = std::fs::remove_file(path);
    })?;
    let populated = bytes.min(POPULATED_FIRST_BYTES);
    let map = match access.unwrap_or_else(|| filesystem::access(&file)) {
        // Whatever is in the way (a limit of address space, a device that maps nothing, a page that can't be had),
        // pwrite(2) either does without it or says what is wrong.
        Access::Mapped => map(&file, bytes, populated)
            .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "a segment can't be mapped"))
            .ok(),
        Access::Pwrite => None,
    };
    let identity = identity_of(&file).unwrap_or_default();
    let pages = Arc::new(Pages { map, file, identity, bytes, lock });
    Ok((FramePages { pages: Arc::clone(&pages), populated, frame: Vec::new() }, HeaderPage { pages }))
}

fn map(file: &File, bytes: u32, populated: u32) -> io::Result<MmapRaw> {
    let map = MmapOptions::new().len(bytes as usize).map_raw(file)?;
    populate(&map, 0, populated)?;
    Ok(map)
}

/// Makes the pages of `from..to` present and writable.
///
/// Writing to a page that the file system can't provide ends in SIGBUS; MADV_POPULATE_WRITE does the same faults here
/// and reports an error instead. Kernels before 5.14 don't know it: there the pages fault in one by one.
fn populate(map: &MmapRaw, from: u32, to: u32) -> io::Result<()> {
    match map.advise_range(Advice::PopulateWrite, from as usize, (to - from) as usize) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => Ok(()),
        populated => populated,
    }
}

/// Gives the file its blocks. Where the file system can't (fallocate is optional), writing zeros does it.
fn allocate(mut file: &File, bytes: u32) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, u64::from(bytes)) {
        Err(rustix::io::Errno::OPNOTSUPP) => {
            io::copy(&mut io::repeat(0).take(bytes.into()), &mut file)?;
            Ok(())
        }
        done => Ok(done?),
    }
}

impl FramePages {
    /// The first offset beyond the pages.
    pub(crate) fn end(&self) -> u32 {
        self.pages.bytes
    }

    /// Writes a frame: all of it but the first word, and then that word, which makes the frame visible to readers.
    ///
    /// # Errors
    /// The system refuses: no room in a file system that moves what it overwrites, say. The frame is not there, unless
    /// the file system kept a word that it reported as failed. Nothing may be written behind it.
    ///
    /// # Panics
    /// If the frame does not lie within the pages or is not aligned: the caller's bug.
    pub(crate) fn publish(&mut self, offset: u32, first_word: u32, parts: [&[u8]; 2]) -> io::Result<()> {
        let total: usize = 4 + parts.iter().map(|part| part.len()).sum::<usize>();
        assert!(offset >= FRAMES_OFFSET && offset.is_multiple_of(FRAME_ALIGNMENT), "frame at {offset}");
        assert!(total <= self.pages.bytes.saturating_sub(offset) as usize, "{total} bytes at {offset}");
        let Some(map) = &self.pages.map else {
            self.frame.clear();
            parts.iter().for_each(|part| self.frame.extend_from_slice(part));
            // In this order, by two calls: whoever reads the word finds the payload, as in a mapping.
            self.pages.file.write_all_at(&self.frame, u64::from(offset) + 4)?;
            return self.pages.file.write_all_at(&first_word.to_le_bytes(), u64::from(offset));
        };
        let end = offset as usize + total;
        if end > self.populated as usize {
            let step = self.populated.saturating_add(POPULATED_STEP_BYTES).min(self.pages.bytes);
            let to = u32::try_from(end).unwrap_or(self.pages.bytes).max(step);
            populate(map, self.populated, to)?;
            self.populated = to;
        }
        let mut at = offset as usize + 4;
        for part in parts {
            // SAFETY: `at + part.len()` is at most `offset + total`, which the assertion above keeps within the
            // mapping. Source and destination don't overlap: nobody can hold a reference into the mapping, since this
            // module gives none out. `&mut self` is the only access to these bytes (see `Pages`).
            unsafe { std::ptr::copy_nonoverlapping(part.as_ptr(), map.as_mut_ptr().add(at), part.len()) };
            at += part.len();
        }
        // SAFETY: the word lies within the mapping (asserted above), is aligned to four bytes (the mapping starts at a
        // page, `offset` is a multiple of four), and is accessed in this process by nobody else (see `Pages`).
        let word = unsafe { AtomicU32::from_ptr(map.as_mut_ptr().add(offset as usize).cast()) };
        // Release: a reader that sees the length sees the payload. Reading order is the reader's part of the bargain.
        word.store(first_word.to_le(), Ordering::Release);
        Ok(())
    }
}

impl HeaderPage {
    /// Writes bytes into the first page.
    ///
    /// # Errors
    /// The system refuses, which it can't in a mapping: some of the bytes may be there.
    ///
    /// # Panics
    /// If they reach beyond it: the caller's bug.
    pub(crate) fn write(&mut self, offset: u32, bytes: &[u8]) -> io::Result<()> {
        let end = offset as usize + bytes.len();
        assert!(end <= FRAMES_OFFSET as usize, "header bytes up to {end}");
        let Some(map) = &self.pages.map else {
            return self.pages.file.write_all_at(bytes, u64::from(offset));
        };
        // SAFETY: the range lies within the first page (asserted), which the mapping holds (`create_for` asserts its
        // size). `&mut self` is the only access to this page (see `Pages`), and nobody holds a reference into it.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), map.as_mut_ptr().add(offset as usize), bytes.len()) };
        Ok(())
    }

    /// Forces everything before `end` to the disk, and perhaps more; returns when it is there.
    ///
    /// One call for the whole range: the kernel writes the pages that are dirty, and no others.
    pub(crate) fn sync(&self, end: u32) -> io::Result<()> {
        match &self.pages.map {
            Some(map) => map.flush_range(0, end.min(self.pages.bytes) as usize),
            None => self.pages.file.sync_data(),
        }
    }

    /// Ends the mapping, and then shortens the file to `end`.
    ///
    /// # Panics
    /// If the frame pages are still held: the caller's bug.
    pub(crate) fn shorten(self, end: u32) -> io::Result<()> {
        let pages = Arc::into_inner(self.pages).expect("the appender has let go of the segment's pages");
        drop(pages.map);
        // Whoever closes all files of its process, as a daemon may, leaves a number here that is another file's by now.
        let shortened = match identity_of(&pages.file) == Some(pages.identity) {
            true => pages.file.set_len(u64::from(end)),
            false => Err(Errno::BADF.into()),
        };
        // Only now may somebody else take the folder.
        drop(pages.lock);
        shortened
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAYS: [Access; 2] = [Access::Mapped, Access::Pwrite];

    #[test]
    fn bytes_are_seen_by_plain_reads_without_a_sync() {
        for access in WAYS {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("segment");
            let (mut frames, mut header) = create_for(&path, 8192, None, Some(access)).unwrap();
            header.write(8, b"header").unwrap();
            frames.publish(FRAMES_OFFSET, 7, [b"payload", b"!"]).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(bytes.len(), 8192);
            assert_eq!(&bytes[8..14], b"header");
            assert_eq!(&bytes[4096..4108], b"\x07\0\0\0payload!");
            header.sync(8192).unwrap();
            drop(frames);
            header.shorten(4108).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), bytes[..4108], "{access:?}");
        }
    }

    #[test]
    fn a_mapped_file_takes_frames_beyond_what_was_populated_when_it_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        let bytes = 4 * POPULATED_FIRST_BYTES;
        let (mut frames, _header) = create_for(&path, bytes, None, Some(Access::Mapped)).unwrap();
        // Across the border, far beyond it, and longer than a step.
        let long = vec![b'x'; 2 * POPULATED_STEP_BYTES as usize];
        for (offset, payload) in [
            (POPULATED_FIRST_BYTES - 8, &b"0123456789ab"[..]),
            (2 * POPULATED_FIRST_BYTES + 4, &long),
            (bytes - 16, b"the last one"),
        ] {
            frames.publish(offset, 1, [payload, b""]).unwrap();
            let mut found = vec![0; payload.len()];
            frames.pages.file.read_exact_at(&mut found, u64::from(offset) + 4).unwrap();
            assert!(found == payload, "at {offset}");
        }
    }

    #[test]
    fn a_write_that_the_system_refuses_is_an_error_and_shows_no_frame() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        drop(create_for(&path, 8192, None, Some(Access::Pwrite)).unwrap());
        // A file that is open for reading only refuses every write.
        let pages =
            Arc::new(Pages { map: None, file: File::open(&path).unwrap(), identity: (0, 0), bytes: 8192, lock: None });
        let mut frames = FramePages { pages: Arc::clone(&pages), populated: 8192, frame: Vec::new() };
        let before = std::fs::read(&path).unwrap();
        frames.publish(FRAMES_OFFSET, 7, [b"payload", b"!"]).unwrap_err();
        HeaderPage { pages }.write(8, b"header").unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn the_file_is_fully_allocated_and_private() {
        use std::os::unix::fs::MetadataExt;
        for access in WAYS {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("segment");
            let _halves = create_for(&path, 1024 * 1024, None, Some(access)).unwrap();
            let metadata = std::fs::metadata(&path).unwrap();
            assert!(metadata.blocks() * 512 >= 1024 * 1024, "{} blocks", metadata.blocks());
            assert_eq!(metadata.mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_folder_stays_locked_until_nothing_can_be_stored_in_its_segment_any_more() {
        use crate::segment::folder_lock::probe;
        for access in WAYS {
            let dir = tempfile::tempdir().unwrap();
            let create = |name: &str| {
                let lock = FolderLock::of_new(dir.path()).unwrap().expect("it is free");
                create_for(&dir.path().join(name), 8192, Some(lock), Some(access)).unwrap()
            };
            let (mut frames, header) = create("shortened");
            assert!(probe(dir.path()).unwrap());
            frames.publish(FRAMES_OFFSET, 1, [b"x", b""]).unwrap();
            drop(frames);
            assert!(probe(dir.path()).unwrap(), "the mark is yet to be written");
            header.shorten(4104).unwrap();
            assert!(!probe(dir.path()).unwrap());
            // A thread that died lets go of its half in any order.
            let (mut frames, header) = create("dropped");
            drop(header);
            assert!(probe(dir.path()).unwrap());
            frames.publish(FRAMES_OFFSET, 1, [b"x", b""]).unwrap();
            drop(frames);
            assert!(!probe(dir.path()).unwrap());
        }
    }

    #[test]
    fn a_file_that_took_the_number_of_a_closed_one_is_not_shortened() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("segment"), dir.path().join("other"));
        let (frames, header) = create(&path, 8192, None).unwrap();
        drop(frames);
        std::fs::write(&other, [1; 9000]).unwrap();
        // What dup2(2) does after a close, seen from here.
        let mut pages = Arc::into_inner(header.pages).unwrap();
        pages.file = File::options().write(true).open(&other).unwrap();
        HeaderPage { pages: Arc::new(pages) }.shorten(4104).unwrap_err();
        assert_eq!([&path, &other].map(|path| path.metadata().unwrap().len()), [8192, 9000]);
    }

    #[test]
    fn an_existing_file_is_never_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        std::fs::write(&path, "mine").unwrap();
        assert_eq!(create(&path, 8192, None).unwrap_err().source.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    #[should_panic(expected = "bytes at 8188")]
    fn a_frame_beyond_the_end_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (mut frames, _header) = create(&dir.path().join("segment"), 8192, None).unwrap();
        let _ = frames.publish(8188, 1, [b"x", b""]);
    }
}
