//! A second opinion on what a segment holds: the table of format.md, section 3, over the bytes in memory, without a
//! buffer, a file or a second look.

use mcplog::position::Offset;
use mcplog::segment::format::{
    Extent, FRAME_ALIGNMENT, FRAME_HEADER_BYTES, FRAMES_OFFSET, Frame, FrameError, HEADER_BYTES, Mark, SegmentHeader,
    frame_bytes,
};
use mcplog::segment::marks::Marks;
use mcplog::segment::wrong_mark::{Contradiction, MarkEnd};
use mcplog::segment::{Stop, WrongMark};

/// What a reader met, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Frame { offset: u32, sequence: u64, payload: Vec<u8> },
    Damage { offset: u32, bytes: u32, records: u32, reason: FrameError },
    WrongMark(WrongMark),
    Stop(Stop),
}

/// The header, if the file has one.
pub(crate) fn header(bytes: &[u8]) -> Option<SegmentHeader> {
    let is_whole = bytes.len() >= FRAMES_OFFSET as usize;
    SegmentHeader::decode(bytes.first_chunk::<HEADER_BYTES>()?).ok().filter(|_| is_whole)
}

/// The rules of format.md, over the bytes in memory. `None`: a forged file in which so much looks like a frame that the
/// reader may give up looking for the next intact one.
pub(crate) fn plain_scan(bytes: &[u8]) -> Option<Vec<Found>> {
    let header = header(bytes)?;
    let file_bytes = u32::try_from(bytes.len()).expect("a small file");
    let Mark { durable, sealed, .. } = Marks::read(&bytes[..FRAMES_OFFSET as usize], header.salt).newest();
    let mut ends = vec![(MarkEnd::Durable, durable)];
    if let Some(sealed) = sealed {
        ends.retain(|(_, durable)| *durable != sealed);
        ends.push((MarkEnd::Sealed, sealed));
    }
    let at = |offset: u32| Frame::decode(bytes.get(offset as usize..).unwrap_or_default(), header.salt);
    let length = |frame: &Frame<'_>| frame_bytes(u32::try_from(frame.payload.len()).expect("a short payload"));
    let mut position = Extent::EMPTY;
    let mut all = Vec::new();
    // The end that contradicts, and how; each is told once.
    let mut tell = |all: &mut Vec<Found>, found: Extent, how: &dyn Fn(MarkEnd, Extent) -> Option<Contradiction>| {
        ends.retain(|(end, expected)| match how(*end, *expected) {
            Some(contradiction) => {
                all.push(Found::WrongMark(WrongMark { end: *end, contradiction, expected: *expected, found }));
                false
            }
            None => true,
        });
    };
    loop {
        let (start, due) = (position.end.0, position.frames);
        tell(&mut all, position, &|_, says| {
            (says.end.0 == start && says.frames != due).then_some(Contradiction::Count)
        });
        let reason = match at(start) {
            Ok(frame) if frame.index == due => {
                let behind = start + length(&frame);
                tell(&mut all, position, &|end, says| match says.end.0 {
                    says if end == MarkEnd::Sealed && start >= says => Some(Contradiction::Behind),
                    says if start < says && says < behind => Some(Contradiction::Across),
                    _ => None,
                });
                let sequence = header.base_sequence.0 + u64::from(due);
                all.push(Found::Frame { offset: start, sequence, payload: frame.payload.to_vec() });
                position = Extent { end: Offset(behind), frames: due + 1 };
                continue;
            }
            Ok(frame) => FrameError::Index { expected: due, found: frame.index },
            Err(reason) => reason,
        };
        if sealed.is_some_and(|sealed| position.end >= sealed.end) {
            all.push(Found::Stop(Stop::Sealed));
            return Some(all);
        }
        if position.end >= durable.end {
            let rest = file_bytes.saturating_sub(start);
            let is_zero = rest < FRAME_HEADER_BYTES && bytes.iter().skip(start as usize).all(|byte| *byte == 0);
            let stop = match sealed {
                Some(sealed) => Stop::Torn { bytes: rest.max(sealed.end.0 - start), reason },
                None if is_zero || reason == FrameError::Unwritten => Stop::Open,
                None => Stop::Torn { bytes: rest, reason },
            };
            all.push(Found::Stop(stop));
            return Some(all);
        }
        let mut next = Extent { frames: durable.frames.max(due), ..durable };
        let mut looked_at = 0;
        for offset in (start..=durable.end.0.min(file_bytes)).step_by(FRAME_ALIGNMENT as usize) {
            let index_max = due + (offset - start) / (FRAME_HEADER_BYTES + FRAME_ALIGNMENT) + 1;
            match at(offset) {
                Ok(frame) if (due..=index_max).contains(&frame.index) => {
                    next = Extent { end: Offset(offset), frames: frame.index };
                    break;
                }
                Err(FrameError::Checksum { .. } | FrameError::Padding) => {
                    let word = &bytes[offset as usize..offset as usize + 4];
                    looked_at += u64::from(u32::from_le_bytes([word[0], word[1], word[2], word[3]])) + 16;
                }
                _ => {}
            }
        }
        if looked_at > 8 * u64::from(file_bytes) {
            return None;
        }
        let (bytes, records) = (next.end.0 - start, next.frames - due);
        all.push(Found::Damage { offset: start, bytes, records, reason });
        position = next;
    }
}
