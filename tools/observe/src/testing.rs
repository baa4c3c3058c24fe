//! What tests put around an observer: a clock that stands still until it is told to move, and a sink that remembers.

use crate::exchanges::{RequestHead, Verb};
use crate::{Budget, Clock, Counts, Observer, SchemaMethod, SchemaQueue, SchemaResult, Sink, Surroundings};
use mcplog::event::{Direction, Notes, Outcome, Transport};
use mcplog::{Event, Status};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A request event, as far as tests compare it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) status: Status,
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) latency_us: i64,
    pub(crate) rpc_id: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) protocol_version: Option<String>,
    pub(crate) http_status: Option<u16>,
    pub(crate) transport: Option<Transport>,
    pub(crate) direction: Option<Direction>,
    pub(crate) endpoint: Option<String>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) cause: Option<String>,
    pub(crate) notes: Notes,
    pub(crate) tool: Option<String>,
    pub(crate) bytes_in: Option<i64>,
    pub(crate) bytes_out: Option<i64>,
}

/// A session event, as far as tests compare it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SeenSession {
    pub(crate) id: String,
    pub(crate) client: Option<String>,
    pub(crate) protocol_version: Option<String>,
    pub(crate) derived: bool,
    pub(crate) noise_lines: Option<i64>,
}

/// The head of a request, with nothing in it that a test does not name.
pub(crate) fn request_head<'a>(verb: Verb, path: &'a str, session: Option<&'a str>) -> RequestHead<'a> {
    RequestHead {
        verb,
        path,
        session,
        query: None,
        last_event_id: None,
        protocol_version: None,
        authorization: None,
        user_agent: None,
        method: None,
        name: None,
    }
}

/// Every story of so many steps.
pub(crate) fn stories<S: Copy>(alphabet: &[S], steps: usize) -> impl Iterator<Item = Vec<S>> {
    let mut next = Some(vec![0; steps]);
    std::iter::from_fn(move || {
        let places = next.take()?;
        let story = places.iter().map(|place| alphabet[*place]).collect();
        // The next number, with a digit for each step.
        if let Some(at) = places.iter().rposition(|place| place + 1 < alphabet.len()) {
            let mut places = places;
            places[at] += 1;
            places[at + 1..].fill(0);
            next = Some(places);
        }
        Some(story)
    })
}

/// A clock that stands still.
pub(crate) struct StillClock {
    start: Instant,
    passed: Mutex<Duration>,
}

impl StillClock {
    pub(crate) fn advance(&self, by: Duration) {
        *self.passed.lock() += by;
    }

    pub(crate) fn instant(&self) -> Instant {
        self.start + *self.passed.lock()
    }
}

impl Clock for StillClock {
    fn now(&self) -> Instant {
        self.instant()
    }

    fn unix_ms(&self) -> i64 {
        i64::try_from(self.passed.lock().as_millis()).unwrap()
    }
}

#[derive(Default)]
struct Collector {
    requests: Mutex<Vec<Seen>>,
    sessions: Mutex<Vec<SeenSession>>,
    closes: Mutex<Vec<(String, i64)>>,
}

impl Sink for Collector {
    fn record(&self, event: Event<'_>) -> bool {
        if let Event::SessionClosed(closed) = event {
            self.closes.lock().push((closed.session_id.to_owned(), closed.ended_at));
        }
        if let Event::Session(session) = event {
            self.sessions.lock().push(SeenSession {
                id: session.session_id.to_owned(),
                client: session.client_name.map(str::to_owned),
                protocol_version: session.protocol_version.map(str::to_owned),
                derived: session.derived,
                noise_lines: session.noise_lines,
            });
        }
        if let Event::Request(request) = event {
            self.requests.lock().push(Seen {
                method: request.method.to_owned(),
                status: request.status,
                code: request.error_code.map(str::to_owned),
                message: request.error_msg.map(str::to_owned),
                latency_us: request.latency_us,
                rpc_id: request.rpc_id.map(str::to_owned),
                session: request.session_id.map(str::to_owned),
                protocol_version: request.protocol_version.map(str::to_owned),
                http_status: request.http_status,
                transport: request.transport,
                direction: request.direction,
                endpoint: request.endpoint.map(str::to_owned),
                outcome: request.outcome,
                cause: request.cause.map(str::to_owned),
                notes: request.notes,
                tool: request.tool.map(str::to_owned),
                bytes_in: request.bytes_in,
                bytes_out: request.bytes_out,
            });
        }
        true
    }
}

/// Remembers which results were handed over.
#[derive(Default)]
struct Lists(Mutex<Vec<SchemaMethod>>);

impl SchemaQueue for Lists {
    fn offer(&self, result: SchemaResult) {
        self.0.lock().push(result.method());
    }
}

/// An observer with its surroundings.
pub(crate) struct Surrounded {
    pub(crate) observer: Arc<Observer>,
    pub(crate) clock: Arc<StillClock>,
    collector: Arc<Collector>,
    lists: Arc<Lists>,
}

impl Surrounded {
    pub(crate) fn new() -> Self {
        Self::within(Budget::default())
    }

    pub(crate) fn within(budget: Budget) -> Self {
        let clock = Arc::new(StillClock { start: Instant::now(), passed: Mutex::default() });
        let (collector, lists) = (Arc::new(Collector::default()), Arc::new(Lists::default()));
        let surroundings = Surroundings {
            proxy: "tested".into(),
            sink: collector.clone(),
            schema: lists.clone(),
            counts: Arc::new(Counts::default()),
            clock: clock.clone(),
            session_idle_ms: 0,
        };
        let observer = Observer::within(budget, surroundings);
        Self { observer, clock, collector, lists }
    }

    /// Lets go of the observer, and says what was recorded in the end.
    pub(crate) fn into_seen(self) -> Vec<Seen> {
        let Self { observer, collector, .. } = self;
        drop(observer);
        collector.requests.lock().clone()
    }

    /// So many seconds pass, and who has waited for too long is given up.
    pub(crate) fn wait(&self, time: Duration) {
        for _ in 0..time.as_secs() {
            self.clock.advance(Duration::from_secs(1));
            self.observer.give_up_overdue();
        }
    }

    /// The requests that were recorded.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.collector.requests.lock().clone()
    }

    /// The sessions that began.
    pub(crate) fn sessions(&self) -> Vec<SeenSession> {
        self.collector.sessions.lock().clone()
    }

    /// The methods whose results were handed over since the last look.
    pub(crate) fn lists(&self) -> Vec<SchemaMethod> {
        std::mem::take(&mut self.lists.0.lock())
    }

    /// The sessions that were closed, and when.
    pub(crate) fn closes(&self) -> Vec<(String, i64)> {
        self.collector.closes.lock().clone()
    }
}
