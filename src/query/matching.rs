//! The requests that a filter keeps, in the order of time.
//!
//! Runs on the caller's thread. With a limit, the search finds the requests; without a limit, or with one so large that
//! the search would hold too many keys, a walk along an index does.

use super::database::Query;
use super::filter::RequestFilter;
use super::rank::Rank;
use super::resolved_filter::{ResolvedFilter, SearchRow};
use super::walk::Order;
use crate::ground::error::IndexError;
use std::ops::ControlFlow;

impl Query {
    /// Hands over the requests that a filter keeps, oldest first, until `each` breaks off.
    pub(super) fn each_match(
        &self,
        filter: &RequestFilter,
        mut each: impl FnMut(&SearchRow) -> Result<ControlFlow<()>, IndexError>,
    ) -> Result<(), IndexError> {
        let Some(wanted) = self.resolve(filter)? else { return Ok(()) };
        if let Some(limit) = filter.limit.filter(|limit| *limit <= self.tuning.page_rows) {
            for id in self.best(wanted, Rank::Newest, limit)? {
                if let Some(row) = self.search_row(id)?
                    && each(&row)?.is_break()
                {
                    break;
                }
            }
            return Ok(());
        }
        let mut older = match filter.limit {
            Some(limit) => self.count_walked(&wanted)?.saturating_sub(limit),
            None => 0,
        };
        let mut result = Ok(());
        self.walk(Self::whole_walk(&wanted), Order::OldestFirst, wanted.interval, |row| {
            if !wanted.keeps(row) {
                return ControlFlow::Continue(());
            }
            if older > 0 {
                older -= 1;
                return ControlFlow::Continue(());
            }
            each(row).unwrap_or_else(|error| {
                result = Err(error);
                ControlFlow::Break(())
            })
        })?;
        result
    }

    /// How many rows a walk to the wanted ones finds. The cells know sooner, but while requests expire their counts are
    /// gone before their rows.
    fn count_walked(&self, wanted: &ResolvedFilter) -> Result<u64, IndexError> {
        let mut counted = 0;
        self.walk(Self::whole_walk(wanted), Order::OldestFirst, wanted.interval, |row| {
            counted += u64::from(wanted.keeps(row));
            ControlFlow::Continue(())
        })?;
        Ok(counted)
    }
}
