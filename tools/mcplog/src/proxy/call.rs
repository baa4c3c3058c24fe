//! One JSON-RPC request on its way, and the promise that it becomes exactly one `Request` event.
//!
//! A [`Call`] is shared by the exchange that brought it and, if it belongs to a session, by the index that finds it when its
//! response arrives on another stream. Whoever ends it first takes its facts out and records them; everybody else comes
//! too late. Should nobody do so, its drop does. Lives in the forwarding tasks; it must not block.

use super::failure::Failure;
use super::journal::{Arrival, Journal, now_ms};
use super::message::{Message, Slot};
use super::pages::Scope;
use super::rpc::{RpcId, SchemaMethod, tool_and_target};
use super::schema::Observation;
use super::sessions::ClientIdentity;
use mcplog::{Request, Session, Status};
use parking_lot::Mutex;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// What HTTP says about a request, apart from its body.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestHead {
    /// `Mcp-Session-Id`, or the session in the URL of the 2024-11-05 transport.
    pub(super) session: Option<Arc<str>>,
    /// `Mcp-Protocol-Version`.
    pub(super) protocol_version: Option<Box<str>>,
    /// `Mcp-Method`, of the sessionless era.
    pub(super) method: Option<Box<str>>,
    /// `Mcp-Name`, of the sessionless era.
    pub(super) name: Option<Box<str>>,
}

/// What is known of a request before its response.
struct Facts {
    /// Minted at arrival, so that ids sort as requests came.
    request_id: Uuid,
    arrival: Arrival,
    method: Box<str>,
    tool: Option<Box<str>>,
    target: Option<Box<str>>,
    protocol_version: Option<Box<str>>,
    /// The client's identity, if this is a request of the sessionless era.
    identity: Option<ClientIdentity>,
    /// The client's identity, if this is a handshake.
    client: Option<ClientIdentity>,
    cursor: Option<Box<str>>,
    bytes_in: Option<i64>,
    /// Why it will count as failed if it stays without an answer, since when that is so, and how long to wait.
    parked: Option<Parked>,
}

#[derive(Clone, Copy)]
pub(super) struct Parked {
    pub(super) failure: Failure,
    since: Instant,
    pub(super) deadline: Instant,
}

/// One JSON-RPC request that waits for its response.
pub(super) struct Call {
    journal: Arc<Journal>,
    /// `None` where the body could not be read and the request is only known from its headers.
    pub(super) id: Option<RpcId>,
    pub(super) session: Option<Arc<str>>,
    pub(super) schema: Option<SchemaMethod>,
    /// Its response is a stream that may be silent for hours (`subscriptions/listen`).
    pub(super) is_patient: bool,
    /// `None` as soon as somebody has recorded it.
    facts: Mutex<Option<Facts>>,
}

/// How a call ended.
#[derive(Clone, Copy)]
enum Outcome<'m> {
    Answered(&'m Message),
    Failed(Failure),
}

impl Call {
    /// A request whose body was read.
    pub(super) fn begin(
        journal: &Arc<Journal>,
        arrival: Arrival,
        head: &RequestHead,
        id: RpcId,
        message: &Message,
    ) -> Arc<Self> {
        let method = message.text(Slot::Method).unwrap_or_default();
        let (tool, target) = tool_and_target(&method, message);
        let meta_version = message.text(Slot::MetaProtocolVersion);
        let meta_name = message.text(Slot::MetaClientName);
        let is_sessionless = meta_version.is_some() || meta_name.is_some();
        let facts = Facts {
            request_id: Uuid::now_v7(),
            arrival,
            tool: tool.map(boxed),
            target: target.map(boxed),
            protocol_version: meta_version
                .or_else(|| head.protocol_version.as_deref().map(Cow::Borrowed))
                .or_else(|| message.text(Slot::RequestedVersion).filter(|_| method == "initialize"))
                .map(boxed),
            identity: (is_sessionless && head.session.is_none()).then(|| ClientIdentity {
                name: meta_name.map(boxed),
                version: message.text(Slot::MetaClientVersion).map(boxed),
            }),
            client: (method == "initialize").then(|| ClientIdentity {
                name: message.text(Slot::ClientName).map(boxed),
                version: message.text(Slot::ClientVersion).map(boxed),
            }),
            cursor: message.text(Slot::Cursor).map(boxed),
            bytes_in: Some(message.bytes()),
            parked: None,
            method: boxed(method),
        };
        Self::start(journal, head, Some(id), facts)
    }

