//! Damage within frames, with checksums that fit: payloads that no build wrote, indexes and paddings that are wrong, frames
//! where none may be.

use crate::knife::{Foreign, any_that};
use crate::log_image::LogImage;
use crate::segment_image::frame;
use fastrand::Rng;

/// Gives a frame another payload of the same length.
fn forge_payload(log: &mut LogImage, rng: &mut Rng, change: impl FnOnce(&mut Vec<u8>, &mut Rng)) -> Option<String> {
    let patient = any_that(log, rng, |segment| !segment.frames.is_empty())?;
    let index = rng.usize(..patient.segment.frames.len());
    let mut payload = patient.segment.frames[index].clone();
    change(&mut payload, rng);
    let place = patient.segment.places()[index].clone();
    let bytes = frame(patient.segment.header.salt, u32::try_from(index).ok()?, &payload);
    patient.bytes.get_mut(place)?.copy_from_slice(&bytes);
    let number = patient.segment.numbers().start + index as u64;
    let what = format!("{} record {number}", patient.name);
    log.note(number, &payload);
    Some(what)
}

pub(crate) fn unknown_kind(log: &mut LogImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    forge_payload(log, rng, |payload, rng| payload[0] = rng.u8(7..))
}

pub(crate) fn unknown_version(log: &mut LogImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    forge_payload(log, rng, |payload, rng| payload[1] = rng.u8(2..))
}

pub(crate) fn undecodable(log: &mut LogImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    forge_payload(log, rng, |payload, rng| {
        payload[1] = 1;
        payload[2..].iter_mut().for_each(|byte| *byte = rng.u8(..));
    })
}

pub(crate) fn kind_zero(log: &mut LogImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    forge_payload(log, rng, |payload, rng| payload[rng.usize(..2)] = 0)
}

/// A frame says another place than its own. Who searches behind damage believes it, so its record may get that number.
pub(crate) fn wrong_index(log: &mut LogImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_that(log, rng, |segment| !segment.frames.is_empty())?;
    let index = rng.usize(..patient.segment.frames.len());
    let forged = if rng.bool() { index + rng.usize(1..4) } else { index.saturating_sub(rng.usize(1..4)) };
    let (place, payload) = (patient.segment.places()[index].clone(), patient.segment.frames[index].clone());
    let bytes = frame(patient.segment.header.salt, u32::try_from(forged).ok()?, &payload);
    patient.bytes.get_mut(place)?.copy_from_slice(&bytes);
    let first = patient.segment.numbers().start;
    let what = format!("{} frame {index} says {forged}", patient.name);
    log.note(first + forged as u64, &payload);
    Some(what)
}

pub(crate) fn padding(log: &mut LogImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_that(log, rng, |segment| segment.frames.iter().any(|payload| payload.len() % 4 != 0))?;
    let padded: Vec<_> =
        (0..patient.segment.frames.len()).filter(|index| patient.segment.frames[*index].len() % 4 != 0).collect();
    let index = rng.choice(padded)?;
    let at = patient.segment.places()[index].end - 1;
    *patient.bytes.get_mut(at)? = rng.u8(1..);
    Some(format!("{} at {at}", patient.name))
}

/// The next frame, intact, stands where the segment says that it ends.
pub(crate) fn frame_behind_seal(log: &mut LogImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_that(log, rng, |segment| segment.is_sealed)?;
    let index = patient.segment.frames.len();
    let payload = [200, 1, rng.u8(..)];
    let bytes = frame(patient.segment.header.salt, u32::try_from(index).ok()?, &payload);
    let end = patient.segment.extent(index).end.0 as usize;
    if patient.bytes.len() < end {
        return None;
    }
    patient.bytes.truncate(end);
    patient.bytes.extend(bytes);
    let (name, number) = (patient.name, patient.segment.numbers().end);
    log.note(number, &payload);
    Some(format!("{name} record {number}"))
}

/// The last frame goes on behind the sealed end.
pub(crate) fn frame_across_seal(log: &mut LogImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_that(log, rng, |segment| segment.is_sealed && !segment.frames.is_empty())?;
    let index = patient.segment.frames.len() - 1;
    let mut payload = vec![200, 1];
    payload.resize(patient.segment.frames[index].len() + rng.usize(1..40), 7);
    let bytes = frame(patient.segment.header.salt, u32::try_from(index).ok()?, &payload);
    let start = patient.segment.places()[index].start;
    if patient.bytes.len() < start {
        return None;
    }
    patient.bytes.truncate(start);
    patient.bytes.extend(bytes);
    let (name, number) = (patient.name, patient.segment.numbers().end - 1);
    log.note(number, &payload);
    Some(format!("{name} record {number}"))
}

/// The length of a frame is one that none may have, or that leads anywhere.
pub(crate) fn overlong_length(log: &mut LogImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_that(log, rng, |segment| !segment.frames.is_empty())?;
    let places = patient.segment.places();
    let at = places[rng.usize(..places.len())].start;
    let length = [u32::MAX, 16 * 1024 * 1024 + 1, 16 * 1024 * 1024, rng.u32(1..70_000)][rng.usize(..4)];
    patient.bytes.get_mut(at..at + 4)?.copy_from_slice(&length.to_le_bytes());
    Some(format!("{} at {at}: {length}", patient.name))
}
