//! A JSON-RPC request, as a proxy observes it, and the one list of its details. Plain data, on the caller's thread.

use super::code::{Direction, Status, Transport};
use super::detail::{DetailSink, DetailSource, Limit};
use super::limits::{ADDRESS_BYTES_MAX, NAME_BYTES_MAX, PRINCIPAL_BYTES_MAX};
use super::notes::Notes;
use super::outcome::Outcome;

/// One JSON-RPC request that a client or a server sent, with its outcome.
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
///
/// `Id` is what ids are: text as they are observed, and [`record::Id`](crate::record::Id) in a record, which keeps most
/// of them in 16 bytes. What is on disk is written out in [`crate::record`], so the order of the fields here is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request<'a, Id = &'a str> {
    /// The recorder's own id of the request, a `UUIDv7` as text by convention; the primary lookup key. Any text is
    /// possible. Of several requests with one id, one is kept.
    pub request_id: Id,
    /// When the request arrived: Unix time in milliseconds, UTC.
    pub ts: i64,
    /// The name of the proxy that saw it.
    pub proxy: &'a str,
    /// The MCP session, where there is one. It need not have been announced.
    pub session_id: Option<Id>,
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
    /// With which words it failed: the error's message, or what a tool that failed said. Only the outcome tells the two apart.
    /// Cut behind [`ERROR_MSG_CHARS_MAX`](super::ERROR_MSG_CHARS_MAX) characters.
    pub error_msg: Option<&'a str>,
    /// Size of the JSON-RPC request in bytes, unpacked and without the framing of a batch.
    pub bytes_in: Option<i64>,
    /// Size of the JSON-RPC response in bytes, unpacked and without the framing of a batch or an event stream.
    pub bytes_out: Option<i64>,
    /// Whether the result said `isError`; `None` where the method has no such flag.
    pub tool_error: Option<bool>,
    /// What the request was about when it is not a tool: a resource URI, a prompt name, a task's id. The call that became a
    /// task has that task's id here too.
    pub target: Option<&'a str>,
    /// The MCP revision spoken, such as `2025-11-25`.
    pub protocol_version: Option<&'a str>,
    /// The JSON-RPC id, as JSON text without the quotes of a string.
    pub rpc_id: Option<&'a str>,
    /// The HTTP status of the response that brought the answer: where that came on another stream (2024-11-05, a resumed
    /// one), of that stream's. Without an answer, of the response to the request; `None` if the upstream sent none.
    pub http_status: Option<u16>,
    /// How the request reached the server.
    pub transport: Option<Transport>,
    /// The path that was asked, where one origin serves several servers: without query, at most [`ADDRESS_BYTES_MAX`]
    /// bytes.
    pub endpoint: Option<&'a str>,
    /// What became of the request, as far as it is told; [`Request::counts_as`] says what it counts as.
    pub outcome: Option<Outcome>,
    /// Why an upstream failed, in the words of whoever said so, or which error came too late; at most [`NAME_BYTES_MAX`] bytes.
    pub cause: Option<&'a str>,
    /// Who asked; `None` is the client.
    pub direction: Option<Direction>,
    /// On whose behalf: a salted digest or a named claim, never a credential; at most [`PRINCIPAL_BYTES_MAX`] bytes.
    pub principal: Option<&'a str>,
    /// The trace that the request is part of, as W3C Trace Context has it.
    pub trace_id: Option<[u8; 16]>,
    /// The span that asked, likewise.
    pub parent_span_id: Option<[u8; 8]>,
    /// The request id of the call that this one continues; of a request about a task, the call that became it.
    pub retry_of: Option<Id>,
    /// How long the call waited for its user, in microseconds.
    pub input_wait_us: Option<i64>,
    /// What was odd about the protocol.
    pub notes: Notes,
}

