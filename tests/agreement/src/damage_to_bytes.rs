//! Damage to the bytes of a segment: what disks, crashes and accidents do. Nothing here makes a checksum fit.

use crate::bytes::{FRAMES_START, HEADER_BYTES, MARK_BYTES, MARK_PLACES};
use crate::knife::{FolderKey, Foreign, Patient, any, any_that, title};
use crate::store_image::StoreImage;
use fastrand::Rng;

const SECTOR: usize = 512;
const PAGE: usize = 4096;
const FRAMES: usize = FRAMES_START as usize;

/// A byte where one may matter: mostly of a frame, a mark or the header.
fn place(patient: &Patient<'_>, rng: &mut Rng) -> Option<usize> {
    let end = patient.segment.extent(patient.segment.frames.len()).offset as usize;
    let place = match rng.u8(..10) {
        0 | 1 => rng.usize(..HEADER_BYTES),
        2 | 3 => MARK_PLACES[rng.usize(..2)] + rng.usize(..MARK_BYTES),
        4 => rng.usize(..patient.bytes.len().max(1)),
        _ if end > FRAMES => rng.usize(FRAMES..end),
        _ => rng.usize(..FRAMES),
    };
    (place < patient.bytes.len()).then_some(place)
}

pub(crate) fn flip_bit(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any(log, rng)?;
    let (at, bit) = (place(&patient, rng)?, rng.u8(..8));
    patient.bytes[at] ^= 1 << bit;
    Some(format!("{} at {at}, bit {bit}", patient.title()))
}

pub(crate) fn change_byte(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any(log, rng)?;
    let at = place(&patient, rng)?;
    patient.bytes[at] = rng.u8(..);
    Some(format!("{} at {at}", patient.title()))
}

fn zero_block(log: &mut StoreImage, rng: &mut Rng, size: usize) -> Option<String> {
    let patient = any(log, rng)?;
    let at = place(&patient, rng)? / size * size;
    let end = (at + size).min(patient.bytes.len());
    patient.bytes[at..end].fill(0);
    Some(format!("{} at {at}..{end}", patient.title()))
}

pub(crate) fn zero_sector(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    zero_block(log, rng, SECTOR)
}

pub(crate) fn zero_page(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    zero_block(log, rng, PAGE)
}

pub(crate) fn zero_first_page(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    zero_front(log, rng, PAGE)
}

pub(crate) fn zero_header(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    zero_front(log, rng, HEADER_BYTES)
}

fn zero_front(log: &mut StoreImage, rng: &mut Rng, size: usize) -> Option<String> {
    let patient = any(log, rng)?;
    let end = size.min(patient.bytes.len());
    patient.bytes[..end].fill(0);
    Some(patient.title())
}

/// Above the durable ends, any pages did not reach the disk, or the file is shorter; and nobody lives.
pub(crate) fn cut_power(store: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let (percent, mut hurt) = (rng.u8(10..=100), Vec::new());
    for (key, folder) in &mut store.folders {
        folder.is_living = false;
        for (name, file) in &mut folder.files {
            let Some(segment) = &file.segment else { continue };
            let name = title(key, name);
            let durable = segment.extent(segment.durable_frames).offset as usize;
            let is_synced = durable > FRAMES;
            for start in (0..file.bytes.len()).step_by(PAGE) {
                let end = (start + PAGE).min(file.bytes.len());
                let start = start.max(if is_synced { durable } else { 0 });
                if start < end && rng.u8(..100) < percent && file.bytes[start..end].iter().any(|byte| *byte != 0) {
                    file.bytes[start..end].fill(0);
                    hurt.push(format!("{name} at {start}..{end}"));
                }
            }
            if durable < file.bytes.len() && !is_synced && rng.u8(..100) < percent / 4 {
                let end = rng.usize(..file.bytes.len() / PAGE + 1) * PAGE;
                file.bytes.truncate(end);
                hurt.push(format!("{name} cut to {end}"));
            }
        }
    }
    (!hurt.is_empty()).then(|| hurt.join(", "))
}

pub(crate) fn garbage_among_frames(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_that(log, rng, |segment| !segment.frames.is_empty())?;
    let at = place(&patient, rng)?.max(FRAMES);
    let end = (at + rng.usize(1..400)).min(patient.bytes.len());
    patient.bytes.get_mut(at..end)?.iter_mut().for_each(|byte| *byte = rng.u8(..));
    Some(format!("{} at {at}..{end}", patient.title()))
}

