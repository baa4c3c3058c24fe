//! A second opinion on what a segment holds: the rules of format.md over the bytes in memory, without a buffer, a file or
//! a second look.

use mcplog::position::Offset;
use mcplog::segment::Stop;
use mcplog::segment::format::{
    Extent, FRAME_ALIGNMENT, FRAME_HEADER_BYTES, FRAMES_OFFSET, Frame, FrameError, HEADER_BYTES, Mark, SegmentHeader,
    frame_bytes,
};

/// What a reader met, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Frame { offset: u32, sequence: u64, payload: Vec<u8> },
    Damage { offset: u32, bytes: u32, records: u32, reason: FrameError },
    Stop(Stop),
}

/// The header, if the file has one.
pub(crate) fn header(bytes: &[u8]) -> Option<SegmentHeader> {
    SegmentHeader::decode(bytes.first_chunk::<HEADER_BYTES>()?).ok()
}

/// The rules of format.md, over the bytes in memory. `None`: a forged file in which so much looks like a frame that the
/// reader may give up looking for the next intact one.
pub(crate) fn plain_scan(bytes: &[u8]) -> Option<Vec<Found>> {
    let header = header(bytes)?;
    let mark = Mark::newest(&bytes[..bytes.len().min(FRAMES_OFFSET as usize)], header.salt);
    let at = |offset: u32| Frame::decode(bytes.get(offset as usize..).unwrap_or_default(), header.salt);
    let length = |frame: &Frame<'_>| frame_bytes(u32::try_from(frame.payload.len()).expect("a short payload"));
    let mut position = Extent::EMPTY;
    let mut all = Vec::new();
    loop {
        let (start, due) = (position.end.0, position.frames);
        if mark.sealed.is_some_and(|sealed| position.end >= sealed.end) {
            all.push(Found::Stop(Stop::Sealed));
            return Some(all);
        }
        let reason = match at(start) {
            Ok(frame) if frame.index == due => {
                let sequence = header.base_sequence.0 + u64::from(due);
                all.push(Found::Frame { offset: start, sequence, payload: frame.payload.to_vec() });
                position = Extent { end: Offset(start + length(&frame)), frames: due + 1 };
                continue;
            }
            Ok(frame) => FrameError::Index { expected: due, found: frame.index },
            Err(reason) => reason,
        };
        if position.end >= mark.durable.end {
            let rest = u32::try_from(bytes.len()).expect("a small file").saturating_sub(start);
            let open = rest == 0 || reason == FrameError::Unwritten;
            all.push(Found::Stop(if open { Stop::Open } else { Stop::Torn { bytes: rest, reason } }));
            return Some(all);
        }
        let mut next = Extent { frames: mark.durable.frames.max(due), ..mark.durable };
        let mut looked_at = 0;
        let end = mark.durable.end.0.min(u32::try_from(bytes.len()).expect("a small file"));
        for offset in (start..end).step_by(FRAME_ALIGNMENT as usize) {
            let index_max = due + (offset - start) / (FRAME_HEADER_BYTES + FRAME_ALIGNMENT) + 1;
            match at(offset) {
                Ok(frame) if offset + length(&frame) > mark.durable.end.0 => {}
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
        if looked_at > 8 * u64::from(end) {
            return None;
        }
        let (bytes, records) = (next.end.0 - start, next.frames - due);
        all.push(Found::Damage { offset: start, bytes, records, reason });
        position = next;
    }
}
