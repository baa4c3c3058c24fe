//! From paths to frames and findings: which files, and what is in them.
//!
//! The main thread. Plain reads only; nothing here prints.

pub(crate) mod filter;
pub(crate) mod follow;
pub(crate) mod scan;
pub(crate) mod source;
