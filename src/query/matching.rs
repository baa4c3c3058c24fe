//! The requests that a filter keeps, in the order of time.
//!
//! Runs on the caller's thread. With a limit, the search finds the requests; without a limit, a walk along an index
//! does.

use super::database::Query;
use super::filter::RequestFilter;
use super::rank::Rank;
use super::resolved_filter::SearchRow;
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
        if let Some(limit) = filter.limit {
            for id in self.best(wanted, Rank::Newest, limit)? {
                if let Some(row) = self.search_row(id)?
                    && each(&row)?.is_break()
                {
                    break;
                }
            }
            return Ok(());
        }
        let mut result = Ok(());
        self.walk(Self::whole_walk(&wanted), Order::OldestFirst, wanted.interval, |row| {
            if !wanted.keeps(row) {
                return ControlFlow::Continue(());
            }
            each(row).unwrap_or_else(|error| {
                result = Err(error);
                ControlFlow::Break(())
            })
        })?;
        result
    }
}
