//! A hundred hostile exchanges at once: what they hold together, and what becomes of the ordinary ones beside them.
//!
//! One thread plays all of them in turns, so that what is held at once is measured and nothing depends on the machine.

use mcplog::event::{Note, Outcome};
use mcplog::{Event, Status};
use mcplog_observe::read::Codings;
use mcplog_observe::{
    BUDGET_BYTES, Budget, Counts, EXCHANGE_FREE_BYTES, End, Exchange, Observer, RequestHead, RequestReader,
    ResponseHead, ResponseReader, SchemaQueue, SchemaResult, Sink, Surroundings, SystemClock, Verb,
};
use mcplog_packing::{WAYS, Way, bomb, brotli_with_window, content_encoding, pack, zstd_with_window};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What is promised, in bytes.
const TOGETHER_MAX: u64 = 64 * 1024 * 1024;
const EXCHANGES: usize = 100;
/// What the parts of that add up to, without the calls that others left to wait.
const STATED_MAX: u64 = (BUDGET_BYTES + EXCHANGES * EXCHANGE_FREE_BYTES) as u64;
const _: () = assert!(STATED_MAX < TOGETHER_MAX);
/// How much of each body comes at a time, and how often.
const PIECE_BYTES: usize = 16 * 1024;
const TURNS: usize = 160;
/// How many schema results wait to be looked at: as many as the proxy lets wait.
const QUEUE_MAX: usize = 32;

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}"#;
const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

/// Counts what is recorded, and keeps what waits to be looked at.
#[derive(Default)]
struct Seen {
    ordinary: AtomicUsize,
    unread: AtomicUsize,
    others: AtomicUsize,
    schemas: Mutex<Vec<SchemaResult>>,
}

impl Sink for Seen {
    fn record(&self, event: Event<'_>) -> bool {
        let Event::Request(request) = event else { return true };
        let is_unread = request.notes.has(Note::Unread);
        if request.method == "ordinary" {
            assert_eq!((request.status, request.outcome, is_unread), (Status::Ok, Some(Outcome::Ok), false));
            self.ordinary.fetch_add(1, Ordering::Relaxed);
        } else if is_unread {
            self.unread.fetch_add(1, Ordering::Relaxed);
        } else {
            self.others.fetch_add(1, Ordering::Relaxed);
        }
        true
    }
}

impl SchemaQueue for Seen {
    fn offer(&self, result: SchemaResult) {
        let mut schemas = self.schemas.lock();
        if schemas.len() < QUEUE_MAX {
            schemas.push(result);
        }
    }
}

/// A body without end: a beginning, and what follows again and again. Packed or not.
#[derive(Clone)]
struct Body {
    codings: String,
    beginning: Vec<u8>,
    again: Vec<u8>,
}

impl Body {
    fn of(beginning: impl AsRef<[u8]>, again: impl AsRef<[u8]>) -> Self {
        let (beginning, again) = (beginning.as_ref().to_vec(), again.as_ref().to_vec());
        // Long enough for a piece to be taken out of it anywhere.
        let again = again.repeat(PIECE_BYTES / again.len().max(1) + 1);
        Self { codings: String::new(), beginning, again }
    }

    /// The same for a while, packed.
    fn packed(self, ways: &[Way]) -> Self {
        let content = [self.beginning, self.again.repeat(64)].concat();
        Self { codings: content_encoding(ways), beginning: pack(ways, &content), again: Vec::new() }
    }

    fn whole(ways: &[Way], body: Vec<u8>) -> Self {
        Self { codings: content_encoding(ways), beginning: body, again: Vec::new() }
    }

    /// What comes at that turn.
    fn piece(&self, turn: usize) -> &[u8] {
        let start = turn * PIECE_BYTES;
        if start < self.beginning.len() {
            return &self.beginning[start..self.beginning.len().min(start + PIECE_BYTES)];
        }
        if turn == 0 || !self.again.is_empty() { &self.again } else { &[] }
    }

    fn codings(&self) -> Codings {
        Codings::of([self.codings.as_str()])
    }
}

/// What a hostile client sends, or a hostile server answers.
#[derive(Clone)]
struct Attack {
    request: Body,
    content_type: &'static str,
    response: Option<Body>,
}

