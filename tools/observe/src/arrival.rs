//! When and where a request came in.
//!
//! Pure data.

use std::time::Instant;

/// When and where a request came in. [`crate::Observer::arrival`] makes one.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub(crate) at: Instant,
    /// The same in Unix milliseconds.
    pub(crate) ts: i64,
    /// The client's address, as a number. `None` where the client is a process on the other end of a pipe.
    pub(crate) client_address: Option<u128>,
    /// The number of the client's connection, unique within the process.
    pub(crate) connection: u64,
}
