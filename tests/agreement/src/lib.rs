//! Damaged logs.
pub mod recording;
pub mod segment_image;