fn attacks() -> Vec<Attack> {
    let long = "x".repeat(8 * 1024);
    let member = |name: &str| format!(r#""{name}":"{long}","#);
    let messages = Body::of("{", member("method"));
    let names = format!(r#"{{"jsonrpc":"2.0","id":"{long}","method":"tools/call","params":{{"name":"{long}"}}}},"#);
    let mut requests = vec![
        messages.clone(),
        Body::of(
            r#"{"id":1,"method":"tools/call","params":{"#,
            [member("name"), member("uri"), member("cursor")].concat(),
        ),
        Body::of(r#"{"id":1,"method":"ping","params":"#, r#"{"a":["#),
        Body::of(r#"{"id":1,"method":""#, &long),
        Body::of("[", names),
        Body::of("[", r#"{"id":1,"method":"ping"},"#),
        messages.clone().packed(&[Way::Gzip, Way::Brotli]),
        Body::whole(&[Way::Gzip, Way::Gzip], pack(&[Way::Gzip], &bomb(Way::Gzip, 8 << 20))),
    ];
    requests.extend(WAYS.map(|way| messages.clone().packed(&[way])));
    requests.extend(WAYS.map(|way| Body::whole(&[way], bomb(way, 16 << 20))));
    let ready = "{\"id\":1,\"result\":0},";
    let errors = format!(r#"{{"id":1,"error":{{"code":1,"message":"{long}"}}}},"#);
    let failed = format!(r#"{{"id":1,"result":{{"isError":true,"content":[{{"type":"text","text":"{long}"}}]}}}},"#);
    let item = format!(r#"{{"type":"text","text":"{long}","type":"image","text":"\u00e4"}},"#);
    let windows = |content: &[u8]| {
        [
            Body::whole(&[Way::Zstd], zstd_with_window(23, content)),
            Body::whole(&[Way::Brotli], brotli_with_window(24, content)),
        ]
    };
    let content = Body::of("data: [", ready).packed(&[]).beginning;
    let mut responses = vec![
        (PING, EVENTS, Body::of("data: [", ready)),
        (PING, EVENTS, Body::of("data: [", &errors)),
        (CALL, EVENTS, Body::of("data: [", &failed)),
        (CALL, JSON, Body::of("[", &failed)),
        (CALL, JSON, Body::of(r#"{"id":1,"result":{"isError":true,"content":["#, &item)),
        (CALL, EVENTS, Body::of(r#"data: {"id":1,"result":{"isError":true,"content":[{"type":"text","text":""#, &long)),
        (PING, EVENTS, Body::of("data: [\n", format!("data: {ready}\n"))),
        (PING, EVENTS, Body::of("", format!("event: {long}\nid: {long}\n"))),
        (PING, EVENTS, Body::of("data: {", member("id"))),
        (LIST, EVENTS, Body::of(r#"data: {"id":1,"result":{"tools":[""#, &long)),
        (LIST, JSON, Body::of(r#"{"id":1,"result":{"tools":[""#, &long)),
        (LIST, JSON, Body::of("[", &errors)),
        (
            LIST,
            EVENTS,
            Body::of(format!("data: {{\"id\":1,\"result\":{{\"tools\":[\"{}\"]}}}}\n\n", long.repeat(200)), "\n"),
        ),
    ];
    for way in WAYS {
        responses.push((PING, EVENTS, Body::of("data: [", ready).packed(&[way])));
        responses.push((LIST, JSON, Body::of(r#"{"id":1,"result":{"tools":[""#, &long).packed(&[way])));
        responses.push((PING, JSON, Body::whole(&[way], bomb(way, 16 << 20))));
    }
    responses.extend(windows(&content).map(|body| (PING, EVENTS, body)));
    let requests = requests.into_iter().map(|request| Attack { request, content_type: JSON, response: None });
    let responses = responses.into_iter().map(|(request, content_type, response)| Attack {
        request: Body::whole(&[], request.into()),
        content_type,
        response: Some(response),
    });
    requests.chain(responses).collect()
}

/// An exchange on its way, and the attack that it is.
struct Hostile<'a> {
    attack: &'a Attack,
    exchange: Exchange,
    request: Option<RequestReader>,
    response: Option<ResponseReader>,
}

fn head(path: &str) -> RequestHead<'_> {
    let session = Some("0197a1c0-7b1e-7cc3-98c4-dc0c0c07398f");
    RequestHead {
        verb: Verb::Post,
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

fn response_head(content_type: &str, codings: Codings) -> ResponseHead<'_> {
    ResponseHead { status: 200, session: None, content_type: Some(content_type), codings, cause: None }
}

impl<'a> Hostile<'a> {
    fn begin(observer: &Arc<Observer>, attack: &'a Attack) -> Self {
        let exchange = Exchange::begin(observer, observer.arrival(None, 1), &head("/mcp"), Duration::from_secs(60));
        let request = Some(RequestReader::new(attack.request.codings(), &exchange));
        Self { attack, exchange, request, response: None }
    }

    fn take_turn(&mut self, turn: usize) {
        let Self { attack, exchange, request, response } = self;
        let Some(body) = &attack.response else {
            request.iter_mut().for_each(|reader| reader.push(attack.request.piece(turn), exchange));
            return;
        };
        if let Some(mut reader) = request.take() {
            reader.push(attack.request.piece(0), exchange);
            reader.finish(true, exchange);
            let head = response_head(attack.content_type, body.codings());
            exchange.on_response_head(&head);
            *response = ResponseReader::new(&head, exchange);
        }
        response.iter_mut().for_each(|reader| reader.push(body.piece(turn), exchange));
    }

    fn end(self) {
        if let Some(reader) = self.request {
            reader.finish(true, &self.exchange);
        }
        self.exchange.end(End::Complete);
    }
}

/// What ordinary clients and servers do meanwhile, in whatever way they pack it.
fn ordinary_exchange(observer: &Arc<Observer>, content_type: &str, response: &[u8]) {
    let exchange = Exchange::begin(observer, observer.arrival(None, 2), &head("/other"), Duration::from_secs(60));
    let mut request = RequestReader::new(Codings::IDENTITY, &exchange);
    request.push(br#"{"jsonrpc":"2.0","id":"0197a1c0","method":"ordinary","params":{"name":"search"}}"#, &exchange);
    request.finish(true, &exchange);
    let head = response_head(content_type, Codings::IDENTITY);
    exchange.on_response_head(&head);
    let mut reader = ResponseReader::new(&head, &exchange).expect("a POST");
    response.chunks(700).for_each(|piece| reader.push(piece, &exchange));
    exchange.end(End::Complete);
}

/// Plays all of it, and says how much was held at once.
fn play(attacks: &[Attack], budget: &Budget, seen: &Arc<Seen>) -> u64 {
    let answer = format!(r#"{{"jsonrpc":"2.0","id":"0197a1c0","result":{{"content":"{}"}}}}"#, "y".repeat(100_000));
    let events = format!("event: message\nid: 1\ndata: {answer}\n\n");
    let memory = allocation_counter::measure(|| {
        let observer = Observer::within(
            budget.clone(),
            Surroundings {
                proxy: "tested".into(),
                sink: seen.clone(),
                schema: seen.clone(),
                counts: Arc::new(Counts::default()),
                clock: Arc::new(SystemClock),
                session_idle_ms: 0,
            },
        );
        let mut hostile: Vec<Hostile<'_>> =
            attacks.iter().cycle().take(EXCHANGES).map(|attack| Hostile::begin(&observer, attack)).collect();
        for turn in 0..TURNS {
            hostile.iter_mut().for_each(|exchange| exchange.take_turn(turn));
            ordinary_exchange(&observer, JSON, answer.as_bytes());
            ordinary_exchange(&observer, EVENTS, events.as_bytes());
        }
        hostile.into_iter().for_each(Hostile::end);
        seen.schemas.lock().drain(..).for_each(drop);
        observer.finish();
    });
    memory.bytes_max
}

#[test]
fn a_hundred_hostile_exchanges_hold_little_and_leave_room_for_the_others() {
    let attacks = attacks();
    assert!(attacks.len() < EXCHANGES / 2, "each attack comes twice at least");
    let (budget, seen) = (Budget::default(), Arc::<Seen>::default());
    let held = play(&attacks, &budget, &seen);
    assert!(held <= STATED_MAX, "{held} bytes");
    assert_eq!(budget.taken(), 0, "the budget is whole again");
    assert_eq!(seen.ordinary.load(Ordering::Relaxed), 2 * TURNS, "every ordinary call has its row, and was read");
    // What found no room, or was given up on, says so.
    let (unread, others) = (seen.unread.load(Ordering::Relaxed), seen.others.load(Ordering::Relaxed));
    assert!(unread > EXCHANGES / 4, "{unread} rows are noted, {others} are not");

    // The attacks are worth the name: with ten times the memory they would take more than they may.
    let generous = Budget::new(10 * BUDGET_BYTES);
    let held = play(&attacks, &generous, &Arc::default());
    assert!(held > TOGETHER_MAX, "{held} bytes");
}