/// A detail whose ids and texts go through `$id` and `$text`.
macro_rules! mapped {
    (id, $value:expr, $id:ident, $text:ident) => {
        $value.map(&mut $id)
    };
    (text($limit:expr), $value:expr, $id:ident, $text:ident) => {
        $value.map(|text| $text($limit, text))
    };
    ($kind:ident, $value:expr, $id:ident, $text:ident) => {
        $value
    };
}

/// Makes the list of details: their names, and the ways to go over them.
macro_rules! details {
    ($($kind:ident $(($limit:expr))? $name:ident),* $(,)?) => {
        impl<'a, Id: Copy> Request<'a, Id> {
            /// The names of the details, in the order in which they are gone over.
            pub const DETAILS: &'static [&'static str] = &[$(stringify!($name)),*];

            /// Hands each detail to `sink`.
            #[inline]
            pub fn put_details(&self, sink: &mut impl DetailSink<'a, Id>) {
                $(sink.$kind(stringify!($name) $(, $limit)?, self.$name);)*
            }

            /// Takes each detail from `source`.
            #[inline]
            pub fn take_details(&mut self, source: &mut impl DetailSource<'a, Id>) {
                $(self.$name = source.$kind(stringify!($name) $(, $limit)?);)*
            }

            /// The same request, with other ids and texts in the place of its own.
            pub fn map<'b, J>(
                self,
                mut id: impl FnMut(Id) -> J,
                mut text: impl FnMut(Limit, &'a str) -> &'b str,
            ) -> Request<'b, J> {
                let name = Limit::Bytes(NAME_BYTES_MAX);
                let request_id = id(self.request_id);
                Request {
                    session_id: self.session_id.map(&mut id),
                    tool: self.tool.map(|tool| text(name, tool)),
                    latency_us: self.latency_us,
                    status: self.status,
                    $($name: mapped!($kind $(($limit))?, self.$name, id, text),)*
                    ..Request::with_id(request_id, self.ts, text(name, self.proxy), text(name, self.method))
                }
            }
        }
    };
}

// The one list. What is common comes first: a row of the database ends with the last detail that it has. Every row has an
// outcome.
details! {
    code outcome,
    number bytes_in,
    number bytes_out,
    flag tool_error,
    text(Limit::Bytes(NAME_BYTES_MAX)) protocol_version,
    text(Limit::Bytes(NAME_BYTES_MAX)) rpc_id,
    short http_status,
    code transport,
    text(Limit::Bytes(ADDRESS_BYTES_MAX)) endpoint,
    text(Limit::Bytes(NAME_BYTES_MAX)) error_code,
    text(Limit::Message) error_msg,
    text(Limit::Bytes(ADDRESS_BYTES_MAX)) target,
    text(Limit::Bytes(NAME_BYTES_MAX)) cause,
    code direction,
    text(Limit::Bytes(PRINCIPAL_BYTES_MAX)) principal,
    bytes trace_id,
    bytes parent_span_id,
    id retry_of,
    number input_wait_us,
    notes notes,
}

impl<'a> Request<'a> {
    /// A request with status [`Status::Ok`], latency zero and nothing optional set.
    pub const fn new(request_id: &'a str, ts: i64, proxy: &'a str, method: &'a str) -> Self {
        Self::with_id(request_id, ts, proxy, method)
    }
}

impl<'a, Id> Request<'a, Id> {
    /// What the request counts as, by all that is recorded of it.
    pub fn counts_as(&self) -> Outcome {
        // What method means is said of clients' requests: a server finds out no era, and ends no subscription.
        let method = if self.direction == Some(Direction::Server) { "" } else { self.method };
        Outcome::of(self.status, self.outcome, self.tool_error, method, self.error_code)
    }

    /// The same, whatever ids are.
    pub const fn with_id(request_id: Id, ts: i64, proxy: &'a str, method: &'a str) -> Self {
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
            http_status: None,
            transport: None,
            endpoint: None,
            outcome: None,
            cause: None,
            direction: None,
            principal: None,
            trace_id: None,
            parent_span_id: None,
            retry_of: None,
            input_wait_us: None,
            notes: Notes::NONE,
        }
    }
}
