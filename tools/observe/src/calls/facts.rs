//! What is known of a call before its answer.
//!
//! Pure data, made from the request's message, or from what its exchange's head says where the body can't be read.

use super::origin::Origin;
use crate::arrival::Arrival;
use crate::read::{Message, RpcId, Slot, tool_and_target};
use crate::schema::SchemaMethod;
use crate::session::{ClientIdentity, is_sessionless};
use mcplog::event::{Direction, SUBSCRIPTION_METHOD};
use std::borrow::Cow;
use std::sync::Arc;
use uuid::Uuid;

/// What stands for the method of a request that passed unread. No method is called so.
pub(crate) const UNREAD_METHOD: &str = "(unread)";

/// What is known of a call before its answer.
pub(crate) struct Facts {
    /// Minted at arrival, so that ids sort as requests came.
    pub(super) request_id: Uuid,
    pub(super) arrival: Arrival,
    /// Who asks.
    pub(crate) direction: Direction,
    /// `None` where the body could not be read, and the request is only known from its head.
    pub(crate) id: Option<RpcId>,
    pub(super) method: Box<str>,
    /// The method's results say what the server offers.
    pub(super) schema: Option<SchemaMethod>,
    pub(super) tool: Option<Box<str>>,
    pub(super) target: Option<Box<str>>,
    pub(crate) protocol_version: Option<Arc<str>>,
    /// The client's identity, if this is a request of the sessionless era.
    pub(crate) sessionless: Option<ClientIdentity>,
    /// Who the client says it is in this request, in a session that was agreed on: clients of the sessionless era do so in the
    /// transport of 2024-11-05, too, where nobody shakes hands.
    pub(crate) introduced: Option<ClientIdentity>,
    /// The client's identity, if this is a handshake.
    pub(crate) handshake: Option<ClientIdentity>,
    /// The session that is made up for it, where the transport names none. It counts once the call has ended.
    pub(crate) derived: Option<Arc<str>>,
    pub(super) cursor: Option<Box<str>>,
    pub(super) bytes_in: Option<i64>,
    /// The request's body, or a part of it, passed unread.
    pub(crate) is_unread: bool,
}

impl Facts {
    /// Of a client's request that was read.
    pub(crate) fn of_message(arrival: Arrival, origin: &Origin, id: RpcId, message: &Message) -> Self {
        let method = message.text(Slot::Method).unwrap_or_default();
        let (tool, target) = tool_and_target(&method, message);
        let is_handshake = method == "initialize";
        Self {
            request_id: Uuid::now_v7(),
            arrival,
            direction: Direction::Client,
            id: Some(id),
            schema: SchemaMethod::of(&method),
            tool: tool.map(boxed),
            target: target.map(boxed),
            protocol_version: protocol_version(origin, message, is_handshake),
            sessionless: sessionless(origin, message),
            introduced: named(message).filter(|_| origin.is_agreed && !is_handshake),
            handshake: is_handshake.then(|| identity(message, Slot::ClientName, Slot::ClientVersion)),
            derived: None,
            cursor: message.cursor().map(boxed),
            bytes_in: Some(message.bytes()),
            is_unread: false,
            method: boxed(method),
        }
    }

    /// Of a server's request that was read, which passed then. It begins no session, says of no client who that is, uses no
    /// tool, and its answer says nothing of what the server offers.
    pub(crate) fn of_server_message(passed: Arrival, origin: &Origin, id: RpcId, message: &Message) -> Self {
        let method = message.text(Slot::Method).unwrap_or_default();
        let (_, target) = tool_and_target(&method, message);
        Self {
            request_id: Uuid::now_v7(),
            arrival: passed,
            direction: Direction::Server,
            id: Some(id),
            schema: None,
            tool: None,
            target: target.map(boxed),
            protocol_version: origin.protocol_version.clone(),
            sessionless: None,
            introduced: None,
            handshake: None,
            derived: None,
            cursor: None,
            bytes_in: Some(message.bytes()),
            is_unread: false,
            method: boxed(method),
        }
    }

    /// Of a client's request that could not be read: `method` and `name` are what its head says.
    pub(crate) fn of_head(arrival: Arrival, origin: &Origin, method: &str, name: Option<&str>) -> Self {
        let is_tool = method == "tools/call";
        Self {
            request_id: Uuid::now_v7(),
            arrival,
            direction: Direction::Client,
            id: None,
            schema: SchemaMethod::of(method),
            tool: name.filter(|_| is_tool).map(Box::from),
            target: name.filter(|_| !is_tool).map(Box::from),
            protocol_version: origin.protocol_version.clone(),
            sessionless: None,
            introduced: None,
            handshake: None,
            derived: None,
            cursor: None,
            bytes_in: None,
            is_unread: false,
            method: method.into(),
        }
    }

    /// Its response is a stream that may be silent for hours, and that either side ends when it likes.
    pub(super) fn is_subscription(&self) -> bool {
        self.direction == Direction::Client && &*self.method == SUBSCRIPTION_METHOD
    }

    /// A client of the sessionless era takes a request back by closing its response.
    pub(super) fn is_cancelled_by_closing(&self) -> bool {
        let of_client = self.direction == Direction::Client;
        of_client && (self.sessionless.is_some() || self.protocol_version.as_deref().is_some_and(is_sessionless))
    }

    /// Its response may be silent for hours, or what it asked for is not known.
    pub(super) fn is_patient(&self) -> bool {
        self.is_subscription() || &*self.method == UNREAD_METHOD
    }

    /// What they take up beside themselves, in bytes.
    pub(super) fn text_bytes(&self) -> usize {
        let boxes = [&self.tool, &self.target, &self.cursor].into_iter().flatten().map(|text| text.len());
        let identities = [&self.sessionless, &self.introduced, &self.handshake].into_iter().flatten();
        self.method.len()
            + self.derived.as_deref().map_or(0, str::len)
            + self.id.as_ref().map_or(0, |id| id.text.len())
            + self.protocol_version.as_deref().map_or(0, str::len)
            + boxes.chain(identities.map(ClientIdentity::text_bytes)).sum::<usize>()
    }
}

/// The revision that the request itself names, else the one that the transport does, else the one it asks for.
fn protocol_version(origin: &Origin, message: &Message, is_handshake: bool) -> Option<Arc<str>> {
    message
        .text(Slot::MetaProtocolVersion)
        .map(Arc::from)
        .or_else(|| origin.protocol_version.clone())
        .or_else(|| message.text(Slot::RequestedVersion).filter(|_| is_handshake).map(Arc::from))
}

/// Who the client says it is in each request, where no session was agreed on.
pub(crate) fn sessionless(origin: &Origin, message: &Message) -> Option<ClientIdentity> {
    named(message).filter(|_| !origin.is_agreed)
}

/// Who the client says it is, if this is a request of the sessionless era.
fn named(message: &Message) -> Option<ClientIdentity> {
    let is_sessionless =
        message.text(Slot::MetaProtocolVersion).is_some() || message.text(Slot::MetaClientName).is_some();
    is_sessionless.then(|| identity(message, Slot::MetaClientName, Slot::MetaClientVersion))
}

fn identity(message: &Message, name: Slot, version: Slot) -> ClientIdentity {
    ClientIdentity::new(message.text(name).as_deref(), message.text(version).as_deref())
}

fn boxed(text: Cow<'_, str>) -> Box<str> {
    text.into_owned().into_boxed_str()
}
