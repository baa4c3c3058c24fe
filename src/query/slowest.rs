//! The slowest requests, however many are asked for.
//!
//! Runs on the caller's thread. A few are found by a search. Many are taken a page at a time: each page is one walk over
//! all wanted rows, which keeps the best keys below those of the page before. So what is held is one page's keys, and each
//! page is read once for some million rows that are looked up and handed over one by one. An index on latencies was
//! rejected, because every request would pay for it; so was a sort by SQLite, whose temporary files would lie outside of
//! the store.

use super::database::Query;
use super::filter::RequestFilter;
use super::rank::{Key, Rank};
use super::requests::RequestRow;
use super::resolved_filter::ResolvedFilter;
use super::walk::Order;
use crate::ground::error::IndexError;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;

impl Query {
    /// The slowest requests that `filter` keeps, at most `limit` and no more than the filter's own: the slowest first,
    /// and of equals the newest first. What has no latency is not among them
    /// ([`Outcome::has_latency`](crate::event::Outcome::has_latency)).
    ///
    /// # Errors
    /// What SQLite said.
    pub fn slowest(&self, filter: &RequestFilter, limit: u64) -> Result<Vec<RequestRow>, IndexError> {
        let mut rows = Vec::new();
        self.each_slowest(filter, limit, |row| {
            rows.push(row);
            ControlFlow::Continue(())
        })?;
        Ok(rows)
    }

    /// Hands the rows of [`Query::slowest`] over one by one, until `each` breaks off. Memory is bounded, whatever the
    /// limit.
    ///
    /// # Errors
    /// What SQLite said; rows may have been handed over before.
    pub fn each_slowest(
        &self,
        filter: &RequestFilter,
        limit: u64,
        mut each: impl FnMut(RequestRow) -> ControlFlow<()>,
    ) -> Result<(), IndexError> {
        let limit = limit.min(filter.limit.unwrap_or(u64::MAX));
        self.at_one_time(|| {
            let Some(wanted) = self.resolve(filter)?.and_then(ResolvedFilter::with_latency) else { return Ok(()) };
            if limit <= self.tuning.searched_rows {
                for id in self.best(wanted, Rank::Slowest, limit)?.into_iter().rev() {
                    if each(self.request_row(id)?).is_break() {
                        break;
                    }
                }
                return Ok(());
            }
            let (mut left, mut above) = (limit, None);
            while left > 0 {
                let most = left.min(self.tuning.page_rows);
                let page = self.page_below(&wanted, above, usize::try_from(most).unwrap_or(usize::MAX))?;
                for (_, _, id) in &page {
                    if each(self.request_row(*id)?).is_break() {
                        return Ok(());
                    }
                }
                let found = page.len() as u64;
                if found < most {
                    break;
                }
                (left, above) = (left - found, page.last().copied());
            }
            Ok(())
        })
    }

    /// The best keys of the wanted rows that are less than `above`, at most so many, the best first.
    fn page_below(&self, wanted: &ResolvedFilter, above: Option<Key>, most: usize) -> Result<Vec<Key>, IndexError> {
        let mut best: BinaryHeap<Reverse<Key>> = BinaryHeap::new();
        self.walk(Self::whole_walk(wanted), Order::OldestFirst, wanted.interval, |row| {
            let key = Rank::Slowest.key(row);
            if above.is_none_or(|above| key < above) && wanted.keeps(row) {
                if best.len() < most {
                    best.push(Reverse(key));
                } else if let Some(mut least) = best.peek_mut()
                    && least.0 < key
                {
                    *least = Reverse(key);
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok(best.into_sorted_vec().into_iter().map(|Reverse(key)| key).collect())
    }
}
