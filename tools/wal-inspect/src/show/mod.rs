//! How records and findings look, as text and as JSON lines.
//!
//! The main thread. It prints what it is given and reads nothing.

pub(crate) mod json;
pub(crate) mod output;
pub(crate) mod presenter;
pub(crate) mod record_text;
