//! Damage to the files of a store as wholes: removed, doubled, renamed, strayed from elsewhere.

use crate::knife::{Foreign, any};
use crate::log_image::{FileImage, LogImage, WRITER_ID_NAME, name_of};
use crate::segment_image::SegmentImage;
use fastrand::Rng;
use mcplog::position::SegmentId;

pub(crate) fn remove(log: &mut LogImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let name = any(log, rng)?.name;
    log.files.remove(&name);
    Some(name)
}

pub(crate) fn remove_several(log: &mut LogImage, rng: &mut Rng, foreign: &Foreign) -> Option<String> {
    let removed: Vec<_> = (0..rng.u8(2..4)).filter_map(|_| remove(log, rng, foreign)).collect();
    (!removed.is_empty()).then(|| removed.join(", "))
}

/// An id that no file has: behind all, or between them.
fn free_id(log: &LogImage, rng: &mut Rng) -> u64 {
    let next = log.next_id();
    let free: Vec<_> = (1..next).filter(|id| !log.files.contains_key(&name_of(*id))).collect();
    match rng.choice(free) {
        Some(id) if rng.bool() => id,
        _ => next + rng.u64(..3),
    }
}

pub(crate) fn double(log: &mut LogImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let name = any(log, rng)?.name;
    let copy = name_of(free_id(log, rng));
    let file = log.files[&name].clone();
    log.files.insert(copy.clone(), file);
    Some(format!("{name} as {copy}"))
}

pub(crate) fn double_forged(log: &mut LogImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let name = any(log, rng)?.name;
    let id = free_id(log, rng);
    let mut segment = log.files[&name].segment.clone()?;
    segment.header.segment_id = SegmentId(id);
    log.add(segment);
    Some(format!("{name} as {}", name_of(id)))
}

pub(crate) fn rename(log: &mut LogImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let name = any(log, rng)?.name;
    let to = match rng.u8(..6) {
        0 => name.replace(".seg", ".bak"),
        1 => name.trim_start_matches('0').to_owned(),
        _ => name_of(free_id(log, rng)),
    };
    let mut file = log.files.remove(&name)?;
    if mcplog::segment::directory::parse_file_name(&to).is_none() {
        file.segment = None;
    }
    log.files.insert(to.clone(), file);
    Some(format!("{name} to {to}"))
}

pub(crate) fn swap_names(log: &mut LogImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let (one, other) = (any(log, rng)?.name, any(log, rng)?.name);
    if one == other {
        return None;
    }
    let (one_file, other_file) = (log.files.remove(&one)?, log.files.remove(&other)?);
    log.files.insert(one.clone(), other_file);
    log.files.insert(other.clone(), one_file);
    Some(format!("{one} and {other}"))
}

fn add_stray(log: &mut LogImage, rng: &mut Rng, stray: &SegmentImage, id: u64) -> String {
    let mut segment = stray.clone();
    // Most strays keep their own name; it must be free then.
    segment.header.segment_id = SegmentId(id);
    if rng.u8(..5) == 0 {
        segment.is_sealed = false;
        segment.file_bytes = 64 * 1024;
    }
    log.add(segment);
    name_of(id)
}

pub(crate) fn add_foreign(log: &mut LogImage, rng: &mut Rng, foreign: &Foreign) -> Option<String> {
    let recording = &foreign.0[rng.usize(..foreign.0.len())];
    let stray = &recording.segments[rng.usize(..recording.segments.len())];
    let id = free_id(log, rng);
    Some(add_stray(log, rng, stray, id))
}

pub(crate) fn add_foreign_newest(log: &mut LogImage, rng: &mut Rng, foreign: &Foreign) -> Option<String> {
    let recording = &foreign.0[rng.usize(..foreign.0.len())];
    let stray = &recording.segments[rng.usize(..recording.segments.len())];
    let id = log.next_id();
    Some(add_stray(log, rng, stray, id))
}

