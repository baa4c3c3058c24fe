//! `boot` in a writer's folder: in which run of which machine the log is written, where the file system may be another
//! machine's too.
//!
//! A lock that is free there proves nothing, unless who looks and who writes share a kernel, which keeps the lock then. A
//! kernel has the same boot id in all its containers, and another one after each start. The file is made before the folder
//! has its name, goes with the folder, and is what is locked: NFS lets nobody lock a directory alone. It is empty where the
//! writer could not lock it, or does not know its boot id. On file systems that are known to be this machine's own there is
//! none: the folder is locked itself.
//!
//! Runs on any thread.

use crate::ground::error::{AtPath, PathError};
use crate::ground::fold_holder::boot_id;
use crate::ground::private_dir::no_follow;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file's name.
const NAME: &str = "boot";
/// No boot id is longer.
const BYTES_MAX: usize = 64;

/// In which run of a machine a log is written, as who looks sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriterBoot {
    /// In this one.
    This,
    /// In that of another machine, or an earlier one of this machine.
    Other,
    /// Nobody says.
    Untold,
}

/// Where the file of that folder is.
pub(crate) fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// The file of a folder that is being born. It says nothing yet.
pub(super) fn create(folder: &Path) -> Result<File, PathError> {
    let path = path(folder);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags());
    options.open(&path).at("create", &path)
}

/// Says that this run of this machine writes the log.
pub(super) fn say_this(file: &File, folder: &Path) -> Result<(), PathError> {
    let Some(boot_id) = boot_id() else { return Ok(()) };
    let written = file.write_all_at(format!("{boot_id}\n").as_bytes(), 0).and_then(|()| file.sync_data());
    written.at("write", &path(folder))
}

/// The file of a folder, which may be locked; `None` if there is none.
pub(super) fn open(folder: &Path) -> Result<Option<File>, PathError> {
    let path = path(folder);
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags());
    let may_not_write =
        |error: &Error| matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem);
    let opened = match options.clone().write(true).open(&path) {
        Err(error) if may_not_write(&error) => options.open(&path),
        opened => opened,
    };
    match opened {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        opened => opened.at("open", &path).map(Some),
    }
}

/// What the file says.
pub(super) fn read(file: &File) -> WriterBoot {
    let mut bytes = [0; BYTES_MAX + 1];
    let Ok(length) = file.read_at(&mut bytes, 0) else { return WriterBoot::Untold };
    told(&bytes[..length], boot_id().as_deref())
}

/// What those bytes say to who runs in that boot.
fn told(bytes: &[u8], this: Option<&str>) -> WriterBoot {
    let said = str::from_utf8(bytes).ok().and_then(|text| text.strip_suffix('\n')).filter(|said| !said.is_empty());
    match (said, this) {
        (Some(said), Some(this)) if said == this => WriterBoot::This,
        (Some(_), Some(_)) => WriterBoot::Other,
        _ => WriterBoot::Untold,
    }
}

/// What lies there is nobody else's: no link is followed, and no pipe waited for.
fn flags() -> i32 {
    no_follow() | i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_says_in_which_boot_it_is_written_and_nothing_until_it_is_locked() {
        let dir = tempfile::tempdir().unwrap();
        assert!(open(dir.path()).unwrap().is_none());
        let file = create(dir.path()).unwrap();
        assert_eq!(read(&file), WriterBoot::Untold);
        say_this(&file, dir.path()).unwrap();
        assert_eq!(read(&open(dir.path()).unwrap().expect("it is there")), WriterBoot::This);
    }

    #[test]
    fn only_a_whole_line_says_anything_and_only_to_who_knows_his_own_boot() {
        let cases: [(&[u8], Option<&str>, WriterBoot); 7] = [
            (b"a-boot\n", Some("a-boot"), WriterBoot::This),
            (b"a-boot\n", Some("another"), WriterBoot::Other),
            (b"a-boot\n", None, WriterBoot::Untold),
            (b"a-boot", Some("a-boot"), WriterBoot::Untold),
            (b"\n", Some("a-boot"), WriterBoot::Untold),
            (b"", Some("a-boot"), WriterBoot::Untold),
            (b"\xff\n", Some("a-boot"), WriterBoot::Untold),
        ];
        for (bytes, this, expected) in cases {
            assert_eq!(told(bytes, this), expected, "{bytes:?} {this:?}");
        }
    }
}
