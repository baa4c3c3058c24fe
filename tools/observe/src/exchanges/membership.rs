//! Whose a request is: who asks, in which session, by its head and by its messages.
//!
//! Pure but for the sessions that it looks up and makes up; runs inside the tasks that pass bytes on. `docs/sessions.md` has
//! the rules.

use super::address::normal;
use super::announced_address::asked;
use super::head::{RequestHead, Verb, bounded};
use crate::arrival::Arrival;
use crate::calls::{Origin, Owner, sessionless};
use crate::credential::Credential;
use crate::read::Message;
use crate::recording::Recording;
use crate::session::{Asker, ClientIdentity, is_sessionless, session_in_query};
use mcplog::event::Transport;
use std::sync::Arc;

/// Where a request with that head comes from.
pub(super) fn origin(recording: &Recording, arrival: Arrival, head: &RequestHead<'_>) -> Origin {
    let sessions = &recording.sessions;
    let (path, query) = (normal(bounded(head.path)), head.query.map(|query| normal(bounded(query))));
    // A session in the URL counts only if a stream announced it: other servers may use that name for other things.
    let in_query = || session_in_query(query.as_deref()).filter(|session| sessions.has_stream(session));
    let of_stream = || {
        let is_asked = head.verb == Verb::Post && !sessions.announced.is_empty();
        let session_at = |address: String| sessions.announced.session_at(&address, arrival.client_address);
        let announced = is_asked.then(|| asked(head.path, head.query)).and_then(session_at);
        announced.or_else(|| in_query().map(|session| sessions.intern(session)))
    };
    let (transport, session) = match head.session.map(bounded) {
        Some(session) => (Transport::Http, Some(sessions.intern(session))),
        None => of_stream().map_or((Transport::Http, None), |session| (Transport::Sse, Some(session))),
    };
    let is_agreed = session.as_deref().is_some_and(|session| sessions.is_agreed(session));
    // There, a session's id means nothing: some server set one on some answer.
    let knows_none = head.method.is_some() || head.protocol_version.is_some_and(is_sessionless);
    let session = session.filter(|_| is_agreed || !knows_none);
    let credential = head.authorization.filter(|_| head.verb != Verb::Delete).map(Credential::of);
    // Of the server, and not of the session that its stream announced.
    let of_stream = session.as_deref().filter(|_| transport == Transport::Sse);
    let of_server = of_stream.and_then(|session| sessions.endpoint(session));
    let endpoint = of_server.unwrap_or_else(|| Arc::from(path));
    Origin {
        transport,
        asker: Asker::new((arrival.client_address, arrival.connection), &endpoint, head.user_agent, credential),
        endpoint: Some(endpoint),
        session,
        is_agreed,
        protocol_version: head.protocol_version.map(|version| Arc::from(bounded(version))),
        credential,
    }
}

/// The session that is made up for a message: that of the client that it names, else, where the transport names no session,
/// that of the client that it must come from.
pub(super) fn derived(
    recording: &Recording,
    origin: &Origin,
    arrival: Arrival,
    client: Option<&ClientIdentity>,
) -> Option<Arc<str>> {
    let derived = &recording.sessions.derived;
    match client {
        Some(client) => Some(derived.seek(client, &origin.asker, arrival.ts)),
        None if origin.session.is_some() => None,
        None => derived.seek_nameless(&origin.asker, arrival.ts),
    }
}

/// Whose calls a message is about.
pub(super) fn owner(recording: &Recording, origin: &Origin, arrival: Arrival, message: &Message) -> Owner {
    let made_up = derived(recording, origin, arrival, sessionless(origin, message).as_ref());
    let session = made_up.or_else(|| origin.session.clone());
    session.map_or(Owner::Peer(origin.asker.peer), Owner::Session)
}
