//! The wiring of the preparing thread.

use super::worker::{Spawner, Worker};
use crate::appender::preparer::{Preparer, Supply};
use crate::ground::config::Config;
use crate::ground::error::PathError;

/// Starts the thread; returns with it where the appender orders segments and takes them. The thread ends when that is
/// dropped. If it dies, the appender prepares segments itself.
pub(super) fn start(spawner: &Spawner<'_>, config: &Config) -> Result<(Worker, Supply), PathError> {
    let preparer = Preparer::new(config);
    let (work, supply) = Supply::new(preparer.clone());
    let worker = spawner.start("mcplog-prepare", move || preparer.run(work), || {})?;
    Ok((worker, supply))
}
