//! The parser against a simple one that sees the whole input, at every cut.

use super::*;
use proptest::prelude::*;

/// What a stream means: the events that it dispatches, and what else it says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Meaning {
    events: Vec<(String, Vec<u8>)>,
    ids: Vec<Vec<u8>>,
    retries_ms: Vec<u64>,
}

fn parse(chunks: &[&[u8]]) -> Meaning {
    let mut parser = SseParser::new();
    let mut meaning = Meaning::default();
    let mut data = Vec::new();
    for chunk in chunks {
        parser.push(chunk, |part| match part {
            Part::Data(bytes) => data.extend_from_slice(bytes),
            Part::Dispatch { event } => meaning.events.push((event.to_owned(), std::mem::take(&mut data))),
            Part::Id(id) => meaning.ids.push(id.to_vec()),
            Part::Retry(retry_ms) => meaning.retries_ms.push(retry_ms),
        });
    }
    meaning
}

/// The standard's algorithm, line by line over the whole input.
fn parse_whole(input: &[u8]) -> Meaning {
    let input = input.strip_prefix(BYTE_ORDER_MARK).unwrap_or(input);
    let mut lines = vec![Vec::new()];
    let mut bytes = input.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                bytes.next_if_eq(&b'\n');
                lines.push(Vec::new());
            }
            b'\n' => lines.push(Vec::new()),
            _ => lines.last_mut().unwrap().push(byte),
        }
    }
    lines.pop();
    let mut meaning = Meaning::default();
    let (mut event, mut data): (String, Option<Vec<u8>>) = (String::new(), None);
    for line in lines {
        if line.is_empty() {
            if let Some(data) = data.take() {
                meaning.events.push((event.clone(), data));
            }
            event.clear();
            continue;
        }
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (&line[..], &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => match &mut data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => data = Some(value.to_vec()),
            },
            b"event" => event = String::from_utf8_lossy(value).into_owned(),
            b"id" => meaning.ids.push(value[..value.len().min(EVENT_ID_BYTES_MAX)].to_vec()),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                meaning.retries_ms.extend(std::str::from_utf8(value).unwrap().parse::<u64>().ok());
            }
            _ => {}
        }
    }
    meaning
}

fn one(event: &str, data: &str) -> Meaning {
    Meaning { events: vec![(event.to_owned(), data.as_bytes().to_vec())], ..Meaning::default() }
}

#[test]
fn the_standards_examples_mean_what_it_says() {
    let cases: &[(&str, Meaning)] = &[
        ("data: YHOO\ndata: +2\ndata: 10\n\n", one("", "YHOO\n+2\n10")),
        ("data:test\n\n", one("", "test")),
        ("data:  two spaces\n\n", one("", " two spaces")),
        (": a comment\n\ndata: x\n\n", one("", "x")),
        ("event: add\ndata: 1\n\n", one("add", "1")),
        ("data: 1\nevent: late\n\n", one("late", "1")),
        ("event: a\nevent: b\ndata: 1\n\n", one("b", "1")),
        ("\u{feff}data: marked\n\n", one("", "marked")),
        ("data\n\n", one("", "")),
        ("data\ndata\n\n", one("", "\n")),
        ("data: x\r\rdata: not complete", one("", "x")),
        ("data: x\r\n\r\n", one("", "x")),
        ("data: x\n\r", one("", "x")),
        ("dat: x\ndata : y\nDATA: z\n\n", Meaning::default()),
        ("event: lonely\n\ndata: x\n\n", one("", "x")),
        ("data: never ends\n", Meaning::default()),
        (
            "id: 1\nretry: 1500\nretry: soon\nretry: -1\n\n",
            Meaning { ids: vec![b"1".to_vec()], retries_ms: vec![1500], ..Meaning::default() },
        ),
    ];
    for (input, expected) in cases {
        assert_eq!(&parse(&[input.as_bytes()]), expected, "{input:?}");
        assert_eq!(&parse_whole(input.as_bytes()), expected, "{input:?}, by the simple parser");
    }
}

#[test]
fn names_and_small_values_are_bounded() {
    let mut parser = SseParser::new();
    for _ in 0..1000 {
        parser.push(b"nobody-knows-this-field", |_| panic!("nothing is complete"));
    }
    assert!(parser.name.len() <= FIELD_BYTES_MAX);
    parser.push(b"\nevent: ", |_| {});
    for _ in 0..1000 {
        parser.push(b"a-very-long-event-name", |_| panic!("nothing is complete"));
    }
    assert!(parser.value.len() <= FIELD_BYTES_MAX);
}

/// Streams made of what matters to the parser, so that most of them mean something.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just("data"), 2 => Just("data: "), 2 => Just("event:"), 1 => Just("id: 7"), 1 => Just("retry: 20"),
        3 => Just(":"), 3 => Just(" "), 4 => Just("\n"), 3 => Just("\r"), 3 => Just("\r\n"), 2 => Just("\n\n"),
        2 => Just("x"), 1 => Just("\u{feff}"), 1 => Just("ä"), 1 => Just("{\"id\":1}"),
    ];
    (any::<bool>(), prop::collection::vec(piece, 0..24))
        .prop_map(|(mark, pieces)| if mark { "\u{feff}".to_owned() + &pieces.concat() } else { pieces.concat() })
        .prop_map(String::into_bytes)
}

proptest! {
    #[test]
    fn every_cut_means_the_same_as_the_whole(input in stream()) {
        let expected = parse_whole(&input);
        for cut in 0..=input.len() {
            prop_assert_eq!(&parse(&[&input[..cut], &input[cut..]]), &expected, "cut at {}", cut);
        }
        prop_assert_eq!(parse(&input.chunks(1).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn any_bytes_mean_the_same_in_any_pieces(input in prop::collection::vec(any::<u8>(), 0..200), size in 1_usize..9) {
        let expected = parse(&[&input]);
        prop_assert_eq!(parse(&input.chunks(size).collect::<Vec<_>>()), expected);
    }
}
