//! The scanner against `serde_json`, at every cut, and on what is no JSON-RPC.

use super::super::message::{SLOTS, TOKEN_BYTES_MAX};
use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

const SLOT_PATHS: [(Slot, &str); SLOTS] = [
    (Slot::JsonRpc, "/jsonrpc"),
    (Slot::Id, "/id"),
    (Slot::Method, "/method"),
    (Slot::Name, "/params/name"),
    (Slot::Uri, "/params/uri"),
    (Slot::Cursor, "/params/cursor"),
    (Slot::CancelledId, "/params/requestId"),
    (Slot::RequestedVersion, "/params/protocolVersion"),
    (Slot::ClientName, "/params/clientInfo/name"),
    (Slot::ClientVersion, "/params/clientInfo/version"),
    (Slot::MetaProtocolVersion, "/params/_meta/io.modelcontextprotocol~1protocolVersion"),
    (Slot::MetaClientName, "/params/_meta/io.modelcontextprotocol~1clientInfo/name"),
    (Slot::MetaClientVersion, "/params/_meta/io.modelcontextprotocol~1clientInfo/version"),
    (Slot::RefName, "/params/ref/name"),
    (Slot::RefUri, "/params/ref/uri"),
    (Slot::ErrorCode, "/error/code"),
    (Slot::ErrorMessage, "/error/message"),
    (Slot::IsError, "/result/isError"),
    (Slot::AgreedVersion, "/result/protocolVersion"),
    (Slot::ResultType, "/result/resultType"),
];

/// What was read of one message: every slot's value, the two flags, and where it lies.
#[derive(Debug, PartialEq)]
struct Read {
    values: Vec<Option<Value>>,
    has_result: bool,
    has_error: bool,
    in_batch: bool,
    text: String,
}

fn read(message: &Message, whole: &[u8]) -> Read {
    let range = usize::try_from(message.start).unwrap()..usize::try_from(message.end).unwrap();
    Read {
        values: SLOT_PATHS.iter().map(|(slot, _)| Some(serde_json::from_slice(message.raw(*slot)?).unwrap())).collect(),
        has_result: message.has_result,
        has_error: message.has_error,
        in_batch: message.in_batch,
        text: String::from_utf8_lossy(&whole[range]).into_owned(),
    }
}

fn scan(chunks: &[&[u8]]) -> (Vec<Read>, bool) {
    let whole = chunks.concat();
    let mut scanner = Scanner::new();
    let mut reads = Vec::new();
    let mut position = 0;
    for chunk in chunks {
        position += chunk.len();
        scanner.push(chunk, |message| reads.push(read(message, &whole[..position])));
    }
    (reads, scanner.is_done())
}

/// The same by `serde_json`.
fn expected(document: &Value) -> Vec<Read> {
    let (messages, in_batch) = match document {
        Value::Array(messages) => (messages.clone(), true),
        message => (vec![message.clone()], false),
    };
    let read = |message: &Value| Read {
        values: SLOT_PATHS
            .iter()
            .map(|(_, path)| message.pointer(path).filter(|value| !value.is_object() && !value.is_array()).cloned())
            .collect(),
        has_result: message.get("result").is_some(),
        has_error: message.get("error").is_some_and(Value::is_object),
        in_batch,
        text: message.to_string(),
    };
    messages.iter().filter(|message| message.is_object()).map(read).collect()
}

#[test]
fn every_slot_is_read_from_its_place_and_from_nowhere_else() {
    for (slot, path) in SLOT_PATHS {
        let keys: Vec<String> = path[1..].split('/').map(|key| key.replace("~1", "/")).collect();
        let wrap =
            |value: Value, keys: &[String]| keys.iter().rev().fold(value, |value, key| json!({key.as_str(): value}));
        let message = wrap(json!("here"), &keys);
        let (reads, done) = scan(&[message.to_string().as_bytes()]);
        assert!(done, "{path}");
        assert_eq!(reads, expected(&message), "{path}");
        assert_eq!(reads[0].values[slot as usize], Some(json!("here")), "{path}");
        // The same keys one level deeper mean nothing.
        let deeper = json!({"x": message, "params": {"arguments": message}, "result": {"content": [message]}});
        let (reads, _) = scan(&[deeper.to_string().as_bytes()]);
        assert!(reads[0].values.iter().all(Option::is_none), "{path}");
    }
}

#[test]
fn a_large_message_is_read_in_small_memory() {
    let mut scanner = Scanner::new();
    let mut reads = 0;
    scanner.push(br#"{"result":{"content":[{"type":"image","data":""#, |_| panic!("too early"));
    for _ in 0..1000 {
        scanner.push(&[b'A'; 10_000], |_| panic!("too early"));
    }
    scanner.push(br#""}],"isError":true},"jsonrpc":"2.0","id":1}"#, |message| {
        reads += 1;
        assert_eq!(message.raw(Slot::IsError), Some(&b"true"[..]));
        assert_eq!(message.raw(Slot::Id), Some(&b"1"[..]));
        assert!(message.bytes() > 10_000_000);
    });
    assert_eq!(reads, 1);
    assert!(scanner.message.text_bytes() < 1024);
}

