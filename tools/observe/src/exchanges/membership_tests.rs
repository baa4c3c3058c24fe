//! Which session a call belongs to, which answers begin one, and whose client it gets.

use super::{Exchange, RequestHead, RequestReader, ResponseHead, ResponseReader, Verb};
use crate::calls::End;
use crate::read::Codings;
use crate::testing::{SeenSession, Surrounded, request_head};
use std::time::Duration;

const INITIALIZED: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18"}}"#;
const REFUSED: &str = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"no"}}"#;
const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
const CANCEL: &str = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
const PONG: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;

/// A request and its answer, with what their heads say.
#[derive(Clone, Copy, Debug)]
struct Said<'a> {
    session: Option<&'a str>,
    body: &'a str,
    status: u16,
    new_session: Option<&'a str>,
    answer: &'a str,
}

const FINE: Said<'_> = Said { session: None, body: PING, status: 200, new_session: None, answer: PONG };

fn initialize(client: &str) -> String {
    let info = format!(r#"{{"name":"{client}","version":"1"}}"#);
    let params = format!(r#"{{"protocolVersion":"2025-11-25","clientInfo":{info}}}"#);
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{params}}}"#)
}

impl Surrounded {
    fn said(&self, said: Said<'_>) {
        let head = request_head(Verb::Post, "/mcp", said.session);
        let exchange = self.begin_said(&head, said.body);
        self.answer_said(&exchange, said);
    }

    /// An exchange whose request was read.
    fn begin_said(&self, head: &RequestHead<'_>, body: &str) -> Exchange {
        let exchange = Exchange::begin(&self.observer, self.observer.arrival(None, 1), head, Duration::from_secs(60));
        let mut reader = RequestReader::new(Codings::IDENTITY, &exchange);
        reader.push(body.as_bytes(), &exchange);
        reader.finish(true, &exchange);
        exchange
    }

    fn answer_said(&self, exchange: &Exchange, said: Said<'_>) {
        let head = ResponseHead {
            status: said.status,
            session: said.new_session,
            content_type: Some("application/json"),
            codings: Codings::IDENTITY,
            cause: None,
        };
        exchange.on_response_head(&head);
        if let Some(mut reader) = ResponseReader::new(&head, exchange) {
            reader.push(said.answer.as_bytes(), exchange);
        }
        exchange.end(End::Complete);
    }

    /// Which session each call belongs to, in order.
    fn belong_to(&self) -> Vec<Option<String>> {
        self.seen().into_iter().map(|seen| seen.session).collect()
    }
}

fn session(id: &str, client: &str) -> SeenSession {
    let (id, client) = (id.to_owned(), Some(client.to_owned()));
    SeenSession { id, client, protocol_version: Some("2025-06-18".to_owned()), derived: false, noise_lines: None }
}

#[test]
fn an_id_on_an_answer_begins_a_session_only_if_that_is_of_a_handshake_that_succeeded() {
    let hello = initialize("c");
    let answers = [(200, INITIALIZED, true), (200, REFUSED, false), (400, REFUSED, false), (500, "", false)];
    for (body, is_handshake) in [(hello.as_str(), true), (PING, false)] {
        for (status, answer, succeeds) in answers {
            for (named, dead) in [(None, None), (Some("dead"), Some("dead".to_owned()))] {
                let surrounded = Surrounded::new();
                surrounded.said(Said { session: named, body, status, new_session: Some("new"), answer });
                let begins = is_handshake && succeeds;
                let expected = if begins { vec![session("new", "c")] } else { vec![] };
                assert_eq!(surrounded.sessions(), expected, "{body} {status} {answer} {named:?}");
                let belongs_to = if begins { Some("new".to_owned()) } else { dead };
                assert_eq!(surrounded.belong_to(), [belongs_to], "{body} {status} {answer} {named:?}");
            }
        }
    }
}

#[test]
fn a_handshake_in_a_dead_session_gives_its_client_to_the_new_one() {
    let surrounded = Surrounded::new();
    let (first, second) = (initialize("old"), initialize("new"));
    let begun = |body, session, new_session| Said {
        session,
        body,
        new_session: Some(new_session),
        answer: INITIALIZED,
        ..FINE
    };
    surrounded.said(begun(&first, None, "dead"));
    surrounded.said(Said { session: Some("dead"), status: 404, answer: "", ..FINE });
    surrounded.said(begun(&second, Some("dead"), "alive"));
    surrounded.said(Said { session: Some("alive"), ..FINE });
    assert_eq!(surrounded.sessions(), [session("dead", "old"), session("alive", "new")]);
    let belong_to = surrounded.belong_to();
    let belong_to: Vec<_> = belong_to.iter().map(Option::as_deref).collect();
    assert_eq!(belong_to, [Some("dead"), Some("dead"), Some("alive"), Some("alive")]);
    // The dead one was not taken for alive by the answer that named another.
    surrounded.said(Said { session: Some("dead"), status: 404, answer: "", body: NOTE, ..FINE });
    assert_eq!(surrounded.closes().len(), 1);
}

