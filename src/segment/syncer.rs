//! Forcing a segment to the disk: pages first, then the mark that vouches for them.
//!
//! Runs on the syncing thread, so that appending never waits for a disk.

use super::file::HeaderPage;
use super::format::{Extent, FRAMES_OFFSET, Mark, SegmentHeader};
use super::log_home::FolderNames;
use super::reader::SegmentReader;
use super::segment_progress::SegmentProgress;
use crate::ground::error::{AtPath, PathError};
use crate::ground::position::{SegmentId, Sequence, WriterId};
use crate::ground::sabotage::{self, Spot};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How much of a segment is read and written again at once.
const REWRITE_BYTES: usize = 1024 * 1024;

/// The active segment, as the syncing thread holds it.
#[derive(Debug)]
pub(crate) struct SegmentSyncer {
    page: HeaderPage,
    names: Arc<FolderNames>,
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
        names: Arc<FolderNames>,
        header: SegmentHeader,
        path: PathBuf,
        progress: Arc<SegmentProgress>,
    ) -> Self {
        Self { page, names, header, path, progress, mark: Mark::UNWRITTEN, name_is_durable: false }
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
        sabotage::at(Spot::Sync, &self.path).at("sync", &self.path)?;
        self.page.sync(published.end.0).at("sync", &self.path)?;
        // The file before its name: a name that a power cut leaves is then one of a segment.
        if !self.name_is_durable {
            self.names.sync(&self.path)?;
            self.name_is_durable = true;
        }
        self.write_mark(published, None);
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

    /// Ends the mapping and gives back the space that no frame used. A segment that is never to be synced again ends
    /// so, without a seal. Whoever reads past the new end meets the end of the file.
    pub(crate) fn let_go(self, extent: Extent) {
        // Space that stays allocated is no reason to call the log unsafe.
        if let Err(error) = self.page.shorten(extent.end.0) {
            tracing::warn!(path = %self.path.display(), %error, "a segment that has ended keeps its full size");
        }
    }

    /// The segment as one that is owed a sync: it has none, or not to its end.
    pub(crate) fn as_unsynced(&self) -> UnsyncedSegment {
        UnsyncedSegment {
            writer: self.header.writer_id,
            segment: self.header.segment_id,
            path: self.path.clone(),
            base_sequence: self.header.base_sequence,
            durable: self.mark.durable,
            keeps_mark: false,
        }
    }

    /// Whose log it is.
    pub(crate) fn writer(&self) -> WriterId {
        self.header.writer_id
    }

    /// The sequence number of the last frame within `extent`; 0 if the log has none before it.
    pub(crate) fn last_sequence(&self, extent: Extent) -> Sequence {
        extent.last_sequence(self.header.base_sequence)
    }

    fn write_mark(&mut self, durable: Extent, sealed: Option<Extent>) {
        self.mark = Mark { generation: self.mark.generation + 1, durable, sealed };
        let written = self.page.write(Mark::offset(self.mark.generation), &self.mark.encode(self.header.salt));
        // The frames do not depend on the mark: a segment without it is read to where its frames end. The kernel remembers nothing of a write that it refused, unlike a sync.
        if let Err(error) = written {
            tracing::debug!(path = %self.path.display(), %error, "a segment keeps its older mark");
        }
    }
}

/// A segment that may not be on the disk beyond its durable mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnsyncedSegment {
    pub(crate) writer: WriterId,
    pub(crate) segment: SegmentId,
    pub(crate) path: PathBuf,
    pub(crate) base_sequence: Sequence,
    /// Up to here the segment is on the disk.
    pub(crate) durable: Extent,
    /// It is damaged and stays as it is: its mark tells no more than before, however often it is synced.
    pub(crate) keeps_mark: bool,
}

impl UnsyncedSegment {
    /// The number of the last frame that is on the disk; one less than the first if there is none.
    pub(crate) fn durable_sequence(&self) -> Sequence {
        self.durable.last_sequence(self.base_sequence)
    }
}