    /// A request whose body could not be read, from what its headers say.
    pub(super) fn begin_unread(
        journal: &Arc<Journal>,
        arrival: Arrival,
        head: &RequestHead,
        method: &str,
    ) -> Arc<Self> {
        let is_tool = method == "tools/call";
        let facts = Facts {
            request_id: Uuid::now_v7(),
            arrival,
            method: method.into(),
            tool: head.name.clone().filter(|_| is_tool),
            target: head.name.clone().filter(|_| !is_tool),
            protocol_version: head.protocol_version.clone(),
            identity: None,
            client: None,
            cursor: None,
            bytes_in: None,
            parked: None,
        };
        Self::start(journal, head, None, facts)
    }

    fn start(journal: &Arc<Journal>, head: &RequestHead, id: Option<RpcId>, facts: Facts) -> Arc<Self> {
        journal.metrics.in_flight.fetch_add(1, Ordering::Relaxed);
        let call = Arc::new(Self {
            journal: journal.clone(),
            id,
            session: head.session.clone(),
            schema: SchemaMethod::of(&facts.method),
            is_patient: &*facts.method == "subscriptions/listen",
            facts: Mutex::new(Some(facts)),
        });
        journal.calls.insert(&call);
        call
    }

    pub(super) fn is_open(&self) -> bool {
        self.facts.lock().is_some()
    }

    /// Whether a response with that id is its own. One whose id is not known takes any.
    pub(super) fn is_answered_by(&self, id: &RpcId) -> bool {
        self.id.as_ref().is_none_or(|own| own == id) && self.is_open()
    }

    /// Its response was seen. `payload` is the response's text, if it was captured; `new_session` the session that the
    /// response's headers announced.
    pub(super) fn answer(&self, message: &Message, payload: Option<&[u8]>, new_session: Option<&Arc<str>>) {
        let Some(facts) = self.take() else { return };
        if message.has_result
            && let (Some(schema), Some(payload)) = (self.schema, payload)
        {
            let scope = match self.session.as_ref().or(new_session) {
                Some(session) => Scope::Session(session.clone()),
                None => Scope::Connection(facts.arrival.connection),
            };
            self.journal.schema.observe(Observation {
                scope,
                method: schema,
                cursor: facts.cursor.clone(),
                ts: now_ms(),
                message: payload.to_vec(),
            });
        }
        self.record(&facts, Outcome::Answered(message), new_session, Instant::now());
    }

    /// It will not be answered any more.
    pub(super) fn fail(&self, failure: Failure) {
        if let Some(facts) = self.take() {
            self.record(&facts, Outcome::Failed(failure), None, Instant::now());
        }
    }

    /// Its answer may still arrive on another stream; if not by the deadline, it has failed as of now.
    pub(super) fn park(&self, failure: Failure, wait: Duration) {
        let since = Instant::now();
        if let Some(facts) = self.facts.lock().as_mut() {
            facts.parked = Some(Parked { failure, since, deadline: since + wait });
        }
    }

    /// Ends a parked call, if it is one that is wanted.
    pub(super) fn give_up(&self, now: Instant, wanted: impl Fn(&Parked) -> bool) {
        let mut slot = self.facts.lock();
        let Some(parked) = slot.as_ref().and_then(|facts| facts.parked).filter(|parked| wanted(parked)) else { return };
        let facts = slot.take();
        drop(slot);
        if let Some(facts) = facts {
            self.journal.calls.remove(self);
            // A time limit runs until it is over; everything else happened when the call was parked.
            let ended = if parked.failure == Failure::Timeout { now } else { parked.since };
            self.record(&facts, Outcome::Failed(parked.failure), None, ended);
        }
    }

    /// Takes the facts out, which makes the caller the one who records them.
    fn take(&self) -> Option<Facts> {
        let facts = self.facts.lock().take()?;
        self.journal.calls.remove(self);
        Some(facts)
    }

