//! Reads one segment from where its reader stands to its end: frames in order, and findings.
//!
//! Here it is decided what the bytes at the end of a segment are: nothing, something a running store is just writing,
//! a torn tail, or a contradiction. Reads only; prints nothing.

use crate::failure::Failure;
use crate::read::source;
use crate::report::finding::Finding;
use crate::report::severity::Severity;
use mcplog::error::PathError;
use mcplog::position::Offset;
use mcplog::segment::format::{FRAMES_OFFSET, HEADER_BYTES, MARK_BYTES, MARK_OFFSETS};
use mcplog::segment::{FrameAt, Item, SegmentReader, Stop};
use std::ops::ControlFlow;
use std::time::Duration;

/// A running store may be interrupted in the middle of a frame or a mark. It gets this long to go on, this many times,
/// before what is there counts as torn. Where no store runs, nothing will change.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
const RETRY_ATTEMPTS: u32 = 5;
/// How many damaged bytes are kept to be shown.
const HEAD_BYTES: usize = 256;

/// What was found.
pub(crate) enum Found<'a> {
    Frame(FrameAt<'a>),
    Finding(Finding),
}

/// Who is told. `Break` ends the scan.
pub(crate) type Visit<'v> = dyn FnMut(Found<'_>) -> Result<ControlFlow<()>, Failure> + 'v;

/// Reads to the segment's end and says what it is.
pub(crate) fn to_end(reader: &mut SegmentReader, visit: &mut Visit<'_>) -> Result<ControlFlow<()>, Failure> {
    let mut attempts = RETRY_ATTEMPTS;
    loop {
        let before = reader.position();
        let ControlFlow::Continue(stop) = to_stop(reader, visit)? else { return Ok(ControlFlow::Break(())) };
        if reader.position() != before {
            attempts = RETRY_ATTEMPTS;
        }
        let mut findings = Vec::new();
        findings.extend(end(reader, stop)?);
        findings.extend(marks(reader)?);
        let final_word = attempts == 0 || reader.mark().sealed.is_some();
        let all_is_well = findings.iter().all(|finding| finding.severity() == Severity::Sound);
        if final_word || all_is_well || !reader.path().parent().is_some_and(source::has_writer) {
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

/// Reads until there is no further frame for now.
pub(crate) fn to_stop(reader: &mut SegmentReader, visit: &mut Visit<'_>) -> Result<ControlFlow<(), Stop>, Failure> {
    loop {
        let due = reader.next_sequence();
        let found = match reader.next()? {
            Item::Frame(frame) => Found::Frame(frame),
            Item::Damage(damage) => {
                let mut head = vec![0; HEAD_BYTES.min(damage.bytes as usize)];
                let count = reader.read_at(damage.offset, &mut head)?;
                head.truncate(count);
                Found::Finding(Finding::Damage {
                    offset: damage.offset,
                    sequence: due,
                    bytes: damage.bytes,
                    records: damage.records,
                    reason: damage.reason.to_string(),
                    head,
                })
            }
            Item::WrongMark(wrong) => {
                Found::Finding(Finding::Contradiction { reason: wrong.to_string(), severity: Severity::Damaged })
            }
            Item::Stop(stop) => return Ok(ControlFlow::Continue(stop)),
        };
        if visit(found)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
}

/// What the bytes behind the last frame are.
fn end(reader: &SegmentReader, stop: Stop) -> Result<Option<Finding>, PathError> {
    let (position, sealed) = (reader.position(), reader.mark().sealed);
    let leftover = reader.written_from(position.end)?;
    let leftover = leftover.map(|written| (Offset(written.start), written.end - position.end.0));
    let torn = |bytes: u32, reason: String| {
        Some(Finding::TornTail { offset: position.end, sequence: reader.next_sequence(), bytes, reason })
    };
    Ok(match (stop, sealed, leftover) {
        (Stop::Sealed, _, Some((_, bytes))) => {
            torn(bytes, "expected nothing behind the seal, found other bytes".into())
        }
        (Stop::Torn { reason, .. }, None, Some((_, bytes))) => torn(bytes, reason.to_string()),
        (_, None, Some((first, bytes))) => {
            torn(bytes, format!("expected zeros behind the last frame, found other bytes at offset {first}"))
        }
        // The seal counts on frames that never reached the disk: a power cut under the sync policy `never`.
        (Stop::Open | Stop::Torn { .. }, Some(sealed), _) => {
            let missing = sealed.frames.saturating_sub(position.frames);
            let bytes = sealed.end.0.saturating_sub(position.end.0);
            torn(
                bytes,
                format!("sealed with {} records, the last {missing} of them never reached the disk", sealed.frames),
            )
        }
        (_, _, None) | (Stop::Limit, Some(_), Some(_)) => None,
    })
}

/// What is wrong with the first page, apart from the header, whose checksum was looked at when it was opened.
fn marks(reader: &SegmentReader) -> Result<Option<Finding>, PathError> {
    let mut page = [0; FRAMES_OFFSET as usize];
    let count = reader.read_at(Offset(0), &mut page)?;
    let damaged: Vec<u32> = reader.marks()?.damaged().collect();
    if let [offset, others @ ..] = &damaged[..] {
        // A store that dies while it writes a mark leaves one of them torn, and a segment that is neither sealed nor
        // shortened to its end.
        let ends_here = reader.file_bytes()? <= u64::from(reader.position().end.0);
        let by_a_crash = others.is_empty() && reader.mark().sealed.is_none() && !ends_here;
        let severity = if by_a_crash { Severity::Attention } else { Severity::Damaged };
        let reason = match others {
            [] => format!("the mark at offset {offset} is damaged; what the other one says is taken"),
            _ => format!("the marks at offsets {offset} and {} are damaged; nothing tells what was durable", others[0]),
        };
        return Ok(Some(Finding::Contradiction { reason, severity }));
    }
    page[..HEADER_BYTES].fill(0);
    for offset in MARK_OFFSETS {
        page[offset as usize..offset as usize + MARK_BYTES].fill(0);
    }
    Ok(page[..count].iter().position(|byte| *byte != 0).map(|offset| Finding::Note {
        reason: format!("offset {offset} in the first page is not zero, as the format reserves it; it has no meaning"),
    }))
}
