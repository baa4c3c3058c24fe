//! A store that is opened, folds everything and is closed, or whose database is made anew; and what that leaves.

use crate::bytes::{Id, id_text};
use crate::contents::Contents;
use mcplog::rebuild::{Rebuild, RebuildError, Source};
use mcplog::{Config, Store};
use mcplog_fixture::{PATIENCE, directory};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A store's directory: files by their path within it.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// How long a store may take to fold a few hundred records.
const FOLDING_MAX: Duration = Duration::from_secs(20);
/// How often to look.
const LOOK_STEP: Duration = Duration::from_millis(2);

/// What an opening, or a rebuild, leaves.
#[derive(Clone, Debug)]
pub struct Left {
    /// What the database holds; an error if it is not what a database may be.
    pub contents: Result<Contents, String>,
    /// The files of the store but for the database's and the locks.
    pub files: Files,
    /// What a rebuild said would be lost, and was made to give up.
    pub refused: Option<String>,
}

/// Opens the store in `dir`, waits until something is so of it, shuts it down, and looks.
///
/// # Errors
/// The store can't be opened.
pub fn open(dir: &Path, is_done: impl Fn(&Path) -> bool) -> Result<Left, String> {
    let store = Store::open(config(dir)).map_err(|error| error.to_string())?;
    let started = Instant::now();
    while !is_done(dir) && started.elapsed() < FOLDING_MAX {
        std::thread::sleep(LOOK_STEP);
    }
    let is_late = !is_done(dir);
    let health = store.stats().health;
    store.shutdown(PATIENCE);
    let mut left = left(dir);
    if let (true, Err(error)) = (is_late, &left.contents) {
        left.contents = Err(format!("never done: {health}; {error}"));
    }
    Ok(left)
}

/// Opens a store that nothing is wrong with until it has folded all that it has to.
///
/// # Errors
/// It does not.
pub fn fold(dir: &Path, folded: &BTreeMap<Id, u64>) -> Result<(), String> {
    let folded: BTreeMap<String, u64> = folded.iter().map(|(writer, last)| (id_text(*writer), *last)).collect();
    let left = open(dir, |dir| dir.join("store.db").exists() && Contents::checkpoints(dir) == folded)?;
    match left.contents {
        Ok(contents) if contents.folded == folded => Ok(()),
        Ok(contents) => Err(format!("expected {folded:?}, folded {:?}", contents.folded)),
        Err(error) => Err(error),
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
    Left { contents, files, refused: None }
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
