//! What there is to say of a store, how bad each kind is, and what to do about it. Plain data.
//!
//! The table of all kinds is `FindingKind::judged`; nothing else in this repository decides how bad something is: who
//! examines a segment, `mcplog check` and `wal-inspect` ask here.

use super::error::{HeaderFault, SegmentError};
use super::position::Sequence;
pub use super::severity::Severity;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Something about a store that is worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// How bad it is.
    #[serde(rename = "verdict")]
    pub severity: Severity,
    /// The file or directory.
    #[serde(rename = "file")]
    pub path: PathBuf,
    /// Where in the file, in bytes.
    pub offset: Option<u64>,
    /// How many bytes it is about.
    pub bytes: Option<u64>,
    /// The number of the first record that it is about.
    pub sequence: Option<u64>,
    /// How many records it is about: damaged, missing or left out.
    pub records: Option<u64>,
    /// What was found. Never what an event said.
    #[serde(rename = "reason")]
    pub text: String,
    /// What to do next.
    pub next_step: String,
}

impl Finding {
    /// Something of that kind, of that file.
    pub fn new(kind: FindingKind, path: &Path, text: impl Into<String>) -> Self {
        let (severity, next_step) = kind.judged();
        let (path, text, next_step) = (path.to_owned(), text.into(), next_step.to_owned());
        Self { kind, severity, path, offset: None, bytes: None, sequence: None, records: None, text, next_step }
    }

    /// Why a file is no segment that can be read.
    pub fn of_segment_error(error: &SegmentError) -> Self {
        match error {
            SegmentError::Header { path, expected, found, fault } => match FindingKind::of_header_fault(*fault) {
                kind @ FindingKind::UnstartedSegment => Self::new(kind, path, format!("no segment yet: {found}")),
                kind => Self::new(kind, path, format!("no segment: expected {expected}, found {found}")).at(0),
            },
            SegmentError::UnsupportedVersion { path, supported, found } => {
                let text = format!("format version {found} is not supported: this build reads up to {supported}");
                Self::new(FindingKind::NewerSegment, path, text)
            }
            SegmentError::NeedsNewer { path, supported, found } => {
                let text = format!("records of level {found} are not supported: this build knows up to {supported}");
                Self::new(FindingKind::NewerSegment, path, text)
            }
            SegmentError::Gone { path } => Self::new(FindingKind::UnreadableSegment, path, "it is gone"),
            SegmentError::Io(error) => {
                Self::new(FindingKind::UnreadableSegment, &error.path, format!("{}: {}", error.operation, error.source))
            }
        }
    }

    /// The same, at that byte of the file.
    #[must_use]
    pub fn at(self, offset: u32) -> Self {
        Self { offset: Some(offset.into()), ..self }
    }

    /// The same, about so many bytes.
    #[must_use]
    pub fn of_bytes(self, bytes: u64) -> Self {
        Self { bytes: Some(bytes), ..self }
    }

    /// The same, about so many records, of which the first has that number.
    #[must_use]
    pub fn of_records(self, first: Sequence, records: u64) -> Self {
        Self { sequence: Some(first.0), records: Some(records), ..self }
    }

    /// The same with a next step of its own, where the kind's is not all that there is to say.
    #[must_use]
    pub fn next(self, step: impl Into<String>) -> Self {
        Self { next_step: step.into(), ..self }
    }
}

/// That so many records are lost, at the end of a sentence.
pub(crate) fn are_lost(records: u64) -> String {
    if records == 1 { "1 record is lost".to_owned() } else { format!("{records} records are lost") }
}

