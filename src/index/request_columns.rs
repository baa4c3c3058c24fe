//! The details of a request as columns of a row: bound to a statement's parameters, and read from a row.
//!
//! Runs on the compactor. The columns have the names of the details and their order.

use crate::event::{Code, DetailSink, DetailSource, Limit, Notes};
use crate::record::id::{Id, IdBuffer};
use crate::record::request::RequestRecord;
use rusqlite::types::{FromSql, Null, ValueRef};
use rusqlite::{Row, Statement, ToSql};

/// Binds one value after the other.
pub(super) struct Binder<'s, 'c> {
    statement: &'s mut Statement<'c>,
    /// The next parameter.
    at: usize,
    /// Which parameters, from the first one on, are bound to NULL.
    nulls: std::slice::IterMut<'s, bool>,
    bound: rusqlite::Result<()>,
}

impl<'s, 'c> Binder<'s, 'c> {
    /// A binder whose first parameter is `at`.
    pub(super) fn new(statement: &'s mut Statement<'c>, at: usize, nulls: &'s mut [bool]) -> Self {
        Self { statement, at, nulls: nulls.iter_mut(), bound: Ok(()) }
    }

    /// Binds the next value.
    pub(super) fn bind(&mut self, value: Option<impl ToSql>) {
        let at = self.at;
        self.at += 1;
        // Those beyond are columns that the statement does not have, and the row does not need.
        let Some(is_null) = self.nulls.next() else { return };
        let was_null = std::mem::replace(is_null, value.is_none());
        if self.bound.is_ok() {
            match value {
                Some(value) => self.bound = self.statement.raw_bind_parameter(at, value),
                None if was_null => {}
                None => self.bound = self.statement.raw_bind_parameter(at, Null),
            }
        }
    }

    /// The first error, if there was one.
    pub(super) fn finish(self) -> rusqlite::Result<()> {
        self.bound
    }
}

impl<'a> DetailSink<'a, Id<'a>> for Binder<'_, '_> {
    fn id(&mut self, _name: &'static str, value: Option<Id<'a>>) {
        let mut buffer = IdBuffer::default();
        self.bind(value.as_ref().map(|id| id.text_in(&mut buffer)));
    }

    fn text(&mut self, _name: &'static str, _limit: Limit, value: Option<&'a str>) {
        self.bind(value);
    }

    fn number(&mut self, _name: &'static str, value: Option<i64>) {
        self.bind(value);
    }

    fn short(&mut self, _name: &'static str, value: Option<u16>) {
        self.bind(value);
    }

    fn flag(&mut self, _name: &'static str, value: Option<bool>) {
        self.bind(value);
    }

    fn code<C: Code>(&mut self, _name: &'static str, value: Option<C>) {
        self.bind(value.map(Code::number));
    }

    fn bytes<const N: usize>(&mut self, _name: &'static str, value: Option<[u8; N]>) {
        self.bind(value);
    }

    fn notes(&mut self, _name: &'static str, value: Notes) {
        // As text, so that whoever reads the database needs no list of bits.
        self.bind((!value.is_empty()).then(|| value.to_string()));
    }
}

/// How many details there are up to the last one that the request has.
pub(super) fn last_detail(request: &RequestRecord<'_>) -> usize {
    let mut presence = Presence { details: 0, last: 0 };
    request.put_details(&mut presence);
    presence.last
}

/// Finds the last detail that a request has.
struct Presence {
    /// How many details the list has had so far.
    details: usize,
    /// The count at the last detail that was present.
    last: usize,
}

impl Presence {
    fn note(&mut self, is_present: bool) {
        self.details += 1;
        if is_present {
            self.last = self.details;
        }
    }
}

