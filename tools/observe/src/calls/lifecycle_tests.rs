//! Every state against everything that can happen, on real calls; and the table in the documentation against the one in the
//! code.

use super::breakdown::Breakdown;
use super::call::Call;
use super::facts::Facts;
use super::failure::Failure;
use super::happening::{Answer, Happening};
use super::index::{CallIndex, Owner};
use super::lifecycle::{INPUTS, Input, Recorded, STATES, State, step};
use super::origin::Origin;
use super::response::Response;
use crate::activity::Activity;
use crate::arrival::Arrival;
use crate::read::{Message, RpcId, Scanner, Slot};
use crate::recording::{Phase, Recording};
use crate::session::Asker;
use crate::testing::{Seen, Surrounded};
use mcplog::Status;
use mcplog::event::{Direction, Note, Notes, Outcome, Transport};
use std::sync::{Arc, Weak};
use std::time::Duration;

static NO_RESPONSE: Response = Response { status: None, new_session: None, cause: None };
static NO_ANSWER: Breakdown = Breakdown { failure: Failure::NoResponse, cause: None, is_unread: false };
const SECOND: Duration = Duration::from_secs(1);
/// How long the exchange went on before it left the call.
const LEFT_AFTER: Duration = Duration::from_secs(10);
/// How long it may then wait.
const WAIT: Duration = Duration::from_secs(60);

fn message(json: &str) -> Message {
    let mut found = None;
    Scanner::new().push(json.as_bytes(), |message| found = Some(std::mem::take(message)));
    found.unwrap()
}

/// A call, with what it is recorded by, in a state of one's choice.
struct Fixture {
    surrounded: Surrounded,
    recording: Arc<Recording>,
    index: CallIndex,
    call: Arc<Call>,
    /// Where its answer is due, if it is on a stream.
    stream: Arc<Activity>,
}

