//! The details of a request: those fields that every stage only passes on, one after the other.
//!
//! [`Request`](crate::Request) has the one list of them, and goes over them with a [`DetailSink`], which takes each, or
//! a [`DetailSource`], which gives each. So a detail is added in that list, and no stage between the event and the row
//! names it. Both are generic: on the hot path the list becomes straight code, as if every field were written out.

use super::code::Code;
use super::notes::Notes;

/// How long a text may be in the database. A longer one is cut there; the log keeps what was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many bytes; a longer text is cut like an id ([`ID_BYTES_MAX`](super::ID_BYTES_MAX)).
    Bytes(usize),
    /// A message: [`ERROR_MSG_CHARS_MAX`](super::ERROR_MSG_CHARS_MAX) characters.
    Message,
}

/// Takes the details of a request, in the order of the list.
pub trait DetailSink<'a, Id> {
    /// Another request's id.
    fn id(&mut self, name: &'static str, value: Option<Id>);
    /// A text, which the database keeps up to a limit.
    fn text(&mut self, name: &'static str, limit: Limit, value: Option<&'a str>);
    /// A number.
    fn number(&mut self, name: &'static str, value: Option<i64>);
    /// A number of 16 bits.
    fn short(&mut self, name: &'static str, value: Option<u16>);
    /// Yes or no.
    fn flag(&mut self, name: &'static str, value: Option<bool>);
    /// One of a few named values.
    fn code<C: Code>(&mut self, name: &'static str, value: Option<C>);
    /// Bytes, a multiple of eight of them.
    fn bytes<const N: usize>(&mut self, name: &'static str, value: Option<[u8; N]>);
    /// A set of notes.
    fn notes(&mut self, name: &'static str, value: Notes);
}

/// Gives the details of a request, in the order of the list.
pub trait DetailSource<'a, Id> {
    /// Another request's id.
    fn id(&mut self, name: &'static str) -> Option<Id>;
    /// A text, which the database keeps up to a limit.
    fn text(&mut self, name: &'static str, limit: Limit) -> Option<&'a str>;
    /// A number.
    fn number(&mut self, name: &'static str) -> Option<i64>;
    /// A number of 16 bits.
    fn short(&mut self, name: &'static str) -> Option<u16>;
    /// Yes or no.
    fn flag(&mut self, name: &'static str) -> Option<bool>;
    /// One of a few named values.
    fn code<C: Code>(&mut self, name: &'static str) -> Option<C>;
    /// Bytes, a multiple of eight of them.
    fn bytes<const N: usize>(&mut self, name: &'static str) -> Option<[u8; N]>;
    /// A set of notes.
    fn notes(&mut self, name: &'static str) -> Notes;
}

/// A detail's value, for whoever shows, compares or tests them all alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DetailValue<'a, Id> {
    /// Another request's id.
    Id(Id),
    /// A text.
    Text(&'a str),
    /// A number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
    /// The name of one of a few values.
    Code(&'static str),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Notes, maybe none.
    Notes(Notes),
}

/// Name and value of each detail; no value where the request does not have it.
impl<'a, Id> DetailSink<'a, Id> for Vec<(&'static str, Option<DetailValue<'a, Id>>)> {
    fn id(&mut self, name: &'static str, value: Option<Id>) {
        self.push((name, value.map(DetailValue::Id)));
    }

    fn text(&mut self, name: &'static str, _limit: Limit, value: Option<&'a str>) {
        self.push((name, value.map(DetailValue::Text)));
    }

    fn number(&mut self, name: &'static str, value: Option<i64>) {
        self.push((name, value.map(DetailValue::Number)));
    }

    fn short(&mut self, name: &'static str, value: Option<u16>) {
        self.push((name, value.map(|number| DetailValue::Number(number.into()))));
    }

    fn flag(&mut self, name: &'static str, value: Option<bool>) {
        self.push((name, value.map(DetailValue::Flag)));
    }

    fn code<C: Code>(&mut self, name: &'static str, value: Option<C>) {
        self.push((name, value.map(|code| DetailValue::Code(code.as_str()))));
    }

    fn bytes<const N: usize>(&mut self, name: &'static str, value: Option<[u8; N]>) {
        self.push((name, value.map(|bytes| DetailValue::Bytes(bytes.to_vec()))));
    }

    fn notes(&mut self, name: &'static str, value: Notes) {
        self.push((name, Some(DetailValue::Notes(value))));
    }
}
