//! Undoes a body's `Content-Encoding` for the recording; the bytes that pass stay as they are.
//!
//! A body's codings ([`Codings`]) are undone one after the other, each by a [`layer`] around a library's decoder, which gets
//! bytes as they come and never waits. Runs inside the tasks that pass bytes on. It must not hold a whole body: a small one can
//! unpack to gigabytes.

mod brotli;
mod coding;
mod decoder;
mod inflate;
mod layer;
mod limits;
mod step;
mod zstd;
mod zstd_frame;

#[cfg(test)]
mod tests;

pub use coding::{Coding, Codings};
pub use decoder::Decoder;
pub use limits::{PIECE_BYTES, WORK_BYTES_MAX};
pub use step::Unreadable;
