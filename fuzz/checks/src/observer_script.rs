//! What happens to an observer, read from fuzz input: exchanges with any heads and bodies, in any order, ended in any way.
//!
//! The script is made before it is played, so that what it takes in memory is not counted as the observer's.

use crate::input::Input;
use mcplog_observe::{End, Verb};
use mcplog_packing::{Way, pack};

/// How many exchanges a script has at most.
pub(crate) const EXCHANGES_MAX: usize = 3;
/// How many bytes all bodies of a script have together, unpacked; a piece counts as so many at least.
/// Enough for what has no limit to be more than an exchange may hold.
const BODY_BYTES_MAX: usize = 40 * 1024 * 1024;
const PIECE_BYTES_MIN: usize = 256;

/// Why an upstream broke off: longer than a row takes.
const CAUSE: &str = match str::from_utf8(&[b'c'; 1000]) {
    Ok(cause) => cause,
    Err(_) => panic!(),
};

/// A head of either direction, and nothing about it that the observer would not be told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) verb: Verb,
    pub(crate) status: u16,
    pub(crate) session: Option<&'static str>,
    pub(crate) path: &'static str,
    pub(crate) query: Option<&'static str>,
    /// The event behind which a stream is resumed.
    pub(crate) last_event_id: Option<&'static str>,
    pub(crate) version: Option<&'static str>,
    pub(crate) method: Option<&'static str>,
    pub(crate) content_type: Option<&'static str>,
    /// How the body is packed: one way on top of the other. `None` in a way that nobody knows.
    pub(crate) ways: Option<&'static [Way]>,
}

/// One of the two bodies of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Response,
}

/// One thing that happens; the number is the exchange's.
#[derive(Debug)]
pub(crate) enum Step {
    Begin(usize, Head),
    ResponseHead(usize, Head),
    /// These bytes, so many times, in pieces of that size.
    Bytes {
        exchange: usize,
        side: Side,
        bytes: Vec<u8>,
        times: usize,
        piece_bytes: usize,
    },
    RequestOver(usize, bool),
    End(usize, End<'static>),
    Forget(usize),
    Pass {
        seconds: u64,
    },
    Drain,
    Stop,
}

/// Pieces of what bodies are made of, so that input of a few bytes says much.
const PHRASES: [&str; 39] = [
    "[",
    "]",
    ",",
    "{",
    "}",
    "}}",
    "\"",
    "\n\n",
    "\ndata: ",
    "data: ",
    "event: message\n",
    "event: endpoint\n",
    "id: 1\n",
    "retry: 100\n",
    "/messages?sessionId=s1",
    r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
    r#"{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{"cursor":"c"}}"#,
    r#"{"id":3,"method":"initialize","params":{"protocolVersion":"v","clientInfo":{"name":"c","version":"1"}}}"#,
    r#"{"id":4,"method":"tools/call","params":{"name":"t","_meta":{"io.modelcontextprotocol/protocolVersion":"v"}}}"#,
    r#"{"id":5,"method":"subscriptions/listen"}"#,
    r#"{"method":"notifications/cancelled","params":{"requestId":1}}"#,
    r#"{"id":1,"result":{"resultType":"input_required"}}"#,
    r#"{"id":2,"result":{"tools":[{"name":"a"}],"nextCursor":"c"}}"#,
    r#"{"id":3,"result":{"protocolVersion":"v","serverInfo":{"name":"s"}}}"#,
    r#"{"id":4,"result":{"isError":true}}"#,
    r#"{"id":1,"error":{"code":-1,"message":"m"}}"#,
    r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}"#,
    r#"{"id":1,"result":0},"#,
    r#""method":""#,
    r#""id":""#,
    r#""params":{"name":""#,
    r#""result":{"tools":[{"name":""#,
    r#""error":{"message":""#,
    "\",",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "\\u00e4\\n",
    r#"{"id":4,"result":{"content":[{"type":"text","text":"no such file"}],"isError":true}}"#,
    r#""result":{"isError":true,"content":["#,
    r#"{"type":"text","text":""#,
];

