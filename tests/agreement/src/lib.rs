//! Damaged stores, and whether all who read, fold or rebuild them do as the format's page says.
//!
//! ```text
//! life --> recording --> honest --> damage --> answers ------> judge
//! (what    (segments,    (as its    (by name,  (who reads,     (what differs from what
//!  is       and what is   writers    from a     folds, makes    is expected)
//!  told)    folded when)  leave it)  seed)      anew)            ^
//!                                      \-----> model_segment, model_log, expectation
//! ```
//!
//! A `case` is a store by its seed, a `trial` its way through all that, a `run` many trials. What is expected comes from the
//! model alone: it reads the damaged bytes by the page, with codecs of its own (`bytes`), and never asks the code that is
//! judged. The reader in Python was written from the same page by itself, and is judged like everybody else. From the
//! library come only the encoding of events and the databases of honest stores.
//!
//! Runs in the tests' process, with a process of Python for each worker. Writers who live are locks that it holds.

pub mod answers;
pub mod bytes;
pub mod case;
pub mod checking;
pub mod contents;
mod court;
pub mod damage;
mod damage_to_bytes;
mod damage_to_claims;
mod damage_to_files;
mod damage_to_records;
mod damage_to_stores;
pub mod expectation;
mod files_judged;
mod folding_judged;
pub mod honest;
pub mod inspect_reader;
pub mod judge;
pub mod knife;
pub mod known;
pub mod life;
pub mod model_log;
pub mod model_segment;
pub mod opening;
pub mod python_reader;
pub mod ranges;
mod readers_judged;
pub mod reading;
mod rebuilding_judged;
pub mod recording;
mod refusals_judged;
pub mod run;
pub mod scale;
pub mod segment_image;
pub mod store_image;
pub mod trial;
