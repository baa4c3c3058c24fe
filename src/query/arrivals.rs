//! Requests in the order in which they are folded: what came since a reader last looked.
//!
//! Runs on the caller's thread. Each look is one short transaction, so that a reader who waits between two looks holds
//! nothing of SQLite's WAL. Who waits, and for how long, is the caller's business.
//!
//! A cursor says up to which sequence number of each writer its reader has read. That pair names an event for ever:
//!
//! - A writer's records are folded in the order of its log, and no number is used twice. So what comes later of that writer
//!   has a higher number, also within one millisecond. Whoever records after it is another writer.
//! - A row that takes the place of another with the same request id has a number of its own, and is told.
//! - A database made anew from the logs has its rows in another order, but of the same writers and numbers. What was told is
//!   not told again.
//!
//! The time of a request was rejected as a key, because requests of one millisecond share it and long ones come late;
//! the row's id, because a database made anew has others; the request ids that were told, because they have no bound. A
//! record that waited for a newer build gets its old id once one comes, and so is not told: it is of the past.

use super::database::Query;
use super::filter::RequestFilter;
use super::page_size::{HANDED_OVER_MAX, LOOKED_AT_MAX};
use super::requests::RequestRow;
use super::resolved_filter::{SEARCH_COLUMNS, SearchRow};
use super::totals::GapRow;
use crate::ground::error::IndexError;
use crate::ground::position::WriterId;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// How many runs of records one look goes through at most: where many writers record, runs are short.
const RUNS_MAX: usize = if cfg!(test) { 7 } else { 1_000 };

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

/// Records of one writer that nobody has read, and their ids.
#[derive(Debug, Clone, Copy)]
struct Unread {
    writer: [u8; 16],
    first_id: i64,
    first_sequence: i64,
    count: i64,
}

