//! What is read of documents, what they are refused for, and what of them may be shown.

use super::document_tests::{at, parsed};
use super::{Document, DocumentError, Format, Step};
use serde_json::json;

#[test]
fn an_error_says_where_and_what_and_nothing_of_the_file() {
    let cases = [
        (Format::Json, "{\n  \"hunter2\": \"hunter2\"\n  \"ü\": 1}", (3, 3)),
        (Format::Json, "{\"ü\": hunter2}", (1, 7)),
        (Format::Json, "{\"a\": \"\\uhunter2\"}", (1, 8)),
        (Format::Json, "{\"a\": \"hunter2\\q\"}", (1, 15)),
        (Format::Json, "{'hunter2': 1}", (1, 2)),
        (Format::Json, "{\"a\": [1,, 2]}", (1, 10)),
        (Format::Json, "{\"a\": [1}", (1, 9)),
        (Format::Json, "{\"a\": 1", (1, 8)),
        (Format::Json, "{} {}", (1, 4)),
        (Format::Json, "[01]", (1, 3)),
        (Format::Json, "/* hunter2", (1, 1)),
        (Format::Toml, "a = 1\r\nb = hunter2\r\n", (2, 5)),
        (Format::Toml, "hunter2 = 1\nhunter2 = 2", (2, 1)),
        (Format::Toml, "a = \"hunter2", (1, 13)),
        (Format::Toml, "hunter2 = \"x\"\nhunter2.b = 1", (2, 1)),
        (Format::Yaml, "a: 1\n\tb: hunter2\n", (1, 4)),
        (Format::Yaml, "a: *hunter2\n", (1, 4)),
        (Format::Yaml, "a: !hunter2!x y\n", (1, 4)),
        (Format::Yaml, "a: \"hunter2\\q\"\n", (1, 4)),
        (Format::Yaml, "a: 1\n---\nhunter2: 1\n", (2, 1)),
    ];
    for (format, text, place) in cases {
        let error = Document::parse(format, text).unwrap_err();
        let DocumentError::Invalid { line, column, ref problem } = error else { panic!("{error:?}") };
        assert!(!problem.contains("hunter") && problem.len() > 10, "{problem}");
        assert_eq!((line, column), place, "{text}: {problem}");
    }
}

