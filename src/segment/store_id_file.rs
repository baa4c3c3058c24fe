//! The file `store-id` in a store's directory: which store that is.
//!
//! Runs wherever a store is opened or looked at. It is written once, by the first of those who make the store, however
//! many begin at the same instant: the others read what the first one wrote. It follows no link.

use super::directory::sync_directory;
use crate::ground::error::{AtPath, PathError, is_unreadable};
use crate::ground::position::StoreId;
use crate::ground::private_dir::no_follow;
use rustix::fs::OFlags;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The file's name.
const NAME: &str = "store-id";
/// Its size: a UUID as text, and a line feed.
const BYTES: usize = 37;
/// So long whoever makes the file may take to write it, where it can't be written before it has its name.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);
/// How often to look whether it has.
const LOOK: Duration = Duration::from_millis(5);

/// What stands in the file's place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum FoundStoreId {
    /// Nothing.
    #[default]
    Missing,
    /// A store id.
    Is(StoreId),
    /// Something else: why it says nothing.
    Unsound(&'static str),
}

/// Where the file is in the store's directory.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

/// Reads the file.
///
/// # Errors
/// The system refuses.
pub(crate) fn read(dir: &Path) -> Result<FoundStoreId, PathError> {
    let path = path(dir);
    let metadata = match std::fs::symlink_metadata(&path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(FoundStoreId::Missing);
        }
        found => found.at("look at", &path)?,
    };
    if metadata.is_symlink() {
        return Ok(FoundStoreId::Unsound("a symbolic link"));
    }
    if !metadata.is_file() {
        return Ok(FoundStoreId::Unsound("no regular file"));
    }
    let flags = no_follow() | i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(FoundStoreId::Missing),
        opened => opened.at("open", &path)?,
    };
    let mut text = Vec::with_capacity(BYTES + 1);
    match file.take(BYTES as u64 + 1).read_to_end(&mut text) {
        Err(error) if is_unreadable(&error) => {
            return Ok(FoundStoreId::Unsound("a file that the disk can't read"));
        }
        read => read.at("read", &path)?,
    };
    Ok(decode(&text).map_or(FoundStoreId::Unsound("something else"), FoundStoreId::Is))
}

/// The store's id: that of the file; and if there is none, `store_id`, which the file then has. Where several write it
/// at the same instant, the first one wins, and all get the same. What is returned is durable.
///
/// # Errors
/// The system refuses.
pub(crate) fn read_or_write(dir: &Path, store_id: StoreId) -> Result<FoundStoreId, PathError> {
    match read_once_written(dir)? {
        FoundStoreId::Missing => {}
        found => return Ok(found),
    }
    let (path, prepared) = (path(dir), prepare(dir, store_id)?);
    let linked = std::fs::hard_link(&prepared, &path);
    let linked = linked.or_else(|error| match error.kind() {
        ErrorKind::AlreadyExists => Ok(()),
        // A file system without links, exFAT for one, may know this. One that knows neither, as FUSE may, makes a file
        // only where there is none all the same.
        _ => rename_into_nothing(&prepared, &path).or_else(|error| match error.kind() {
            ErrorKind::AlreadyExists => Ok(()),
            _ => write_into_nothing(&path, store_id),
        }),
    });
    let _ = std::fs::remove_file(&prepared);
    linked.at("put in place", &path)?;
    sync_directory(dir)?;
    read_once_written(dir)
}

/// Reads the file. Where another process is writing it under its name, it has it a moment later.
fn read_once_written(dir: &Path) -> Result<FoundStoreId, PathError> {
    let deadline = Instant::now() + WRITTEN_WITHIN;
    loop {
        match read(dir)? {
            FoundStoreId::Unsound(_) if Instant::now() < deadline => std::thread::sleep(LOOK),
            found => return Ok(found),
        }
    }
}

/// Writes the file under its name, if nothing has that.
fn write_into_nothing(path: &Path, store_id: StoreId) -> std::io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => {
            made.and_then(|mut file| file.write_all(format!("{store_id}\n").as_bytes()).and_then(|()| file.sync_all()))
        }
    }
}

/// Writes the file anew, whatever stands in its place, and syncs it: after a crash it is there whole, or what was there
/// before.
///
/// # Errors
/// The system refuses, or a directory stands in the file's place.
pub(crate) fn write(dir: &Path, store_id: StoreId) -> Result<(), PathError> {
    let (path, prepared) = (path(dir), prepare(dir, store_id)?);
    let renamed = std::fs::rename(&prepared, &path);
    if renamed.is_err() {
        let _ = std::fs::remove_file(&prepared);
    }
    renamed.at("put in place", &path)?;
    sync_directory(dir)
}

/// The file under a name that nobody else uses.
fn prepare(dir: &Path, store_id: StoreId) -> Result<PathBuf, PathError> {
    let mut own = [0; 8];
    rustix::rand::getrandom(&mut own, rustix::rand::GetRandomFlags::empty()).at("get randomness for", dir)?;
    let prepared = dir.join(format!("{NAME}.{:016x}.new", u64::from_le_bytes(own)));
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&prepared).at("create", &prepared)?;
    let written = file.write_all(format!("{store_id}\n").as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = std::fs::remove_file(&prepared);
    }
    written.at("write", &prepared).map(|()| prepared)
}

