//! What is known of a call that its message does not say: which way it came.
//!
//! Pure data, shared by all calls of an exchange or a pipe, and cheap to clone. What else the transport knows before the
//! answer (which direction) belongs here.

use crate::credential::Credential;
use crate::session::Asker;
use mcplog::event::Transport;
use std::sync::Arc;

/// Which way a call came.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) transport: Transport,
    /// The path that was asked, where the transport has paths.
    pub(crate) endpoint: Option<Arc<str>>,
    /// The session that the transport names. None where the transport's revision has none, unless a handshake agreed on it.
    pub(crate) session: Option<Arc<str>>,
    /// A handshake agreed on that session, or a stream announced it.
    pub(crate) is_agreed: bool,
    /// Who asks, where the transport names no session.
    pub(crate) asker: Asker,
    /// The protocol's revision that the transport names.
    pub(crate) protocol_version: Option<Arc<str>>,
    /// By what the client proved who it is.
    pub(crate) credential: Option<Credential>,
}

impl Origin {
    /// What it takes up beside itself, in bytes, but for the revision, which is counted as its calls'.
    pub(super) fn text_bytes(&self) -> usize {
        [&self.session, &self.endpoint].into_iter().flatten().map(|text| text.len()).sum()
    }
}