/// What there is to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FindingKind {
    /// A file or directory that others than its owner may look into, or write to.
    OpenToOthers,
    /// A symbolic link in the place of a file or directory of the store.
    SymbolicLink,
    /// A directory of the store that can't be read.
    UnreadableDirectory,

    /// A database without a log.
    LogMissing,
    /// A damaged place in a segment.
    DamagedPlace,
    /// A frame that is intact, and holds no record.
    UndecodableRecord,
    /// A file with a segment's name and zeros in the place of a header: what a power cut may leave of a segment that
    /// was never synced.
    ZeroedFirstPage,
    /// A file with a segment's name and no first page, which no power cut took.
    LostFirstPage,
    /// A file with a segment's name and no header of one.
    DamagedHeader,
    /// A segment under the name of another one.
    MisnamedSegment,
    /// A segment of another store.
    ForeignSegment,
    /// A segment whose mark says something else than its frames.
    WrongMark,
    /// One of the two marks of a segment is none: what a write that was torn leaves.
    DamagedMark,
    /// Both marks of a segment are none.
    DamagedMarks,
    /// A segment that a newer mcplog wrote.
    NewerSegment,
    /// A segment that can't be read.
    UnreadableSegment,
    /// Bytes behind the last frame of a segment that nothing vouches for.
    TornTail,
    /// Bytes behind the end that a segment was sealed at.
    BytesBehindSeal,
    /// A segment that holds nothing yet.
    UnstartedSegment,
    /// A file that is not looked into, because its log waits at one before it.
    WaitingSegment,
    /// A segment of which nothing is read: others have its records, written again after a sync failed.
    SupersededSegment,
    /// Numbers in no segment, of records that were not folded.
    MissingRecords,
    /// The same, where nothing behind them is durable: a power cut may have taken them.
    UndurableRecordsMissing,
    /// Numbers in no segment, of records that may have been folded.
    PerhapsMissingRecords,
    /// Numbers in no segment, of records that the database has.
    FoldedRecordsMissing,
    /// Records that are not folded yet.
    UnfoldedRecords,
    /// Logs of two stores, and nothing that says which of them this is.
    UnknownStore,
    /// Something in the place of the file that says which store this is, and says nothing.
    DamagedStoreId,
    /// A file of a store of an earlier build, where each writer's folder is now.
    EarlierLayout,
    /// Something beside the logs that is none.
    StrangeFile,

    /// A log without a database.
    DatabaseMissing,
    /// A database without tables, beside a log without records: what is left of an opening that a crash ended.
    DatabaseUnfinished,
    /// A database whose pages are damaged.
    DatabaseDamaged,
    /// SQLite's WAL is long: somebody keeps it, or a process that was killed left it.
    LongWal,
    /// Sums in the database that are not what the rows add up to.
    WrongSums,
    /// A database of a version that this mcplog does not read.
    UnsupportedDatabase,
    /// A database of a newer version, which this mcplog reads and does not write.
    NewerDatabase,
    /// A database that can't be read.
    UnreadableDatabase,
    /// A database that has folded another log.
    ForeignDatabase,
    /// Another program's database.
    OtherProgramsDatabase,
    /// The database does not know any more what the store was told to keep.
    LimitsForgotten,
    /// The clock is not believed, and so nothing expires by it.
    ExpiryHeldBack,
    /// Records that wait for a newer mcplog.
    NewerRecords,
    /// The database as it was before it was brought up to date.
    OlderCopy,

    /// A segment in quarantine with records that are not folded.
    UnfoldedInQuarantine,
    /// A file in quarantine that was a segment's, and nothing tells what it holds.
    UnreadableInQuarantine,
    /// A segment of another store in quarantine.
    ForeignInQuarantine,
    /// A database in quarantine.
    DatabaseAside,
}

impl FindingKind {
    /// What a file is in which a segment's header is at fault.
    pub const fn of_header_fault(fault: HeaderFault) -> Self {
        match fault {
            HeaderFault::NeverStarted => Self::UnstartedSegment,
            HeaderFault::FirstPageLost { begins_with_zeros: true } => Self::ZeroedFirstPage,
            HeaderFault::FirstPageLost { begins_with_zeros: false } => Self::LostFirstPage,
            HeaderFault::Damaged => Self::DamagedHeader,
        }
    }

    /// How bad it is.
    pub const fn severity(self) -> Severity {
        self.judged().0
    }