impl Fixture {
    fn new(state: State) -> Self {
        let surrounded = Surrounded::new();
        let recording = surrounded.observer.recording.clone();
        let request = message(r#"{"id":7,"method":"tools/call","params":{"name":"t"}}"#);
        let (session, endpoint) = (Some("s".into()), Some("/mcp".into()));
        let (asker, transport) = (Asker::new((None, 1), "/mcp", None, None), Transport::Http);
        let origin =
            Origin { transport, endpoint, session, is_agreed: false, asker, protocol_version: None, credential: None };
        let clock = &surrounded.clock;
        let arrival = Arrival { at: clock.instant(), ts: 1, client_address: None, connection: 1 };
        let id = RpcId::of(&request, Slot::Id).unwrap();
        let call = Arc::new(Call::begin(&recording, &origin, Facts::of_message(arrival, &origin, id, &request)));
        let index = CallIndex::default();
        index.insert(&call);
        let stream = Arc::new(Activity::new(surrounded.clock.instant()));
        let fixture = Self { surrounded, recording, index, call, stream };
        match state {
            State::Waiting => {}
            State::Resumable => {
                let breakdown =
                    Breakdown { failure: Failure::StreamBroken, cause: Some("reset".into()), is_unread: false };
                fixture.tell_after(LEFT_AFTER, &Happening::LeftToClient(&breakdown, WAIT));
            }
            State::OnStream => fixture.tell_after(LEFT_AFTER, &Happening::LeftToStream(&fixture.stream, WAIT)),
            State::TakenBack => fixture.tell_after(LEFT_AFTER, &Happening::Cancelled),
            State::Ended => fixture.tell_after(LEFT_AFTER, &Happening::ExchangeOver(&Failure::ClientGone.into())),
        }
        fixture
    }

    fn tell_after(&self, pause: Duration, happening: &Happening<'_>) {
        self.surrounded.clock.advance(pause);
        self.index.tell(&self.call, happening, self.surrounded.clock.instant());
    }

    /// Everything recorded so far: status, code and cause, and the latency in seconds.
    fn rows(&self) -> Vec<(Status, Option<String>, i64)> {
        let code = |seen: &Seen| match (&seen.code, &seen.cause) {
            (Some(code), Some(cause)) => Some(format!("{code}: {cause}")),
            (code, _) => code.clone(),
        };
        let row = |seen: &Seen| (seen.status, code(seen), seen.latency_us / 1_000_000);
        self.surrounded.seen().iter().map(row).collect()
    }

    fn in_flight(&self) -> u64 {
        self.recording.counts.in_flight.get()
    }
}

/// What happens, with failures that can be told apart from the one that the exchange left the call with.
fn happening<'h>(input: Input, answer: &'h Message, stream: &'h Arc<Activity>) -> Happening<'h> {
    match input {
        Input::Answered => Happening::Answered(Answer { message: answer, payload: None, response: &NO_RESPONSE }),
        Input::Cancelled => Happening::Cancelled,
        Input::ExchangeOver => Happening::ExchangeOver(&NO_ANSWER),
        Input::LeftToClient => Happening::LeftToClient(&NO_ANSWER, WAIT),
        Input::LeftToStream => Happening::LeftToStream(stream, WAIT),
        Input::ClientBack => Happening::ClientBack(stream, WAIT),
        Input::StreamCut => Happening::StreamCut(stream, &NO_ANSWER, WAIT),
        Input::Overdue => Happening::Overdue,
        Input::SessionOver => Happening::SessionOver,
        Input::StreamOver => Happening::StreamOver(&NO_ANSWER),
        Input::Draining => Happening::Draining,
        Input::Stopped => Happening::Stopped,
        Input::Abandoned => Happening::Abandoned(Failure::NoResponse),
    }
}

#[test]
fn every_state_meets_everything_that_can_happen() {
    let answer = message(r#"{"id":7,"result":{}}"#);
    for state in STATES {
        for input in INPUTS {
            let fixture = Fixture::new(state);
            let before = fixture.rows();
            // Late enough for what is left to be overdue.
            fixture.tell_after(WAIT, &happening(input, &answer, &fixture.stream));
            let at_once = if state == State::Waiting { 60 } else { 70 };
            let failed = |code: &str, at: i64| Some((Status::Error, Some(code.to_owned()), at));
            let own_code = match input {
                Input::Cancelled => "cancelled",
                Input::Stopped => "proxy_shutdown",
                _ => "no_response",
            };
            let (next, recorded) = step(state, input);
            let expected = match recorded {
                Recorded::Nothing => None,
                Recorded::Answer => Some((Status::Ok, None, at_once)),
                // It was left by a stream that broke.
                Recorded::Failure | Recorded::TimeoutOfThen => failed(own_code, at_once),
                Recorded::FailureOfThen if state == State::TakenBack => failed("cancelled", 10),
                Recorded::FailureOfThen => failed("stream_broken: reset", 10),
                Recorded::Timeout => Some((Status::Timeout, Some("upstream_timeout".to_owned()), at_once)),
            };
            let case = format!("{state:?} {input:?}");
            assert_eq!(fixture.rows()[before.len()..], expected.into_iter().collect::<Vec<_>>(), "{case}");
            let is_open = !matches!(next, State::TakenBack | State::Ended);
            assert_eq!(fixture.call.is_open(), is_open, "{case}");
            assert_eq!(fixture.in_flight(), u64::from(is_open), "{case}");
            let id = fixture.call.id.clone().unwrap();
            assert_eq!(
                fixture.index.find(Owner::Session("s".into()), &id).is_some(),
                is_open,
                "{case}: found while open"
            );
            let is_answered = fixture.index.find_answered(&"s".into(), &id, |_| true).is_some();
            assert_eq!(is_answered, next != State::Ended, "{case}: in the index until it is recorded");
            let is_late = (state, input) == (State::TakenBack, Input::Answered);
            let notes = fixture.surrounded.seen().last().map_or(Notes::NONE, |seen| seen.notes);
            assert_eq!(notes.has(Note::LateAnswer), is_late, "{case}");
        }
    }
}

#[test]
fn a_call_is_recorded_once_whatever_happens_first_and_second() {
    let answer = message(r#"{"id":7,"result":{}}"#);
    for state in STATES {
        for first in INPUTS {
            for second in INPUTS {
                let fixture = Fixture::new(state);
                fixture.tell_after(WAIT, &happening(first, &answer, &fixture.stream));
                fixture.tell_after(WAIT, &happening(second, &answer, &fixture.stream));
                let Fixture { surrounded, recording, index, call, .. } = fixture;
                drop((call, index));
                assert_eq!(surrounded.seen().len(), 1, "{state:?} {first:?} {second:?}");
                assert_eq!(recording.counts.in_flight.get(), 0);
            }
        }
    }
}

#[test]
fn the_end_is_for_good_and_nothing_else_is_recorded_on_the_way_there() {
    for input in INPUTS {
        assert_eq!(step(State::Ended, input), (State::Ended, Recorded::Nothing), "{input:?}");
        for state in STATES {
            let (next, recorded) = step(state, input);
            let ends = state != State::Ended && next == State::Ended;
            assert_eq!(ends, recorded != Recorded::Nothing, "{state:?} {input:?}");
        }
    }
    for (at, state) in STATES.into_iter().enumerate() {
        assert_eq!(state as usize, at);
    }
    for (at, input) in INPUTS.into_iter().enumerate() {
        assert_eq!(input as usize, at);
    }
}

#[test]
fn what_was_left_is_not_overdue_before_its_time() {
    for state in [State::Resumable, State::OnStream] {
        let fixture = Fixture::new(state);
        fixture.tell_after(WAIT - SECOND, &Happening::Overdue);
        assert!(fixture.call.is_open() && fixture.rows().is_empty(), "{state:?}");
        fixture.tell_after(SECOND, &Happening::Overdue);
        assert_eq!(fixture.rows().len(), 1, "{state:?}");
    }
}

#[test]
fn where_an_answer_is_due_on_a_stream_the_silence_there_counts() {
    let fixture = Fixture::new(State::OnStream);
    for _ in 0..3 {
        fixture.tell_after(WAIT - SECOND, &Happening::Overdue);
        fixture.stream.touch(fixture.surrounded.clock.instant());
    }
    fixture.tell_after(WAIT - SECOND, &Happening::Overdue);
    assert!(fixture.rows().is_empty());
    fixture.tell_after(SECOND, &Happening::Overdue);
    assert_eq!(fixture.rows(), [(Status::Timeout, Some("upstream_timeout".to_owned()), 10 + 4 * 60 - 3)]);
}

#[test]
fn a_call_waits_for_the_stream_that_its_answer_is_due_on_and_for_no_other() {
    let fixture = Fixture::new(State::OnStream);
    let other = Arc::new(Activity::new(fixture.surrounded.clock.instant()));
    fixture.tell_after(SECOND, &Happening::StreamCut(&other, &NO_ANSWER, SECOND));
    fixture.tell_after(SECOND, &Happening::Overdue);
    assert!(fixture.rows().is_empty());
    let stream = fixture.stream.clone();
    fixture.tell_after(SECOND, &Happening::StreamCut(&stream, &NO_ANSWER, SECOND));
    fixture.tell_after(SECOND, &Happening::Overdue);
    assert_eq!(fixture.rows(), [(Status::Error, Some("no_response".to_owned()), 13)]);
}

#[test]
fn a_call_that_nobody_ends_is_recorded_when_it_is_let_go_of() {
    for (is_stopping, code) in [(false, "client_gone"), (true, "proxy_shutdown")] {
        let Fixture { surrounded, recording, index, call, .. } = Fixture::new(State::Waiting);
        if is_stopping {
            recording.phase.advance(Phase::Stopping);
        }
        let weak: Weak<Call> = Arc::downgrade(&call);
        drop(call);
        assert!(weak.upgrade().is_some(), "the index holds it");
        drop(index);
        assert!(weak.upgrade().is_none());
        assert_eq!(surrounded.seen()[0].code.as_deref(), Some(code));
    }
}

#[test]
fn calls_with_one_id_are_found_from_the_newest_on_and_none_displaces_another() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 2]] {
        let fixtures = [State::Waiting; 3].map(Fixture::new);
        let index = &fixtures[0].index;
        index.insert(&fixtures[1].call);
        index.insert(&fixtures[2].call);
        let id = fixtures[0].call.id.clone().unwrap();
        let mut left = vec![0, 1, 2];
        for ends in order {
            let newest = *left.iter().max().unwrap();
            let found = index.find(Owner::Session("s".into()), &id).unwrap();
            assert!(Arc::ptr_eq(&found, &fixtures[newest].call), "{order:?}");
            index.tell(&fixtures[ends].call, &Happening::Cancelled, fixtures[0].surrounded.clock.instant());
            left.retain(|other| *other != ends);
        }
        assert!(index.find(Owner::Session("s".into()), &id).is_none());
    }
}

