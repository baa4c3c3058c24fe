//! Which store a directory is: what its file `store-id` says, or, where that says nothing, whatever else there is.
//!
//! Runs on the thread that opens the store or makes its database anew. The file is there from the first opening on. Only
//! where it is lost, or damaged, the segments and the database are asked, and the file is written anew: a new id would make
//! strangers of all of them.

use crate::ground::error::OpenError;
use crate::ground::health::{HealthBoard, Part};
use crate::ground::position::StoreId;
use crate::ground::random_uuid::random_uuid;
use crate::index::store_id;
use crate::query::database::Query;
use crate::segment::directory::list;
use crate::segment::reader::SegmentReader;
use crate::segment::store_id_file::{self, FoundStoreId};
use crate::segment::writer_folder::writer_folders;
use std::path::Path;

/// So many folders are looked at where the file is lost.
const FOLDERS_MAX: usize = 1000;

/// The id of the store in `dir`, which is made a store if it is none yet. Any number of processes may do so at once; all get
/// the same.
///
/// # Errors
/// The system refuses, or nothing says which of two stores it is.
pub(super) fn read_or_make(dir: &Path, health: &HealthBoard) -> Result<StoreId, OpenError> {
    let found = store_id_file::read(dir)?;
    if let FoundStoreId::Is(store) = found {
        return Ok(store);
    }
    let store = match told(dir)? {
        Some(store) => store,
        None => StoreId(random_uuid(dir)?),
    };
    let path = store_id_file::path(dir);
    let unsound = |what: &str| format!("{}: expected a store id, found {what}", path.display());
    if let FoundStoreId::Unsound(what) = found {
        match store_id_file::write(dir, store) {
            Ok(()) => {
                let problem = format_args!("{}; it was written anew, for store {store}", unsound(what));
                health.report(Part::Damage, problem);
            }
            // The segments and the database say it, too.
            Err(error) => {
                let problem = format_args!("{}, and it can't be written anew: {error}", unsound(what));
                health.report(Part::Damage, problem);
            }
        }
        return Ok(store);
    }
    match store_id_file::read_or_write(dir, store)? {
        FoundStoreId::Is(first) => Ok(first),
        // Whoever has put that there did so in this instant; the next one who opens the store says so.
        FoundStoreId::Missing | FoundStoreId::Unsound(_) => Ok(store),
    }
}

/// The id of the store in `dir`; `None` where nothing says it. Nothing is written.
///
/// # Errors
/// The system refuses, or nothing says which of two stores it is.
pub(super) fn read(dir: &Path) -> Result<Option<StoreId>, OpenError> {
    match store_id_file::read(dir)? {
        FoundStoreId::Is(store) => Ok(Some(store)),
        FoundStoreId::Missing | FoundStoreId::Unsound(_) => told(dir),
    }
}

/// What the database says, and where that says nothing, most of the logs.
fn told(dir: &Path) -> Result<Option<StoreId>, OpenError> {
    let database = dir.join("store.db");
    if database.symlink_metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0) {
        let told = Query::open(dir).ok().and_then(|query| query.ask(store_id::read)).flatten();
        if told.is_some() {
            return Ok(told);
        }
    }
    // A few at most: each store that a header names, and how many do.
    let mut counted: Vec<(StoreId, usize)> = Vec::new();
    for parent in ["wal", "kept", "quarantine"] {
        for folder in writer_folders(&dir.join(parent))?.folders.iter().take(FOLDERS_MAX) {
            let Ok(files) = list(&folder.path) else { continue };
            let mut headers = files.iter().filter_map(|file| SegmentReader::open(&file.path).ok());
            let Some(store) = headers.next().map(|reader| reader.header().store_id) else { continue };
            match counted.iter_mut().find(|(counted, _)| *counted == store) {
                Some((_, count)) => *count += 1,
                None => counted.push((store, 1)),
            }
        }
    }
    counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    match counted[..] {
        [(first, count), (second, equal), ..] if count == equal => {
            Err(OpenError::UnknownStore { dir: dir.to_owned(), first, second })
        }
        [(store, _), ..] => Ok(Some(store)),
        [] => Ok(None),
    }
}
