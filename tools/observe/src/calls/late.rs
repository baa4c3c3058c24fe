//! Calls that their client took back, and whose results say what the server offers: a server that goes on with a list
//! answers yet, and what it says is as true as ever.
//!
//! Called from the tasks that pass bytes on; a short critical section, bounded memory.

use super::call::Call;
use crate::read::RpcId;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many are remembered, and for how long. A server that goes on answers within seconds.
const LATE_MAX: usize = 64;
const LATE_TIME: Duration = Duration::from_secs(60);

/// Calls of sessions that were cancelled, oldest first.
#[derive(Default)]
pub(crate) struct LateCalls(Mutex<VecDeque<(Instant, Arc<Call>)>>);

impl LateCalls {
    /// Remembers a call that has just been cancelled.
    pub(crate) fn keep(&self, call: &Arc<Call>, now: Instant) {
        let mut late = self.0.lock();
        late.push_back((now, call.clone()));
        let surplus = late.len().saturating_sub(LATE_MAX);
        let forgotten: Vec<_> = late.drain(..surplus).collect();
        drop(late);
        drop(forgotten);
    }

    /// The newest one of that session whose answer a response with that id is.
    pub(crate) fn find(&self, session: &str, id: &RpcId) -> Option<Arc<Call>> {
        let late = self.0.lock();
        let is_meant = |call: &Call| call.origin.session.as_deref() == Some(session) && call.is_answered_late_by(id);
        late.iter().rev().map(|(_, call)| call).find(|call| is_meant(call)).cloned()
    }

    /// Whether there is one.
    pub(crate) fn is_any(&self) -> bool {
        !self.0.lock().is_empty()
    }

    /// Forgets those that were answered, and those whose time is over.
    pub(crate) fn forget_old(&self, now: Instant) {
        let mut late = self.0.lock();
        if !late.is_empty() {
            late.retain(|(since, call)| call.is_late() && now.saturating_duration_since(*since) <= LATE_TIME);
        }
    }
}
