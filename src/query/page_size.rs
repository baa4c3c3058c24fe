//! How much is read in one transaction by who reads on and on.
//!
//! Pure data. A transaction holds SQLite's WAL back, so it takes a few milliseconds at most.

/// So many rows are looked at.
pub(super) const LOOKED_AT_MAX: usize = if cfg!(test) { 40 } else { 4_000 };
/// So many rows are read whole and handed over.
pub(super) const HANDED_OVER_MAX: usize = if cfg!(test) { 12 } else { 500 };
