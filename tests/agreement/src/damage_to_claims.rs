//! Damage to what a segment says of itself, header and marks, with checksums that fit: nothing but the frames contradicts it.

use crate::bytes::{End, FRAMES_START, HEADER_BYTES, MARK_BYTES, MARK_PLACES, Mark, seal_header};
use crate::knife::{Foreign, Patient, any, any_that};
use crate::segment_image::{SegmentImage, put_mark, put_mark_at_wrong_place};
use crate::store_image::StoreImage;
use fastrand::Rng;

/// Changes a header, and makes its checksum fit.
fn forge_header(
    log: &mut StoreImage,
    rng: &mut Rng,
    change: impl FnOnce(&mut [u8; HEADER_BYTES], &mut Rng) -> String,
) -> Option<String> {
    let patient = any(log, rng)?;
    let header = patient.bytes.first_chunk_mut()?;
    let what = change(header, rng);
    seal_header(header);
    Some(format!("{}: {what}", patient.title()))
}

pub(crate) fn newer_version(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    forge_header(log, rng, |header, rng| {
        let version = rng.u16(2..);
        header[8..10].copy_from_slice(&version.to_le_bytes());
        format!("version {version}")
    })
}

pub(crate) fn newer_level(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    forge_header(log, rng, |header, rng| {
        let level = rng.u16(2..);
        header[10..12].copy_from_slice(&level.to_le_bytes());
        format!("level {level}")
    })
}

pub(crate) fn level_zero(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    forge_header(log, rng, |header, _| {
        header[10..12].fill(0);
        "level 0".to_owned()
    })
}

pub(crate) fn other_store_id(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    forge_header(log, rng, |header, rng| {
        header[16 + rng.usize(..16)] ^= 1 << rng.u8(..8);
        "another store id".to_owned()
    })
}

pub(crate) fn other_writer_id(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    forge_header(log, rng, |header, rng| {
        header[32 + rng.usize(..16)] ^= 1 << rng.u8(..8);
        "another writer id".to_owned()
    })
}

pub(crate) fn version_zero(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    forge_header(log, rng, |header, _| {
        header[8..10].fill(0);
        "version 0".to_owned()
    })
}

pub(crate) fn numbers_out_of_range(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    forge_header(log, rng, |header, rng| {
        let value = [0, 1 << 63, u64::MAX, (1 << 62) + 1, (1 << 62) + rng.u64(..1000), i64::MAX as u64][rng.usize(..6)];
        let at = if rng.bool() { 48 } else { 56 };
        header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        format!("{value} at {at}")
    })
}

/// The segment's records seem to have other numbers. That is a forgery which no reader can see through.
pub(crate) fn other_base(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any(log, rng)?;
    let base = patient.segment.header.base;
    let forged = if rng.bool() { base.saturating_sub(rng.u64(1..4)).max(1) } else { base + rng.u64(1..30) };
    let header: &mut [u8; HEADER_BYTES] = patient.bytes.first_chunk_mut()?;
    header[56..64].copy_from_slice(&forged.to_le_bytes());
    seal_header(header);
    patient.segment.header.base = forged;
    Some(format!("{}: {forged}", patient.title()))
}

/// Writes one more mark, which is the newest.
fn forge_mark(
    patient: Patient<'_>,
    rng: &mut Rng,
    change: impl FnOnce(&mut Mark, &SegmentImage, &mut Rng) -> Option<()>,
) -> Option<String> {
    let mut mark = patient.segment.mark();
    mark.generation += 1;
    change(&mut mark, patient.segment, rng)?;
    put_mark(patient.bytes, mark, patient.segment.header.salt);
    Some(format!("{}: {mark:?}", patient.title()))
}

/// A segment with at least so many frames.
fn any_with<'a>(log: &'a mut StoreImage, rng: &mut Rng, frames: usize) -> Option<Patient<'a>> {
    any_that(log, rng, |segment| segment.frames.len() >= frames)
}

fn seal_follows(mark: &mut Mark) {
    if let Some(sealed) = &mut mark.sealed {
        sealed.offset = sealed.offset.max(mark.durable.offset);
        sealed.frames = sealed.frames.max(mark.durable.frames);
    }
}

pub(crate) fn too_few_durable_frames(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_with(log, rng, 2)?;
    forge_mark(patient, rng, |mark, segment, rng| {
        let frames = rng.usize(2..=segment.frames.len());
        mark.durable = segment.extent(frames);
        mark.durable.frames = rng.u32(1..mark.durable.frames);
        Some(())
    })
}

pub(crate) fn too_many_durable_frames(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_with(log, rng, 1)?;
    forge_mark(patient, rng, |mark, segment, rng| {
        let frames = rng.usize(1..=segment.frames.len());
        mark.durable = segment.extent(frames);
        let most = (mark.durable.offset - FRAMES_START) / 16;
        if most <= mark.durable.frames {
            return None;
        }
        mark.durable.frames = rng.u32(mark.durable.frames + 1..=most);
        seal_follows(mark);
        Some(())
    })
}

fn inside(segment: &SegmentImage, rng: &mut Rng) -> Option<End> {
    let places = segment.places();
    let index = rng.usize(..places.len());
    let words = places[index].len() / 4;
    let end = u32::try_from(places[index].start + 4 * rng.usize(1..words)).ok()?;
    let frames = u32::try_from(index).ok()? + u32::from(index == 0 || rng.bool());
    Some(End { offset: end, frames })
}

pub(crate) fn durable_end_inside_frame(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_with(log, rng, 1)?;
    forge_mark(patient, rng, |mark, segment, rng| {
        mark.durable = inside(segment, rng)?;
        if rng.bool() {
            mark.sealed = None;
        }
        seal_follows(mark);
        Some(())
    })
}

