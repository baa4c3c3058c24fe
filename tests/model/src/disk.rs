//! Stands for `src/segment/file.rs` and the system below: files in memory that many threads read and write, and what of them
//! is on the disk.
//!
//! A file is made of places that are written as a whole: the header, each mark, and of each frame the first word and the
//! rest. Who reads a place sees any of its versions that loom's memory model allows. A read(2) is an acquire here, and
//! whatever is written outside of frames a release, as the system calls around them are on every machine that there is. That
//! a frame's first word comes last, and by a release, is the model's word for what file.rs does.
//!
//! The disk gets what a sync sees. Whenever a mark is written, which the system may write back at once, the disk must have
//! what the mark vouches for.

use crate::ground::error::PathError;
use crate::ground::position::Offset;
use crate::log_home::FolderLock;
use crate::segment::format::{Extent, FRAMES_OFFSET, Frame, HEADER_BYTES, MARK_BYTES, MARK_OFFSETS, SegmentHeader};
use crate::segment::marks::Marks;
use loom::sync::atomic::{AtomicUsize, Ordering};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What the payload of every frame amounts to here.
pub(crate) const PAYLOAD_BYTES: usize = 4;
/// A frame with such a payload.
pub(crate) const FRAME_BYTES: u32 = 16;

/// A lock that loom is not told of: no thread is held up by it, and it puts nothing in order.
#[derive(Debug, Default)]
struct Hidden<T>(Mutex<T>);

