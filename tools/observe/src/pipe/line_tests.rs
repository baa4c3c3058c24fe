//! What is a line, what is a message, and what is noise; and what they hold in memory.

use super::fixture::Piped;
use super::{Pipe, Side};
use crate::Budget;
use crate::testing::Surrounded;
use mcplog::event::{Direction, Note, Notes, Outcome};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const PONG: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;

/// How many lines of noise a line is on the server's standard output, when a call with the id 1 is open; and whether it
/// is that call's answer.
fn judged(line: &[u8]) -> (u64, bool) {
    let mut piped = Piped::new();
    piped.client(PING);
    piped.server(line);
    let seen = (piped.noise().0, !piped.rows().is_empty());
    // Whatever it was, it spoils nothing.
    piped.client(r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#);
    piped.server(r#"{"jsonrpc":"2.0","id":2,"result":{}}"#);
    assert!(piped.rows().iter().any(|row| row.rpc_id.as_deref() == Some("2")), "{}", line.escape_ascii());
    seen
}

#[test]
fn only_what_is_a_message_is_one_and_everything_else_that_is_there_is_noise() {
    let (answer, message, noise, nothing) = ((0, true), (0, false), (1, false), (0, false));
    let table: [(&[u8], (u64, bool)); 41] = [
        // Messages.
        (PONG.as_bytes(), answer),
        (b"  {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\t\r", answer),
        (b"\xEF\xBB\xBF{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", answer),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"text\":\"\xFF\xFE\"}}", answer),
        (br#"{"id":1,"result":{}}"#, answer),
        (br#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}"#, answer),
        (br#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#, answer),
        (br#"[1,"x",null,{"level":"info"},{"jsonrpc":"2.0","id":1,"result":{}}]"#, answer),
        (br#"{"jsonrpc":"2.0","id":8,"result":{}}"#, message),
        (br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}"#, message),
        (br#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#, message),
        (br#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#, message),
        (br#"[{"jsonrpc":"2.0","method":"notifications/progress"}]"#, message),
        // Nothing.
        (b"", nothing),
        (b"\r", nothing),
        (b" \t \r", nothing),
        // No JSON.
        (b"Server listening on stdio", noise),
        (b"[info] starting", noise),
        (b"[2026-01-01] {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", noise),
        (b"{level: info}", noise),
        (b"{", noise),
        (b"{\"", noise),
        (b"\"", noise),
        (b"]", noise),
        (b"\xFF\xFE\x00", noise),
        (b"\x1b[32mready\x1b[0m", noise),
        // A message, and more.
        (br#"{"jsonrpc":"2.0","id":1,"result":{}} x"#, noise),
        (br#"{"jsonrpc":"2.0","id":1,"result":{}}{"jsonrpc":"2.0","id":1,"result":{}}"#, noise),
        (br#"{"jsonrpc":"2.0","id":1,"result":{}},"#, noise),
        (br#"[{"jsonrpc":"2.0","id":1,"result":{}}] x"#, noise),
        (br#"[{"jsonrpc":"2.0","id":1,"result":{}}"#, noise),
        (br#"x{"jsonrpc":"2.0","id":1,"result":{}}"#, noise),
        // A part of one.
        (br#"{"jsonrpc":"2.0","id":1,"result":{"#, noise),
        (br#"{"jsonrpc":"2.0","id":1,"result":{"a":"b"#, noise),
        // JSON, and no JSON-RPC.
        (b"1", noise),
        (b"\"text\"", noise),
        (b"[]", noise),
        (br#"{"level":"info","msg":"ready"}"#, noise),
        (br#"{"id":1,"method":"GET","path":"/"}"#, noise),
        (br#"{"method":"GET","path":"/"}"#, noise),
        (br#"{"id":8,"result":"done"}"#, noise),
    ];
    for (line, expected) in table {
        assert_eq!(judged(line), expected, "{}", line.escape_ascii());
    }
}

#[test]
fn noise_is_counted_without_its_line_feeds_and_nobody_s_but_the_server_s() {
    let mut piped = Piped::new();
    piped.client("no message at all");
    assert_eq!(piped.noise(), (0, 0));
    piped.server("four\r");
    piped.server("");
    piped.server("{}");
    assert_eq!(piped.noise(), (2, 7));
}

#[test]
fn a_last_line_needs_no_line_feed() {
    let mut piped = Piped::new();
    piped.pass(Side::Client, PING.as_bytes());
    assert_eq!(piped.around.observer.open_calls(), 0, "it may go on");
    piped.finish(Side::Client);
    assert_eq!(piped.around.observer.open_calls(), 1);
    piped.pass(Side::Server, PONG.as_bytes());
    piped.finish(Side::Server);
    assert_eq!(piped.row().outcome, Some(Outcome::Ok));
    assert_eq!(piped.noise(), (0, 0));

    let mut piped = Piped::new();
    piped.pass(Side::Server, b"Segmentation fault");
    piped.finish(Side::Server);
    assert_eq!(piped.noise(), (1, 18));
}

/// Who is killed in the middle of a message did not print noise; and a request that is known to be one is a call.
#[test]
fn a_message_that_breaks_off_is_no_noise_and_a_request_that_does_is_a_call() {
    for (side, failure) in [(Side::Client, "client_gone"), (Side::Server, "server_exited")] {
        let mut piped = Piped::new();
        piped.pass(side, br#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"#);
        piped.finish(side);
        assert_eq!((piped.noise(), piped.row().code.as_deref()), ((0, 0), Some(failure)));
    }
    for (line, noise) in [
        (r#"{"jsonrpc":"2.0","id":1,"resu"#, (1, 29)),
        (r#"{"jsonrpc":"2.0","id":1,"result":{"#, (0, 0)),
        (r#"{"jsonrpc":"2.0","method":"notifications/progress","params""#, (0, 0)),
        (r#"{"id":1,"method":"GET","path":"#, (1, 30)),
        (r#"{"level":"info""#, (1, 15)),
    ] {
        let mut piped = Piped::new();
        piped.pass(Side::Server, line.as_bytes());
        piped.finish(Side::Server);
        assert_eq!((piped.noise(), piped.rows().len()), (noise, 0), "{line}");
    }
}

#[test]
fn sizes_are_those_of_the_messages() {
    let mut piped = Piped::new();
    piped.client(format!("  {PING} \r"));
    piped.server(format!("{PONG}  "));
    let (ping, pong) = (PING.len() as i64, PONG.len() as i64);
    assert_eq!((piped.row().bytes_in, piped.row().bytes_out), (Some(ping), Some(pong)));
}

#[test]
fn each_request_of_a_batch_is_a_call_however_many_there_are() {
    const REQUESTS: usize = 1000;
    let mut piped = Piped::new();
    let batch = |member: &str| {
        let messages: Vec<_> = (0..REQUESTS).map(|id| format!(r#"{{"jsonrpc":"2.0","id":{id},{member}}}"#)).collect();
        format!("[{}]", messages.join(","))
    };
    piped.client(batch(r#""method":"ping""#));
    assert_eq!(piped.around.observer.open_calls(), REQUESTS as u64);
    piped.server(batch(r#""result":{}"#));
    assert_eq!(piped.rows().len(), REQUESTS);
    assert!(piped.rows().iter().all(|row| row.outcome == Some(Outcome::Ok)));
    assert_eq!(piped.noise(), (0, 0));
}

/// A line of 64 MiB, in pieces, in either direction: it is read in little memory, and so is one that is none.
#[test]
fn a_line_of_any_length_is_read_in_bounded_memory() {
    const MIB: usize = 1 << 20;
    let piece = vec![b'x'; MIB];
    let budget = Budget::default();
    let mut piped = Piped::within(budget.clone());
    let mut pass = |side: Side, head: &str, tail: &str| {
        piped.pass(side, head.as_bytes());
        for _ in 0..64 {
            piped.pass(side, &piece);
            assert!(budget.taken() < MIB, "{} bytes are taken", budget.taken());
        }
        piped.pass(side, tail.as_bytes());
        piped.pass(side, b"\n");
    };
    let head = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"write","arguments":{"text":""#;
    pass(Side::Client, head, r#""}}}"#);
    pass(Side::Server, "", "");
    pass(Side::Server, r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":""#, r#""}]}}"#);
    let row = piped.row();
    assert_eq!((row.tool.as_deref(), row.outcome), (Some("write"), Some(Outcome::Ok)));
    assert!(row.bytes_in > Some(64 << 20) && row.bytes_out > Some(64 << 20));
    assert_eq!(piped.noise(), (1, 64 << 20));
}

/// What finds no room passes unread. The row says so, and the next line is read.
#[test]
fn a_message_that_finds_no_room_is_noted_and_the_next_one_is_read() {
    let mut piped = Piped::within(Budget::new(0));
    let method = "m".repeat(8000);
    piped.client(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{method}"}}}}"#));
    piped.client(r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#);
    let long = "x".repeat(8000);
    piped.server(format!(r#"{{"jsonrpc":"2.0","id":2,"error":{{"code":1,"message":"{long}"}}}}"#));
    piped.server(PONG);
    let rows = piped.rows();
    let said: Vec<_> = rows.iter().map(|row| (row.method.as_str(), row.code.as_deref(), row.notes)).collect();
    let unread = Notes::NONE.with(Note::Unread);
    assert_eq!(said, [("ping", Some("unreadable_response"), unread), ("tools/call", None, unread)]);
    assert_eq!(piped.noise(), (0, 0));
}

#[test]
fn no_bytes_of_either_side_panic_and_both_sides_are_told_apart() {
    let around = Surrounded::new();
    let pipe = Pipe::begin(&around.observer);
    let [mut client, mut server] = [Side::Client, Side::Server].map(|side| pipe.reader(side));
    for byte in 0..=u8::MAX {
        client.push(&[byte, b'\n', b'{', byte]);
        server.push(&[b'{', b'"', byte, b'"', b'\n']);
    }
    for reader in [&mut client, &mut server] {
        reader.push(b"\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n");
    }
    pipe.on_server_gone("exit code 1");
    let mut directions: Vec<_> = around.seen().iter().map(|row| row.direction).collect();
    directions.sort();
    assert_eq!(directions, [Some(Direction::Client), Some(Direction::Server)]);
}
