//! How much is held of a body, and how much of it is unpacked.
//!
//! Constants.

/// The largest window that is held for one body, in bytes. RFC 9659 asks no more of Zstandard in HTTP; Brotli could have twice
/// as much, but hardly anything is sent that needs it.
pub(super) const WINDOW_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How much is unpacked before it is handed on, in bytes.
pub const PIECE_BYTES: usize = 16 * 1024;
/// How many times as long as it came a body may become without limit: text packs no better, and the peer pays for each byte.
pub(super) const EXPANSION: u64 = 16;
/// How much is unpacked of one response before the recording gives up on it, in bytes, beside what no coding packs better: a
/// bound for processor time. Memory is bounded by the budget.
pub const WORK_BYTES_MAX: u64 = 256 * 1024 * 1024;
