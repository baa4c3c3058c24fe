//! What is read of a JSON-RPC message: which member, where.
//!
//! Pure data, looked up by [`super::scan`].

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
}

/// What a member of a [`Place`] is worth.
pub(super) enum Member {
    Nothing,
    Value(Slot),
    Object(Place),
}

/// The whole map of what is read, in one place.
pub(super) fn member(place: Place, key: &[u8]) -> Member {
    use Member::{Object, Value};
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
        _ => Member::Nothing,
    }
}

/// What is captured inside a [`Place`], at any depth: what is forgotten when a member that opens it comes again.
pub(super) const fn slots_inside(place: Place) -> &'static [Slot] {
    use Slot::*;
    match place {
        // No member opens these two.
        Place::Batch | Place::Message => &[],
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
        ],
        Place::Meta => &[MetaProtocolVersion, MetaClientName, MetaClientVersion],
        Place::MetaClient => &[MetaClientName, MetaClientVersion],
        Place::ClientInfo => &[ClientName, ClientVersion],
        Place::Ref => &[RefName, RefUri],
        Place::Error => &[ErrorCode, ErrorMessage],
        Place::Result => &[IsError, AgreedVersion, ResultType],
    }
}
