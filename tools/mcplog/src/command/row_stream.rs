//! Rows on their way out, one by one: lines of JSON, or a table.
//!
//! Runs on the main thread. However many rows there are, only the first thousand are held, to measure the columns.

use mcplog_terminal::json;
use mcplog_terminal::view::View;
use serde::Serialize;
use std::io::{self, Write};
use std::ops::ControlFlow;

/// So many rows are looked at to measure the columns.
const SAMPLE_ROWS: usize = 1_000;

/// A table whose columns were measured.
pub(super) trait RowTable<Row>: Sized {
    /// Columns that the sample fits into.
    fn measure(sample: &[Row], view: &View) -> Self;

    /// The first line.
    fn write_header(&self, out: &mut dyn Write) -> io::Result<()>;

    /// The lines of a row.
    fn write(&self, out: &mut dyn Write, view: &View, row: &Row) -> io::Result<()>;
}

/// Rows on their way out.
pub(super) struct RowStream<'a, Row, Table> {
    out: &'a mut dyn Write,
    view: &'a View,
    json: bool,
    table: Option<Table>,
    sample: Vec<Row>,
    seen: u64,
    written: io::Result<()>,
}

impl<'a, Row: Serialize, Table: RowTable<Row>> RowStream<'a, Row, Table> {
    pub(super) fn new(out: &'a mut dyn Write, view: &'a View, json: bool) -> Self {
        Self { out, view, json, table: None, sample: Vec::new(), seen: 0, written: Ok(()) }
    }

    /// How many rows came.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Writes a row, or keeps it until the columns are measured. Breaks off where nobody reads any more;
    /// [`RowStream::finish`] says why.
    pub(super) fn push(&mut self, row: Row) -> ControlFlow<()> {
        self.seen += 1;
        self.written = self.write(row);
        if self.written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// Writes what is left; returns how many rows there were.
    ///
    /// # Errors
    /// A row could not be written.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        std::mem::replace(&mut self.written, Ok(()))?;
        if !self.sample.is_empty() {
            self.start_table()?;
        }
        Ok(self.seen)
    }

    fn write(&mut self, row: Row) -> io::Result<()> {
        if self.json {
            return json::write_line(self.out, &row);
        }
        match &self.table {
            Some(table) => table.write(self.out, self.view, &row),
            None => {
                self.sample.push(row);
                if self.sample.len() == SAMPLE_ROWS { self.start_table() } else { Ok(()) }
            }
        }
    }

    fn start_table(&mut self) -> io::Result<()> {
        let table = Table::measure(&self.sample, self.view);
        table.write_header(self.out)?;
        for row in std::mem::take(&mut self.sample) {
            table.write(self.out, self.view, &row)?;
        }
        self.table = Some(table);
        Ok(())
    }
}
