//! The files of a copy that are no tables: the logs that wait, those that are kept, and those that were set aside.
//!
//! Runs on the caller's thread, while others append, and retire what is folded. It only reads them.

use crate::ground::error::{AtPath, OpenError, PathError};
use crate::ground::private_dir::{create_private_dir, no_follow};
use crate::segment::directory::{SegmentFile, list_whole, sync_directory};
use crate::segment::folder_birth::logs;
use crate::segment::quarantine;
use crate::segment::writer_folder::{WriterFolder, writer_folders};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How many bytes are copied at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// How much was copied.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CopiedFiles {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Copies the folders of all writers in `from` (`wal/`, `kept/` or `quarantine/` of a store), as far as they are there when
/// it is their turn, into `to`. `progress` is told how much is done, from 0 to 1, and says whether to go on.
///
/// A log's segments are copied in their order, and each from its beginning: a durable mark is copied before the frames that
/// it vouches for. A file that is gone by the time of its turn was folded, or expired. One that begins meanwhile is not
/// copied. So of each log there is everything up to some time after the call, or it is folded in the database that is copied
/// afterwards.
///
/// # Errors
/// A file can't be read or written.
pub(super) fn copy_folders(
    from: &Path,
    to: &Path,
    copied: &mut CopiedFiles,
    mut progress: impl FnMut(f64) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, OpenError> {
    let found = writer_folders(from)?;
    let folders = logs(found);
    if !from.exists() {
        return Ok(ControlFlow::Continue(()));
    }
    create_private_dir(to)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    for (at, folder) in folders.iter().enumerate() {
        if progress(at as f64 / folders.len() as f64).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let files = match files(&folder.path) {
            Err(error) if error.source.kind() == ErrorKind::NotFound => continue,
            files => files?,
        };
        // What was being born has its place in the copy: nobody is there to give it that.
        let place = WriterFolder::within(to, folder.writer).path;
        create_private_dir(&place)?;
        for file in files {
            let to = place.join(file.file_name().unwrap_or_default());
            if copy(&file, &to, &mut chunk, copied, &mut progress)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        sync_directory(&place)?;
    }
    sync_directory(to)?;
    Ok(ControlFlow::Continue(()))
}

/// The segments in a folder by their ids, and the notes about those that were set aside.
fn files(folder: &Path) -> Result<Vec<PathBuf>, PathError> {
    let mut files: Vec<SegmentFile> = list_whole(folder)?;
    let aside = quarantine::segments(folder).into_iter().map(|aside| SegmentFile { id: aside.id, path: aside.path });
    for file in aside {
        if files.iter().all(|listed| listed.path != file.path) {
            files.push(file);
        }
    }
    let mut paths = Vec::with_capacity(files.len());
    for file in files {
        let note = quarantine::note_path(&file.path);
        let has_note = note.symlink_metadata().is_ok();
        paths.push(file.path);
        paths.extend(has_note.then_some(note));
    }
    Ok(paths)
}

fn copy(
    from: &Path,
    to: &Path,
    chunk: &mut [u8],
    copied: &mut CopiedFiles,
    progress: &mut impl FnMut(f64) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, PathError> {
    let file = match OpenOptions::new().read(true).custom_flags(no_follow()).open(from) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(ControlFlow::Continue(())),
        opened => opened.at("open", from)?,
    };
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).at("create", to)?;
    loop {
        let bytes = read(&file, chunk).at("read", from)?;
        if bytes == 0 {
            break;
        }
        copy.write_all(&chunk[..bytes]).at("write", to)?;
        copied.bytes += bytes as u64;
        // How much there is to come nobody knows: others append.
        if progress(0.0).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    copy.sync_all().at("sync", to)?;
    copied.files += 1;
    Ok(ControlFlow::Continue(()))
}

fn read(mut file: &File, chunk: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match file.read(chunk) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