impl<T> Hidden<T> {
    fn with<R>(&self, run: impl FnOnce(&mut T) -> R) -> R {
        run(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Bytes that are written as a whole.
#[derive(Debug)]
struct Place {
    offset: usize,
    versions: Hidden<Vec<Vec<u8>>>,
    current: AtomicUsize,
}

impl Place {
    fn new(offset: usize, bytes: usize) -> Self {
        Self { offset, versions: Hidden(Mutex::new(vec![vec![0; bytes]])), current: AtomicUsize::new(0) }
    }

    fn load(&self, order: Ordering) -> Vec<u8> {
        let version = self.current.load(order);
        self.versions.with(|versions| versions[version].clone())
    }

    fn store(&self, bytes: &[u8], order: Ordering) {
        let version = self.versions.with(|versions| {
            assert_eq!(bytes.len(), versions[0].len(), "offset {}: a place is written as a whole", self.offset);
            versions.push(bytes.to_vec());
            versions.len() - 1
        });
        self.current.store(version, order);
    }
}

#[derive(Debug)]
pub(crate) struct Memory {
    places: Vec<Place>,
    length: Hidden<usize>,
    disk: Hidden<Vec<u8>>,
    fails_to_sync: Hidden<bool>,
}

impl Memory {
    fn new(bytes: u32) -> Self {
        let mut places = vec![Place::new(0, HEADER_BYTES)];
        places.extend(MARK_OFFSETS.map(|offset| Place::new(offset as usize, MARK_BYTES)));
        for offset in (FRAMES_OFFSET..bytes).step_by(FRAME_BYTES as usize) {
            places.push(Place::new(offset as usize, 4));
            places.push(Place::new(offset as usize + 4, FRAME_BYTES as usize - 4));
        }
        let (length, disk) = (bytes as usize, vec![0; bytes as usize]);
        Self {
            places,
            length: Hidden(Mutex::new(length)),
            disk: Hidden(Mutex::new(disk)),
            fails_to_sync: Hidden::default(),
        }
    }

    fn read(&self, offset: usize, bytes: &mut [u8]) -> usize {
        let end = self.length.with(|length| *length).min(offset + bytes.len());
        let count = end.saturating_sub(offset);
        bytes[..count].fill(0);
        for place in &self.places {
            if place.offset < end && place.offset >= offset {
                let held = place.load(Ordering::Acquire);
                let held = &held[..held.len().min(end - place.offset)];
                bytes[place.offset - offset..][..held.len()].copy_from_slice(held);
            }
        }
        count
    }

    fn write(&self, offset: usize, bytes: &[u8], order: Ordering) {
        let within = |place: &&Place| (offset..offset + bytes.len()).contains(&place.offset);
        for place in self.places.iter().filter(within) {
            let length = place.versions.with(|versions| versions[0].len());
            place.store(&bytes[place.offset - offset..][..length], order);
        }
        if MARK_OFFSETS.contains(&u32::try_from(offset).unwrap_or_default()) {
            let mut page = vec![0; FRAMES_OFFSET as usize];
            self.read(0, &mut page);
            let header = page.first_chunk().and_then(|bytes| SegmentHeader::decode(bytes).ok()).expect("a header");
            let vouched = Marks::read(&page, header.salt).newest().durable;
            assert!(self.on_disk() >= vouched, "a mark vouches for {vouched:?}, the disk has {:?}", self.on_disk());
        }
    }

    fn sync(&self, end: usize) -> io::Result<()> {
        if self.fails_to_sync.with(|fails| *fails) {
            return Err(io::Error::from(rustix::io::Errno::IO));
        }
        for place in self.places.iter().filter(|place| place.offset < end) {
            // The kernel writes what is there; the thread that asks for it puts that in order, or nobody does.
            let bytes = place.load(Ordering::Relaxed);
            self.disk.with(|disk| disk[place.offset..][..bytes.len()].copy_from_slice(&bytes));
        }
        Ok(())
    }

    /// Every sync fails from now on.
    pub(crate) fn fail_to_sync(&self) {
        self.fails_to_sync.with(|fails| *fails = true);
    }

    /// What a sync could not write is dropped by the kernel in time, and read back from the disk.
    pub(crate) fn forget_what_is_not_on_the_disk(&self) {
        for place in self.places.iter().filter(|place| place.offset >= FRAMES_OFFSET as usize) {
            let length = place.versions.with(|versions| versions[0].len());
            place.store(&self.disk.with(|disk| disk[place.offset..][..length].to_vec()), Ordering::Release);
        }
    }

    /// The intact frames on the disk, from the first one on.
    pub(crate) fn on_disk(&self) -> Extent {
        self.disk.with(|disk| {
            let mut extent = Extent::EMPTY;
            let Some(Ok(header)) = disk.first_chunk().map(SegmentHeader::decode) else { return extent };
            while let Some(bytes) = disk.get(extent.end.0 as usize..)
                && Frame::decode(bytes, header.salt).is_ok_and(|frame| frame.index == extent.frames)
            {
                extent = Extent { end: Offset(extent.end.0 + FRAME_BYTES), frames: extent.frames + 1 };
            }
            extent
        })
    }
}

type Files = Hidden<HashMap<PathBuf, Arc<Memory>>>;

loom::lazy_static! {
    static ref FILES: Files = Hidden::default();
    /// The kernel's order between who gives a file its name and who opens it by that.
    static ref NAMES: AtomicUsize = AtomicUsize::new(0);
}

/// The file at that path.
pub(crate) fn file_at(path: &Path) -> Arc<Memory> {
    FILES.with(|files| Arc::clone(&files[path]))
}

pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    // No other thread runs between this and the next.
    NAMES.fetch_add(1, Ordering::AcqRel);
    FILES.with(|files| {
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    })
}

pub(crate) fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    FILES.with(|files| files.remove(path.as_ref())).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// What both halves of a file hold, as in file.rs: whoever shortens the file must be the last.
#[derive(Debug)]
pub(crate) struct FramePages {
    memory: Arc<Memory>,
    held: Arc<()>,
    bytes: u32,
}

#[derive(Debug)]
pub(crate) struct HeaderPage {
    memory: Arc<Memory>,
    held: Arc<()>,
}

pub(crate) fn create(path: &Path, bytes: u32, _: Option<FolderLock>) -> Result<(FramePages, HeaderPage), PathError> {
    let (memory, held) = (Arc::new(Memory::new(bytes)), Arc::new(()));
    FILES.with(|files| files.insert(path.to_owned(), Arc::clone(&memory)));
    Ok((FramePages { memory: Arc::clone(&memory), held: Arc::clone(&held), bytes }, HeaderPage { memory, held }))
}

impl FramePages {
    pub(crate) fn end(&self) -> u32 {
        self.bytes
    }

    pub(crate) fn publish(&mut self, offset: u32, first_word: u32, parts: [&[u8]; 2]) -> io::Result<()> {
        self.memory.write(offset as usize + 4, &parts.concat(), Ordering::Relaxed);
        self.memory.write(offset as usize, &first_word.to_le_bytes(), Ordering::Release);
        Ok(())
    }
}

impl HeaderPage {
    pub(crate) fn write(&mut self, offset: u32, bytes: &[u8]) -> io::Result<()> {
        self.memory.write(offset as usize, bytes, Ordering::Release);
        Ok(())
    }

    pub(crate) fn sync(&self, end: u32) -> io::Result<()> {
        self.memory.sync(end as usize)
    }

    pub(crate) fn shorten(self, end: u32) -> io::Result<()> {
        Arc::into_inner(self.held).expect("the appender has let go of the segment's pages");
        self.memory.length.with(|length| *length = end as usize);
        Ok(())
    }
}

/// Stands for `std::fs::File`: a file of the model, or a directory.
#[derive(Debug)]
pub(crate) struct File(Option<Arc<Memory>>);

impl File {
    pub(crate) fn open(_directory: &Path) -> io::Result<Self> {
        Ok(Self(None))
    }

    fn memory(&self) -> io::Result<&Memory> {
        self.0.as_deref().ok_or_else(|| io::ErrorKind::IsADirectory.into())
    }

    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        Ok(Metadata { bytes: self.memory()?.length.with(|length| *length) as u64 })
    }

    pub(crate) fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(self.memory()?.read(usize::try_from(offset).unwrap_or(usize::MAX), bytes))
    }

