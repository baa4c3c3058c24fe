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
        self.header.map(|header| header.writer_id).or_else(|| self.in_folder())
    }

    /// Whose log it is by the folder's name, or by its own, of a folder.
    pub(crate) fn in_folder(&self) -> Option<WriterId> {
        let names = Path::new(&self.file).ancestors().take(2).filter_map(|path| path.file_name()?.to_str());
        names.filter_map(WriterId::from_text).next()
    }

    /// The directory that it lies in; of a segment in the folder of its writer, the one of that.
    pub(crate) fn directory(&self) -> String {
        let mut ancestors = Path::new(&self.file).ancestors().skip(1 + usize::from(self.in_folder().is_some()));
        ancestors.next().map_or_else(String::new, |path| path.to_string_lossy().into_owned())
    }

    /// The name without its directory.
    pub(crate) fn file_name(&self) -> String {
        let path = PathBuf::from(&self.file);
        path.file_name().map_or_else(|| self.file.clone(), |name| name.to_string_lossy().into_owned())
    }
}
