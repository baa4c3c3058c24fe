//! Requests in the order in which they are folded: what came since a reader last looked.
//!
//! Runs on the caller's thread. Each look is one short transaction, so that a reader who waits between two looks holds
//! nothing of SQLite's WAL. Who waits, and for how long, is the caller's business.
//!
//! A cursor says up to which sequence number of which writer its reader has read. That pair names an event for ever:
//!
//! - Rows are folded in the order of the log, and no number is used twice. So what comes later has a higher number, also
//!   within one millisecond, and after the process that records was started anew.
//! - A row that takes the place of another with the same request id has a number of its own, and is told.
//! - A database made anew from the log gives its rows the numbers that they had. What was told is not told again.
//! - Another store in the same directory has another writer id, and is told from its beginning. Once several writers
//!   record into one store, a cursor has an entry for each of them.
//!
//! The time of a request was rejected as a key, because requests of one millisecond share it and long ones come late;
//! the row's place in the table, because a database made anew has others; the request ids that were told, because they
//! have no bound. A record that waited for a newer build gets its old number once one comes, and so is not told: it is
//! of the past.

use super::database::Query;
use super::filter::RequestFilter;
use super::page_size::{HANDED_OVER_MAX, LOOKED_AT_MAX};
use super::requests::RequestRow;
use super::resolved_filter::{SEARCH_COLUMNS, SearchRow};
use super::totals::GapRow;
use crate::ground::error::IndexError;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Up to where a reader has read. The default has read nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestCursor {
    /// For each writer that was met, the sequence number of the last record that was read.
    read: BTreeMap<[u8; 16], i64>,
}

/// What came since a reader last looked, or the first part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arrivals {
    /// The requests that the filter keeps, in the order in which they were folded.
    pub requests: Vec<RequestRow>,
    /// The gaps that touch the filter's times: events known to be lost.
    pub gaps: Vec<GapRow>,
    /// Whether there is nothing more for now.
    pub is_all: bool,
}

