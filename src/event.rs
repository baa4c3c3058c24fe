//! What a proxy observes: the public event types.
//!
//! Events borrow their strings, so that a proxy thread builds one from what it already holds, without
//! allocating. They have no on-disk meaning: [`crate::record`] owns the bytes. This module runs on the
//! caller's thread and must not do I/O.

/// One observation, ready to be handed to [`Recorder::record`](crate::Recorder::record).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A JSON-RPC request and how it ended.
    Request(Request<'a>),
    /// An MCP session that began.
    Session(Session<'a>),
    /// An MCP session that ended.
    SessionClosed(SessionClosed<'a>),
    /// A new version of what a server says it offers.
    SchemaVersion(SchemaVersion<'a>),
}

/// How a request ended, at the protocol level.
///
/// A tool that reports its own failure (`isError: true`) is [`Status::Ok`] here and says so in
/// [`Request::tool_error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// A JSON-RPC result arrived.
    Ok,
    /// A JSON-RPC error arrived, or the exchange broke off.
    Error,
    /// No response arrived within the proxy's time limit.
    Timeout,
}

impl Status {
    /// The name that tables, JSON and people see: `ok`, `error` or `timeout`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Timeout => "timeout",
        }
    }

    /// The number that stands for it in memory and in column `status`.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Error => 1,
            Self::Timeout => 2,
        }
    }

    /// The status with that number. No other number is ever written: whoever reads one made it with
    /// [`Self::number`], and the column has a CHECK.
    pub(crate) const fn from_number(number: i64) -> Self {
        match number {
            0 => Self::Ok,
            2 => Self::Timeout,
            _ => Self::Error,
        }
    }

    /// The status with that name, or `None`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "ok" => Some(Self::Ok),
            "error" => Some(Self::Error),
            "timeout" => Some(Self::Timeout),
            _ => None,
        }
    }
}

/// The longest error message that is kept, in characters; of a longer one the rest is cut, and `…` put there.
///
/// A value of the database that is longer than its limit, here and below, was cut, and no other is: this is how to tell
/// one that was cut from one that ends in `…` by itself. (The log keeps everything but messages whole.)
pub const ERROR_MSG_CHARS_MAX: usize = 512;
/// The longest request id and session id in the database, in bytes. A longer one is cut, and `…` and 32 hexadecimal
/// digits follow, the first half of the whole one's SHA-256; so different ids stay different. What an MCP server gives out
/// as a session id has some 40 characters; ids are keys of indexes, and the index of a long one is slow and large.
pub const ID_BYTES_MAX: usize = 256;
/// The longest name in the database, in bytes: of proxies, methods, tools, clients, their versions and platforms, error
/// codes, protocol versions, JSON-RPC ids. Longer ones are cut like ids. NameNumbers fill a terminal's line and are repeated in
/// every list.
pub const NAME_BYTES_MAX: usize = 256;
/// The longest address in the database, in bytes: targets and URLs of servers. Longer ones are cut like ids. No browser or
/// server can be relied on to take more than this in a URL.
pub const ADDRESS_BYTES_MAX: usize = 2048;
/// The largest schema payload in the database, in bytes. In place of a larger one, a JSON object says how large it was and
/// what its SHA-256 is: `{"mcplogCut":{"bytes":…,"sha256":"…"}}`; the changes from and to it are `updated`. Comparing two
/// of this size takes tens of megabytes and milliseconds.
pub const SCHEMA_PAYLOAD_BYTES_MAX: usize = 1024 * 1024;
/// How many changes between two schema versions are listed; where there are more, the change is `updated`.
pub const SCHEMA_CHANGES_MAX: usize = 4096;

/// How many different calls (proxy, method and tool) the database tells apart. Each has roll-ups of its own, and
/// statistics over all of them read all of those; without a limit, a client that makes up tools would fill the database.
///
/// The first ones keep their names, and further ones go under [`OTHER_NAME`]: as the tool, where up to [`OTHERS_MAX`] of
/// those are known, else as proxy and method too. So which calls keep their names depends on the order of events; nothing
/// else does.
pub const CALLS_MAX: usize = 4096;
/// How many different clients (name, version and platform) the database tells apart; further ones go under
/// [`OTHER_NAME`], as the version or else as the name.
pub const CLIENTS_MAX: usize = 4096;
/// How many different proxies' names sessions tell apart; further ones go under [`OTHER_NAME`].
pub const PROXIES_MAX: usize = 1024;
/// How many calls, and how many clients, may go partly under [`OTHER_NAME`] beside those that have their own names.
pub const OTHERS_MAX: usize = 256;
/// The name of all that are too many.
pub const OTHER_NAME: &str = "(other)";

