//! Which numbers the files of a log have, without reading all of them: headers, marks, and the frames behind the marks of
//! segments that are not sealed.
//!
//! Runs on whoever reads a log; it only reads. What a seal says is believed; who folds finds out where it is wrong.

use super::directory::{SegmentFile, list_whole};
use super::folder_listing::gone;
use super::format::Extent;
use super::next_file::Wanted;
use super::place::Place;
use super::reader::{Item, SegmentReader};
use crate::ground::error::{PathError, SegmentError};
use crate::ground::position::{Sequence, StoreId, WriterId};
use std::path::Path;

/// The lowest number with which a segment of that writer's log begins, of those in the files; `None`: there is none, or
/// none that can be read.
pub(crate) fn first_of_log(writer: WriterId, store: Option<StoreId>, files: &[SegmentFile]) -> Option<Sequence> {
    let wanted = Wanted { writer, store, level: None, passes_refused: true };
    let readers = files.iter().filter_map(|file| Some((file, SegmentReader::open(&file.path).ok()?)));
    let ours = readers.filter(|(file, reader)| wanted.is_ours(file, reader.header()));
    ours.map(|(_, reader)| reader.header().base_sequence).min()
}

/// Whether the segment at `path` has a record with a number above that one; not if it can't be read.
pub(crate) fn has_beyond(path: &Path, sequence: Sequence) -> bool {
    SegmentReader::open(path).is_ok_and(|mut reader| last_number(&mut reader).is_ok_and(|last| last > sequence))
}

/// Where reading goes on that came to the place `from`: there, unless a file before it has records with higher numbers.
/// Somebody may have put it back, longer than the one that was read, or sound where that one was not: the number decides,
/// and not the place.
pub(super) fn place_by_number(folder: &Path, wanted: &Wanted, from: Place) -> Result<Place, SegmentError> {
    for file in list_whole(folder).map_err(gone)?.into_iter().take_while(|file| file.id < from.segment) {
        let mut reader = match SegmentReader::open(&file.path) {
            Ok(reader) if wanted.is_ours(&file, reader.header()) => reader,
            Err(SegmentError::Io(error)) if !error.is_unreadable() => match gone(error) {
                SegmentError::Gone { .. } => continue,
                error => return Err(error),
            },
            _ => continue,
        };
        match last_number(&mut reader) {
            Ok(last) if last <= from.sequence => {}
            Err(error) if !error.is_unreadable() => return Err(error.into()),
            _ => return Ok(Place { segment: file.id, sequence: from.sequence, ..Place::START }),
        }
    }
    Ok(from)
}

/// The number of a segment's last record; the one before its first, if it has none.
fn last_number(reader: &mut SegmentReader) -> Result<Sequence, PathError> {
    let base = reader.header().base_sequence;
    Ok(Sequence(base.0 - 1 + u64::from(frames(reader)?)))
}

/// How many frames a segment has: as its seal says, or by reading what is behind its durable end.
pub(super) fn frames(reader: &mut SegmentReader) -> Result<u32, PathError> {
    let mark = reader.mark();
    if let Some(sealed) = mark.sealed {
        return Ok(sealed.frames);
    }
    reader.seek(mark.durable);
    loop {
        match reader.next()? {
            Item::Frame(_) | Item::WrongMark(_) | Item::Damage(_) => {}
            Item::Stop(_) => return Ok(Extent::max(reader.position(), mark.durable).frames),
        }
    }
}