/// Reads a script. Every input is one.
pub(crate) fn read(input: &[u8]) -> Vec<Step> {
    let mut input = Input::new(input);
    let mut steps = Vec::new();
    let mut packed: [[Option<&'static [Way]>; 2]; EXCHANGES_MAX] = Default::default();
    let (mut begun, mut room) = (0, BODY_BYTES_MAX);
    while !input.is_empty() {
        let choice = input.u8();
        let exchange = usize::from(choice >> 4) % EXCHANGES_MAX;
        steps.push(match choice % 10 {
            0 if begun < EXCHANGES_MAX => {
                let head = head(&mut input);
                packed[begun][0] = head.ways;
                begun += 1;
                Step::Begin(begun - 1, head)
            }
            1 => {
                let head = head(&mut input);
                packed[exchange][1] = head.ways;
                Step::ResponseHead(exchange, head)
            }
            2 => Step::RequestOver(exchange, input.u8() & 1 == 0),
            3 => Step::End(exchange, end(input.u8())),
            4 => Step::Forget(exchange),
            5 => Step::Pass { seconds: u64::from(input.u8()) },
            6 if input.u8() < 32 => Step::Drain,
            7 if input.u8() < 32 => Step::Stop,
            _ => {
                let side = if choice & 8 == 0 { Side::Request } else { Side::Response };
                bytes(&mut input, exchange, side, packed[exchange][side as usize], &mut room)
            }
        });
    }
    steps
}

fn head(input: &mut Input<'_>) -> Head {
    let (first, second, third) = (input.u8(), input.u8(), input.u8());
    let one_of = |choices: [Option<&'static str>; 4], bits: u8| choices[usize::from(bits & 3)];
    Head {
        verb: [Verb::Post, Verb::Post, Verb::Delete, Verb::Other][usize::from(first & 3)],
        status: [200, 202, 404, 307][usize::from(first >> 2 & 3)],
        session: one_of([None, Some("s1"), Some("s1"), Some("s2")], first >> 4),
        path: ["/mcp", "/", "/messages", ""][usize::from(third >> 6)],
        query: one_of([None, Some("sessionId=s1"), Some("session_id=s2"), Some("x")], first >> 6),
        last_event_id: one_of([None, Some("7"), Some("1"), Some("x")], second >> 6),
        version: one_of([None, None, Some("2025-06-18"), Some("2026-07-28")], second),
        method: one_of([None, None, Some("tools/call"), Some("notifications/x")], second >> 2),
        content_type: one_of(
            [Some("application/json"), Some("text/event-stream"), Some("Text/Event-Stream; charset=x"), None],
            second >> 4,
        ),
        ways: ways(usize::from(third)),
    }
}

fn ways(choice: usize) -> Option<&'static [Way]> {
    const NONE: &[Way] = &[];
    let families: [&[&[Way]]; 4] = [
        &[NONE],
        &[NONE],
        &[&[Way::Gzip], &[Way::Brotli], &[Way::Zstd], &[Way::Gzip, Way::Brotli]],
        &[&[Way::Zlib], &[Way::Bare], &[Way::Brotli], &[Way::Zstd, Way::Zlib, Way::Gzip]],
    ];
    families.get(choice % 5).map(|family| family[choice / 5 % family.len()])
}

fn end(choice: u8) -> End<'static> {
    const ENDS: [End<'static>; 8] = [
        End::Complete,
        End::Broken(CAUSE),
        End::Unreachable("refused"),
        End::Silent("waiting"),
        End::ClientGone,
        End::Loop("back"),
        End::ClientSilent,
        End::ProxyFailed("panic"),
    ];
    ENDS[usize::from(choice) % ENDS.len()]
}

/// The next bytes of a body: phrases or raw ones, perhaps many times, packed as the body is, or not.
fn bytes(input: &mut Input<'_>, exchange: usize, side: Side, ways: Option<&[Way]>, room: &mut usize) -> Step {
    let (how, piece_bytes) = (input.u8(), usize::from(input.u16()) + 1);
    let raw = input.bytes();
    let mut bytes = if how & 1 == 0 {
        raw.iter().flat_map(|choice| PHRASES[usize::from(*choice) % PHRASES.len()].bytes()).collect()
    } else {
        raw.to_vec()
    };
    let mut times = if how & 2 == 0 { 1 } else { usize::from(input.u16()) + 1 };
    if let Some(ways) = ways.filter(|ways| how & 4 == 0 && !ways.is_empty()) {
        // Packed in one piece, as a bomb is; it costs what it unpacks to.
        let content = bytes.repeat(times.min(*room / bytes.len().max(1)));
        *room -= content.len();
        bytes = pack(ways, &content);
        times = 1;
    }
    let cost = bytes.len() + bytes.len().div_ceil(piece_bytes) * PIECE_BYTES_MIN;
    times = times.min(*room / cost.max(1));
    *room -= times * cost;
    Step::Bytes { exchange, side, bytes, times, piece_bytes }
}
