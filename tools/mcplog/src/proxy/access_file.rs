//! The access log's file: only ever appended to, and opened anew when somebody has moved it away (SIGHUP, for logrotate).
//!
//! Written by a thread of its own. What can't be written is lost, and nothing waits for it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The file.
pub(super) struct AccessFile {
    path: PathBuf,
    file: File,
    /// Somebody asked for it to be opened anew.
    reopen: Arc<AtomicBool>,
    /// A line was begun and could not be written whole.
    is_torn: bool,
}

impl AccessFile {
    /// Opens the file, or creates it for its owner only. It is opened anew before the next line once `reopen` was set.
    ///
    /// # Errors
    /// It can't be opened, or is no regular file: a pipe would hold up whoever opens it.
    pub(super) fn open(path: &Path, reopen: Arc<AtomicBool>) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: open(path)?, reopen, is_torn: false })
    }

    fn reopen_if_asked(&mut self) {
        if !self.reopen.swap(false, Ordering::AcqRel) {
            return;
        }
        match open(&self.path) {
            Ok(file) => (self.file, self.is_torn) = (file, false),
            // The old one is as good as none, and better than losing lines.
            Err(error) => tracing::warn!(path = %self.path.display(), %error, "the access log can't be opened anew"),
        }
    }
}

impl Write for AccessFile {
    /// Writes whole lines.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.reopen_if_asked();
        if self.is_torn {
            self.file.write_all(b"\n")?;
            self.is_torn = false;
        }
        let written = self.file.write(lines)?;
        self.is_torn = written < lines.len();
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.reopen_if_asked();
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    let no_wait = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
    let flags = i32::try_from(no_wait.bits()).unwrap_or(0);
    let file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "expected a regular file (or -, for standard output)"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew_once_somebody_asks() {
        let dir = tempfile::tempdir().unwrap();
        let [path, moved] = ["access.log", "access.log.1"].map(|name| dir.path().join(name));
        let reopen = Arc::new(AtomicBool::new(false));
        let mut file = AccessFile::open(&path, Arc::clone(&reopen)).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        file.write_all(b"one\n").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        file.write_all(b"two\n").unwrap();
        reopen.store(true, Ordering::Release);
        // Also where no line comes for a while.
        file.flush().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        file.write_all(b"three\n").unwrap();
        let read = |path| std::fs::read_to_string(path).unwrap();
        assert_eq!([read(&moved), read(&path)], ["one\ntwo\n", "three\n"]);
        // A directory that is gone costs nothing.
        reopen.store(true, Ordering::Release);
        std::fs::rename(&path, &moved).unwrap();
        std::fs::create_dir(&path).unwrap();
        file.write_all(b"four\n").unwrap();
        assert_eq!(read(&moved), "three\nfour\n");
    }

    #[test]
    fn what_is_no_file_is_refused_and_nobody_waits_for_its_reader() {
        let dir = tempfile::tempdir().unwrap();
        let [pipe, link] = ["pipe", "link"].map(|name| dir.path().join(name));
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &link).unwrap();
        for path in [pipe.as_path(), &link, dir.path(), Path::new("/dev/null")] {
            assert!(AccessFile::open(path, Arc::default()).is_err(), "{}", path.display());
        }
    }
}
