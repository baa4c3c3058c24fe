//! Edits of a document: a member set, put back as it stood, or removed; items before a list's first one.
//!
//! Pure. Each edit either is as meant and touches nothing else, or is refused and does nothing.

use super::document::{Document, Found};
use super::error::DocumentError;
use super::flow::{Comments, Flow};
use super::lines;
use super::outline::{Kind, Node};
use super::place;
use super::splice::Splice;
use super::step::{Format, Step};
use super::writing::Style;
use super::yaml;
use serde_json::Value;
use std::ops::Range;

const NO_SUCH_VALUE: &str = "the format has no such value";
const NOT_A_MEMBER: &str = "only a member of a mapping can be added or removed";
const NOT_A_LIST: &str = "it is no list";

impl Document {
    /// Sets a member, or an item that is there. What is there is replaced where it stands; a member that isn't is added
    /// behind the last one, as that stands. A list that ends in the one before, or in whose end the new one is, keeps those
    /// items as they stand, with the comments between them.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Missing`] where the mapping isn't there, [`DocumentError::Refused`] where all else can't stay as
    /// it is.
    pub(in crate::attach) fn set(&mut self, at: &[Step], value: &Value) -> Result<(), DocumentError> {
        let splices = match self.find(at) {
            Some(found) => self.replaced(&self.editable(found)?, value)?,
            None => self.added(at, value)?,
        };
        self.splice(at, splices, |edited| edited.value(at).as_ref() == Some(value))
    }

    /// Puts a source in the place of what is there, as [`source`](Self::source) said it.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set), and where the source doesn't read as a value in that place.
    pub(in crate::attach) fn set_source(&mut self, at: &[Step], source: &str) -> Result<(), DocumentError> {
        let found = self.editable(self.find(at).ok_or(DocumentError::Missing("nothing to replace"))?)?;
        let mut range = self.replaceable(found.value())?.range();
        // Nothing behind YAML's `name:`: the blank that `set` put there goes too.
        if source.is_empty() && self.text[..range.start].ends_with(' ') {
            range.start -= 1;
        }
        self.splice(at, vec![Splice::replace(range, source)], |edited| edited.source(at) == Some(source))
    }