    fn record(&self, facts: &Facts, outcome: Outcome<'_>, new_session: Option<&Arc<str>>, ended: Instant) {
        let journal = &*self.journal;
        journal.metrics.in_flight.fetch_sub(1, Ordering::Relaxed);
        let has_result = matches!(outcome, Outcome::Answered(message) if message.has_result);
        let session = self.session_of(facts, outcome, new_session);
        let remembered = session.as_deref().and_then(|session| journal.sessions.protocol_version(session));

        let mut id_text = Uuid::encode_buffer();
        let mut request = Request::new(
            facts.request_id.hyphenated().encode_lower(&mut id_text),
            facts.arrival.ts,
            &journal.proxy,
            &facts.method,
        );
        request.session_id = session.as_deref();
        request.tool = facts.tool.as_deref();
        request.target = facts.target.as_deref();
        request.rpc_id = self.id.as_ref().map(|id| &*id.text);
        request.bytes_in = facts.bytes_in;
        request.protocol_version = facts.protocol_version.as_deref().or(remembered.as_deref());
        let latency = ended.saturating_duration_since(facts.arrival.at);
        request.latency_us = i64::try_from(latency.as_micros()).unwrap_or(i64::MAX);

        let (code, text);
        let mut agreed = None;
        match outcome {
            Outcome::Answered(message) => {
                request.bytes_out = Some(message.bytes());
                if has_result {
                    request.status = Status::Ok;
                    agreed = message.text(Slot::AgreedVersion).filter(|_| facts.client.is_some());
                    request.protocol_version = agreed.as_deref().or(request.protocol_version);
                    if &*facts.method == "tools/call" {
                        // The specification's default: a result without the member is no failure of the tool.
                        request.tool_error = Some(message.raw(Slot::IsError) == Some(b"true"));
                    }
                } else {
                    request.status = Status::Error;
                    code = message.raw(Slot::ErrorCode).map(String::from_utf8_lossy);
                    text = message.text(Slot::ErrorMessage);
                    request.error_code = code.as_deref();
                    request.error_msg = text.as_deref();
                }
            }
            Outcome::Failed(failure) => {
                request.status = failure.status();
                code = Some(failure.code());
                text = Some(failure.message());
                request.error_code = code.as_deref();
                request.error_msg = text.as_deref();
            }
        }
        if has_result && let (Some(client), Some(session)) = (&facts.client, &session) {
            journal.sessions.agree(session, agreed.as_deref());
            self.announce(session, facts, client, agreed.as_deref(), false);
        }
        journal.sink.record(request.into());
        match request.status {
            Status::Ok => journal.metrics.requests_ok.add(1),
            Status::Error => journal.metrics.requests_error.add(1),
            Status::Timeout => journal.metrics.requests_timeout.add(1),
        }
        if request.tool_error == Some(true) {
            journal.metrics.tool_errors.add(1);
        }
    }

    /// The session that the row names: the client's, the one its handshake began, or one that is made up.
    fn session_of(&self, facts: &Facts, outcome: Outcome<'_>, new_session: Option<&Arc<str>>) -> Option<Arc<str>> {
        if let Some(session) = self.session.as_ref().or(new_session) {
            return Some(session.clone());
        }
        let identity = facts.identity.as_ref()?;
        let proven = matches!(outcome, Outcome::Answered(message) if message.has_result);
        let derived = self.journal.sessions.derive(identity, facts.arrival.client, facts.arrival.ts, proven)?;
        if derived.is_new {
            self.announce(&derived.session_id, facts, identity, facts.protocol_version.as_deref(), true);
        }
        Some(derived.session_id)
    }

    fn announce(
        &self,
        session_id: &str,
        facts: &Facts,
        client: &ClientIdentity,
        protocol_version: Option<&str>,
        derived: bool,
    ) {
        let mut session = Session::new(session_id, facts.arrival.ts, &self.journal.proxy);
        session.client_name = client.name.as_deref();
        session.client_version = client.version.as_deref();
        session.protocol_version = protocol_version;
        session.derived = derived;
        self.journal.metrics.sessions.add(1);
        self.journal.sink.record(session.into());
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // Only a task that was cut off in the middle gets here with facts left.
        if let Some(facts) = self.facts.get_mut().take() {
            let failure = if self.journal.is_stopping() { Failure::ProxyShutdown } else { Failure::ClientGone };
            self.record(&facts, Outcome::Failed(failure), None, Instant::now());
        }
    }
}

fn boxed(text: Cow<'_, str>) -> Box<str> {
    text.into_owned().into_boxed_str()
}
