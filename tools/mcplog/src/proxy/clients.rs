//! Which client a session is of, for the access log: of the sessions that began last, so many.
//!
//! Called from the tasks that pass bytes on; one short critical section for each.

use mcplog_terminal::text::beginning;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// How many sessions are known.
const SESSIONS_MAX: usize = 4096;
/// The longest id of a session that is known, in bytes: that of a row.
const ID_BYTES_MAX: usize = 256;
/// How many characters of a client's name are known.
const NAME_CHARACTERS_MAX: usize = 64;

/// The clients.
#[derive(Default)]
pub(super) struct Clients {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    names: HashMap<Arc<str>, Arc<str>>,
    /// In the order in which they began; one that was forgotten may stand here yet.
    order: VecDeque<Arc<str>>,
}

impl Clients {
    /// A session began.
    pub(super) fn note(&self, session_id: &str, client: &str) {
        if session_id.len() > ID_BYTES_MAX {
            return;
        }
        let known = &mut *self.known.lock();
        let name: Arc<str> = beginning(client, NAME_CHARACTERS_MAX).into();
        if let Some(of_session) = known.names.get_mut(session_id) {
            *of_session = name;
            return;
        }
        while known.order.len() >= SESSIONS_MAX {
            let Some(oldest) = known.order.pop_front() else { break };
            known.names.remove(&oldest);
        }
        let id: Arc<str> = session_id.into();
        known.order.push_back(Arc::clone(&id));
        known.names.insert(id, name);
    }

    /// It ended.
    pub(super) fn forget(&self, session_id: &str) {
        let known = &mut *self.known.lock();
        if known.names.remove(session_id).is_some() {
            known.order.retain(|id| **id != *session_id);
        }
    }

    /// The client of a session.
    pub(super) fn of(&self, session_id: &str) -> Option<Arc<str>> {
        self.known.lock().names.get(session_id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_sessions_are_known_and_no_more() {
        let clients = Clients::default();
        for number in 0..SESSIONS_MAX + 10 {
            clients.note(&format!("session-{number}"), "client");
            clients.note(&format!("session-{number}"), &"n".repeat(100));
        }
        assert!(clients.of("session-9").is_none() && clients.of("session-10").is_some());
        clients.forget("session-10");
        clients.note(&"i".repeat(ID_BYTES_MAX + 1), "client");
        let known = clients.known.lock();
        assert_eq!((known.names.len(), known.order.len()), (SESSIONS_MAX - 1, SESSIONS_MAX - 1));
        assert!(known.names.values().all(|name| name.chars().count() <= NAME_CHARACTERS_MAX));
    }
}