#[test]
fn a_long_value_is_cut_and_still_text() {
    for filler in ["a", "ä", "\\u00e4", "\\ud83d\\ude00", "\\\\", "\\n"] {
        for offset in 0..12 {
            let text = "b".repeat(offset) + &filler.repeat(TOKEN_BYTES_MAX);
            let json = format!(r#"{{"id":1,"error":{{"code":-1,"message":"{text}"}}}}"#);
            let whole: Value = serde_json::from_str(&json).unwrap();
            let whole = whole["error"]["message"].as_str().unwrap();
            let mut seen = 0;
            Scanner::new().push(json.as_bytes(), |message| {
                seen += 1;
                assert_eq!(message.raw(Slot::ErrorMessage).unwrap().len(), TOKEN_BYTES_MAX);
                let cut = message.text(Slot::ErrorMessage).unwrap();
                let cut = cut.trim_end_matches(char::REPLACEMENT_CHARACTER);
                assert!(whole.starts_with(cut), "{filler} {offset}");
                assert!(cut.chars().count() >= 512, "{filler} {offset}");
            });
            assert_eq!(seen, 1);
        }
    }
}

#[test]
fn what_is_no_json_rpc_is_left_alone() {
    for text in [
        "",
        "  ",
        "<html>{\"id\":1}</html>",
        "null",
        "17",
        "\"id\"",
        "[]",
        "[1,\"{\",null,[{\"id\":1}]]",
        "{\"id\":",
        "{\"id\" 1}",
        "{:}",
        "{\"a\":}",
        "}",
        "{]",
    ] {
        let (reads, _) = scan(&[text.as_bytes()]);
        assert_eq!(reads, [], "{text}");
    }
    let (reads, done) = scan(&[b"{} trailing {\"id\":1}"]);
    assert_eq!((reads.len(), done), (1, true), "one document, one message");
}

#[test]
fn a_message_that_breaks_off_is_known_as_far_as_it_came() {
    let text =
        br#"[{"id":1,"method":"ping"},{"method":"tools/call","id":2,"params":{"name":"x","arguments":{"text":"abc"#;
    let mut scanner = Scanner::new();
    scanner.push(text, |_| {});
    assert!(!scanner.is_done());
    let message = scanner.unfinished().unwrap();
    assert_eq!(message.text(Slot::Method).as_deref(), Some("tools/call"));
    assert_eq!(message.raw(Slot::Id), Some(&b"2"[..]));
    assert_eq!(message.end, text.len() as u64);

    let mut halved = Scanner::new();
    halved.push(br#"{"method":"ping","id":12"#, |_| {});
    assert_eq!(halved.unfinished().unwrap().raw(Slot::Id), None, "it may have gone on with 3");
    halved.push(b"3}", |_| {});
    assert!(halved.unfinished().is_none());
}

#[test]
fn a_scanner_starts_over_after_a_reset() {
    let mut scanner = Scanner::new();
    scanner.push(br#"[{"id":1,"method":"half"#, |_| {});
    scanner.reset();
    let mut seen = Vec::new();
    scanner.push(br#"{"id":2}"#, |message| {
        seen.push((message.start, message.end, message.in_batch, message.raw(Slot::Method).is_some()));
    });
    assert_eq!(seen, [(0, 8, false, false)]);
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[\"\\\\{}\\[\\]:, a/]{0,12}".prop_map(Value::from),
    ]
}

/// Values whose keys are mostly the ones that matter, at any depth.
fn value() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        8 => prop::sample::select(vec![
            "jsonrpc", "id", "method", "params", "result", "error", "name", "uri", "cursor", "requestId", "version",
            "protocolVersion", "clientInfo", "_meta", "ref", "code", "message", "isError",
            "io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientInfo",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    scalar().prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            3 => prop::collection::btree_map(key.clone(), inner.clone(), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
            1 => prop::collection::vec(inner, 0..4).prop_map(Value::from),
        ]
    })
}

fn document() -> impl Strategy<Value = Value> {
    value().prop_filter("a document is an object or an array", |value| value.is_object() || value.is_array())
}

proptest! {
    #[test]
    fn it_reads_what_serde_json_reads_at_every_cut(document in document(), pretty in any::<bool>()) {
        let expected = expected(&document);
        let text = document.to_string();
        for cut in 0..=text.len() {
            let (reads, done) = scan(&[&text.as_bytes()[..cut], &text.as_bytes()[cut..]]);
            prop_assert!(done);
            prop_assert_eq!(&reads, &expected, "cut at {} of {}", cut, text);
        }
        if pretty {
            let text = serde_json::to_string_pretty(&document).unwrap();
            let (reads, done) = scan(&text.as_bytes().chunks(1).collect::<Vec<_>>());
            prop_assert!(done);
            let values = |reads: &[Read]| reads.iter().map(|read| read.values.clone()).collect::<Vec<_>>();
            prop_assert_eq!(values(&reads), values(&expected));
        }
    }

    #[test]
    fn any_bytes_are_survived_in_any_pieces(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "[{}\\[\\]\":,\\\\ a1]{0,80}".prop_map(String::into_bytes),
        ],
        size in 1_usize..7,
    ) {
        let count = |chunks: &[&[u8]]| {
            let mut scanner = Scanner::new();
            let mut messages = 0;
            for chunk in chunks {
                scanner.push(chunk, |_| messages += 1);
            }
            (messages, scanner.is_done(), scanner.unfinished().is_some())
        };
        prop_assert_eq!(count(&[&bytes]), count(&bytes.chunks(size).collect::<Vec<_>>()));
    }
}
