//! The judge: holds the answers against each other, and against what was recorded. Pure.

pub use crate::court::Disagreement;

use crate::answers::Answers;
use crate::case::Damaged;
use crate::court::Court;
use crate::{opening_judged, readers_judged, rebuilding_judged, refusals_judged};

/// Judges the answers; nothing if all agree.
pub fn judge(damaged: &Damaged, answers: &Answers) -> Vec<Disagreement> {
    let mut court = Court::new(damaged, answers);
    court.readers_change_nothing();
    refusals_judged::judge(&mut court);
    readers_judged::judge(&mut court);
    if answers.opened.is_ok() {
        opening_judged::judge(&mut court);
        rebuilding_judged::judge(&mut court);
    }
    court.found
}
