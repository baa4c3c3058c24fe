//! A mark that the frames of its own segment contradict. Plain data.
//!
//! No crash leaves one: a mark is written after the frames that it speaks of, and no writer leaves the next frame intact
//! at the end that it seals. So the frames count, and the mark is damage.

use super::format::Extent;
use crate::ground::position::Offset;
use std::fmt;

/// Which of a mark's two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MarkEnd {
    /// The durable end.
    Durable,
    /// The sealed end. It is the one that is named where both are the same.
    Sealed,
}

/// How the frames contradict the mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contradiction {
    /// At the end, there are not as many frames as the mark says.
    Count,
    /// An intact frame begins before the end and ends behind it.
    Across,
    /// An intact frame stands at the sealed end or behind it.
    Behind,
}

/// What a mark says of one of its ends, and what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongMark {
    /// Which end.
    pub end: MarkEnd,
    /// What is wrong with it.
    pub contradiction: Contradiction,
    /// What the mark says: where the end is, and how many frames lie before it.
    pub expected: Extent,
    /// Where reading stood, and how many frames lie before that: at the end, or where the intact frame begins.
    pub found: Extent,
}

impl WrongMark {
    /// Where the frames contradict the mark.
    pub fn offset(&self) -> Offset {
        self.found.end
    }
}

impl fmt::Display for WrongMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = match self.end {
            MarkEnd::Durable => "durable",
            MarkEnd::Sealed => "sealed",
        };
        let Extent { end: offset, frames } = self.expected;
        write!(f, "the mark is wrong: expected the {end} end at {offset} behind {frames} frames, found ")?;
        match self.contradiction {
            Contradiction::Count => write!(f, "{} frames before it", self.found.frames),
            Contradiction::Across => write!(f, "an intact frame across it, at {}", self.found.end),
            Contradiction::Behind => write!(f, "an intact frame at {}", self.found.end),
        }
    }
}
