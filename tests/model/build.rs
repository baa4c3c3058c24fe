//! Copies the hand-over's source, with loom's atomics, locks and threads in the place of the real ones, so that what is
//! checked is the code that ships and the code that ships knows nothing of it.

use std::path::{Path, PathBuf};

/// Copied from `src/`.
const FILES: [&str; 8] = [
    "event.rs",
    "gap.rs",
    "refusal.rs",
    "handover/block.rs",
    "handover/channel.rs",
    "handover/intake.rs",
    "handover/lane.rs",
    "handover/packing.rs",
];

/// What is replaced in them. Each must occur somewhere: a pattern that has gone stale replaces nothing.
const REPLACEMENTS: [(&str, &str); 10] = [
    ("std::sync::atomic", "loom::sync::atomic"),
    ("std::thread::yield_now", "loom::thread::yield_now"),
    ("thread_local! {", "loom::thread_local! {"),
    (
        "const { RefCell::new(Lanes { latest: None, others: Vec::new() }) }",
        "RefCell::new(Lanes { latest: None, others: Vec::new() })",
    ),
    ("pub(crate) const fn new() -> Self", "pub(crate) fn new() -> Self"),
    ("use crossbeam_channel::", "use crate::queue::"),
    ("crossbeam_channel::bounded", "crate::queue::bounded"),
    ("use parking_lot::Mutex", "use crate::queue::Mutex"),
    // Where a store of one thread and a swap of another meet, loom knows no order between them, and lets the first thread
    // read the swap's value after its own store although the swap missed that. No machine does: stores to one place have
    // one order. Two swaps have it in loom too. Nothing is acquired by this one.
    ("self.published.store(end as u64, Ordering::Release)", "_ = self.published.swap(end as u64, Ordering::Release)"),
    // So small that two events fill a block: more interleavings of its life, fewer of writing it.
    ("const BLOCK_BYTES_MIN: usize = 1024", "const BLOCK_BYTES_MIN: usize = 64"),
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
        assert!(*count > 0, "the hand-over does not say {from:?} any more: this script must follow it");
    }
}
