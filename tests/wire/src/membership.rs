//! Which session a request belongs to.
//!
//! The rules of `docs/sessions.md`. A session that is made up is named here by whose it is; what it is called in the tables,
//! nobody can know.

use crate::call::Who;
use crate::row::{Recorded, SessionRow};
use crate::step::{Asked, Verb};
use std::collections::BTreeMap;

/// What is known of a session that a server announced.
#[derive(Clone, Debug, Default)]
struct Announced {
    is_agreed: bool,
    version: Option<String>,
}

/// What is known of one that is made up.
#[derive(Clone, Debug, Default)]
struct Derived {
    is_proven: bool,
    version: Option<String>,
}

/// A handshake with a server that began no session.
#[derive(Clone, Debug)]
struct Handshake {
    derived: String,
    place: (u128, String),
    agent: &'static str,
    connection: u64,
}

/// An open stream of 2024-11-05.
#[derive(Clone, Debug)]
struct FirstStream {
    session: String,
    address: String,
    client: u128,
    is_made_up: bool,
}

/// All that is known of sessions.
#[derive(Clone, Debug, Default)]
pub struct Membership {
    announced: BTreeMap<String, Announced>,
    derived: BTreeMap<String, Derived>,
    handshakes: Vec<Handshake>,
    first_streams: Vec<FirstStream>,
}

/// What the head of a request says of its session.
#[derive(Clone, Debug)]
pub struct Named {
    /// The session that the transport names.
    pub session: Option<String>,
    /// A handshake agreed on it, or a stream announced it.
    pub is_agreed: bool,
    /// The request goes to where a stream of 2024-11-05 wants it.
    pub is_first_transport: bool,
}

impl Membership {
    /// What the head says.
    pub fn named(&self, asked: &Asked) -> Named {
        let whole = asked.query.as_ref().map_or_else(|| asked.path.clone(), |query| format!("{}?{query}", asked.path));
        let mut of_address: Vec<_> = self.first_streams.iter().filter(|stream| stream.address == whole).collect();
        if of_address.iter().any(|stream| stream.client == asked.address) {
            of_address.retain(|stream| stream.client == asked.address);
        }
        let of_stream = of_address.last().filter(|_| asked.verb == Verb::Post).map(|stream| stream.session.clone());
        let is_first_transport = asked.session.is_none() && of_stream.is_some();
        let session = asked.session.clone().or(of_stream);
        let is_agreed =
            session.as_ref().and_then(|session| self.announced.get(session)).is_some_and(|known| known.is_agreed);
        // There, a session's id means nothing, unless a handshake agreed on it.
        let knows_none = asked.method.is_some() || asked.version.is_some_and(is_sessionless);
        Named { session: session.filter(|_| is_agreed || !knows_none), is_agreed, is_first_transport }
    }

    /// The name of the session that is made up for that client.
    pub fn derived_of(who: &Who, asked: &Asked) -> String {
        let name = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
        format!("<{} {} at {} for {}>", name(&who.name), name(&who.version), asked.address, asked.path)
    }

    /// The session that is made up for a request which does not say who asks.
    pub fn nameless(&self, asked: &Asked) -> Option<String> {
        let place = (asked.address, asked.path.clone());
        let mut like: Vec<_> =
            self.handshakes.iter().filter(|known| known.place == place && known.agent == asked.agent).collect();
        let is_one = |like: &[&Handshake]| like.iter().all(|known| known.derived == like[0].derived);
        if !is_one(&like) && like.iter().any(|known| known.connection == asked.connection) {
            like.retain(|known| known.connection == asked.connection);
        }
        if is_one(&like) { like.first().map(|known| known.derived.clone()) } else { None }
    }

    /// The server has confirmed that session.
    pub fn confirm(&mut self, session: &str) {
        self.announced.entry(session.to_owned()).or_default();
    }

    /// A handshake agreed on that session.
    pub fn agree(&mut self, session: &str, who: &Who, version: Option<String>, recorded: &mut Recorded) {
        self.announced.insert(session.to_owned(), Announced { is_agreed: true, version });
        let is_made_up = self.first_streams.iter().any(|stream| stream.session == session && stream.is_made_up);
        announce(session, who, is_made_up, recorded);
    }

    /// A handshake succeeded, and the server began no session.
    pub fn agree_without(
        &mut self,
        who: &Who,
        asked: &Asked,
        version: Option<String>,
        recorded: &mut Recorded,
    ) -> String {
        let derived = Self::derived_of(who, asked);
        self.prove(&derived, who, recorded);
        self.derived.entry(derived.clone()).or_default().version = version;
        let place = (asked.address, asked.path.clone());
        self.handshakes.retain(|known| (&known.derived, &known.place, known.agent) != (&derived, &place, asked.agent));
        let handshake = Handshake { derived: derived.clone(), place, agent: asked.agent, connection: asked.connection };
        self.handshakes.push(handshake);
        derived
    }

    /// The server answered that client as one without sessions does.
    pub fn prove(&mut self, derived: &str, who: &Who, recorded: &mut Recorded) {
        let known = self.derived.entry(derived.to_owned()).or_default();
        if !std::mem::replace(&mut known.is_proven, true) {
            announce(derived, who, true, recorded);
        }
    }

    /// Whether there is such a session.
    pub fn is_proven(&self, derived: &str) -> bool {
        self.derived.get(derived).is_some_and(|known| known.is_proven)
    }

    /// The revision that was agreed on in that session.
    pub fn version(&self, session: &str) -> Option<String> {
        let announced = self.announced.get(session).map(|known| known.version.clone());
        announced.unwrap_or_else(|| self.derived.get(session)?.version.clone())
    }

    /// A stream of 2024-11-05 wants its messages at that address.
    pub fn announce_address(&mut self, address: &str, client: u128, number: usize) -> String {
        let query = address.split_once('?').map_or("", |(_, query)| query);
        let named = query.split('&').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            ["sessionId", "session_id"].contains(&name).then(|| value.to_owned())
        });
        let is_made_up = named.is_none();
        let session = named.unwrap_or_else(|| format!("<stream {number}>"));
        self.announced.insert(session.clone(), Announced { is_agreed: true, version: None });
        self.first_streams.push(FirstStream {
            session: session.clone(),
            address: address.to_owned(),
            client,
            is_made_up,
        });
        session
    }

    /// That stream is over.
    pub fn forget_address(&mut self, session: &str) {
        self.first_streams.retain(|stream| stream.session != session);
    }

    /// That session is over. `is_on_record` says that a row names it.
    pub fn close(&mut self, session: &str, is_on_record: bool, recorded: &mut Recorded) {
        if self.announced.remove(session).is_some() || is_on_record {
            *recorded.closes.entry(session.to_owned()).or_default() += 1;
        }
    }
}

/// Whether that revision has no sessions.
pub fn is_sessionless(version: &str) -> bool {
    version >= "2026-07-28"
}

fn announce(session: &str, who: &Who, is_derived: bool, recorded: &mut Recorded) {
    recorded.sessions.insert(SessionRow { id: session.to_owned(), client: who.name.clone(), is_derived });
}