pub(crate) fn swap_sectors(store: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let mut pick = || {
        let patient = any(store, rng)?;
        let at = place(&patient, rng)? / SECTOR * SECTOR;
        let bytes = patient.bytes.get(at..at + SECTOR)?.to_vec();
        Some((patient.folder, patient.name, at, bytes))
    };
    let (one, other) = (pick()?, pick()?);
    for ((folder, name, at, _), (.., bytes)) in [(&one, &other), (&other, &one)] {
        store.folders.get_mut(folder)?.files.get_mut(name)?.bytes[*at..at + SECTOR].copy_from_slice(bytes);
    }
    let title =
        |(folder, name, at, _): &(FolderKey, String, usize, Vec<u8>)| format!("{} at {at}", title(folder, name));
    Some(format!("{} and {}", title(&one), title(&other)))
}

pub(crate) fn flip_header_field(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    flip_in(log, rng, &[0, 10, 12, 16, 32, 48, 56, 64, 72, 92])
}

pub(crate) fn flip_version(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    flip_in(log, rng, &[8, 9])
}

fn flip_in(log: &mut StoreImage, rng: &mut Rng, places: &[usize]) -> Option<String> {
    let patient = any(log, rng)?;
    let (at, bit) = (places[rng.usize(..places.len())], rng.u8(..8));
    *patient.bytes.get_mut(at)? ^= 1 << bit;
    Some(format!("{} at {at}, bit {bit}", patient.title()))
}

/// The length of a frame is 0, and its other bytes stay.
pub(crate) fn zero_length(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any_that(log, rng, |segment| !segment.frames.is_empty())?;
    let places = patient.segment.places();
    let at = places[rng.usize(..places.len())].start;
    patient.bytes.get_mut(at..at + 4)?.fill(0);
    Some(format!("{} at {at}", patient.title()))
}

pub(crate) fn few_bytes_at_end(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any(log, rng)?;
    // An open segment ends with zeros: it is cut first.
    let end = patient.segment.extent(patient.segment.frames.len()).offset as usize;
    if rng.bool() {
        patient.bytes.truncate(end);
    }
    let byte = if rng.bool() { 0 } else { rng.u8(..) };
    let count = rng.usize(1..4);
    patient.bytes.extend(std::iter::repeat_n(byte, count));
    Some(format!("{count} of {byte:#04x} behind {}", patient.title()))
}

pub(crate) fn garbage_behind_end(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    garbage(log, rng, false)
}

/// Zeros lie between the end and the garbage.
pub(crate) fn garbage_far_behind_end(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    garbage(log, rng, true)
}

fn garbage(log: &mut StoreImage, rng: &mut Rng, is_far: bool) -> Option<String> {
    let patient = any(log, rng)?;
    let end = patient.segment.extent(patient.segment.frames.len()).offset as usize;
    let at = end + if is_far { rng.usize(1..1000) } else { 0 };
    let count = rng.usize(1..100);
    if patient.bytes.len() < at + count {
        patient.bytes.resize(at + count, 0);
    }
    patient.bytes[at..at + count].iter_mut().for_each(|byte| *byte = rng.u8(1..));
    Some(format!("{} at {at}, {count} bytes", patient.title()))
}

fn cut(log: &mut StoreImage, rng: &mut Rng, length: impl FnOnce(&Patient<'_>, &mut Rng) -> usize) -> Option<String> {
    let patient = any(log, rng)?;
    let length = length(&patient, rng);
    if length >= patient.bytes.len() {
        return None;
    }
    patient.bytes.truncate(length);
    Some(format!("{} to {length}", patient.title()))
}

pub(crate) fn cut_anywhere(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    cut(log, rng, |patient, rng| rng.usize(..=patient.segment.extent(patient.segment.frames.len()).offset as usize))
}

pub(crate) fn cut_at_frame(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    cut(log, rng, |patient, rng| patient.segment.extent(rng.usize(..=patient.segment.frames.len())).offset as usize)
}

pub(crate) fn cut_below_page(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    cut(log, rng, |_, rng| rng.usize(HEADER_BYTES..PAGE))
}

pub(crate) fn cut_below_header(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    cut(log, rng, |_, rng| rng.usize(1..HEADER_BYTES))
}

pub(crate) fn cut_to_nothing(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    cut(log, rng, |_, _| 0)
}

pub(crate) fn zero_all(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any(log, rng)?;
    patient.bytes.fill(0);
    Some(patient.title())
}

pub(crate) fn lengthen(log: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let patient = any(log, rng)?;
    let by = rng.usize(1..10_000);
    patient.bytes.resize(patient.bytes.len() + by, 0);
    Some(format!("{} by {by}", patient.title()))
}
