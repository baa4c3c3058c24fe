//! Configuration files as documents: single members are read and edited, and all else stays byte for byte.
//!
//! Pure: text in, text out. One outline of ranges for JSON, TOML and YAML, from a parser each; an edit is a splice of the
//! text, so that what it does not touch can't change.

#[expect(clippy::module_inception, reason = "a folder's main noun has the file of its name; this one only declares")]
mod document;
mod editing;
mod error;
mod flow;
mod json;
mod lines;
mod mask;
mod outline;
mod place;
mod splice;
mod step;
mod toml;
mod writing;
mod yaml;

#[cfg(test)]
mod document_tests;
#[cfg(test)]
mod editing_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod random_documents;
#[cfg(test)]
mod reading_tests;

pub(in crate::attach) use document::Document;
pub(in crate::attach) use error::DocumentError;
pub(in crate::attach) use step::{Format, Step};
