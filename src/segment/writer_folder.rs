//! The folders in `wal/`, one for each life of a process that records, and what else lies there.
//!
//! Runs anywhere, in any process. It reads the directory, and nothing in the folders.

use super::directory::parse_file_name;
use crate::ground::error::{AtPath, PathError};
use crate::ground::position::WriterId;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What the name of a folder begins with that is being born.
const UNBORN_PREFIX: &str = ".new-";
/// What a store of an earlier build has in `wal/` itself, beside its segments.
const OLD_WRITER_ID_NAME: &str = "writer-id";

/// The folder of one writer's log, by name; nothing in it has been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterFolder {
    /// Whose log it is.
    pub writer: WriterId,
    /// Where it is.
    pub path: PathBuf,
}

/// What lies in a directory of logs, each sort by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundFolders {
    /// The logs.
    pub folders: Vec<WriterFolder>,
    /// Folders that are being born, or were when their writers ended.
    pub unborn: Vec<WriterFolder>,
    /// The files of a store of an earlier build: segments, and the file that said whose they are.
    pub old_layout: Vec<PathBuf>,
    /// Whatever else is there; nobody touches it.
    pub others: Vec<PathBuf>,
}

impl WriterFolder {
    /// That writer's folder in `parent`: `wal/`, `kept/` or `quarantine/`.
    pub fn within(parent: &Path, writer: WriterId) -> Self {
        Self { writer, path: parent.join(writer.to_string()) }
    }

    /// Where that writer's folder is before it has its name.
    pub(super) fn unborn_path(parent: &Path, writer: WriterId) -> PathBuf {
        parent.join(format!("{UNBORN_PREFIX}{writer}"))
    }

    /// The folder at that path, if its name is a writer's.
    pub fn at(path: &Path) -> Option<Self> {
        let writer = WriterId::from_text(path.file_name()?.to_str()?)?;
        Some(Self { writer, path: path.to_owned() })
    }
}

impl FoundFolders {
    fn add(&mut self, path: PathBuf, is_dir: bool) {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let unborn = name.strip_prefix(UNBORN_PREFIX).and_then(WriterId::from_text);
        match (WriterId::from_text(name), unborn) {
            (Some(writer), _) if is_dir => self.folders.push(WriterFolder { writer, path }),
            (_, Some(writer)) if is_dir => self.unborn.push(WriterFolder { writer, path }),
            _ if name == OLD_WRITER_ID_NAME || parse_file_name(name).is_some() => self.old_layout.push(path),
            _ => self.others.push(path),
        }
    }
}

/// The folders of logs in `wal/`, or in `kept/` or `quarantine/`, and what else is there. A link is none of them. Where
/// there is no such directory, nobody has recorded yet.
///
/// # Errors
/// The directory can't be read.
pub fn writer_folders(dir: &Path) -> Result<FoundFolders, PathError> {
    let mut found = FoundFolders::default();
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
        entries => entries.at("read directory", dir)?,
    };
    for entry in entries {
        let entry = entry.at("read directory", dir)?;
        match entry.file_type() {
            Ok(file_type) => found.add(entry.path(), file_type.is_dir()),
            // Removed meanwhile, by whoever folded it.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).at("inspect", &entry.path()),
        }
    }
    found.folders.sort_by(|one, other| one.path.cmp(&other.path));
    found.unborn.sort_by(|one, other| one.path.cmp(&other.path));
    found.old_layout.sort();
    found.others.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_is_what_its_name_and_its_kind_say() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(writer_folders(&dir.path().join("absent")).unwrap(), FoundFolders::default());
        let at = |name: &str| dir.path().join(name);
        let [first, second, third] = [1, 2, 3].map(|byte| WriterId([byte; 16]));
        let unborn = WriterFolder { writer: third, path: WriterFolder::unborn_path(dir.path(), third) };
        for name in [first.to_string(), second.to_string(), "000000000009.seg.d".into(), ".new-other".into()] {
            std::fs::create_dir(at(&name)).unwrap();
        }
        std::fs::create_dir(&unborn.path).unwrap();
        let [file, link] = [4, 5].map(|byte| WriterId([byte; 16]).to_string());
        for name in ["000000000001.seg", "writer-id", "notes.txt", &*file] {
            std::fs::write(at(name), "").unwrap();
        }
        std::os::unix::fs::symlink(at(&first.to_string()), at(&link)).unwrap();
        let found = writer_folders(dir.path()).unwrap();
        assert_eq!(found.folders, [first, second].map(|writer| WriterFolder::within(dir.path(), writer)));
        assert_eq!(found.unborn, [unborn]);
        assert_eq!(found.old_layout, ["000000000001.seg", "writer-id"].map(at));
        assert_eq!(found.others, [".new-other", "000000000009.seg.d", &file, &link, "notes.txt"].map(at));
        assert_eq!(WriterFolder::at(&at(&first.to_string())), Some(WriterFolder::within(dir.path(), first)));
        assert_eq!(WriterFolder::at(&at("notes.txt")), None);
    }
}
