//! Standard output, or what stands in for it: buffered, as wide and as colourful as it is. Knows nothing of records.

use mcplog_terminal::colour::Colour;
use mcplog_terminal::json;
use mcplog_terminal::line::Line;
use mcplog_terminal::output::Leavable;
use mcplog_terminal::text::{escape, wrap};
use mcplog_terminal::view::View;
use serde::Serialize;
use std::io::{self, BufWriter, IsTerminal, Write};

const BUFFER_BYTES: usize = 64 * 1024;

/// Where everything goes that a user asked for.
pub(crate) struct Output {
    writer: BufWriter<Box<dyn Write>>,
    /// Columns of the terminal; `None` where lines may be as long as they like.
    width: Option<usize>,
    colour: bool,
    pub(crate) is_terminal: bool,
}

impl Output {
    /// Standard output. Where its reader is gone, writing there fails.
    pub(crate) fn standard() -> Self {
        Self::of_stdout(Box::new(io::stdout()))
    }

    /// Standard output, whose reader may leave: the work goes on, for its exit code.
    pub(crate) fn leavable() -> Self {
        Self::of_stdout(Box::new(Leavable::new(io::stdout())))
    }

    fn of_stdout(writer: Box<dyn Write>) -> Self {
        let is_terminal = io::stdout().is_terminal();
        Self { is_terminal, ..Self::of(writer, View::of_stdout().width, Colour::is_on_stdout()) }
    }

    /// Anything else, so many columns wide. It has colours only where they are wanted always.
    pub(crate) fn into_writer(writer: impl Write + 'static, width: Option<usize>, colour: Colour) -> Self {
        Self::of(Box::new(writer), width, colour == Colour::Always)
    }

    fn of(writer: Box<dyn Write>, width: Option<usize>, colour: bool) -> Self {
        let writer = BufWriter::with_capacity(BUFFER_BYTES, writer);
        Self { writer, width: width.filter(|width| *width > 0), colour, is_terminal: false }
    }

    pub(crate) const fn width(&self) -> Option<usize> {
        self.width
    }

    /// One line, cut to the width.
    pub(crate) fn line(&mut self, line: &Line) -> io::Result<()> {
        writeln!(self.writer, "{}", line.render(self.width, self.colour))
    }

    /// One line, never cut.
    pub(crate) fn whole_line(&mut self, line: &Line) -> io::Result<()> {
        writeln!(self.writer, "{}", line.render(None, self.colour))
    }

    /// A text that must be read in full: wrapped to the width behind `first`, and indented below it.
    pub(crate) fn paragraph(&mut self, first: &Line, style: anstyle::Style, text: &str) -> io::Result<()> {
        let indent = first.width();
        let width = self.width.map_or(usize::MAX, |width| width.saturating_sub(indent).max(20));
        for (index, part) in wrap(&escape(text), width).into_iter().enumerate() {
            let mut line = if index == 0 { first.clone() } else { spaces(indent) };
            line.push(style, part);
            self.whole_line(&line)?;
        }
        Ok(())
    }

    /// Text of our own, as it is.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        self.writer.write_all(text.as_bytes())
    }

    /// One line of JSON.
    pub(crate) fn object(&mut self, object: &impl Serialize) -> io::Result<()> {
        json::write_line(&mut self.writer, object)
    }

    /// Sends what is buffered.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn spaces(count: usize) -> Line {
    let mut line = Line::new();
    line.push_spaces(count);
    line
}
