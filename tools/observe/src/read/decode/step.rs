//! What a decoder does in one step, and that it can do none any more.
//!
//! Pure data.

/// Where a decoder stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    /// In the middle.
    Within,
    /// Where the body may end: nothing came yet, or a member, a frame or the stream is complete.
    Whole,
    /// The stream is complete, and what follows is no part of it.
    Over,
    /// The bytes are not of that coding, or there is no memory to read them with.
    Damaged,
}

/// What a decoder did in one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// How many bytes it took of its input.
    pub(super) taken: usize,
    /// How many it wrote into its output.
    pub(super) given: usize,
    pub(super) stand: Stand,
}

impl Step {
    pub(super) const DAMAGED: Self = Self { taken: 0, given: 0, stand: Stand::Damaged };
}

/// The body cannot be read: an unknown coding, broken data, too much of it, or no memory for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable;
