//! Appending to a segment: a prepared file becomes the active segment, takes frames, and is finished.
//!
//! [`PreparedSegment::create`] runs on the preparing thread, everything else on the appender. Appending never waits for
//! a disk, and makes no system call where the file is mapped and populated; it does not sync and does not know what a
//! payload means.

use super::directory::{file_name, prepared_name};
use super::file::{self, FramePages, HeaderPage};
use super::format::{Extent, FrameHeader, LogIdentity, SegmentHeader, frame_bytes};
use super::log_home::LogHome;
use super::segment_progress::SegmentProgress;
use super::syncer::SegmentSyncer;
use crate::ground::error::{AtPath, PathError};
use crate::ground::position::{Offset, SegmentId, Sequence};
use crate::ground::sabotage::{self, Spot};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A segment file that is allocated and in memory, but has no header and no name yet.
#[derive(Debug)]
pub(crate) struct PreparedSegment {
    id: SegmentId,
    /// Where the file is now.
    dir: PathBuf,
    home: LogHome,
    salt: u32,
    frames: FramePages,
    header_page: HeaderPage,
}

impl PreparedSegment {
    /// Allocates and populates the file for segment `id` of that log, whose folder is at `dir`: in its place, or still
    /// under the name with which it is born.
    pub(crate) fn create_in(dir: &Path, home: &LogHome, id: SegmentId, bytes: u32) -> Result<Self, PathError> {
        let path = dir.join(prepared_name(id));
        let mut salt = [0; 4];
        rustix::rand::getrandom(&mut salt, rustix::rand::GetRandomFlags::empty()).at("get randomness for", &path)?;
        let (frames, header_page) = file::create(&path, bytes, home.lock.clone())?;
        Ok(Self { id, dir: dir.to_owned(), home: home.clone(), salt: u32::from_le_bytes(salt), frames, header_page })
    }

    /// The same in a folder that nobody locks.
    #[cfg(test)]
    pub(crate) fn create(dir: &Path, id: SegmentId, bytes: u32) -> Result<Self, PathError> {
        Self::create_in(dir, &LogHome::unlocked(dir)?, id, bytes)
    }

    pub(crate) fn id(&self) -> SegmentId {
        self.id
    }

    /// The size of the file.
    pub(crate) fn bytes(&self) -> u32 {
        self.frames.end()
    }

    /// The log that the segment is made for.
    pub(crate) fn home(&self) -> &LogHome {
        &self.home
    }

    /// Writes the header and gives the file its name. Syncing all that, the name included, is up to the syncer's first
    /// sync: until then nobody was promised anything.
    pub(crate) fn activate(
        mut self,
        log: LogIdentity,
        base_sequence: Sequence,
        created_at: i64,
    ) -> Result<(SegmentWriter, SegmentSyncer), PathError> {
        let LogIdentity { store: store_id, writer: writer_id, needs } = log;
        let (salt, segment_id) = (self.salt, self.id);
        let header = SegmentHeader { needs, salt, store_id, writer_id, segment_id, base_sequence, created_at };
        let [prepared, named] = [prepared_name(self.id), file_name(self.id)].map(|name| self.dir.join(name));
        let path = self.home.path.join(file_name(self.id));
        let written = self.header_page.write(0, &header.encode()).at("write", &prepared);
        written.and_then(|()| std::fs::rename(&prepared, &named).at("rename", &prepared)).inspect_err(|_| {
            // Best effort: the name is one that whoever folds a dead log removes.
            let _ = std::fs::remove_file(&prepared);
        })?;
        let progress = Arc::new(SegmentProgress::new());
        let syncer = SegmentSyncer::new(self.header_page, self.home.names, header, path.clone(), Arc::clone(&progress));
        let writer = SegmentWriter { frames: self.frames, header, path, extent: Extent::EMPTY, progress };
        Ok((writer, syncer))
    }

    /// Removes the file, which nobody needs any more.
    pub(crate) fn discard(self) {
        // Best effort: the name is one that whoever folds a dead log removes.
        let _ = std::fs::remove_file(self.dir.join(prepared_name(self.id)));
    }
}

/// Why a record was not appended.
#[derive(Debug)]
pub(crate) enum NotAppended {
    /// It does not fit; nothing was written.
    Full,
    /// The system refused. Nothing more may be appended to this segment. A file system that reported an error may have
    /// kept the frame; so this record comes first in the next segment, under the same number.
    Refused(PathError),
}

/// The active segment, as the appender holds it.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    frames: FramePages,
    header: SegmentHeader,
    path: PathBuf,
    extent: Extent,
    progress: Arc<SegmentProgress>,
}

impl SegmentWriter {
    /// Appends a frame with that payload and publishes it.
    ///
    /// # Errors
    /// [`NotAppended`]. Either way the segment ends where it ended before.
    ///
    /// # Panics
    /// If the payload is empty or longer than the format allows: the caller's bug.
    pub(crate) fn append(&mut self, payload: &[u8]) -> Result<Sequence, NotAppended> {
        self.append_leaving(0, payload)
    }

    /// The same, where so many bytes of the segment stay free behind the frame.
    pub(crate) fn append_leaving(&mut self, free_bytes: u32, payload: &[u8]) -> Result<Sequence, NotAppended> {
        sabotage::at(Spot::Append, &self.path).at("write to", &self.path).map_err(NotAppended::Refused)?;
        let frame = FrameHeader::for_payload(self.header.salt, self.extent.frames, payload);
        let end = self.extent.end.0.checked_add(frame_bytes(frame.length));
        let fits = |end: &u32| end.checked_add(free_bytes).is_some_and(|end| end <= self.frames.end());
        let end = end.filter(fits).ok_or(NotAppended::Full)?;
        let mut rest = [0; 8];
        rest[..4].copy_from_slice(&frame.index.to_le_bytes());
        rest[4..].copy_from_slice(&frame.crc.to_le_bytes());
        self.frames
            .publish(self.extent.end.0, frame.length, [&rest, payload])
            .at("write to", &self.path)
            .map_err(NotAppended::Refused)?;
        sabotage::at(Spot::Write, &self.path).at("write to", &self.path).map_err(NotAppended::Refused)?;
        let sequence = self.extent.next_sequence(self.header.base_sequence);
        self.extent = Extent { end: Offset(end), frames: self.extent.frames + 1 };
        self.progress.set_published(self.extent);
        Ok(sequence)
    }

    /// Ends the segment: unmaps the frames. Sealing the file is the syncer's part.
    pub(crate) fn finish(self) -> Extent {
        self.extent
    }

    pub(crate) fn header(&self) -> &SegmentHeader {
        &self.header
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The size of the file.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.frames.end())
    }

    pub(crate) fn extent(&self) -> Extent {
        self.extent
    }

    pub(crate) fn progress(&self) -> &Arc<SegmentProgress> {
        &self.progress
    }
}
