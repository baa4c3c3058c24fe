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
mod step;
mod zstd;
mod zstd_frame;

#[cfg(test)]
mod tests;

/// The largest window that is held for one body, in bytes. RFC 9659 asks no more of Zstandard in HTTP; Brotli could have twice
/// as much, but hardly anything is sent that needs it.
const WINDOW_BYTES_MAX: usize = 8 * 1024 * 1024;

pub use coding::{Coding, Codings};
pub use decoder::{Decoder, Unreadable, WORK_BYTES_MAX};
pub use layer::PIECE_BYTES;
