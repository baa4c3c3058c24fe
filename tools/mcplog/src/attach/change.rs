//! A changed file, written: remembered, copied, replaced, in this order.
//!
//! Runs on the main thread. What is remembered comes first: without it nothing could be undone exactly. Where the file then
//! can't be written, what was remembered is as before.

use super::backups::{BackupError, back_up};
use super::config_file::FileError;
use super::opened::Opened;
use super::state::{Attachment, ServerPlace};
use super::state_file::{StateError, StateFile};
use std::path::{Path, PathBuf};

/// What else is to be known from now on.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) attached: Vec<Attachment>,
    pub(super) detached: Vec<ServerPlace>,
}

/// Why a file was not changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChangeError {
    #[error("{0}; no file was changed")]
    State(#[from] StateError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    File(#[from] FileError),
}

/// Writes the document of `opened` into its file. Returns where the copy from before is; `None` where nothing changed.
pub(super) fn write(
    opened: &Opened,
    memory: Memory,
    state_dir: &Path,
    state_file: &mut StateFile,
) -> Result<Option<PathBuf>, ChangeError> {
    let before = state_file.state.clone();
    for attachment in memory.attached {
        state_file.state.put(attachment);
    }
    let text = opened.document.text();
    let mut copy = None;
    if text != opened.file.text {
        if state_file.state != before {
            state_file.save()?;
        }
        match replace(opened, text, state_dir) {
            Ok(path) => copy = Some(path),
            Err(error) => {
                let is_changed = state_file.state != before;
                state_file.state = before;
                if is_changed {
                    // The error is about the file; what is remembered too much is not found in it, and does no harm.
                    let _ = state_file.save();
                }
                return Err(error);
            }
        }
    }
    let remembered = state_file.state.clone();
    for place in &memory.detached {
        state_file.state.forget(place);
    }
    if state_file.state != remembered || (copy.is_none() && state_file.state != before) {
        state_file.save()?;
    }
    Ok(copy)
}

fn replace(opened: &Opened, text: &str, state_dir: &Path) -> Result<PathBuf, ChangeError> {
    let copy = back_up(state_dir, &opened.file, jiff::Timestamp::now())?;
    opened.file.replace(text)?;
    Ok(copy)
}
