//! Where a request without a session comes from, and which server it asks: what tells clients apart that say nothing else.
//!
//! Pure data, of a fixed size.

use crate::credential::Credential;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A client's address and the endpoint that it asks. Two hosts that run the same client are two clients, and a client of two
/// servers has a session with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(super) address: Option<u128>,
    /// A digest: paths may be long.
    pub(super) endpoint: u64,
}

/// What requests of one client have in common, beside what is in their messages. Other clients may have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Peer {
    pub(super) place: Place,
    /// A digest of `User-Agent`.
    pub(super) agent: u64,
    pub(super) credential: Option<Credential>,
}

/// Who asks, where a request names no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) peer: Peer,
    pub(super) connection: u64,
}

impl Asker {
    /// Of a request to that endpoint, on that connection.
    pub(crate) fn new(
        (address, connection): (Option<u128>, u64),
        endpoint: &str,
        agent: Option<&str>,
        credential: Option<Credential>,
    ) -> Self {
        let place = Place { address, endpoint: digest(&endpoint) };
        Self { peer: Peer { place, agent: digest(&agent), credential }, connection }
    }
}

/// The same in every process of one build; it is never stored.
fn digest(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
