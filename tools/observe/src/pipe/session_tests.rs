//! A process is one session, whoever says so, and however often.

use super::Side;
use super::fixture::{INITIALIZE, INITIALIZED, Piped};
use super::session::{NOISE_INTERVAL, PREFIX};
use crate::calls::{ASKED_OF_ONE_MAX, Failure, INDEX_BYTES_MAX, LATE_WAIT};
use crate::testing::SeenSession;
use std::slice;
use std::time::Duration;

const REFUSED: &str = r#"{"jsonrpc":"2.0","id":0,"error":{"code":-32601,"message":"Method not found"}}"#;

/// A request of the sessionless era.
fn named(id: &str, method: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{{"name":"cursor","version":"3"}}}}}}}}"#
    )
}

fn ask(id: &str, method: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"}}"#)
}

fn result(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)
}

fn session(piped: &Piped, client: Option<&str>, protocol_version: Option<&str>) -> SeenSession {
    SeenSession {
        id: piped.pipe.session_id().to_owned(),
        client: client.map(str::to_owned),
        protocol_version: protocol_version.map(str::to_owned),
        derived: true,
        noise_lines: None,
    }
}

#[test]
fn a_handshake_that_succeeds_announces_the_process_and_every_row_names_it() {
    let mut piped = Piped::new();
    piped.client(INITIALIZE);
    assert!(piped.sessions().is_empty());
    piped.server(INITIALIZED);
    let expected = [session(&piped, Some("claude-code"), Some("2025-06-18"))];
    assert_eq!(piped.sessions(), expected);
    for id in ["1", "2"] {
        piped.client(ask(id, "tools/call"));
        piped.server(ask(id, "roots/list"));
        piped.server(result(id));
        piped.client(result(id));
    }
    piped.pipe.on_server_gone("exit code 0");
    assert_eq!(piped.sessions(), expected);
    let id = piped.pipe.session_id().to_owned();
    assert!(id.starts_with("stdio-"), "{id}");
    assert_eq!(piped.rows().len(), 5);
    assert!(piped.rows().iter().all(|row| row.session.as_deref() == Some(&*id)));
    assert_eq!(piped.around.closes(), [(id, 0)]);
}

#[test]
fn a_client_that_shakes_no_hands_says_who_it_is_in_each_request() {
    let mut piped = Piped::new();
    piped.client(named("1", "server/discover"));
    piped.client(named("2", "tools/list"));
    piped.server(result("1"));
    piped.server(result("2"));
    assert_eq!(piped.sessions(), [session(&piped, Some("cursor"), Some("2026-07-28"))]);
    assert!(piped.rows().iter().all(|row| row.protocol_version.as_deref() == Some("2026-07-28")));
}

/// A client that finds out the era announces itself when it has found it.
#[test]
fn what_a_refused_probe_asked_for_is_not_what_was_agreed_on() {
    let mut piped = Piped::new();
    piped.client(named("0", "server/discover"));
    piped.server(REFUSED);
    assert!(piped.sessions().is_empty());
    piped.client(INITIALIZE);
    piped.server(INITIALIZED);
    assert_eq!(piped.sessions(), [session(&piped, Some("claude-code"), Some("2025-06-18"))]);
}

#[test]
fn a_client_that_shakes_hands_again_stays_in_the_same_session() {
    let mut piped = Piped::shaken();
    piped.client(INITIALIZE.replace("claude-code", "another"));
    piped.server(INITIALIZED.replace("2025-06-18", "2025-11-25"));
    assert_eq!(piped.sessions(), [session(&piped, Some("claude-code"), Some("2025-06-18"))]);
    let ids: Vec<_> = piped.rows().into_iter().map(|row| row.session).collect();
    assert_eq!(ids, vec![Some(piped.pipe.session_id().to_owned()); 2]);
}