/// Makes a segment durable that was sealed without a sync, its name and that of its folder included, and says so in its
/// mark.
///
/// # Errors
/// [`SealedSyncError`] tells whether anything can have been lost by it.
pub(crate) fn sync_sealed_file(segment: &UnsyncedSegment) -> Result<(), SealedSyncError> {
    let path = segment.path.as_path();
    let folder = path.parent().unwrap_or(Path::new("."));
    let logs = folder.parent().unwrap_or(Path::new("."));
    let opened = OpenOptions::new().read(true).write(true).open(path);
    let opened = opened.and_then(|file| Ok((file, File::open(folder)?, File::open(logs)?)));
    let opened = opened.and_then(|files| Ok(sabotage::at(Spot::SealedOpen, path).map(|()| files)?));
    let (file, folder, logs) = match opened {
        Ok(files) => files,
        // It was folded, and made durable in the database before it was removed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            return Err(SealedSyncError::NotTried(PathError { operation: "open", path: path.to_owned(), source }));
        }
    };
    write_doubtful_once_more(&file, path, segment.durable)?;
    sabotage::at(Spot::SealedSync, path).at("sync", path).map_err(SealedSyncError::Failed)?;
    let synced = file.sync_all().and_then(|()| folder.sync_all()).and_then(|()| logs.sync_all());
    synced.at("sync", path).map_err(SealedSyncError::Failed)?;
    // The mark only saves the next one who opens the store the checking. Where it can't be written, that is done once
    // more.
    if !segment.keeps_mark
        && let Ok(reader) = SegmentReader::open(path)
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

/// Writes, in place and unchanged, what is not known to be on the disk, so that the sync that follows has it to write.
///
/// Linux tells of a failed write once and then calls the pages clean. If that befell a process that is gone, or nobody
/// was told because the file was not open, a sync would succeed with nothing to do, and vouch for what the disk never
/// got.
fn write_doubtful_once_more(file: &File, path: &Path, durable: Extent) -> Result<(), SealedSyncError> {
    let end = file.metadata().at("inspect", path).map_err(SealedSyncError::NotTried)?.len();
    let mut bytes = vec![0; REWRITE_BYTES];
    // The header too, and the frames behind those that the mark says were synced.
    for range in [0..u64::from(FRAMES_OFFSET).min(end), u64::from(durable.end.0)..end] {
        let mut offset = range.start;
        while offset < range.end {
            let count = usize::try_from(range.end - offset).unwrap_or(REWRITE_BYTES).min(REWRITE_BYTES);
            // A place that can't be read back is lost.
            file.read_exact_at(&mut bytes[..count], offset).at("read", path).map_err(SealedSyncError::Failed)?;
            // A place that can't be written, for want of room say, is still there.
            file.write_all_at(&bytes[..count], offset).at("write", path).map_err(SealedSyncError::NotTried)?;
            offset += count as u64;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::position::WriterId;
    use crate::segment::format::LogIdentity;
    use crate::segment::writer::PreparedSegment;
    use std::time::SystemTime;

    #[test]
    fn what_an_earlier_sync_may_have_lost_is_written_once_more_before_a_sync_vouches_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let prepared = PreparedSegment::create(dir.path(), SegmentId(1), 4 * 1024 * 1024).unwrap();
        let (mut writer, mut syncer) =
            prepared.activate(LogIdentity::sample(WriterId([7; 16])), Sequence(1), 5).unwrap();
        let path = writer.path().to_owned();
        writer.append(b"synced").unwrap();
        syncer.sync().unwrap();
        for payload in [&[1; 300], &vec![2; 3 * 1024 * 1024][..], &[3; 300]] {
            writer.append(payload).unwrap();
        }
        let extent = writer.finish();
        let owed = syncer.as_unsynced();
        syncer.seal(extent, false).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        // What the sync would have said is of no interest: were the pages dirty when it was called?
        sabotage::order(dir.path(), Spot::SealedSync, 0, 1, sabotage::fail);
        assert!(matches!(sync_sealed_file(&owed), Err(SealedSyncError::Failed(_))));
        assert!(std::fs::metadata(&path).unwrap().modified().unwrap() > SystemTime::UNIX_EPOCH);
        assert!(std::fs::read(&path).unwrap() == bytes, "in place, and the same");
        sync_sealed_file(&owed).unwrap();
        assert_eq!(SegmentReader::open(&path).unwrap().mark().durable, extent);
    }
}
