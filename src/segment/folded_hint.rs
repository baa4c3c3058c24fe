//! `folded` in a writer's folder: up to which number that log is folded, told by whoever folds it.
//!
//! A hint and no more: the database decides. It spares who records from opening the database to learn how far behind it
//! is. The holder of the fold lock writes it after a commit, in place, 16 bytes at once; a reader that meets a
//! half-written one, or one that a power cut left, sees that by the checksum. It is never synced, and goes with the
//! folder.

use super::format::checksum;
use crate::ground::error::{AtPath, PathError};
use crate::ground::position::Sequence;
use crate::ground::private_dir::no_follow;
use rustix::fs::OFlags;
use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file's name.
const NAME: &str = "folded";
/// The number, its checksum, and zeros.
const BYTES: usize = 16;

/// Where the hint of the log in that folder is.
pub(crate) fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// Says that the log in that folder is folded up to `last`.
///
/// # Errors
/// The file can't be written. Nothing depends on it but how soon its reader knows.
pub(crate) fn write(folder: &Path, last: Sequence) -> Result<(), PathError> {
    let path = path(folder);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags());
    options.open(&path).and_then(|file| file.write_all_at(&encode(last), 0)).at("write", &path)
}

/// Up to where the log in that folder is folded, as the hint says; `None` if there is none that is sound.
pub(crate) fn read(folder: &Path) -> Option<Sequence> {
    let mut bytes = [0; BYTES];
    let file = OpenOptions::new().read(true).custom_flags(flags()).open(path(folder)).ok()?;
    file.read_exact_at(&mut bytes, 0).ok()?;
    decode(&bytes)
}

/// What lies there is nobody else's: no link is followed, and no pipe waited for.
fn flags() -> i32 {
    no_follow() | i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default()
}

fn encode(last: Sequence) -> [u8; BYTES] {
    let (mut bytes, number) = ([0; BYTES], last.0.to_le_bytes());
    bytes[..8].copy_from_slice(&number);
    bytes[8..12].copy_from_slice(&checksum(0, &[&number]).to_le_bytes());
    bytes
}

fn decode(bytes: &[u8; BYTES]) -> Option<Sequence> {
    let number = Sequence(u64::from_le_bytes(*bytes.first_chunk()?));
    (encode(number) == *bytes).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_last_is_read_and_nothing_that_is_not_whole() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()), None);
        for last in [7, u64::MAX, 8, 0] {
            write(dir.path(), Sequence(last)).unwrap();
            assert_eq!(read(dir.path()), Some(Sequence(last)));
        }
        let bytes = std::fs::read(path(dir.path())).unwrap();
        assert_eq!(bytes.len(), BYTES);
        for at in 0..BYTES {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            std::fs::write(path(dir.path()), &damaged).unwrap();
            assert_eq!(read(dir.path()), None, "byte {at}");
        }
        std::fs::write(path(dir.path()), &bytes[..15]).unwrap();
        assert_eq!(read(dir.path()), None, "too short");
    }

    #[test]
    fn a_link_and_a_pipe_in_its_place_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = dir.path().join("elsewhere");
        std::fs::write(&elsewhere, encode(Sequence(5))).unwrap();
        std::os::unix::fs::symlink(&elsewhere, path(dir.path())).unwrap();
        assert_eq!(read(dir.path()), None);
        write(dir.path(), Sequence(6)).unwrap_err();
        assert_eq!(std::fs::read(&elsewhere).unwrap(), encode(Sequence(5)));
        std::fs::remove_file(path(dir.path())).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path(dir.path()), rustix::fs::Mode::RUSR).unwrap();
        assert_eq!(read(dir.path()), None);
    }
}
