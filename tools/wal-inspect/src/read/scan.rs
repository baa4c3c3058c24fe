//! Reads one segment from where its reader stands to its end: frames in order, and findings.
//!
//! The library examines the segment; here it is asked whether its writer lives: then a bad mark is looked at
//! again, and a bad frame at the end is none yet. Reads only; prints nothing.

use crate::failure::Failure;
use crate::read::segment_file;
use mcplog::error::SegmentError;
use mcplog::finding::{Finding, Severity};
use mcplog::segment::{Examination, FrameAt, Item, SegmentReader};
use std::ops::ControlFlow;
use std::time::Duration;

/// A writer may be interrupted in the middle of a mark. It gets this long to go on, this many times, before what is there
/// counts as damaged. Where none lives, nothing will change.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
const RETRY_ATTEMPTS: u32 = 5;

/// What was found.
pub(crate) enum Found<'a> {
    Frame(FrameAt<'a>),
    Finding(Finding),
}

/// Who is told. `Break` ends the scan.
pub(crate) type Visit<'v> = dyn FnMut(Found<'_>) -> Result<ControlFlow<()>, Failure> + 'v;

/// Why an examination was ended.
enum Ended {
    Enough,
    Failed(Failure),
}

impl From<SegmentError> for Ended {
    fn from(error: SegmentError) -> Self {
        Self::Failed(error.into())
    }
}

/// Reads to the segment's end and says what it is.
pub(crate) fn to_end(reader: &mut SegmentReader, visit: &mut Visit<'_>) -> Result<ControlFlow<()>, Failure> {
    let path = reader.path().to_owned();
    let mut attempts = RETRY_ATTEMPTS;
    loop {
        // Asked first: of a writer that is found dead, all was written before it is read.
        let lives = segment_file::has_writer(segment_file::folder(&path));
        let (before, mut due) = (reader.position(), reader.next_sequence());
        let examined = Examination::of_reader(reader, |item| {
            let flow = match item {
                Item::Frame(frame) => {
                    due = frame.sequence.next();
                    visit(Found::Frame(frame))
                }
                Item::Damage(damage) => {
                    let finding = damage.finding(&path, due);
                    due.0 += u64::from(damage.records);
                    visit(Found::Finding(finding))
                }
                Item::WrongMark(wrong) => visit(Found::Finding(wrong.finding(&path))),
                Item::Stop(_) => Ok(ControlFlow::Continue(())),
            };
            match flow {
                Ok(ControlFlow::Continue(())) => Ok(()),
                Ok(ControlFlow::Break(())) => Err(Ended::Enough),
                Err(failure) => Err(Ended::Failed(failure)),
            }
        });
        let examined = match examined {
            Ok(examined) => examined,
            Err(Ended::Enough) => return Ok(ControlFlow::Break(())),
            Err(Ended::Failed(failure)) => return Err(failure),
        };
        if reader.position() != before {
            attempts = RETRY_ATTEMPTS;
        }
        let findings = examined.end_findings(&path, lives);
        let final_word = attempts == 0 || reader.mark().sealed.is_some();
        let all_is_well = findings.iter().all(|finding| finding.severity == Severity::Sound);
        if final_word || all_is_well || !lives {
            for finding in findings {
                if visit(Found::Finding(finding))?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            return Ok(ControlFlow::Continue(()));
        }
        attempts -= 1;
        std::thread::sleep(RETRY_PAUSE);
    }
}
