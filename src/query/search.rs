//! The newest, or the slowest, of the wanted requests, without looking at all of them.
//!
//! Runs on the caller's thread. A search holds as many keys as rows are asked for, and the cells that are still to be
//! opened.
//!
//! The roll-ups make a tree: a cell of ten days, its days, their quarters, down to minutes and seconds, of all calls
//! together; then the cells of each call at the same time. Where few calls are wanted, or calls that are seldom made,
//! each of them has a tree of its own. The search opens cells best first: next comes the cell whose requests may be the
//! newest (or slowest) of all that are not seen yet. The search ends when no cell can beat the best requests so far. A
//! cell is opened in one of three ways:
//!
//! - If its lists of the slowest requests name every request that can be wanted, those requests are looked up.
//! - If it has few requests, its rows are read.
//! - Else its finer cells join the queue, but for cells that have nothing that is wanted.
//!
//! So the cost of a search depends on how many rows are asked for, and neither on the size of the store nor on where in
//! time the rows lie. Where every second request matches, walking back along the index is cheaper: so the search tries
//! that first, over as many rows as take a millisecond. Where another index has fewer rows than the cells count, the
//! search walks that index (`plan.rs` decides). The hard cases are the slowest of a large session, because cells know
//! no sessions, and the slowest of one proxy or method among several that each have hundreds of tools.

use super::cells::CellHead;
use super::database::Query;
use super::plan::Way;
use super::rank::{Key, Rank};
use super::resolved_filter::{ResolvedFilter, SearchRow};
use super::walk::{Order, Walk};
use crate::event::Outcome;
use crate::fold::cell_scope::CellScope;
use crate::fold::rollup::{SLOWEST, Slow};
use crate::ground::error::IndexError;
use std::collections::{BTreeSet, BinaryHeap, HashSet};
use std::ops::ControlFlow;

impl Query {
    /// The ids of the best of the wanted requests, at most `limit`, the best last.
    pub(super) fn best(&self, wanted: ResolvedFilter, rank: Rank, limit: u64) -> Result<Vec<i64>, IndexError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut search =
            Search { query: self, wanted, rank, limit, best: BTreeSet::new(), looks_left: 0, seen: HashSet::new() };
        search.run()?;
        Ok(search.best.into_iter().map(|(_, _, id)| id).collect())
    }
}

/// A search under way.
struct Search<'q> {
    query: &'q Query,
    wanted: ResolvedFilter,
    rank: Rank,
    /// At least 1.
    limit: usize,
    /// The keys of the best requests so far, at most `limit` of them.
    best: BTreeSet<Key>,
    /// How many more cells and rows may be looked at.
    looks_left: i64,
    /// Requests that were looked up by their ids: the lists of a cell and of its finer cells share some.
    seen: HashSet<i64>,
}