    /// Removes a member. Right behind the [`set`](Self::set) that added it, the text is the one from before.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub(in crate::attach) fn remove(&mut self, at: &[Step]) -> Result<(), DocumentError> {
        let found = self.editable(self.find(at).ok_or(DocumentError::Missing("nothing to remove"))?)?;
        let (Some(name), [.., parent, value]) = (found.name, &found.nodes[..]) else {
            return Err(DocumentError::Missing(NOT_A_MEMBER));
        };
        self.replaceable(*value)?;
        let start = self.outline.node(name).start();
        let reach = self.outline.members(*parent).position(|(member, _)| member == name).unwrap_or_default();
        let members: Vec<_> = self.outline.members(*parent).collect();
        let end = self.outline.node(*value).end();
        let refused = |reason| DocumentError::refused(&self.text, start, reason);
        let splices = match self.outline.node(*parent).kind {
            Kind::FlowMapping => self.flow(*parent)?.remove(reach),
            Kind::BlockMapping if members.len() == 1 => return Err(refused("it is the only member")),
            Kind::BlockMapping => {
                let next = members.get(reach + 1).map(|(name, _)| self.outline.node(*name).start());
                let cut = lines::remove(&self.text, start, end, next);
                vec![cut.ok_or_else(|| refused("something else stands on its line"))?]
            }
            Kind::Section | Kind::Dotted if !self.is_in_brackets(&found) => {
                // From the first of its dotted keys on.
                let line = place::line_start(&self.text, start);
                let cut = lines::remove(&self.text, place::behind_blanks(&self.text, line), end, None);
                vec![cut.ok_or_else(|| refused("something else stands on its line"))?]
            }
            _ => return Err(refused("a member of dotted keys within brackets")),
        };
        self.splice(at, splices, |edited| edited.find(at).is_none())
    }

    /// Adds texts before the first item of a list, each in the list's own style.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub(in crate::attach) fn prepend(&mut self, at: &[Step], texts: &[impl AsRef<str>]) -> Result<(), DocumentError> {
        let found = self.editable(self.find(at).ok_or(DocumentError::Missing("no list to add to"))?)?;
        let Some(Value::Array(items)) = self.value_of(found.value()) else {
            return Err(DocumentError::Missing(NOT_A_LIST));
        };
        let texts: Vec<Value> = texts.iter().map(|text| Value::from(text.as_ref())).collect();
        let splices = self.prepended(found.value(), &texts)?;
        let meant = Value::from([texts, items].concat());
        self.splice(at, splices, |edited| edited.value(at) == Some(meant))
    }

    /// Removes the first items of a list. Right behind the [`prepend`](Self::prepend) of as many, the text is the one from
    /// before.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set), and where the list has fewer.
    pub(in crate::attach) fn remove_front(&mut self, at: &[Step], count: usize) -> Result<(), DocumentError> {
        let found = self.editable(self.find(at).ok_or(DocumentError::Missing("no list to remove from"))?)?;
        let items = match self.value_of(found.value()) {
            Some(Value::Array(items)) if items.len() >= count => items,
            Some(Value::Array(_)) => return Err(DocumentError::Missing("the list has fewer items")),
            _ => return Err(DocumentError::Missing(NOT_A_LIST)),
        };
        let splices = self.without_front(&found, count)?;
        let meant = Value::from(items[count..].to_vec());
        self.splice(at, splices, |edited| edited.value(at) == Some(meant))
    }

    /// What is to be replaced by a value.
    fn replaced(&self, found: &Found, value: &Value) -> Result<Vec<Splice>, DocumentError> {
        let index = found.value();
        let node = self.replaceable(index)?;
        if let (Value::Array(new), Some(Value::Array(old))) = (value, self.value_of(index)) {
            let added = new.len().saturating_sub(old.len());
            let removed = old.len().saturating_sub(new.len());
            return if new == &old {
                Ok(Vec::new())
            } else if new[added..] == old {
                self.prepended(index, &new[..added])
            } else if old[removed..] == new[..] {
                self.without_front(found, removed)
            } else {
                self.other_items(found, new)
            };
        }
        let source = &self.text[node.range()];
        let written = self.written(self.is_in_brackets(found), value, Some(source), node.start())?;
        let blanks = match node.kind {
            // YAML's `name:` with nothing behind.
            _ if node.range().is_empty() => " ",
            Kind::BlockSequence => self.further_than_name(found),
            _ => "",
        };
        Ok(vec![Splice::replace(node.range(), format!("{blanks}{written}"))])
    }

    /// A member that isn't there yet.
    fn added(&self, at: &[Step], value: &Value) -> Result<Vec<Splice>, DocumentError> {
        let Some((Step::Key(name), way)) = at.split_last() else { return Err(DocumentError::Missing(NOT_A_MEMBER)) };
        let found = self.find(way).ok_or(DocumentError::Missing("no mapping to add to"))?;
        let found = self.editable(found)?;
        let parent = found.value();
        let node = self.outline.node(parent);
        let is_in_brackets = node.kind == Kind::FlowMapping || self.is_in_brackets(&found);
        let member = |prefix: &str| -> Result<String, DocumentError> {
            let style = self.style(is_in_brackets);
            let value = self.written(is_in_brackets, value, None, node.start())?;
            Ok(format!("{prefix}{}{}{value}", style.name(name), self.equals(parent)))
        };
        let refused = |reason| Err(DocumentError::refused(&self.text, node.start(), reason));
        match node.kind {
            Kind::FlowMapping => Ok(self.flow(parent)?.push(&member("")?)),
            Kind::BlockMapping => {
                let indentation = place::blanks_to(&self.text, node.start());
                let member = match self.listed(value, &indentation, node.start()) {
                    Some(items) => format!("{}:{items}", self.style(false).name(name)),
                    None => member("")?,
                };
                Ok(vec![lines::push(&self.text, node.end(), &indentation, &member)])
            }
            Kind::Section => {
                let last = self.last_line(parent);
                let beside = last.unwrap_or(node.end());
                if last.is_none() && node.range().is_empty() {
                    return refused("the document has no member of its own to add behind");
                }
                let line = place::line_start(&self.text, self.first_of_line(parent, beside));
                let indentation = &self.text[line..place::behind_blanks(&self.text, line)];
                Ok(vec![lines::push(&self.text, beside, indentation, &member("")?)])
            }
            Kind::Dotted if !is_in_brackets => {
                let beside = self.last_line(parent).unwrap_or(node.end());
                let mut names = self.outline.members(parent).map(|(name, _)| self.outline.node(name).start());
                let keys = names.find_map(|start| {
                    let line = place::line_start(&self.text, start);
                    Some(&self.text[line..start]).filter(|keys| keys.ends_with('.'))
                });
                match keys {
                    Some(keys) => Ok(vec![lines::push(&self.text, beside, "", &member(keys)?)]),
                    None => refused("none of its members shows how its dotted keys are written"),
                }
            }
            Kind::Dotted => refused("its dotted keys stand within brackets"),
            Kind::Implied => refused("it has no header of its own, only tables below it"),
            _ => Err(DocumentError::Missing(NOT_A_MEMBER)),
        }
    }

    /// A list of texts as YAML's lines, if the document has other lists of them.
    fn listed(&self, value: &Value, indentation: &str, at: usize) -> Option<String> {
        let items = value.as_array().filter(|items| !items.is_empty())?;
        let mut nodes = (0..self.outline.len()).map(|index| (index, self.outline.node(index).kind));
        nodes
            .find(|(index, kind)| *kind == Kind::BlockSequence && self.outline.node(index + 1).kind == Kind::Scalar)?;
        let style = self.style(false);
        let items = items.iter().map(|item| item.is_string().then(|| style.value(item, None)).flatten());
        let line_break = place::line_break(&self.text, at);
        items.map(|item| Some(format!("{line_break}{indentation}  - {}", item?))).collect()
    }

    /// Texts before the first item of a list.
    fn prepended(&self, list: usize, texts: &[Value]) -> Result<Vec<Splice>, DocumentError> {
        let node = self.replaceable(list)?;
        let items = self.written_items(list, texts)?;
        match node.kind {
            _ if items.is_empty() => Ok(Vec::new()),
            Kind::FlowSequence => Ok(self.flow(list)?.unshift(&items)),
            Kind::BlockSequence => Ok(vec![lines::unshift(&self.text, node.start(), &items)]),
            _ => Err(DocumentError::Missing(NOT_A_LIST)),
        }
    }

    /// A list without its first items.
    fn without_front(&self, found: &Found, count: usize) -> Result<Vec<Splice>, DocumentError> {
        let list = found.value();
        let node = self.replaceable(list)?;
        if count == 0 {
            return Ok(Vec::new());
        }
        if node.kind == Kind::FlowSequence {
            return Ok(self.flow(list)?.shift(count));
        }
        let dash = |item: usize| yaml::dash_before(&self.text, self.outline.node(item).start());
        match self.outline.items(list).nth(count) {
            None => Ok(vec![self.emptied(found)]),
            Some(next) => match dash(next) {
                Some(next) => Ok(vec![Splice::cut(node.start()..next)]),
                None => Err(DocumentError::refused(&self.text, node.start(), "where its items begin is not clear")),
            },
        }
    }

    /// Other items in a list.
    fn other_items(&self, found: &Found, values: &[Value]) -> Result<Vec<Splice>, DocumentError> {
        let list = found.value();
        let node = self.replaceable(list)?;
        let items = self.written_items(list, values)?;
        match node.kind {
            Kind::FlowSequence => Ok(self.flow(list)?.replace(&items)),
            Kind::BlockSequence if items.is_empty() => Ok(vec![self.emptied(found)]),
            Kind::BlockSequence => {
                Ok(vec![Splice::replace(node.range(), lines::items(&self.text, node.start(), &items))])
            }
            _ => Err(DocumentError::Missing(NOT_A_LIST)),
        }
    }

    /// No items, where some stood on lines of their own.
    fn emptied(&self, found: &Found) -> Splice {
        let range = self.outline.node(found.value()).range();
        Splice::replace(range, format!("{}[]", self.further_than_name(found)))
    }

    /// The dashes of YAML's lists may stand below the name that they belong to; nothing else may.
    fn further_than_name(&self, found: &Found) -> &'static str {
        let column = |index: usize| place::blanks_to(&self.text, self.outline.node(index).start()).len();
        if found.name.is_some_and(|name| column(name) >= column(found.value())) { "  " } else { "" }
    }

    /// Values in the style of a list's items.
    fn written_items(&self, list: usize, values: &[Value]) -> Result<Vec<String>, DocumentError> {
        let first = self.outline.items(list).next().map(|item| self.outline.node(item));
        let like = first.filter(|first| first.kind == Kind::Scalar).map(|first| &self.text[first.range()]);
        let is_flow = self.outline.node(list).kind == Kind::FlowSequence;
        let at = self.outline.node(list).start();
        values.iter().map(|value| self.written(is_flow, value, like, at)).collect()
    }

    fn written(&self, is_flow: bool, value: &Value, like: Option<&str>, at: usize) -> Result<String, DocumentError> {
        let written = self.style(is_flow).value(value, like);
        written.ok_or_else(|| DocumentError::refused(&self.text, at, NO_SUCH_VALUE))
    }

    /// A file of one line that has no blanks gets none.
    fn style(&self, is_flow: bool) -> Style {
        let is_dense = self.format == Format::Json && !self.text.contains(['\n', '\r']) && !self.text.contains(": ");
        Style { format: self.format, is_flow, gap: if is_dense { "" } else { " " } }
    }

    /// What stands between name and value in a mapping.
    fn equals(&self, parent: usize) -> &str {
        let between = self.outline.members(parent).filter_map(|(name, value)| {
            let (name, value) = (self.outline.node(name), self.outline.node(value));
            self.text.get(name.end()..value.start())
        });
        let is_equals = |between: &&str| {
            let sign = if self.format == Format::Toml { "=" } else { ":" };
            let has_blank = self.format != Format::Yaml || between.ends_with([' ', '\t']);
            between.trim_matches([' ', '\t']) == sign && has_blank
        };
        let is_toml = self.format == Format::Toml;
        between.last().filter(is_equals).unwrap_or(if is_toml { " = " } else { ": " })
    }

    /// What stands between brackets, if it can be edited.
    fn flow(&self, index: usize) -> Result<Flow<'_>, DocumentError> {
        let node = self.outline.node(index);
        let range = node.range();
        let items = if node.kind == Kind::FlowMapping {
            let dotted = self.outline.members(index).find(|(_, value)| self.outline.node(*value).kind == Kind::Dotted);
            if dotted.is_some() {
                return Err(DocumentError::refused(&self.text, range.start, "its dotted keys stand within brackets"));
            }
            let members = self.outline.members(index);
            members.map(|(name, value)| self.outline.node(name).start()..self.outline.node(value).end()).collect()
        } else {
            self.outline.items(index).map(|item| self.outline.node(item).range()).collect()
        };
        let comments = if self.format == Format::Json { Comments::Slashes } else { Comments::Hash };
        Ok(Flow { text: &self.text, comments, inside: range.start + 1..range.end - 1, items })
    }

    /// Refuses a way that anything else leads along as well, or that isn't the only one of its name.
    fn editable(&self, found: Found) -> Result<Found, DocumentError> {
        let refused =
            |index: usize, reason| Err(DocumentError::refused(&self.text, self.outline.node(index).start(), reason));
        if let Some(name) = found.doubled {
            return refused(name, "this name stands there twice");
        }
        for index in &found.nodes {
            let node = self.outline.node(*index);
            if node.kind == Kind::Alias {
                return refused(*index, "an alias stands there");
            }
            if node.is_special {
                return refused(*index, "an anchor, a tag or an unusual spelling belongs to it");
            }
            if node.kind == Kind::BlockMapping || (node.kind == Kind::FlowMapping && self.format == Format::Yaml) {
                let mut names = self.outline.members(*index).map(|(name, _)| name);
                if let Some(merge) = names.find(|name| self.name(*name) == "<<") {
                    return refused(merge, "a merge key gives it members");
                }
            }
        }
        Ok(found)
    }

    /// A value that stands in one place.
    fn replaceable(&self, index: usize) -> Result<Node, DocumentError> {
        let node = self.outline.node(index);
        match node.kind {
            Kind::Section | Kind::Sections | Kind::Dotted | Kind::Implied => {
                Err(DocumentError::refused(&self.text, node.start(), "a table of its own stands there"))
            }
            _ => Ok(node),
        }
    }

    /// Whether a value lies within brackets.
    fn is_in_brackets(&self, found: &Found) -> bool {
        let parents = &found.nodes[..found.nodes.len().saturating_sub(1)];
        parents.iter().any(|index| matches!(self.outline.node(*index).kind, Kind::FlowMapping | Kind::FlowSequence))
    }

    /// The end of the last value that stands below a table's header, or in dotted keys.
    fn last_line(&self, table: usize) -> Option<usize> {
        self.lines_of(table).map(|range| range.end).max()
    }

    /// Where the name of the value that ends there begins.
    fn first_of_line(&self, table: usize, end: usize) -> usize {
        self.lines_of(table).find(|range| range.end == end).map_or(end, |range| range.start)
    }

    /// From the last name to the value's end of all that stands below a table's header, or in dotted keys.
    fn lines_of(&self, table: usize) -> Box<dyn Iterator<Item = Range<usize>> + '_> {
        Box::new(self.outline.members(table).flat_map(|(name, value)| {
            let node = self.outline.node(value);
            match node.kind {
                Kind::Section | Kind::Sections | Kind::Implied => Box::new(std::iter::empty()),
                Kind::Dotted => self.lines_of(value),
                _ => Box::new(std::iter::once(self.outline.node(name).start()..node.end())),
            }
        }))
    }
}
