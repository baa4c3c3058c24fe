//! The scanner against `serde_json`, at every cut, and on what is no JSON-RPC.

use super::super::message::{SLOTS, Slot, TOKEN_BYTES_MAX};
use super::*;
use mcplog::event::ERROR_MSG_CHARS_MAX;
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
    (Slot::TaskId, "/params/taskId"),
    (Slot::ResultTaskId, "/result/taskId"),
    (Slot::CreatedTaskId, "/result/task/taskId"),
    (Slot::TaskIsError, "/result/result/isError"),
    (Slot::TaskErrorMessage, "/result/error/message"),
];

/// What was read of one message: every slot's value, the two flags, and where it lies.
#[derive(Debug, PartialEq)]
struct Read {
    values: Vec<Option<Value>>,
    has_result: bool,
    has_error: bool,
    in_batch: bool,
    error_text: Option<String>,
    text: String,
}

/// What the content of a result that is an error says, by its definition.
fn error_text(message: &Value) -> Option<String> {
    let is_error = |of: &str| message.pointer(&format!("{of}/isError")) == Some(&json!(true));
    let of = ["/result", "/result/result"].into_iter().find(|of| is_error(of))?;
    let items = message.pointer(&format!("{of}/content"))?.as_array()?;
    let texts: Vec<&str> = items
        .iter()
        .filter(|item| item.get("type") == Some(&json!("text")))
        .filter_map(|item| item.get("text")?.as_str().filter(|text| !text.is_empty()))
        .collect();
    let text = texts.join("\n");
    let beginning: String = text.chars().take(ERROR_MSG_CHARS_MAX).collect();
    let mark = if beginning == text { "" } else { "…" };
    (!text.is_empty()).then(|| beginning + mark)
}

