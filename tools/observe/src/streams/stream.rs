//! One event stream, from its first byte on, over all the exchanges that carry it on.
//!
//! A client that resumes a stream names the last event that it got. So the stream remembers the ids of its latest events, and
//! the requests that it stands for: what comes on the resumed stream is for them. It keeps no call alive.

use crate::activity::Activity;
use crate::calls::{Brought, Call, Whose};
use crate::read::RpcId;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Weak};
use std::time::Instant;

/// How many ids of events are remembered: those that may be on their way to the client when the stream is cut.
pub(crate) const EVENT_IDS_MAX: usize = 128;
/// How many of the events in which the server asked something are remembered: what is replayed asks nothing new.
const ASKING_EVENTS_MAX: usize = 32;
/// How many requests a stream stands for at most; the SDKs that knew batches sent a handful. Of a larger batch the rest is
/// found by its session.
const BROUGHT_MAX: usize = 64;
/// The longest id of such a request, in bytes.
const BROUGHT_ID_BYTES_MAX: usize = 128;

/// Which way a stream came: a stream is resumed the way that it came.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) session: Option<Arc<str>>,
    pub(crate) endpoint: Option<Arc<str>>,
    pub(crate) client_address: Option<u128>,
}

impl Way {
    /// Whether who comes that way may resume what came this way. Without a session on either side, the endpoint and the
    /// client's address have to do.
    fn is(&self, other: &Self) -> bool {
        match (&self.session, &other.session) {
            (Some(session), Some(other)) => session == other,
            _ => self.endpoint == other.endpoint && self.client_address == other.client_address,
        }
    }
}

/// One event stream that a client can resume.
pub(crate) struct Stream {
    way: Way,
    /// The requests that it stands for.
    brought: Box<[(Option<RpcId>, Weak<Call>)]>,
    /// What it takes up, in bytes.
    bytes: usize,
    passed: Mutex<Passed>,
}

#[derive(Default)]
struct Passed {
    /// By their hashes, latest last.
    event_ids: VecDeque<u64>,
    /// What stands for each request of the server that came, and for the event which brought it, latest last.
    asked: VecDeque<u64>,
    /// What passes on the exchange that resumed it, as long as that goes on.
    carrier: Option<Arc<Activity>>,
    /// When it was last cut.
    cut_at: Option<Instant>,
}

/// How well a stream fits what a client resumes, where several have that event's id. It is unique in a session, says the
/// specification; servers count from 1 in each stream nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// It still goes on, as far as anybody noticed.
    Open,
    Cut,
    /// It was cut, and owes an answer.
    Owing,
}

impl Stream {
    /// The stream of a response to these calls; of none, if a GET opened it.
    pub(crate) fn new<'c>(way: Way, calls: impl Iterator<Item = &'c Arc<Call>>) -> Self {
        let has_short_id = |call: &&Arc<Call>| call.id.as_ref().is_none_or(|id| id.text.len() <= BROUGHT_ID_BYTES_MAX);
        let brought: Box<[_]> =
            calls.filter(has_short_id).take(BROUGHT_MAX).map(|call| (call.id.clone(), Arc::downgrade(call))).collect();
        // A call's place stays taken as long as it is known here.
        let each = size_of::<Call>() + size_of::<(Option<RpcId>, Weak<Call>)>() + BROUGHT_ID_BYTES_MAX;
        let texts = [&way.session, &way.endpoint].into_iter().flatten().map(|text| text.len()).sum::<usize>();
        let bytes = size_of::<Self>()
            + 2 * (EVENT_IDS_MAX + ASKING_EVENTS_MAX) * size_of::<u64>()
            + texts
            + brought.len() * each;
        Self { way, brought, bytes, passed: Mutex::default() }
    }

    /// What stands for an event's id.
    pub(crate) fn event(id: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        hasher.finish()
    }

    /// An event passes.
    pub(crate) fn pass(&self, event: u64) {
        let mut passed = self.passed.lock();
        if passed.event_ids.len() == EVENT_IDS_MAX {
            passed.event_ids.pop_front();
        }
        passed.event_ids.push_back(event);
    }

    /// The server asks something with that id, behind that event's id. Says whether it did before.
    pub(crate) fn has_asked(&self, event: u64, id: &RpcId) -> bool {
        let mut hasher = DefaultHasher::new();
        (event, id).hash(&mut hasher);
        let (asked, mut passed) = (hasher.finish(), self.passed.lock());
        if passed.asked.contains(&asked) {
            return true;
        }
        if passed.asked.len() == ASKING_EVENTS_MAX {
            passed.asked.pop_front();
        }
        passed.asked.push_back(asked);
        false
    }

    /// Another exchange carries it on.
    pub(crate) fn resume(&self, carrier: &Arc<Activity>) {
        self.passed.lock().carrier = Some(carrier.clone());
    }

    /// An exchange that carried it is over.
    pub(crate) fn cut(&self, carrier: Option<&Arc<Activity>>, now: Instant) {
        let mut passed = self.passed.lock();
        passed.cut_at = Some(now);
        if let (Some(carried), Some(carrier)) = (&passed.carrier, carrier)
            && Arc::ptr_eq(carried, carrier)
        {
            passed.carrier = None;
        }
    }

    /// What passes on the exchange that resumed it, if one goes on.
    pub(crate) fn carrier(&self) -> Option<Arc<Activity>> {
        self.passed.lock().carrier.clone()
    }

    /// When it was last cut, if it was.
    pub(crate) fn cut_at(&self) -> Option<Instant> {
        self.passed.lock().cut_at
    }

    /// Those of the calls it stands for that are open.
    pub(crate) fn open_calls(&self) -> Vec<Arc<Call>> {
        self.brought.iter().filter_map(|(_, call)| call.upgrade()).filter(|call| call.is_open()).collect()
    }

    /// Whose the answer with that id is, among the calls it stands for.
    pub(crate) fn whose(&self, id: &RpcId) -> Whose {
        let calls: Vec<_> = self.brought.iter().map(|(id, call)| (id.as_ref(), call.upgrade())).collect();
        Whose::of(calls.iter().map(|(id, call)| Brought { id: *id, call: call.as_ref() }), id)
    }

    /// How well it fits who comes that way and had that event last. `None` if that is another stream.
    pub(super) fn fits(&self, way: &Way, event: u64) -> Option<Fit> {
        if !self.way.is(way) {
            return None;
        }
        let passed = self.passed.lock();
        let (has_event, is_cut) = (passed.event_ids.contains(&event), passed.cut_at.is_some());
        drop(passed);
        match has_event {
            false => None,
            true if !is_cut => Some(Fit::Open),
            true if self.open_calls().is_empty() => Some(Fit::Cut),
            true => Some(Fit::Owing),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
