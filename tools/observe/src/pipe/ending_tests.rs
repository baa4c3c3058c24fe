//! The parties go in any order, or nobody says that they do: each call has one row, and it says why.

use super::fixture::Piped;
use super::{Pipe, Side};
use crate::calls::{ASKED_OF_ONE_MAX, INDEX_BYTES_MAX};
use crate::read::TOKEN_BYTES_MAX;
use crate::testing::{Seen, Surrounded, stories};
use mcplog::Status;
use mcplog::event::{Direction, NAME_BYTES_MAX, Outcome};
use std::sync::{Arc, mpsc};
use std::thread;

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}"#;
const LISTEN: &str = r#"{"jsonrpc":"2.0","id":2,"method":"subscriptions/listen"}"#;
const ASK: &str = r#"{"jsonrpc":"2.0","id":1,"method":"elicitation/create"}"#;
const CANCEL: &str = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
const CAUSE: &str = "exit code 1: Error: no such file";

/// Method, code and cause of each row, in some order that is always the same.
fn told(rows: &[Seen]) -> Vec<(&str, Option<&str>, Option<&str>)> {
    let mut told: Vec<_> =
        rows.iter().map(|row| (row.method.as_str(), row.code.as_deref(), row.cause.as_deref())).collect();
    told.sort_unstable();
    told
}

fn open() -> Piped {
    let mut piped = Piped::new();
    piped.client(CALL);
    piped.client(LISTEN);
    piped.server(ASK);
    piped
}

#[test]
fn a_server_that_is_gone_leaves_its_cause_to_all_open_calls() {
    let piped = open();
    piped.pipe.on_server_gone(CAUSE);
    let (code, cause) = (Some("server_exited"), Some(CAUSE));
    let expected =
        [("elicitation/create", code, cause), ("subscriptions/listen", code, cause), ("tools/call", code, cause)];
    assert_eq!(told(&piped.rows()), expected);
    assert!(piped.rows().iter().all(|row| (row.status, row.outcome) == (Status::Error, Some(Outcome::Error))));
    let message = piped.rows()[0].message.clone();
    assert_eq!(message.as_deref(), Some("the server's process ended before the answer"));
}

#[test]
fn a_client_that_is_gone_gives_up_what_is_open() {
    let piped = open();
    piped.pipe.on_client_gone();
    let (gone, ended) = (Some("client_gone"), Some("client_gone"));
    let expected =
        [("elicitation/create", gone, None), ("subscriptions/listen", None, ended), ("tools/call", gone, None)];
    assert_eq!(told(&piped.rows()), expected);
}

/// A shell that pipes requests into a server closes its end before the first answer comes.
#[test]
fn a_client_that_sends_no_more_may_still_read() {
    let mut piped = open();
    piped.finish(Side::Client);
    assert!(piped.rows().is_empty());
    piped.server(RESULT);
    assert_eq!((piped.row().method.as_str(), piped.row().outcome), ("tools/call", Some(Outcome::Ok)));
}

#[test]
fn a_long_cause_is_cut() {
    let piped = open();
    piped.pipe.on_server_gone(&"é\n".repeat(NAME_BYTES_MAX));
    let cause = piped.rows()[0].cause.clone().unwrap();
    assert!(cause.len() <= NAME_BYTES_MAX && cause.starts_with("é\n") && cause.ends_with('…'), "{cause}");
}

/// What can happen at the end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    ServerGone,
    ClientGone,
    ClientEnd,
    ServerEnd,
    Ask,
    Answer,
    Cancel,
    Stop,
    GiveUp,
}

/// In whatever order the parties and the observer end, and whatever still passes: each request is one row, and the
/// first reason counts. The session is closed once there is an end of the process, and never before.
#[test]
fn in_every_order_of_ends_each_call_has_one_row_and_the_session_one_end() {
    use Step::{Answer, Ask, Cancel, ClientEnd, ClientGone, GiveUp, ServerEnd, ServerGone, Stop};
    let alphabet = [ServerGone, ClientGone, ClientEnd, ServerEnd, Ask, Answer, Cancel, Stop, GiveUp];
    for story in stories(&alphabet, 4) {
        let mut piped = Piped::new();
        piped.client(CALL);
        let (mut asked, mut is_sending, mut is_stopping) = (1, true, false);
        let mut reason = None;
        for (at, step) in story.iter().enumerate() {
            match step {
                ServerGone => piped.pipe.on_server_gone(CAUSE),
                ClientGone => piped.pipe.on_client_gone(),
                ClientEnd => piped.finish(Side::Client),
                ServerEnd => piped.finish(Side::Server),
                Ask => piped.client(CALL),
                Answer => piped.server(RESULT),
                Cancel => piped.client(CANCEL),
                Stop => piped.around.observer.stop(),
                GiveUp => piped.around.observer.give_up_overdue(),
            }
            asked += usize::from(*step == Ask && is_sending);
            is_sending &= *step != ClientEnd;
            is_stopping |= *step == Stop;
            let said = match step {
                ServerGone | ClientGone if is_stopping => Some("proxy_shutdown"),
                ServerGone => Some("server_exited"),
                ClientGone => Some("client_gone"),
                _ => None,
            };
            reason = reason.or(said);
            assert!(reason.is_none() || piped.rows().len() == asked, "{story:?}");
            assert_eq!(!piped.around.closes().is_empty(), story[..=at].contains(&ServerGone), "{story:?}");
        }
        let last = reason.unwrap_or(if is_stopping { "proxy_shutdown" } else { "client_gone" });
        let rows = piped.dropped();
        assert_eq!(rows.len(), asked, "{story:?}");
        for row in rows {
            let code = row.code.as_deref();
            assert!([None, Some("cancelled"), Some(last)].contains(&code), "{story:?} {code:?}");
        }
    }
}

