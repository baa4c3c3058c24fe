//! Which segment something was found in: shared by all that is said of it.

use mcplog::position::{SegmentId, WriterId};
use mcplog::segment::format::SegmentHeader;
use std::path::{Path, PathBuf};

/// A segment, as output names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// By its header, else by its name.
    pub(crate) segment: Option<SegmentId>,
    /// As the path was given, with what is no Unicode replaced.
    pub(crate) file: String,
    /// Absent where it can't be read.
    pub(crate) header: Option<SegmentHeader>,
}

impl Place {
    pub(crate) fn new(path: &Path, name_id: Option<SegmentId>, header: Option<SegmentHeader>) -> Self {
        Self {
            segment: header.map(|header| header.segment_id).or(name_id),
            file: path.to_string_lossy().into_owned(),
            header,
        }
    }

    /// What lies at that path, and is no segment: the log as a whole.
    pub(crate) fn of_log(path: &Path) -> Self {
        Self::new(path, None, None)
    }

    /// Whose log it is: by the header, else by the folder's name.
    pub(crate) fn writer(&self) -> Option<WriterId> {
        let folder = || {
            Path::new(&self.file).ancestors().take(2).find_map(|path| WriterId::from_text(path.file_name()?.to_str()?))
        };
        self.header.map(|header| header.writer_id).or_else(folder)
    }

    /// The name without its directory.
    pub(crate) fn file_name(&self) -> String {
        let path = PathBuf::from(&self.file);
        path.file_name().map_or_else(|| self.file.clone(), |name| name.to_string_lossy().into_owned())
    }
}
