//! Sessions that were announced when nobody took the announcement: it is made again with the session's next call.
//!
//! Called from the tasks that pass bytes on; a short critical section, and only while there is such a session. Memory is
//! bounded.

use super::identity::ClientIdentity;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many are kept. Of a session beyond that the client stays unknown.
const POSTPONED_MAX: usize = 16 * 1024;
/// The longest session id and the longest revision that are kept, in bytes, as those of all sessions.
const TEXT_BYTES_MAX: usize = 512;

/// What is announced of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Announcement {
    /// When it began, in Unix milliseconds.
    pub(crate) started_at: i64,
    pub(crate) client: ClientIdentity,
    pub(crate) protocol_version: Option<Box<str>>,
    /// It was made up, because that revision has none.
    pub(crate) is_derived: bool,
    /// How many lines its server printed so far that are no messages, where it could.
    pub(crate) noise_lines: Option<i64>,
}

/// Announcements that are still to be made.
#[derive(Default)]
pub(crate) struct Postponed {
    announcements: Mutex<HashMap<Arc<str>, Announcement>>,
    /// How many there are, so that who finds none takes no lock.
    count: AtomicUsize,
}

impl Postponed {
    /// Keeps an announcement that was not taken.
    pub(crate) fn keep(&self, session_id: &Arc<str>, announcement: Announcement) {
        let texts = [Some(&**session_id), announcement.protocol_version.as_deref()];
        if texts.iter().flatten().any(|text| text.len() > TEXT_BYTES_MAX) {
            return;
        }
        let mut announcements = self.announcements.lock();
        if announcements.len() < POSTPONED_MAX || announcements.contains_key(session_id) {
            announcements.insert(session_id.clone(), announcement);
        }
        self.count.store(announcements.len(), Ordering::Relaxed);
    }

    /// Takes the announcement of that session out, if there is one, to be made now.
    pub(crate) fn take(&self, session_id: &str) -> Option<Announcement> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut announcements = self.announcements.lock();
        let announcement = announcements.remove(session_id);
        self.count.store(announcements.len(), Ordering::Relaxed);
        announcement
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement(version: &str) -> Announcement {
        Announcement {
            started_at: 1,
            client: ClientIdentity::new(Some("c"), None),
            protocol_version: Some(version.into()),
            is_derived: false,
            noise_lines: None,
        }
    }

    #[test]
    fn an_announcement_is_made_again_once() {
        let postponed = Postponed::default();
        assert_eq!(postponed.take("s"), None);
        postponed.keep(&"s".into(), announcement("v"));
        assert_eq!(postponed.take("t"), None);
        assert_eq!(postponed.take("s"), Some(announcement("v")));
        assert_eq!(postponed.take("s"), None);
    }

    #[test]
    fn memory_is_bounded() {
        let postponed = Postponed::default();
        for number in 0..=POSTPONED_MAX {
            postponed.keep(&number.to_string().into(), announcement("v"));
        }
        assert_eq!(postponed.take(&POSTPONED_MAX.to_string()), None);
        postponed.keep(&"1".into(), announcement("w"));
        assert_eq!(postponed.take("1"), Some(announcement("w")));
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        postponed.keep(&long.as_str().into(), announcement("v"));
        postponed.keep(&"s".into(), announcement(&long));
        assert_eq!((postponed.take(&long), postponed.take("s")), (None, None));
    }
}
