//! The slowest requests, however many are asked for.
//!
//! Runs on the caller's thread. A few are found by a search. Many are taken a page of keys at a time: each page is one
//! walk over all wanted rows, which keeps the best keys below those of the page before. So what is held is one page's
//! keys, and each page is read once for some million rows that are looked up and handed over. The walk is made of short
//! transactions, and so are the rows looked up: nothing of SQLite's WAL is held while the caller takes its time, nor
//! for as long as a walk over a large store takes. An index on latencies was rejected, because every request would pay
//! for it; so was a sort by SQLite, whose temporary files would lie outside of the store.

use super::database::Query;
use super::filter::RequestFilter;
use super::page_size::LOOKED_AT_MAX;
use super::rank::{Key, Rank};
use super::requests::RequestRow;
use super::resolved_filter::ResolvedFilter;
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
    /// limit. What is folded meanwhile is not among them, and what expires meanwhile may be left out.
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
        if limit <= self.tuning.searched_rows {
            let mut ids = self.at_one_time(|| match self.resolve_slow(filter)? {
                None => Ok(Vec::new()),
                Some(wanted) => self.best(wanted, Rank::Slowest, limit),
            })?;
            ids.reverse();
            return self.hand_over(&ids, &mut each).map(drop);
        }
        let (_, up_to) = self.cursor_and_id()?;
        let (mut left, mut above) = (limit, None);
        while left > 0 {
            let most = left.min(self.tuning.page_rows);
            let page = self.page_below(filter, up_to, above, usize::try_from(most).unwrap_or(usize::MAX))?;
            let ids: Vec<i64> = page.iter().map(|(_, _, id)| *id).collect();
            let found = ids.len() as u64;
            if self.hand_over(&ids, &mut each)?.is_break() || found < most {
                break;
            }
            (left, above) = (left - found, page.last().copied());
        }
        Ok(())
    }

    /// The filter without what is never slow.
    fn resolve_slow(&self, filter: &RequestFilter) -> Result<Option<ResolvedFilter>, IndexError> {
        Ok(self.resolve(filter)?.and_then(ResolvedFilter::with_latency))
    }

    /// The best keys of the wanted rows up to record `up_to` that are less than `above`, at most so many, the best
    /// first.
    fn page_below(
        &self,
        filter: &RequestFilter,
        up_to: i64,
        above: Option<Key>,
        most: usize,
    ) -> Result<Vec<Key>, IndexError> {
        let mut best: BinaryHeap<Reverse<Key>> = BinaryHeap::new();
        let (mut last, mut is_through) = (None, false);
        while !is_through {
            is_through = self.at_one_time(|| {
                // Names are looked up for each part: a database that was made anew meanwhile has other numbers for
                // them.
                let Some(wanted) = self.resolve_slow(filter)? else { return Ok(true) };
                let (from, mut looked_at) = (last, 0);
                self.walk_behind(Self::whole_walk(&wanted), wanted.interval, from, |row| {
                    looked_at += 1;
                    last = Some((row.ts, row.id));
                    let key = Rank::Slowest.key(row);
                    if row.id <= up_to && above.is_none_or(|above| key < above) && wanted.keeps(row) {
                        if best.len() < most {
                            best.push(Reverse(key));
                        } else if let Some(mut least) = best.peek_mut()
                            && least.0 < key
                        {
                            *least = Reverse(key);
                        }
                    }
                    if looked_at == LOOKED_AT_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })?;
                Ok(looked_at < LOOKED_AT_MAX)
            })?;
        }
        Ok(best.into_sorted_vec().into_iter().map(|Reverse(key)| key).collect())
    }
}
