//! The last one at a store: folds what all who are gone have left, and leaves.

use crate::found::entries;
use crate::life::PATIENCE;
use mcplog::{Config, Store};
use mcplog_fixture::wait_until;
use std::path::Path;

/// Opens the store as any process does, and waits until nothing of anybody's log is left in `wal/`.
///
/// # Panics
/// The store can't be opened, or something is left for good.
pub fn settle(dir: &Path) {
    let mut config = Config::new(dir);
    config.channel_events = 1024;
    config.min_free_bytes = Some(0);
    let store = Store::open(config).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let wal = dir.join("wal");
    let gone = std::panic::catch_unwind(|| wait_until("every log is folded and gone", || entries(&wal).is_empty()));
    assert!(gone.is_ok(), "left: {:?}; {}", entries(&wal), store.stats().health);
    mcplog_fixture::wait_for_tables(dir, PATIENCE).unwrap_or_else(|error| panic!("{error}"));
    let report = store.shutdown(PATIENCE);
    assert!(report.health.is_ok(), "{}", report.health);
}
