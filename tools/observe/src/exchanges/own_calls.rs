//! The calls that one request brought, as long as its exchange goes on.
//!
//! Pure data. Those that have ended stay among them: an id that the request brought is its own, answered or not.

use super::limits::{CALL_BYTES_MAX, CALL_KEY_BYTES, CALLS_FREE_BYTES, CALLS_MAX};
use crate::budget::{Budget, Share};
use crate::calls::{Brought, Call, Facts, Whose};
use crate::read::RpcId;
use std::sync::Arc;

/// The calls that one request brought.
pub(super) struct OwnCalls {
    calls: Vec<Arc<Call>>,
    /// What they hold together, and the list of them.
    bytes: usize,
    /// For that.
    share: Share,
    /// One came, whether or not it is among them.
    pub(super) has_begun: bool,
    /// There may be more than these: a part of the request was not read, or there was no room.
    is_partial: bool,
}

impl OwnCalls {
    pub(super) fn new(budget: &Budget) -> Self {
        let share = budget.share(CALLS_FREE_BYTES);
        Self { calls: Vec::new(), bytes: 0, share, has_begun: false, is_partial: false }
    }

    /// Whether there are as many as one request may have rows. Whoever asks has another one.
    pub(super) fn is_full(&mut self) -> bool {
        self.is_partial |= self.calls.len() >= CALLS_MAX;
        self.calls.len() >= CALLS_MAX
    }

    /// Makes room for one more; `false` if there is none, and then it passes without a row.
    pub(super) fn reserve(&mut self, facts: &Facts) -> bool {
        self.has_begun = true;
        let list_bytes = (self.calls.len() + 1).next_power_of_two() * 2 * size_of::<Arc<Call>>();
        let bytes = self.bytes + Call::bytes_of(facts) + CALL_KEY_BYTES;
        if bytes > CALL_BYTES_MAX || !self.share.resize(bytes + list_bytes) {
            self.is_partial = true;
            return false;
        }
        self.bytes = bytes;
        true
    }

    /// One more, for which there is room.
    pub(super) fn push(&mut self, call: Arc<Call>) {
        self.calls.push(call);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// A part of the request was not read.
    pub(super) fn set_partial(&mut self) {
        self.is_partial = true;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Call>> + Clone {
        self.calls.iter()
    }

    /// Whose the answer with that id is. What may have come and is not known of can't be told from what was answered before.
    pub(super) fn whose(&self, id: &RpcId) -> Whose {
        let brought = self.iter().map(|call| Brought { id: call.id.as_ref(), call: Some(call) });
        match Whose::of(brought, id) {
            Whose::Other if self.is_partial => Whose::Over,
            whose => whose,
        }
    }

    /// Takes them out: the exchange is over.
    pub(super) fn take(&mut self) -> Vec<Arc<Call>> {
        self.share.resize(0);
        std::mem::take(&mut self.calls)
    }
}