impl<'a> DetailSink<'a, Id<'a>> for Presence {
    fn id(&mut self, _name: &'static str, value: Option<Id<'a>>) {
        self.note(value.is_some());
    }

    fn text(&mut self, _name: &'static str, _limit: Limit, value: Option<&'a str>) {
        self.note(value.is_some());
    }

    fn number(&mut self, _name: &'static str, value: Option<i64>) {
        self.note(value.is_some());
    }

    fn short(&mut self, _name: &'static str, value: Option<u16>) {
        self.note(value.is_some());
    }

    fn flag(&mut self, _name: &'static str, value: Option<bool>) {
        self.note(value.is_some());
    }

    fn code<C: Code>(&mut self, _name: &'static str, value: Option<C>) {
        self.note(value.is_some());
    }

    fn bytes<const N: usize>(&mut self, _name: &'static str, value: Option<[u8; N]>) {
        self.note(value.is_some());
    }

    fn notes(&mut self, _name: &'static str, value: Notes) {
        self.note(!value.is_empty());
    }
}

/// Reads one column after the other. Anybody may have changed the database: [`Self::finish`] reports a value of a wrong
/// type.
pub(super) struct RowDetails<'r, 'c> {
    row: &'r Row<'c>,
    /// The next column.
    at: usize,
    read: rusqlite::Result<()>,
}

impl<'r, 'c> RowDetails<'r, 'c> {
    /// A reader whose first column is `at`.
    pub(super) fn new(row: &'r Row<'c>, at: usize) -> Self {
        Self { row, at, read: Ok(()) }
    }

    /// The last error, if there was one.
    pub(super) fn finish(self) -> rusqlite::Result<()> {
        self.read
    }

    fn next<T>(&mut self, read: impl FnOnce(ValueRef<'r>) -> Option<T>) -> Option<T> {
        let at = self.at;
        self.at += 1;
        let value = match self.row.get_ref(at) {
            Ok(ValueRef::Null) => return None,
            Ok(value) => value,
            Err(error) => {
                self.read = Err(error);
                return None;
            }
        };
        let found = read(value);
        if found.is_none() {
            self.read = Err(rusqlite::Error::InvalidColumnType(at, "a detail".to_owned(), value.data_type()));
        }
        found
    }
}

impl<'r> DetailSource<'r, Id<'r>> for RowDetails<'r, '_> {
    fn id(&mut self, _name: &'static str) -> Option<Id<'r>> {
        self.next(|value| value.as_str().ok().map(Id::new))
    }

    fn text(&mut self, _name: &'static str, _limit: Limit) -> Option<&'r str> {
        self.next(|value| value.as_str().ok())
    }

    fn number(&mut self, _name: &'static str) -> Option<i64> {
        self.next(|value| value.as_i64().ok())
    }

    fn short(&mut self, _name: &'static str) -> Option<u16> {
        self.next(|value| u16::column_result(value).ok())
    }

    fn flag(&mut self, _name: &'static str) -> Option<bool> {
        self.next(|value| bool::column_result(value).ok())
    }

    fn code<C: Code>(&mut self, _name: &'static str) -> Option<C> {
        self.next(|value| C::with_number(u64::try_from(value.as_i64().ok()?).ok()?))
    }

    fn bytes<const N: usize>(&mut self, _name: &'static str) -> Option<[u8; N]> {
        self.next(|value| value.as_blob().ok()?.try_into().ok())
    }

    fn notes(&mut self, _name: &'static str) -> Notes {
        self.next(|value| Notes::parse(value.as_str().ok()?)).unwrap_or(Notes::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    #[test]
    fn the_first_value_that_can_not_be_bound_is_the_error() {
        let connection = Connection::open_in_memory().unwrap();
        let mut statement = connection.prepare("SELECT ?1").unwrap();
        let bound = |statement: &mut Statement<'_>, values: i64| {
            let mut nulls = [false; 3];
            let mut binder = Binder::new(statement, 1, &mut nulls);
            (0..values).for_each(|value| binder.bind(Some(value)));
            binder.finish()
        };
        assert_eq!(bound(&mut statement, 1), Ok(()));
        assert!(bound(&mut statement, 3).is_err(), "there is one place");
    }
}
