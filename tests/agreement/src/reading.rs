//! What a reader says of logs, in the words of the format's page: the common form of all readers' answers. Plain data.

use crate::model_log::{LogModel, Verdict};
use crate::ranges::Ranges;
use std::collections::BTreeMap;

/// What a reader says of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileReading {
    /// The page's word for it, in its log.
    pub verdict: String,
    /// The numbers of the records that it holds; `None` where the reader does not tell, or does not read it.
    pub records: Option<Ranges>,
    /// How many records it holds; `None` as above.
    pub count: Option<u64>,
}

/// What a reader says of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogReading {
    /// The page's word for it; `None` where the reader has none for a log by itself.
    pub verdict: Option<String>,
    /// Its files, by name.
    pub files: BTreeMap<String, FileReading>,
    /// Each number that is to be folded; `None` where the reader does not tell.
    pub taken: Option<Ranges>,
    /// How many records are lost.
    pub lost: Option<u64>,
    /// It waits for somebody else.
    pub waits: Option<bool>,
}

/// What a reader says of a store's logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreReading {
    /// The page's word for all of them.
    pub verdict: String,
    /// Each log, by its folder's name.
    pub logs: BTreeMap<String, LogReading>,
    /// How many records are lost.
    pub lost: u64,
}

impl LogReading {
    /// What the model says.
    pub fn of(model: &LogModel) -> Self {
        let files = model.files.iter().map(|(name, file)| {
            let records = file.is_read().then(|| file.records.clone());
            let count = records.as_ref().map(Ranges::count);
            (name.clone(), FileReading { verdict: file.verdict.word().to_owned(), records, count })
        });
        Self {
            verdict: Some(model.verdict.word().to_owned()),
            files: files.collect(),
            taken: Some(model.taken.keys().copied().collect()),
            lost: Some(model.lost.count()),
            waits: Some(model.waits),
        }
    }
}

/// The worse of two of the page's words.
pub fn worse(one: &str, other: &str) -> String {
    let words = [Verdict::Sound, Verdict::Attention, Verdict::Unreadable, Verdict::Damaged].map(Verdict::word);
    let rank = |word: &str| words.iter().position(|other| *other == word);
    if rank(one) >= rank(other) { one.to_owned() } else { other.to_owned() }
}
