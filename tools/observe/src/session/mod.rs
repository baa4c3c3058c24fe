//! Which sessions there are, and who their clients say they are.
//!
//! Called from the tasks that pass bytes on; short critical sections, bounded memory. It decides, and calls record.

mod announced;
mod announcement;
mod identity;
mod not_found;
mod sessions;

pub(crate) use announcement::{Announcement, Postponed};
pub(crate) use identity::ClientIdentity;
pub(crate) use not_found::NotFound;
pub(crate) use sessions::{Sessions, session_in_query};