#[test]
fn values_names_and_sources_are_read_as_they_stand() {
    let json =
        parsed(Format::Json, r#"{"a": ["${VAR:-x}", 1, -2.5, null, {"b\u0041": "\ud83d\ude80"}], "d": 1, "d": 2}"#);
    assert_eq!(json.value(&at("a")), Some(json!(["${VAR:-x}", 1, -2.5, null, {"bA": "🚀"}])));
    assert_eq!((json.keys(&[]), json.len(&at("a"))), (vec!["a".to_owned(), "d".to_owned()], 5));
    assert_eq!(json.source(&at("a>4")), Some(r#"{"b\u0041": "\ud83d\ude80"}"#));
    // As those who parse it read it.
    assert_eq!(json.value(&at("d")), Some(json!(2)));
    assert_eq!((json.value(&at("x")), json.keys(&at("a")), json.len(&at("d"))), (None, Vec::new(), 0));

    let toml =
        parsed(Format::Toml, "[a.b]\nc = 0x10\nd.e = 1979-05-27\nf = [1.5, inf, '''x''']\n[[g]]\nh = {i = true}\n");
    let b = json!({"c": 16, "d": {"e": "1979-05-27"}, "f": [1.5, "inf", "x"]});
    assert_eq!(toml.value(&[]), Some(json!({"a": {"b": b}, "g": [{"h": {"i": true}}]})));
    assert_eq!((toml.source(&at("a>b")), toml.source(&at("g>0>h"))), (None, Some("{i = true}")));

    let yaml = parsed(Format::Yaml, "a: [~, yes, 0x10, +1, .5, .inf, 'x']\nb: |-\n  t\n\n   u\n\nc: &r\nd: *r");
    assert_eq!(yaml.value(&at("a")), Some(json!([null, "yes", 16, 1, 0.5, ".inf", "x"])));
    assert_eq!((yaml.value(&at("b")), yaml.source(&at("b"))), (Some(json!("t\n\n u")), Some("|-\n  t\n\n   u")));
    // What an alias stands for is said elsewhere.
    assert_eq!((yaml.value(&at("d")), yaml.value(&[])), (None, None));

    for format in [Format::Json, Format::Toml, Format::Yaml] {
        for empty in ["", "\u{feff}", " \n"] {
            assert_eq!(parsed(format, empty).keys(&[]), Vec::<String>::new());
        }
    }
}

#[test]
fn a_hundred_thousand_levels_are_an_error_and_no_overflow() {
    let levels = 100_000;
    let cases = [
        (Format::Json, "[".repeat(levels)),
        (Format::Json, "{\"a\":".repeat(levels)),
        (Format::Json, "[{\"a\":".repeat(levels)),
        (Format::Json, format!("{}{}", "[".repeat(levels), "]".repeat(levels))),
        (Format::Toml, format!("a = {}", "[".repeat(levels))),
        (Format::Toml, format!("a = {}", "{a=".repeat(levels))),
        (Format::Toml, format!("a = {}{}", "[".repeat(levels), "]".repeat(levels))),
        (Format::Toml, format!("a{} = 1", ".a".repeat(levels))),
        (Format::Toml, format!("[a{}]", ".a".repeat(levels))),
        (Format::Yaml, "[".repeat(levels)),
        (Format::Yaml, "{a: ".repeat(levels)),
        (Format::Yaml, "- ".repeat(levels)),
        (Format::Yaml, "? ".repeat(levels)),
        (Format::Yaml, (0..2_000).map(|level| format!("{}a:\n", " ".repeat(level))).collect()),
    ];
    for (format, text) in cases {
        assert!(Document::parse(format, &text).is_err());
    }
}

#[test]
fn what_lies_deep_but_within_bounds_is_edited() {
    let mut json = parsed(Format::Json, &format!("{}1{}", "[".repeat(120), "]".repeat(120)));
    json.set(&vec![Step::Index(0); 120], &json!("x")).unwrap();
    assert!(json.text().contains("[\"x\"]") && json.value(&[]).is_some());

    let names = vec!["a"; 80].join(".");
    let mut toml = parsed(Format::Toml, &format!("[{names}]\n{names} = 1"));
    toml.set(&vec![Step::Key("a".to_owned()); 160], &json!("x")).unwrap();
    assert!(toml.text().ends_with("= \"x\"") && toml.value(&[]).is_some());
    assert!(toml.masked(&|_| false).ends_with("= \"…\""));
}

#[test]
fn files_beyond_any_configuration_are_not_read() {
    let text = " ".repeat((2 << 20) + 1);
    let error = Document::parse(Format::Toml, &text).unwrap_err();
    assert_eq!(error, DocumentError::TooLarge { bytes: text.len(), max_bytes: 2 << 20 });
}

#[test]
fn a_masked_text_keeps_names_and_lines_and_covers_all_else() {
    let keep = |way: &[Step]| way == at("s>x>command") || way == at("s>x>args>1");
    let cases = [
        (
            Format::Json,
            "\u{feff}{ // hunter2\r\n \"s\": {\"x\": {\"command\": \"npx\", \"args\": [\"hunter2\", \"b\"], \
             /* hunter2\n hunter2 */ \"n\": 12}}}",
            "\u{feff}{ //…\r\n \"s\": {\"x\": {\"command\": \"npx\", \"args\": [\"…\", \"b\"], \
             /*…\n …*/ \"n\": …}}}",
        ),
        (
            Format::Toml,
            "# hunter2\n[s.x] # hunter2\ncommand = 'npx'\nkey = '''\nhunter2\n  hunter2'''\n[\"a#b\".c]\nd = true\n\
             [s.y]\n[s.x.env]\nK = \"hunter2\"",
            "#…\n[s.x] #…\ncommand = 'npx'\nkey = '''…\n…\n  …'''\n[\"a#b\".c]\nd = …\n[s.y]\n[s.x.env]\nK = \"…\"",
        ),
        (
            Format::Yaml,
            "s:\n  x:\n    command: npx # hunter2\n    args: [hunter2, b]\n    t: |\n      hunter2\n      hunter2\n    u: 'hunter2'\n",
            "s:\n  x:\n    command: npx #…\n    args: […, b]\n    t: …\n      …\n      …\n    u: '…'\n",
        ),
    ];
    for (format, text, masked) in cases {
        assert_eq!(parsed(format, text).masked(&keep), masked);
    }
}
