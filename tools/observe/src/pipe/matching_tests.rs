//! Which answer belongs to which call, in both directions.

use super::fixture::Piped;
use crate::calls::LATE_WAIT;
use crate::testing::Seen;
use mcplog::event::{Direction, Note, Notes, Outcome, Transport};
use std::time::Duration;

/// Direction, method and outcome of each row.
fn told(rows: &[Seen]) -> Vec<(Direction, &str, Outcome)> {
    rows.iter().map(|row| (row.direction.unwrap(), row.method.as_str(), row.outcome.unwrap())).collect()
}

fn ask(id: &str, method: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"}}"#)
}

fn result(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)
}

fn cancel(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#)
}

#[test]
fn a_row_says_what_passed() {
    let mut piped = Piped::shaken();
    piped.around.clock.advance(Duration::from_secs(1));
    let call = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search","arguments":{}}}"#;
    piped.client(call);
    piped.around.clock.advance(Duration::from_micros(1500));
    let answer = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"no"}],"isError":true}}"#;
    piped.server(answer);
    let row = piped.rows().pop().unwrap();
    assert_eq!(
        (row.method.as_str(), row.tool.as_deref(), row.rpc_id.as_deref()),
        ("tools/call", Some("search"), Some("7"))
    );
    assert_eq!((row.transport, row.direction), (Some(Transport::Stdio), Some(Direction::Client)));
    assert_eq!((row.http_status, row.endpoint.as_deref()), (None, None));
    assert_eq!((row.latency_us, row.protocol_version.as_deref()), (1500, Some("2025-06-18")));
    assert_eq!((row.outcome, row.message.as_deref()), (Some(Outcome::ToolError), Some("no")));
    assert_eq!((row.bytes_in, row.bytes_out), (Some(call.len() as i64), Some(answer.len() as i64)));
    assert_eq!(row.session.as_deref(), Some(piped.pipe.session_id()));
    assert_eq!(row.notes, Notes::NONE);
}

#[test]
fn ids_of_the_two_directions_have_nothing_to_do_with_each_other() {
    let mut piped = Piped::new();
    piped.client(ask("1", "tools/call"));
    piped.server(ask("1", "sampling/createMessage"));
    // The server waits for the client, which waits for its user.
    piped.client(result("1"));
    assert_eq!(told(&piped.rows()), [(Direction::Server, "sampling/createMessage", Outcome::Ok)]);
    piped.client(cancel("1"));
    piped.server(result("1"));
    assert_eq!(told(&piped.rows())[1..], [(Direction::Client, "tools/call", Outcome::Cancelled)]);
}

