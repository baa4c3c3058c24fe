//! How many records a file may hold whose header says nothing of it, or does not belong there.
//!
//! Runs while a store opens. It only reads: no number that such a file may hold is used again, and none more than that
//! should be left out.

use super::buffered_file::BufferedFile;
use super::format::{
    Extent, FRAME_ALIGNMENT, FRAME_HEADER_BYTES, FRAMES_OFFSET, HEADER_BYTES, MAGIC, PAYLOAD_BYTES_MAX, SegmentHeader,
    frame_bytes, u32_at,
};
use super::marks::Marks;
use crate::ground::error::{AtPath, PathError, SegmentError};
use crate::ground::position::Offset;
use std::path::Path;

/// No frame is shorter.
const FRAME_BYTES_MIN: u64 = (FRAME_HEADER_BYTES + FRAME_ALIGNMENT) as u64;

/// What can be told of a file as a whole that is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LostHeader {
    /// The header, where the file has one after all: it is too short, or bears another's name.
    pub(super) header: Option<SegmentHeader>,
    /// So many records at most.
    pub(super) records_max: u64,
}

impl LostHeader {
    /// Looks into the file.
    ///
    /// # Errors
    /// The system does not even tell how long it is.
    pub(super) fn of(path: &Path) -> Result<Self, PathError> {
        match BufferedFile::open(path).and_then(|mut file| Ok(Self::in_file(&mut file)?)) {
            Ok(found) => Ok(found),
            // No regular file, or one that can't be read.
            Err(
                SegmentError::Header { .. }
                | SegmentError::UnsupportedVersion { .. }
                | SegmentError::Gone { .. }
                | SegmentError::NeedsNewer { .. }
                | SegmentError::Io(_),
            ) => {
                let metadata = std::fs::symlink_metadata(path).at("inspect", path)?;
                // Somebody may have put a segment elsewhere, of whatever length, and a link in its place.
                let bytes = if metadata.is_symlink() { u64::MAX } else { metadata.len() };
                // No offset in a segment is larger than 32 bits, however long the file.
                let bytes = bytes.min(u64::from(u32::MAX)).saturating_sub(u64::from(FRAMES_OFFSET));
                Ok(Self { header: None, records_max: bytes / FRAME_BYTES_MIN })
            }
        }
    }

    /// How many records the file may hold from `offset` on, where a frame of it ends; `None` if nothing tells that it was a
    /// segment, it ends before that, or it can't be read.
    pub(super) fn records_from(path: &Path, offset: Offset) -> Result<Option<u64>, PathError> {
        let Ok(mut file) = BufferedFile::open(path) else { return Ok(None) };
        if file.bytes()? < u64::from(offset.0) {
            return Ok(None);
        }
        let was_segment = file.buffered().starts_with(&MAGIC);
        let words = file.from(offset.0, 8)?;
        // How many there are before, the first one there says.
        let frames = if words.len() < 8 { 0 } else { u32_at(words, 4) };
        let beyond = chain(&mut file, Extent { end: offset, frames })?;
        let records = u64::from(beyond.frames - frames);
        if !was_segment && records == 0 && chain(&mut file, Extent::EMPTY)?.frames == 0 {
            return Ok(None);
        }
        let rest = file.written_from(beyond.end)?.map_or(0, |written| written.end - beyond.end.0);
        Ok(Some(records + u64::from(rest).div_ceil(FRAME_BYTES_MIN)))
    }

    fn in_file(file: &mut BufferedFile) -> Result<Self, PathError> {
        let page = file.buffered();
        let header = page.first_chunk::<HEADER_BYTES>().and_then(|bytes| SegmentHeader::decode(bytes).ok());
        // What its marks say that it had, also where the file is cut.
        let marked = header.map_or(0, |header| {
            let mark = Marks::read(page, header.salt).newest();
            mark.sealed.map_or(mark.durable.frames, |sealed| sealed.frames)
        });
        let was_segment = page.starts_with(&MAGIC);
        let chain = chain(file, Extent::EMPTY)?;
        // Where frames begin and then break off, there may have been as many as find room in what follows. Where nothing
        // tells that it was a segment, nothing is known to have been there.
        let rest = if was_segment || chain.frames > 0 { file.written_from(chain.end)? } else { None };
        let rest = rest.map_or(0, |written| written.end - chain.end.0);
        let written = u64::from(chain.frames) + u64::from(rest).div_ceil(FRAME_BYTES_MIN);
        Ok(Self { header, records_max: written.max(u64::from(marked)) })
    }
}

