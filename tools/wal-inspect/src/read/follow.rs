//! Follows a log from segment to segment while a store writes it: every record once, in order, nothing skipped in
//! silence.
//!
//! A segment takes no more frames once a newer one has its name: the appender finishes the one before it begins the
//! next. So a newer segment is entered only after the one before was read once more to its end, whether or not it has
//! been sealed, shortened or deleted meanwhile (an open file outlives its name). What is no frame yet at the end of
//! the newest segment is a frame that is being written, and is looked at again. Reads only; prints nothing.

use crate::failure::Failure;
use crate::read::scan::{self, Found};
use crate::read::source::{self, Opened, Source};
use crate::report::place::Place;
use mcplog::error::SegmentError;
use mcplog::examined_log;
use mcplog::finding::{Finding, FindingKind};
use mcplog::position::{SegmentId, Sequence, WriterId};
use mcplog::segment::format::SegmentHeader;
use mcplog::segment::{Examination, SegmentReader, Stop};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// How many frames are read before the caller gets to look after other things.
const STEP_FRAMES: u32 = 4096;
/// How often something that should not be at the end of a segment, or in place of one, is looked at again before it is
/// reported.
const PATIENCE: u32 = 4;

/// Who is told what is found, and where.
pub(crate) type Tell<'t> = dyn FnMut(&Place, Found<'_>) -> Result<(), Failure> + 't;

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// There may be more at once.
    Moved,
    /// There is nothing more for now.
    Idle,
}

/// Where following stands.
pub(crate) struct Follower {
    wal_dir: PathBuf,
    current: Option<Current>,
    /// The segment that is read or was read last.
    last_id: Option<SegmentId>,
    /// Whose log it is, and the number that is due next, once a segment was read.
    passed: Option<(WriterId, Sequence)>,
    patience: u32,
}

/// The segment that is being read.
pub(crate) struct Current {
    pub(crate) source: Source,
    pub(crate) place: Place,
    pub(crate) reader: Box<SegmentReader>,
    /// A newer segment was there before this one was last read.
    pub(crate) is_complete: bool,
}

impl Follower {
    /// Goes on with `current`, or with the first segment after `last_id`.
    pub(crate) fn new(wal_dir: PathBuf, current: Option<Current>, last_id: Option<SegmentId>) -> Self {
        let last_id = current.as_ref().and_then(|current| current.source.name_id).or(last_id);
        Self { wal_dir, current, last_id, passed: None, patience: PATIENCE }
    }

    /// Reads on.
    ///
    /// # Errors
    /// The directory or a file can't be read, or `tell` fails.
    pub(crate) fn step(&mut self, tell: &mut Tell<'_>) -> Result<Step, Failure> {
        match self.current.take() {
            Some(current) => self.read(current, tell),
            None => self.enter_next(tell),
        }
    }

    fn read(&mut self, mut current: Current, tell: &mut Tell<'_>) -> Result<Step, Failure> {
        let mut frames = 0;
        let (place, due) = (&current.place, self.passed.map_or(Sequence(0), |(_, due)| due));
        let stop = scan::to_stop(&mut current.reader, &mut |found| {
            frames += u32::from(matches!(found, Found::Frame(_)));
            // What was written again after a failed sync was told before.
            if !matches!(found, Found::Frame(frame) if frame.sequence < due) {
                tell(place, found)?;
            }
            Ok(if frames == STEP_FRAMES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        let ControlFlow::Continue(stop) = stop else {
            self.current = Some(current);
            return Ok(Step::Moved);
        };
        if frames > 0 {
            self.patience = PATIENCE;
        }
        if stop != Stop::Sealed {
            if !current.is_complete {
                current.is_complete = source::after(&self.wal_dir, self.last_id)?.is_some();
                let step = if current.is_complete || frames > 0 { Step::Moved } else { Step::Idle };
                self.current = Some(current);
                return Ok(step);
            }
            if matches!(stop, Stop::Torn { .. }) {
                if self.patience > 0 {
                    self.patience -= 1;
                    self.current = Some(current);
                    return Ok(Step::Idle);
                }
                let examined = Examination::of_reader(&mut current.reader, |_| Ok::<_, SegmentError>(()))?;
                for finding in examined.end_findings(&current.source.path, false) {
                    tell(&current.place, Found::Finding(finding, &[]))?;
                }
            }
        }
        let next = current.reader.next_sequence();
        self.passed = Some((current.reader.header().writer_id, next.max(due)));
        self.patience = PATIENCE;
        Ok(Step::Moved)
    }

    fn enter_next(&mut self, tell: &mut Tell<'_>) -> Result<Step, Failure> {
        let Some(source) = source::after(&self.wal_dir, self.last_id)? else { return Ok(Step::Idle) };
        let reader = match source.open()? {
            Opened::Segment(reader) => reader,
            Opened::Other(_) if self.patience > 0 => {
                self.patience -= 1;
                return Ok(Step::Idle);
            }
            Opened::Other(finding) => {
                tell(&source.place(None), Found::Finding(finding, &[]))?;
                self.pass_over(&source);
                return Ok(Step::Moved);
            }
            // Deleted since the directory was read. The sequence numbers of the next one tell what was in it.
            Opened::Retired => return Ok(Step::Moved),
        };
        let place = source.place(Some(*reader.header()));
        let findings = self.passed.map_or_else(Vec::new, |(writer_id, due)| {
            of_neighbours(&self.wal_dir, &source, reader.header(), writer_id, due)
        });
        self.pass_over(&source);
        let is_foreign = findings.iter().any(|finding| finding.kind == FindingKind::ForeignSegment);
        for finding in findings {
            tell(&place, Found::Finding(finding, &[]))?;
        }
        if !is_foreign {
            self.current = Some(Current { source, place, reader, is_complete: false });
        }
        Ok(Step::Moved)
    }

    fn pass_over(&mut self, source: &Source) {
        self.last_id = source.name_id;
        self.patience = PATIENCE;
    }
}

/// What there is to say of a segment beside those that were read before it: it is of another log, or does not begin with
/// the number that is due.
fn of_neighbours(
    wal_dir: &Path,
    source: &Source,
    header: &SegmentHeader,
    writer_id: WriterId,
    due: Sequence,
) -> Vec<Finding> {
    if header.writer_id != writer_id {
        let text = format!("expected a segment of store {writer_id}, found one of {}", header.writer_id);
        return vec![Finding::new(FindingKind::ForeignSegment, &source.path, text).at(0)];
    }
    let last = header.base_sequence.0 - 1;
    if due.0 > last {
        return Vec::new();
    }
    examined_log::judge_missing(wal_dir, writer_id, due, Sequence(last), header.segment_id)
}
