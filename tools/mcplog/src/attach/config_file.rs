//! A client's configuration file: read, and replaced where nobody else changed it meanwhile.
//!
//! Runs on the main thread. Links are followed and stay links; the file that they lead to is replaced by a rename, with the
//! owner and the mode of the old one. Errors name the file, and never what stands in it.

use super::whole_file::write_new;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// More than any configuration holds; `~/.claude.json` keeps histories and may have a few MiB.
const BYTES_MAX: u64 = 64 << 20;

/// Why a file can't be read or changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: expected a file, found something else", path.display())]
    NoFile { path: PathBuf },
    #[error("{}: expected at most {} MiB, found {bytes} bytes", path.display(), BYTES_MAX >> 20)]
    TooLarge { path: PathBuf, bytes: u64 },
    #[error("{}: expected UTF-8, found another byte at offset {offset}", path.display())]
    NotUtf8 { path: PathBuf, offset: usize },
    #[error("{}: it is read-only, and stays as it is; `chmod u+w` allows a change", path.display())]
    ReadOnly { path: PathBuf },
    #[error("{}: its owner or its group would not stay ({source}); its owner has to do this", path.display())]
    OtherOwner { path: PathBuf, source: io::Error },
    #[error("{}: somebody changed it in this moment, and nothing was written; close the client that has it open, and try again", path.display())]
    Changed { path: PathBuf },
    #[error("{}: it can't be replaced, and is as it was: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// A file as it was read.
#[derive(Clone, Debug)]
pub(super) struct ConfigFile {
    /// Where it was looked for.
    pub(super) path: PathBuf,
    /// The file itself, behind the links that lead to it.
    pub(super) target: PathBuf,
    pub(super) text: String,
    pub(super) metadata: Metadata,
}

impl ConfigFile {
    /// Reads a file; `None` if there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, FileError> {
        let error = |source| FileError::Read { path: path.to_owned(), source };
        let target = match path.canonicalize() {
            Ok(target) => target,
            // A link that leads nowhere is no file either; a client makes it when it writes.
            Err(source) if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(source) => return Err(error(source)),
        };
        let (bytes, metadata) = read_bytes(&target)?;
        let text = String::from_utf8(bytes)
            .map_err(|error| FileError::NotUtf8 { path: path.to_owned(), offset: error.utf8_error().valid_up_to() })?;
        Ok(Some(Self { path: path.to_owned(), target, text, metadata }))
    }

    /// Whether the file has other names, which go on to name the old one once it is replaced.
    pub(super) fn has_other_names(&self) -> bool {
        self.metadata.nlink() > 1
    }

    /// Puts `text` in the file's place, unless it is another one by now.
    pub(super) fn replace(&self, text: &str) -> Result<(), FileError> {
        if self.metadata.mode() & 0o200 == 0 {
            return Err(FileError::ReadOnly { path: self.target.clone() });
        }
        write_new(&self.target, text.as_bytes(), |file| self.take_over(file)).map_err(|error| match error {
            ReplaceError::Other(error) => error,
            ReplaceError::Io(source) => FileError::Write { path: self.target.clone(), source },
        })
    }

    /// Gives the new file what the old one has besides its text, and looks a last time whether that is the old one still.
    fn take_over(&self, file: &File) -> Result<(), ReplaceError> {
        let own = file.metadata()?;
        let (owner, group) = (self.metadata.uid(), self.metadata.gid());
        if (own.uid(), own.gid()) != (owner, group) {
            fchown(file, Some(owner), Some(group))
                .map_err(|source| ReplaceError::Other(FileError::OtherOwner { path: self.target.clone(), source }))?;
        }
        // After the owner: a change of that takes bits away.
        file.set_permissions(Permissions::from_mode(self.metadata.mode() & 0o7777))?;
        let (bytes, metadata) = read_bytes(&self.target).map_err(ReplaceError::Other)?;
        let is_same = (metadata.dev(), metadata.ino()) == (self.metadata.dev(), self.metadata.ino());
        if !is_same || bytes != self.text.as_bytes() || self.path.canonicalize().ok().as_ref() != Some(&self.target) {
            return Err(ReplaceError::Other(FileError::Changed { path: self.target.clone() }));
        }
        Ok(())
    }
}