#[test]
fn a_process_of_which_there_is_something_to_say_is_announced_at_its_end_at_the_latest() {
    // Its server never answered.
    let mut piped = Piped::new();
    piped.client(INITIALIZE);
    piped.pipe.on_server_gone("exit code 1");
    assert_eq!(piped.sessions(), [session(&piped, Some("claude-code"), Some("2025-11-25"))]);
    // Its client never said who it is.
    let mut piped = Piped::new();
    piped.client(ask("1", "tools/list"));
    piped.server(result("1"));
    piped.pipe.on_server_gone("exit code 1");
    assert_eq!(piped.sessions(), [session(&piped, None, None)]);
    // What they agree on is known late.
    let mut piped = Piped::new();
    piped.client(INITIALIZE);
    piped.client(ask("1", "ping"));
    piped.server(result("1"));
    let nameless = session(&piped, None, None);
    assert_eq!(piped.sessions(), slice::from_ref(&nameless));
    piped.server(INITIALIZED);
    let named = session(&piped, Some("claude-code"), Some("2025-06-18"));
    assert_eq!(piped.sessions(), [nameless, named]);
    // It was no MCP server.
    let mut piped = Piped::new();
    piped.server("usage: server [OPTIONS]");
    piped.pipe.on_server_gone("exit code 2");
    assert_eq!(piped.sessions(), [SeenSession { noise_lines: Some(1), ..session(&piped, None, None) }]);
    // Nothing passed.
    let piped = Piped::new();
    piped.pipe.on_server_gone("exit code 127");
    assert_eq!((piped.sessions(), piped.around.closes()), (vec![], vec![]));
}

#[test]
fn the_end_of_the_process_is_said_once_and_again_for_rows_that_come_all_the_same() {
    let mut piped = Piped::shaken();
    piped.around.clock.advance(Duration::from_secs(5));
    piped.pipe.on_server_gone("exit code 0");
    piped.pipe.on_server_gone("exit code 0");
    piped.around.clock.advance(Duration::from_secs(1));
    piped.client(ask("1", "tools/call"));
    let id = piped.pipe.session_id().to_owned();
    assert_eq!(piped.around.closes(), [(id.clone(), 5000)]);
    assert_eq!(piped.let_go().closes(), [(id.clone(), 5000), (id, 6000)]);
}

/// How much noise was told with each announcement, after so many lines and seconds.
#[test]
fn noise_is_told_with_the_session_when_it_begins_when_it_has_doubled_and_at_the_end() {
    let mut piped = Piped::new();
    let told = |piped: &Piped| piped.sessions().iter().map(|session| session.noise_lines).collect::<Vec<_>>();
    let noise = |piped: &mut Piped, lines: usize| piped.pass(Side::Server, &b"listening\n".repeat(lines));
    noise(&mut piped, 2);
    assert_eq!(told(&piped), []);
    piped.client(INITIALIZE);
    piped.server(INITIALIZED);
    assert_eq!(told(&piped), [Some(2)]);
    noise(&mut piped, 20);
    assert_eq!(told(&piped), [Some(2)], "not before ten seconds passed");
    piped.around.clock.advance(Duration::from_secs(10));
    noise(&mut piped, 1);
    assert_eq!(told(&piped), [Some(2), Some(23)]);
    piped.around.clock.advance(Duration::from_secs(60));
    noise(&mut piped, 22);
    assert_eq!(told(&piped), [Some(2), Some(23)], "it has not doubled");
    noise(&mut piped, 1);
    assert_eq!(told(&piped), [Some(2), Some(23), Some(46)]);
    noise(&mut piped, 3);
    piped.pipe.on_server_gone("exit code 0");
    assert_eq!(told(&piped), [Some(2), Some(23), Some(46), Some(49)]);
    let mut last = piped.sessions();
    last.iter_mut().for_each(|session| session.noise_lines = None);
    last.dedup();
    assert_eq!(last, [session(&piped, Some("claude-code"), Some("2025-06-18"))], "the rest stays what it was");

    // The first line of all is told at once.
    let mut piped = Piped::shaken();
    noise(&mut piped, 1);
    assert_eq!(told(&piped), [None, Some(1)]);
    piped.pipe.on_server_gone("exit code 0");
    assert_eq!(told(&piped), [None, Some(1)]);
}

#[test]
fn the_page_on_stdio_tells_the_waits_and_limits_that_are_here() {
    let page = include_str!("../../../../docs/stdio.md").split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(NOISE_INTERVAL, Duration::from_secs(10), "in words");
    for words in [
        format!("waits {} s for the late answer", LATE_WAIT.as_secs()),
        format!("beyond {ASKED_OF_ONE_MAX} open requests"),
        format!("beyond {} MiB of open ones", INDEX_BYTES_MAX >> 20),
        format!("`{}`", Failure::ServerExited.code()),
        format!("(`{PREFIX}…`)"),
    ] {
        assert!(page.contains(&words), "{words}");
    }
}
