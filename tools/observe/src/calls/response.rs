//! What is known of the response to an exchange.
//!
//! Pure data, from the response's head. What else its head says that is to be recorded belongs here: an answer carries it.

use std::sync::Arc;

/// The response that a call's answer came with, or was expected in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    /// The status of HTTP, once the head is here.
    pub(crate) status: Option<u16>,
    /// The session that the head announced.
    pub(crate) new_session: Option<Arc<str>>,
    /// Why it is no answer, where the head says that.
    pub(crate) cause: Option<Arc<str>>,
}