#[test]
fn what_a_server_asks_for_is_a_row_of_its_own() {
    for (method, params, target) in [
        ("sampling/createMessage", r#"{"messages":[]}"#, None::<&str>),
        ("elicitation/create", r#"{"message":"which one?"}"#, None),
        ("roots/list", "{}", None),
        ("ping", "{}", None),
    ] {
        let mut piped = Piped::shaken();
        let asked = format!(r#"{{"jsonrpc":"2.0","id":"a","method":"{method}","params":{params}}}"#);
        piped.server(&asked);
        piped.around.clock.advance(Duration::from_millis(3));
        let answer = r#"{"jsonrpc":"2.0","id":"a","error":{"code":-1,"message":"User rejected"}}"#;
        piped.client(answer);
        let row = piped.rows().pop().unwrap();
        assert_eq!(
            (row.direction, row.method.as_str(), row.tool.as_deref()),
            (Some(Direction::Server), method, target)
        );
        assert_eq!((row.code.as_deref(), row.message.as_deref()), (Some("-1"), Some("User rejected")));
        assert_eq!((row.latency_us, row.session.as_deref()), (3000, Some(piped.pipe.session_id())));
        assert_eq!((row.bytes_in, row.bytes_out), (Some(asked.len() as i64), Some(answer.len() as i64)));
        assert_eq!(row.protocol_version.as_deref(), Some("2025-06-18"));
    }
}

#[test]
fn an_answer_finds_the_same_number_in_another_form() {
    for (asked, answered, is_lenient) in [
        ("1", "1", false),
        ("1", r#""1""#, true),
        (r#""1""#, "1", true),
        ("1", "1.0", true),
        (r#""a""#, r#""a""#, false),
    ] {
        let mut piped = Piped::new();
        piped.client(ask(asked, "ping"));
        piped.server(result(answered));
        assert_eq!(piped.row().notes.has(Note::LenientId), is_lenient, "{asked} {answered}");
    }
    let mut piped = Piped::new();
    piped.client(ask("1", "ping"));
    piped.client(ask(r#""1""#, "tools/list"));
    piped.server(result(r#""1""#));
    assert_eq!(piped.row().method, "tools/list", "the very id goes first");
}

/// No client takes an error without an id for an answer: it goes on waiting.
#[test]
fn an_error_that_names_no_request_is_nobody_s() {
    let mut piped = Piped::new();
    piped.client(ask("1", "ping"));
    for id in ["null", r#""server-error""#, "2"] {
        piped.server(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32700,"message":"Parse error"}}}}"#));
    }
    assert!(piped.rows().is_empty());
    piped.server(result("1"));
    assert_eq!(piped.row().outcome, Some(Outcome::Ok));
}

#[test]
fn a_call_that_was_taken_back_says_whether_its_answer_came_late() {
    let mut piped = Piped::new();
    piped.client(ask("1", "tools/call"));
    piped.client(cancel("1"));
    assert!(piped.rows().is_empty() && piped.around.observer.open_calls() == 0);
    piped.server(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32800,"message":"cancelled"}}"#);
    let row = piped.row();
    assert_eq!((row.outcome, row.notes), (Some(Outcome::Cancelled), Notes::NONE.with(Note::LateAnswer)));
    assert_eq!(row.cause.as_deref(), Some("late error -32800: cancelled"));

    let mut piped = Piped::new();
    piped.client(ask("1", "tools/call"));
    piped.client(cancel("1"));
    piped.around.wait(LATE_WAIT);
    assert_eq!((piped.row().outcome, piped.row().notes), (Some(Outcome::Cancelled), Notes::NONE));
    piped.server(result("1"));
    assert_eq!(piped.rows().len(), 1);

    let mut piped = Piped::new();
    piped.server(ask("1", "elicitation/create"));
    piped.server(cancel("1"));
    piped.around.wait(LATE_WAIT);
    assert_eq!(told(&piped.rows()), [(Direction::Server, "elicitation/create", Outcome::Cancelled)]);
}

#[test]
fn nobody_takes_back_what_the_other_side_asked_for() {
    let mut piped = Piped::new();
    piped.client(ask("1", "tools/call"));
    piped.server(ask("2", "ping"));
    piped.server(cancel("1"));
    piped.client(cancel("2"));
    assert_eq!((piped.around.observer.open_calls(), piped.rows().len()), (1, 0));
    piped.server(result("1"));
    piped.client(result("2"));
    assert_eq!(piped.rows().len(), 2);
}

#[test]
fn a_subscription_is_ended_by_either_side() {
    for (side_is_client, line) in [(true, cancel("1")), (false, cancel("1")), (false, result("1"))] {
        let mut piped = Piped::new();
        piped.client(ask("1", "subscriptions/listen"));
        if side_is_client {
            piped.client(&line)
        } else {
            piped.server(&line)
        }
        piped.around.wait(LATE_WAIT);
        assert_eq!(told(&piped.rows()), [(Direction::Client, "subscriptions/listen", Outcome::Ended)], "{line}");
    }
}

/// Nothing but the other side ends a call here: there is no time limit.
#[test]
fn a_call_waits_as_long_as_its_server_lives() {
    let mut piped = Piped::new();
    piped.client(ask("1", "tools/call"));
    piped.around.wait(Duration::from_secs(24 * 3600));
    assert!(piped.rows().is_empty());
    piped.server(result("1"));
    assert_eq!((piped.row().outcome, piped.row().latency_us), (Some(Outcome::Ok), 24 * 3600 * 1_000_000));
}

#[test]
fn an_id_that_is_used_again_is_a_call_of_its_own() {
    let mut piped = Piped::new();
    for method in ["first", "second", "third"] {
        piped.client(ask("1", method));
    }
    for _ in 0..4 {
        piped.server(result("1"));
    }
    let rows = piped.rows();
    let mut methods: Vec<_> = rows.iter().map(|row| row.method.as_str()).collect();
    methods.sort_unstable();
    assert_eq!(methods, ["first", "second", "third"]);
}

/// As with HTTP: a probe, a call that asks its user for more, a task.
#[test]
fn calls_count_as_what_they_do_elsewhere() {
    let answered = |method: &str, answer: &str| {
        let mut piped = Piped::new();
        piped.client(ask("1", method));
        piped.server(format!(r#"{{"jsonrpc":"2.0","id":1,{answer}}}"#));
        piped.row().outcome.unwrap()
    };
    let refused = r#""error":{"code":-32601,"message":"Method not found"}"#;
    assert_eq!(answered("server/discover", refused), Outcome::Probe);
    assert_eq!(answered("tools/list", refused), Outcome::Error);
    assert_eq!(answered("tools/call", r#""result":{"resultType":"input_required"}"#), Outcome::InputRequired);
    assert_eq!(answered("tools/call", r#""result":{"task":{"taskId":"t"}}"#), Outcome::Ok);
    assert_eq!(answered("tasks/result", r#""result":{"isError":true}"#), Outcome::ToolError);
}
