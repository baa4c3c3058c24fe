//! Damage to the files of a log as wholes: removed, doubled, renamed, strayed from elsewhere.

use crate::bytes::Id;
use crate::knife::{FolderKey, Foreign, any, any_log, title};
use crate::segment_image::{FULL_BYTES, SegmentImage};
use crate::store_image::{FileImage, FolderImage, StoreImage, id_of, name_of};
use fastrand::Rng;

pub(crate) fn remove(store: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let (folder, name) = pick(store, rng)?;
    store.folders.get_mut(&folder)?.files.remove(&name);
    Some(title(&folder, &name))
}

pub(crate) fn remove_several(store: &mut StoreImage, rng: &mut Rng, foreign: &Foreign) -> Option<String> {
    let removed: Vec<_> = (0..rng.u8(2..4)).filter_map(|_| remove(store, rng, foreign)).collect();
    (!removed.is_empty()).then(|| removed.join(", "))
}

fn pick(store: &mut StoreImage, rng: &mut Rng) -> Option<(FolderKey, String)> {
    let patient = any(store, rng)?;
    Some((patient.folder, patient.name))
}

/// An id that no file has: behind all, or between them.
fn free_id(folder: &FolderImage, rng: &mut Rng) -> u64 {
    let next = folder.next_id();
    let free: Vec<_> = (1..next).filter(|id| !folder.files.contains_key(&name_of(*id))).collect();
    match rng.choice(free) {
        Some(id) if rng.bool() => id,
        _ => next + rng.u64(..3),
    }
}

pub(crate) fn double(store: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let (key, name) = pick(store, rng)?;
    let folder = store.folders.get_mut(&key)?;
    let copy = name_of(free_id(folder, rng));
    let file = folder.files[&name].clone();
    folder.files.insert(copy.clone(), file);
    Some(format!("{} as {copy}", title(&key, &name)))
}

pub(crate) fn double_forged(store: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let (key, name) = pick(store, rng)?;
    let folder = store.folders.get_mut(&key)?;
    let id = free_id(folder, rng);
    let mut segment = folder.files[&name].segment.clone()?;
    segment.header.segment = id;
    folder.add(segment);
    Some(format!("{} as {}", title(&key, &name), name_of(id)))
}

pub(crate) fn rename(store: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let (key, name) = pick(store, rng)?;
    let folder = store.folders.get_mut(&key)?;
    let to = match rng.u8(..6) {
        0 => name.replace(".seg", ".bak"),
        1 => name.trim_start_matches('0').to_owned(),
        _ => name_of(free_id(folder, rng)),
    };
    let mut file = folder.files.remove(&name)?;
    if id_of(&to).is_none() {
        file.segment = None;
    }
    folder.files.insert(to.clone(), file);
    Some(format!("{} to {to}", title(&key, &name)))
}

pub(crate) fn swap_names(store: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let (one, other) = (pick(store, rng)?, pick(store, rng)?);
    if one == other {
        return None;
    }
    let take =
        |store: &mut StoreImage, (key, name): &(FolderKey, String)| store.folders.get_mut(key)?.files.remove(name);
    let (one_file, other_file) = (take(store, &one)?, take(store, &other)?);
    for ((key, name), file) in [(&one, other_file), (&other, one_file)] {
        store.folders.get_mut(key)?.files.insert(name.clone(), file);
    }
    Some(format!("{} and {}", title(&one.0, &one.1), title(&other.0, &other.1)))
}

/// Puts a segment into a log under an id of that log.
fn add_stray(folder: &mut FolderImage, rng: &mut Rng, stray: &SegmentImage, id: u64) -> String {
    let mut segment = stray.clone();
    segment.header.segment = id;
    if rng.u8(..5) == 0 {
        (segment.is_sealed, segment.file_bytes) = (false, FULL_BYTES);
    }
    folder.add(segment);
    name_of(id)
}

/// Any segment of another store.
fn stray_of<'a>(foreign: &'a Foreign, rng: &mut Rng) -> &'a SegmentImage {
    let recording = &foreign.0[rng.usize(..foreign.0.len())];
    let log = &recording.logs[rng.usize(..recording.logs.len())];
    &log.segments[rng.usize(..log.segments.len())]
}

pub(crate) fn add_of_other_store(store: &mut StoreImage, rng: &mut Rng, foreign: &Foreign) -> Option<String> {
    let key = any_log(store, rng)?;
    let (stray, folder) = (stray_of(foreign, rng), store.folders.get_mut(&key)?);
    let id = free_id(folder, rng);
    Some(title(&key, &add_stray(folder, rng, stray, id)))
}

/// Behind all others.
pub(crate) fn add_of_other_store_newest(store: &mut StoreImage, rng: &mut Rng, foreign: &Foreign) -> Option<String> {
    let key = any_log(store, rng)?;
    let (stray, folder) = (stray_of(foreign, rng), store.folders.get_mut(&key)?);
    let id = folder.next_id();
    Some(title(&key, &add_stray(folder, rng, stray, id)))
}

pub(crate) fn replace_by_other_store(store: &mut StoreImage, rng: &mut Rng, foreign: &Foreign) -> Option<String> {
    let (key, name) = pick(store, rng)?;
    let id = id_of(&name)?;
    let (stray, folder) = (stray_of(foreign, rng), store.folders.get_mut(&key)?);
    Some(title(&key, &add_stray(folder, rng, stray, id)))
}

/// A segment of this store, and of another writer than the folder's.
pub(crate) fn add_of_other_writer(store: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let mut stray = any(store, rng)?.segment.clone();
    let writer: Id = rng.u128(..).to_be_bytes();
    if rng.bool() {
        stray.header.writer = writer;
    }
    let key = any_log(store, rng)?;
    let folder = store.folders.get_mut(&key)?;
    let id = free_id(folder, rng);
    Some(title(&key, &add_stray(folder, rng, &stray, id)))
}

pub(crate) fn add_text(store: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let bytes = "This is no segment.\n".repeat(rng.usize(..400)).into_bytes();
    add_bytes(store, rng, bytes)
}

pub(crate) fn add_zeros(store: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let bytes = vec![0; rng.usize(..70_000)];
    add_bytes(store, rng, bytes)
}

fn add_bytes(store: &mut StoreImage, rng: &mut Rng, bytes: Vec<u8>) -> Option<String> {
    let key = any_log(store, rng)?;
    let folder = store.folders.get_mut(&key)?;
    let name = name_of(free_id(folder, rng));
    folder.files.insert(name.clone(), FileImage { bytes, segment: None });
    Some(title(&key, &name))
}
