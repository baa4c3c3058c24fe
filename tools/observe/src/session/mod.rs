//! Which sessions there are, and who their clients say they are.
//!
//! Called from the tasks that pass bytes on; short critical sections, bounded memory. It decides, and calls record.

mod identity;
mod sessions;

pub(crate) use identity::ClientIdentity;
pub(crate) use sessions::{Announcement, Sessions, session_in_query};
