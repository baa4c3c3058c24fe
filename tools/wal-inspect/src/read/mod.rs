//! From paths to frames and findings: which files, and what is in them.
//!
//! The main thread. Plain reads only; nothing here prints.

pub(crate) mod cursor;
pub(crate) mod filter;
pub(crate) mod merge;
pub(crate) mod scan;
pub(crate) mod segment_file;
pub(crate) mod source;
pub(crate) mod target;
pub(crate) mod writer_prefix;
