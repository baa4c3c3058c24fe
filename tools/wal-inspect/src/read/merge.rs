//! Several logs as one: by the times of their records, and by writer where those are equal.
//!
//! Each log's own records stay in their order, whatever their times. Reads only; prints nothing.

use crate::failure::Failure;
use crate::read::cursor::{LogCursor, Look};
use crate::report::entry::Entry;
use mcplog::position::WriterId;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Logs that are merged.
#[derive(Debug, Default)]
pub(crate) struct Merge {
    logs: Vec<Log>,
    /// Those that have an entry: its time, the writer, and the place among `logs`.
    heads: BinaryHeap<Reverse<(i64, WriterId, usize)>>,
    /// Those that had nothing when they were looked at last.
    resting: Vec<usize>,
    read_bytes: u64,
}

#[derive(Debug)]
struct Log {
    /// `None` once nothing more comes: its file need not stay open.
    cursor: Option<LogCursor>,
    head: Option<Entry>,
}

impl Merge {
    /// One more log.
    pub(crate) fn add(&mut self, cursor: LogCursor) -> Result<(), Failure> {
        self.logs.push(Log { cursor: Some(cursor), head: None });
        self.look(self.logs.len() - 1)
    }

    /// What comes next; `None` if no log has anything for now.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Failure> {
        let Some(Reverse((.., place))) = self.heads.pop() else { return Ok(None) };
        let entry = self.logs[place].head.take();
        self.look(place)?;
        Ok(entry)
    }

    /// Looks at those again that had nothing.
    pub(crate) fn look_again(&mut self) -> Result<(), Failure> {
        std::mem::take(&mut self.resting).into_iter().try_for_each(|place| self.look(place))
    }

    /// Whether something may come, now or later.
    pub(crate) fn has_ended(&self) -> bool {
        self.heads.is_empty() && self.resting.is_empty()
    }

    /// So many bytes of frames were read.
    pub(crate) fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    fn look(&mut self, place: usize) -> Result<(), Failure> {
        let log = &mut self.logs[place];
        let Some(cursor) = &mut log.cursor else { return Ok(()) };
        let before = cursor.read_bytes();
        match cursor.next()? {
            Look::Entry(entry) => {
                self.heads.push(Reverse((entry.time_ms, cursor.writer(), place)));
                self.read_bytes += cursor.read_bytes() - before;
                log.head = Some(entry);
            }
            Look::NotYet => self.resting.push(place),
            Look::Ended => log.cursor = None,
        }
        Ok(())
    }
}
