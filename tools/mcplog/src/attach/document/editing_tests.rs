//! Edits by example: what they do to the text in each format, and what is refused.

use super::document_tests::{at, parsed};
use super::{Document, DocumentError, Format};
use Edit::{Prepend, Remove, RemoveFront, Set, Source};
use serde_json::{Value, json};

/// An edit, in a table of them.
#[derive(Debug)]
enum Edit {
    Set(Value),
    Source(&'static str),
    Remove,
    Prepend(&'static [&'static str]),
    RemoveFront(usize),
}

impl Edit {
    fn apply(&self, document: &mut Document, way: &str) -> Result<(), DocumentError> {
        let way = at(way);
        match self {
            Set(value) => document.set(&way, value),
            Source(source) => document.set_source(&way, source),
            Remove => document.remove(&way),
            Prepend(texts) => document.prepend(&way, texts),
            RemoveFront(count) => document.remove_front(&way, *count),
        }
    }
}

#[track_caller]
fn assert_edits(format: Format, cases: &[(&str, &str, Edit, &str)]) {
    for (before, way, edit, after) in cases {
        let mut document = parsed(format, before);
        let done = edit.apply(&mut document, way);
        assert_eq!((document.text(), &done), (*after, &Ok(())), "{edit:?} at {way} of\n{before}");
    }
}

fn x() -> Edit {
    Set(json!("x"))
}

