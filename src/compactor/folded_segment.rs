//! A segment of which everything is folded, as far as what becomes of it is concerned.
//!
//! On the compactor, and on whichever thread makes a plan. Reads the file's first page, and changes nothing.

use crate::ground::error::{HeaderFault, PathError, SegmentError};
use crate::ground::file_time::written_at_ms;
use crate::ground::position::{SegmentId, StoreId, WriterId};
use crate::index::checkpoint::Checkpoint;
use crate::segment::directory::{SegmentFile, list};
use crate::segment::number_set::NumberSet;
use crate::segment::reader::SegmentReader;
use crate::segment::writer_folder::{WriterFolder, writer_folders};
use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoldedSegment {
    pub(crate) writer: WriterId,
    pub(crate) id: SegmentId,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// When it was begun: Unix time in milliseconds, UTC. Of one without a sound header, when it was last written.
    pub(crate) created_at: i64,
    /// It lies in `kept/` already.
    pub(crate) is_kept: bool,
    pub(crate) is_damaged: bool,
    /// It never was a segment, and holds nothing.
    pub(crate) is_unstarted: bool,
    /// It has records that were missing when its log was folded past them, and that count as lost.
    pub(crate) is_passed_over: bool,
}

/// What the database says of segments that are folded, and of which store it is.
#[derive(Debug, Default)]
pub(crate) struct SegmentFaults {
    /// Files of other stores are nobody's here; `None`: those of any are this one's.
    pub(crate) store: Option<StoreId>,
    /// Those in which damage was found.
    pub(crate) damaged: HashSet<(WriterId, SegmentId)>,
    /// The numbers of records that count as lost, by whose they are.
    pub(crate) missing: HashMap<WriterId, NumberSet>,
}

/// Whether everything in a segment is folded where its log is folded up to `checkpoint`: it lies before the segment that this
/// names, or is that one, sealed there. Its writer may not begin another one for long.
pub(crate) fn is_folded(file: &SegmentFile, checkpoint: Checkpoint) -> bool {
    let is_sealed_there = || {
        let sealed = SegmentReader::open(&file.path).ok().and_then(|reader| reader.mark().sealed);
        sealed.is_some_and(|sealed| sealed.end <= checkpoint.offset)
    };
    file.id < checkpoint.segment || (file.id == checkpoint.segment && is_sealed_there())
}

impl FoldedSegment {
    /// All that lie in `kept/`.
    ///
    /// # Errors
    /// A directory can't be read.
    pub(crate) fn kept(kept_dir: &Path) -> Result<Vec<Self>, PathError> {
        let mut kept = Vec::new();
        for folder in writer_folders(kept_dir)?.folders {
            kept.extend(Self::kept_of(&folder)?);
        }
        Ok(kept)
    }

    /// Those of one log.
    ///
    /// # Errors
    /// The directory can't be read.
    pub(crate) fn kept_of(folder: &WriterFolder) -> Result<Vec<Self>, PathError> {
        let no_faults = SegmentFaults::default();
        let files = match list(&folder.path) {
            // Whoever folds let the last one go meanwhile.
            Err(error) if error.source.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed?,
        };
        Ok(files.into_iter().filter_map(|file| Self::read(folder.writer, file, true, &no_faults)).collect())
    }

    /// Looks at a segment in the log or in `kept/`. `None`: it is not there any more, or is another store's.
    pub(crate) fn read(writer: WriterId, file: SegmentFile, is_kept: bool, faults: &SegmentFaults) -> Option<Self> {
        let bytes = std::fs::symlink_metadata(&file.path).ok()?.len();
        let header = SegmentReader::open(&file.path).map(|reader| (*reader.header(), reader.mark()));
        if let (Ok((header, _)), Some(store)) = (&header, faults.store)
            && header.store_id != store
        {
            return None;
        }
        let is_unstarted = matches!(&header, Err(SegmentError::Header { fault: HeaderFault::NeverStarted, .. }));
        // Damaged since it was folded, perhaps: its frames may be whole.
        let has_damaged_header = !is_kept && !is_unstarted && matches!(&header, Err(SegmentError::Header { .. }));
        let created_at = match &header {
            Ok((header, _)) => header.created_at,
            Err(_) => written_at_ms(&file.path).unwrap_or(i64::MAX),
        };
        let missing = faults.missing.get(&writer);
        let is_passed_over = header.is_ok_and(|(header, mark)| {
            let (first, end) = (header.base_sequence.0, mark.sealed.unwrap_or(mark.durable));
            let last = end.last_sequence(header.base_sequence).0;
            missing.is_some_and(|missing| last >= first && missing.count_within(first, last) > 0)
        });
        let is_damaged = has_damaged_header || faults.damaged.contains(&(writer, file.id));
        let (id, path) = (file.id, file.path);
        Some(Self { writer, id, path, bytes, created_at, is_kept, is_damaged, is_unstarted, is_passed_over })
    }
}
