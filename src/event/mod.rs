//! What a proxy observes: the public event types.
//!
//! Open `event.rs`, then `request.rs`, which has the one list of a request's fields. Events borrow their strings, so
//! that a proxy thread builds one from what it already holds, without allocating. They have no on-disk meaning:
//! [`crate::record`] owns the bytes. Everything here runs on the caller's thread and must not do I/O.

#[cfg(test)]
pub(crate) mod any;
pub mod canonical;
mod code;
mod detail;
#[expect(clippy::module_inception, reason = "a folder's main noun has the file of its name; this one only declares")]
mod event;
mod limits;
mod notes;
mod outcome;
mod outcome_counts;
mod request;
mod schema_version;
mod session;

pub use code::{Code, Direction, Status, Transport};
pub use detail::{DetailSink, DetailSource, DetailValue, Limit};
pub use event::{Event, Observation};
pub use limits::{
    ADDRESS_BYTES_MAX, CALLS_MAX, CLIENTS_MAX, ENDPOINTS_MAX, ERROR_MSG_CHARS_MAX, ID_BYTES_MAX, NAME_BYTES_MAX,
    OTHER_NAME, OTHERS_MAX, PRINCIPAL_BYTES_MAX, PROXIES_MAX, SCHEMA_CHANGES_MAX, SCHEMA_PAYLOAD_BYTES_MAX,
};
pub use notes::{Note, Notes};
pub use outcome::{Outcome, SUBSCRIPTION_METHOD};
pub use outcome_counts::OutcomeCounts;
pub use request::Request;
pub use schema_version::SchemaVersion;
pub use session::{Session, SessionClosed};
