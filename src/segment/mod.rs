//! Segments: files of frames. Here a payload is opaque bytes; what it means is [`crate::record`]'s business.
//!
//! `file` maps memory, or writes where `filesystem` says that mapping is not safe, `writer` appends to it, `syncer` forces
//! it to the disk, `reader` reads it by plain reads, `recovery` mends what a crash left, as `examined` finds it and `verdict` decides,
//! `quarantine` keeps what is damaged, `directory` names the files; `format` has the bytes, `segment_list` the running store's
//! segments.

pub mod directory;
mod examined;
pub(crate) mod file;
mod filesystem;
pub mod format;
pub(crate) mod progress;
pub(crate) mod quarantine;
pub mod reader;
pub(crate) mod recovery;
pub(crate) mod segment_list;
pub(crate) mod syncer;
pub(crate) mod verdict;
pub(crate) mod writer;

pub use directory::{SegmentFile, list};
pub use reader::{Damage, FrameAt, Item, SegmentReader, Stop};
