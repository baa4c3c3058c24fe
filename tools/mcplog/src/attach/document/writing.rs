//! Names and values as text, in the style that the place has.
//!
//! Pure.

use super::step::Format;
use super::yaml;
use serde_json::Value;

/// What is written, and in which style.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) format: Format,
    /// Within brackets: YAML reads less there without quotes.
    pub(super) is_flow: bool,
    /// What stands between the items of a list, behind the comma.
    pub(super) gap: &'static str,
}

impl Style {
    /// The name of a member.
    pub(super) fn name(self, name: &str) -> String {
        match self.format {
            Format::Json => quoted(name),
            Format::Toml => toml_edit::Key::new(name).to_string(),
            Format::Yaml => self.yaml(name, None),
        }
    }

    /// A value; `like` is the source of the one that it stands beside or replaces, whose quotes it takes where it can.
    /// `None` if the format has no such value.
    pub(super) fn value(self, value: &Value, like: Option<&str>) -> Option<String> {
        let comma = format!(",{}", self.gap);
        Some(match value {
            Value::Null if self.format == Format::Toml => return None,
            Value::Null => "null".to_owned(),
            Value::Bool(is) => is.to_string(),
            Value::Number(number) => number.to_string(),
            Value::String(text) => self.text(text, like),
            Value::Array(items) => {
                let inner = Self { is_flow: true, ..self };
                let items: Option<Vec<_>> = items.iter().map(|item| inner.value(item, None)).collect();
                format!("[{}]", items?.join(&comma))
            }
            Value::Object(members) => {
                let inner = Self { is_flow: true, ..self };
                let equals = if self.format == Format::Toml { " = " } else { ": " };
                let members: Option<Vec<_>> = members
                    .iter()
                    .map(|(name, value)| Some(format!("{}{equals}{}", inner.name(name), inner.value(value, None)?)))
                    .collect();
                format!("{{{}}}", members?.join(&comma))
            }
        })
    }

    fn text(self, text: &str, like: Option<&str>) -> String {
        match self.format {
            Format::Json => quoted(text),
            Format::Toml => {
                let is_single = like.is_some_and(|like| like.starts_with('\'') && !like.starts_with("'''"));
                match text.contains(|character: char| character == '\'' || character.is_control()) {
                    false if is_single => format!("'{text}'"),
                    _ => toml_edit::Value::from(text).to_string(),
                }
            }
            Format::Yaml => self.yaml(text, like),
        }
    }

    /// Single quotes where those are used, none where none are and the text reads the same, else double ones.
    fn yaml(self, text: &str, like: Option<&str>) -> String {
        let is_printable = text.chars().all(is_printable);
        match like.and_then(|like| like.chars().next()) {
            Some('\'') if is_printable => format!("'{}'", text.replace('\'', "''")),
            Some('"') => quoted_yaml(text),
            _ if self.reads_plain(text) => text.to_owned(),
            _ => quoted_yaml(text),
        }
    }

    /// Whether YAML reads the same without quotes. Narrow: a text that could only do with quotes gets them.
    fn reads_plain(self, text: &str) -> bool {
        let is_safe = |character: char| {
            character.is_ascii_alphanumeric() || matches!(character, '/' | '.' | '_' | '-' | '+' | '=' | '@')
                // A colon before a blank ends a name.
                || (character == ':' && !self.is_flow)
        };
        text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
            && text.chars().all(is_safe)
            && !text.ends_with(':')
            && yaml::plain(text).is_string()
            // Programs of YAML 1.1 read these as truth.
            && !["y", "n", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str())
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// As JSON has it, which YAML reads the same, and with what YAML calls unprintable escaped.
fn quoted_yaml(text: &str) -> String {
    let escape = |character: char| {
        if is_printable(character) || character.is_ascii() {
            character.to_string()
        } else {
            format!("\\u{:04x}", u32::from(character))
        }
    };
    quoted(text).chars().map(escape).collect::<String>().replace('\u{7f}', "\\u007f")
}

fn is_printable(character: char) -> bool {
    !character.is_control() && !matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}