/// How far frames follow each other from `start` on by their lengths and indices alone: without the salt, no checksum can be
/// told.
fn chain(file: &mut BufferedFile, start: Extent) -> Result<Extent, PathError> {
    let (mut chain, bytes) = (start, file.bytes()?);
    loop {
        let words = file.from(chain.end.0, 8)?;
        if words.len() < 8 {
            return Ok(chain);
        }
        let (length, index) = (u32_at(words, 0), u32_at(words, 4));
        if !(1..=PAYLOAD_BYTES_MAX).contains(&length) || index != chain.frames {
            return Ok(chain);
        }
        match chain.end.0.checked_add(frame_bytes(length)).zip(chain.frames.checked_add(1)) {
            Some((end, frames)) if u64::from(end) <= bytes => chain = Extent { end: Offset(end), frames },
            _ => return Ok(chain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::position::{SegmentId, Sequence, WriterId};
    use crate::segment::format::LogIdentity;
    use crate::segment::writer::PreparedSegment;

    #[test]
    fn as_many_records_are_told_as_the_file_may_hold_and_hardly_more() {
        let dir = tempfile::tempdir().unwrap();
        let prepared = PreparedSegment::create(dir.path(), SegmentId(1), 65536).unwrap();
        let (mut writer, mut syncer) =
            prepared.activate(LogIdentity::sample(WriterId([1; 16])), Sequence(11), 5).unwrap();
        for number in 0..20 {
            writer.append(format!("record {number}").as_bytes()).unwrap();
        }
        syncer.sync().unwrap();
        let header = *writer.header();
        let end = writer.extent().end.0 as usize;
        let whole = std::fs::read(writer.path()).unwrap();
        let path = dir.path().join("other");
        let found = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = whole.clone();
            change(&mut bytes);
            std::fs::write(&path, bytes).unwrap();
            LostHeader::of(&path).unwrap()
        };
        let (lost, known) = (
            |records_max| LostHeader { header: None, records_max },
            |records_max| LostHeader { header: Some(header), records_max },
        );
        assert_eq!(found(&|_| {}), known(20), "under another name");
        assert_eq!(found(&|bytes| bytes[..4096].fill(0)), lost(20), "its first page is zero");
        assert_eq!(found(&|bytes| bytes[17] ^= 1), lost(20));
        assert_eq!(found(&|bytes| bytes.truncate(1100)), known(20), "a mark is left");
        assert_eq!(found(&|bytes| bytes.truncate(400)), known(0));
        assert_eq!(found(&|bytes| bytes.truncate(30)), lost(0));
        assert_eq!(found(&|bytes| bytes.clear()), lost(0));
        let without_header = |bytes: &mut Vec<u8>| bytes[..4096].fill(0);
        let cut = found(&|bytes| {
            without_header(bytes);
            bytes.truncate(end);
        });
        assert_eq!(cut, lost(20), "to the end of the file");
        // The chain breaks at the third frame: of what follows only the length is known.
        let broken = found(&|bytes| {
            without_header(bytes);
            bytes[4096 + 2 * 20] = 0;
        });
        let rest = (end - 3 - 4096 - 40) as u64;
        assert_eq!(broken, lost(2 + rest.div_ceil(16)));
        let first_broken = |bytes: &mut Vec<u8>| bytes[4096] = 0;
        let rest = (end - 3 - 4096) as u64;
        assert_eq!(
            found(&|bytes| (bytes[17] ^= 1, first_broken(bytes)).1),
            lost(rest.div_ceil(16)),
            "the magic stands"
        );
        assert_eq!(
            found(&|bytes| (without_header(bytes), first_broken(bytes)).1),
            lost(0),
            "nothing looks like a segment"
        );
        assert_eq!(found(&|bytes| bytes.fill(b'x')), lost(0), "a text file");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("nowhere", &path).unwrap();
        assert!(LostHeader::of(&path).unwrap().records_max > 1 << 27, "nobody follows a link");
    }
}
