//! Damaged logs, and whether all who read a log say the same of them.
//!
//! ```text
//! recording --> honest --> damage --> answers --> judge
//! (recorded     (as a      (by name,  (who reads  (what does not go together, and what
//!  by the        store      from a     it, opens   was recorded, by `court`, `recorded`)
//!  library)      leaves it) seed)      it, ...)
//! ```
//!
//! A `case` is a log by its seed, a `trial` its way through all that, a `run` many trials. The reader in Python was written
//! from the format's page alone, so that what it says is what the page says; what was recorded is known from the
//! recording. Nothing here knows how the library finds out what it says.
//!
//! Runs in the tests' process, with a process of Python for each worker.

pub mod answers;
pub mod case;
pub mod checking;
pub mod contents;
mod court;
pub mod damage;
mod damage_to_bytes;
mod damage_to_claims;
mod damage_to_files;
mod damage_to_records;
pub mod honest;
pub mod inspect_reader;
pub mod judge;
pub mod knife;
pub mod log_image;
pub mod opening;
mod opening_judged;
pub mod python_reader;
pub mod ranges;
mod readers_judged;
pub mod reading;
mod rebuilding_judged;
mod recorded;
pub mod recording;
mod refusals_judged;
pub mod run;
pub mod scale;
pub mod segment_image;
pub mod trial;
