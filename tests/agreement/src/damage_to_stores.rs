//! Damage to a store as a whole: its id, its database, its folders.

use crate::bytes::id_text;
use crate::knife::{Foreign, any_log, title};
use crate::segment_image::SegmentImage;
use crate::store_image::{FileImage, FolderImage, Place, STORE_ID_NAME, StoreImage, name_of};
use fastrand::Rng;
use std::path::{Path, PathBuf};

pub(crate) fn remove_database(store: &mut StoreImage, _: &mut Rng, _: &Foreign) -> Option<String> {
    store.folded.clear();
    store.places.clear();
    store.database_store = None;
    store.database.take().map(|_| String::new())
}

pub(crate) fn other_database(store: &mut StoreImage, rng: &mut Rng, foreign: &Foreign) -> Option<String> {
    let recording = &foreign.0[rng.usize(..foreign.0.len())];
    let stage = recording.stages.last()?;
    (store.folded, store.database) = (stage.folded.clone(), Some(stage.database().to_vec()));
    store.database_store = Some(recording.store);
    store.places = stage.places().clone();
    Some(id_text(recording.store))
}

pub(crate) fn remove_store_id(store: &mut StoreImage, _: &mut Rng, _: &Foreign) -> Option<String> {
    store.others.remove(Path::new(STORE_ID_NAME)).map(|_| String::new())
}

pub(crate) fn mangle_store_id(store: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let bytes = store.others.get_mut(Path::new(STORE_ID_NAME))?;
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

pub(crate) fn other_store_id(store: &mut StoreImage, rng: &mut Rng, foreign: &Foreign) -> Option<String> {
    let other = foreign.0[rng.usize(..foreign.0.len())].store;
    *store.others.get_mut(Path::new(STORE_ID_NAME))? = format!("{}\n", id_text(other)).into_bytes();
    Some(id_text(other))
}

/// A whole folder of another store.
pub(crate) fn add_folder_of_other_store(store: &mut StoreImage, rng: &mut Rng, foreign: &Foreign) -> Option<String> {
    let recording = &foreign.0[rng.usize(..foreign.0.len())];
    let log = &recording.logs[rng.usize(..recording.logs.len())];
    let segments: Vec<SegmentImage> = log.segments.clone();
    let folder = store.log(log.writer);
    segments.into_iter().for_each(|segment| folder.add(segment));
    Some(log.name())
}

/// A folder under another writer's name as well.
pub(crate) fn double_folder(store: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let key = any_log(store, rng)?;
    let copy = FolderImage { is_living: false, ..store.folders[&key].clone() };
    let name = id_text(rng.u128(..).to_be_bytes());
    store.folders.insert((Place::Wal, name.clone()), copy);
    Some(format!("{} as {name}", key.1))
}

pub(crate) fn remove_folder(store: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let key = any_log(store, rng)?;
    store.folders.remove(&key);
    Some(key.1)
}

/// A folder whose name is no writer id.
pub(crate) fn rename_folder(store: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let key = any_log(store, rng)?;
    let name = match rng.u8(..4) {
        0 => key.1.to_ascii_uppercase(),
        1 => key.1.replace('-', ""),
        2 => format!("{}.bak", key.1),
        _ => "old".to_owned(),
    };
    let folder = store.folders.remove(&key)?;
    let files = folder.files.into_iter().map(|(name, file)| (name, FileImage { segment: None, ..file })).collect();
    store.folders.insert((Place::Wal, name.clone()), FolderImage { files, is_living: folder.is_living });
    Some(format!("{} to {name}", key.1))
}

pub(crate) fn empty_folder(store: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let name = id_text(rng.u128(..).to_be_bytes());
    store.folders.insert((Place::Wal, name.clone()), FolderImage { files: Default::default(), is_living: rng.bool() });
    Some(name)
}

/// A file that an earlier build would have made: a segment, or the file that says whose log it is.
pub(crate) fn old_layout(store: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let (name, bytes) = match rng.bool() {
        true => (name_of(rng.u64(1..4)), vec![0; 4096]),
        false => ("writer-id".to_owned(), format!("{}\n", id_text(store.store)).into_bytes()),
    };
    store.others.insert(PathBuf::from(Place::Wal.name()).join(&name), bytes);
    Some(name)
}

/// The folder that keeps a writer's segments has one that lies in the log as well.
pub(crate) fn kept_twice(store: &mut StoreImage, rng: &mut Rng, _: &Foreign) -> Option<String> {
    let key = any_log(store, rng)?;
    let names = store.folders[&key].segment_names();
    let name = rng.choice(names)?;
    let file = store.folders[&key].files[&name].clone();
    let place = if rng.bool() { Place::Kept } else { Place::Quarantine };
    let aside = (place, key.1.clone());
    store.folders.entry(aside.clone()).or_default().files.insert(name.clone(), file);
    Some(title(&aside, &name))
}