fn rename_into_nothing(from: &Path, to: &Path) -> std::io::Result<()> {
    let (flags, cwd) = (rustix::fs::RenameFlags::NOREPLACE, rustix::fs::CWD);
    Ok(rustix::fs::renameat_with(cwd, from, cwd, to, flags)?)
}

/// The store id that the file's bytes are; `None` if they are anything else.
fn decode(text: &[u8]) -> Option<StoreId> {
    StoreId::from_text(std::str::from_utf8(text).ok()?.strip_suffix('\n')?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::Barrier;

    const ID: StoreId =
        StoreId([0x01, 0x97, 0xa1, 0xc0, 0x7b, 0x1e, 0x4c, 0xc3, 0x98, 0xc4, 0xdc, 0x0c, 0, 7, 0x39, 0xff]);
    const TEXT: &[u8] = b"0197a1c0-7b1e-4cc3-98c4-dc0c000739ff\n";

    fn names(dir: &Path) -> usize {
        std::fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn the_first_id_that_is_written_stays_and_is_what_later_ones_read() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), FoundStoreId::Missing);
        assert_eq!(read(&dir.path().join("absent")).unwrap(), FoundStoreId::Missing);
        assert_eq!(read_or_write(dir.path(), ID).unwrap(), FoundStoreId::Is(ID));
        assert_eq!(read_or_write(dir.path(), StoreId([9; 16])).unwrap(), FoundStoreId::Is(ID));
        assert_eq!(std::fs::read(path(dir.path())).unwrap(), TEXT);
        assert_eq!(names(dir.path()), 1);
    }

    #[test]
    fn of_many_that_begin_at_the_same_instant_one_wins_and_all_know_it() {
        for round in 0..50 {
            let dir = tempfile::tempdir().unwrap();
            let barrier = Barrier::new(8);
            let of_each = |own: u8| {
                barrier.wait();
                read_or_write(dir.path(), StoreId([own; 16])).unwrap()
            };
            let told: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|own| scope.spawn(move || of_each(own))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let FoundStoreId::Is(winner) = told[0] else { panic!("{told:?}") };
            assert!(told.iter().all(|found| *found == FoundStoreId::Is(winner)), "round {round}: {told:?}");
            assert_eq!(read(dir.path()).unwrap(), FoundStoreId::Is(winner));
            assert_eq!(names(dir.path()), 1, "round {round}");
        }
    }

    #[test]
    fn where_there_are_no_links_a_name_that_is_there_is_not_replaced_either() {
        let dir = tempfile::tempdir().unwrap();
        let prepared: Vec<_> = (0..2).map(|own| prepare(dir.path(), StoreId([own; 16])).unwrap()).collect();
        let outcomes: HashSet<_> = prepared
            .iter()
            .map(|from| rename_into_nothing(from, &path(dir.path())).map_err(|error| error.kind()))
            .collect();
        assert_eq!(outcomes, HashSet::from([Ok(()), Err(ErrorKind::AlreadyExists)]));
        assert_eq!(read(dir.path()).unwrap(), FoundStoreId::Is(StoreId([0; 16])));
    }

    #[test]
    fn what_is_written_anew_takes_the_place_of_a_file_or_a_link() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), StoreId([9; 16])).unwrap();
        write(dir.path(), ID).unwrap();
        assert_eq!(std::fs::read(path(dir.path())).unwrap(), TEXT);
        let elsewhere = dir.path().join("elsewhere");
        std::fs::rename(path(dir.path()), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, path(dir.path())).unwrap();
        let link = FoundStoreId::Unsound("a symbolic link");
        assert_eq!((read(dir.path()).unwrap(), read_or_write(dir.path(), ID).unwrap()), (link.clone(), link));
        write(dir.path(), StoreId([7; 16])).unwrap();
        assert_eq!(read(dir.path()).unwrap(), FoundStoreId::Is(StoreId([7; 16])));
        assert_eq!(std::fs::read(elsewhere).unwrap(), TEXT, "the link is not followed");
        std::fs::remove_file(path(dir.path())).unwrap();
        std::fs::create_dir(path(dir.path())).unwrap();
        assert_eq!(read(dir.path()).unwrap(), FoundStoreId::Unsound("no regular file"));
        write(dir.path(), ID).unwrap_err();
        assert_eq!(names(dir.path()), 2, "nothing is left of the attempt");
    }

    #[test]
    fn a_text_that_is_written_in_any_other_way_is_none() {
        assert_eq!(decode(TEXT), Some(ID));
        let [upper, longer, braced] = [TEXT.to_ascii_uppercase(), [TEXT, b"\n"].concat(), [b"{", TEXT].concat()];
        for text in [&b""[..], b"\n", &TEXT[..36], &upper, &longer, &braced, &[0; 37], &[0xff; 37], &[b'0'; 37]] {
            assert_eq!(decode(text), None, "{:?}", String::from_utf8_lossy(text));
        }
    }
}