pub(crate) fn durable_end_beyond_file(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_with(log, rng, 0)?;
    let end = u32::try_from(patient.bytes.len().next_multiple_of(4)).ok()?.max(FRAMES_START);
    forge_mark(patient, rng, |mark, segment, rng| {
        mark.durable.offset = end + 4 * rng.u32(4..1000);
        mark.durable.frames = u32::try_from(segment.frames.len()).ok()? + rng.u32(1..5);
        seal_follows(mark);
        Some(())
    })
}

/// Somewhere behind the last frame, within the file or not.
pub(crate) fn durable_end_further(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_with(log, rng, 1)?;
    forge_mark(patient, rng, |mark, segment, rng| {
        mark.durable = segment.extent(segment.frames.len());
        mark.durable.offset += 4 * rng.u32(1..200);
        mark.durable.frames += rng.u32(..2);
        seal_follows(mark);
        Some(())
    })
}

/// At a frame before the one where it stands: nothing contradicts it.
pub(crate) fn durable_end_before(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_with(log, rng, 1)?;
    forge_mark(patient, rng, |mark, segment, rng| {
        mark.durable = segment.extent(rng.usize(..segment.frames.len()));
        Some(())
    })
}

pub(crate) fn shorter_seal(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_with(log, rng, 1)?;
    forge_mark(patient, rng, |mark, segment, rng| {
        let sealed = segment.extent(rng.usize(..segment.frames.len()));
        mark.sealed = Some(sealed);
        mark.durable = if rng.bool() { sealed } else { mark.durable.min(sealed) };
        Some(())
    })
}

pub(crate) fn seal_inside_frame(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_with(log, rng, 1)?;
    forge_mark(patient, rng, |mark, segment, rng| {
        let sealed = inside(segment, rng)?;
        mark.sealed = Some(sealed);
        mark.durable = if rng.bool() { sealed } else { segment.extent(0) };
        Some(())
    })
}

pub(crate) fn longer_seal(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_with(log, rng, 0)?;
    forge_mark(patient, rng, |mark, segment, rng| {
        let mut sealed = segment.extent(segment.frames.len());
        sealed.offset += 4 * rng.u32(4..300);
        sealed.frames += rng.u32(1..3);
        mark.sealed = Some(sealed);
        if rng.bool() {
            mark.durable = sealed;
        }
        Some(())
    })
}

pub(crate) fn seal_with_other_frames(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_with(log, rng, 2)?;
    forge_mark(patient, rng, |mark, segment, rng| {
        let mut sealed = segment.extent(segment.frames.len());
        let most = (sealed.offset - FRAMES_START) / 16;
        sealed.frames = rng.u32(1..=most);
        mark.sealed = Some(sealed);
        mark.durable.frames = mark.durable.frames.min(sealed.frames);
        Some(())
    })
}

pub(crate) fn seal_of_nothing_with_frames(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_with(log, rng, 0)?;
    forge_mark(patient, rng, |mark, segment, _| {
        mark.sealed = Some(End { offset: 0, frames: segment.extent(segment.frames.len()).frames.max(1) });
        Some(())
    })
}

pub(crate) fn uneven_end(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_with(log, rng, 1)?;
    forge_mark(patient, rng, |mark, segment, rng| {
        mark.durable = segment.extent(segment.frames.len());
        mark.durable.offset -= rng.u32(1..4);
        Some(())
    })
}

fn damage_mark(patient: &mut Patient<'_>, rng: &mut Rng, place: usize) -> Option<()> {
    let at = MARK_PLACES[place] + rng.usize(..MARK_BYTES);
    *patient.bytes.get_mut(at)? ^= 1 << rng.u8(..8);
    Some(())
}

pub(crate) fn damage_one_mark(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let mut patient = any(log, rng)?;
    let place = rng.usize(..2);
    damage_mark(&mut patient, rng, place)?;
    Some(format!("{} at place {place}", patient.title()))
}

pub(crate) fn damage_both_marks(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let mut patient = any(log, rng)?;
    damage_mark(&mut patient, rng, 0)?;
    damage_mark(&mut patient, rng, 1)?;
    Some(patient.title())
}

pub(crate) fn zero_marks(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any(log, rng)?;
    for offset in MARK_PLACES {
        patient.bytes.get_mut(offset..offset + MARK_BYTES)?.fill(0);
    }
    Some(patient.title())
}

pub(crate) fn mark_at_wrong_place(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any(log, rng)?;
    let mut mark = patient.segment.mark();
    mark.generation += rng.u64(..2);
    put_mark_at_wrong_place(patient.bytes, mark, patient.segment.header.salt);
    Some(format!("{}: {mark:?}", patient.title()))
}

pub(crate) fn two_marks_of_one_generation(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_with(log, rng, 1)?;
    let mark = patient.segment.mark();
    let other = Mark { durable: patient.segment.extent(0), sealed: None, ..mark };
    let salt = patient.segment.header.salt;
    if rng.bool() {
        put_mark_at_wrong_place(patient.bytes, other, salt);
    } else {
        put_mark(patient.bytes, other, salt);
        put_mark_at_wrong_place(patient.bytes, mark, salt);
    }
    Some(patient.title())
}

pub(crate) fn generation_out_of_range(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any(log, rng)?;
    forge_mark(patient, rng, |mark, _, rng| {
        mark.generation = [0, 1 << 63, u64::MAX, i64::MAX as u64][rng.usize(..4)];
        Some(())
    })
}

pub(crate) fn forget_syncs(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_with(log, rng, 1)?;
    forge_mark(patient, rng, |mark, segment, _| {
        mark.durable = segment.extent(0);
        Some(())
    })
}
