//! What is read of a JSON-RPC message: which member, where.
//!
//! Pure data, looked up by [`super::scan`].

use super::content_text::ItemMember;
use super::message::Slot;

/// An object or array whose members matter. Everything else is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Batch,
    Message,
    Params,
    Meta,
    MetaClient,
    ClientInfo,
    Ref,
    Error,
    Result,
    /// The task that a result is.
    Task,
    /// The result of a task that came to its end, in a result.
    TaskResult,
    /// The error of one that failed.
    TaskError,
    /// The list in a result of a tool.
    Content,
    /// One of its elements.
    Item,
}

impl Place {
    /// Whether it is an array, and no object.
    pub(super) fn is_list(self) -> bool {
        matches!(self, Self::Batch | Self::Content)
    }
}

/// What a member of a [`Place`] is worth.
pub(super) enum Member {
    Nothing,
    Value(Slot),
    Object(Place),
    List(Place),
    OfItem(ItemMember),
}

/// The whole map of what is read, in one place.
pub(super) fn member(place: Place, key: &[u8]) -> Member {
    use Member::{List, Object, OfItem, Value};
    match (place, key) {
        (Place::Message, b"jsonrpc") => Value(Slot::JsonRpc),
        (Place::Message, b"id") => Value(Slot::Id),
        (Place::Message, b"method") => Value(Slot::Method),
        (Place::Message, b"params") => Object(Place::Params),
        (Place::Message, b"result") => Object(Place::Result),
        (Place::Message, b"error") => Object(Place::Error),
        (Place::Params, b"name") => Value(Slot::Name),
        (Place::Params, b"uri") => Value(Slot::Uri),
        (Place::Params, b"cursor") => Value(Slot::Cursor),
        (Place::Params, b"requestId") => Value(Slot::CancelledId),
        (Place::Params, b"taskId") => Value(Slot::TaskId),
        (Place::Params, b"protocolVersion") => Value(Slot::RequestedVersion),
        (Place::Params, b"clientInfo") => Object(Place::ClientInfo),
        (Place::Params, b"_meta") => Object(Place::Meta),
        (Place::Params, b"ref") => Object(Place::Ref),
        (Place::Meta, b"io.modelcontextprotocol/protocolVersion") => Value(Slot::MetaProtocolVersion),
        (Place::Meta, b"io.modelcontextprotocol/clientInfo") => Object(Place::MetaClient),
        (Place::MetaClient, b"name") => Value(Slot::MetaClientName),
        (Place::MetaClient, b"version") => Value(Slot::MetaClientVersion),
        (Place::ClientInfo, b"name") => Value(Slot::ClientName),
        (Place::ClientInfo, b"version") => Value(Slot::ClientVersion),
        (Place::Ref, b"name") => Value(Slot::RefName),
        (Place::Ref, b"uri") => Value(Slot::RefUri),
        (Place::Error, b"code") => Value(Slot::ErrorCode),
        (Place::Error, b"message") => Value(Slot::ErrorMessage),
        (Place::Result, b"isError") => Value(Slot::IsError),
        (Place::Result, b"protocolVersion") => Value(Slot::AgreedVersion),
        (Place::Result, b"resultType") => Value(Slot::ResultType),
        (Place::Result, b"taskId") => Value(Slot::ResultTaskId),
        (Place::Result, b"task") => Object(Place::Task),
        (Place::Result, b"result") => Object(Place::TaskResult),
        (Place::Result, b"error") => Object(Place::TaskError),
        (Place::Task, b"taskId") => Value(Slot::CreatedTaskId),
        (Place::TaskResult, b"isError") => Value(Slot::TaskIsError),
        (Place::TaskError, b"message") => Value(Slot::TaskErrorMessage),
        (Place::Result | Place::TaskResult, b"content") => List(Place::Content),
        (Place::Item, b"type") => OfItem(ItemMember::Type),
        (Place::Item, b"text") => OfItem(ItemMember::Text),
        _ => Member::Nothing,
    }
}

/// What is captured inside a [`Place`], at any depth: what is forgotten when a member that opens it comes again.
pub(super) const fn slots_inside(place: Place) -> &'static [Slot] {
    use Slot::*;
    match place {
        // No member opens the first two; what is in the others is no value of the message.
        Place::Batch | Place::Message | Place::Content | Place::Item => &[],
        Place::Params => &[
            Name,
            Uri,
            Cursor,
            CancelledId,
            RequestedVersion,
            ClientName,
            ClientVersion,
            MetaProtocolVersion,
            MetaClientName,
            MetaClientVersion,
            RefName,
            RefUri,
            TaskId,
        ],
        Place::Meta => &[MetaProtocolVersion, MetaClientName, MetaClientVersion],
        Place::MetaClient => &[MetaClientName, MetaClientVersion],
        Place::ClientInfo => &[ClientName, ClientVersion],
        Place::Ref => &[RefName, RefUri],
        Place::Error => &[ErrorCode, ErrorMessage],
        Place::Result => {
            &[IsError, AgreedVersion, ResultType, ResultTaskId, CreatedTaskId, TaskIsError, TaskErrorMessage]
        }
        Place::Task => &[CreatedTaskId],
        Place::TaskResult => &[TaskIsError],
        Place::TaskError => &[TaskErrorMessage],
    }
}
