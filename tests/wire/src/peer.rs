//! Who plays a script: clients, the exchanges that go on between them and their servers, and the dice.
//!
//! Pure data. What clients do is in [`super::clients`], what servers do in [`super::serving`].

use crate::server::{Ask, Handshake};
use crate::step::{Step, Verb};
use fastrand::Rng;

#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) revision: &'static str,
    pub(crate) address: u128,
    pub(crate) connection: u64,
    pub(crate) agent: &'static str,
    pub(crate) path: &'static str,
    pub(crate) session: Option<String>,
    /// A handshake was sent.
    pub(crate) has_greeted: bool,
    /// Where its stream of 2024-11-05 wants messages.
    pub(crate) posts_to: Option<(String, Option<String>)>,
    pub(crate) next_id: u32,
    /// What it asked.
    pub(crate) asked: Vec<Ask>,
    /// The last events of streams that were cut.
    pub(crate) last_events: Vec<String>,
}

/// An exchange that goes on.
#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) exchange: usize,
    pub(crate) client: usize,
    pub(crate) verb: Verb,
    /// What is to be sent.
    pub(crate) sending: Vec<u8>,
    pub(crate) asks: Vec<Ask>,
    pub(crate) phase: Phase,
    /// What the server has said, and is not sent yet.
    pub(crate) pending: Vec<u8>,
    pub(crate) is_stream: bool,
    pub(crate) has_ids: bool,
    pub(crate) last_event: Option<String>,
    pub(crate) handshake: Handshake,
    pub(crate) is_first_transport: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Phase {
    Sending,
    Waiting,
    Answering,
}

#[derive(Default)]
pub(crate) struct Peer {
    pub(crate) rng: Rng,
    /// It is to be played over sockets.
    pub(crate) is_real: bool,
    pub(crate) steps: Vec<Step>,
    pub(crate) clients: Vec<Client>,
    pub(crate) threads: Vec<Thread>,
    pub(crate) begun: usize,
    pub(crate) next_tool: u32,
    pub(crate) next_session: u32,
    pub(crate) next_event: u32,
    pub(crate) tasks: Vec<String>,
}

impl Peer {
    pub(crate) fn one_in(&mut self, n: u32) -> bool {
        self.rng.u32(..n) == 0
    }

    pub(crate) fn pass(&mut self) {
        let ms = match self.rng.u8(..100) {
            _ if self.is_real => 1,
            0..70 => self.rng.u64(1..40),
            70..90 => self.rng.u64(200..3_000),
            90..96 => self.rng.u64(9_000..12_000),
            _ => self.rng.u64(50_000..70_000),
        };
        self.steps.push(Step::Pass(ms));
    }

    /// What that client asked not long ago.
    pub(crate) fn any_asked(&mut self, at: usize) -> Option<Ask> {
        let asked = &self.clients[at].asked;
        let newest = asked.len().checked_sub(1)?;
        let back = self.rng.usize(..=newest.min(3));
        Some(asked[newest - back].clone())
    }
}
