//! The requests that a filter keeps, page by page, each page in a transaction of its own.
//!
//! Runs on the caller's thread. Rows stream: an answer of any size needs the memory of one page; with a limit, also of as
//! many keys as the limit says. Between two pages nothing of SQLite's WAL is held, however long the caller takes. The price
//! is that pages may be of different states of the tables: what is folded after the first is left out by its number, and
//! what expires meanwhile is gone. One long transaction was rejected: a pager that is left open would let the WAL grow
//! without bound.

use super::arrivals::RequestCursor;
use super::database::Query;
use super::filter::RequestFilter;
use super::page_size::{HANDED_OVER_MAX, LOOKED_AT_MAX};
use super::rank::Rank;
use super::requests::RequestRow;
use crate::ground::error::IndexError;
use std::ops::ControlFlow;

impl Query {
    /// Hands the rows of [`Query::requests`] over one by one, until `each` breaks off, and returns up to where they were
    /// looked for: what is folded meanwhile is not among them, and comes behind the cursor ([`Query::arrivals`]). A row
    /// that expires meanwhile is left out.
    ///
    /// # Errors
    /// What SQLite said; rows may have been handed over before.
    pub fn each_request(
        &self,
        filter: &RequestFilter,
        mut each: impl FnMut(RequestRow) -> ControlFlow<()>,
    ) -> Result<RequestCursor, IndexError> {
        let mut pages = RequestPages::start(self, filter)?;
        while let Some(page) = pages.next_page()? {
            for row in page {
                if each(row).is_break() {
                    return Ok(pages.into_cursor());
                }
            }
        }
        Ok(pages.into_cursor())
    }
}

/// Pages under way.
struct RequestPages<'q> {
    query: &'q Query,
    filter: &'q RequestFilter,
    cursor: RequestCursor,
    /// The number of the last record that is looked at.
    up_to: i64,
    rest: Rest,
}

/// What is still to come.
enum Rest {
    /// The rows with these ids, the last of them first.
    Ids(Vec<i64>),
    /// What lies behind the request with that time and id; `None`: everything.
    Behind(Option<(i64, i64)>),
    Nothing,
}

impl<'q> RequestPages<'q> {
    /// Looks for the newest, if the filter has a limit.
    fn start(query: &'q Query, filter: &'q RequestFilter) -> Result<Self, IndexError> {
        query.at_one_time(|| {
            let (cursor, up_to) = query.cursor_and_id()?;
            let rest = match (filter.limit, query.resolve(filter)?) {
                (_, None) => Rest::Nothing,
                (None, Some(_)) => Rest::Behind(None),
                (Some(limit), Some(wanted)) => {
                    let mut ids = query.best(wanted, Rank::Newest, limit)?;
                    ids.reverse();
                    Rest::Ids(ids)
                }
            };
            Ok(Self { query, filter, cursor, up_to, rest })
        })
    }

    /// The next rows; there may be none in a page that is not the last. `None` behind the last page.
    fn next_page(&mut self) -> Result<Option<Vec<RequestRow>>, IndexError> {
        let query = self.query;
        match &mut self.rest {
            Rest::Nothing => Ok(None),
            Rest::Ids(ids) => {
                let mut page = ids.split_off(ids.len().saturating_sub(HANDED_OVER_MAX));
                page.reverse();
                if ids.is_empty() {
                    self.rest = Rest::Nothing;
                }
                query.at_one_time(|| query.request_rows(&page)).map(Some)
            }
            Rest::Behind(last) => {
                let last = *last;
                let (page, rest) = query.at_one_time(|| self.page_behind(last))?;
                self.rest = rest;
                Ok(Some(page))
            }
        }
    }

    /// Up to where rows were looked for.
    fn into_cursor(self) -> RequestCursor {
        self.cursor
    }

