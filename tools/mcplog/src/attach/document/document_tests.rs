//! The clients' own files: wrapped and unwrapped, and masked. What the other tests share.

use super::{Document, Format, Step};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// The way along names; a number is an item's.
pub(super) fn at(way: &str) -> Vec<Step> {
    let steps = way.split('>').filter(|step| !step.is_empty()).map(str::trim);
    steps.map(|step| step.parse().map_or_else(|_| Step::Key(step.to_owned()), Step::Index)).collect()
}

pub(super) fn parsed(format: Format, text: &str) -> Document {
    Document::parse(format, text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

pub(super) const FILES: [(&str, Format, &str); 11] = [
    ("claude_desktop_config.json", Format::Json, "mcpServers"),
    ("claude.json", Format::Json, "mcpServers"),
    ("claude-code.mcp.json", Format::Json, "mcpServers"),
    ("cursor.mcp.json", Format::Json, "mcpServers"),
    ("vscode.mcp.json", Format::Json, "servers"),
    ("windsurf.mcp_config.json", Format::Json, "mcpServers"),
    ("codex.config.toml", Format::Toml, "mcp_servers"),
    ("gemini.settings.json", Format::Json, "mcpServers"),
    ("zed.settings.json", Format::Json, "context_servers"),
    ("continue.config.yaml", Format::Yaml, "mcpServers"),
    ("continue.server.yaml", Format::Yaml, "mcpServers"),
];

pub(super) fn client_file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/attach").join(name)).unwrap()
}

/// Every entry of every client's file: the document, and the way to the entry.
fn entries() -> Vec<(Document, Vec<Step>)> {
    let mut entries = Vec::new();
    for (name, format, key) in FILES {
        let document = parsed(format, &client_file(name));
        let mut sections = vec![at(key)];
        for project in document.keys(&at("projects")) {
            sections.push(vec![Step::Key("projects".to_owned()), Step::Key(project), Step::Key(key.to_owned())]);
        }
        for section in sections {
            let names = document.keys(&section).into_iter().map(Step::Key);
            for step in names.chain((0..document.len(&section)).map(Step::Index)) {
                let way = [section.clone(), vec![step]].concat();
                entries.push((document.clone(), way.clone()));
                let nested = [way, at("command")].concat();
                if !document.keys(&nested).is_empty() {
                    entries.push((document.clone(), nested));
                }
            }
        }
    }
    entries
}

#[test]
fn every_clients_file_is_byte_equal_after_wrapping_each_server_and_putting_back_what_stood_there() {
    let mut wrapped_count = 0;
    for (before, entry) in entries() {
        let mut document = before.clone();
        for (member, list) in [("command", "args"), ("path", "args")] {
            let [command, args] = [member, list].map(|name| [entry.clone(), at(name)].concat());
            let Some(Value::String(program)) = document.value(&command) else { continue };
            let front = ["wrap".to_owned(), "--name".to_owned(), "ü \"x\"".to_owned(), "--".to_owned(), program];
            document.set(&command, &json!("/opt/my tools/mcplog")).unwrap();
            match before.value(&args) {
                Some(_) => document.prepend(&args, &front).unwrap(),
                None => document.set(&args, &json!(front)).unwrap(),
            }
            wrapped_count += 1;
            let meant = document.value(&args).unwrap();
            assert_eq!(meant.as_array().unwrap()[..5], json!(front).as_array().unwrap()[..]);
            assert_touches_only(&before, &document, &entry);

            let mut by_source = document.clone();
            by_source.set_source(&command, before.source(&command).unwrap()).unwrap();
            match before.source(&args) {
                Some(source) => by_source.set_source(&args, source).unwrap(),
                None => by_source.remove(&args).unwrap(),
            }
            assert_eq!(by_source.text(), before.text());

            document.set_source(&command, before.source(&command).unwrap()).unwrap();
            match before.source(&args) {
                Some(_) => document.remove_front(&args, front.len()).unwrap(),
                None => document.remove(&args).unwrap(),
            }
            assert_eq!(document.text(), before.text());
        }
    }
    assert_eq!(wrapped_count, 23);
}

#[test]
fn every_clients_file_is_byte_equal_after_another_address_and_the_one_from_before() {
    let mut changed_count = 0;
    for (before, entry) in entries() {
        for member in ["url", "httpUrl", "serverUrl"] {
            let url = [entry.clone(), at(member)].concat();
            let Some(source) = before.source(&url) else { continue };
            let mut document = before.clone();
            document.set(&url, &json!("http://127.0.0.1:8080/mcp")).unwrap();
            assert_touches_only(&before, &document, &entry);
            document.set_source(&url, source).unwrap();
            assert_eq!(document.text(), before.text());
            changed_count += 1;
        }
    }
    assert_eq!(changed_count, 11);
}

#[test]
fn no_secret_of_the_clients_files_is_left_in_a_masked_text() {
    for (document, _) in entries() {
        let masked = document.masked(&|_| false);
        for secret in ["hunter2", "5f4dcc", "figd_", "tok_", "abc", "secret\"", "SENTRY", "8080"] {
            assert!(!masked.contains(secret), "{secret}: {masked}");
        }
        assert_eq!(masked.matches('\n').count(), document.text().matches('\n').count());
    }
}

/// What differs lies within the entry; that of a table of TOML reaches to the next header.
fn assert_touches_only(before: &Document, after: &Document, entry: &[Step]) {
    let node = before.outline.node(before.find(entry).unwrap().value());
    let text = before.text();
    let end = match before.source(entry) {
        Some(_) => node.end(),
        None => text[node.end()..].find("\n[").map_or(text.len(), |end| node.end() + end),
    };
    let (same, same_behind) = same_around(text, after.text());
    assert!(same >= node.start() && text.len() - same_behind <= end, "{}", after.text());
}

/// How many bytes two texts have in common before and behind what differs.
pub(super) fn same_around(text: &str, other: &str) -> (usize, usize) {
    let before = text.bytes().zip(other.bytes()).take_while(|(own, others)| own == others).count();
    let (rest, others_rest) = (&text.as_bytes()[before..], &other.as_bytes()[before..]);
    let behind = rest.iter().rev().zip(others_rest.iter().rev()).take_while(|(own, others)| own == others).count();
    (before, behind)
}
