//! Damage within frames, with checksums that fit: payloads that no build wrote, indexes and paddings that are wrong, frames
//! where none may be.

use crate::bytes::frame;
use crate::knife::{Foreign, any_that};
use crate::life::{Meaning, UNKNOWN_KIND};
use crate::store_image::StoreImage;
use fastrand::Rng;

/// Gives a frame another payload of the same length, which means something else.
fn forge_payload(
    log: &mut StoreImage,
    rng: &mut Rng,
    meaning: Meaning,
    change: impl FnOnce(&mut Vec<u8>, &mut Rng),
) -> Option<String> {
    let patient = any_that(log, rng, |segment| !segment.frames.is_empty())?;
    let index = rng.usize(..patient.segment.frames.len());
    let mut payload = patient.segment.frames[index].clone();
    change(&mut payload, rng);
    let place = patient.segment.places()[index].clone();
    let bytes = frame(patient.segment.header.salt, u32::try_from(index).ok()?, &payload);
    patient.bytes.get_mut(place)?.copy_from_slice(&bytes);
    patient.segment.frames[index] = payload.clone();
    let what = format!("{} frame {index}", patient.title());
    log.meanings.insert(payload, meaning);
    Some(what)
}

pub(crate) fn unknown_kind(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    forge_payload(log, rng, Meaning::Newer, |payload, rng| payload[0] = rng.u8(9..))
}

pub(crate) fn unknown_version(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    forge_payload(log, rng, Meaning::Newer, |payload, rng| payload[1] = rng.u8(2..))
}

/// No flags, length, number or text of any kind begins with such bytes.
pub(crate) fn undecodable(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    forge_payload(log, rng, Meaning::Undecodable, |payload, rng| {
        payload[0] = rng.u8(1..=8);
        payload[1] = 1;
        payload[2..].fill(0xff);
    })
}

pub(crate) fn kind_zero(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    forge_payload(log, rng, Meaning::Undecodable, |payload, rng| payload[rng.usize(..2)] = 0)
}

/// A frame says another place than its own. Who searches behind damage believes it.
pub(crate) fn wrong_index(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_that(log, rng, |segment| !segment.frames.is_empty())?;
    let index = rng.usize(..patient.segment.frames.len());
    let forged = if rng.bool() { index + rng.usize(1..4) } else { index.saturating_sub(rng.usize(1..4)) };
    let (place, payload) = (patient.segment.places()[index].clone(), patient.segment.frames[index].clone());
    let bytes = frame(patient.segment.header.salt, u32::try_from(forged).ok()?, &payload);
    patient.bytes.get_mut(place)?.copy_from_slice(&bytes);
    Some(format!("{} frame {index} says {forged}", patient.title()))
}

pub(crate) fn padding(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_that(log, rng, |segment| segment.frames.iter().any(|payload| payload.len() % 4 != 0))?;
    let padded: Vec<_> =
        (0..patient.segment.frames.len()).filter(|index| patient.segment.frames[*index].len() % 4 != 0).collect();
    let index = rng.choice(padded)?;
    let at = patient.segment.places()[index].end - 1;
    *patient.bytes.get_mut(at)? = rng.u8(1..);
    Some(format!("{} at {at}", patient.title()))
}

/// The next frame, intact, stands where the segment says that it ends.
pub(crate) fn frame_behind_seal(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_that(log, rng, |segment| segment.is_sealed)?;
    let index = patient.segment.frames.len();
    let payload = vec![UNKNOWN_KIND, 1, rng.u8(..)];
    let bytes = frame(patient.segment.header.salt, u32::try_from(index).ok()?, &payload);
    let end = patient.segment.extent(index).offset as usize;
    if patient.bytes.len() < end {
        return None;
    }
    patient.bytes.truncate(end);
    patient.bytes.extend(bytes);
    let what = patient.title();
    log.meanings.insert(payload, Meaning::Newer);
    Some(what)
}

/// The last frame goes on behind the sealed end.
pub(crate) fn frame_across_seal(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_that(log, rng, |segment| segment.is_sealed && !segment.frames.is_empty())?;
    let index = patient.segment.frames.len() - 1;
    let mut payload = vec![UNKNOWN_KIND, 1];
    payload.resize(patient.segment.frames[index].len() + rng.usize(1..40), 7);
    let bytes = frame(patient.segment.header.salt, u32::try_from(index).ok()?, &payload);
    let start = patient.segment.places()[index].start;
    if patient.bytes.len() < start {
        return None;
    }
    patient.bytes.truncate(start);
    patient.bytes.extend(bytes);
    patient.segment.frames[index] = payload.clone();
    let what = patient.title();
    log.meanings.insert(payload, Meaning::Newer);
    Some(what)
}

/// The length of a frame is one that none may have, or that leads anywhere.
pub(crate) fn overlong_length(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_that(log, rng, |segment| !segment.frames.is_empty())?;
    let places = patient.segment.places();
    let at = places[rng.usize(..places.len())].start;
    let length = [u32::MAX, 16 * 1024 * 1024 + 1, 16 * 1024 * 1024, rng.u32(1..70_000)][rng.usize(..4)];
    patient.bytes.get_mut(at..at + 4)?.copy_from_slice(&length.to_le_bytes());
    Some(format!("{} at {at}: {length}", patient.title()))
}
