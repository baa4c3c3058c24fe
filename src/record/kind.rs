//! The kinds of records, and the version of each. Plain data.
//!
//! Both are append-only: a new kind gets the next number, a kind whose fields change gets the next version, and what
//! was written once stays readable. `format.md` has the fields of each version.

/// The level of the records that this build writes and knows, as it stands in the header of its segments. One number for
/// the whole set of kinds and versions: it grows with each kind and with each version of one, so that who knows less can
/// tell before reading on. `format.md` has the table.
///
/// - 1: kinds 1 to 8, each in version 1.
pub const LEVEL: u16 = 1;

/// The kind of a record: its first byte. Zero is never used, so that unwritten bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// [`RequestRecord`](super::RequestRecord).
    Request = 1,
    /// [`SessionRecord`](super::SessionRecord).
    Session = 2,
    /// [`SessionClosedRecord`](super::SessionClosedRecord).
    SessionClosed = 3,
    /// [`SchemaVersionRecord`](super::SchemaVersionRecord).
    SchemaVersion = 4,
    /// [`GapRecord`](super::GapRecord).
    Gap = 5,
    /// [`ClockStepRecord`](super::ClockStepRecord).
    ClockStep = 6,
    /// [`WriterBeganRecord`](super::WriterBeganRecord).
    WriterBegan = 7,
    /// [`WriterEndedRecord`](super::WriterEndedRecord).
    WriterEnded = 8,
}

/// The version of a request that this build writes.
///
/// - 1: the first.
const REQUEST_VERSION: u8 = 1;

/// The version of a session that this build writes.
///
/// - 1: the first.
const SESSION_VERSION: u8 = 1;

/// The version of a session's end that this build writes.
///
/// - 1: the first.
const SESSION_CLOSED_VERSION: u8 = 1;

/// The version of a schema version's record that this build writes.
///
/// - 1: the first.
const SCHEMA_VERSION_VERSION: u8 = 1;

/// The version of a gap that this build writes.
///
/// - 1: the first.
const GAP_VERSION: u8 = 1;

/// The version of a clock step that this build writes.
///
/// - 1: the first.
const CLOCK_STEP_VERSION: u8 = 1;

/// The version of a writer's beginning that this build writes.
///
/// - 1: the first.
const WRITER_BEGAN_VERSION: u8 = 1;

/// The version of a writer's end that this build writes.
///
/// - 1: the first.
const WRITER_ENDED_VERSION: u8 = 1;

impl Kind {
    /// Every kind that this build knows, by its number.
    pub const ALL: [Self; 8] = [
        Self::Request,
        Self::Session,
        Self::SessionClosed,
        Self::SchemaVersion,
        Self::Gap,
        Self::ClockStep,
        Self::WriterBegan,
        Self::WriterEnded,
    ];

    /// The kind with that number; `None` if this build knows none.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The first byte of its records.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The version that this build writes. It reads that one and every one before it, from 1 on.
    pub const fn version(self) -> u8 {
        match self {
            Self::Request => REQUEST_VERSION,
            Self::Session => SESSION_VERSION,
            Self::SessionClosed => SESSION_CLOSED_VERSION,
            Self::SchemaVersion => SCHEMA_VERSION_VERSION,
            Self::Gap => GAP_VERSION,
            Self::ClockStep => CLOCK_STEP_VERSION,
            Self::WriterBegan => WRITER_BEGAN_VERSION,
            Self::WriterEnded => WRITER_ENDED_VERSION,
        }
    }

    /// Whether its records are what somebody recorded; the log adds the others of its own.
    pub const fn is_event(self) -> bool {
        !matches!(self, Self::Gap | Self::ClockStep | Self::WriterBegan | Self::WriterEnded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_numbered_from_one_without_a_hole_and_each_has_a_version() {
        for (place, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(kind.number()), place + 1);
            assert_eq!(Kind::from_number(kind.number()), Some(kind));
            assert!(kind.version() >= 1, "{kind:?}");
        }
        for unknown in [0, 9, u8::MAX] {
            assert_eq!(Kind::from_number(unknown), None);
        }
    }
}