    /// How bad it is, and what to do next: the table.
    #[rustfmt::skip]
    const fn judged(self) -> (Severity, &'static str) {
        use Severity::{Attention, Damaged, Sound, Unreadable};
        match self {
            Self::OpenToOthers => (Attention, "close it with `chmod`"),
            Self::SymbolicLink => (Attention,
                "put what it points to in its place: a store with it there is not opened, or does without the file"),
            Self::UnreadableDirectory => (Unreadable, "check as the user whose store it is"),

            Self::LogMissing => (Attention,
                "nothing, if wal/ was left out of a copy: the next opening begins a new log. If it was moved away, put it back"),
            Self::DamagedPlace => (Damaged, "copy the file before anything else, and check the disk"),
            Self::UndecodableRecord => (Damaged,
                "nothing more can be had of it: folding passes over it, and keeps its bytes in table quarantine"),
            Self::ZeroedFirstPage => (Attention, "copy the file if you may need what it holds; nobody was promised that"),
            Self::LostFirstPage => (Damaged, "copy the file before anything else, and check the disk"),
            Self::DamagedHeader => (Damaged, "copy the file before anything else, and check the disk"),
            Self::MisnamedSegment => (Damaged, "rename it to what its header says, if nothing has that name"),
            Self::ForeignSegment => (Damaged, "move its folder into wal/ of its own store"),
            Self::WrongMark => (Damaged,
                "copy the file before anything else, and check the disk; the frames count, whatever the mark says"),
            Self::DamagedMark => (Attention, "nothing: the other mark counts, and so do the frames"),
            Self::DamagedMarks => (Damaged,
                "copy the file before anything else, and check the disk; what is intact is folded"),
            Self::NewerSegment => (Unreadable, "use the mcplog that wrote it, or a newer one"),
            Self::UnreadableSegment => (Unreadable, "check as the user whose store it is, and check the disk"),
            Self::TornTail => (Attention, "nothing: nobody was promised what is not durable"),
            Self::BytesBehindSeal => (Sound, "nothing: they mean nothing"),
            Self::UnstartedSegment => (Attention, "nothing: it holds nothing"),
            Self::WaitingSegment => (Unreadable, "see to the file at which the log waits: this one is read then"),
            Self::SupersededSegment => (Sound, "nothing: it goes once its records are folded"),
            Self::MissingRecords => (Damaged,
                "put the missing segment back into its writer's folder if you have it somewhere, before anybody opens the store: \
                 who folds counts the records as lost"),
            Self::UndurableRecordsMissing => (Attention, "nothing: nobody was promised what is not durable"),
            Self::PerhapsMissingRecords => (Attention,
                "put the store's database beside its log, or look there whether it has them"),
            Self::FoldedRecordsMissing => (Sound, "nothing: the database has them"),
            Self::UnfoldedRecords => (Attention, "nothing: the next one who opens the store folds them"),
            Self::UnknownStore => (Damaged, "move the logs of one of the two away"),
            Self::DamagedStoreId => (Attention,
                "nothing: the next opening writes it anew, as the database or most logs say; a directory has to be moved away"),
            Self::EarlierLayout => (Unreadable,
                "use the mcplog that wrote it; or move the store away, and record into a new one"),
            Self::StrangeFile => (Attention, "move it away if you know what it is: no mcplog reads or removes it"),

            Self::DatabaseMissing => (Damaged, "`mcplog rebuild` makes a database of the segments that are kept"),
            Self::DatabaseUnfinished => (Attention, "nothing: the next opening makes the tables"),
            Self::DatabaseDamaged => (Damaged,
                "copy store.db and its companions, and check the disk; then `mcplog rebuild` makes a new database of the \
                 segments that are kept"),
            Self::LongWal => (Attention,
                "nothing: the next one who opens the store copies it into store.db; `mcplog backup` copies all of it"),
            Self::WrongSums => (Damaged, "`mcplog rebuild` makes them anew from the rows"),
            Self::NewerDatabase => (Attention, "record with the mcplog that wrote it, or with a newer one: this one only reads it"),
            Self::UnsupportedDatabase => (Unreadable, "nothing is known to be wrong with it; use the mcplog that wrote it, or a newer one"),
            Self::UnreadableDatabase => (Unreadable, "check as the user whose store it is, and check the disk"),
            Self::ForeignDatabase => (Damaged,
                "put the one back that belongs here; or let `mcplog rebuild --from-log --accept-loss` put a copy of \
                 it into quarantine/ and make a new one from the log; or move wal/ away to go on with this store.db"),
            Self::OtherProgramsDatabase => (Damaged,
                "move it away, and `mcplog rebuild` makes a database of the segments that are kept; or move wal/ away"),
            Self::LimitsForgotten => (Attention, "tell it anew where you start what records"),
            Self::ExpiryHeldBack => (Attention, "set the clock right if it is wrong; otherwise wait"),
            Self::NewerRecords => (Sound, "open the store with that mcplog, which folds them"),
            Self::OlderCopy => (Sound,
                "delete it unless you may go back (it goes by itself once everything in it is older than keep_rows_age_ms)"),

            Self::UnfoldedInQuarantine => (Attention, "`mcplog rebuild --from-log` folds them; or delete the file"),
            Self::UnreadableInQuarantine => (Attention,
                "look whether a copy of it is somewhere, and put that into wal/ for `mcplog rebuild --from-log`; or delete the file"),
            Self::ForeignInQuarantine => (Attention, "move the file into wal/ of that store, or delete it"),
            Self::DatabaseAside => (Sound,
                "delete it once you miss nothing (it goes by itself once everything in it is older than keep_rows_age_ms)"),
        }
    }
}

