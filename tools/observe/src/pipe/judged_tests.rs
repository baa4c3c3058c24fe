//! Random talks of both sides, cut anywhere, against the rules in plain words.

use super::Side;
use super::fixture::Piped;
use super::judge::{Judge, Row};
use crate::testing::Seen;
use mcplog::event::Note;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::fmt;

/// What happens.
#[derive(Clone)]
enum Step {
    /// That side sends a line, with its end.
    Line(Side, Vec<u8>),
    ServerGone,
    ClientGone,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(side, line) => write!(f, "{side:?}: {}", line.escape_ascii()),
            Self::ServerGone => f.write_str("server gone"),
            Self::ClientGone => f.write_str("client gone"),
        }
    }
}

/// How a reader under test may be broken.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Planted {
    Nothing,
    /// What is no message spoils the line behind it.
    NeverResynchronises,
    /// Both sides' messages are taken for one side's.
    MixesDirections,
}

type Recorded = (Vec<Row>, (u64, u64));

fn id() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["1", "2", "1.0", r#""1""#, r#""a""#])
}

fn message(side: Side) -> impl Strategy<Value = String> {
    let method = prop::sample::select(match side {
        Side::Client => vec!["ping", "tools/call", "server/discover", "subscriptions/listen"],
        Side::Server => vec!["ping", "sampling/createMessage", "elicitation/create"],
    });
    let said = prop::sample::select(vec![r#""jsonrpc":"2.0","#, r#""jsonrpc":"2.0","#, r#""jsonrpc":"2.0","#, ""]);
    let answer = prop::sample::select(vec![
        r#""result":{}"#,
        r#""result":{"isError":true,"content":[{"type":"text","text":"é\n"}]}"#,
        r#""error":{"code":-32601,"message":"no such method"}"#,
        r#""level":"info","text":"}{][\\\"""#,
    ]);
    prop_oneof![
        4 => (said.clone(), id(), method).prop_map(|(said, id, method)| {
            format!(r#"{{{said}"id":{id},"method":"{method}","params":{{"name":"t"}}}}"#)
        }),
        5 => (said.clone(), id(), answer).prop_map(|(said, id, answer)| format!(r#"{{{said}"id":{id},{answer}}}"#)),
        1 => (said.clone(), id()).prop_map(|(said, id)| {
            format!(r#"{{{said}"method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#)
        }),
        1 => said.prop_map(|said| format!(r#"{{{said}"method":"notifications/progress"}}"#)),
    ]
}

fn line(side: Side) -> impl Strategy<Value = Vec<u8>> {
    let batch = prop::collection::vec(prop_oneof![4 => message(side), 1 => Just("7".to_owned())], 0..4)
        .prop_map(|messages| format!("[{}]", messages.join(",")));
    let cut = (message(side), any::<prop::sample::Index>()).prop_map(|(text, at)| {
        let at = text.floor_char_boundary(at.index(text.len()));
        text[..at].to_owned()
    });
    let stray = prop_oneof![
        Just(String::new()),
        Just(" \t".to_owned()),
        Just("Server running on stdio".to_owned()),
        Just("[info] {\"ready\":true}".to_owned()),
        Just("{\"ready\":true}".to_owned()),
        "[\\[\\]{}\",:a1 \\\\]{0,12}",
        message(side).prop_map(|message| format!("{message} x")),
        (message(side), message(side)).prop_map(|(one, other)| one + &other),
    ];
    let text = prop_oneof![8 => message(side), 2 => batch, 1 => cut, 3 => stray].prop_map(String::into_bytes);
    let ends = prop::sample::select(vec!["\n", "\r\n"]);
    let bytes = prop_oneof![12 => text, 1 => prop::collection::vec(any::<u8>(), 0..12)];
    (bytes, ends).prop_map(|(mut line, end)| {
        line.retain(|byte| *byte != b'\n');
        [&line, end.as_bytes()].concat()
    })
}

fn talk() -> impl Strategy<Value = Vec<Step>> {
    let line = |side: Side| line(side).prop_map(move |line| Step::Line(side, line));
    let step = prop_oneof![
        20 => line(Side::Client),
        20 => line(Side::Server),
        1 => Just(Step::ServerGone),
        1 => Just(Step::ClientGone),
    ];
    prop::collection::vec(step, 0..24)
}

/// What the rules say of that talk.
fn judged(talk: &[Step]) -> Recorded {
    let mut judge = Judge::default();
    for step in talk {
        match step {
            Step::Line(side, line) => judge.line(*side, &line[..line.len() - 1]),
            Step::ServerGone => judge.end("server_exited"),
            Step::ClientGone => judge.end("client_gone"),
        }
    }
    judge.verdict()
}

/// What is recorded of it, in pieces of those lengths. A line is there when its turn comes, and of that side's next one
/// as much as the cuts say, short of its end.
fn recorded(talk: &[Step], cuts: &[usize], planted: Planted) -> Recorded {
    let mut cuts = cuts.iter().copied().cycle();
    let mut piped = Piped::new();
    // What passed already of each side's next line.
    let mut ahead = [0, 0];
    for (at, step) in talk.iter().enumerate() {
        let (side, line) = match step {
            Step::Line(side, line) => (*side, line),
            Step::ServerGone => {
                piped.pipe.on_server_gone("exit code 1");
                continue;
            }
            Step::ClientGone => {
                piped.pipe.on_client_gone();
                continue;
            }
        };
        let next = talk[at + 1..].iter().find_map(|step| match step {
            Step::Line(other, line) if *other == side => Some(&line[..line.len() - 1]),
            _ => None,
        });
        let next = next.unwrap_or_default();
        let passed = std::mem::replace(&mut ahead[side as usize], cuts.next().unwrap_or(0) % (next.len() + 1));
        let mut bytes = [&line[passed..], &next[..ahead[side as usize]]].concat();
        if planted == Planted::NeverResynchronises && judged(std::slice::from_ref(step)).1.0 > 0 {
            bytes.remove(line.len() - passed - 1);
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (piece, others) = rest.split_at((1 + cuts.next().unwrap_or(0)).min(rest.len()));
            piped.pass(if planted == Planted::MixesDirections { Side::Client } else { side }, piece);
            rest = others;
        }
    }
    let noise = piped.noise();
    let mut rows: Vec<Row> = piped.dropped().iter().map(row).collect();
    rows.sort();
    (rows, noise)
}

fn row(seen: &Seen) -> Row {
    Row {
        direction: format!("{:?}", seen.direction.unwrap()),
        method: seen.method.clone(),
        id: seen.rpc_id.clone().unwrap(),
        outcome: format!("{:?}", seen.outcome.unwrap()),
        code: seen.code.clone(),
        is_late: seen.notes.has(Note::LateAnswer),
        is_lenient: seen.notes.has(Note::LenientId),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn however_a_talk_is_cut_its_rows_are_those_of_the_rules(
        talk in talk(), cuts in prop::collection::vec(0..40_usize, 1..12),
    ) {
        prop_assert_eq!(recorded(&talk, &cuts, Planted::Nothing), judged(&talk));
    }
}

#[test]
fn the_rules_find_a_reader_that_is_broken() {
    for planted in [Planted::NeverResynchronises, Planted::MixesDirections] {
        let mut runner = TestRunner::deterministic();
        let is_found = (0..200).any(|_| {
            let talk = talk().new_tree(&mut runner).unwrap().current();
            recorded(&talk, &[usize::MAX >> 1], planted) != judged(&talk)
        });
        assert!(is_found, "{planted:?}");
    }
}