    fn page_behind(&self, last: Option<(i64, i64)>) -> Result<(Vec<RequestRow>, Rest), IndexError> {
        let Self { query, filter, up_to, .. } = *self;
        // Names are looked up for each page: a database that was made anew meanwhile has other numbers for them.
        let Some(wanted) = query.resolve(filter)? else { return Ok((Vec::new(), Rest::Nothing)) };
        let (mut ids, mut looked_at, mut rest) = (Vec::new(), 0, Rest::Nothing);
        query.walk_behind(Query::whole_walk(&wanted), wanted.interval, last, |row| {
            looked_at += 1;
            if row.id <= up_to && wanted.keeps(row) {
                ids.push(row.id);
            }
            if looked_at == LOOKED_AT_MAX || ids.len() == HANDED_OVER_MAX {
                rest = Rest::Behind(Some((row.ts, row.id)));
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok((query.request_rows(&ids)?, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::test_store::TestStore;

    /// Three pages' rows of one millisecond between two other rows, the ids descending with time.
    fn store() -> (TestStore, Vec<i64>) {
        let store = TestStore::new();
        store.writer(crate::ground::position::WriterId([1; 16]));
        let count = i64::try_from(LOOKED_AT_MAX).unwrap() * 2 + 5;
        store.execute("BEGIN");
        store.request("last", 9, "ping").set("id", 1).set("status", "error").insert();
        store.request("first", 1, "ping").set("id", 2).set("status", "timeout").insert();
        for id in 3..count {
            let row = store.request(&format!("r{id}"), 5, if id % 2 == 0 { "tools/call" } else { "ping" });
            row.set("id", id).set("session_id", "s").set("status", "error").insert();
        }
        store.fold_up_to(1, count);
        store.execute("COMMIT");
        (store, [2].into_iter().chain(3..count).chain([1]).collect())
    }

    fn read(query: &Query, filter: &RequestFilter) -> Vec<i64> {
        let mut ids = Vec::new();
        query
            .each_request(filter, |row| {
                ids.push(row.id);
                ControlFlow::Continue(())
            })
            .unwrap();
        ids
    }

    #[test]
    fn every_way_to_rows_is_paged_without_missing_one_or_telling_it_twice() {
        let (store, all) = store();
        let query = store.query();
        let filter = RequestFilter::default;
        assert_eq!(read(&query, &filter()), all);
        assert_eq!(read(&query, &RequestFilter { limit: Some(41), ..filter() }), all[all.len() - 41..]);
        let of_session: Vec<i64> = all.iter().copied().filter(|id| *id > 2).collect();
        assert_eq!(read(&query, &RequestFilter { session_id: Some("s".into()), ..filter() }), of_session);
        assert_eq!(read(&query, &RequestFilter { errors_only: true, ..filter() }), all);
        let calls: Vec<i64> = of_session.iter().copied().filter(|id| id % 2 == 0).collect();
        assert_eq!(read(&query, &RequestFilter { method: Some("tools/call".into()), ..filter() }), calls);
        assert_eq!(read(&query, &RequestFilter { slower_than_us: Some(100), ..filter() }), [0; 0]);
    }

    #[test]
    fn what_is_folded_meanwhile_comes_behind_the_cursor_and_what_goes_is_left_out() {
        for limit in [None, Some(u64::MAX)] {
            let (store, all) = store();
            let next = store.value::<i64>("SELECT first_id + count FROM fold_runs");
            let query = store.query();
            let filter = RequestFilter { limit, ..RequestFilter::default() };
            let mut ids = Vec::new();
            let cursor = query.each_request(&filter, |row| {
                if ids.is_empty() {
                    store.request("new", 5, "ping").set("id", next).insert();
                    store.execute("DELETE FROM request_rows WHERE id = 1");
                    store.fold_up_to(1, next);
                    assert_eq!(store.frames_pinned(), 0, "nothing is held while a page is handed over");
                }
                ids.push(row.id);
                ControlFlow::Continue(())
            });
            assert_eq!(ids, all[..all.len() - 1]);
            let rest = query.arrivals(&filter, &mut cursor.unwrap()).unwrap().requests;
            assert_eq!(rest.iter().map(|row| row.id).collect::<Vec<_>>(), [next]);
        }
    }

    #[test]
    fn a_page_ends_where_enough_was_looked_at_though_nothing_of_it_is_wanted() {
        let (store, all) = store();
        let query = store.query();
        let filter = RequestFilter { slower_than_us: Some(100), ..RequestFilter::default() };
        let mut pages = RequestPages::start(&query, &filter).unwrap();
        let mut count = 0;
        while let Some(page) = pages.next_page().unwrap() {
            count += 1;
            assert!(page.is_empty(), "page {count}");
        }
        assert_eq!(count, all.len() / LOOKED_AT_MAX + 1);
    }

    #[test]
    fn breaking_off_reads_no_further() {
        let (store, _) = store();
        let mut seen = 0;
        store
            .query()
            .each_request(&RequestFilter::default(), |_| {
                seen += 1;
                if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .unwrap();
        assert_eq!(seen, 2);
    }
}