#[cfg(test)]
impl FindingKind {
    /// Each kind. A test makes a store with each of them, so that none is left out here or never found.
    pub(crate) const EACH: [Self; 48] = [
        Self::OpenToOthers,
        Self::SymbolicLink,
        Self::UnreadableDirectory,
        Self::LogMissing,
        Self::DamagedPlace,
        Self::UndecodableRecord,
        Self::ZeroedFirstPage,
        Self::LostFirstPage,
        Self::DamagedHeader,
        Self::MisnamedSegment,
        Self::ForeignSegment,
        Self::WrongMark,
        Self::DamagedMark,
        Self::DamagedMarks,
        Self::NewerSegment,
        Self::UnreadableSegment,
        Self::TornTail,
        Self::BytesBehindSeal,
        Self::UnstartedSegment,
        Self::WaitingSegment,
        Self::SupersededSegment,
        Self::MissingRecords,
        Self::UndurableRecordsMissing,
        Self::PerhapsMissingRecords,
        Self::FoldedRecordsMissing,
        Self::UnfoldedRecords,
        Self::UnknownStore,
        Self::DamagedStoreId,
        Self::EarlierLayout,
        Self::StrangeFile,
        Self::DatabaseMissing,
        Self::DatabaseUnfinished,
        Self::DatabaseDamaged,
        Self::LongWal,
        Self::WrongSums,
        Self::UnsupportedDatabase,
        Self::NewerDatabase,
        Self::UnreadableDatabase,
        Self::ForeignDatabase,
        Self::OtherProgramsDatabase,
        Self::LimitsForgotten,
        Self::ExpiryHeldBack,
        Self::NewerRecords,
        Self::OlderCopy,
        Self::UnfoldedInQuarantine,
        Self::UnreadableInQuarantine,
        Self::ForeignInQuarantine,
        Self::DatabaseAside,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same judgement, said in another way: what a kind's name means to who looks after a store.
    fn expected(kind: FindingKind) -> Severity {
        use FindingKind as K;
        let is_news = matches!(
            kind,
            K::NewerRecords
                | K::OlderCopy
                | K::DatabaseAside
                | K::BytesBehindSeal
                | K::SupersededSegment
                | K::FoldedRecordsMissing
        );
        let could_not_be_read = matches!(
            kind,
            K::UnreadableDirectory
                | K::NewerSegment
                | K::WaitingSegment
                | K::EarlierLayout
                | K::UnreadableSegment
                | K::UnsupportedDatabase
                | K::UnreadableDatabase
        );
        let is_changed_or_misplaced = matches!(
            kind,
            K::DamagedPlace
                | K::UndecodableRecord
                | K::LostFirstPage
                | K::DamagedHeader
                | K::MisnamedSegment
                | K::ForeignSegment
                | K::WrongMark
                | K::DamagedMarks
                | K::MissingRecords
                | K::UnknownStore
                | K::DatabaseMissing
                | K::DatabaseDamaged
                | K::WrongSums
                | K::ForeignDatabase
                | K::OtherProgramsDatabase
        );
        match (is_news, could_not_be_read, is_changed_or_misplaced) {
            (true, false, false) => Severity::Sound,
            (false, true, false) => Severity::Unreadable,
            (false, false, true) => Severity::Damaged,
            (false, false, false) => Severity::Attention,
            contradiction => panic!("{kind:?}: {contradiction:?}"),
        }
    }

    #[test]
    fn every_kind_has_its_severity_and_says_what_to_do_next() {
        for (place, kind) in FindingKind::EACH.into_iter().enumerate() {
            let (severity, next_step) = kind.judged();
            assert_eq!(severity, expected(kind), "{kind:?}");
            assert!(next_step.len() > 10 && !next_step.ends_with(['.', ' ']), "{kind:?}: {next_step}");
            assert_eq!(kind as usize, place, "none is left out, none comes twice: {kind:?}");
            let found = Finding::new(kind, Path::new("store"), "text");
            assert_eq!((found.severity, found.next_step.as_str()), (severity, next_step));
        }
        assert_eq!(FindingKind::DatabaseAside as usize, FindingKind::EACH.len() - 1, "the last one");
    }
}
