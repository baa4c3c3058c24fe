//! Where the open streams of the 2024-11-05 transport want their messages: a POST to such an address belongs to that stream's
//! session, whatever the address looks like.
//!
//! Called from the tasks that pass bytes on; short critical sections, no I/O. Their connections bound how many there are.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where the open streams want their messages.
#[derive(Default)]
pub(crate) struct AnnouncedStreams {
    by_address: Mutex<HashMap<Box<str>, Vec<AnnouncedStream>>>,
    /// How many there are, so that who finds none takes no lock.
    count: AtomicUsize,
}

struct AnnouncedStream {
    session: Arc<str>,
    client_address: Option<u128>,
    is_made_up: bool,
}

impl AnnouncedStreams {
    /// A stream wants its messages at that address: path and query. `is_made_up` says that its session's id is no word of the
    /// server's.
    pub(crate) fn insert(&self, address: &str, session: &Arc<str>, client_address: Option<u128>, is_made_up: bool) {
        let stream = AnnouncedStream { session: session.clone(), client_address, is_made_up };
        self.by_address.lock().entry(address.into()).or_default().push(stream);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// The stream of that session is over.
    pub(crate) fn remove(&self, session: &str) {
        self.by_address.lock().retain(|_, streams| {
            let before = streams.len();
            streams.retain(|stream| *stream.session != *session);
            self.count.fetch_sub(before - streams.len(), Ordering::Relaxed);
            !streams.is_empty()
        });
    }

    /// The session of the stream that wants its messages at that address. Of several, that of the same client: else the latest.
    pub(crate) fn session_at(&self, address: &str, client_address: Option<u128>) -> Option<Arc<str>> {
        let by_address = self.by_address.lock();
        let streams = by_address.get(address)?;
        let of_client = || streams.iter().rev().find(|stream| stream.client_address == client_address);
        of_client().or(streams.last()).map(|stream| stream.session.clone())
    }

    /// Whether no stream has announced anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Whether that session's id is no word of the server's.
    pub(crate) fn is_made_up(&self, session: &str) -> bool {
        let is_it = |stream: &AnnouncedStream| *stream.session == *session && stream.is_made_up;
        !self.is_empty() && self.by_address.lock().values().flatten().any(is_it)
    }
}