/// One JSON-RPC request that a client sent, with its outcome.
///
/// Build one with [`Request::new`] and set what else is known:
///
/// ```
/// use mcplog::{Request, Status};
///
/// let mut request = Request::new("0197a1c0-7b1e-7cc3-98c4-dc0c0c07398f", 1_760_000_000_000, "files", "tools/call");
/// request.tool = Some("search");
/// request.latency_us = 1_840;
/// request.status = Status::Ok;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The recorder's own id of the request, a `UUIDv7` as text by convention; the primary lookup key. Any text is
    /// possible. Of several requests with one id, one is kept.
    pub request_id: &'a str,
    /// When the request arrived: Unix time in milliseconds, UTC.
    pub ts: i64,
    /// The name of the proxy that saw it.
    pub proxy: &'a str,
    /// The MCP session, where there is one. It need not have been announced.
    pub session_id: Option<&'a str>,
    /// The JSON-RPC method, such as `tools/call`.
    pub method: &'a str,
    /// The tool, for `tools/call`.
    pub tool: Option<&'a str>,
    /// From the request's arrival to its response, in microseconds.
    pub latency_us: i64,
    /// How it ended.
    pub status: Status,
    /// The JSON-RPC error code, or the proxy's name for how the exchange broke off.
    pub error_code: Option<&'a str>,
    /// The error message; cut behind [`ERROR_MSG_CHARS_MAX`] characters.
    pub error_msg: Option<&'a str>,
    /// Size of the JSON-RPC request in bytes, unpacked and without the framing of a batch.
    pub bytes_in: Option<i64>,
    /// Size of the JSON-RPC response in bytes, unpacked and without the framing of a batch or an event stream.
    pub bytes_out: Option<i64>,
    /// Whether the result said `isError`; `None` where the method has no such flag.
    pub tool_error: Option<bool>,
    /// What the request was about when it is not a tool: a resource URI, a prompt name.
    pub target: Option<&'a str>,
    /// The MCP revision spoken, such as `2025-11-25`.
    pub protocol_version: Option<&'a str>,
    /// The JSON-RPC id, as JSON text without the quotes of a string.
    pub rpc_id: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// A request with status [`Status::Ok`], latency zero and nothing optional set.
    pub const fn new(request_id: &'a str, ts: i64, proxy: &'a str, method: &'a str) -> Self {
        Self {
            request_id,
            ts,
            proxy,
            session_id: None,
            method,
            tool: None,
            latency_us: 0,
            status: Status::Ok,
            error_code: None,
            error_msg: None,
            bytes_in: None,
            bytes_out: None,
            tool_error: None,
            target: None,
            protocol_version: None,
            rpc_id: None,
        }
    }
}

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
    /// The platform; left empty, it is derived from the client name when it is folded
    /// ([`crate::fold::platform`]).
    pub client_platform: Option<&'a str>,
    /// The MCP revision agreed on.
    pub protocol_version: Option<&'a str>,
    /// Whether the proxy made this session up, because the protocol revision has none.
    pub derived: bool,
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
        }
    }
}

/// The end of an MCP session.
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

/// What a server offers, as it said in one of its list or handshake results.
///
/// Emit one only when the payload changed; the folder compares it with the version before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaVersion<'a> {
    /// When it was seen: Unix time in milliseconds, UTC.
    pub ts: i64,
    /// The name of the proxy that saw it.
    pub proxy: &'a str,
    /// The server.
    pub upstream_url: &'a str,
    /// The method whose result this is, such as `tools/list`.
    pub method: &'a str,
    /// The merged `result`, as JSON text.
    pub payload: &'a str,
    /// SHA-256 of the canonical payload, in lower-case hexadecimal.
    pub content_hash: &'a str,
}

impl<'a> SchemaVersion<'a> {
    /// A version of what `upstream_url` answers to `method`.
    pub const fn new(
        ts: i64,
        proxy: &'a str,
        upstream_url: &'a str,
        method: &'a str,
        payload: &'a str,
        content_hash: &'a str,
    ) -> Self {
        Self { ts, proxy, upstream_url, method, payload, content_hash }
    }
}

impl<'a> From<Request<'a>> for Event<'a> {
    fn from(request: Request<'a>) -> Self {
        Self::Request(request)
    }
}

impl<'a> From<Session<'a>> for Event<'a> {
    fn from(session: Session<'a>) -> Self {
        Self::Session(session)
    }
}

impl<'a> From<SessionClosed<'a>> for Event<'a> {
    fn from(closed: SessionClosed<'a>) -> Self {
        Self::SessionClosed(closed)
    }
}

impl<'a> From<SchemaVersion<'a>> for Event<'a> {
    fn from(version: SchemaVersion<'a>) -> Self {
        Self::SchemaVersion(version)
    }
}
