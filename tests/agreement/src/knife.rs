//! What every kind of damage takes in hand: the store, a segment of it, and other stores. Pure.

use crate::recording::Recording;
use crate::segment_image::SegmentImage;
use crate::store_image::{FolderImage, Place, StoreImage};
use fastrand::Rng;
use std::sync::Arc;

/// Hurts a store; tells where, or `None` if there is nothing to hurt in that way.
pub type Hurt = fn(&mut StoreImage, &mut Rng, &Foreign) -> Option<String>;

/// Other stores, from which segments stray.
#[derive(Clone, Debug)]
pub struct Foreign(pub Vec<Arc<Recording>>);

/// Where a folder lies: the key of a store's folders.
pub(crate) type FolderKey = (Place, String);

/// A segment's file under the knife.
pub(crate) struct Patient<'a> {
    pub(crate) folder: FolderKey,
    pub(crate) name: String,
    pub(crate) bytes: &'a mut Vec<u8>,
    pub(crate) segment: &'a mut SegmentImage,
}

impl Patient<'_> {
    /// Which one it is, for people.
    pub(crate) fn title(&self) -> String {
        title(&self.folder, &self.name)
    }
}

/// A file of a folder, for people.
pub(crate) fn title((place, folder): &FolderKey, name: &str) -> String {
    format!("{}/{folder}/{name}", place.name())
}

/// Any segment of the logs.
pub(crate) fn any<'a>(store: &'a mut StoreImage, rng: &mut Rng) -> Option<Patient<'a>> {
    any_that(store, rng, |_| true)
}

/// Any segment of the logs of which something is so; now and then one that lies aside.
pub(crate) fn any_that<'a>(
    store: &'a mut StoreImage,
    rng: &mut Rng,
    is_so: impl Fn(&SegmentImage) -> bool,
) -> Option<Patient<'a>> {
    let is_aside = rng.u8(..16) == 0;
    let fits = |folder: &FolderImage, name: &String| folder.files[name].segment.as_ref().is_some_and(&is_so);
    let folders = store.folders.iter().filter(|((place, _), _)| (*place != Place::Wal) == is_aside);
    let segments: Vec<_> = folders
        .flat_map(|(key, folder)| folder.segment_names().into_iter().map(move |name| (key.clone(), folder, name)))
        .filter(|(_, folder, name)| fits(folder, name))
        .map(|(key, _, name)| (key, name))
        .collect();
    let (folder, name) = rng.choice(segments)?;
    let file = store.folders.get_mut(&folder)?.files.get_mut(&name)?;
    let segment = file.segment.as_mut()?;
    Some(Patient { folder, name, bytes: &mut file.bytes, segment })
}

/// Any folder of a log.
pub(crate) fn any_log(store: &StoreImage, rng: &mut Rng) -> Option<FolderKey> {
    let logs = store.folders.iter().filter(|((place, name), _)| *place == Place::Wal && !name.starts_with('.'));
    rng.choice(logs.map(|(key, _)| key.clone()).collect::<Vec<_>>())
}
