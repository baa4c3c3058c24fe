//! Forcing a segment to the disk: pages first, then the mark that vouches for them.
//!
//! Runs on the syncing thread, so that appending never waits for a disk.

use super::file::HeaderPage;
use super::progress::SegmentProgress;
use super::reader::SegmentReader;
use crate::error::{AtPath, PathError};
use crate::format::{Extent, FRAMES_OFFSET, Mark, SegmentHeader, SegmentId, Sequence};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The active segment, as the syncing thread holds it.
#[derive(Debug)]
pub(crate) struct SegmentSyncer {
    page: HeaderPage,
    /// The log's directory, open for the same reason as the file.
    dir: File,
    header: SegmentHeader,
    path: PathBuf,
    progress: Arc<SegmentProgress>,
    mark: Mark,
    /// The file's name is durable too.
    name_is_durable: bool,
}

impl SegmentSyncer {
    pub(crate) fn new(
        page: HeaderPage,
        dir: File,
        header: SegmentHeader,
        path: PathBuf,
        progress: Arc<SegmentProgress>,
    ) -> Self {
        Self { page, dir, header, path, progress, mark: Mark::UNWRITTEN, name_is_durable: false }
    }

    /// Makes everything published so far durable, and says so in the mark.
    ///
    /// The mark itself reaches the disk with the next sync. It may lag behind the truth, never run ahead of it.
    ///
    /// # Errors
    /// What is durable is unknown from then on: the kernel reports a failed write once and then forgets it. The caller
    /// must not sync this segment again.
    pub(crate) fn sync(&mut self) -> Result<Extent, PathError> {
        let published = self.progress.published();
        if published == self.mark.durable {
            return Ok(published);
        }
        #[cfg(test)]
        {
            crate::sabotage::strike(&self.path, crate::sabotage::Spot::Sync);
            crate::sabotage::fail(&self.path, crate::sabotage::Spot::SyncError).at("sync", &self.path)?;
        }
        self.page.sync(published.end.0).at("sync", &self.path)?;
        // The file before its name: a name that a power cut leaves is then one of a segment.
        if !self.name_is_durable {
            self.dir.sync_all().at("sync the directory of", &self.path)?;
            self.name_is_durable = true;
        }
        self.write_mark(published, None);
        self.progress.set_durable(published);
        Ok(published)
    }

    /// Seals the segment at `extent`, lets go of the mapping, and shortens the file.
    ///
    /// With `durable`, syncs the frames before and the seal after.
    ///
    /// # Errors
    /// Like [`Self::sync`]. The segment is let go of, unsealed; what is in doubt is handed back with the error.
    pub(crate) fn seal(mut self, extent: Extent, durable: bool) -> Result<(), (UnsyncedSegment, PathError)> {
        if durable && let Err(error) = self.sync() {
            return Err(self.give_up(extent, error));
        }
        self.write_mark(self.mark.durable, Some(extent));
        if durable && let Err(error) = self.page.sync(FRAMES_OFFSET).at("sync", &self.path) {
            return Err(self.give_up(extent, error));
        }
        self.progress.set_sealed(extent);
        self.let_go(extent);
        Ok(())
    }

    fn give_up(self, extent: Extent, error: PathError) -> (UnsyncedSegment, PathError) {
        let doubtful = self.as_unsynced();
        self.let_go(extent);
        (doubtful, error)
    }

    /// Ends the mapping and gives back the space that no frame used. Without a seal, that is what becomes of a segment
    /// that is never to be synced again. Whoever reads past the new end meets the end of the file.
    pub(crate) fn let_go(self, extent: Extent) {
        // Space that stays allocated is no reason to call the log unsafe.
        if let Err(error) = self.page.shorten(extent.end.0) {
            tracing::warn!(path = %self.path.display(), %error, "a segment that has ended keeps its full size");
        }
    }

    /// The segment as one that is owed a sync: it has none, or not to its end.
    pub(crate) fn as_unsynced(&self) -> UnsyncedSegment {
        UnsyncedSegment {
            segment: self.header.segment_id,
            path: self.path.clone(),
            base_sequence: self.header.base_sequence,
            durable: self.mark.durable,
        }
    }

    /// The sequence number of the last frame within `extent`; 0 if the store has none before it.
    pub(crate) fn last_sequence(&self, extent: Extent) -> Sequence {
        Sequence(self.header.base_sequence.0 + u64::from(extent.frames) - 1)
    }

    fn write_mark(&mut self, durable: Extent, sealed: Option<Extent>) {
        self.mark = Mark { generation: self.mark.generation + 1, durable, sealed };
        let written = self.page.write(Mark::offset(self.mark.generation), &self.mark.encode(self.header.salt));
        // What the frames are worth does not depend on it: without its mark a segment is checked when it is opened, and
        // sealed then. The kernel remembers nothing of a write that it refused, unlike a sync.
        if let Err(error) = written {
            tracing::debug!(path = %self.path.display(), %error, "a segment keeps its older mark");
        }
    }
}

/// A segment that may not be on the disk beyond its durable mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnsyncedSegment {
    pub(crate) segment: SegmentId,
    pub(crate) path: PathBuf,
    pub(crate) base_sequence: Sequence,
    /// Up to here it is.
    pub(crate) durable: Extent,
}

impl UnsyncedSegment {
    /// The number of the last frame that is on the disk; one less than the first if there is none.
    pub(crate) fn durable_sequence(&self) -> Sequence {
        Sequence(self.base_sequence.0 + u64::from(self.durable.frames) - 1)
    }
}

/// Makes a segment durable that was sealed without a sync, its name included, and says so in its mark.
///
/// # Errors
/// [`SealedSyncError`] tells whether anything can have been lost by it.
pub(crate) fn sync_sealed_file(path: &Path) -> Result<(), SealedSyncError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let opened = OpenOptions::new().write(true).open(path).and_then(|file| Ok((file, File::open(dir)?)));
    #[cfg(test)]
    let opened = crate::sabotage::fail(path, crate::sabotage::Spot::SealedNotTried).and(opened);
    let (file, dir) = match opened {
        Ok(files) => files,
        // Retired, and so safe in the database.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            return Err(SealedSyncError::NotTried(PathError { operation: "open", path: path.to_owned(), source }));
        }
    };
    #[cfg(test)]
    crate::sabotage::fail(path, crate::sabotage::Spot::SealedSyncError)
        .at("sync", path)
        .map_err(SealedSyncError::Failed)?;
    file.sync_all().and_then(|()| dir.sync_all()).at("sync", path).map_err(SealedSyncError::Failed)?;
    // Only saves the next one who opens the store the checking; where it can't be written, that is done once more.
    if let Ok(reader) = SegmentReader::open(path)
        && let Mark { generation, sealed: Some(sealed), .. } = reader.mark()
    {
        let mark = Mark { generation: generation + 1, durable: sealed, sealed: Some(sealed) };
        if let Err(error) =
            file.write_all_at(&mark.encode(reader.header().salt), u64::from(Mark::offset(mark.generation)))
        {
            tracing::warn!(path = %path.display(), %error, "a synced segment keeps its older mark");
        }
    }
    Ok(())
}

/// Why a sealed segment was not synced.
#[derive(Debug)]
pub(crate) enum SealedSyncError {
    /// It was not tried, so nothing is lost: try again.
    NotTried(PathError),
    /// It was tried. What is durable is unknown from then on.
    Failed(PathError),
}
