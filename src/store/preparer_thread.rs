//! The wiring of the preparing thread.

use super::worker::{Spawner, Worker};
use crate::appender::preparer::{Preparer, Supply};
use crate::ground::config::Config;
use crate::ground::error::PathError;
use crate::ground::position::SegmentId;
use crate::ground::room::Reserve;

/// Starts the thread; returns with it where the appender takes segments. The thread ends when that is dropped. If it
/// dies, the appender prepares segments itself.
pub(super) fn start(
    spawner: &Spawner<'_>,
    config: &Config,
    next_segment: SegmentId,
) -> Result<(Worker, Supply), PathError> {
    let preparer = Preparer {
        wal_dir: config.wal_dir(),
        segment_bytes: config.segment_bytes_u32(),
        next: next_segment,
        reserve: Reserve::new(config),
        is_first: true,
    };
    let (prepared, supply) = Supply::new(preparer.clone());
    let worker = spawner.start("mcplog-prepare", move || preparer.run(prepared), || {})?;
    Ok((worker, supply))
}
