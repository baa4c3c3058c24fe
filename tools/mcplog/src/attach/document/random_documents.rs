//! Documents for tests, written at random: what they say is known, how they say it is anybody's.
//!
//! Comments, odd blanks, line breaks of both kinds, byte order marks, commas behind the last, escapes, nested and empty.

use super::Format;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::iter;

/// A document, and what it says.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) format: Format,
    pub(super) text: String,
    /// The servers before, between and behind which nothing may change; the one to edit is `target`.
    pub(super) servers: Vec<(&'static str, Members)>,
    pub(super) is_list: bool,
}

/// A server's members, in their order.
pub(super) type Members = Vec<(String, Value)>;

impl Written {
    /// What the document says.
    pub(super) fn value(&self) -> Value {
        let object = |members: &Members| members.iter().cloned().collect::<Map<_, _>>();
        let servers = self.servers.iter().map(|(name, members)| (*name, object(members)));
        let servers = if self.is_list {
            let named = servers.map(|(name, members)| {
                Value::Object(iter::once(("name".to_owned(), json!(name))).chain(members).collect())
            });
            Value::Array(named.collect())
        } else {
            Value::Object(servers.map(|(name, members)| (name.to_owned(), Value::Object(members))).collect())
        };
        json!({"first": 1.5, "servers": servers})
    }

    pub(super) fn target(&mut self) -> &mut Members {
        &mut self.servers[1].1
    }
}

/// Any document of a format.
pub(super) fn written(format: Format) -> impl Strategy<Value = Written> {
    let members = || prop::collection::vec(value(), 1..5).prop_map(named);
    let choices = prop::collection::vec(any::<u8>(), 64..400);
    (members(), members(), members(), choices).prop_map(move |(before, target, behind, choices)| {
        let servers = vec![("before", before), ("target", target), ("behind", behind)];
        let mut writer = Writer::new(format, choices);
        let is_list = format == Format::Yaml && writer.chance(2);
        let text = writer.document(&servers, is_list);
        Written { format, text, servers, is_list }
    })
}

/// The first is a text, so that dotted keys have a name beside them; an empty mapping is nothing in dotted keys.
fn named(values: Vec<Value>) -> Members {
    let names = ["args", "env", "co mmand", "d", "ü"].into_iter().map(str::to_owned);
    iter::once(("command".to_owned(), json!("npx"))).chain(names.zip(values)).collect()
}

pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z/.-]{1,8}",
        2 => "[ -~]{0,12}",
        1 => "[a\"'\\\\#/*:, \\[\\]{}üλ🚀\u{85}\u{feff}\u{2028}\t\n\r]{0,8}",
        1 => Just("true".to_owned()),
        1 => Just("http://127.0.0.1:8080/mcp?x=${VAR:-#}".to_owned()),
    ]
}

pub(super) fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(text(), 0..4)
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => text().prop_map(Value::from),
        3 => texts().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i32>().prop_map(Value::from),
        2 => prop::collection::vec(text(), 1..3).prop_map(|texts| {
            Value::Object(["K", "ENV_B"].into_iter().map(str::to_owned).zip(texts.into_iter().map(Value::from)).collect())
        }),
    ]
}

/// Writes by choices that it uses up, over and over.
struct Writer {
    format: Format,
    choices: Vec<u8>,
    used: usize,
    line_break: &'static str,
    /// 0: dense, 1: a line each, 2: anyhow.
    style: u8,
    unit: &'static str,
    out: String,
}

impl Writer {
    fn new(format: Format, choices: Vec<u8>) -> Self {
        let mut writer = Self { format, choices, used: 0, line_break: "\n", style: 0, unit: "  ", out: String::new() };
        if writer.chance(3) {
            writer.line_break = "\r\n";
        }
        writer.style = writer.choose(3);
        let units: &[&str] = if format == Format::Yaml { &["  ", " ", "    "] } else { &["  ", "\t", "    "] };
        writer.unit = units[usize::from(writer.choose(3))];
        writer
    }

    fn choose(&mut self, of: u8) -> u8 {
        self.used += 1;
        // Another way each time round.
        let round = u8::try_from(self.used / self.choices.len() % 256).unwrap_or_default();
        self.choices[self.used % self.choices.len()].wrapping_add(round) % of
    }

