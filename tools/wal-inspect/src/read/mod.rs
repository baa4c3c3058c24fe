//! From paths to frames and findings: which files, what is in them, whether they fit together.
//!
//! The main thread. Plain reads only; nothing here prints.

pub(crate) mod continuity;
pub(crate) mod filter;
pub(crate) mod follow;
pub(crate) mod scan;
pub(crate) mod source;