#[test]
fn a_value_of_json_is_replaced_where_it_stands() {
    assert_edits(
        Format::Json,
        &[
            (r#"{"a": "x" /* c */, "b": 1e2}"#, "a", Set(json!("ü\"\\")), r#"{"a": "ü\"\\" /* c */, "b": 1e2}"#),
            (r#"{"\u0061": 1}"#, "a", x(), r#"{"\u0061": "x"}"#),
            (r#"{"l": 1}"#, "l", Source("[ 1,/* c */ 2 ]"), r#"{"l": [ 1,/* c */ 2 ]}"#),
            // A name may stand twice elsewhere.
            (r#"{"d": 1, "d": 2, "a": {"b": 1}}"#, "a>b", x(), r#"{"d": 1, "d": 2, "a": {"b": "x"}}"#),
            ("\u{feff}// c\n{\"a\": 1}", "a", x(), "\u{feff}// c\n{\"a\": \"x\"}"),
            ("[ \"x\",\n  \"a\" ]", "", Set(json!(["b", "c"])), "[ \"b\", \"c\" ]"),
            ("[\n  \"x\",\n  \"a\"\n]", "", Set(json!(["b", "c"])), "[\n  \"b\",\n  \"c\"\n]"),
            ("[\n  \"x\",\n]", "", Set(json!([])), "[\n]"),
            ("[\n  \"a\", // c\n]", "", Set(json!(["x", "a"])), "[\n  \"x\",\n  \"a\", // c\n]"),
            ("[\n  \"x\",\n  \"a\" // c\n]", "", Set(json!(["a"])), "[\n  \"a\" // c\n]"),
        ],
    );
}

#[test]
fn a_member_of_json_is_added_as_the_last_one_stands() {
    assert_edits(
        Format::Json,
        &[
            (r#"{"a": 1}"#, "b", x(), r#"{"a": 1, "b": "x"}"#),
            (r#"{"a":1}"#, "b", Set(json!(["x", "y"])), r#"{"a":1,"b":["x","y"]}"#),
            (r#"{"a":1,"b":2}"#, "c", x(), r#"{"a":1,"b":2,"c":"x"}"#),
            ("{ \"a\" : 1 , }", "b", x(), "{ \"a\" : 1 , \"b\" : \"x\", }"),
            ("{\n\t\"a\": 1 // c\n}", "b", x(), "{\n\t\"a\": 1, // c\n\t\"b\": \"x\"\n}"),
            ("{\r\n  \"a\": 1, // c\r\n}", "b", x(), "{\r\n  \"a\": 1, // c\r\n  \"b\": \"x\",\r\n}"),
            ("{\n  \"a\": 1 /* c\n*/ }", "b", x(), "{\n  \"a\": 1,\n  \"b\": \"x\" /* c\n*/ }"),
            ("{\"a\": 1 // c\n}", "b", x(), "{\"a\": 1, // c\n  \"b\": \"x\"\n}"),
            ("{\n  \"a\": {}\n}", "a>b", x(), "{\n  \"a\": {\"b\": \"x\"}\n}"),
            ("{\n  \"a\": { }\n}", "a>b", x(), "{\n  \"a\": { \"b\": \"x\" }\n}"),
            ("{\n  \"a\": {\n  }\n}", "a>b", x(), "{\n  \"a\": {\n    \"b\": \"x\"\n  }\n}"),
            ("{\n  \"a\": { // c\n  }\n}", "a>b", x(), "{\n  \"a\": { // c\n    \"b\": \"x\"\n  }\n}"),
            (
                r#"{"a": 1, "b": 2}"#,
                "c",
                Set(json!({"d": [true, null]})),
                r#"{"a": 1, "b": 2, "c": {"d": [true, null]}}"#,
            ),
        ],
    );
}

#[test]
fn what_goes_from_json_takes_its_line_and_leaves_comments() {
    assert_edits(
        Format::Json,
        &[
            (r#"{ "a": 1, "b": 2 }"#, "a", Remove, r#"{ "b": 2 }"#),
            (r#"{ "a": 1, "b": 2 }"#, "b", Remove, r#"{ "a": 1 }"#),
            ("{\n  \"a\": 1,\n  \"b\": 2 // c\n}", "b", Remove, "{\n  \"a\": 1\n  // c\n}"),
            ("{\n  \"a\": 1, // c\n  \"b\": 2 }", "b", Remove, "{\n  \"a\": 1 // c\n  }"),
            ("{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}", "b", Remove, "{\n  \"a\": 1,\n  \"c\": 3\n}"),
            ("{\n  \"a\": 1\n}", "a", Remove, "{\n}"),
            (r#"{"l": []}"#, "l", Prepend(&["a", "b"]), r#"{"l": ["a", "b"]}"#),
            (r#"{"l":["b"]}"#, "l", Prepend(&["a"]), r#"{"l":["a","b"]}"#),
            (r#"{"l": ["a", /* c */ "b", "d"]}"#, "l", RemoveFront(2), r#"{"l": [/* c */ "d"]}"#),
            ("{\"l\": [\n  \"a\", // c\n  \"b\"\n]}", "l", RemoveFront(1), "{\"l\": [\n  // c\n  \"b\"\n]}"),
            (r#"{"l": ["a", "b"]}"#, "l", RemoveFront(2), r#"{"l": []}"#),
        ],
    );
}

#[test]
fn toml_is_edited_in_its_own_style() {
    assert_edits(
        Format::Toml,
        &[
            ("[s.x]\ncommand = 'npx' # c\n", "s>x>command", Set(json!("C:\\m")), "[s.x]\ncommand = 'C:\\m' # c\n"),
            ("[s.x]\ncommand = \"npx\"", "s>x>command", Set(json!("it's")), "[s.x]\ncommand = \"it's\""),
            (
                "[s.x]\n a = 1 # c\n\n# next\n[t]\n",
                "s>x>args",
                Set(json!(["a"])),
                "[s.x]\n a = 1 # c\n args = [\"a\"]\n\n# next\n[t]\n",
            ),
            (
                "[s.x]\r\na=1\r\n[s.x.env]\r\nK='v'\r\n",
                "s>x>b",
                x(),
                "[s.x]\r\na=1\r\nb=\"x\"\r\n[s.x.env]\r\nK='v'\r\n",
            ),
            ("[s.x.env]\nK = 1\n[s.x] # c\n[t]", "s>x>b", x(), "[s.x.env]\nK = 1\n[s.x] # c\nb = \"x\"\n[t]"),
            ("a = 1", "b", Set(json!(2)), "a = 1\nb = 2"),
            ("[s]\nx.a = 1\nx.env.K = 2\nz = 3", "s>x>b", x(), "[s]\nx.a = 1\nx.env.K = 2\nx.b = \"x\"\nz = 3"),
            ("s.x.a = 1\n", "s>x>b", Set(json!(2)), "s.x.a = 1\ns.x.b = 2\n"),
            ("s = { x = { a = 1 } }", "s>x>b", Set(json!(["c"])), "s = { x = { a = 1, b = [\"c\"] } }"),
            ("s = { x = {} }", "s>x>a b", Set(json!({"c": 1})), "s = { x = {\"a b\" = {c = 1}} }"),
            ("l = [\n  'a', # c\n]\n", "l", Prepend(&["x", "y"]), "l = [\n  'x',\n  'y',\n  'a', # c\n]\n"),
            ("l = [\n  'x',\n  'a', # c\n]\n", "l", RemoveFront(1), "l = [\n  'a', # c\n]\n"),
            ("[s.x]\na = 1\nb = 2 # c\n", "s>x>b", Remove, "[s.x]\na = 1\n# c\n"),
            ("[s.x]\na = 1\nb = 2\n", "s>x>b", Remove, "[s.x]\na = 1\n"),
            ("a = 1\nb = 2\n", "a", Remove, "b = 2\n"),
            ("[s]\nx.a = 1\n  x.b = 2\n", "s>x>b", Remove, "[s]\nx.a = 1\n"),
            ("s = { a = 1, b = 2 }", "s>b", Remove, "s = { a = 1 }"),
            (
                "[[s]]\nname = 'x'\n[[s]]\nname = 'y'\n",
                "s>1>a",
                Set(json!(2)),
                "[[s]]\nname = 'x'\n[[s]]\nname = 'y'\na = 2\n",
            ),
            ("d = 1979-05-27\na = '''\nx\n'''\n", "a", Source("\"y\""), "d = 1979-05-27\na = \"y\"\n"),
        ],
    );
}

#[test]
fn values_of_yaml_take_the_quotes_that_stand_there_and_those_that_they_need() {
    assert_edits(
        Format::Yaml,
        &[
            ("a: npx # c\n", "a", Set(json!("/bin/x")), "a: /bin/x # c\n"),
            ("a: npx # c\n", "a", Set(json!("/my bin/x")), "a: \"/my bin/x\" # c\n"),
            ("a: 'npx'\n", "a", Set(json!("it's")), "a: 'it''s'\n"),
            ("a: \"npx\"\n", "a", Set(json!("\u{85}\n")), "a: \"\\u0085\\n\"\n"),
            ("a: npx\n", "a", Set(json!("yes")), "a: \"yes\"\n"),
            ("a: npx\n", "a", Set(json!("1.5")), "a: \"1.5\"\n"),
            ("a:\nb: 1\n", "a", x(), "a: x\nb: 1\n"),
            ("a: |\n  x\n  y\n\n# c\nb: 1\n", "a", x(), "a: x\n\n# c\nb: 1\n"),
            ("\u{feff}a: 1", "a", x(), "\u{feff}a: x"),
            ("---\na: 1\n...\n", "a", x(), "---\na: x\n...\n"),
            (
                "e: &e {K: v}\ns:\n- command: x\n  env: *e\n",
                "s>0>command",
                Set(json!("/y")),
                "e: &e {K: v}\ns:\n- command: /y\n  env: *e\n",
            ),
        ],
    );
}

#[test]
fn members_and_items_of_yaml_stand_as_the_others() {
    assert_edits(
        Format::Yaml,
        &[
            ("a: 1 # c\n# d\n", "b", Set(json!(["x"])), "a: 1 # c\nb: [x]\n# d\n"),
            (
                "s:\n- name: x\n  l:\n  - y\n",
                "s>0>b",
                Set(json!(["-v", "z"])),
                "s:\n- name: x\n  l:\n  - y\n  b:\n    - \"-v\"\n    - z\n",
            ),
            (
                "s:\r\n  -   name: x",
                "s>0>url",
                Set(json!("http://h:1/x")),
                "s:\r\n  -   name: x\r\n      url: http://h:1/x",
            ),
            ("s: {name: x}\n", "s>url", Set(json!("http://h:1/x")), "s: {name: x, url: \"http://h:1/x\"}\n"),
            ("l:\n- 'a' # c\n-   b\n", "l", Prepend(&["x", "y"]), "l:\n- 'x'\n- 'y'\n- 'a' # c\n-   b\n"),
            ("l:\n  - x\n  - 'a' # c\n", "l", RemoveFront(1), "l:\n  - 'a' # c\n"),
            ("l:\n  - x\n", "l", RemoveFront(1), "l:\n  []\n"),
            ("l:\n- x\nb: 1", "l", RemoveFront(1), "l:\n  []\nb: 1"),
            ("l:\n- x\nb: 1", "l", x(), "l:\n  x\nb: 1"),
            ("l: [ 'a', b ]\n", "l", Prepend(&["x: y"]), "l: [ 'x: y', 'a', b ]\n"),
            ("l:\n  - x\n  - y\nb: 1", "l", Set(json!(["z", "w"])), "l:\n  - z\n  - w\nb: 1"),
            ("s:\n- name: x\n  a: 1\n", "s>0>name", Remove, "s:\n- a: 1\n"),
            ("a: 1\nb: 2 # c\n", "b", Remove, "a: 1\n# c\n"),
            ("a: 1\nb: 2\n", "b", Remove, "a: 1\n"),
            ("a: 1\nl:\n  - 1\nb: 2\n", "l", Source("- 2\n  - 3"), "a: 1\nl:\n  - 2\n  - 3\nb: 2\n"),
        ],
    );
}

#[test]
fn what_can_not_be_edited_alone_is_refused_and_stays() {
    let cases = [
        (Format::Json, r#"{"a": {"b": 1, "b": 2}}"#, "a>b", x()),
        (Format::Json, r#"{"a": {"b": 1}, "a": {"b": 2}}"#, "a>b", x()),
        (Format::Json, r#"{"a": 1}"#, "a", Source("1, \"b\": 2")),
        (Format::Json, r#"{"a": 1}"#, "a", Source("1 // ")),
        (Format::Json, r#"{"a": 1}"#, "a", Source("{")),
        (Format::Json, r#"{"a": 1}"#, "b>c", x()),
        (Format::Json, r#"{"a": 1}"#, "a>c", x()),
        (Format::Json, r#"{"a": [1]}"#, "a>1", x()),
        (Format::Json, r#"{"a": [1]}"#, "a", RemoveFront(2)),
        (Format::Json, r#"{"a": 1}"#, "a", Prepend(&["x"])),
        (Format::Json, "", "a", x()),
        (Format::Json, "// c", "a", x()),
        (Format::Toml, "[a]\nb = 1", "a", x()),
        (Format::Toml, "[a]\nb = 1", "a", Remove),
        (Format::Toml, "a.b = 1", "a", Source("1")),
        (Format::Toml, "a = 1", "a", Set(Value::Null)),
        (Format::Toml, "a = 1", "a", Source("1\nb = 2")),
        (Format::Toml, "[s.x.env]\nK = 1", "s>x>command", x()),
        (Format::Toml, "s = { x.a = 1 }", "s>x>b", x()),
        (Format::Toml, "s = { x.a = 1 }", "s>b", x()),
        (Format::Yaml, "a: &a 1\nb: *a\n", "a", x()),
        (Format::Yaml, "a: &a 1\nb: *a\n", "b", x()),
        (Format::Yaml, "a: &a {c: 1}\nb: *a\n", "a>c", x()),
        (Format::Yaml, "a: &a {c: 1}\nb: {<<: *a, d: 1}\n", "b>d", x()),
        (Format::Yaml, "a: !!str 1\n", "a", x()),
        (Format::Yaml, "? a\n: 1\n", "a", x()),
        (Format::Yaml, "a: 1\na: 2\n", "a", x()),
        (Format::Yaml, "a: 1\n", "a", Source("1\nb: 2")),
        (Format::Yaml, "a: 1\n", "a", Remove),
        (Format::Yaml, "a: |+\n  x\n\n\n", "b", x()),
        (Format::Yaml, "", "b", x()),
    ];
    for (format, text, way, edit) in cases {
        let mut document = parsed(format, text);
        let done = edit.apply(&mut document, way);
        assert!(done.is_err(), "{edit:?} at {way} of\n{text}\ngives\n{}", document.text());
        assert_eq!(document.text(), text);
    }
}
