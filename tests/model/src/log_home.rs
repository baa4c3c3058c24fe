//! Stands for `src/segment/log_home.rs`: a folder, which nobody locks here, and whose names no power cut takes.

use crate::ground::error::PathError;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(crate) struct FolderLock;

#[derive(Clone, Debug)]
pub(crate) struct LogHome {
    pub(crate) path: PathBuf,
    pub(crate) names: Arc<FolderNames>,
    pub(crate) lock: Option<FolderLock>,
}

impl LogHome {
    pub(crate) fn unlocked(path: &Path) -> Result<Self, PathError> {
        Ok(Self { path: path.to_owned(), names: Arc::new(FolderNames), lock: None })
    }
}

#[derive(Debug)]
pub(crate) struct FolderNames;

impl FolderNames {
    pub(crate) fn sync(&self, _: &Path) -> Result<(), PathError> {
        Ok(())
    }
}