    pub(crate) fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let whole = self.read_at(bytes, offset)? == bytes.len();
        whole.then_some(()).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    pub(crate) fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.memory()?.write(usize::try_from(offset).unwrap_or(usize::MAX), bytes, Ordering::Release);
        Ok(())
    }

    pub(crate) fn sync_all(&self) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |memory| memory.sync(usize::MAX))
    }
}

pub(crate) struct Metadata {
    bytes: u64,
}

impl Metadata {
    pub(crate) fn len(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn is_file(&self) -> bool {
        true
    }

    pub(crate) fn file_type(&self) -> FileType {
        FileType
    }
}

pub(crate) struct OpenOptions;

impl OpenOptions {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn read(&mut self, _: bool) -> &mut Self {
        self
    }

    pub(crate) fn write(&mut self, _: bool) -> &mut Self {
        self
    }

    pub(crate) fn custom_flags(&mut self, _: i32) -> &mut Self {
        self
    }

    pub(crate) fn open(&self, path: &Path) -> io::Result<File> {
        NAMES.fetch_add(0, Ordering::AcqRel);
        FILES
            .with(|files| files.get(path).cloned())
            .map(|file| File(Some(file)))
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Traits whose methods [`File`] and [`OpenOptions`] have here.
pub(crate) trait FileExt {}
pub(crate) trait FileTypeExt {}
pub(crate) trait OpenOptionsExt {}

/// Every file of the model is a regular one.
pub(crate) struct FileType;

impl FileType {
    pub(crate) fn is_dir(&self) -> bool {
        false
    }

    pub(crate) fn is_fifo(&self) -> bool {
        false
    }

    pub(crate) fn is_socket(&self) -> bool {
        false
    }
}

pub(crate) struct GetRandomFlags;

impl GetRandomFlags {
    pub(crate) fn empty() -> Self {
        Self
    }
}

/// Every execution must go like the last one up to where it turns off.
pub(crate) fn getrandom(bytes: &mut [u8; 4], _: GetRandomFlags) -> io::Result<()> {
    *bytes = [1, 2, 3, 4];
    Ok(())
}

pub(crate) fn fadvise(_: &File, _: u64, _: Option<std::num::NonZeroU64>, _: rustix::fs::Advice) -> io::Result<()> {
    Ok(())
}

/// There are no holes here.
pub(crate) fn seek(_: &File, to: rustix::fs::SeekFrom) -> Result<u64, rustix::io::Errno> {
    match to {
        rustix::fs::SeekFrom::Data(offset) => Ok(offset),
        _ => Err(rustix::io::Errno::INVAL),
    }
}
