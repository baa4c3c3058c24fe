//! What must hold of an observer, whatever passes and however it ends.

use crate::observer_script::{self, EXCHANGES_MAX, Head, Side, Step};
use mcplog::event::{Code, ERROR_MSG_CHARS_MAX, NAME_BYTES_MAX, Note, Outcome, Transport};
use mcplog::{Event, Request, Status};
use mcplog_observe::read::Codings;
use mcplog_observe::{
    BUDGET_BYTES, Budget, Clock, Counts, EXCHANGE_FREE_BYTES, End, Exchange, Observer, RequestHead, RequestReader,
    ResponseHead, ResponseReader, SchemaQueue, SchemaResult, Sink, Surroundings,
};
use mcplog_packing::content_encoding;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// What an observer holds beside its exchanges, in bytes: a few sessions, and the tables for them.
const OBSERVER_BYTES_MAX: usize = 64 * 1024;
/// How many rows are looked at one by one; a script can't have more calls.
const ROWS_MAX: usize = EXCHANGES_MAX * 4096;
/// How long an upstream may be silent.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Nothing panics; every call becomes exactly one event; memory is bounded by what is stated, and all of it is given back.
pub fn check(input: &[u8]) {
    // What is set up once in a process and thread is set up now.
    static FIRST: OnceLock<()> = OnceLock::new();
    FIRST.get_or_init(|| play(&[], &Arc::new(Rows::default()), 0));
    let steps = observer_script::read(input);
    // The last byte is a choice of its own, and the end of the script.
    let budget_bytes = match input.last().copied().unwrap_or(0) {
        0..192 => BUDGET_BYTES,
        few => usize::from(few - 192) * 16 * 1024,
    };
    let exchanges = steps.iter().filter(|step| matches!(step, Step::Begin(..))).count();
    let rows = Arc::new(Rows::default());
    let memory = allocation_counter::measure(|| play(&steps, &rows, budget_bytes));
    let allowed = (OBSERVER_BYTES_MAX + exchanges * EXCHANGE_FREE_BYTES + budget_bytes) as u64;
    assert!(memory.bytes_max <= allowed, "{} bytes held by {exchanges} exchanges", memory.bytes_max);
    assert_eq!(memory.bytes_current, 0, "nothing stays behind");
    rows.check();
}

/// The rows, in memory that is taken before anything is measured.
struct Rows(Mutex<Vec<[u8; 36]>>);

impl Default for Rows {
    fn default() -> Self {
        Self(Mutex::new(Vec::with_capacity(ROWS_MAX)))
    }
}

impl Rows {
    fn check(&self) {
        let mut ids = self.0.lock().expect("not poisoned").clone();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "no call has two rows");
    }
}

impl Sink for Rows {
    fn record(&self, event: Event<'_>) -> bool {
        let Event::Request(request) = event else { return true };
        let mut ids = self.0.lock().expect("not poisoned");
        assert!(ids.len() < ids.capacity(), "more rows than calls");
        ids.push(request.request_id.as_bytes().try_into().expect("a UUID"));
        check_request(&request);
        true
    }
}

/// What a row says agrees with itself.
fn check_request(request: &Request<'_>) {
    assert!(request.latency_us >= 0);
    let outcome = request.outcome.expect("known of every call");
    let is_subscription = request.method == "subscriptions/listen";
    let can_be = match outcome {
        Outcome::Ok | Outcome::InputRequired | Outcome::ToolError => !is_subscription,
        Outcome::Ended => is_subscription && request.error_code.is_none() && request.error_msg.is_none(),
        Outcome::Cancelled => request.error_code == Some("cancelled") && !is_subscription,
        Outcome::Lost => request.error_code == Some("proxy_shutdown") && !is_subscription,
        Outcome::Redirected => request.http_status == Some(307),
        Outcome::Error => true,
        Outcome::Timeout => request.error_code == Some("upstream_timeout"),
        Outcome::Probe => request.method == "server/discover",
    };
    assert!(can_be, "{request:?}");
    assert_eq!((request.status, request.counts_as()), (outcome.status(), outcome), "{request:?}");
    assert_eq!(request.tool_error == Some(true), outcome == Outcome::ToolError, "{request:?}");
    // Of what went well, nothing is kept; of what a tool said, not more than a row shows.
    if request.status == Status::Ok {
        let characters = request.error_msg.map_or(0, |text| text.chars().count());
        assert!(request.error_code.is_none() && characters <= ERROR_MSG_CHARS_MAX + 1, "{request:?}");
        assert!(outcome == Outcome::ToolError || request.error_msg.is_none(), "{request:?}");
    }
    assert!(matches!(request.transport, Some(Transport::Http | Transport::Sse)), "{request:?}");
    assert!(request.endpoint.is_some(), "{request:?}");
    let is_unread = request.notes.has(Note::Unread);
    assert!(is_unread || request.error_code != Some("unreadable_response"), "{request:?}");
    assert!(is_unread || request.method != "(unread)", "{request:?}");
    if let Some(cause) = request.cause {
        assert!(cause.len() <= NAME_BYTES_MAX, "{request:?}");
        // What a head says stands on the row too, whatever becomes of the call.
        let is_of_head = request.http_status.is_some_and(|status| status >= 300);
        let is_of_end = match (outcome, request.error_code) {
            // Who ended it.
            (Outcome::Ended, None) => ["client_gone", "cancelled", "proxy_shutdown", "no_response"].contains(&cause),
            // What came after it was taken back.
            (Outcome::Cancelled, _) => cause.starts_with("late error ") && request.notes.has(Note::LateAnswer),
            (_, code) => ["stream_broken", "upstream_unreachable", "upstream_timeout", "upstream_loop", "proxy_error"]
                .contains(&code.expect("known of every failure")),
        };
        assert!(is_of_end || is_of_head, "{request:?}");
    }
}

