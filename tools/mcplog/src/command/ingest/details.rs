//! The details of a request in a line: read by what each is, and handed to the event in their order.
//!
//! Pure. Which details there are, the library's list says; a detail that is added there is read here.

use super::reason::Reason;
use super::text::Text;
use mcplog::Request;
use mcplog::event::{Code, DetailSource, Limit, Notes};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::fmt;

/// A detail's value.
#[derive(Debug)]
enum Detail<'a> {
    Absent,
    Text(Text<'a>),
    Number(i64),
    Short(u16),
    Flag(bool),
    Code(u8),
    Bytes(Vec<u8>),
    Notes(Notes),
}

/// The members of a line that are details, as they stand there.
pub(super) struct Members<'a>(Vec<(&'static str, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members: Vec<(&'static str, &'de RawValue)> = Vec::new();
        while let Some(member) = map.next_key::<Text<'de>>()? {
            let Some(name) = Request::<'_, &str>::DETAILS.iter().find(|name| **name == member.as_str()) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if members.iter().any(|(known, _)| known == name) {
                return Err(serde::de::Error::duplicate_field(name));
            }
            members.push((name, map.next_value()?));
        }
        Ok(Members(members))
    }
}

/// The details of a line, in the order of the list.
#[derive(Debug)]
pub(super) struct Details<'a>(Vec<Detail<'a>>);

impl<'a> Details<'a> {
    /// Reads the members.
    ///
    /// # Errors
    /// The first that is not what it must be.
    pub(super) fn parse(Members(members): &Members<'a>) -> Result<Self, Reason> {
        let mut parser = Parser { members, details: Vec::new(), wrong: None };
        // The list says what each detail is; the event is made later, from what was read.
        Request::new("", 0, "", "").take_details(&mut parser);
        match parser.wrong {
            Some(reason) => Err(reason),
            None => Ok(Self(parser.details)),
        }
    }

    /// Puts them into an event.
    pub(super) fn put_into<'l>(&'l self, request: &mut Request<'l>) {
        request.take_details(&mut InOrder(self.0.iter()));
    }
}

/// Reads each detail as what it is, and gives none.
struct Parser<'m, 'a> {
    members: &'m [(&'static str, &'a RawValue)],
    details: Vec<Detail<'a>>,
    /// The first that is wrong.
    wrong: Option<Reason>,
}

impl<'a> Parser<'_, 'a> {
    fn read<T: Deserialize<'a>, Gives>(
        &mut self,
        name: &'static str,
        expected: &str,
        detail: impl FnOnce(T) -> Option<Detail<'a>>,
    ) -> Option<Gives> {
        let raw = self.members.iter().find(|(member, _)| *member == name).map(|(_, raw)| raw.get());
        let read = match raw.map(serde_json::from_str::<Option<T>>) {
            None | Some(Ok(None)) => Some(Detail::Absent),
            Some(Ok(Some(value))) => detail(value),
            Some(Err(_)) => None,
        };
        if read.is_none() && self.wrong.is_none() {
            self.wrong = Some(Reason::Wrong { field: name.to_owned(), expected: expected.to_owned() });
        }
        self.details.push(read.unwrap_or(Detail::Absent));
        None
    }
}

/// A list of names, or one text with commas between them, as the table has it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Names {
    List(Vec<String>),
    Text(String),
}

impl<'t, 'a> DetailSource<'t, &'t str> for Parser<'_, 'a> {
    fn id(&mut self, name: &'static str) -> Option<&'t str> {
        self.read(name, "a string", |text| Some(Detail::Text(text)))
    }

    fn text(&mut self, name: &'static str, _limit: Limit) -> Option<&'t str> {
        self.read(name, "a string", |text| Some(Detail::Text(text)))
    }

    fn number(&mut self, name: &'static str) -> Option<i64> {
        self.read(name, "a whole number", |number| Some(Detail::Number(number)))
    }

    fn short(&mut self, name: &'static str) -> Option<u16> {
        self.read(name, "a whole number up to 65535", |number| Some(Detail::Short(number)))
    }

    fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.read(name, "true or false", |flag| Some(Detail::Flag(flag)))
    }

    fn code<C: Code>(&mut self, name: &'static str) -> Option<C> {
        let names: Vec<_> = C::ALL.iter().map(|code| code.as_str()).collect();
        let expected = format!("one of {}", names.join(", "));
        self.read(name, &expected, |text: String| C::with_name(&text).map(|code| Detail::Code(code.number())))
    }

    fn bytes<const N: usize>(&mut self, name: &'static str) -> Option<[u8; N]> {
        let expected = format!("{} hexadecimal digits", 2 * N);
        self.read(name, &expected, |text: String| from_hex(&text).filter(|bytes| bytes.len() == N).map(Detail::Bytes))
    }

    fn notes(&mut self, name: &'static str) -> Notes {
        let detail = |names| {
            let text = match names {
                Names::List(names) => names.join(","),
                Names::Text(text) => text,
            };
            Notes::parse(&text).map(Detail::Notes)
        };
        self.read::<_, Notes>(name, "a list of the names of notes", detail).unwrap_or(Notes::NONE)
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.0.iter().map(|[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect::<Option<Vec<_>>>();
    bytes.filter(|_| pairs.1.is_empty())
}

/// Gives what was read, one after the other.
struct InOrder<'l, 'a>(std::slice::Iter<'l, Detail<'a>>);

impl<'l> DetailSource<'l, &'l str> for InOrder<'l, '_> {
    fn id(&mut self, _name: &'static str) -> Option<&'l str> {
        match self.0.next() {
            Some(Detail::Text(text)) => Some(text.as_str()),
            _ => None,
        }
    }

    fn text(&mut self, name: &'static str, _limit: Limit) -> Option<&'l str> {
        self.id(name)
    }

    fn number(&mut self, _name: &'static str) -> Option<i64> {
        match self.0.next() {
            Some(Detail::Number(number)) => Some(*number),
            _ => None,
        }
    }

    fn short(&mut self, _name: &'static str) -> Option<u16> {
        match self.0.next() {
            Some(Detail::Short(number)) => Some(*number),
            _ => None,
        }
    }

    fn flag(&mut self, _name: &'static str) -> Option<bool> {
        match self.0.next() {
            Some(Detail::Flag(flag)) => Some(*flag),
            _ => None,
        }
    }

    fn code<C: Code>(&mut self, _name: &'static str) -> Option<C> {
        match self.0.next() {
            Some(Detail::Code(number)) => C::with_number((*number).into()),
            _ => None,
        }
    }

    fn bytes<const N: usize>(&mut self, _name: &'static str) -> Option<[u8; N]> {
        match self.0.next() {
            Some(Detail::Bytes(bytes)) => bytes.as_slice().try_into().ok(),
            _ => None,
        }
    }

    fn notes(&mut self, _name: &'static str) -> Notes {
        match self.0.next() {
            Some(Detail::Notes(notes)) => *notes,
            _ => Notes::NONE,
        }
    }
}
