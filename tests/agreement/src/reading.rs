//! What a reader says of a log, in the words of the format's page: the common form of all readers' answers. Plain data.

use crate::ranges::Ranges;
use std::collections::BTreeMap;

/// What a reader says of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileReading {
    /// The page's word for it, alone and in its log.
    pub verdict: String,
    /// The numbers of the records that it holds; `None` where the reader does not tell.
    pub records: Option<Ranges>,
    /// How many records it holds; `None` where the reader does not tell.
    pub count: Option<u64>,
}

/// What a reader says of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogReading {
    /// The page's word for it.
    pub verdict: String,
    /// Its files, by name.
    pub files: BTreeMap<String, FileReading>,
    /// Each number that counts, once, folded or not; `None` where the reader does not tell.
    pub taken: Option<Ranges>,
    /// Files that go aside because they lie behind a hole.
    pub behind_hole: Option<Vec<String>>,
    /// How many records are lost.
    pub lost: Option<u64>,
    /// The whole log is refused: a newer version, or nobody knows whose it is.
    pub is_refused: Option<bool>,
}
