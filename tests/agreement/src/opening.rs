//! A store that is opened, folds everything and is closed, or whose database is made anew; and what that leaves.

use crate::bytes::{Id, id_text};
use crate::contents::Contents;
use crate::store_image::Place;
use mcplog::rebuild::{Rebuild, RebuildError, Source};
use mcplog::{Config, Store};
use mcplog_fixture::directory;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A store's directory: files by their path within it.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// How long a store may take to fold a few hundred records.
const FOLDING_MAX: Duration = Duration::from_secs(10);
/// How long one may take that is not to fold anything.
const HOPELESS_FOLDING_MAX: Duration = Duration::from_millis(200);

/// What an opening, or a rebuild, leaves.
#[derive(Clone, Debug)]
pub struct Left {
    /// What the database holds; an error if it is not what a database may be.
    pub contents: Result<Contents, String>,
    /// The files of the store but for the database's and the locks.
    pub files: Files,
    /// The folders in `wal/`, empty ones too.
    pub folders: BTreeSet<String>,
    /// What a rebuild said would be lost, and was made to give up.
    pub refused: Option<String>,
    /// Why a store could not do all that there was to do.
    pub trouble: Option<String>,
}

/// Opens the store in `dir`, lets it fold and retire all that it can, shuts it down, and looks. `is_hopeless`: it can't.
///
/// # Errors
/// The store can't be opened.
pub fn open(dir: &Path, is_hopeless: bool) -> Result<Left, String> {
    let store = Store::open(config(dir)).map_err(|error| error.to_string())?;
    let patience = if is_hopeless { HOPELESS_FOLDING_MAX } else { FOLDING_MAX };
    let done = store.wait_expired(patience);
    let health = store.stats().health;
    store.shutdown(patience);
    let mut left = left(dir);
    left.trouble = done.err().map(|error| format!("{error}; {health}"));
    Ok(left)
}

/// Opens a store that nothing is wrong with until it has folded all that it has to.
///
/// # Errors
/// It does not.
pub fn fold(dir: &Path, folded: &BTreeMap<Id, u64>) -> Result<Contents, String> {
    let folded: BTreeMap<String, u64> = folded.iter().map(|(writer, last)| (id_text(*writer), *last)).collect();
    let left = open(dir, false)?;
    match (left.contents, left.trouble) {
        (Ok(contents), None) if contents.folded == folded => Ok(contents),
        (Ok(contents), trouble) => Err(format!("expected {folded:?}, folded {:?}; {trouble:?}", contents.folded)),
        (Err(error), trouble) => Err(format!("{error}; {trouble:?}")),
    }
}

/// The bytes of a database as a store leaves it.
///
/// # Panics
/// SQLite refuses.
pub fn database_of(dir: &Path) -> Vec<u8> {
    let copy_path = dir.join("copy.db");
    let database = Connection::open(dir.join("store.db")).expect("a database");
    database.execute("VACUUM INTO ?", [copy_path.to_str().expect("UTF-8")]).expect("a copy of the database");
    let copy = Connection::open(&copy_path).expect("a copy of the database");
    copy.pragma_update(None, "journal_mode", "wal").expect("a database with a write-ahead log");
    copy.close().expect("closed");
    std::fs::read(&copy_path).expect("a copy of the database")
}

/// Makes the database in `dir` anew from the log, and looks. What is refused because rows would be lost is done all the same.
///
/// # Errors
/// It can't be made.
pub fn rebuild(dir: &Path) -> Result<Left, String> {
    let watch = &mut |_, _| ControlFlow::Continue(());
    let mut anew = |accept_loss| {
        let rebuild = Rebuild::prepare(&config(dir), Source::Log, accept_loss, watch)?;
        rebuild.run(watch).map(|_| ())
    };
    // A database of another version is given up only by who accepts that.
    let refused = match anew(false) {
        Ok(()) => None,
        Err(refused) => {
            anew(true).map_err(|error| error.to_string())?;
            Some(match refused {
                RebuildError::WouldLose(plan) => format!("{:?}", plan.losses),
                error => error.to_string(),
            })
        }
    };
    Ok(Left { refused, ..left(dir) })
}

/// The files of a store, as they are.
pub fn files(dir: &Path) -> Files {
    let within = |path: &Path| path.strip_prefix(dir).unwrap_or(path).to_owned();
    directory::contents(dir).into_iter().map(|(path, bytes)| (within(&path), bytes)).collect()
}

fn left(dir: &Path) -> Left {
    let contents = Contents::read(dir);
    let mut files = files(dir);
    files.retain(|path, _| path.components().count() > 1);
    let folders = std::fs::read_dir(dir.join(Place::Wal.name())).into_iter().flatten().flatten();
    let folders = folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    Left { contents, files, folders, refused: None, trouble: None }
}

/// Keeps all segments, so that what is missing afterwards was not retired.
fn config(dir: &Path) -> Config {
    let mut config = Config::new(dir);
    config.segment_bytes = 64 * 1024;
    config.channel_events = 64;
    config.keep_segments_bytes = Some(u64::MAX);
    config.min_free_bytes = Some(0);
    config
}
