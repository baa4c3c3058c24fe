//! The log's part of a copy: the segments that may have records beyond the database.
//!
//! Runs on the caller's thread, while others append, and retire what is folded. It only reads the log.

use crate::ground::error::{AtPath, HeaderFault, OpenError, PathError, SegmentError};
use crate::ground::position::{Sequence, WriterId};
use crate::ground::private_dir::{create_private_dir, no_follow};
use crate::index::checkpoint::Checkpoint;
use crate::segment::directory::{SegmentFile, list};
use crate::segment::log_owners::LogOwners;
use crate::segment::reader::SegmentReader;
use crate::segment::survey::is_reachable;
use crate::segment::writer_id_file;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// How many bytes are copied at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// A segment that may have something that the database does not.
struct Needed {
    file: SegmentFile,
    bytes: u64,
    /// The first number that it may have; `None` if its header can't be read.
    base_sequence: Option<Sequence>,
}

/// Copies the log of the store in `dir` into `to`, as far as `folded` does not cover it. `progress` is told how much is
/// done, from 0 to 1, and says whether to go on.
///
/// Segments are copied in their order, and each from its beginning: a durable mark is copied before the frames that it
/// vouches for. One that is gone by the time of its turn is folded, and in the database that is copied afterwards. One
/// that begins meanwhile is not copied. So what is copied goes on without a hole where that database ends, up to some
/// time after the call.
///
/// # Errors
/// A segment can't be read or is of a newer version, or the log is not the database's.
pub(super) fn copy_log(
    dir: &Path,
    to: &Path,
    folded: Option<(WriterId, Checkpoint)>,
    mut progress: impl FnMut(f64) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, OpenError> {
    create_private_dir(to)?;
    let needed = needed(dir, folded)?;
    let total = needed.iter().map(|segment| segment.bytes).sum::<u64>().max(1);
    let (mut done, mut chunk) = (0, vec![0; CHUNK_BYTES]);
    for Needed { file, .. } in needed {
        let from = match OpenOptions::new().read(true).custom_flags(no_follow()).open(&file.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            opened => opened.at("open", &file.path)?,
        };
        let path = to.join(file.path.file_name().unwrap_or_default());
        let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).at("create", &path)?;
        loop {
            let bytes = read(&from, &mut chunk).at("read", &file.path)?;
            if bytes == 0 {
                break;
            }
            copy.write_all(&chunk[..bytes]).at("write", &path)?;
            done += bytes as u64;
            if progress(done as f64 / total as f64).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
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

/// The segments that may have records beyond `folded`, in their order.
fn needed(dir: &Path, folded: Option<(WriterId, Checkpoint)>) -> Result<Vec<Needed>, OpenError> {
    let wal_dir = dir.join("wal");
    let files = match list(&wal_dir) {
        Err(PathError { source, .. }) if source.kind() == ErrorKind::NotFound => Vec::new(),
        listed => listed?,
    };
    let (mut owners, mut found) = (LogOwners::new(writer_id_file::read(&wal_dir)?), Vec::new());
    for file in files {
        let header = match SegmentReader::open(&file.path) {
            Ok(reader) => Some(*reader.header()),
            Err(SegmentError::Io(error)) if error.source.kind() == ErrorKind::NotFound => continue,
            // No record was ever in there.
            Err(SegmentError::Header { fault: HeaderFault::NeverStarted, .. }) => continue,
            // Opening the copy says what is to be said, and moves it aside.
            Err(SegmentError::Header { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(header) = header.filter(|header| header.segment_id == file.id && is_reachable(header)) {
            owners.add(header.writer_id);
        }
        let bytes = file.path.symlink_metadata().map_or(0, |metadata| metadata.len());
        found.push((
            header.map(|header| header.writer_id),
            Needed { file, bytes, base_sequence: header.map(|header| header.base_sequence) },
        ));
    }
    let owner = owners.owner(dir, folded.map(|(writer_id, _)| writer_id))?;
    // What another store's log left here is moved aside by whoever records, and is none of this store's.
    found.retain(|(writer_id, _)| writer_id.is_none() || owner.is_none() || *writer_id == owner);
    let next = Sequence(folded.map_or(0, |(_, checkpoint)| checkpoint.sequence.0) + 1);
    // The last one that begins no later has the next record, or one behind it has.
    let begins_before = |(_, segment): &(_, Needed)| segment.base_sequence.is_some_and(|base| base <= next);
    let first = found.iter().rposition(begins_before).unwrap_or(0);
    Ok(found.into_iter().skip(first).map(|(_, segment)| segment).collect())
}
