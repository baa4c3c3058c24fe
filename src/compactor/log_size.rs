//! How much room the logs of other processes take: what the bound of the log counts beside the own one.
//!
//! Runs on the compactor, now and then. Reads directories, never a segment's bytes.

use crate::ground::error::PathError;
use crate::ground::position::WriterId;
use crate::segment::directory::EXTENSION;
use crate::segment::writer_folder::writer_folders;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The unit of a file's blocks, whatever the file system's is.
const BLOCK_BYTES: u64 = 512;

/// How many bytes the segments of all logs in `wal_dir` take, that writer's left out. What goes meanwhile counts or not.
///
/// # Errors
/// The directory can't be read.
pub(super) fn others_log_bytes(wal_dir: &Path, own: Option<WriterId>) -> Result<u64, PathError> {
    let others = writer_folders(wal_dir)?.folders.into_iter().filter(|folder| Some(folder.writer) != own);
    Ok(others.map(|folder| folder_bytes(&folder.path)).sum())
}

fn folder_bytes(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let segments = files.filter(|file| file.path().extension().is_some_and(|extension| extension == EXTENSION));
    segments.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.blocks() * BLOCK_BYTES).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::writer_folder::WriterFolder;

    #[test]
    fn the_segments_of_all_logs_but_the_own_count_by_the_room_that_they_take() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(others_log_bytes(&dir.path().join("absent"), None).unwrap(), 0);
        let writers = [1, 2, 3].map(|byte| WriterId([byte; 16]));
        for writer in writers {
            let folder = WriterFolder::within(dir.path(), writer).path;
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("000000000001.seg"), [7; 8192]).unwrap();
            std::fs::write(folder.join("000000000002.seg"), [7; 4096]).unwrap();
            std::fs::write(folder.join("folded"), [7; 16]).unwrap();
        }
        std::fs::write(dir.path().join("000000000001.seg"), [7; 4096]).unwrap();
        assert_eq!(others_log_bytes(dir.path(), Some(writers[1])).unwrap(), 2 * 12_288);
        assert_eq!(others_log_bytes(dir.path(), None).unwrap(), 3 * 12_288);
    }
}