impl SchemaQueue for Rows {
    fn offer(&self, _result: SchemaResult) {}
}

/// A clock that moves when it is told to.
struct StillClock {
    start: Instant,
    seconds: AtomicU64,
}

impl Clock for StillClock {
    fn now(&self) -> Instant {
        self.start + Duration::from_secs(self.seconds.load(Ordering::Relaxed))
    }

    fn unix_ms(&self) -> i64 {
        i64::try_from(self.seconds.load(Ordering::Relaxed)).expect("small") * 1000
    }
}

fn codings(head: &Head) -> Codings {
    head.ways.map_or(Codings::UNKNOWN, |ways| Codings::of([content_encoding(ways).as_str()]))
}

/// An exchange, and the readers of its two bodies.
struct Played {
    exchange: Exchange,
    request: Option<RequestReader>,
    response: Option<ResponseReader>,
}

impl Played {
    fn begin(observer: &Arc<Observer>, head: &Head) -> Self {
        let seen = RequestHead {
            verb: head.verb,
            path: head.path,
            session: head.session,
            query: head.query,
            last_event_id: head.last_event_id,
            protocol_version: head.version,
            authorization: None,
            user_agent: None,
            method: head.method,
            name: head.method,
        };
        let exchange = Exchange::begin(observer, observer.arrival(None, 1), &seen, TIME_LIMIT);
        let request = exchange.is_post().then(|| RequestReader::new(codings(head), &exchange));
        Self { exchange, request, response: None }
    }

    fn response_head(&mut self, head: &Head) {
        let seen = ResponseHead {
            status: head.status,
            session: head.session,
            content_type: head.content_type,
            codings: codings(head),
            cause: (head.status >= 300).then_some("says the head"),
        };
        self.exchange.on_response_head(&seen);
        self.response = ResponseReader::new(&seen, &self.exchange);
    }

    fn bytes(&mut self, side: Side, bytes: &[u8]) {
        self.exchange.touch();
        match side {
            Side::Request => self.request.iter_mut().for_each(|reader| reader.push(bytes, &self.exchange)),
            Side::Response => self.response.iter_mut().for_each(|reader| reader.push(bytes, &self.exchange)),
        }
    }

    fn request_over(&mut self, is_complete: bool) {
        if let Some(reader) = self.request.take() {
            reader.finish(is_complete, &self.exchange);
        }
    }

    fn end(&self, end: End<'_>) {
        self.exchange.end(end);
    }
}

fn play(steps: &[Step], rows: &Arc<Rows>, budget_bytes: usize) {
    let counts = Arc::new(Counts::default());
    let clock = Arc::new(StillClock { start: Instant::now(), seconds: AtomicU64::new(0) });
    let budget = Budget::new(budget_bytes);
    let observer = Observer::within(
        budget.clone(),
        Surroundings {
            proxy: "fuzzed".into(),
            sink: rows.clone(),
            schema: rows.clone(),
            counts: counts.clone(),
            clock: clock.clone(),
            session_idle_ms: 1000,
        },
    );
    let mut exchanges: [Option<Played>; EXCHANGES_MAX] = Default::default();
    for step in steps {
        let exchange = match step {
            Step::Begin(at, _) | Step::ResponseHead(at, _) | Step::RequestOver(at, _) | Step::End(at, _) => *at,
            Step::Forget(at) | Step::Bytes { exchange: at, .. } => *at,
            Step::Pass { .. } | Step::Drain | Step::Stop => 0,
        };
        let played = &mut exchanges[exchange];
        match (step, played.as_mut()) {
            (Step::Begin(_, head), _) => *played = Some(Played::begin(&observer, head)),
            (Step::ResponseHead(_, head), Some(played)) => played.response_head(head),
            (Step::Bytes { side, bytes, times, piece_bytes, .. }, Some(played)) => {
                for _ in 0..*times {
                    bytes.chunks(*piece_bytes).for_each(|piece| played.bytes(*side, piece));
                }
            }
            (Step::RequestOver(_, is_complete), Some(played)) => played.request_over(*is_complete),
            (Step::End(_, end), Some(played)) => played.end(*end),
            (Step::Forget(_), _) => *played = None,
            (Step::Pass { seconds }, _) => {
                clock.seconds.fetch_add(*seconds, Ordering::Relaxed);
                observer.give_up_overdue();
            }
            (Step::Drain, _) => observer.drain(),
            (Step::Stop, _) => observer.stop(),
            (_, None) => {}
        }
    }
    drop(exchanges);
    assert_eq!(budget.taken(), 0, "the budget is whole again");
    drop(observer);
    assert_eq!(counts.in_flight.get(), 0, "every call has ended");
    let recorded: u64 = Outcome::ALL.iter().map(|outcome| counts.with_outcome(*outcome)).sum();
    assert_eq!(recorded, rows.0.lock().expect("not poisoned").len() as u64, "and each is one row");
}