/// The thread that passes bytes on panics somewhere else.
#[test]
fn readers_that_are_dropped_in_the_middle_lose_no_call() {
    let mut piped = open();
    piped.pass(Side::Client, br#"{"jsonrpc":"2.0","id":3,"method":"ping","params":{"#);
    let rows = piped.dropped();
    let (gone, ended) = (Some("client_gone"), Some("client_gone"));
    let expected = [
        ("elicitation/create", gone, None),
        ("ping", gone, None),
        ("subscriptions/listen", None, ended),
        ("tools/call", gone, None),
    ];
    assert_eq!(told(&rows), expected);
}

#[test]
fn nothing_is_kept_alive() {
    let piped = open();
    let (pipe, observer) = (Arc::downgrade(&piped.pipe), Arc::downgrade(&piped.around.observer));
    assert_eq!(piped.dropped().len(), 3);
    assert!(pipe.upgrade().is_none() && observer.upgrade().is_none());
}

/// Two servers behind one observer have nothing to do with each other.
#[test]
fn the_end_of_one_server_is_nothing_to_another() {
    let around = Surrounded::new();
    let pipes = [0, 1].map(|_| Pipe::begin(&around.observer));
    let mut readers = pipes.each_ref().map(|pipe| [Side::Client, Side::Server].map(|side| pipe.reader(side)));
    readers.iter_mut().for_each(|[client, _]| client.push(format!("{CALL}\n").as_bytes()));
    pipes[0].on_server_gone(CAUSE);
    assert_eq!(around.seen().len(), 1);
    readers[1][1].push(format!("{RESULT}\n").as_bytes());
    let sessions: Vec<_> = around.seen().into_iter().map(|row| row.session.unwrap()).collect();
    assert_eq!(sessions, pipes.map(|pipe| pipe.session_id().to_owned()));
}

/// A server that asks without end has a row for each request, and is nothing to what the client asks. A client that is
/// never answered has rows up to a limit, and what passes beyond is counted.
#[test]
fn neither_side_fills_memory_with_what_is_never_answered() {
    const ASKED: usize = 1000;
    let mut piped = Piped::new();
    piped.client(CALL);
    let ask = |id: usize| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
    (0..ASKED).for_each(|id| piped.server(ask(id)));
    assert!(piped.rows().iter().all(|row| row.code.as_deref() == Some("displaced")));
    assert_eq!(piped.rows().len(), ASKED - ASKED_OF_ONE_MAX);
    piped.server(RESULT);
    assert_eq!(piped.rows().last().and_then(|row| row.outcome), Some(Outcome::Ok));
    piped.pipe.on_server_gone(CAUSE);
    assert_eq!(piped.rows().len(), ASKED + 1);

    let mut piped = Piped::new();
    let long = "x".repeat(TOKEN_BYTES_MAX - 2);
    let call =
        |id: usize| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{long}"}}}}"#);
    let requests = 2 * INDEX_BYTES_MAX / TOKEN_BYTES_MAX;
    (0..requests).for_each(|id| piped.client(call(id)));
    let recording = piped.around.observer.recording.clone();
    piped.pipe.on_server_gone(CAUSE);
    let unrecorded = usize::try_from(recording.counts.requests_unrecorded.get()).unwrap();
    assert_eq!(piped.rows().len() + unrecorded, requests);
    assert!((requests / 3..requests / 2 + 1).contains(&piped.rows().len()), "{unrecorded} of {requests}");
}

/// Both streams and the end of the process are on threads of their own.
#[test]
fn on_threads_of_their_own_the_streams_and_the_end_make_one_row_for_each_request() {
    const REQUESTS: usize = 300;
    for gone_after in [0, 1, REQUESTS / 2, REQUESTS] {
        let around = Surrounded::new();
        let pipe = Pipe::begin(&around.observer);
        let [mut client, mut server] = [Side::Client, Side::Server].map(|side| pipe.reader(side));
        let (asked, answered) = (mpsc::channel(), mpsc::channel());
        thread::scope(|scope| {
            let to_server = asked.0;
            scope.spawn(move || {
                for id in 0..REQUESTS {
                    client.push(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"ping\"}}\n").as_bytes());
                    let _ = to_server.send(id);
                }
            });
            let to_end = answered.0;
            scope.spawn(move || {
                for id in asked.1 {
                    server.push(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{}}}}\n").as_bytes());
                    server.push(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"roots/list\"}}\n").as_bytes());
                    let _ = to_end.send(());
                }
            });
            answered.1.iter().take(gone_after).for_each(drop);
            pipe.on_server_gone(CAUSE);
        });
        drop(pipe);
        let rows = around.into_seen();
        let of = |direction: Direction| rows.iter().filter(move |row| row.direction == Some(direction));
        assert_eq!((of(Direction::Client).count(), of(Direction::Server).count()), (REQUESTS, REQUESTS));
        let answered = of(Direction::Client).filter(|row| row.outcome == Some(Outcome::Ok)).count();
        assert!(answered >= gone_after, "{answered} of {gone_after}");
        let codes = ["server_exited", "displaced"];
        let has_failed = |row: &&Seen| row.code.as_deref().is_some_and(|code| codes.contains(&code));
        assert!(of(Direction::Server).all(|row| has_failed(&row)));
        assert!(of(Direction::Client).filter(|row| row.outcome != Some(Outcome::Ok)).all(|row| has_failed(&row)));
    }
}
