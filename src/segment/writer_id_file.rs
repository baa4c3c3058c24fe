//! The file `writer-id` in a log's directory: whose log that is.
//!
//! Runs wherever a log is opened or looked at. It is written once, by whoever makes a store, before the first segment is
//! durable. It follows no link.

use super::directory::{PREPARED_EXTENSION, sync_directory};
use crate::ground::error::{AtPath, PathError};
use crate::ground::position::WriterId;
use crate::ground::private_dir::no_follow;
use rustix::fs::OFlags;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file's name.
const NAME: &str = "writer-id";
/// Its size: a UUID as text, and a line feed.
const BYTES: usize = 37;

/// What stands in the file's place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum FoundWriterId {
    /// Nothing.
    #[default]
    Missing,
    /// A writer id.
    Is(WriterId),
    /// Something else: why it says nothing.
    Unsound(&'static str),
}

/// Where the file is.
pub(crate) fn path(wal_dir: &Path) -> PathBuf {
    wal_dir.join(NAME)
}

/// Reads the file.
///
/// # Errors
/// The system refuses.
pub(crate) fn read(wal_dir: &Path) -> Result<FoundWriterId, PathError> {
    let path = path(wal_dir);
    let metadata = match std::fs::symlink_metadata(&path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(FoundWriterId::Missing);
        }
        found => found.at("look at", &path)?,
    };
    if metadata.is_symlink() {
        return Ok(FoundWriterId::Unsound("a symbolic link"));
    }
    if !metadata.is_file() {
        return Ok(FoundWriterId::Unsound("no regular file"));
    }
    let flags = no_follow() | i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(FoundWriterId::Missing),
        opened => opened.at("open", &path)?,
    };
    let mut text = Vec::with_capacity(BYTES + 1);
    match file.take(BYTES as u64 + 1).read_to_end(&mut text) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
            return Ok(FoundWriterId::Unsound("a file that the disk can't read"));
        }
        read => read.at("read", &path)?,
    };
    Ok(decode(&text).map_or(FoundWriterId::Unsound("something else"), FoundWriterId::Is))
}

/// Writes the file anew, and syncs it: after a crash it is there whole, or what was there before.
///
/// # Errors
/// The system refuses, or a directory stands in the file's place.
pub(crate) fn write(wal_dir: &Path, writer_id: WriterId) -> Result<(), PathError> {
    let path = path(wal_dir);
    let prepared = path.with_extension(PREPARED_EXTENSION);
    match std::fs::remove_file(&prepared) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).at("remove", &prepared),
        _ => {}
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&prepared).at("create", &prepared)?;
    file.write_all(format!("{writer_id}\n").as_bytes()).and_then(|()| file.sync_all()).at("write", &prepared)?;
    std::fs::rename(&prepared, &path).at("put in place", &path)?;
    sync_directory(wal_dir)
}

/// The writer id that the file's bytes are; `None` if they are anything else.
fn decode(text: &[u8]) -> Option<WriterId> {
    let digits: Vec<u8> = text.iter().copied().filter(u8::is_ascii_hexdigit).collect();
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    // There is one way to write an id.
    (format!("{}\n", WriterId(id)).as_bytes() == text).then_some(WriterId(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: WriterId =
        WriterId([0x01, 0x97, 0xa1, 0xc0, 0x7b, 0x1e, 0x4c, 0xc3, 0x98, 0xc4, 0xdc, 0x0c, 0, 7, 0x39, 0xff]);
    const TEXT: &[u8] = b"0197a1c0-7b1e-4cc3-98c4-dc0c000739ff\n";

    #[test]
    fn what_is_written_is_read_and_takes_the_place_of_a_file_or_a_link() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), FoundWriterId::Missing);
        assert_eq!(read(&dir.path().join("absent")).unwrap(), FoundWriterId::Missing);
        write(dir.path(), WriterId([9; 16])).unwrap();
        std::fs::write(dir.path().join("writer-id.new"), "left by a crash").unwrap();
        write(dir.path(), ID).unwrap();
        assert_eq!(std::fs::read(path(dir.path())).unwrap(), TEXT);
        assert_eq!(read(dir.path()).unwrap(), FoundWriterId::Is(ID));
        let elsewhere = dir.path().join("elsewhere");
        std::fs::rename(path(dir.path()), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, path(dir.path())).unwrap();
        assert_eq!(read(dir.path()).unwrap(), FoundWriterId::Unsound("a symbolic link"));
        write(dir.path(), WriterId([7; 16])).unwrap();
        assert_eq!(read(dir.path()).unwrap(), FoundWriterId::Is(WriterId([7; 16])));
        assert_eq!(std::fs::read(elsewhere).unwrap(), TEXT, "the link is not followed");
        std::fs::remove_file(path(dir.path())).unwrap();
        std::fs::create_dir(path(dir.path())).unwrap();
        assert_eq!(read(dir.path()).unwrap(), FoundWriterId::Unsound("no regular file"));
        write(dir.path(), ID).unwrap_err();
    }

    #[test]
    fn a_text_that_is_written_in_any_other_way_is_none() {
        assert_eq!(decode(TEXT), Some(ID));
        let shortened = &TEXT[..36];
        let [upper, longer, braced] = [TEXT.to_ascii_uppercase(), [TEXT, b"\n"].concat(), [b"{", TEXT].concat()];
        for text in [&b""[..], b"\n", shortened, &upper, &longer, &braced, &[0; 37], &[0xff; 37], &[b'0'; 37]] {
            assert_eq!(decode(text), None, "{:?}", String::from_utf8_lossy(text));
        }
        let mut moved = TEXT.to_vec();
        moved.swap(8, 9);
        assert_eq!(decode(&moved), None);
    }
}