impl Query {
    /// The end of what is folded now.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn cursor(&self) -> Result<RequestCursor, IndexError> {
        let folded = self.checkpoints()?;
        Ok(RequestCursor { read: folded.into_iter().map(|(writer, row)| (writer.0, row.sequence)).collect() })
    }

    /// The end of what is folded now, and an id that no row there exceeds.
    pub(super) fn cursor_and_id(&self) -> Result<(RequestCursor, i64), IndexError> {
        let sql = "SELECT first_id + count - 1 FROM fold_runs ORDER BY first_id DESC LIMIT 1";
        let last = self.rows(sql, &[], |row| row.get(0))?.first().copied();
        Ok((self.cursor()?, last.unwrap_or(i64::MAX)))
    }

    /// What was folded behind `cursor`, which moves on. Of `filter`, the limit does not count.
    ///
    /// # Errors
    /// What SQLite said; the cursor is where it was.
    pub fn arrivals(&self, filter: &RequestFilter, cursor: &mut RequestCursor) -> Result<Arrivals, IndexError> {
        self.at_one_time(|| {
            let (unread, are_all) = self.unread(cursor)?;
            let Some(last) = unread.last() else {
                return Ok(Arrivals { requests: Vec::new(), gaps: Vec::new(), is_all: true });
            };
            let last_id = last.first_id + last.count - 1;
            let (ids, end) = self.wanted_among(filter, &unread, last_id)?;
            let requests = self.request_rows(&ids)?;
            let mut gaps = Vec::new();
            for (first, last) in spans(&unread, end) {
                gaps.extend(self.gaps_between(filter.time_range, first - 1, last)?);
            }
            for Unread { writer, first_id, first_sequence, count } in unread {
                let read = count.min(end - first_id + 1);
                if read > 0 {
                    cursor.read.insert(writer, first_sequence + read - 1);
                }
            }
            Ok(Arrivals { requests, gaps, is_all: are_all && end == last_id })
        })
    }

    /// The first runs that nobody has read, in the order of folding, and whether these are all. A database that is made
    /// anew has not come as far yet as its reader had.
    fn unread(&self, cursor: &RequestCursor) -> Result<(Vec<Unread>, bool), IndexError> {
        let mut begin: Option<i64> = None;
        // The run that has the record, or the next one: what lies before is expired.
        let first = "SELECT first_id FROM fold_runs WHERE writer = (SELECT id FROM writers WHERE writer = ?1)
                         AND first_sequence + count > ?2 ORDER BY first_sequence LIMIT 1";
        for (writer, folded) in self.checkpoints()? {
            let read = cursor.read.get(&writer.0).copied().unwrap_or(0);
            if folded.sequence > read {
                let ids =
                    self.rows(first, &[writer.to_string().into(), (read + 1).into()], |row| row.get::<_, i64>(0))?;
                begin = ids.into_iter().chain(begin).min();
            }
        }
        let Some(begin) = begin else { return Ok((Vec::new(), true)) };
        let sql = "SELECT writers.writer, first_id, first_sequence, count
                   FROM fold_runs AS run JOIN writers ON writers.id = run.writer WHERE first_id >= ?1 ORDER BY first_id";
        let (mut unread, mut records, mut runs, mut are_all) = (Vec::new(), 0, 0, true);
        self.each_row(sql, &[begin.into()], |row| {
            if records >= LOOKED_AT_MAX as i64 || runs >= RUNS_MAX {
                are_all = false;
                return Ok(ControlFlow::Break(()));
            }
            let writer = row.get_ref(0)?.as_str()?;
            let Some(WriterId(writer)) = WriterId::from_text(writer) else { return Ok(ControlFlow::Continue(())) };
            let (first_id, first_sequence, count): (i64, i64, i64) = (row.get(1)?, row.get(2)?, row.get(3)?);
            let read = cursor.read.get(&writer).copied().unwrap_or(0);
            let skipped = (read + 1 - first_sequence).clamp(0, count);
            let most = (count - skipped).min(LOOKED_AT_MAX as i64 - records);
            runs += 1;
            if most > 0 {
                are_all &= skipped + most == count;
                let (first_id, first_sequence) = (first_id + skipped, first_sequence + skipped);
                unread.push(Unread { writer, first_id, first_sequence, count: most });
                records += most;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok((unread, are_all))
    }

    /// The ids of the wanted requests among the unread, and up to which id that is all of them: `last`, or less if there
    /// are many.
    fn wanted_among(
        &self,
        filter: &RequestFilter,
        unread: &[Unread],
        last: i64,
    ) -> Result<(Vec<i64>, i64), IndexError> {
        let Some(wanted) = self.resolve(filter)? else { return Ok((Vec::new(), last)) };
        let sql = format!("SELECT {SEARCH_COLUMNS} FROM request_rows r WHERE r.id >= ?1 AND r.id <= ?2 ORDER BY r.id");
        let mut ids = Vec::new();
        for (first, last) in spans(unread, last) {
            let mut end = None;
            self.each_row(&sql, &[first.into(), last.into()], |row| {
                let row = SearchRow::read(row)?;
                if wanted.keeps(&row) {
                    ids.push(row.id);
                }
                if ids.len() == HANDED_OVER_MAX {
                    end = Some(row.id);
                    return Ok(ControlFlow::Break(()));
                }
                Ok(ControlFlow::Continue(()))
            })?;
            if let Some(end) = end {
                return Ok((ids, end));
            }
        }
        Ok((ids, last))
    }
}

/// The ids of those runs up to `end`, as spans: their first ids and last. What follows each other is one.
fn spans(unread: &[Unread], end: i64) -> Vec<(i64, i64)> {
    let mut spans: Vec<(i64, i64)> = Vec::new();
    for Unread { first_id, count, .. } in unread {
        let (first, last) = (*first_id, end.min(first_id + count - 1));
        match spans.last_mut() {
            _ if last < first => break,
            Some((_, end)) if *end + 1 == first => *end = last,
            _ => spans.push((first, last)),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::filter::TimeRange;
    use crate::query::test_store::TestStore;

    /// A store with the writer's checkpoint.
    fn store_of(writer: u8) -> TestStore {
        let store = TestStore::new();
        store.writer(WriterId([writer; 16]));
        store
    }

    /// Folds the requests with those sequence numbers, and all records up to `up_to`: the numbers are the ids, too.
    fn fold(store: &TestStore, ids: &[i64], up_to: i64) {
        for id in ids {
            store.request(&format!("r{id}"), 7, "tools/call").set("id", *id).insert();
        }
        store.fold_up_to(1, up_to);
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
            store
                .row("gaps")
                .set("id", id)
                .set("from_ts", ts)
                .set("to_ts", ts)
                .set("events", 5)
                .set("writer", 1)
                .set("sequence", id)
                .insert();
            store.fold_up_to(1, id);
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
