//! What is wrong with a segment, or worth a word: pure data, and how bad it is.

use crate::report::severity::Severity;
use mcplog::position::{Offset, Sequence};

/// Something to tell about a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Bytes below the durable mark that are no frames any more.
    Damage {
        offset: Offset,
        /// The first record that is missing.
        sequence: Sequence,
        bytes: u32,
        records: u32,
        reason: String,
        /// The first of the bytes, to be shown.
        head: Vec<u8>,
    },
    /// Bytes behind the last good frame that nothing vouches for.
    TornTail {
        offset: Offset,
        /// The record that would have been next.
        sequence: Sequence,
        bytes: u32,
        reason: String,
    },
    /// The file is no segment, or can't be read.
    Unreadable { reason: String, severity: Severity },
    /// What the segment says of itself does not agree with what it is, or with its neighbours.
    Contradiction { reason: String, severity: Severity },
    /// Sequence numbers between two segments that neither of them has.
    Missing { first: Sequence, records: u64 },
    /// Nothing is wrong, but somebody may wonder.
    Note { reason: String },
}

/// Where and how much a finding is about, as far as it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FindingExtent {
    pub(crate) offset: Option<Offset>,
    /// The first record that is lost, or was due.
    pub(crate) sequence: Option<Sequence>,
    pub(crate) bytes: Option<u32>,
    /// Lost or missing ones.
    pub(crate) records: Option<u64>,
}

impl Finding {
    pub(crate) fn extent(&self) -> FindingExtent {
        match *self {
            Self::Damage { offset, sequence, bytes, records, .. } => FindingExtent {
                offset: Some(offset),
                sequence: Some(sequence),
                bytes: Some(bytes),
                records: Some(records.into()),
            },
            Self::TornTail { offset, sequence, bytes, .. } => {
                FindingExtent { offset: Some(offset), sequence: Some(sequence), bytes: Some(bytes), records: None }
            }
            Self::Missing { first, records } => {
                FindingExtent { sequence: Some(first), records: Some(records), ..FindingExtent::default() }
            }
            Self::Unreadable { .. } | Self::Contradiction { .. } | Self::Note { .. } => FindingExtent::default(),
        }
    }

    /// What it is, without where; not yet safe for a terminal.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Damage { reason, .. }
            | Self::TornTail { reason, .. }
            | Self::Unreadable { reason, .. }
            | Self::Contradiction { reason, .. }
            | Self::Note { reason } => reason.clone(),
            Self::Missing { .. } => self.describe(),
        }
    }

    pub(crate) const fn severity(&self) -> Severity {
        match self {
            Self::Damage { .. } => Severity::Damaged,
            Self::TornTail { .. } => Severity::Attention,
            Self::Unreadable { severity, .. } | Self::Contradiction { severity, .. } => *severity,
            Self::Missing { .. } | Self::Note { .. } => Severity::Sound,
        }
    }

    /// The name in JSON.
    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Self::Damage { .. } => "damage",
            Self::TornTail { .. } => "torn_tail",
            Self::Unreadable { .. } => "unreadable",
            Self::Contradiction { .. } => "contradiction",
            Self::Missing { .. } => "missing",
            Self::Note { .. } => "note",
        }
    }

    /// For people, in one sentence; not yet safe for a terminal.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Damage { offset, sequence, bytes, records, reason, .. } => {
                let lost = match records {
                    0 => "no record".to_owned(),
                    1 => format!("record {sequence}"),
                    more => format!("{more} records ({sequence}–{})", sequence.0 + u64::from(*more) - 1),
                };
                format!("damage at offset {offset}: {lost} lost in {bytes} bytes: {reason}")
            }
            Self::TornTail { offset, bytes, reason, .. } => {
                format!("torn tail at offset {offset}, {bytes} bytes: {reason}")
            }
            Self::Unreadable { reason, .. } => format!("can't be read: {reason}"),
            Self::Contradiction { reason, .. } | Self::Note { reason } => reason.clone(),
            Self::Missing { first, records } => {
                let last = first.0 + records - 1;
                let numbers =
                    if *records == 1 { format!("record {first}") } else { format!("records {first}–{last}") };
                format!(
                    "{numbers} ({records}) not in the log: retired after folding, or lost at a power cut before they \
                     were durable"
                )
            }
        }
    }
}
