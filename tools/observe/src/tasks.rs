//! Tasks that calls became, so that who asks for one is linked to the call that made it.
//!
//! Called from the tasks that pass bytes on; a short critical section, and only for requests about tasks. Memory is bounded:
//! of a task that was forgotten, its id still says which call made it, since both rows have it as their target.

use crate::calls::Origin;
use crate::read::{Message, Slot};
use mcplog::event::Direction;
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use uuid::Uuid;

/// How many are remembered: half of a kilobyte each at most.
const TASKS_MAX: usize = 4096;
/// The longest id of a task that is remembered, in bytes. Servers give out UUIDs, or as much.
const TASK_ID_BYTES_MAX: usize = 256;

/// The task that a call became, if its result says so: 2025-11-25, and the extension of 2026-07-28.
pub(crate) fn created_task(message: &Message) -> Option<Cow<'_, str>> {
    let is_task = || message.text(Slot::ResultType).as_deref() == Some("task");
    message.text(Slot::CreatedTaskId).or_else(|| message.text(Slot::ResultTaskId).filter(|_| is_task()))
}

/// Whether requests of that method may become tasks of whoever answers them.
pub(crate) fn can_become_task(direction: Direction, method: &str) -> bool {
    match direction {
        Direction::Client => method == "tools/call",
        Direction::Server => ["sampling/createMessage", "elicitation/create"].contains(&method),
    }
}

/// Whether requests of that method are about a task.
pub(crate) fn is_about_task(method: &str) -> bool {
    ["tasks/get", "tasks/result", "tasks/cancel", "tasks/update"].contains(&method)
}

/// Which call a task was made by. Within a server, an id names one task; some servers count them in each session.
#[derive(Default)]
pub(crate) struct Tasks(Mutex<Known>);

#[derive(Default)]
struct Known {
    calls: HashMap<TaskKey, Uuid>,
    /// Oldest first.
    order: VecDeque<TaskKey>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct TaskKey {
    /// Who asked for it. Whoever answers gives tasks their ids.
    direction: Direction,
    endpoint: Option<Arc<str>>,
    session: Option<Arc<str>>,
    id: Box<str>,
}

impl Tasks {
    /// A call became that task.
    pub(crate) fn remember(&self, origin: &Origin, direction: Direction, id: &str, request_id: Uuid) {
        if id.len() > TASK_ID_BYTES_MAX {
            return;
        }
        let key = TaskKey::of(origin, direction, id);
        let mut known = self.0.lock();
        if known.calls.insert(key.clone(), request_id).is_none() {
            known.order.push_back(key);
            if known.order.len() > TASKS_MAX
                && let Some(oldest) = known.order.pop_front()
            {
                known.calls.remove(&oldest);
            }
        }
    }

    /// The call that became that task.
    pub(crate) fn made_by(&self, origin: &Origin, direction: Direction, id: &str) -> Option<Uuid> {
        self.0.lock().calls.get(&TaskKey::of(origin, direction, id)).copied()
    }
}

impl TaskKey {
    fn of(origin: &Origin, direction: Direction, id: &str) -> Self {
        Self { direction, endpoint: origin.endpoint.clone(), session: origin.session.clone(), id: id.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Asker;
    use Direction::{Client, Server};
    use mcplog::event::Transport;

    fn origin(endpoint: &str, session: Option<&str>) -> Origin {
        Origin {
            transport: Transport::Http,
            endpoint: Some(endpoint.into()),
            session: session.map(Arc::from),
            is_agreed: false,
            asker: Asker::new((None, 1), endpoint, None, None),
            protocol_version: None,
            credential: None,
        }
    }

    #[test]
    fn a_task_is_known_where_it_was_made_and_the_last_one_of_an_id_counts() {
        let (tasks, [first, second]) = (Tasks::default(), [Uuid::now_v7(), Uuid::now_v7()]);
        tasks.remember(&origin("/mcp", None), Client, "1", first);
        for elsewhere in [origin("/other", None), origin("/mcp", Some("s"))] {
            assert_eq!(tasks.made_by(&elsewhere, Client, "1"), None);
        }
        assert_eq!(tasks.made_by(&origin("/mcp", None), Server, "1"), None, "a client's tasks have ids of their own");
        assert_eq!(tasks.made_by(&origin("/mcp", None), Client, "1"), Some(first));
        tasks.remember(&origin("/mcp", None), Client, "1", second);
        assert_eq!(tasks.made_by(&origin("/mcp", None), Client, "1"), Some(second));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let (tasks, origin, call) = (Tasks::default(), origin("/mcp", None), Uuid::now_v7());
        for number in 0..=TASKS_MAX {
            tasks.remember(&origin, Client, &number.to_string(), call);
        }
        assert_eq!((tasks.made_by(&origin, Client, "0"), tasks.made_by(&origin, Client, "1")), (None, Some(call)));
        let long = "x".repeat(TASK_ID_BYTES_MAX + 1);
        tasks.remember(&origin, Client, &long, call);
        assert_eq!(tasks.made_by(&origin, Client, &long), None);
        assert_eq!(tasks.0.lock().order.len(), TASKS_MAX);
    }
}
