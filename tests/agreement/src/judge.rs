//! The judge: holds the answers against what the model expects, and against each other. Pure.

pub use crate::court::Disagreement;

use crate::answers::Answers;
use crate::case::Damaged;
use crate::court::Court;
use crate::{files_judged, folding_judged, readers_judged, rebuilding_judged, refusals_judged};

/// Judges the answers; nothing if all agree.
pub fn judge(damaged: &Damaged, answers: &Answers) -> Vec<Disagreement> {
    let mut court = Court::new(damaged, answers);
    refusals_judged::judge(&mut court);
    readers_judged::judge(&mut court);
    if answers.opened.is_ok() && !court.expected.is_refused && !court.expected.has_foreign_database {
        folding_judged::judge(&mut court);
        files_judged::judge(&mut court);
        rebuilding_judged::judge(&mut court);
    }
    court.found
}
