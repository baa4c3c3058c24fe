//! The part of a check about who may look into a store: its directory is for its owner only, and no link leads out of it.
//!
//! It reads the directory and no file.

use crate::ground::error::{AtPath, PathError};
use crate::ground::finding::{Finding, FindingKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Names what in the store's directory is open to others, and links.
///
/// # Errors
/// The directory can't be read.
pub(super) fn check_access(dir: &Path, findings: &mut Vec<Finding>) -> Result<(), PathError> {
    let mut pending = vec![dir.to_owned()];
    for entry in std::fs::read_dir(dir).at("read directory", dir)? {
        pending.push(entry.at("read directory", dir)?.path());
    }
    pending[1..].sort();
    for path in pending {
        // What a running store removed meanwhile is nothing to complain about.
        let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
        let mode = metadata.mode() & 0o777;
        let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
        if metadata.is_symlink() {
            let text = "a symbolic link, which mcplog does not follow";
            findings.push(Finding::new(FindingKind::SymbolicLink, &path, text));
        } else if mode & 0o077 != 0 {
            let found = Finding::new(FindingKind::OpenToOthers, &path, format!("open to others (mode {mode:o})"));
            findings.push(found.next(format!("`chmod {wanted:o}` closes it")));
        }
    }
    Ok(())
}
