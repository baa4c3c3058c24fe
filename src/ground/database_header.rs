//! The version that a database says it has, by plain reads of its header and of the WAL beside it, without SQLite.
//!
//! For who opens a store to record: a store of a newer version is refused before anything is touched, and nothing waits for
//! a lock, a recovery of the WAL or a disk that SQLite has to ask. What these files say is no decision to write: who folds
//! asks SQLite. The places are those of SQLite's file format, which is fixed (sqlite.org/fileformat2.html).

use super::error::{AtPath, PathError};
use super::file_identity::identity_of;
use super::private_dir::no_follow;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// What a database begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Where the header has the user version, a big-endian number.
const USER_VERSION_OFFSET: usize = 60;
/// The WAL's header, and that of each frame.
const WAL_HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// What a WAL begins with, but for the last bit.
const WAL_MAGIC: u32 = 0x377f_0682;
/// So many frames are looked at: 256 MiB of them. A WAL that long is there only while somebody reads for hours.
const FRAMES_MAX: u64 = 1 << 16;

/// The files of databases that were looked at, by device and inode. They stay open: closing one would drop every POSIX lock
/// that this process holds on it, those of SQLite connections included, and two connections without locks destroy each
/// other's commits. One that was removed meanwhile has no connection that matters, and is closed.
static LOOKED_AT: Mutex<Option<HashMap<(u64, u64), File>>> = Mutex::new(None);

/// The version of the database at `path`, as of its last commit; `None` where there is none, or it does not say.
///
/// # Errors
/// The system refuses.
pub(crate) fn version(path: &Path) -> Result<Option<i64>, PathError> {
    let metadata = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        found => found.at("inspect", path)?,
    };
    if !metadata.is_file() {
        return Ok(None);
    }
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    let wal = Path::new(&wal);
    // The WAL first: what it has may be copied into the database meanwhile, and never the other way round.
    if let Some(version) = version_in_wal(wal)? {
        return Ok(Some(version));
    }
    let mut header = [0; 64];
    let read = read_held(path, (metadata.dev(), metadata.ino()), &mut header).at("read", path)?;
    Ok((read && header.starts_with(MAGIC)).then(|| user_version(&header)))
}

/// Fills `bytes` from the beginning of the file; `false`: it is shorter.
fn read_held(path: &Path, identity: (u64, u64), bytes: &mut [u8]) -> std::io::Result<bool> {
    let mut looked_at = LOOKED_AT.lock();
    let files = looked_at.get_or_insert_default();
    if !files.contains_key(&identity) {
        files.retain(|_, file| file.metadata().is_ok_and(|metadata| metadata.nlink() > 0));
        let file = OpenOptions::new().read(true).custom_flags(no_follow()).open(path)?;
        // Another one may have taken its place meanwhile.
        files.insert(identity_of(&file).unwrap_or(identity), file);
    }
    let Some(file) = files.get(&identity) else { return Ok(false) };
    match file.read_exact_at(bytes, 0) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

/// The version that the last commit in the WAL gave the database; `None` if no commit there has the first page.
fn version_in_wal(path: &Path) -> Result<Option<i64>, PathError> {
    let file = match OpenOptions::new().read(true).custom_flags(no_follow()).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.at("open", path)?,
    };
    let read = |bytes: &mut [u8], offset: u64| match file.read_exact_at(bytes, offset) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true).at("read", path),
    };
    let mut header = [0; WAL_HEADER_BYTES];
    if !read(&mut header, 0)? || word(&header, 0) & !1 != WAL_MAGIC {
        return Ok(None);
    }
    let (page_bytes, salts) = (u64::from(word(&header, 8)), &header[16..24]);
    if !page_bytes.is_power_of_two() || !(512..=65536).contains(&page_bytes) {
        return Ok(None);
    }
    let (mut last, mut committed) = (None, None);
    for number in 0..FRAMES_MAX {
        let offset = WAL_HEADER_BYTES as u64 + number * (FRAME_HEADER_BYTES as u64 + page_bytes);
        let mut frame = [0; FRAME_HEADER_BYTES];
        // A frame of an earlier round has other salts.
        if !read(&mut frame, offset)? || frame[8..16] != *salts {
            break;
        }
        if word(&frame, 0) == 1 {
            last = Some(offset + FRAME_HEADER_BYTES as u64);
        }
        if word(&frame, 4) != 0 {
            committed = last;
        }
    }
    let Some(page) = committed else { return Ok(None) };
    let mut header = [0; 64];
    Ok((read(&mut header, page)? && header.starts_with(MAGIC)).then(|| user_version(&header)))
}

fn user_version(header: &[u8; 64]) -> i64 {
    i64::from(word(header, USER_VERSION_OFFSET).cast_signed())
}

/// The big-endian number there.
fn word(bytes: &[u8], offset: usize) -> u32 {
    bytes[offset..offset + 4].iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}