#[test]
fn a_handshake_that_is_repeated_within_its_session_stays_there() {
    let surrounded = Surrounded::new();
    let hello = initialize("c");
    for new_session in [None, Some("s")] {
        surrounded.said(Said { session: Some("s"), body: &hello, new_session, answer: INITIALIZED, ..FINE });
    }
    assert_eq!(surrounded.belong_to(), [Some("s".to_owned()), Some("s".to_owned())]);
}

/// A message with what a client of 2026-07-28 says of itself in each.
fn modern(message: &str, client: &str) -> String {
    let (name, version) = ("io.modelcontextprotocol/clientInfo", "io.modelcontextprotocol/protocolVersion");
    let meta = format!(r#""_meta":{{"{name}":{{"name":"{client}","version":"1"}},"{version}":"2026-07-28"}}"#);
    match message.strip_suffix(r#""params":{"requestId":1}}"#) {
        Some(cancel) => format!(r#"{cancel}"params":{{"requestId":1,{meta}}}}}"#),
        None => format!(r#"{},"params":{{{meta}}}}}"#, message.strip_suffix('}').unwrap()),
    }
}

/// A client by its address, its `User-Agent` and its connection.
#[derive(Clone, Copy, Debug)]
struct Client<'a> {
    address: u128,
    agent: &'a str,
    connection: u64,
}

const NODE: Client<'_> = Client { address: 1, agent: "node", connection: 1 };

impl Surrounded {
    fn begin_of(&self, client: Client<'_>, body: &str) -> Exchange {
        let head = RequestHead { user_agent: Some(client.agent), ..request_head(Verb::Post, "/mcp", None) };
        let arrival = self.observer.arrival(Some(client.address), client.connection);
        let exchange = Exchange::begin(&self.observer, arrival, &head, Duration::from_secs(60));
        let mut reader = RequestReader::new(Codings::IDENTITY, &exchange);
        reader.push(body.as_bytes(), &exchange);
        reader.finish(true, &exchange);
        exchange
    }

    fn said_by(&self, client: Client<'_>, said: Said<'_>) {
        let exchange = self.begin_of(client, said.body);
        self.answer_said(&exchange, said);
    }
}

#[test]
fn a_client_of_a_server_without_sessions_has_one_from_its_handshake_on() {
    let surrounded = Surrounded::new();
    let other = Client { address: 2, ..NODE };
    for (client, name) in [(NODE, "a"), (other, "b")] {
        let hello = initialize(name);
        surrounded.said_by(client, Said { body: &hello, answer: REFUSED, ..FINE });
        surrounded.said_by(client, FINE);
        surrounded.said_by(client, Said { body: &hello, answer: INITIALIZED, ..FINE });
        surrounded.said_by(client, Said { body: NOTE, status: 202, answer: "", ..FINE });
        surrounded.said_by(Client { connection: 9, ..client }, FINE);
        // Another handshake of the same client, and one that a server with sessions answers.
        surrounded.said_by(client, Said { body: &hello, answer: INITIALIZED, ..FINE });
        surrounded.said_by(client, Said { status: 404, answer: "", ..FINE });
    }
    let sessions = surrounded.sessions();
    let known: Vec<_> = sessions
        .iter()
        .map(|session| (session.client.as_deref(), session.protocol_version.as_deref(), session.derived))
        .collect();
    assert_eq!(known, [(Some("a"), Some("2025-06-18"), true), (Some("b"), Some("2025-06-18"), true)]);
    assert!(sessions.iter().all(|session| session.id.starts_with("derived-")));
    let [a, b] = [0, 1].map(|number| Some(sessions[number].id.clone()));
    let of_each = |id: Option<String>| [None, None, id.clone(), id.clone(), id.clone(), id];
    assert_eq!(surrounded.belong_to(), [of_each(a), of_each(b)].concat());
    let versions: Vec<_> = surrounded.seen().into_iter().map(|seen| seen.protocol_version).collect();
    let agreed = || Some("2025-06-18".to_owned());
    assert_eq!(versions[2..6], [agreed(), agreed(), agreed(), agreed()], "no request names it");
    assert_eq!(surrounded.closes(), [], "no server knows a session that was made up");
}

#[test]
fn what_may_come_from_either_of_two_clients_has_no_session() {
    let surrounded = Surrounded::new();
    let python = Client { agent: "python", connection: 3, ..NODE };
    let twin = Client { connection: 2, ..NODE };
    for (client, name) in [(NODE, "a"), (twin, "b"), (python, "c")] {
        surrounded.said_by(client, Said { body: &initialize(name), answer: INITIALIZED, ..FINE });
    }
    let ids: Vec<_> = surrounded.sessions().into_iter().map(|session| Some(session.id)).collect();
    let expected = [
        (NODE, ids[0].clone()),
        (twin, ids[1].clone()),
        (Client { connection: 7, ..NODE }, None),
        (python, ids[2].clone()),
        (Client { connection: 7, ..python }, ids[2].clone()),
        (Client { agent: "curl", ..NODE }, None),
        (Client { address: 5, ..NODE }, None),
    ];
    for (client, _) in &expected {
        surrounded.said_by(*client, FINE);
    }
    assert_eq!(surrounded.belong_to()[3..], expected.map(|(_, session)| session));
}

/// How much is known of a client without a session.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Acquaintance {
    Handshake,
    EachMessage,
    Nothing,
}

#[test]
fn a_client_without_a_session_takes_its_own_call_back_and_no_other_one_s() {
    let hello = initialize("a");
    for known_by in [Acquaintance::Handshake, Acquaintance::EachMessage, Acquaintance::Nothing] {
        let surrounded = Surrounded::new();
        let is_modern = known_by == Acquaintance::EachMessage;
        let said = |message: &str| if is_modern { modern(message, "a") } else { message.to_owned() };
        let (stranger, again) = (Client { address: 2, ..NODE }, Client { connection: 9, ..NODE });
        if known_by == Acquaintance::Handshake {
            surrounded.said_by(NODE, Said { body: &hello, answer: INITIALIZED, ..FINE });
            surrounded.said_by(stranger, Said { body: &hello, answer: INITIALIZED, ..FINE });
        }
        let cancel = |client| {
            let accepted = Said { body: &said(CANCEL), status: 202, answer: "", ..FINE };
            surrounded.said_by(client, accepted);
        };
        // Of a client of 2026-07-28 nothing proves at the first one that it has a session.
        for _ in 0..2 {
            let before = surrounded.seen().len();
            let open = surrounded.begin_of(NODE, &said(PING));
            cancel(stranger);
            assert_eq!(surrounded.observer.open_calls(), 1, "another client's, {known_by:?}");
            cancel(again);
            assert_eq!(surrounded.observer.open_calls(), 0, "{known_by:?}");
            drop(open);
            let seen = surrounded.seen();
            assert_eq!(seen.len(), before + 1, "{known_by:?}");
            assert_eq!(seen.last().unwrap().code.as_deref(), Some("cancelled"), "{known_by:?}");
            surrounded.said_by(NODE, Said { body: &said(PING), ..FINE });
            let has_session = surrounded.belong_to().last().unwrap().is_some();
            assert_eq!(has_session, known_by != Acquaintance::Nothing, "{known_by:?}");
        }
    }
}

#[test]
fn who_closes_the_response_and_takes_the_call_back_has_cancelled_it_in_a_made_up_session_too() {
    let hello = initialize("a");
    for order in [[true, false], [false, true]] {
        let surrounded = Surrounded::new();
        surrounded.said_by(NODE, Said { body: &hello, answer: INITIALIZED, ..FINE });
        let mut open = Some(surrounded.begin_of(NODE, PING));
        for closes in order {
            match closes {
                true => drop(open.take()),
                false => surrounded.said_by(NODE, Said { body: CANCEL, status: 202, answer: "", ..FINE }),
            }
        }
        let last = surrounded.seen().pop().unwrap();
        assert_eq!((last.method.as_str(), last.code.as_deref()), ("ping", Some("cancelled")), "{order:?}");
    }
}

#[test]
fn of_two_calls_that_may_be_meant_none_is_taken_back() {
    let surrounded = Surrounded::new();
    let twin = Client { connection: 2, ..NODE };
    let open = [NODE, twin].map(|client| surrounded.begin_of(client, PING));
    surrounded.said_by(NODE, Said { body: CANCEL, status: 202, answer: "", ..FINE });
    assert_eq!(surrounded.observer.open_calls(), 2);
    for exchange in &open {
        surrounded.answer_said(exchange, FINE);
    }
    let codes: Vec<_> = surrounded.seen().into_iter().map(|seen| seen.code).collect();
    assert_eq!(codes, [None, None]);
}

#[test]
fn a_session_s_id_means_nothing_in_a_revision_without_sessions_unless_a_handshake_agreed_on_it() {
    let message = modern(PING, "m");
    // The revision stands in the message alone, or in the head too; servers set ids on whatever they answer.
    let plain = request_head(Verb::Post, "/mcp", Some("stray"));
    let with_head = RequestHead { protocol_version: Some("2026-07-28"), method: Some("ping"), ..plain };
    for head in [&plain, &with_head] {
        let surrounded = Surrounded::new();
        surrounded.answer_said(&surrounded.begin_said(head, &message), Said { new_session: Some("other"), ..FINE });
        let other = RequestHead { session: Some("other"), ..*head };
        surrounded.answer_said(&surrounded.begin_said(&other, &message), FINE);
        let [session] = &surrounded.sessions()[..] else { panic!("{:?}", surrounded.sessions()) };
        assert_eq!((session.client.as_deref(), session.derived), (Some("m"), true));
        assert_eq!(surrounded.belong_to(), [Some(session.id.clone()), Some(session.id.clone())]);
        // A server that does not find it ends nothing.
        surrounded.answer_said(&surrounded.begin_said(head, &message), Said { status: 404, answer: "", ..FINE });
        assert_eq!(surrounded.closes(), []);
    }
    let surrounded_by_head = Surrounded::new();
    surrounded_by_head.answer_said(&surrounded_by_head.begin_said(&with_head, PING), FINE);
    assert_eq!(surrounded_by_head.belong_to(), [None], "nobody knows whose it is");
    let surrounded = Surrounded::new();
    let hello = initialize("c");
    surrounded.said(Said { body: &hello, new_session: Some("stray"), answer: INITIALIZED, ..FINE });
    for head in [&plain, &with_head] {
        surrounded.answer_said(&surrounded.begin_said(head, &message), FINE);
    }
    assert_eq!(surrounded.sessions(), [session("stray", "c")]);
    assert_eq!(surrounded.belong_to(), vec![Some("stray".to_owned()); 3]);
    surrounded.answer_said(&surrounded.begin_said(&plain, &message), Said { status: 404, answer: "", ..FINE });
    assert_eq!(surrounded.closes().len(), 1);
}

#[test]
fn a_call_of_such_a_revision_is_taken_back_whatever_id_comes_with_it() {
    let surrounded = Surrounded::new();
    let head = |session| request_head(Verb::Post, "/mcp", Some(session));
    let open = surrounded.begin_said(&head("one"), &modern(PING, "m"));
    let accepted = Said { status: 202, answer: "", ..FINE };
    surrounded.answer_said(&surrounded.begin_said(&head("two"), &modern(CANCEL, "other")), accepted);
    assert_eq!(surrounded.observer.open_calls(), 1);
    surrounded.answer_said(&surrounded.begin_said(&head("two"), &modern(CANCEL, "m")), accepted);
    assert_eq!(surrounded.observer.open_calls(), 0);
    drop(open);
    assert_eq!(surrounded.seen()[0].code.as_deref(), Some("cancelled"));
}

#[test]
fn addresses_that_mean_the_same_are_one() {
    let surrounded = Surrounded::new();
    let at = |path, query, session| RequestHead { query, ..request_head(Verb::Post, path, session) };
    let gone = Said { status: 404, answer: "", ..FINE };
    // Of a session's endpoint.
    surrounded.answer_said(&surrounded.begin_said(&at("/a%2Bb", None, Some("s")), PING), FINE);
    surrounded.answer_said(&surrounded.begin_said(&at("/%61%2bb", None, Some("s")), PING), gone);
    assert_eq!(surrounded.closes().len(), 1);
    let endpoints: Vec<_> = surrounded.seen().into_iter().filter_map(|seen| seen.endpoint).collect();
    assert_eq!(endpoints, ["/a%2Bb", "/a%2Bb"]);
    // Of the endpoint that a stream announces.
    let stream = RequestHead { verb: Verb::Other, ..at("/sse", None, None) };
    let stream = Exchange::begin(&surrounded.observer, surrounded.observer.arrival(None, 2), &stream, Duration::MAX);
    let head = ResponseHead {
        status: 200,
        session: None,
        content_type: Some("text/event-stream"),
        codings: Codings::IDENTITY,
        cause: None,
    };
    stream.on_response_head(&head);
    let mut events = ResponseReader::new(&head, &stream).unwrap();
    events.push(b"event: endpoint\ndata: /messages?sessionId=a%2fb\n\n", &stream);
    for query in ["sessionId=a%2Fb", "sessionId=%61%2fb"] {
        let exchange = surrounded.begin_said(&at("/messages", Some(query), None), PING);
        surrounded.answer_said(&exchange, Said { status: 202, answer: "", ..FINE });
        events.push(format!("data: {PONG}\n\n").as_bytes(), &stream);
        let last = surrounded.seen().pop().unwrap();
        assert_eq!((last.session.as_deref(), last.code), (Some("a%2Fb"), None), "{query}");
    }
}
