//! Where logs begin that a database knows nothing of: what lies in front of their first records was folded into another one,
//! or is in none.
//!
//! Runs on the compactor, once for each database. It only reads.

use super::fold_error::FoldError;
use crate::ground::config::Config;
use crate::ground::error::PathError;
use crate::ground::position::{Sequence, StoreId, WriterId};
use crate::index::database::Index;
use crate::segment::directory::list_whole;
use crate::segment::file_numbers::first_of_log;
use crate::segment::writer_folder::writer_folders;
use std::io::ErrorKind;

/// Of a database that was just made, finds out where the logs beside it begin: what is in front of them may have been folded
/// into the one before.
pub(super) fn settle_fronts(index: &mut Index, config: &Config, store: StoreId) -> Result<(), FoldError> {
    if index.knows_no_fronts()? {
        index.settle_fronts(&look(config, store)?)?;
    }
    Ok(())
}

/// Where the logs of a store begin, each with the number of its first record.
pub(super) fn look(config: &Config, store: StoreId) -> Result<Vec<(WriterId, Sequence)>, PathError> {
    let mut begins = Vec::new();
    for folder in writer_folders(&config.wal_dir())?.folders {
        let files = match list_whole(&folder.path) {
            Err(error) if error.source.kind() == ErrorKind::NotFound => continue,
            listed => listed?,
        };
        begins.extend(first_of_log(folder.writer, Some(store), &files).map(|first| (folder.writer, first)));
    }
    Ok(begins)
}
