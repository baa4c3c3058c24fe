//! Streams that are cut and resumed: which request is answered there, how long it waits, and what it is if nothing comes.

use super::{Exchange, RequestHead, RequestReader, ResponseHead, ResponseReader, Verb};
use crate::calls::End;
use crate::read::Codings;
use crate::testing::{Seen, Surrounded, request_head, stories};
use mcplog::Status;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(60);
const ENDS: [End<'static>; 4] = [End::Complete, End::Broken("reset"), End::ClientGone, End::Silent("waiting")];

/// One exchange whose response is an event stream.
struct Streaming {
    exchange: Exchange,
    reader: ResponseReader,
}

impl Streaming {
    fn new(surrounded: &Surrounded, head: &RequestHead<'_>, request: &str) -> Self {
        let exchange = Exchange::begin(&surrounded.observer, surrounded.observer.arrival(Some(1), 1), head, LIMIT);
        if head.verb == Verb::Post {
            let mut reader = RequestReader::new(Codings::IDENTITY, &exchange);
            reader.push(request.as_bytes(), &exchange);
            reader.finish(true, &exchange);
        }
        let content_type = Some("text/event-stream");
        let head = ResponseHead { status: 200, session: None, content_type, codings: Codings::IDENTITY, cause: None };
        exchange.on_response_head(&head);
        let reader = ResponseReader::new(&head, &exchange).unwrap();
        Self { exchange, reader }
    }

    /// A request, whose stream begins with that event.
    fn post(surrounded: &Surrounded, session: Option<&str>, method: &str, event: &str) -> Self {
        let head = request_head(Verb::Post, "/mcp", session);
        let mut streaming = Self::new(surrounded, &head, &format!(r#"{{"id":1,"method":"{method}"}}"#));
        streaming.send(&format!("id: {event}\ndata:\n\n"));
        streaming
    }

    /// The client comes back, and had that event last.
    fn resume(surrounded: &Surrounded, session: Option<&str>, event: &str) -> Self {
        let head = RequestHead { last_event_id: Some(event), ..request_head(Verb::Other, "/mcp", session) };
        Self::new(surrounded, &head, "")
    }

    fn send(&mut self, text: &str) {
        self.exchange.touch();
        self.reader.push(text.as_bytes(), &self.exchange);
    }

    fn answer(&mut self) {
        self.send("data: {\"id\":1,\"result\":{}}\n\n");
    }
}

impl Surrounded {
    fn only_row(&self) -> (Status, Option<String>, i64) {
        let seen = self.seen();
        let [Seen { status, code, latency_us, .. }] = &seen[..] else { panic!("{seen:?}") };
        (*status, code.clone(), latency_us / 1_000_000)
    }
}

#[test]
fn a_stream_that_is_resumed_answers_however_it_was_cut_and_however_long_that_takes() {
    // The session may be missing on either side.
    for (session, again) in [(Some("s"), Some("s")), (None, None), (Some("s"), None), (None, Some("s"))] {
        for end in ENDS {
            for pause in [0, 1, 9] {
                for rounds in [0, 1, 5] {
                    let surrounded = Surrounded::new();
                    let first = Streaming::post(&surrounded, session, "a", "e");
                    first.exchange.end(end);
                    surrounded.wait(pause * SECOND);
                    let mut resumed = Streaming::resume(&surrounded, again, "e");
                    for _ in 0..rounds {
                        surrounded.wait(LIMIT - SECOND);
                        resumed.send(": still there\n\n");
                    }
                    assert_eq!(surrounded.seen(), [], "{end:?}");
                    resumed.answer();
                    let expected = i64::from(pause) + 59 * rounds;
                    assert_eq!(surrounded.only_row(), (Status::Ok, None, expected), "{session:?} {again:?} {end:?}");
                    resumed.exchange.end(End::Complete);
                }
            }
        }
    }
}

#[test]
fn a_client_may_be_back_before_its_first_connection_is_known_to_be_gone() {
    for (session, end) in [Some("s"), None].into_iter().flat_map(|session| ENDS.map(|end| (session, end))) {
        for is_answered_first in [false, true] {
            let surrounded = Surrounded::new();
            let first = Streaming::post(&surrounded, session, "a", "e");
            let mut resumed = Streaming::resume(&surrounded, session, "e");
            if is_answered_first {
                resumed.answer();
            }
            first.exchange.end(end);
            surrounded.wait(LIMIT - SECOND);
            resumed.answer();
            let latency = if is_answered_first { 0 } else { 59 };
            assert_eq!(surrounded.only_row(), (Status::Ok, None, latency), "{session:?} {end:?}");
        }
    }
}

#[test]
fn a_stream_may_be_cut_and_resumed_again_and_again() {
    for session in [Some("s"), None] {
        let surrounded = Surrounded::new();
        let mut streaming = Streaming::post(&surrounded, session, "a", "e0");
        for round in 1..=5 {
            streaming.exchange.end(if round % 2 == 0 { End::ClientGone } else { End::Complete });
            surrounded.wait(9 * SECOND);
            // Any event of it that came lately.
            streaming = Streaming::resume(&surrounded, session, &format!("e{}", round / 2));
            streaming.send(&format!("id: e{round}\ndata: {{\"method\":\"notifications/progress\"}}\n\n"));
        }
        streaming.answer();
        assert_eq!(surrounded.only_row(), (Status::Ok, None, 45));
    }
}

#[test]
fn a_call_whose_client_does_not_come_back_is_what_it_was_when_its_stream_was_cut_last() {
    let codes = ["no_response", "stream_broken", "client_gone", "upstream_timeout"];
    for (end, code) in ENDS.into_iter().zip(codes) {
        let status = if code == "upstream_timeout" { Status::Timeout } else { Status::Error };
        for session in [Some("s"), None] {
            let surrounded = Surrounded::new();
            let first = Streaming::post(&surrounded, session, "a", "e");
            surrounded.wait(2 * SECOND);
            first.exchange.end(end);
            surrounded.wait(9 * SECOND);
            // Somebody else's stream.
            let _other = Streaming::resume(&surrounded, Some("other"), "f");
            assert_eq!(surrounded.seen(), []);
            surrounded.wait(SECOND);
            assert_eq!(surrounded.only_row(), (status, Some(code.to_owned()), 2), "{session:?} {end:?}");

            let surrounded = Surrounded::new();
            let first = Streaming::post(&surrounded, session, "a", "e");
            first.exchange.end(End::Broken("reset"));
            surrounded.wait(3 * SECOND);
            let resumed = Streaming::resume(&surrounded, session, "e");
            surrounded.wait(30 * SECOND);
            resumed.exchange.end(end);
            surrounded.wait(10 * SECOND);
            assert_eq!(surrounded.only_row(), (status, Some(code.to_owned()), 33), "{session:?} {end:?}");
        }
    }
    let surrounded = Surrounded::new();
    Streaming::post(&surrounded, None, "a", "e").exchange.end(End::Complete);
    let _silent = Streaming::resume(&surrounded, None, "e");
    surrounded.wait(LIMIT);
    assert_eq!(surrounded.only_row(), (Status::Timeout, Some("upstream_timeout".to_owned()), 60));
}

#[test]
fn a_server_that_asks_for_more_time_gets_it_wherever_it_says_so() {
    for texts in [
        ["id: e\nretry: 50000\ndata:\n\n", ""],
        ["retry: 50000\nid: e\ndata:\n\n", ""],
        ["retry: 50000\n\n", "id: e\n\n"],
    ] {
        let surrounded = Surrounded::new();
        let mut first = Streaming::post(&surrounded, Some("s"), "a", "first");
        texts.iter().for_each(|text| first.send(text));
        first.exchange.end(End::Complete);
        surrounded.wait(59 * SECOND);
        assert_eq!(surrounded.seen(), [], "{texts:?}");
        surrounded.wait(SECOND);
        assert_eq!(surrounded.only_row(), (Status::Error, Some("no_response".to_owned()), 0), "{texts:?}");
    }
}

/// What happens to two requests with one id, each with a stream whose first event is `a` or `b`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Open(usize),
    Answer(usize),
    Cut(usize),
    Resume(usize),
    Replay(usize),
}

const STEPS: usize = 6;

#[test]
fn what_comes_on_a_resumed_stream_is_for_the_requests_that_it_stood_for_and_for_no_other() {
    let alphabet: Vec<Step> = [Step::Open, Step::Answer, Step::Cut, Step::Resume, Step::Replay]
        .into_iter()
        .flat_map(|step| [step(0), step(1)])
        .filter(|step| *step != Step::Open(0))
        .collect();
    let mut played = 0;
    for story in stories(&alphabet, STEPS) {
        let place = |step| story.iter().position(|found| *found == step).unwrap_or(STEPS);
        let opened = |which| if which == 0 { 0 } else { place(Step::Open(1)) + 1 };
        let is_possible = story.iter().enumerate().all(|(at, step)| match *step {
            Step::Open(which) => at + 1 == opened(which),
            Step::Answer(which) => at >= opened(which) && at < place(Step::Cut(which)),
            Step::Cut(which) => at >= opened(which) && at == place(Step::Cut(which)),
            Step::Resume(which) => at > place(Step::Cut(which)) && at == place(Step::Resume(which)),
            Step::Replay(which) => at > place(Step::Resume(which)),
        });
        if is_possible {
            play(&story);
            played += 1;
        }
    }
    assert!(played > 500, "{played}");
}

fn play(story: &[Step]) {
    let surrounded = Surrounded::new();
    let names = ["a", "b"];
    let open = |which: usize| Streaming::post(&surrounded, Some("s"), names[which], names[which]);
    let (mut firsts, mut resumed) = ([Some(open(0)), None], [None, None]);
    let mut answered = [false; 2];
    for step in story {
        match *step {
            Step::Open(which) => firsts[which] = Some(open(which)),
            Step::Cut(which) => drop(firsts[which].as_ref().unwrap().exchange.end(End::ClientGone)),
            Step::Resume(which) => resumed[which] = Some(Streaming::resume(&surrounded, Some("s"), names[which])),
            Step::Answer(which) => {
                firsts[which].as_mut().unwrap().answer();
                answered[which] = true;
            }
            Step::Replay(which) => {
                resumed[which].as_mut().unwrap().answer();
                answered[which] = true;
            }
        }
    }
    let mut rows: Vec<_> = surrounded.seen().into_iter().map(|seen| (seen.method, seen.status)).collect();
    rows.sort_by(|one, other| one.0.cmp(&other.0));
    let expected: Vec<_> =
        (0..2).filter(|which| answered[*which]).map(|which| (names[which].to_owned(), Status::Ok)).collect();
    assert_eq!(rows, expected, "{story:?}");
}

#[test]
fn a_stream_that_nobody_remembers_answers_whoever_waits_for_its_client() {
    let surrounded = Surrounded::new();
    let waiting = Streaming::post(&surrounded, Some("s"), "a", "e");
    waiting.exchange.end(End::Broken("reset"));
    let mut open = Streaming::post(&surrounded, Some("s"), "b", "f");
    let mut resumed = Streaming::resume(&surrounded, Some("s"), "forgotten");
    surrounded.wait(LIMIT - SECOND);
    resumed.answer();
    assert_eq!(surrounded.only_row(), (Status::Ok, None, 59));
    // The other one waits on its own stream.
    resumed.answer();
    assert_eq!(surrounded.seen().len(), 1);
    open.answer();
    assert_eq!(surrounded.seen().len(), 2);
}

#[test]
fn an_accepted_request_is_answered_on_the_stream_that_its_session_listens_on() {
    for end in [End::Complete, End::ClientGone, End::Broken("reset")] {
        for has_stream in [false, true] {
            let surrounded = Surrounded::new();
            let head = request_head(Verb::Other, "/mcp", Some("s"));
            let mut stream = has_stream.then(|| Streaming::new(&surrounded, &head, ""));
            let head = request_head(Verb::Post, "/mcp", Some("s"));
            let exchange = Exchange::begin(&surrounded.observer, surrounded.observer.arrival(Some(1), 1), &head, LIMIT);
            let mut reader = RequestReader::new(Codings::IDENTITY, &exchange);
            reader.push(br#"{"id":1,"method":"a"}"#, &exchange);
            reader.finish(true, &exchange);
            let head = ResponseHead {
                status: 202,
                session: None,
                content_type: None,
                codings: Codings::IDENTITY,
                cause: None,
            };
            exchange.on_response_head(&head);
            exchange.end(end);
            let Some(stream) = stream.as_mut() else {
                // A client that went away may still say that it takes the request back.
                surrounded.wait(2 * SECOND);
                assert_eq!(surrounded.seen().len(), 1, "{end:?}: nobody can answer");
                continue;
            };
            surrounded.wait(LIMIT - SECOND);
            stream.send(": still there\n\n");
            surrounded.wait(LIMIT - SECOND);
            stream.exchange.end(End::Broken("reset"));
            surrounded.wait(9 * SECOND);
            let mut again = Streaming::new(&surrounded, &request_head(Verb::Other, "/mcp", Some("s")), "");
            again.answer();
            assert_eq!(surrounded.only_row(), (Status::Ok, None, 127), "{end:?}");
        }
    }
}

/// A request that is accepted, and answered elsewhere.
fn accepted(surrounded: &Surrounded) {
    let head = request_head(Verb::Post, "/mcp", Some("s"));
    let exchange = Exchange::begin(&surrounded.observer, surrounded.observer.arrival(Some(1), 1), &head, LIMIT);
    let mut reader = RequestReader::new(Codings::IDENTITY, &exchange);
    reader.push(br#"{"id":1,"method":"a"}"#, &exchange);
    reader.finish(true, &exchange);
    let head = ResponseHead { status: 202, session: None, content_type: None, codings: Codings::IDENTITY, cause: None };
    exchange.on_response_head(&head);
    exchange.end(End::Complete);
}

#[test]
fn an_accepted_request_waits_for_whichever_stream_its_session_listens_on() {
    let listen =
        |surrounded: &Surrounded| Streaming::new(surrounded, &request_head(Verb::Other, "/mcp", Some("s")), "");
    for resumes in [false, true] {
        let surrounded = Surrounded::new();
        let mut first = listen(&surrounded);
        first.send("id: g\ndata:\n\n");
        accepted(&surrounded);
        first.exchange.end(End::Complete);
        surrounded.wait(9 * SECOND);
        let mut second = if resumes { Streaming::resume(&surrounded, Some("s"), "g") } else { listen(&surrounded) };
        surrounded.wait(LIMIT - SECOND);
        second.send(": still there\n\n");
        surrounded.wait(LIMIT - SECOND);
        second.answer();
        assert_eq!(surrounded.only_row(), (Status::Ok, None, 127), "resumes: {resumes}");
    }
    // Two are open, and the one that was expected to answer is cut.
    let surrounded = Surrounded::new();
    let (mut first, second) = (listen(&surrounded), listen(&surrounded));
    accepted(&surrounded);
    second.exchange.end(End::Broken("reset"));
    surrounded.wait(LIMIT - SECOND);
    first.answer();
    assert_eq!(surrounded.only_row(), (Status::Ok, None, 59));
}

#[test]
fn a_client_may_resume_a_stream_again_before_it_lets_go_of_it() {
    for session in [Some("s"), None] {
        let surrounded = Surrounded::new();
        Streaming::post(&surrounded, session, "a", "e").exchange.end(End::ClientGone);
        let first = Streaming::resume(&surrounded, session, "e");
        let mut second = Streaming::resume(&surrounded, session, "e");
        first.exchange.end(End::ClientGone);
        surrounded.wait(LIMIT - SECOND);
        second.answer();
        assert_eq!(surrounded.only_row(), (Status::Ok, None, 59), "{session:?}");
    }
}
