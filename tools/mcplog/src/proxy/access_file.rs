//! The access log's file: lines are appended, and it is opened anew when somebody has moved it away (SIGHUP, for logrotate).
//!
//! Written by a thread of its own. A line that can't be written is lost, and nothing waits for it. What was written of it is
//! cut off again: half a line is nothing that a program can read.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
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
}

impl AccessFile {
    /// Opens the file, or creates it for its owner only. It is opened anew before the next line once `reopen` was set.
    ///
    /// # Errors
    /// It can't be opened, or is no regular file: a pipe would hold up whoever opens it.
    pub(super) fn open(path: &Path, reopen: Arc<AtomicBool>) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: open(path)?, reopen })
    }

    /// Cuts off what was written last: so many bytes.
    fn take_back(&mut self, written: usize) -> io::Result<()> {
        let end = self.file.stream_position()?;
        // Somebody else may have appended to it since, or emptied it.
        match end.checked_sub(written as u64) {
            Some(begin) if self.file.metadata()?.len() == end => self.file.set_len(begin),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn reopen_if_asked(&mut self) {
        if !self.reopen.swap(false, Ordering::AcqRel) {
            return;
        }
        match open(&self.path) {
            Ok(file) => self.file = file,
            // The old one is as good as none, and better than losing lines.
            Err(error) => tracing::warn!(path = %self.path.display(), %error, "the access log can't be opened anew"),
        }
    }
}

impl Write for AccessFile {
    /// Writes whole lines, or none of it. Less only where what was written can't be taken back.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.reopen_if_asked();
        let mut written = 0;
        while written < lines.len() {
            match self.file.write(&lines[written..]) {
                Ok(more) if more > 0 => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if written == 0 || self.take_back(written).is_ok() => return Err(error),
                Ok(_) | Err(_) => break,
            }
        }
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
