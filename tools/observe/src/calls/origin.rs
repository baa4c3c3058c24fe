//! What is known of a call that its message does not say: which way it came.
//!
//! Pure data, shared by all calls of an exchange or a pipe, and cheap to clone. What else the transport knows before the
//! answer (which transport, which endpoint, which direction) belongs here.

use std::sync::Arc;

/// Which way a call came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// The session that the transport names.
    pub(crate) session: Option<Arc<str>>,
    /// The protocol's revision that the transport names.
    pub(crate) protocol_version: Option<Arc<str>>,
}