enum ReplaceError {
    Io(io::Error),
    Other(FileError),
}

impl From<io::Error> for ReplaceError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn read_bytes(path: &Path) -> Result<(Vec<u8>, Metadata), FileError> {
    let error = |source| FileError::Read { path: path.to_owned(), source };
    // Before it is opened: opening a pipe waits for its other end.
    if !fs::metadata(path).map_err(error)?.is_file() {
        return Err(FileError::NoFile { path: path.to_owned() });
    }
    let mut file = File::open(path).map_err(error)?;
    let metadata = file.metadata().map_err(error)?;
    let mut bytes = Vec::new();
    Read::by_ref(&mut file).take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(error)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(FileError::TooLarge { path: path.to_owned(), bytes: metadata.len() });
    }
    Ok((bytes, metadata))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A file with `old` in it, read, in a directory of its own.
    fn read_file() -> (tempfile::TempDir, PathBuf, ConfigFile) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mcp.json");
        fs::write(&path, "old").unwrap();
        let file = ConfigFile::read(&path).unwrap().unwrap();
        (directory, path, file)
    }

    #[test]
    fn a_file_that_somebody_changed_since_it_was_read_keeps_what_they_wrote() {
        type Meddle = fn(&Path);
        let meddle: [(&str, Meddle); 5] = [
            ("written", |path| fs::write(path, "new").unwrap()),
            ("of the same length", |path| fs::write(path, "odd").unwrap()),
            ("longer", |path| fs::write(path, "old and more").unwrap()),
            ("replaced by the same text", |path| {
                fs::write(path.with_extension("new"), "old").unwrap();
                fs::rename(path.with_extension("new"), path).unwrap();
            }),
            ("made a link to another one", |path| {
                fs::rename(path, path.with_extension("old")).unwrap();
                fs::write(path.with_extension("other"), "old").unwrap();
                symlink(path.with_extension("other"), path).unwrap();
            }),
        ];
        for (name, meddle) in meddle {
            let (directory, path, file) = read_file();
            meddle(&path);
            let before = fs::read_to_string(&path).unwrap();
            let entries = || fs::read_dir(directory.path()).unwrap().count();
            let count = entries();
            let error = file.replace("ours").unwrap_err();
            assert!(matches!(error, FileError::Changed { .. }), "{name}: {error}");
            assert!(error.to_string().contains("close the client"), "{error}");
            assert_eq!((fs::read_to_string(&path).unwrap(), entries()), (before, count), "{name}");
        }
    }

    #[test]
    fn a_file_that_went_away_meanwhile_is_not_made_again() {
        let (_directory, path, file) = read_file();
        fs::remove_file(&path).unwrap();
        assert!(matches!(file.replace("ours").unwrap_err(), FileError::Read { .. }));
        assert!(!path.exists());
        assert!(ConfigFile::read(&path).unwrap().is_none());
    }

    #[test]
    fn a_file_is_replaced_by_one_with_its_mode() {
        for mode in [0o600, 0o640, 0o664, 0o700] {
            let (directory, path, _) = read_file();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            ConfigFile::read(&path).unwrap().unwrap().replace("ours").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "ours");
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, mode);
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn what_is_no_file_is_not_opened_and_what_is_no_text_is_told_by_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        for path in [pipe.as_path(), directory.path()] {
            assert!(matches!(ConfigFile::read(path).unwrap_err(), FileError::NoFile { .. }));
        }
        let path = directory.path().join("bytes");
        fs::write(&path, b"secret \xff").unwrap();
        let error = ConfigFile::read(&path).unwrap_err().to_string();
        assert!(error.contains("offset 7") && !error.contains("secret"), "{error}");
        let file = File::create(&path).unwrap();
        file.set_len(BYTES_MAX + 1).unwrap();
        assert!(matches!(ConfigFile::read(&path).unwrap_err(), FileError::TooLarge { .. }));
    }
}
