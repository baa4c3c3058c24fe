//! The thread that folds: it decides when and how far, hands frames to `fold` and mutations to `index`, and retires
//! segments.
//!
//! Open `compactor.rs`. `fold_interval.rs` says when, `fold_limit.rs` how far; `segment_fold.rs` is one transaction,
//! for which `chunk.rs` gathers frames; `retirement.rs` deletes or moves what is folded, as `retirement_plan.rs` decides;
//! `newer_records.rs` keeps what a newer build wrote, `lost_records.rs` notes what is missing. Nothing here touches the channel or recovers a log.

mod chunk;
#[expect(clippy::module_inception, reason = "a folder's main noun has the file of its name; this one only declares")]
pub(crate) mod compactor;
mod copies;
mod fold_error;
mod fold_interval;
pub(crate) mod fold_limit;
pub(crate) mod fold_start;
pub(crate) mod handles;
pub(crate) mod log_fold;
pub(crate) mod log_retention;
mod lost_records;
mod newer_records;
pub(crate) mod newest_event;
mod retirement;
pub(crate) mod retirement_plan;
mod segment_fold;
