//! TOML: from text to outline.
//!
//! Pure. Parsed by toml_edit, for its ranges alone: its own way of editing moves dotted keys and ends a file on a line break
//! that had none.

use super::error::DocumentError;
use super::outline::{Kind, Outline};
use serde_json::{Number, Value};
use std::ops::Range;
use toml_edit::{Item, Key, TableLike};

/// The outline of a text, whose first `skipped` bytes are no TOML.
pub(super) fn outline(text: &str, skipped: usize) -> Result<Outline, DocumentError> {
    let document = toml_edit::Document::parse(&text[skipped..]).map_err(|error| {
        let at = skipped + error.span().map_or(0, |span| span.start);
        DocumentError::invalid(text, at, error.message().replace('\n', ", "))
    })?;
    let mut builder = Builder { outline: Outline::default(), skipped };
    let root = builder.outline.open(Kind::Section, skipped);
    builder.members(document.as_table());
    builder.outline.close(root, skipped);
    Ok(builder.outline)
}

struct Builder {
    outline: Outline,
    skipped: usize,
}

impl Builder {
    /// Adds the members of a table. As deep as the parser allows, which is 160 levels.
    fn members(&mut self, table: &dyn TableLike) {
        for (name, item) in table.iter() {
            let range = self.range(table.key(name).and_then(Key::span));
            self.outline.scalar(range, Value::from(name));
            self.item(item);
        }
    }

    fn item(&mut self, item: &Item) {
        let range = self.range(item.span());
        match item {
            Item::None => {
                self.outline.scalar(range, Value::Null);
            }
            Item::Value(value) => self.value(value),
            Item::Table(table) => {
                let kind = if table.is_dotted() {
                    Kind::Dotted
                } else if table.is_implicit() {
                    Kind::Implied
                } else {
                    Kind::Section
                };
                let index = self.outline.open(kind, range.start);
                self.members(table);
                self.outline.close(index, range.end);
            }
            Item::ArrayOfTables(tables) => {
                let index = self.outline.open(Kind::Sections, range.start);
                for table in tables {
                    let range = self.range(table.span());
                    let section = self.outline.open(Kind::Section, range.start);
                    self.members(table);
                    self.outline.close(section, range.end);
                }
                self.outline.close(index, range.end);
            }
        }
    }

    fn value(&mut self, value: &toml_edit::Value) {
        let range = self.range(value.span());
        match value {
            toml_edit::Value::Array(array) => {
                let index = self.outline.open(Kind::FlowSequence, range.start);
                array.iter().for_each(|item| self.value(item));
                self.outline.close(index, range.end);
            }
            toml_edit::Value::InlineTable(table) => {
                let kind = if table.is_dotted() { Kind::Dotted } else { Kind::FlowMapping };
                let index = self.outline.open(kind, range.start);
                self.members(table);
                self.outline.close(index, range.end);
            }
            scalar => {
                self.outline.scalar(range, says(scalar));
            }
        }
    }

    fn range(&self, span: Option<Range<usize>>) -> Range<usize> {
        let span = span.unwrap_or_default();
        self.skipped + span.start..self.skipped + span.end
    }
}

/// A date is its own text, and so is a number that JSON has not.
fn says(scalar: &toml_edit::Value) -> Value {
    match scalar {
        toml_edit::Value::String(text) => Value::from(text.value().as_str()),
        toml_edit::Value::Integer(number) => Value::from(*number.value()),
        toml_edit::Value::Float(number) => {
            Number::from_f64(*number.value()).map_or_else(|| Value::from(number.value().to_string()), Value::Number)
        }
        toml_edit::Value::Boolean(is) => Value::from(*is.value()),
        toml_edit::Value::Datetime(time) => Value::from(time.value().to_string()),
        toml_edit::Value::Array(_) | toml_edit::Value::InlineTable(_) => Value::Null,
    }
}
