//! What recovery had to repair, told to people: in the diagnostics, and where it is damage, by health.
//!
//! Runs on the thread that opens the store.

use crate::ground::health::{HealthBoard, Part};
use crate::segment::quarantine::DamagedPlace;
use crate::segment::recovery::{Repair, TornTail};

/// Reports the repairs; returns how many bytes of torn tails were cut off.
pub(super) fn report(repairs: &[Repair], health: &HealthBoard) -> u64 {
    let mut cut_bytes = 0;
    for repair in repairs {
        match repair {
            Repair::Sealed { segment, at } => {
                tracing::info!(%segment, at, "the last run did not end cleanly; its last segment was sealed");
            }
            Repair::Cut { segment, at, torn: TornTail { bytes, frames_follow } } => {
                cut_bytes += u64::from(*bytes);
                tracing::warn!(
                    %segment, at, bytes, frames_follow,
                    "a torn tail was cut off: what a crash left behind the last frame, and nobody was promised"
                );
            }
            Repair::SetAside { segment, frames, to } => {
                tracing::warn!(
                    %segment, frames, to = %to.display(),
                    "a segment was moved aside: records before it are missing, and nobody was promised what it holds. \
                     `mcplog rebuild --from-log` folds it all the same"
                );
            }
            Repair::Pageless { from, to } => {
                tracing::warn!(
                    file = %from.display(), to = %to.display(),
                    "a segment whose first page is lost was moved aside: what a power cut may leave of one that was not synced"
                );
            }
            Repair::KeptDamaged { segment, damaged: DamagedPlace { offset, reason, .. } } => {
                health.report(Part::Damage, format_args!("segment {segment}, offset {offset}: {reason}"));
            }
            Repair::Quarantined { from, to, reason } => {
                health.report(Part::Damage, format_args!("{}: {reason}; moved to {}", from.display(), to.display()))
            }
        }
    }
    cut_bytes
}
