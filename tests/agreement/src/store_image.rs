//! A store as a value: the logs of its writers, what lies aside, its database, and what was recorded into it. Pure but for
//! being written to a directory.

use crate::bytes::{Id, id_from, id_text};
use crate::life::Meanings;
use crate::segment_image::SegmentImage;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The name of the file that says which store it is.
pub const STORE_ID_NAME: &str = "store-id";

/// The directories in which folders of writers lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// What is to be folded.
    Wal,
    /// What is folded, and kept for a new database.
    Kept,
    /// What was damaged.
    Quarantine,
}

/// A file of a log.
#[derive(Clone, Debug)]
pub struct FileImage {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What a store wrote there, of whatever store it is; `None` if it is no segment.
    pub segment: Option<SegmentImage>,
}

/// A folder of a writer.
#[derive(Clone, Debug, Default)]
pub struct FolderImage {
    /// The segments and whatever else lies there, by name.
    pub files: BTreeMap<String, FileImage>,
    /// Somebody holds its lock.
    pub is_living: bool,
}

/// A store that nobody folds.
#[derive(Clone, Debug)]
pub struct StoreImage {
    /// Which store it is.
    pub store: Id,
    /// The folders, by name.
    pub folders: BTreeMap<(Place, String), FolderImage>,
    /// Other files, by their path within the store.
    pub others: BTreeMap<PathBuf, Vec<u8>>,
    /// The database's bytes, if there is one.
    pub database: Option<Vec<u8>>,
    /// Which store the database says that it is.
    pub database_store: Option<Id>,
    /// The last number of each writer that the database has folded.
    pub folded: BTreeMap<Id, u64>,
    /// The segment of each writer at which it goes on folding.
    pub places: BTreeMap<Id, u64>,
    /// What each payload means, forged ones too.
    pub meanings: Meanings,
}

/// The locks that are held on folders of writers who live.
#[derive(Debug)]
pub struct Held {
    _locks: Vec<File>,
}

impl Place {
    /// The name of the directory.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wal => "wal",
            Self::Kept => "kept",
            Self::Quarantine => "quarantine",
        }
    }
}

impl FolderImage {
    /// The names of the segments, own and foreign, by ascending id.
    pub fn segment_names(&self) -> Vec<String> {
        self.files.iter().filter(|(_, file)| file.segment.is_some()).map(|(name, _)| name.clone()).collect()
    }

    /// The highest id of a name, plus one.
    pub fn next_id(&self) -> u64 {
        self.files.keys().filter_map(|name| id_of(name)).max().unwrap_or(0) + 1
    }

    /// Adds a segment under its own name.
    pub fn add(&mut self, segment: SegmentImage) {
        let name = name_of(segment.header.segment);
        self.files.insert(name, FileImage { bytes: segment.bytes(), segment: Some(segment) });
    }
}

impl StoreImage {
    /// A store without anything but its id.
    pub fn empty(store: Id, meanings: Meanings) -> Self {
        let others = [(PathBuf::from(STORE_ID_NAME), format!("{}\n", id_text(store)).into_bytes())].into();
        Self {
            store,
            folders: BTreeMap::new(),
            others,
            database: None,
            database_store: None,
            folded: BTreeMap::new(),
            places: BTreeMap::new(),
            meanings,
        }
    }

    /// The last number of a writer that the database has folded.
    pub fn folded_of(&self, writer: Id) -> u64 {
        self.folded.get(&writer).copied().unwrap_or(0)
    }

    /// The folder of a writer in `wal/`, made if there is none.
    pub fn log(&mut self, writer: Id) -> &mut FolderImage {
        self.folders.entry((Place::Wal, id_text(writer))).or_default()
    }

    /// What the file says that tells which store it is, if it says so.
    pub fn file_store(&self) -> Option<Id> {
        id_from(std::str::from_utf8(self.others.get(Path::new(STORE_ID_NAME))?).ok()?.strip_suffix('\n')?)
    }

    /// The folders of logs in a directory, by writer.
    pub fn logs(&self, place: Place) -> impl Iterator<Item = (Id, &FolderImage)> {
        let within = self.folders.iter().filter(move |((other, _), _)| *other == place);
        within.filter_map(|((_, name), folder)| Some((id_from(name)?, folder)))
    }

    /// Writes the store to a directory, which must not exist, and takes the locks of those who live.
    ///
    /// # Panics
    /// The system refuses.
    pub fn write(&self, dir: &Path) -> Held {
        make_dir(dir);
        let mut locks = Vec::new();
        make_dir(&dir.join(Place::Wal.name()));
        for ((place, name), folder) in &self.folders {
            let path = dir.join(place.name()).join(name);
            for dir in [path.parent().expect("a directory"), &path] {
                if !dir.exists() {
                    make_dir(dir);
                }
            }
            for (name, file) in &folder.files {
                write_file(&path.join(name), &file.bytes);
            }
            if folder.is_living {
                let lock = File::open(&path).expect("a folder");
                lock.try_lock().expect("nobody else has it");
                locks.push(lock);
            }
        }
        for (path, bytes) in &self.others {
            write_file(&dir.join(path), bytes);
        }
        if let Some(database) = &self.database {
            write_file(&dir.join("store.db"), database);
        }
        Held { _locks: locks }
    }
}

/// The name of the segment with that id.
pub fn name_of(id: u64) -> String {
    format!("{id:012}.seg")
}

/// The id in the name of a segment, if it is one.
pub fn id_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let id: u64 = digits.parse().ok()?;
    (name_of(id) == name && id > 0).then_some(id)
}

fn make_dir(path: &Path) {
    std::fs::create_dir(path).expect("a directory");
    set_mode(path, 0o700);
}

fn write_file(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("a file");
    set_mode(path, 0o600);
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permissions");
}
