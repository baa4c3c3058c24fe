//! What opening a store would make of its log, before anybody opens it: what becomes of each file.
//!
//! Runs on the caller's thread: while a store opens, which carries the plan out, and for who only looks. It only reads.

use super::found_file::FoundFile;
use super::reading_plan::ReadingPlan;
use super::survey::Survey;
use super::verdict::{Action, Header, NUMBER_MAX, Tail, decide};
use super::witness::{Folded, Witness};
use crate::ground::error::{OpenError, SegmentError};
use crate::ground::position::{SegmentId, Sequence, WriterId};
use std::io::ErrorKind;

/// So many segments a log may have had beyond those that say of themselves that they are its own. A store that begins one
/// every second takes 136 years for them; whatever has a higher id by its name alone was given that name by somebody else.
const UNKNOWN_SEGMENTS_MAX: u64 = 1 << 32;

/// The plan.
#[derive(Debug)]
pub(crate) struct RecoveryPlan {
    /// By ascending segment id.
    pub(super) files: Vec<FoundFile>,
    /// From which of them the log is read.
    pub(super) reading: ReadingPlan,
    /// How far the database has the log.
    pub(super) folded: Folded,
}

impl RecoveryPlan {
    /// The plan for the files of a survey. `writer_id` is whose log it is, and `folded` how far the database has it: up to
    /// number 0 for not at all.
    ///
    /// # Errors
    /// A file can't be read.
    pub(crate) fn of(
        survey: Survey,
        writer_id: Option<WriterId>,
        folded: impl Into<Folded>,
    ) -> Result<Self, OpenError> {
        let folded = folded.into();
        Self::with(survey, writer_id, Witness { folded, ..Witness::NONE })
    }

    /// The same of a log that a running store has opened and looked through: what its marks say is taken as it is.
    ///
    /// # Errors
    /// A file can't be read.
    pub(crate) fn of_opened(
        survey: Survey,
        writer_id: Option<WriterId>,
        folded: impl Into<Folded>,
    ) -> Result<Self, OpenError> {
        Self::with(survey, writer_id, Witness { folded: folded.into(), ..Witness::TRUSTING })
    }

    fn with(survey: Survey, writer_id: Option<WriterId>, witness: Witness) -> Result<Self, OpenError> {
        let found = survey.files.into_iter().map(|(file, header)| FoundFile::new(file, header, writer_id));
        // From the last one on: a segment is borne out by the one behind it.
        let (mut next_base, mut files) = (None, Vec::new());
        for mut file in found.rev() {
            match file.look(&Witness { next_base, ..witness }) {
                // Who only looks may meet a store that retires segments.
                Err(OpenError::Segment(SegmentError::Io(error))) if error.source.kind() == ErrorKind::NotFound => {}
                looked => {
                    looked?;
                    next_base = file.base_sequence().or(next_base);
                    files.push(file);
                }
            }
        }
        files.reverse();
        let links: Vec<_> = files.iter().map(FoundFile::link).collect();
        let folded = witness.folded;
        Ok(Self { reading: ReadingPlan::of(&links, folded.sequence), files, folded })
    }

    /// What becomes of the file at that place, and which row of the table says so.
    pub(super) fn decided(&self, place: usize) -> (Action, &'static str) {
        let found = &self.files[place];
        decide(found.header, found.seal(), self.tail(place), self.reading.numbers[place])
    }

    /// Whether what is wrong with the file at that place is no crash's doing.
    pub(super) fn is_broken(&self, place: usize) -> bool {
        let found = &self.files[place];
        self.reading.broken[place] && (found.is_torn() || found.header == Header::FirstPageLost)
    }

    /// The highest segment id in use: no segment gets it again. That of a segment of this log counts, and the checkpoint's.
    /// A name counts where nobody tells that no segment had it, or that the segment in the file is another one, and so does
    /// the id of a segment under another one's name; but no further than a log may have got beyond its own segments. `aside`
    /// are the files in quarantine: a crash may come after a segment was moved there, and before the next one has begun.
    pub(super) fn last_segment(&self, aside: &[FoundFile]) -> SegmentId {
        let own = self.files.iter().filter_map(FoundFile::own_id);
        let folded = self.folded.place.map_or(SegmentId(0), |(segment, _)| segment);
        let last_own = own.fold(folded, Ord::max);
        let all = || self.files.iter().chain(aside);
        let named = all().map(|found| found.file.id).chain(all().filter_map(FoundFile::misnamed_id));
        let mut named: Vec<_> = named.map(|id| id.0).collect();
        named.sort_unstable();
        let reached = last_own.0.saturating_add(UNKNOWN_SEGMENTS_MAX);
        // The one behind the last is to be a number that a store can reach.
        let named = named.into_iter().filter(|id| *id < NUMBER_MAX);
        SegmentId(named.fold(last_own.0, |last, id| if id <= reached || id == last + 1 { last.max(id) } else { last }))
    }

    /// The highest first number of the segments behind the file at that place: it has none from there on.
    pub(super) fn next_base(&self, place: usize) -> Option<Sequence> {
        self.files[place + 1..].iter().filter_map(FoundFile::base_sequence).max()
    }

    pub(super) fn tail(&self, place: usize) -> Tail {
        match (self.files[place].is_torn(), self.reading.broken[place]) {
            (false, _) => Tail::Clean,
            (true, false) => Tail::Torn,
            (true, true) => Tail::Broken,
        }
    }
}
