//! Copies the source of the hand-over and of a live segment, with loom's atomics, locks and threads in the place of the real
//! ones, so that what is checked is the code that ships and the code that ships knows nothing of it.

use std::path::{Path, PathBuf};

/// Copied from `src/`.
const FILES: [&str; 38] = [
    "event/code.rs",
    "event/detail.rs",
    "event/event.rs",
    "event/limits.rs",
    "event/notes.rs",
    "event/outcome.rs",
    "event/request.rs",
    "event/schema_version.rs",
    "event/session.rs",
    "recorder/gap.rs",
    "recorder/refusal.rs",
    "ground/burst.rs",
    "ground/clock.rs",
    "ground/expired.rs",
    "ground/fold_failure.rs",
    "ground/error.rs",
    "ground/health.rs",
    "ground/other_records.rs",
    "ground/position.rs",
    "ground/store_progress.rs",
    "ground/signal.rs",
    "appender/sync_loop.rs",
    "segment/buffered_file.rs",
    "segment/format.rs",
    "segment/marks.rs",
    "segment/segment_progress.rs",
    "segment/reader.rs",
    "segment/segment_list.rs",
    "segment/syncer.rs",
    "segment/writer.rs",
    "segment/wrong_mark.rs",
    "recorder/block.rs",
    "recorder/channel.rs",
    "recorder/intake.rs",
    "recorder/lane.rs",
    "recorder/packing.rs",
    "recorder/single_events.rs",
    "recorder/unpacking.rs",
];

/// What is replaced in them. Each must occur somewhere: a pattern that has gone stale replaces nothing.
const REPLACEMENTS: [(&str, &str); 26] = [
    ("std::sync::atomic", "loom::sync::atomic"),
    ("std::thread::yield_now", "loom::thread::yield_now"),
    ("use std::thread::Thread", "use crate::mailbox::Thread"),
    // No time passes in the model.
    ("std::thread::sleep(", "crate::mailbox::sleep("),
    ("const FOLD_INTERVAL: Duration = Duration::from_millis(20)", "const FOLD_INTERVAL: Duration = Duration::ZERO"),
    ("thread_local! {", "loom::thread_local! {"),
    (
        "const { RefCell::new(Lanes { latest: None, others: Vec::new() }) }",
        "RefCell::new(Lanes { latest: None, others: Vec::new() })",
    ),
    ("pub(crate) const fn new() -> Self", "pub(crate) fn new() -> Self"),
    ("pub const fn new() -> Self", "pub fn new() -> Self"),
    ("pub(crate) const fn of_sealed", "pub(crate) fn of_sealed"),
    (
        "use crossbeam_channel::{Receiver, RecvTimeoutError, Sender}",
        "use crate::mailbox::{Receiver, RecvTimeoutError, Sender}",
    ),
    ("use crossbeam_channel::", "use crate::queue::"),
    ("crossbeam_channel::bounded", "crate::queue::bounded"),
    ("use parking_lot::", "use crate::queue::"),
    ("use rustix::thread::", "use crate::kernel::"),
    // Loom takes an operation that is sequentially consistent for an acquire and a release, and lets this load miss what is
    // counted already. Nothing that reads and writes in one can.
    ("self.sleepers.load(Ordering::SeqCst) > 0", "self.sleepers.fetch_add(0, Ordering::SeqCst) > 0"),
    // Of the accesses to a place loom remembers the last one, and tries that in another order with a store that follows. The
    // syncing thread looks before it stores, which would hide that the compactor has looked.
    ("Sequence(self.durable.load(Ordering::Acquire))", "Sequence(self.durable.fetch_add(0, Ordering::Acquire))"),
    // Files are those of the model.
    ("std::os::unix::fs::", "crate::disk::"),
    ("std::fs::", "crate::disk::"),
    ("rustix::rand::", "crate::disk::"),
    ("rustix::fs::fadvise(", "crate::disk::fadvise("),
    ("rustix::fs::seek(", "crate::disk::seek("),
    ("rusqlite::", "crate::rusqlite::"),
    // Where a store of one thread and a swap of another meet, loom knows no order between them, and lets the first thread
    // read the swap's value after its own store although the swap missed that. No machine does: stores to one place have
    // one order. Two swaps have it in loom too. Nothing is acquired by this one.
    ("self.published.store(end as u64, Ordering::Release)", "_ = self.published.swap(end as u64, Ordering::Release)"),
    // So small that two events fill a block: more interleavings of its life, fewer of writing it.
    ("const BLOCK_BYTES_MIN: usize = 1024", "const BLOCK_BYTES_MIN: usize = 64"),
    // So few that the queue to the appender gets full.
    ("pub(super) const SINGLE_EVENTS_MAX: usize = 1024", "pub(super) const SINGLE_EVENTS_MAX: usize = 1"),
];

fn main() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src");
    let target = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo says where to"));
    let mut replaced = [0; REPLACEMENTS.len()];
    for file in FILES {
        let path = source.join(file);
        println!("cargo::rerun-if-changed={}", path.display());
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        // Without its own tests, and without inner documentation, which can't be included.
        let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let lines = text.lines().filter(|line| !line.starts_with("//!"));
        let mut text: String = lines.flat_map(|line| [line, "\n"]).collect();
        for (count, (from, to)) in replaced.iter_mut().zip(REPLACEMENTS) {
            *count += text.matches(from).count();
            text = text.replace(from, to);
        }
        std::fs::write(target.join(file.replace('/', "_")), text).expect("write");
    }
    for (count, (from, _)) in replaced.iter().zip(REPLACEMENTS) {
        assert!(*count > 0, "no file says {from:?} any more: this script must follow it");
    }
}
