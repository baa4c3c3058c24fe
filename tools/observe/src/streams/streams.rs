//! The streams of one proxy that clients may resume, and those that sessions listen on.
//!
//! Called from the tasks that pass bytes on; short critical sections, no I/O, bounded memory.

use super::stream::{Stream, Way};
use crate::activity::Activity;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// What the streams that may be resumed take up together, in bytes: of 2,000 or so. What comes on a stream that was forgotten
/// finds its call by the session.
pub(crate) const STREAMS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The streams of one proxy.
#[derive(Default)]
pub(crate) struct Streams {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Those that may be resumed, latest last.
    kept: VecDeque<Arc<Stream>>,
    /// What they take up together.
    bytes: usize,
    /// The open streams that a GET of a session opened, by session, latest last. Their connections bound them.
    listening: HashMap<Arc<str>, Vec<Arc<Activity>>>,
}

impl Streams {
    /// Remembers a stream, or that it was there until now.
    pub(crate) fn keep(&self, stream: &Arc<Stream>) {
        let mut state = self.state.lock();
        match state.kept.iter().rposition(|kept| Arc::ptr_eq(kept, stream)) {
            Some(at) => drop(state.kept.remove(at)),
            None => state.bytes += stream.bytes(),
        }
        state.kept.push_back(stream.clone());
        while state.bytes > STREAMS_BYTES_MAX {
            let Some(oldest) = state.kept.pop_front() else { return };
            state.bytes -= oldest.bytes();
        }
    }

    /// The stream that a client resumes who comes that way and had that event last.
    pub(crate) fn find(&self, way: &Way, event: u64) -> Option<Arc<Stream>> {
        let kept: Vec<Arc<Stream>> = self.state.lock().kept.iter().cloned().collect();
        // The last one of those that fit best.
        kept.into_iter()
            .filter_map(|kept| Some((kept.fits(way, event)?, kept)))
            .max_by_key(|(fit, _)| *fit)
            .map(|(_, kept)| kept)
    }

    /// A session listens on a stream.
    pub(crate) fn listen(&self, session: &Arc<str>, activity: &Arc<Activity>) {
        self.state.lock().listening.entry(session.clone()).or_default().push(activity.clone());
    }

    /// That stream is over.
    pub(crate) fn unlisten(&self, session: &str, activity: &Arc<Activity>) {
        let mut state = self.state.lock();
        let Some(open) = state.listening.get_mut(session) else { return };
        open.retain(|open| !Arc::ptr_eq(open, activity));
        if open.is_empty() {
            state.listening.remove(session);
        }
    }

    /// The stream that the session listens on, the latest of several.
    pub(crate) fn listening(&self, session: &str) -> Option<Arc<Activity>> {
        self.state.lock().listening.get(session)?.last().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn way(session: Option<&str>, endpoint: &str, address: u128) -> Way {
        Way { session: session.map(Arc::from), endpoint: Some(endpoint.into()), client_address: Some(address) }
    }

    fn stream(streams: &Streams, way: &Way, events: &[&str]) -> Arc<Stream> {
        let stream = Arc::new(Stream::new(way.clone(), std::iter::empty()));
        events.iter().for_each(|event| stream.pass(Stream::event(event.as_bytes())));
        streams.keep(&stream);
        stream
    }

    #[test]
    fn a_stream_is_resumed_the_way_it_came() {
        let ways = [
            way(Some("s"), "/mcp", 1),
            way(Some("t"), "/mcp", 1),
            way(None, "/mcp", 1),
            way(None, "/mcp", 2),
            way(None, "/x", 1),
        ];
        for (at, came) in ways.iter().enumerate() {
            for (other, back) in ways.iter().enumerate() {
                let streams = Streams::default();
                let stream = stream(&streams, came, &["a", "b"]);
                let found = streams.find(back, Stream::event(b"a"));
                // The session may be missing on one side, if it is the same client and the same endpoint.
                let fits = at == other || matches!((at, other), (0 | 1, 2) | (2, 0 | 1));
                assert_eq!(found.is_some_and(|found| Arc::ptr_eq(&found, &stream)), fits, "{came:?} {back:?}");
                assert!(streams.find(back, Stream::event(b"c")).is_none());
            }
        }
    }

    #[test]
    fn of_streams_with_the_same_events_the_last_one_that_was_cut_is_resumed() {
        let (streams, way, now) = (Streams::default(), way(Some("s"), "/mcp", 1), Instant::now());
        let [first, second, open] = std::array::from_fn(|_| stream(&streams, &way, &["1"]));
        let is_found = |expected: &Arc<Stream>| {
            streams.find(&way, Stream::event(b"1")).is_some_and(|found| Arc::ptr_eq(&found, expected))
        };
        assert!(is_found(&open));
        second.cut(None, now);
        assert!(is_found(&second));
        first.cut(None, now + Duration::from_secs(1));
        streams.keep(&first);
        assert!(is_found(&first));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let (streams, way) = (Streams::default(), way(Some("s"), "/mcp", 1));
        let first = stream(&streams, &way, &["first"]);
        let mut count = 1;
        while streams.find(&way, Stream::event(b"first")).is_some() {
            stream(&streams, &way, &["other"]);
            count += 1;
            assert!(count < 10_000);
        }
        assert!(count > 1000, "{count}");
        assert!(streams.state.lock().bytes <= STREAMS_BYTES_MAX);
        streams.keep(&first);
        assert!(streams.find(&way, Stream::event(b"first")).is_some());
        for event in 0..1000 {
            first.pass(event);
        }
        assert!(streams.find(&way, Stream::event(b"first")).is_none(), "too many events ago");
    }

    #[test]
    fn a_session_listens_on_the_latest_stream_that_is_open() {
        let (streams, session) = (Streams::default(), Arc::from("s"));
        let [first, second] = std::array::from_fn(|_| Arc::new(Activity::new(Instant::now())));
        assert!(streams.listening("s").is_none());
        streams.listen(&session, &first);
        streams.listen(&session, &second);
        assert!(streams.listening("s").is_some_and(|open| Arc::ptr_eq(&open, &second)));
        streams.unlisten("s", &second);
        assert!(streams.listening("s").is_some_and(|open| Arc::ptr_eq(&open, &first)));
        streams.unlisten("s", &first);
        assert!(streams.listening("s").is_none() && streams.state.lock().listening.is_empty());
    }
}
