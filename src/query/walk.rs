//! Rows in the order of time, along one index.
//!
//! Runs on the caller's thread. Every statement names its index: which one is right depends on how many rows match,
//! which the roll-ups know and SQLite's planner does not.

use super::database::Query;
use super::interval::ClosedInterval;
use super::outcome_set::OutcomeSet;
use super::resolved_filter::{SEARCH_COLUMNS, SearchRow};
use crate::event::Code;
use crate::ground::error::IndexError;
use rusqlite::types::Value;
use std::ops::ControlFlow;

/// The rows along one index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    /// All rows.
    All,
    /// The rows of a call.
    Call(i64),
    /// The rows of a session.
    Session(i64),
    /// The rows with those outcomes. Plain results are not among them.
    Ended(OutcomeSet),
}

/// The order of the rows: by time, and within a millisecond by id, which is the order of folding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    OldestFirst,
    NewestFirst,
}

impl Walk {
    /// The statement, and the value of its `?3` if it has one. `behind` the id `?4`, if so wanted.
    fn statement(self, order: Order, behind: bool) -> (String, Option<Value>) {
        let direction = match order {
            Order::OldestFirst => "ASC",
            Order::NewestFirst => "DESC",
        };
        let behind = if behind { " AND r.id > ?4" } else { "" };
        let select = |index: &str, condition: &str| {
            format!(
                "SELECT {SEARCH_COLUMNS} FROM request_rows r INDEXED BY {index} \
                 WHERE {condition} r.ts BETWEEN ?1 AND ?2{behind}"
            )
        };
        let in_order = |select: &str| format!("{select} ORDER BY 2 {direction}, 1 {direction}");
        // The first condition is the partial index's own, word for word; otherwise SQLite does not see that the index fits.
        let ended =
            |outcome: u8| select("request_rows_by_outcome", &format!("r.outcome <> 1 AND r.outcome = {outcome} AND"));
        match self {
            Self::All => (in_order(&select("request_rows_by_ts", "")), None),
            Self::Call(call) => (in_order(&select("request_rows_by_call", "r.call = ?3 AND")), Some(call.into())),
            Self::Session(id) => (in_order(&select("request_rows_by_session", "r.session = ?3 AND")), Some(id.into())),
            // SQLite merges the parts of such a statement as they come, each along the index: nothing is sorted.
            Self::Ended(outcomes) => {
                let parts: Vec<_> = outcomes.iter().map(|outcome| ended(outcome.number())).collect();
                (in_order(&parts.join(" UNION ALL ")), None)
            }
        }
    }
}

impl Query {
    /// Hands over the rows of an interval along an index, until `each` breaks off.
    pub(super) fn walk<'a>(
        &self,
        walk: Walk,
        order: Order,
        interval: ClosedInterval,
        mut each: impl FnMut(&SearchRow) -> ControlFlow<()> + 'a,
    ) -> Result<(), IndexError> {
        let (sql, third) = walk.statement(order, false);
        let mut values = vec![interval.first_ts.into(), interval.last_ts.into()];
        values.extend(third);
        self.each_row(&sql, &values, move |row| Ok(each(&SearchRow::read(row)?)))
    }

    /// The same, from the request with that time and id on, which is not handed over; from the beginning if `last` is
    /// `None`.
    pub(super) fn walk_behind<'a>(
        &self,
        walk: Walk,
        interval: ClosedInterval,
        last: Option<(i64, i64)>,
        mut each: impl FnMut(&SearchRow) -> ControlFlow<()> + 'a,
    ) -> Result<(), IndexError> {
        let Some((ts, id)) = last else { return self.walk(walk, Order::OldestFirst, interval, each) };
        let mut broken_off = false;
        // Two statements, so that each is one plain range of its index, also where a millisecond has many rows.
        let (sql, third) = walk.statement(Order::OldestFirst, true);
        let values = [ts.into(), ts.into(), third.unwrap_or(Value::Null), id.into()];
        self.each_row(&sql, &values, |row| {
            let flow = each(&SearchRow::read(row)?);
            broken_off = flow.is_break();
            Ok(flow)
        })?;
        let later = ClosedInterval { first_ts: ts.saturating_add(1), ..interval };
        if broken_off || later.first_ts > later.last_ts || later.first_ts == ts {
            return Ok(());
        }
        self.walk(walk, Order::OldestFirst, later, each)
    }

    /// The row with that id; `None` if there is none.
    pub(super) fn search_row(&self, id: i64) -> Result<Option<SearchRow>, IndexError> {
        let sql = format!("SELECT {SEARCH_COLUMNS} FROM request_rows r WHERE r.id = ?");
        Ok(self.rows(&sql, &[id.into()], SearchRow::read)?.first().copied())
    }
}
