//! Which answer belongs to which call: every short story of two requests whose ids may be the same, their streams and a
//! stream of the session's own, against the rules in plain words.

use super::{Exchange, RequestReader, ResponseHead, ResponseReader, Verb};
use crate::calls::End;
use crate::read::Codings;
use crate::testing::{Surrounded, request_head, stories};
use std::time::Duration;

const STEPS: usize = 5;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// The second request comes; the first is there from the beginning.
    OpenSecond,
    /// A response with that id comes on that stream.
    Answer(On, u32),
    /// The client takes the request with that id back.
    Cancel(u32),
    /// The response to the first request ends.
    EndFirst,
}

/// A stream of the session.
#[derive(Clone, Copy, Debug, PartialEq)]
enum On {
    First,
    Second,
    /// The one that a GET opened.
    Get,
}

const ALPHABET: [Step; 9] = [
    Step::OpenSecond,
    Step::Answer(On::First, 1),
    Step::Answer(On::First, 2),
    Step::Answer(On::Second, 1),
    Step::Answer(On::Second, 2),
    Step::Answer(On::Get, 1),
    Step::Answer(On::Get, 2),
    Step::Cancel(1),
    Step::EndFirst,
];

/// A call as the rules see it.
struct Told {
    on: On,
    id: u32,
    code: Option<String>,
}

/// The rules in plain words.
#[derive(Default)]
struct Rules {
    calls: Vec<Told>,
}

impl Rules {
    fn open(&mut self, on: On, id: u32) {
        self.calls.push(Told { on, id, code: None });
    }

    fn answer(&mut self, on: On, id: u32, code: &str) {
        if let Some(own) = self.calls.iter_mut().find(|call| call.on == on && call.id == id) {
            // Answered or not: the stream's own request, and no other.
            own.code.get_or_insert_with(|| code.to_owned());
        } else {
            self.end_open(|call| call.id == id, code);
        }
    }

    /// The latest open one of these ends so.
    fn end_open(&mut self, is_it: impl Fn(&Told) -> bool, code: &str) {
        if let Some(call) = self.calls.iter_mut().rev().find(|call| call.code.is_none() && is_it(call)) {
            call.code = Some(code.to_owned());
        }
    }
}

/// One stream on its way.
struct Opened {
    exchange: Exchange,
    reader: ResponseReader,
}

impl Opened {
    fn new(surrounded: &Surrounded, request: Option<(&str, u32)>) -> Self {
        let verb = if request.is_some() { Verb::Post } else { Verb::Other };
        let head = request_head(verb, "/mcp", Some("s"));
        let exchange =
            Exchange::begin(&surrounded.observer, surrounded.observer.arrival(None, 1), &head, Duration::MAX / 4);
        if let Some((method, id)) = request {
            let mut reader = RequestReader::new(Codings::IDENTITY, &exchange);
            reader.push(format!(r#"{{"id":{id},"method":"{method}"}}"#).as_bytes(), &exchange);
            reader.finish(true, &exchange);
        }
        let content_type = Some("text/event-stream");
        let head = ResponseHead { status: 200, session: None, content_type, codings: Codings::IDENTITY, cause: None };
        exchange.on_response_head(&head);
        let reader = ResponseReader::new(&head, &exchange).unwrap();
        Self { exchange, reader }
    }

    fn answer(&mut self, id: u32, code: &str) {
        let error = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"m"}}}}"#);
        self.reader.push(format!("data: {error}\n\n").as_bytes(), &self.exchange);
    }
}

fn cancel(surrounded: &Surrounded, id: u32) {
    let head = request_head(Verb::Post, "/mcp", Some("s"));
    let exchange =
        Exchange::begin(&surrounded.observer, surrounded.observer.arrival(None, 1), &head, Duration::MAX / 4);
    let mut reader = RequestReader::new(Codings::IDENTITY, &exchange);
    let params = format!(r#"{{"requestId":{id}}}"#);
    reader.push(format!(r#"{{"method":"notifications/cancelled","params":{params}}}"#).as_bytes(), &exchange);
    reader.finish(true, &exchange);
    exchange.end(End::Complete);
}

/// Plays a story, and compares every row. Each answer has a code of its own.
fn play(second_id: u32, story: &[Step]) {
    let surrounded = Surrounded::new();
    let mut rules = Rules::default();
    let mut first = Opened::new(&surrounded, Some(("first", 1)));
    rules.open(On::First, 1);
    let mut get = Opened::new(&surrounded, None);
    let mut second = None;
    let mut is_first_over = false;
    for (number, step) in story.iter().enumerate() {
        let code = (100 + number).to_string();
        match *step {
            Step::OpenSecond => {
                second = Some(Opened::new(&surrounded, Some(("second", second_id))));
                rules.open(On::Second, second_id);
            }
            Step::Answer(on, id) => {
                match on {
                    On::First => first.answer(id, &code),
                    On::Second => second.as_mut().unwrap().answer(id, &code),
                    On::Get => get.answer(id, &code),
                }
                rules.answer(on, id, &code);
            }
            Step::Cancel(id) => {
                cancel(&surrounded, id);
                rules.end_open(|call| call.id == id, "cancelled");
            }
            Step::EndFirst => {
                first.exchange.end(End::Complete);
                rules.end_open(|call| call.on == On::First, "no_response");
                is_first_over = true;
            }
        }
    }
    if !is_first_over {
        first.exchange.end(End::Complete);
    }
    second.iter().for_each(|second| drop(second.exchange.end(End::Complete)));
    get.exchange.end(End::Complete);
    while rules.calls.iter().any(|call| call.code.is_none()) {
        rules.end_open(|_| true, "no_response");
    }
    surrounded.observer.finish();
    drop((first, second, get));
    let mut rows: Vec<(String, String)> =
        surrounded.into_seen().into_iter().map(|seen| (seen.method, seen.code.unwrap())).collect();
    rows.sort();
    let name = |on| if on == On::First { "first" } else { "second" };
    let expected: Vec<(String, String)> =
        rules.calls.into_iter().map(|call| (name(call.on).to_owned(), call.code.unwrap())).collect();
    assert_eq!(rows, expected, "the second has id {second_id}: {story:?}");
}

/// Whether it can happen: the second request comes once, before anything on its stream; the first ends once, and nothing is on
/// its stream after that.
fn is_possible(story: &[Step]) -> bool {
    let place = |step| story.iter().position(|found| *found == step).unwrap_or(story.len());
    let (opened, ended) = (place(Step::OpenSecond), place(Step::EndFirst));
    story.iter().enumerate().all(|(at, step)| match step {
        Step::Answer(On::First, _) => at < ended,
        Step::Answer(On::Second, _) => at > opened,
        Step::OpenSecond => at == opened,
        Step::EndFirst => at == ended,
        Step::Answer(On::Get, _) | Step::Cancel(_) => true,
    })
}

#[test]
fn every_answer_belongs_first_to_the_ids_of_its_own_stream() {
    let mut played = 0;
    for story in stories(&ALPHABET, STEPS) {
        if !is_possible(&story) {
            continue;
        }
        for second_id in [1, 2] {
            play(second_id, &story);
            played += 1;
        }
    }
    assert!(played > 20_000, "{played}");
}