impl Query {
    /// The end of what is folded now.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn cursor(&self) -> Result<RequestCursor, IndexError> {
        Ok(self.cursor_and_number()?.0)
    }

    /// The end of what is folded now, and a number that no record there exceeds.
    pub(super) fn cursor_and_number(&self) -> Result<(RequestCursor, i64), IndexError> {
        let folded = self.folded_up_to()?;
        let number = folded.map_or(i64::MAX, |(_, sequence)| sequence);
        Ok((RequestCursor { read: folded.into_iter().collect() }, number))
    }

    /// What was folded behind `cursor`, which moves on. Of `filter`, the limit does not count.
    ///
    /// # Errors
    /// What SQLite said; the cursor is where it was.
    pub fn arrivals(&self, filter: &RequestFilter, cursor: &mut RequestCursor) -> Result<Arrivals, IndexError> {
        self.at_one_time(|| {
            let nothing = Arrivals { requests: Vec::new(), gaps: Vec::new(), is_all: true };
            // A database that is still empty has nothing to tell.
            let Some((writer_id, folded)) = self.folded_up_to()? else { return Ok(nothing) };
            let from = cursor.read.get(&writer_id).copied().unwrap_or(0);
            // A database that is made anew has not come as far yet as its reader had.
            if folded <= from {
                return Ok(nothing);
            }
            let (ids, end) = self.wanted_between(filter, from, folded)?;
            let requests = self.request_rows(&ids)?;
            let gaps = self.gaps_between(filter.time_range, from, end)?;
            cursor.read.insert(writer_id, end);
            Ok(Arrivals { requests, gaps, is_all: end == folded })
        })
    }

    /// The ids of the wanted requests behind `from`, and up to where that is all of them: `up_to`, or less if there are
    /// many.
    fn wanted_between(&self, filter: &RequestFilter, from: i64, up_to: i64) -> Result<(Vec<i64>, i64), IndexError> {
        let Some(wanted) = self.resolve(filter)? else { return Ok((Vec::new(), up_to)) };
        let sql = format!("SELECT {SEARCH_COLUMNS} FROM request_rows r WHERE r.id > ?1 AND r.id <= ?2 ORDER BY r.id");
        let (mut ids, mut looked_at, mut end) = (Vec::new(), 0, up_to);
        self.each_row(&sql, &[from.into(), up_to.into()], |row| {
            let row = SearchRow::read(row)?;
            looked_at += 1;
            if wanted.keeps(&row) {
                ids.push(row.id);
            }
            if looked_at == LOOKED_AT_MAX || ids.len() == HANDED_OVER_MAX {
                end = row.id;
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok((ids, end))
    }

    /// The log's writer, and the last of its records that is folded; `None` before the first.
    fn folded_up_to(&self) -> Result<Option<([u8; 16], i64)>, IndexError> {
        let sql = "SELECT writer_id, sequence FROM checkpoint";
        Ok(self.rows(sql, &[], |row| Ok((row.get(0)?, row.get(1)?)))?.first().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::filter::TimeRange;
    use crate::query::test_store::TestStore;

    /// A store with the writer's checkpoint.
    fn store_of(writer: u8) -> TestStore {
        let store = TestStore::new();
        store.checkpoint([writer; 16]);
        store
    }

    /// Folds the requests with those sequence numbers, and all records up to `up_to`.
    fn fold(store: &TestStore, ids: &[i64], up_to: i64) {
        for id in ids {
            store.request(&format!("r{id}"), 7, "tools/call").set("id", *id).insert();
        }
        store.execute(&format!("UPDATE checkpoint SET sequence = {up_to}"));
    }

    fn told(store: &TestStore, filter: &RequestFilter, cursor: &mut RequestCursor) -> Vec<i64> {
        let query = store.query();
        let mut ids = Vec::new();
        loop {
            let arrivals = query.arrivals(filter, cursor).unwrap();
            ids.extend(arrivals.requests.iter().map(|row| row.id));
            if arrivals.is_all {
                return ids;
            }
        }
    }

    #[test]
    fn each_row_is_told_once_also_those_of_one_millisecond() {
        let (store, all) = (store_of(1), RequestFilter::default());
        let mut cursor = RequestCursor::default();
        assert_eq!(told(&store, &all, &mut cursor), [0; 0]);
        fold(&store, &[2, 3], 3);
        assert_eq!(told(&store, &all, &mut cursor), [2, 3]);
        assert_eq!(told(&store, &all, &mut cursor), [0; 0]);
        fold(&store, &[5, 9], 12);
        assert_eq!(told(&store, &all, &mut cursor), [5, 9]);
        assert_eq!(cursor, store.query().cursor().unwrap());
    }

    #[test]
    fn more_than_one_look_can_hold_is_told_in_several_and_none_is_missed() {
        let store = store_of(1);
        let count = i64::try_from(LOOKED_AT_MAX).unwrap() * 2 + 7;
        store.execute("BEGIN");
        fold(&store, &(1..=count).collect::<Vec<_>>(), count);
        store.request("odd", 7, "ping").set("id", count + 1).insert();
        fold(&store, &[], count + 1);
        store.execute("COMMIT");
        assert_eq!(
            told(&store, &RequestFilter::default(), &mut RequestCursor::default()),
            (1..=count + 1).collect::<Vec<_>>()
        );
        let seldom = RequestFilter { method: Some("ping".into()), ..RequestFilter::default() };
        assert_eq!(told(&store, &seldom, &mut RequestCursor::default()), [count + 1]);
        let never = RequestFilter { method: Some("nobody".into()), ..RequestFilter::default() };
        let mut cursor = RequestCursor::default();
        assert_eq!(told(&store, &never, &mut cursor), [0; 0]);
        assert_eq!(cursor, store.query().cursor().unwrap(), "what is not wanted is not looked at again");
    }

    #[test]
    fn a_database_made_anew_tells_only_what_is_new_and_another_store_tells_all() {
        let (old, all) = (store_of(1), RequestFilter::default());
        let mut cursor = RequestCursor::default();
        fold(&old, &[1, 2, 3], 3);
        assert_eq!(told(&old, &all, &mut cursor), [1, 2, 3]);
        // Folded anew from the log, by and by.
        let anew = store_of(1);
        fold(&anew, &[1, 2], 2);
        assert_eq!(told(&anew, &all, &mut cursor), [0; 0]);
        fold(&anew, &[3, 4], 4);
        assert_eq!(told(&anew, &all, &mut cursor), [4]);
        let other = store_of(2);
        fold(&other, &[1], 1);
        assert_eq!(told(&other, &all, &mut cursor), [1]);
        assert_eq!(told(&anew, &all, &mut cursor), [0; 0], "the first store is remembered");
    }

    #[test]
    fn the_row_that_takes_anothers_place_is_told() {
        let (store, all) = (store_of(1), RequestFilter::default());
        let mut cursor = RequestCursor::default();
        fold(&store, &[1, 2], 2);
        assert_eq!(told(&store, &all, &mut cursor), [1, 2]);
        store.execute("DELETE FROM request_rows WHERE id = 1");
        store.request("r1", 3, "tools/call").set("id", 8).insert();
        fold(&store, &[], 8);
        assert_eq!(told(&store, &all, &mut cursor), [8]);
    }

    #[test]
    fn gaps_are_told_once_where_they_touch_the_times_that_are_asked_about() {
        let store = store_of(1);
        let gap = |id: i64, ts: i64| {
            store.row("gaps").set("id", id).set("from_ts", ts).set("to_ts", ts).set("events", 5).insert();
            store.execute(&format!("UPDATE checkpoint SET sequence = {id}"));
        };
        let filter =
            RequestFilter { time_range: TimeRange { since_ts: Some(10), until_ts: None }, ..RequestFilter::default() };
        let mut cursor = RequestCursor::default();
        gap(1, 5);
        gap(2, 15);
        let ids = |cursor: &mut RequestCursor| {
            store.query().arrivals(&filter, cursor).unwrap().gaps.iter().map(|gap| gap.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(&mut cursor), [2]);
        assert_eq!(ids(&mut cursor), [0; 0]);
    }

    #[test]
    fn a_reader_who_waits_keeps_nothing_of_the_wal() {
        let store = store_of(1);
        fold(&store, &[1], 1);
        let query = store.query();
        let mut cursor = RequestCursor::default();
        query.arrivals(&RequestFilter::default(), &mut cursor).unwrap();
        fold(&store, &[2], 2);
        assert_eq!(store.frames_pinned(), 0);
        assert_eq!(query.arrivals(&RequestFilter::default(), &mut cursor).unwrap().requests.len(), 1);
    }
}