/// As many as a store has, or more.
pub(crate) fn add_foreign_many(log: &mut LogImage, rng: &mut Rng, foreign: &Foreign) -> Option<String> {
    let recording = &foreign.0[rng.usize(..foreign.0.len())];
    let names: Vec<_> = (0..rng.usize(2..7))
        .map(|index| {
            let stray = &recording.segments[index % recording.segments.len()];
            let id = free_id(log, rng);
            add_stray(log, rng, stray, id)
        })
        .collect();
    Some(names.join(", "))
}

pub(crate) fn add_foreign_of_two(log: &mut LogImage, rng: &mut Rng, foreign: &Foreign) -> Option<String> {
    let names: Vec<_> = foreign
        .0
        .iter()
        .map(|recording| {
            let stray = &recording.segments[rng.usize(..recording.segments.len())];
            let id = free_id(log, rng);
            add_stray(log, rng, stray, id)
        })
        .collect();
    Some(names.join(", "))
}

pub(crate) fn replace_by_foreign(log: &mut LogImage, rng: &mut Rng, foreign: &Foreign) -> Option<String> {
    let name = any(log, rng)?.name;
    let id = mcplog::segment::directory::parse_file_name(&name)?.0;
    let recording = &foreign.0[rng.usize(..foreign.0.len())];
    let stray = &recording.segments[rng.usize(..recording.segments.len())];
    Some(add_stray(log, rng, stray, id))
}

pub(crate) fn add_text(log: &mut LogImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let name = name_of(free_id(log, rng));
    let bytes = "This is no segment.\n".repeat(rng.usize(..400)).into_bytes();
    log.files.insert(name.clone(), FileImage { bytes, segment: None });
    Some(name)
}

pub(crate) fn add_zeros(log: &mut LogImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let name = name_of(free_id(log, rng));
    log.files.insert(name.clone(), FileImage { bytes: vec![0; rng.usize(..70_000)], segment: None });
    Some(name)
}

pub(crate) fn remove_writer_id(log: &mut LogImage, _: &mut Rng, _: &Foreign) -> Option<String> {
    log.files.remove(WRITER_ID_NAME).map(|_| String::new())
}

pub(crate) fn mangle_writer_id(log: &mut LogImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let bytes = &mut log.files.get_mut(WRITER_ID_NAME)?.bytes;
    let what = match rng.u8(..6) {
        0 => {
            bytes.clear();
            "nothing"
        }
        1 => {
            bytes.truncate(rng.usize(1..36));
            "cut"
        }
        2 => {
            bytes.make_ascii_uppercase();
            "upper-case"
        }
        3 => {
            bytes.pop();
            "no line feed"
        }
        4 => {
            bytes.fill(0);
            "zeros"
        }
        _ => {
            let at = rng.usize(..bytes.len());
            bytes[at] = b'z';
            "one character"
        }
    };
    Some(what.to_owned())
}

pub(crate) fn foreign_writer_id(log: &mut LogImage, rng: &mut Rng, foreign: &Foreign) -> Option<String> {
    let writer_id = foreign.0[rng.usize(..foreign.0.len())].writer_id;
    log.files.get_mut(WRITER_ID_NAME)?.bytes = format!("{writer_id}\n").into_bytes();
    Some(writer_id.to_string())
}

pub(crate) fn remove_database(log: &mut LogImage, _: &mut Rng, _: &Foreign) -> Option<String> {
    log.folded = 0;
    log.database.take().map(|_| String::new())
}

pub(crate) fn foreign_database(log: &mut LogImage, rng: &mut Rng, foreign: &Foreign) -> Option<String> {
    let recording = &foreign.0[rng.usize(..foreign.0.len())];
    let (folded, database) = recording.databases.last_key_value()?;
    (log.folded, log.database) = (*folded, Some(database.clone()));
    Some(recording.writer_id.to_string())
}
