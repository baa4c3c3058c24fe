//! What there is to say of records and segments, and how bad it is: pure data that all commands share.
//!
//! Nothing here reads a file or prints.

pub(crate) mod entry;
pub(crate) mod fields;
pub(crate) mod place;
pub(crate) mod segment;