fn read(message: &Message, whole: &[u8]) -> Read {
    let range = usize::try_from(message.start).unwrap()..usize::try_from(message.end).unwrap();
    Read {
        values: SLOT_PATHS.iter().map(|(slot, _)| Some(serde_json::from_slice(message.raw(*slot)?).unwrap())).collect(),
        has_result: message.has_result,
        has_error: message.has_error,
        in_batch: message.in_batch,
        error_text: message.error_text().map(str::to_owned),
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
        error_text: error_text(message),
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
fn documents_that_follow_each_other_are_read_where_there_may_be_many_and_else_the_first_one() {
    let lines =
        ["{\"id\":1,\"result\":{}}", "[{\"id\":2,\"method\":\"a\"},{\"id\":3}]", "{\"id\":\"}{\",\"error\":{}}"];
    for separator in ["\n", "\r\n", "", " \n\n "] {
        let text = format!("{}{separator}", lines.join(separator));
        for cut in 0..=text.len() {
            let (head, tail) = text.as_bytes().split_at(cut);
            let read = |scanner: Scanner| {
                let (mut scanner, mut found) = (scanner, Vec::new());
                for part in [head, tail] {
                    scanner.push(part, |message| {
                        let range = usize::try_from(message.start).unwrap()..usize::try_from(message.end).unwrap();
                        found.push((text[range].to_owned(), message.in_batch));
                    });
                }
                assert!(scanner.is_done(), "{text}");
                found
            };
            let first = (lines[0].to_owned(), false);
            assert_eq!(read(Scanner::new()), std::slice::from_ref(&first));
            let batch = ["{\"id\":2,\"method\":\"a\"}", "{\"id\":3}"].map(|text| (text.to_owned(), true));
            let [second, third] = batch;
            assert_eq!(read(Scanner::new().of_many()), [first, second, third, (lines[2].to_owned(), false)], "{cut}");
        }
    }
    let mut found = 0;
    let mut scanner = Scanner::new().of_many();
    scanner.push(b"{\"id\":1,\"result\":{}}\n? {\"id\":2,\"result\":{}}", |_| found += 1);
    assert_eq!(found, 1, "what is no JSON ends the reading");
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
    assert!(scanner.collector.message.text_bytes() < 1024);
}

fn error_text_of(document: &str) -> Option<String> {
    let (mut reads, _) = scan(&[document.as_bytes()]);
    assert_eq!(reads.len(), 1, "{document}");
    reads.remove(0).error_text
}

#[test]
fn the_text_of_an_error_is_that_of_its_items_of_type_text_wherever_they_stand() {
    let failed = |members: &str| format!(r#"{{"id":1,"result":{{{members}}}}}"#);
    let item = r#"{"type":"text","text":"no such file"}"#;
    let content = format!(r#""content":[{item}]"#);
    let cases = [
        (format!(r#"{content},"isError":true"#), Some("no such file")),
        (format!(r#""isError":true,{content}"#), Some("no such file")),
        (format!(r#""isError":false,{content},"isError":true"#), Some("no such file")),
        // Several, with others between them.
        (r#""isError":true,"content":[{"text":"a","type":"text"},{"type":"image","data":"x"},{"type":"text","text":"b"}]"#.into(), Some("a\nb")),
        (r#""isError":true,"content":[{"type":"text","text":""},{"type":"text","text":"b"},{"type":"text","text":""}]"#.into(), Some("b")),
        (r#""isError":true,"content":["a",1,[{"type":"text","text":"deep"}],null,{"type":"text","text":"b"}]"#.into(), Some("b")),
        (r#""isError":true,"content":[{"type":"t\u0065xt","\u0074ext":"\ud83d\ude00\n"}]"#.into(), Some("😀\n")),
        (r#""isError":true,"content":[{"annotations":{"type":"image","text":"no"},"type":"text","text":"b","_meta":{"text":"no"}}]"#.into(), Some("b")),
        // That of a task's result, whatever stands around it.
        (format!(r#""taskId":"t","result":{{{content},"isError":true}}"#), Some("no such file")),
        (format!(r#""result":{{"isError":true,{content}}},"content":[{{"type":"text","text":"no"}}]"#), Some("no such file")),
        (format!(r#""content":[{{"type":"text","text":"no"}}],"result":{{"isError":true,{content}}}"#), Some("no such file")),
        (format!(r#""isError":true,{content},"result":{{"isError":true,"content":[{{"type":"text","text":"no"}}]}}"#), Some("no such file")),
        (format!(r#""result":{{{content},"isError":true}},"result":{{"isError":true}}"#), None),
        (format!(r#""result":{{{content},"isError":true}},"result":null"#), None),
        (format!(r#""result":{{{content}}},"isError":true"#), None),
        (format!(r#""result":{{"result":{{{content},"isError":true}}}}"#), None),
        // No text.
        (r#""isError":true"#.into(), None),
        (r#""isError":true,"content":[]"#.into(), None),
        (r#""isError":true,"structuredContent":{"content":[{"type":"text","text":"no"}],"text":"no"}"#.into(), None),
        (r#""isError":true,"content":[{"type":"resource","resource":{"type":"text","text":"no"}},{"type":"image","text":"no"}]"#.into(), None),
        (r#""isError":true,"content":[{"text":"no"},{"type":"text"},{"type":["text"],"text":"no"},{"type":"texts","text":"no"},{"type":"tex","text":"no"}]"#.into(), None),
        (r#""isError":true,"content":[{"type":"text","text":5},{"type":"text","text":null},{"type":"text","text":["no"]}]"#.into(), None),
        (r#""isError":true,"content":{"type":"text","text":"no"}"#.into(), None),
        (r#""isError":true,"content":"no""#.into(), None),
        // No error.
        (content.clone(), None),
        (format!(r#"{content},"isError":false"#), None),
        (format!(r#"{content},"isError":"true""#), None),
        (format!(r#"{content},"isError":true,"isError":null"#), None),
        // What comes twice counts as it came last.
        (format!(r#""isError":true,"content":[{{"type":"text","text":"first"}}],{content}"#), Some("no such file")),
        (format!(r#""isError":true,{content},"content":null"#), None),
        (r#""isError":true,"content":[{"type":"text","text":"first","text":"last"}]"#.into(), Some("last")),
        (r#""isError":true,"content":[{"type":"text","text":"first","text":{"text":"x"}}]"#.into(), None),
        (r#""isError":true,"content":[{"type":"text","text":"a","type":"image"},{"type":"image","text":"b","type":"text"}]"#.into(), Some("b")),
        (r#""isError":true,"content":[{"type":"text","text":"a","type":null}]"#.into(), None),
    ];
    for (members, expected) in cases {
        let document = failed(&members);
        assert_eq!(error_text_of(&document).as_deref(), expected, "{document}");
        // The definition by `serde_json` says the same, at every cut.
        let whole: Value = serde_json::from_str(&document).unwrap();
        for cut in 0..=document.len() {
            let (head, tail) = document.as_bytes().split_at(cut);
            let (reads, _) = scan(&[head, tail]);
            assert_eq!(reads[0].error_text, error_text(&whole), "cut at {cut}: {document}");
        }
        // Nobody asked for it.
        let mut scanner = Scanner::new().without_error_text();
        scanner.push(document.as_bytes(), |message| {
            assert_eq!((message.error_text(), message.has_result), (None, true));
            assert_eq!(message.is_error(), whole.pointer("/result/isError") == Some(&json!(true)), "{document}");
        });
        assert!(scanner.is_done(), "{document}");
    }
    for document in [
        format!(r#"{{"id":1,"result":{{"isError":true,{content}}},"result":{{"isError":true}}}}"#),
        format!(r#"{{"id":1,"result":{{"isError":true,{content}}},"result":5}}"#),
        format!(r#"{{"id":1,"result":[{{"isError":true,{content}}}]}}"#),
        format!(r#"{{"id":1,"isError":true,{content}}}"#),
    ] {
        assert_eq!(error_text_of(&document), None, "{document}");
    }
}

#[test]
fn the_text_of_an_error_is_cut_behind_512_characters_whatever_they_are_written_as() {
    for (letter, written) in
        [("x", "x"), ("ä", "ä"), ("ä", "\\u00e4"), ("😀", "😀"), ("😀", "\\ud83d\\ude00"), ("\n", "\\n")]
    {
        for first in [0, 1, 100, 511, 512, 513] {
            for letters in [510, 511, 512, 513, 514, 3_000] {
                let items = [written.repeat(first), written.repeat(letters)]
                    .map(|text| format!(r#"{{"type":"text","text":"{text}"}}"#))
                    .join(",");
                let document = format!(r#"{{"id":1,"result":{{"content":[{items}],"isError":true}}}}"#);
                let parts: Vec<String> =
                    [first, letters].iter().filter(|n| **n > 0).map(|n| letter.repeat(*n)).collect();
                let text = parts.join("\n");
                let expected = match text.char_indices().nth(ERROR_MSG_CHARS_MAX) {
                    Some((end, _)) => format!("{}…", &text[..end]),
                    None => text,
                };
                for size in [document.len(), 1, 7, 4096] {
                    let (reads, _) = scan(&document.as_bytes().chunks(size).collect::<Vec<_>>());
                    let found = reads[0].error_text.as_deref();
                    assert_eq!(found, Some(&*expected), "{first} and {letters} of {written}, {size} bytes at a time");
                }
            }
        }
    }
}

#[test]
fn a_text_is_held_no_longer_than_it_may_be_that_of_an_error() {
    let mut scanner = Scanner::new();
    let result = |is_error| {
        format!(r#"{{"id":1,"result":{{"content":[{{"type":"text","text":"secret"}}],"isError":{is_error}}}}}"#)
    };
    scanner.push(format!("[{},", result(false)).as_bytes(), |message| assert_eq!(message.error_text(), None));
    assert_eq!(scanner.collector.content_so_far(), None);
    scanner.push(format!(r#"{},{{"id":1,"result":{{"isError":true}}}}"#, result(true)).as_bytes(), |message| {
        // Each message has its own.
        let is_second = message.start < 150;
        assert_eq!(message.error_text(), is_second.then_some("secret"));
    });
    // Not even one that broke off.
    scanner.reset();
    scanner.push(&result(true).as_bytes()[..60], |_| {});
    scanner.reset();
    scanner.push(br#"{"id":1,"result":{"isError":true}}"#, |message| assert_eq!(message.error_text(), None));
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
            "protocolVersion", "clientInfo", "_meta", "ref", "code", "message", "isError", "content", "type", "text",
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

/// Results of tools, of what matters in them.
fn tool_result() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        4 => any::<String>().prop_map(Value::from),
        2 => ("[a\\\\\"\u{e4}\u{1f600}]{1,3}", 0_usize..300).prop_map(|(text, times)| Value::from(text.repeat(times))),
        1 => value(),
    ];
    let kind = prop_oneof![
        6 => Just(json!("text")),
        1 => prop::sample::select(vec![json!("tex"), json!("textt"), json!(""), json!(null), json!("image")]),
        1 => value(),
    ];
    let item = prop_oneof![
        8 => (kind, text, any::<bool>()).prop_map(|(kind, text, is_first)| {
            // A map is sorted: the other name comes before `type`.
            let other = if is_first { "aside" } else { "zzz" };
            json!({"type": kind, "text": text, other: {"text": "aside"}})
        }),
        1 => value(),
    ];
    let is_error = prop_oneof![4 => Just(json!(true)), 1 => value()];
    (prop::collection::vec(item, 0..5), is_error)
        .prop_map(|(content, is_error)| json!({"id": 1, "result": {"content": content, "isError": is_error}}))
}

proptest! {
    #[test]
    fn the_text_of_an_error_is_the_same_at_every_cut_and_in_pieces_of_any_size(
        message in tool_result(), is_escaped in any::<bool>(), sizes in prop::collection::vec(1_usize..40, 1..20),
    ) {
        let mut text = message.to_string();
        if is_escaped {
            let units = |character: char| character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect();
            text = text.chars().map(|c| if c.is_ascii() { c.to_string() } else { units(c) }).collect();
        }
        let expected = error_text(&message);
        let found = |chunks: &[&[u8]]| scan(chunks).0.remove(0).error_text;
        let step = text.len() / 40 + 1;
        for cut in (0..=text.len()).step_by(step) {
            let (head, tail) = text.as_bytes().split_at(cut);
            prop_assert_eq!(&found(&[head, tail]), &expected, "cut at {} of {}", cut, text);
        }
        let (mut chunks, mut rest) = (Vec::new(), text.as_bytes());
        for size in sizes.iter().cycle() {
            let (chunk, after) = rest.split_at(rest.len().min(*size));
            chunks.push(chunk);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(found(&chunks), expected);
    }

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
