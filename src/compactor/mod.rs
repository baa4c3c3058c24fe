//! The thread that folds: it decides when and how far, hands frames to `fold` and mutations to `index`, and retires
//! segments.
//!
//! Open `compactor.rs`: who folds, and who stands by (`beat_watch.rs`, `patience.rs`). `folding.rs` is what the one who
//! folds does. `sources.rs` has the logs, each a `source.rs`, and `folder_task.rs` says what to do with one; `round.rs`
//! is one transaction, for which `chunk.rs` gathers frames; `fold_interval.rs` says when. `retirement.rs` deletes or
//! moves what is folded, as `retirement_plan.rs` decides; `newer_records.rs` keeps what a newer build wrote,
//! `lost_records.rs` notes what is missing, and `damage_notes.rs` has words for damage. Nothing here touches the
//! channel, and nothing writes into a log.

mod beat_watch;
mod chunk;
mod clean_up;
#[expect(clippy::module_inception, reason = "a folder's main noun has the file of its name; this one only declares")]
pub(crate) mod compactor;
#[cfg(test)]
mod compactor_tests;
mod copies;
mod damage_notes;
mod fold_error;
mod fold_interval;
pub(crate) mod fold_waiting;
pub(crate) mod folded_segment;
mod folder_task;
pub(crate) mod folding;
#[cfg(test)]
mod folding_tests;
pub(crate) mod handles;
#[cfg(test)]
mod interleaving_tests;
mod kept_segments;
pub(crate) mod log_fold;
mod log_fronts;
pub(crate) mod log_retention;
mod log_size;
mod lost_records;
mod newer_records;
pub(crate) mod newest_event;
mod patience;
mod retirement;
pub(crate) mod retirement_plan;
mod round;
#[cfg(test)]
mod scene;
mod source;
mod sources;
mod unborn;
