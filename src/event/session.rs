//! An MCP session's begin and end, as a proxy observes them. Plain data, on the caller's thread.

/// An MCP session that began with an `initialize` handshake, or was derived where the protocol has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Session<'a> {
    /// The session's id: the `Mcp-Session-Id` header's value, or one that the proxy made up.
    pub session_id: &'a str,
    /// The name of the proxy that saw it.
    pub proxy: &'a str,
    /// When it began: Unix time in milliseconds, UTC.
    pub started_at: i64,
    /// `clientInfo.name`.
    pub client_name: Option<&'a str>,
    /// `clientInfo.version`.
    pub client_version: Option<&'a str>,
    /// The platform; left empty, it is derived from the client name when it is folded ([`crate::fold::platform`]).
    pub client_platform: Option<&'a str>,
    /// The MCP revision agreed on.
    pub protocol_version: Option<&'a str>,
    /// Whether the proxy made this session up, because the protocol revision has none.
    pub derived: bool,
    /// How many lines a server that its client started has written on its standard output that are no messages, as far as
    /// is known. `None`: not counted, as over HTTP.
    ///
    /// Who counts says the session again with the new number, and with all else as before: of all that are said, the
    /// highest counts, so that their order does not matter.
    pub noise_lines: Option<i64>,
}

impl<'a> Session<'a> {
    /// A session of an unknown client.
    pub const fn new(session_id: &'a str, started_at: i64, proxy: &'a str) -> Self {
        Self {
            session_id,
            proxy,
            started_at,
            client_name: None,
            client_version: None,
            client_platform: None,
            protocol_version: None,
            derived: false,
            noise_lines: None,
        }
    }
}

/// The end of an MCP session. A request of the session that comes later opens the session again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionClosed<'a> {
    /// The session's id.
    pub session_id: &'a str,
    /// When it ended: Unix time in milliseconds, UTC.
    pub ended_at: i64,
}

impl<'a> SessionClosed<'a> {
    /// The end of the session with that id.
    pub const fn new(session_id: &'a str, ended_at: i64) -> Self {
        Self { session_id, ended_at }
    }
}
