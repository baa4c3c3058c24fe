//! The part of a check that is about SQLite's WAL: one that is long is told with the reason.
//!
//! It opens nothing, and asks the kernel who reads.

use crate::ground::finding::{Finding, FindingKind};
use crate::index::connection::LONG_WAL_BYTES;
use crate::index::database::DATABASE_NAME;
use crate::index::wal_readers::{Readers, companion, wal_bytes};
use std::path::Path;

/// Says why `store.db-wal` is long, if it is. `in_use`: a process records, which would empty it if nobody read.
pub(super) fn find_long_wal(dir: &Path, in_use: bool, findings: &mut Vec<Finding>) {
    let database = dir.join(DATABASE_NAME);
    if wal_bytes(&database) <= LONG_WAL_BYTES {
        return;
    }
    let readers = Readers::of(&database);
    let wal = companion(&database, "-wal");
    findings.push(if in_use || !readers.is_empty() {
        let found = Finding::new(FindingKind::LongWal, &wal, readers.why_long(LONG_WAL_BYTES));
        found.next("end who reads, or wait for that: it is copied into store.db then; `mcplog backup` copies all of it")
    } else {
        let long_mib = LONG_WAL_BYTES >> 20;
        let text = format!(
            "longer than {long_mib} MiB: a process that was killed left it, and a copy of store.db alone lacks what is in there"
        );
        Finding::new(FindingKind::LongWal, &wal, text)
    });
}
