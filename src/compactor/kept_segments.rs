//! `kept/`: the folded segments of all logs that are kept for rebuilding.
//!
//! Runs on the compactor. Taking over the fold lock looks at none of them; they are looked at once something is to be kept or
//! let go, each once, some at a time.

use super::folded_segment::{FoldedSegment, SegmentFaults};
use super::retirement_plan::PlannedSegment;
use crate::ground::error::{AtPath, OpenError, PathError};
use crate::ground::position::{SegmentId, WriterId};
use crate::ground::private_dir::create_private_dir;
use crate::segment::directory::{SegmentFile, file_name, sync_directory};
use crate::segment::writer_folder::{WriterFolder, writer_folders};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// How many segments one look opens at most.
const LOOK_SEGMENTS: usize = if cfg!(test) { 2 } else { 256 };

/// What lies in `kept/`.
#[derive(Debug)]
pub(super) struct KeptSegments {
    dir: PathBuf,
    /// Those that were looked at.
    known: BTreeMap<([u8; 16], SegmentId), FoldedSegment>,
    /// Folders that were not, yet; `None` before they were listed.
    unlisted: Option<Vec<WriterFolder>>,
}

impl KeptSegments {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir, known: BTreeMap::new(), unlisted: None }
    }

    /// Looks at some more; `true`: all are known.
    ///
    /// # Errors
    /// A directory can't be read.
    pub(super) fn look(&mut self) -> Result<bool, PathError> {
        let unlisted = match &mut self.unlisted {
            Some(unlisted) => unlisted,
            none => none.insert(writer_folders(&self.dir)?.folders),
        };
        let mut looked = 0;
        while looked < LOOK_SEGMENTS
            && let Some(folder) = unlisted.last()
        {
            for segment in FoldedSegment::kept_of(folder)? {
                looked += 1;
                self.known.insert((folder.writer.0, segment.id), segment);
            }
            unlisted.pop();
        }
        Ok(unlisted.is_empty())
    }

    /// Those that are known.
    pub(super) fn segments(&self) -> impl Iterator<Item = &FoldedSegment> {
        self.known.values()
    }

    /// Moves segments of a log here, by name. Returns those whose names other files have already, which stay.
    ///
    /// # Errors
    /// One can't be moved; it is where it was.
    pub(super) fn take<'p>(&mut self, moved: &[&'p PlannedSegment]) -> Result<Vec<&'p PlannedSegment>, OpenError> {
        if moved.is_empty() {
            return Ok(Vec::new());
        }
        create_private_dir(&self.dir)?;
        let (mut folders, mut left) = (BTreeSet::new(), Vec::new());
        for planned in moved {
            let folder = WriterFolder::within(&self.dir, planned.writer).path;
            if folders.insert(folder.clone()) {
                create_private_dir(&folder)?;
            }
            let to = folder.join(file_name(planned.segment));
            if is_another(&planned.path, &to)? {
                left.push(*planned);
                continue;
            }
            std::fs::rename(&planned.path, &to).at("move", &planned.path)?;
            let file = SegmentFile { id: planned.segment, path: to };
            if let Some(segment) = FoldedSegment::read(planned.writer, file, true, &SegmentFaults::default()) {
                self.known.insert((planned.writer.0, planned.segment), segment);
            }
        }
        // The new names before the old ones are gone for good.
        folders.iter().try_for_each(|folder| sync_directory(folder))?;
        sync_directory(&self.dir)?;
        Ok(left)
    }

    /// One of them was deleted. Its folder goes with the last one.
    pub(super) fn forget(&mut self, writer: WriterId, segment: SegmentId) {
        self.known.remove(&(writer.0, segment));
        if !self.known.keys().any(|(other, _)| *other == writer.0) {
            remove_if_empty(&WriterFolder::within(&self.dir, writer).path);
        }
    }
}

/// Whether there is a file at `to` that is not the same as the one at `path`. A copy of a log that was put back has the same.
fn is_another(path: &Path, to: &Path) -> Result<bool, PathError> {
    match std::fs::read(to) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        // What can't be read is not replaced.
        Err(_) => Ok(true),
        Ok(there) => Ok(std::fs::read(path).at("read", path)? != there),
    }
}

/// A folder that still has something, or can't be removed, stays.
fn remove_if_empty(path: &Path) {
    if let Err(error) = std::fs::remove_dir(path) {
        tracing::debug!(path = %path.display(), %error, "a folder of kept segments stays");
    }
}