#[test]
fn a_request_of_the_server_is_a_row_that_says_so_and_neither_its_words_nor_its_answer_say_anything_of_the_server() {
    // As a client's request, each would begin a session, show what the server offers, name a tool, or ask for more.
    for (method, params, result) in [
        ("sampling/createMessage", "{}", r#"{"role":"assistant"}"#),
        ("initialize", r#"{"clientInfo":{"name":"c"},"protocolVersion":"2025-11-25"}"#, r#"{"protocolVersion":"x"}"#),
        ("tools/list", "{}", r#"{"tools":[]}"#),
        ("tools/call", r#"{"name":"t"}"#, r#"{"isError":true,"content":[{"type":"text","text":"no"}]}"#),
        ("elicitation/create", "{}", r#"{"resultType":"input_required"}"#),
    ] {
        let Fixture { surrounded, recording, .. } = Fixture::new(State::Ended);
        let (before, index) = (recording.counts.in_flight.get(), CallIndex::default());
        let request = message(&format!(r#"{{"id":7,"method":"{method}","params":{params}}}"#));
        let (asker, transport) = (Asker::new((None, 1), "/mcp", None, None), Transport::Http);
        let session = Some("s".into());
        let origin = Origin {
            transport,
            endpoint: None,
            session,
            is_agreed: true,
            asker,
            protocol_version: None,
            credential: None,
        };
        let passed = Arrival { at: surrounded.clock.instant(), ts: 2, client_address: None, connection: 1 };
        let facts = Facts::of_server_message(passed, &origin, RpcId::of(&request, Slot::Id).unwrap(), &request);
        let call = Arc::new(Call::begin(&recording, &origin, facts));
        index.insert(&call);
        assert_eq!((recording.counts.in_flight.get(), recording.counts.asked_in_flight.get()), (before, 1));
        surrounded.clock.advance(40 * SECOND);
        let answer = message(&format!(r#"{{"id":7,"result":{result}}}"#));
        let answered = Happening::Answered(Answer { message: &answer, payload: None, response: &NO_RESPONSE });
        index.tell(&call, &answered, surrounded.clock.instant());
        let row = surrounded.seen().pop().unwrap();
        assert_eq!((row.direction, row.method.as_str()), (Some(Direction::Server), method));
        assert_eq!((row.outcome, row.latency_us), (Some(Outcome::Ok), 40_000_000), "{method}");
        assert_eq!((row.session.as_deref(), row.protocol_version.as_deref()), (Some("s"), None), "{method}");
        assert!(surrounded.sessions().is_empty() && surrounded.lists().is_empty(), "{method}");
        assert_eq!(recording.counts.asked_in_flight.get(), 0);
        assert!(surrounded.seen().iter().take(1).all(|row| row.direction == Some(Direction::Client)));
    }
}

/// The rows of the table in the documentation: what happens, and the entries.
fn documented() -> Vec<(String, Vec<String>)> {
    let source = include_str!("lifecycle.rs");
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! | ")).skip(1);
    rows.map(|row| {
        let mut cells = row.trim_end_matches('|').split('|').map(|cell| cell.trim().to_owned());
        (cells.next().unwrap(), cells.collect())
    })
    .collect()
}

#[test]
fn the_documentation_has_the_same_table() {
    let documented = documented();
    assert_eq!(documented.len(), INPUTS.len());
    for ((name, cells), input) in documented.iter().zip(INPUTS) {
        let joined: String = name.split(' ').collect::<String>().to_lowercase();
        assert_eq!(joined, format!("{input:?}").to_lowercase());
        assert_eq!(cells.len(), STATES.len(), "{name}");
        for (cell, state) in cells.iter().zip(STATES) {
            let expected = match step(state, input) {
                (next, Recorded::Nothing) if next == state => "",
                (State::Resumable, Recorded::Nothing) => "to resumable",
                (State::OnStream, Recorded::Nothing) => "to on stream",
                (State::TakenBack, Recorded::Nothing) => "to taken back",
                (_, Recorded::Nothing) => panic!("an end without a record"),
                (_, Recorded::Answer) => "answer",
                (_, Recorded::Failure) => "failure",
                (_, Recorded::FailureOfThen) => "failure of then",
                (_, Recorded::TimeoutOfThen) => "timeout of then, or failure",
                (_, Recorded::Timeout) => "timeout",
            };
            assert_eq!(cell, expected, "{name}, {state:?}");
        }
    }
}
