//! A script, played to mcplog's reading along: what it records.
//!
//! The only file here that knows anything of the code which is judged.

use crate::row::{Recorded, Row, SessionRow};
use crate::step::{Answered, Asked, Ending, Step, Verb};
use mcplog::Event;
use mcplog::event::{Direction, Note, Transport};
use mcplog_observe as observe;
use observe::read::Codings;
use observe::{Clock, Counts, End, Exchange, Observer, RequestReader, ResponseReader, SchemaQueue, SchemaResult, Sink};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the upstream may be silent while a call waits, in milliseconds.
pub const TIME_LIMIT_MS: u64 = 60_000;
/// How often the proxy looks for calls whose time is over, in milliseconds.
pub const TICK_MS: u64 = 500;

struct StillClock {
    start: Instant,
    passed_ms: Mutex<u64>,
}

impl Clock for StillClock {
    fn now(&self) -> Instant {
        self.start + Duration::from_millis(*self.passed_ms.lock())
    }

    fn unix_ms(&self) -> i64 {
        i64::try_from(*self.passed_ms.lock()).unwrap_or(i64::MAX)
    }
}

/// Keeps what is recorded.
#[derive(Default)]
pub struct Collector {
    recorded: Mutex<Recorded>,
    /// When the requests came, by their ids.
    came: Mutex<HashMap<String, i64>>,
}

impl Sink for Collector {
    fn record(&self, event: Event<'_>) -> bool {
        let mut recorded = self.recorded.lock();
        let owned = |text: Option<&str>| text.map(str::to_owned);
        match event {
            // The judge follows clients' calls. What servers ask passes here to be told apart from answers, whatever its id; its
            // own rows are judged by `asking_tests.rs` of `tools/observe`.
            Event::Request(request) if request.direction == Some(Direction::Server) => {
                assert_eq!((request.method, request.http_status), ("sampling/createMessage", None));
            }
            Event::Request(request) => {
                let mut came = self.came.lock();
                came.insert(request.request_id.to_owned(), request.ts);
                assert!(matches!(request.transport, Some(Transport::Http | Transport::Sse)));
                recorded.rows.push(Row {
                    ts: request.ts,
                    method: request.method.to_owned(),
                    about: owned(request.tool.or(request.target)),
                    rpc_id: owned(request.rpc_id),
                    session: owned(request.session_id),
                    outcome: request.counts_as().as_str().to_owned(),
                    status: request.status.as_str().to_owned(),
                    code: owned(request.error_code),
                    message: owned(request.error_msg),
                    cause: owned(request.cause),
                    http_status: request.http_status,
                    version: owned(request.protocol_version),
                    latency_ms: u64::try_from(request.latency_us).unwrap_or(u64::MAX) / 1_000,
                    is_lenient: request.notes.has(Note::LenientId),
                    is_late: request.notes.has(Note::LateAnswer),
                    continues: request.retry_of.and_then(|id| came.get(id).copied()),
                });
            }
            Event::Session(session) => {
                let (id, client) = (session.session_id.to_owned(), owned(session.client_name));
                recorded.sessions.insert(SessionRow { id, client, is_derived: session.derived });
            }
            Event::SessionClosed(closed) => *recorded.closes.entry(closed.session_id.to_owned()).or_default() += 1,
            Event::SchemaVersion(_) => {}
        }
        true
    }
}

impl Collector {
    /// What was recorded so far.
    pub fn recorded(&self) -> Recorded {
        self.recorded.lock().clone()
    }
}

struct NoSchemas;

impl SchemaQueue for NoSchemas {
    fn offer(&self, _result: SchemaResult) {}
}

/// An exchange that goes on.
struct Open {
    exchange: Exchange,
    request: Option<RequestReader>,
    response: Option<ResponseReader>,
}

/// What is recorded of that script.
pub fn observe(steps: &[Step]) -> Recorded {
    let clock = Arc::new(StillClock { start: Instant::now(), passed_ms: Mutex::default() });
    let collector = Arc::new(Collector::default());
    let observer = Observer::new(observe::Surroundings {
        proxy: "tested".into(),
        sink: collector.clone(),
        schema: Arc::new(NoSchemas),
        counts: Arc::new(Counts::default()),
        clock: clock.clone(),
        session_idle_ms: 0,
    });
    let mut open = HashMap::new();
    for step in steps {
        take(step, &observer, &clock, &mut open);
    }
    drop(open);
    observer.finish();
    drop(observer);
    collector.recorded()
}

fn take(step: &Step, observer: &Arc<Observer>, clock: &StillClock, open: &mut HashMap<usize, Open>) {
    match step {
        Step::Open(at, asked) => {
            let exchange = begin(observer, asked);
            let request = Some(RequestReader::new(Codings::IDENTITY, &exchange));
            open.insert(*at, Open { exchange, request, response: None });
        }
        Step::Pass(ms) => {
            for _ in 0..ms / TICK_MS {
                *clock.passed_ms.lock() += TICK_MS;
                observer.give_up_overdue();
            }
            *clock.passed_ms.lock() += ms % TICK_MS;
        }
        Step::End(at, ending) => {
            if let Some(Open { exchange, request, .. }) = open.remove(at) {
                exchange.end(end(*ending));
                if let Some(request) = request {
                    request.finish(false, &exchange);
                }
            }
        }
        Step::Send(at, bytes) => {
            if let Some(Open { exchange, request: Some(request), .. }) = open.get_mut(at) {
                request.push(bytes, exchange);
                exchange.touch();
            }
        }
        Step::Sent(at, is_whole) => {
            if let Some(Open { exchange, request, .. }) = open.get_mut(at)
                && let Some(request) = request.take()
            {
                request.finish(*is_whole, exchange);
            }
        }
        Step::Answer(at, Answered { status, session, is_stream }) => {
            if let Some(Open { exchange, response, .. }) = open.get_mut(at) {
                let head = observe::ResponseHead {
                    status: *status,
                    session: session.as_deref(),
                    content_type: Some(if *is_stream { "text/event-stream" } else { "application/json" }),
                    codings: Codings::IDENTITY,
                    cause: None,
                };
                exchange.on_response_head(&head);
                exchange.touch();
                *response = ResponseReader::new(&head, exchange);
            }
        }
        Step::Reply(at, bytes) => {
            if let Some(Open { exchange, response, .. }) = open.get_mut(at) {
                if let Some(response) = response {
                    response.push(bytes, exchange);
                }
                exchange.touch();
            }
        }
    }
}

fn begin(observer: &Arc<Observer>, asked: &Asked) -> Exchange {
    let arrival = observer.arrival(Some(asked.address), asked.connection);
    let head = observe::RequestHead {
        verb: match asked.verb {
            Verb::Post => observe::Verb::Post,
            Verb::Get => observe::Verb::Other,
            Verb::Delete => observe::Verb::Delete,
        },
        path: &asked.path,
        query: asked.query.as_deref(),
        session: asked.session.as_deref(),
        last_event_id: asked.last_event.as_deref(),
        protocol_version: asked.version,
        authorization: None,
        user_agent: Some(asked.agent),
        method: asked.method.as_deref(),
        name: None,
    };
    Exchange::begin(observer, arrival, &head, Duration::from_millis(TIME_LIMIT_MS))
}

fn end(ending: Ending) -> End<'static> {
    match ending {
        Ending::Complete => End::Complete,
        Ending::Broken => End::Broken("reset"),
        Ending::ClientGone => End::ClientGone,
        Ending::Silent => End::Silent("waiting"),
    }
}
