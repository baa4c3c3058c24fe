//! A store that is opened and folds everything, and what it leaves.

use crate::contents::Contents;
use mcplog::rebuild::{Rebuild, RebuildError, Source};
use mcplog::{Config, Store};
use mcplog_fixture::{PATIENCE, directory};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A store's directory: files by their path within it.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// What an opening, or a rebuild, leaves.
#[derive(Clone, Debug)]
pub struct Left {
    /// What the database holds; an error if it is not what a database may be.
    pub contents: Result<Contents, String>,
    /// The files of the store but for the database's.
    pub files: Files,
    /// What a rebuild said would be lost, and was made to give up.
    pub refused: Option<String>,
}

/// Opens the store in `dir`, folds everything, shuts it down, and looks.
///
/// # Errors
/// The store can't be opened.
pub fn open(dir: &Path) -> Result<Left, String> {
    let store = Store::open(config(dir)).map_err(|error| error.to_string())?;
    let folded = store.wait_folded(PATIENCE);
    let health = store.stats().health;
    store.shutdown(PATIENCE);
    let mut left = left(dir);
    if let Err(error) = folded {
        left.contents = Err(format!("not folded: {error}; {health}"));
    }
    Ok(left)
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