impl Search<'_> {
    fn run(&mut self) -> Result<(), IndexError> {
        let Some(recorded) = self.query.recorded_interval()? else { return Ok(()) };
        let Some(interval) = self.wanted.interval.within(recorded) else { return Ok(()) };
        self.wanted.interval = interval;
        let mut way = self.query.way(&self.wanted, self.rank)?;
        if way == Way::TryAll {
            if self.walk(Walk::All, self.query.tuning.tried_rows)? {
                return Ok(());
            }
            way = self.query.cheapest_way(&self.wanted, self.rank)?;
        }
        match way {
            Way::Walk(walk) => self.walk(walk, u64::MAX).map(|_| ()),
            Way::TryAll | Way::Cells => self.open_cells(i64::MAX).map(|_| ()),
            Way::TryCells(looks, walk) => match self.open_cells(looks)? {
                true => Ok(()),
                false => self.walk(walk, u64::MAX).map(|_| ()),
            },
        }
    }

    /// Walks back over at most so many rows; returns whether nothing better is left. Where the walk breaks off, the
    /// interval ends from now on.
    fn walk(&mut self, walk: Walk, rows: u64) -> Result<bool, IndexError> {
        let (query, interval) = (self.query, self.wanted.interval);
        let (mut left, mut done) = (rows, true);
        query.walk(walk, Order::NewestFirst, interval, |row| {
            if left == 0 {
                // Other requests of this millisecond may have been offered: a key stays once, however often it is
                // offered.
                self.wanted.interval.last_ts = row.ts;
                done = false;
                return ControlFlow::Break(());
            }
            left -= 1;
            self.offer(row);
            self.break_if_final()
        })?;
        Ok(done)
    }

    /// Breaks a walk back off once it has the newest requests: all that follow are older.
    fn break_if_final(&self) -> ControlFlow<()> {
        let is_final = self.rank == Rank::Newest && self.best.len() == self.limit;
        if is_final { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Takes a request among the best, if it is wanted and good enough.
    fn offer(&mut self, row: &SearchRow) {
        if self.wanted.keeps(row) {
            self.best.insert(self.rank.key(row));
            if self.best.len() > self.limit {
                self.best.pop_first();
            }
        }
    }

    /// The key that a request must beat; `None` while there are fewer requests than asked for.
    fn floor(&self) -> Option<Key> {
        self.best.first().filter(|_| self.best.len() == self.limit).copied()
    }

    /// Opens cells, best first, until it has looked at so many cells and rows; returns whether nothing better is left.
    fn open_cells(&mut self, looks: i64) -> Result<bool, IndexError> {
        self.looks_left = looks;
        let mut queue: BinaryHeap<_> = self.roots()?.into_iter().filter_map(|cell| self.queue_entry(cell)).collect();
        while let Some(QueueEntry { bound, cell }) = queue.pop() {
            if self.floor().is_some_and(|floor| bound < floor) {
                break;
            }
            if self.looks_left <= 0 {
                return Ok(false);
            }
            let finer = self.open(&cell)?;
            self.looks_left -= i64::try_from(finer.len()).unwrap_or(i64::MAX);
            queue.extend(finer.into_iter().filter_map(|cell| self.queue_entry(cell)));
        }
        Ok(true)
    }

    /// The cells to begin with: those of all calls together, if the wanted calls have at least half of all requests.
    fn roots(&self) -> Result<Vec<CellHead>, IndexError> {
        let Self { query, wanted, .. } = self;
        let range = wanted.interval.touched(wanted.interval.level());
        let roots = query.cell_heads(&wanted.scopes(), range)?;
        if !wanted.excludes_calls || wanted.calls.len() <= query.tuning.few_calls {
            return Ok(roots);
        }
        let all = query.cell_heads(&[CellScope::All], range)?;
        let calls = |cells: &[CellHead]| cells.iter().map(|cell| i128::from(cell.counts.calls())).sum::<i128>();
        Ok(if 2 * calls(&roots) >= calls(&all) { all } else { roots })
    }

    /// The cell with its bound; `None` if the cell has nothing that is wanted.
    fn queue_entry(&self, cell: CellHead) -> Option<QueueEntry> {
        Some(QueueEntry { bound: self.rank.bound(&cell, &self.wanted)?, cell })
    }

    /// Offers the requests of a cell, or returns the cells that make it up.
    fn open(&mut self, cell: &CellHead) -> Result<Vec<CellHead>, IndexError> {
        if self.look_up_slowest(cell)? {
            return Ok(Vec::new());
        }
        if cell.counts.calls() > self.query.tuning.scanned_rows {
            if let Some(level) = cell.finer_level()
                && let Some(interval) = cell.interval.within(self.wanted.interval)
            {
                let finer = self.query.cell_heads(&[cell.scope], interval.touched(level))?;
                // A minute that is not dense has no seconds.
                if !finer.is_empty() {
                    return Ok(finer);
                }
            }
            if cell.scope == CellScope::All {
                return self.query.cell_heads(&self.wanted.call_scopes(), cell.own_range());
            }
        }
        self.scan(cell)?;
        Ok(Vec::new())
    }

    /// Looks up the requests that the cell names as its slowest; returns whether these are all that can be wanted of
    /// it.
    fn look_up_slowest(&mut self, cell: &CellHead) -> Result<bool, IndexError> {
        // For the newest, a part of a cell's requests is of no use: the others may be newer.
        if self.rank == Rank::Newest && !self.lists_every_match(cell) {
            return Ok(false);
        }
        let wanted = self.wanted.outcomes.iter();
        let mut slowest: Vec<Slow> = wanted.flat_map(|outcome| cell.slowest.of(outcome)).copied().collect();
        slowest.sort_unstable_by_key(|slow| std::cmp::Reverse(slow.latency_us));
        for slow in slowest {
            if self.above_us().is_some_and(|above_us| slow.latency_us <= above_us) {
                break;
            }
            self.look_up(slow.id)?;
        }
        Ok(self.lists_every_match(cell))
    }

    /// Whether the cell names every request that can be wanted.
    fn lists_every_match(&self, cell: &CellHead) -> bool {
        let above_us = self.above_us();
        let lists_every_match = |outcome: Outcome| {
            let list = cell.slowest.of(outcome);
            list.len() < SLOWEST || list.last().is_some_and(|least| above_us >= Some(least.latency_us))
        };
        self.wanted.outcomes.iter().all(lists_every_match)
    }

    /// Offers a request, unless it was looked up before.
    fn look_up(&mut self, id: i64) -> Result<(), IndexError> {
        if self.seen.insert(id) {
            self.looks_left -= 1;
            if let Some(row) = self.query.search_row(id)? {
                self.offer(&row);
            }
        }
        Ok(())
    }

    /// Only requests that took longer than this can be wanted. It rises as slower ones are found.
    fn above_us(&self) -> Option<i64> {
        let floor = self.floor().filter(|_| self.rank == Rank::Slowest);
        // A request as slow as the least of the best is slow enough, because it may be newer.
        let by_floor = floor.and_then(|(latency_us, _, _)| latency_us.checked_sub(1));
        self.wanted.slower_than_us.max(by_floor)
    }

    /// Reads the cell's rows.
    fn scan(&mut self, cell: &CellHead) -> Result<(), IndexError> {
        let Some(interval) = cell.interval.within(self.wanted.interval) else { return Ok(()) };
        let query = self.query;
        let walk = match cell.scope {
            CellScope::All => Walk::All,
            CellScope::Call(call) => Walk::Call(call),
        };
        query.walk(walk, Order::NewestFirst, interval, |row| {
            self.looks_left -= 1;
            let beaten = self.floor().is_some_and(|floor| self.rank.key(row) < floor);
            self.offer(row);
            // On a walk back, what follows a request that is not new enough is no newer.
            let is_final = beaten && self.rank == Rank::Newest;
            if is_final { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    }
}

/// A cell in the queue, ordered by the best key that a request of the cell may have.
struct QueueEntry {
    bound: Key,
    cell: CellHead,
}

impl Ord for QueueEntry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bound.cmp(&other.bound)
    }
}

impl PartialOrd for QueueEntry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for QueueEntry {
    fn eq(&self, other: &Self) -> bool {
        self.bound == other.bound
    }
}

impl Eq for QueueEntry {}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
