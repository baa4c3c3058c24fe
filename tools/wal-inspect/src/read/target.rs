//! From what the user named to logs and files. Looks at directories and at first headers; reads no frame.

use crate::failure::Failure;
use crate::read::writer_prefix::WriterPrefix;
use mcplog::error::PathError;
use mcplog::segment::directory::list_whole;
use mcplog::segment::{SegmentReader, WriterFolder, folder_birth, writer_folders};
use std::io;
use std::path::{Path, PathBuf};

/// What a path is.
#[derive(Debug)]
pub(crate) enum Target {
    /// A directory with logs, or the folder of one.
    Logs(Logs),
    /// A file.
    File(PathBuf),
}

/// Logs that lie together.
#[derive(Debug)]
pub(crate) struct Logs {
    /// By their beginnings, then by writer.
    pub(crate) folders: Vec<WriterFolder>,
    /// The directory in which further ones may come; `None` where one folder was named.
    pub(crate) parent: Option<PathBuf>,
}

impl Logs {
    /// Whether those that were here are folded: the database is beside the directory.
    fn are_folded(&self) -> bool {
        let database = self.parent.as_ref().map(|wal| wal.with_file_name("store.db"));
        database.is_some_and(|database| std::fs::symlink_metadata(database).is_ok_and(|found| found.is_file()))
    }
}

impl Target {
    /// Whether it is more than one log.
    pub(crate) fn has_several(&self) -> bool {
        matches!(self, Self::Logs(logs) if logs.folders.len() > 1)
    }

    /// How large its files are together.
    pub(crate) fn bytes(&self) -> u64 {
        let size = |path: &Path| std::fs::symlink_metadata(path).map_or(0, |metadata| metadata.len());
        match self {
            Self::File(path) => size(path),
            Self::Logs(logs) => {
                let files = logs.folders.iter().flat_map(|folder| list_whole(&folder.path).unwrap_or_default());
                files.map(|file| size(&file.path)).sum()
            }
        }
    }
}

/// What `paths` are; without any, the store where mcplog looks for one. Of the logs in a directory, those of the writers
/// whose ids begin so.
///
/// # Errors
/// A path does not exist, or is a directory without segments.
pub(crate) fn find(paths: &[PathBuf], writer: Option<&WriterPrefix>) -> Result<Vec<Target>, Failure> {
    let default = if paths.is_empty() { vec![named(None)?] } else { Vec::new() };
    let paths = paths.iter().chain(&default);
    paths
        .map(|path| {
            let target = at(path, writer)?;
            match &target {
                Target::Logs(logs) if logs.folders.is_empty() => Err(match writer {
                    Some(prefix) => Failure::NoWriter { dir: path.clone(), prefix: prefix.clone() },
                    // No log waits where all that was recorded is folded.
                    None if logs.are_folded() => return Ok(target),
                    None => Failure::NoSegments(path.clone()),
                }),
                _ => Ok(target),
            }
        })
        .collect()
}

/// What a path names: itself, or the store where mcplog looks for one.
///
/// # Errors
/// Nothing says where that is.
pub(crate) fn named(path: Option<&Path>) -> Result<PathBuf, Failure> {
    Ok(match path {
        Some(path) => path.to_owned(),
        None => mcplog::default_dir()?.path,
    })
}

/// What is at that path. A directory may have no logs yet.
///
/// # Errors
/// There is nothing, or it is a directory of something else.
pub(crate) fn at(path: &Path, writer: Option<&WriterPrefix>) -> Result<Target, Failure> {
    if !std::fs::metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        return match std::fs::symlink_metadata(path) {
            Ok(_) => Ok(Target::File(path.to_owned())),
            Err(source) => Err(PathError { operation: "open", path: path.to_owned(), source }.into()),
        };
    }
    let wal = path.join("wal");
    match std::fs::metadata(&wal) {
        Ok(metadata) if metadata.is_dir() => return in_directory(&wal, writer),
        // What nobody may look at is not absent.
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            return Err(PathError { operation: "look at", path: wal, source }.into());
        }
        _ => {}
    }
    if is_store(path) {
        return in_directory(&wal, writer);
    }
    if let Some(folder) = folder(path)? {
        return Ok(Target::Logs(Logs { folders: vec![folder], parent: None }));
    }
    in_directory(path, writer)
}

/// Whether a directory is a store's in which nobody has recorded yet.
fn is_store(dir: &Path) -> bool {
    ["store-id", "LOCK"].iter().any(|name| std::fs::symlink_metadata(dir.join(name)).is_ok_and(|found| found.is_file()))
}

/// The logs in a directory of them.
///
/// # Errors
/// It is none, or one of an earlier build.
fn in_directory(dir: &Path, writer: Option<&WriterPrefix>) -> Result<Target, Failure> {
    let found = writer_folders(dir)?;
    if !found.old_layout.is_empty() {
        return Err(Failure::EarlierBuild(dir.to_owned()));
    }
    let is_named_so = dir.file_name().is_some_and(|name| name == "wal")
        || dir.canonicalize().is_ok_and(|dir| dir.file_name().is_some_and(|name| name == "wal"));
    if found.folders.is_empty() && found.unborn.is_empty() && !is_named_so {
        return Err(Failure::NoStore(dir.to_owned()));
    }
    let mut folders = folder_birth::logs(found);
    folders.retain(|folder| writer.is_none_or(|prefix| prefix.matches(folder.writer)));
    folders.sort_by_cached_key(|folder| (began_at(folder), folder.path.clone()));
    Ok(Target::Logs(Logs { folders, parent: Some(dir.to_owned()) }))
}

/// The log that the directory is the folder of, by its name, or, where somebody copied it under another one, by what its
/// segments say.
fn folder(dir: &Path) -> Result<Option<WriterFolder>, Failure> {
    let named = dir.canonicalize().ok().and_then(|dir| WriterFolder::at(&dir));
    let writer = match named {
        Some(named) => named.writer,
        None if dir.canonicalize().is_ok_and(|dir| dir.file_name().is_some_and(|name| name == "wal")) => {
            return Ok(None);
        }
        None => {
            let files = list_whole(dir)?;
            let opened = files.iter().filter_map(|file| SegmentReader::open(&file.path).ok());
            let Some(writer) = opened.map(|reader| reader.header().writer_id).next() else { return Ok(None) };
            writer
        }
    };
    Ok(Some(WriterFolder { writer, path: dir.to_owned() }))
}

/// When the first segment that can be read was started.
fn began_at(folder: &WriterFolder) -> Option<i64> {
    let files = list_whole(&folder.path).ok()?;
    files.iter().find_map(|file| Some(SegmentReader::open(&file.path).ok()?.header().created_at))
}
