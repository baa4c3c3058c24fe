//! A script: clients of all revisions and their servers, whose exchanges cross each other; from a seed.
//!
//! What a client or a server does next is left to the dice, right or wrong, as long as it is something that passes a proxy.
//! Nobody here knows what rows there must be.

use crate::peer::Peer;
use crate::scale::EXCHANGES_PER_SCRIPT;
use crate::step::Step;
use fastrand::Rng;

/// Long enough for whatever waits.
const IN_THE_END_MS: u64 = 400_000;
/// How many exchanges go on at once.
const THREADS_MAX: usize = 6;

/// A script.
pub struct Script {
    /// From which it follows.
    pub seed: u64,
    /// What passes.
    pub steps: Vec<Step>,
    /// How many exchanges it has.
    pub exchanges: usize,
}

impl Script {
    /// The script of that seed.
    pub fn of(seed: u64) -> Self {
        Self::play(seed, false)
    }

    /// One that can be played over sockets: nobody waits for seconds, and each exchange has a connection of its own.
    pub fn for_sockets(seed: u64) -> Self {
        Self::play(seed, true)
    }

    fn play(seed: u64, is_real: bool) -> Self {
        let mut peer = Peer { rng: Rng::with_seed(seed), is_real, ..Peer::default() };
        play(&mut peer);
        Self { seed, steps: peer.steps, exchanges: peer.begun }
    }
}

fn play(peer: &mut Peer) {
    let count = usize::try_from(EXCHANGES_PER_SCRIPT).unwrap_or(usize::MAX);
    while peer.begun < count || !peer.threads.is_empty() {
        let has_room = peer.begun < count && peer.threads.len() < THREADS_MAX;
        if has_room && (peer.threads.is_empty() || peer.rng.u8(..10) < 3) {
            peer.begin();
        } else {
            let at = peer.rng.usize(..peer.threads.len());
            peer.advance(at);
        }
        if peer.rng.u8(..20) < 3 {
            peer.pass();
        }
    }
    peer.steps.push(Step::Pass(IN_THE_END_MS));
}
