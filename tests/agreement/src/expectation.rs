//! What the model expects of everybody: of who reads a store's logs, who folds them, who makes a new database. Pure.

use crate::bytes::{Header, Id, VERSION, id_text};
use crate::model_log::{LogModel, Question};
use crate::model_segment::{FileState, read};
use crate::store_image::{FolderImage, Place, StoreImage, id_of};
use std::collections::BTreeMap;

/// The logs of a store, by the names of their folders.
pub type Logs = BTreeMap<String, LogModel>;

/// What is expected.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// Which store it is; `None` where nobody can say.
    pub store: Option<Id>,
    /// It is of an earlier layout, or nobody can say which store it is: nothing is touched.
    pub is_refused: bool,
    /// The database is another store's: nothing is folded.
    pub has_foreign_database: bool,
    /// Of who reads what lies in `wal/`, and knows what is folded.
    pub read: Logs,
    /// Of who reads what lies in `wal/`, and knows nothing of what is folded.
    pub read_unknowing: Logs,
    /// Of who folds what lies in `wal/`, from where the database says.
    pub folded: Logs,
    /// Of who would fold it, and looks at everything.
    pub folded_whole: Logs,
    /// Of who makes a new database from what lies anywhere.
    pub rebuilt: Logs,
}

impl Expectation {
    /// What is expected of a store.
    pub fn of(store: &StoreImage) -> Self {
        let found = told_store(store);
        let id = found.unwrap_or(store.store);
        let logs = |folded: Option<&BTreeMap<Id, u64>>, is_folding: bool, goes_on: bool| {
            let log = |(writer, folder): (Id, &FolderImage)| {
                let folded = folded.map(|folded| folded.get(&writer).copied().unwrap_or(0));
                // Who folds goes on where the database says; who reads looks at everything.
                let from_segment = store.places.get(&writer).copied().filter(|_| goes_on).unwrap_or(0);
                let question =
                    Question { store: id, writer, folded, is_folding, from_segment, meanings: &store.meanings };
                (id_text(writer), LogModel::of(folder, question))
            };
            store.logs(Place::Wal).map(log).collect::<Logs>()
        };
        let has_database = store.database.is_some();
        Self {
            store: found,
            is_refused: found.is_none() || has_earlier_layout(store),
            has_foreign_database: has_database && store.database_store != found,
            read: logs(has_database.then_some(&store.folded), false, false),
            read_unknowing: logs(None, false, false),
            folded: logs(has_database.then_some(&store.folded), true, true),
            folded_whole: logs(Some(&store.folded), true, false),
            rebuilt: rebuilt(store, id),
        }
    }

    /// How many records are lost for who reads and knows what is folded.
    pub fn lost(&self) -> u64 {
        self.read.values().map(|log| log.lost.count()).sum()
    }
}

/// Each writer's segments, wherever they lie, as one log.
fn rebuilt(store: &StoreImage, id: Id) -> Logs {
    let mut files: BTreeMap<Id, Vec<(u64, String, FileState)>> = BTreeMap::new();
    let mut living = BTreeMap::new();
    for place in [Place::Wal, Place::Kept, Place::Quarantine] {
        for (writer, folder) in store.logs(place) {
            *living.entry(writer).or_insert(false) |= folder.is_living;
            for (name, file) in &folder.files {
                if let Some(number) = id_of(name) {
                    let state = read(&file.bytes, number, id, writer);
                    files.entry(writer).or_default().push((number, format!("{}/{name}", place.name()), state));
                }
            }
        }
    }
    let log = |(writer, files): (Id, Vec<_>)| {
        let question =
            Question { store: id, writer, folded: None, is_folding: true, from_segment: 0, meanings: &store.meanings };
        (id_text(writer), LogModel::of_files(files, living[&writer], question))
    };
    files.into_iter().map(log).collect()
}

fn has_earlier_layout(store: &StoreImage) -> bool {
    store.others.keys().any(|path| path.starts_with(Place::Wal.name()))
}

/// Which store it is: by the file, the database, or most of the logs; a new one where nothing says it.
fn told_store(store: &StoreImage) -> Option<Id> {
    if let Some(id) = store.file_store().or(store.database_store) {
        return Some(id);
    }
    let mut votes: BTreeMap<Id, usize> = BTreeMap::new();
    for (_, folder) in [Place::Wal, Place::Kept, Place::Quarantine].into_iter().flat_map(|place| store.logs(place)) {
        if let Some(header) = first_header(folder) {
            *votes.entry(header.store).or_default() += 1;
        }
    }
    let most = votes.values().max().copied();
    let mut first = votes.iter().filter(|(_, count)| Some(**count) == most);
    match (first.next(), first.next()) {
        (Some(_), Some(_)) => None,
        (Some((id, _)), None) => Some(*id),
        _ => Some(store.store),
    }
}

/// The first header of a folder that says something.
fn first_header(folder: &FolderImage) -> Option<Header> {
    let mut files: Vec<_> = folder.files.iter().filter_map(|(name, file)| Some((id_of(name)?, file))).collect();
    files.sort_by_key(|(id, _)| *id);
    files.into_iter().find_map(|(_, file)| {
        let header = Header::decode(file.bytes.first_chunk()?)?;
        let is_sound = !matches!(
            read(&file.bytes, header.segment, header.store, header.writer),
            FileState::Damaged | FileState::CutShort | FileState::Newer
        );
        (is_sound && header.version == VERSION).then_some(header)
    })
}