    fn chance(&mut self, of: u8) -> bool {
        self.choose(of) == 0
    }

    fn document(mut self, servers: &[(&'static str, Members)], is_list: bool) -> String {
        if self.chance(5) {
            self.out.push('\u{feff}');
        }
        match self.format {
            Format::Json => self.json_document(servers),
            Format::Toml => self.toml_document(servers),
            Format::Yaml => self.yaml_document(servers, is_list),
        }
        if self.chance(3) {
            let end = self.out.trim_end_matches(['\n', '\r']).len();
            self.out.truncate(end);
        }
        self.out
    }

    fn line(&mut self, depth: usize) {
        self.out.push_str(self.line_break);
        self.out.push_str(&self.unit.repeat(depth));
    }

    /// What may stand between any two tokens of a bracketed style.
    fn gap(&mut self, depth: usize, is_line: bool) {
        match self.style {
            0 => {}
            1 if is_line => self.line(depth),
            1 => {}
            _ => {
                for _ in 0..self.choose(3) {
                    match (self.choose(6), self.format) {
                        (0, Format::Json) => self.out.push_str("/* c, \" ' ] } */"),
                        (1, Format::Json) => {
                            self.out.push_str(" // c, \" ] } /* ");
                            self.line(depth);
                        }
                        (1, Format::Toml) if is_line => {
                            self.out.push_str(" # c, \" ] }");
                            self.line(depth);
                        }
                        (2, Format::Json) => self.line(depth),
                        (2, Format::Toml) if is_line => self.line(depth),
                        (3, _) => self.out.push_str("  "),
                        _ => self.out.push(' '),
                    }
                }
            }
        }
    }

    /// Members or items between brackets.
    fn bracketed(&mut self, brackets: [char; 2], count: usize, depth: usize, mut item: impl FnMut(&mut Self, usize)) {
        // A TOML of before 1.1 has inline tables on one line only; lists may have lines there too.
        let has_lines = self.format == Format::Json || (self.format == Format::Toml && brackets[0] == '[');
        self.out.push(brackets[0]);
        for index in 0..count {
            self.gap(depth + 1, has_lines);
            item(self, index);
            self.gap(depth + 1, false);
            let is_last = index + 1 == count;
            if !is_last || (has_lines && self.style > 0 && self.chance(3)) {
                self.out.push(',');
                if self.style == 1 && !has_lines {
                    self.out.push(' ');
                }
            }
        }
        if count > 0 || self.style == 2 {
            self.gap(depth, has_lines);
        }
        self.out.push(brackets[1]);
    }

    fn json_document(&mut self, servers: &[(&'static str, Members)]) {
        if self.style == 2 {
            self.gap(0, true);
        }
        self.bracketed(['{', '}'], 2, 0, |writer, index| {
            if index == 0 {
                writer.out.push_str("\"first\": 1.5");
                return;
            }
            writer.out.push_str("\"servers\"");
            writer.colon();
            writer.bracketed(['{', '}'], servers.len(), 1, |writer, index| {
                let (name, members) = &servers[index];
                writer.out.push_str(&format!("\"{name}\""));
                writer.colon();
                writer.bracketed(['{', '}'], members.len(), 2, |writer, index| {
                    let (name, value) = &members[index];
                    writer.json_text(name);
                    writer.colon();
                    writer.flow_value(value, 3);
                });
            });
        });
        self.out.push_str(self.line_break);
    }

    fn colon(&mut self) {
        self.gap(0, false);
        self.out.push(':');
        if self.style == 1 {
            self.out.push(' ');
        }
        self.gap(0, false);
    }

    /// A value in JSON, in TOML, or in YAML's flow style.
    fn flow_value(&mut self, value: &Value, depth: usize) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => {
                self.bracketed(['[', ']'], items.len(), depth, |writer, index| {
                    writer.flow_value(&items[index], depth + 1)
                });
            }
            Value::Object(members) => {
                let members: Vec<_> = members.iter().collect();
                self.bracketed(['{', '}'], members.len(), depth, |writer, index| {
                    let (name, value) = members[index];
                    match writer.format {
                        Format::Json => {
                            writer.json_text(name);
                            writer.colon();
                        }
                        Format::Toml => {
                            writer.toml_name(name);
                            writer.equals();
                        }
                        Format::Yaml => writer.out.push_str(&format!("{}: ", yaml_name(name))),
                    }
                    writer.flow_value(value, depth + 1);
                });
            }
            other => self.out.push_str(&other.to_string()),
        }
    }

    fn text(&mut self, text: &str) {
        let is_tame =
            !text.contains(|character: char| character.is_control() || "'\u{2028}\u{feff}".contains(character));
        let (is_single, has_none) = (is_tame && self.chance(3), is_plain(text) && self.chance(2));
        match self.format {
            Format::Toml | Format::Yaml if is_single => self.out.push_str(&format!("'{text}'")),
            Format::Toml => self.out.push_str(&toml_quoted(text)),
            Format::Yaml if has_none => self.out.push_str(text),
            Format::Yaml => self.out.push_str(&yaml_quoted(text)),
            Format::Json => self.json_text(text),
        }
    }

    fn json_text(&mut self, text: &str) {
        let escape_all = self.chance(6);
        let mut units = [0; 2];
        let escaped = |character: char| -> String {
            character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04X}")).collect()
        };
        if escape_all {
            let text: String = text.chars().map(escaped).collect();
            self.out.push_str(&format!("\"{text}\""));
        } else {
            self.out.push_str(&Value::from(text).to_string());
        }
    }

    fn toml_document(&mut self, servers: &[(&'static str, Members)]) {
        self.out.push_str("# c = 1");
        self.toml_line();
        self.out.push_str("first = 1.5");
        self.toml_line();
        // Those of an inline table or of dotted keys stand below one header.
        let is_one_table = self.chance(2);
        if is_one_table {
            self.out.push_str("[servers] # all");
            self.toml_line();
        }
        for (name, members) in servers {
            match (is_one_table, self.choose(2)) {
                (true, 0) => {
                    self.out.push_str(name);
                    self.equals();
                    self.bracketed(['{', '}'], members.len(), 1, |writer, index| {
                        let (name, value) = &members[index];
                        writer.toml_name(name);
                        writer.equals();
                        writer.flow_value(value, 2);
                    });
                    self.toml_line();
                }
                (true, _) => {
                    for (member, value) in members {
                        self.toml_member(&[name, member], value);
                    }
                }
                (false, _) => self.toml_table(name, members),
            }
        }
    }

    fn toml_table(&mut self, name: &str, members: &Members) {
        self.out.push_str(&format!("[servers.{name}]"));
        self.toml_line();
        // What has a header of its own comes behind.
        let has_header: Vec<bool> = members.iter().map(|(_, value)| value.is_object() && self.chance(2)).collect();
        for ((name, value), _) in members.iter().zip(&has_header).filter(|(_, has_header)| !**has_header) {
            self.toml_member(&[name], value);
        }
        for ((member, value), _) in members.iter().zip(&has_header).filter(|(_, has_header)| **has_header) {
            self.out.push_str(&format!("[ servers.{name} . "));
            self.toml_name(member);
            self.out.push(']');
            self.toml_line();
            for (name, value) in value.as_object().into_iter().flatten() {
                self.toml_member(&[name], value);
            }
        }
    }

    /// A line, or one for each member of a mapping.
    fn toml_member(&mut self, names: &[&str], value: &Value) {
        match value {
            Value::Object(members) if self.chance(2) => {
                for (name, value) in members {
                    self.toml_member(&[names, &[name]].concat(), value);
                }
            }
            _ => {
                if self.style == 2 && self.chance(2) {
                    self.out.push_str(self.unit);
                }
                for (index, name) in names.iter().enumerate() {
                    self.out.push_str(if index > 0 { "." } else { "" });
                    self.toml_name(name);
                }
                self.equals();
                self.flow_value(value, 1);
                self.toml_line();
            }
        }
    }

    fn toml_name(&mut self, name: &str) {
        let is_bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        self.out.push_str(&if is_bare { name.to_owned() } else { toml_quoted(name) });
    }

    fn equals(&mut self) {
        self.out.push_str(if self.style == 0 { "=" } else { " = " });
    }

    /// The end of a line, and what may follow it.
    fn toml_line(&mut self) {
        if self.style == 2 && self.chance(3) {
            self.out.push_str(" # c = [");
        }
        self.out.push_str(self.line_break);
        if self.style > 0 && self.chance(4) {
            self.out.push_str(self.line_break);
            self.out.push_str(" # [c]");
            self.out.push_str(self.line_break);
        }
    }

    fn yaml_document(&mut self, servers: &[(&'static str, Members)], is_list: bool) {
        if self.chance(3) {
            self.out.push_str("# c: 1");
            self.out.push_str(self.line_break);
        }
        self.out.push_str("first: 1.5");
        self.yaml_line();
        self.out.push_str("servers:");
        self.yaml_line();
        let indentation = if is_list && self.chance(2) { "" } else { self.unit };
        for (name, members) in servers {
            self.out.push_str(indentation);
            let mut all = members.clone();
            if is_list {
                all.insert(0, ("name".to_owned(), json!(name)));
                self.out.push('-');
                self.out.push_str(self.unit);
            } else {
                self.out.push_str(&format!("{name}:"));
            }
            if self.chance(4) {
                self.out.push_str(if is_list { "" } else { " " });
                self.flow_value(&Value::Object(all.into_iter().collect()), 0);
                self.yaml_line();
            } else {
                let depth = indentation.len() + self.unit.len() + usize::from(is_list);
                if !is_list {
                    self.yaml_line();
                    self.out.push_str(&" ".repeat(depth));
                }
                self.yaml_members(&all, depth);
            }
        }
    }

    /// A line each; the first one's indentation stands there already.
    fn yaml_members(&mut self, members: &Members, depth: usize) {
        for (index, (name, value)) in members.iter().enumerate() {
            if index > 0 {
                self.out.push_str(&" ".repeat(depth));
            }
            self.out.push_str(&format!("{}:", yaml_name(name)));
            match value {
                Value::Array(items) if !items.is_empty() && self.chance(2) => {
                    self.yaml_line();
                    let deeper = depth + if self.chance(2) { 0 } else { self.unit.len() };
                    for item in items {
                        self.out.push_str(&format!("{}- ", " ".repeat(deeper)));
                        self.flow_value(item, 0);
                        self.yaml_line();
                    }
                }
                Value::Object(members) if self.chance(2) => {
                    self.yaml_line();
                    let deeper = depth + self.unit.len();
                    self.out.push_str(&" ".repeat(deeper));
                    let members = members.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
                    self.yaml_members(&members, deeper);
                }
                Value::String(text) if self.chance(2) && is_plain(text) => {
                    self.out.push_str(" |-");
                    self.out.push_str(self.line_break);
                    self.out.push_str(&format!("{}{text}", " ".repeat(depth + 1)));
                    self.out.push_str(self.line_break);
                }
                _ => {
                    self.out.push(' ');
                    self.flow_value(value, 0);
                    self.yaml_line();
                }
            }
        }
    }

    /// The end of a line, and what may follow it.
    fn yaml_line(&mut self) {
        if self.style == 2 && self.chance(3) {
            self.out.push_str("  # c: [");
        }
        self.out.push_str(self.line_break);
        if self.style > 0 && self.chance(4) {
            self.out.push_str(self.line_break);
            self.out.push_str(" # - c");
            self.out.push_str(self.line_break);
        }
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase()) && text != "true"
}

fn yaml_name(name: &str) -> String {
    if name.is_ascii() { name.to_owned() } else { yaml_quoted(name) }
}

fn yaml_quoted(text: &str) -> String {
    escaped(text, |character| format!("\\U{:08X}", u32::from(character)))
}

fn toml_quoted(text: &str) -> String {
    escaped(text, |character| format!("\\u{:04X}", u32::from(character)))
}

fn escaped(text: &str, escape: impl Fn(char) -> String) -> String {
    let characters = text.chars().map(|character| match character {
        '"' | '\\' => format!("\\{character}"),
        _ if character.is_control() || "\u{2028}\u{feff}".contains(character) => escape(character),
        _ => character.to_string(),
    });
    format!("\"{}\"", characters.collect::<String>())
}
