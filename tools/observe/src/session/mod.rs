//! Which sessions there are, and who their clients say they are.
//!
//! Called from the tasks that pass bytes on; short critical sections, bounded memory. It decides, and calls record.

mod announced;
mod announcement;
mod asker;
mod derived;
mod identity;
mod known;
mod not_found;
mod revision;
mod sessions;

pub(crate) use announcement::{Announcement, Postponed};
pub(crate) use asker::{Asker, Peer};
pub(crate) use identity::ClientIdentity;
pub use known::{KNOWN_SESSIONS_MAX, KnownSession, KnownSessions};
pub(crate) use not_found::NotFound;
pub(crate) use revision::is_sessionless;
pub(crate) use sessions::{Sessions, session_in_query};
