//! Where a request without a session comes from, and which server it asks: what tells clients apart that say nothing else.
//!
//! Pure data, of a fixed size.

use crate::credential::Credential;
use sha2::{Digest, Sha256};
use std::hash::{DefaultHasher, Hash, Hasher};

/// How long the mark of a place is, in bytes.
pub(super) const MARK_BYTES: usize = 3;

/// A client's address and the endpoint that it asks. Two hosts that run the same client are two clients, and a client of two
/// servers has a session with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(super) address: Option<u128>,
    /// A digest: paths may be long.
    pub(super) endpoint: u64,
}

impl Place {
    /// A few bits that tell places apart, for those who know the salt, and that tell nobody which place it is: of the addresses
    /// of IPv4, each has 256.
    pub(super) fn mark(&self, salt: &str) -> [u8; MARK_BYTES] {
        let address = self.address.map_or([0; 17], |address| {
            let mut bytes = [1; 17];
            bytes[1..].copy_from_slice(&address.to_be_bytes());
            bytes
        });
        let hash = Sha256::new().chain_update(salt).chain_update(address).chain_update(self.endpoint.to_be_bytes());
        let mut mark = [0; MARK_BYTES];
        mark.copy_from_slice(&hash.finalize()[..MARK_BYTES]);
        mark
    }
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
        let place = Place { address, endpoint: digest(Some(endpoint)) };
        Self { peer: Peer { place, agent: digest(agent), credential }, connection }
    }
}

/// The same in every process of one build. Another build may split sessions that go on, once.
fn digest(text: Option<&str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
