//! What is odd about how a request or its answer kept to the protocol: a set of stable codes. Pure.

use super::code::Code;
use std::fmt;

/// One oddity. Names and numbers are stable; there may be up to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Note {
    /// The answer's id was equal in value and not in type: `"1"` or `1.0` to a request with id `1`.
    LenientId = 0,
    /// The client took the request back, and the server answered nevertheless.
    LateAnswer = 1,
    /// The request or its answer passed, or a part of it, and could not be read: its coding is unknown or broken, or there was
    /// no memory to read it.
    Unread = 2,
}

impl Code for Note {
    const ALL: &'static [Self] = &[Self::LenientId, Self::LateAnswer, Self::Unread];

    fn as_str(self) -> &'static str {
        match self {
            Self::LenientId => "lenient_id",
            Self::LateAnswer => "late_answer",
            Self::Unread => "unread",
        }
    }

    fn number(self) -> u8 {
        self as u8
    }
}

/// A set of [`Note`]s, also of those that a newer build knows: these are named by their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Notes(u64);

impl Notes {
    /// No note.
    pub const NONE: Self = Self(0);

    /// The set with this note, too.
    #[must_use]
    pub const fn with(self, note: Note) -> Self {
        Self(self.0 | 1 << note as u8)
    }

    /// Whether the set has this note.
    pub const fn has(self, note: Note) -> bool {
        self.0 & 1 << note as u8 != 0
    }

    /// Whether the set has no note.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The set as a number: a bit for each note.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The set with those bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The set that [`Notes`] prints so, or `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let bit = |name: &str| match name.strip_prefix("note_") {
            Some(number) => number.parse().ok().filter(|number| *number < u64::BITS),
            None => Note::with_name(name).map(|note| u32::from(note.number())),
        };
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(bit).try_fold(0, |bits, bit| Some(bits | 1 << bit?)).map(Self)
    }

    /// The notes' names, by number.
    pub fn names(self) -> impl Iterator<Item = String> {
        let set = (0..u64::BITS).filter(move |bit| self.0 & 1 << bit != 0);
        set.map(|bit| match Note::with_number(bit.into()) {
            Some(note) => note.as_str().to_owned(),
            None => format!("note_{bit}"),
        })
    }
}

impl fmt::Display for Notes {
    /// The names with commas between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_set_is_read_as_it_was_printed(bits in any::<u64>()) {
            prop_assert_eq!(Notes::parse(&Notes::from_bits(bits).to_string()), Some(Notes(bits)));
        }
    }

    #[test]
    fn names_and_numbers_are_stable() {
        let all = Note::ALL.iter().fold(Notes::NONE, |notes, note| notes.with(*note));
        assert_eq!((all.bits(), all.to_string()), (7, "lenient_id,late_answer,unread".to_owned()));
        assert!(all.has(Note::LateAnswer) && !Notes::NONE.has(Note::LateAnswer) && Notes::NONE.is_empty());
        assert_eq!(Notes::from_bits(1 << 63 | 2).to_string(), "late_answer,note_63");
    }

    #[test]
    fn what_is_no_note_is_none() {
        for text in ["?", "lenient_id,?", "note_64", "note_", "note_-1"] {
            assert_eq!(Notes::parse(text), None, "{text}");
        }
        assert_eq!(Notes::parse(" late_answer , "), Some(Notes::NONE.with(Note::LateAnswer)));
        assert_eq!(Notes::parse(""), Some(Notes::NONE));
    }
}
