//! Tables: columns that line up and fit the terminal.
//!
//! Pure but for [`write_table`], which writes where it is told. Columns are measured once, on a sample, so that rows can
//! stream. Where there is a limit, no row is wider, whatever it holds: a cell that is wider than its column is cut. Where
//! there is none, nothing is cut.

use crate::line::Line;
use crate::style::{HEADER, PLAIN};
use crate::text;
use anstyle::Style;
use std::borrow::Cow;
use std::io::{self, Write};

/// Between two columns.
const SPACES: usize = 2;

/// What is left of a name in a terminal that has hardly room for anything.
const NAME_MIN: usize = 4;

/// Where a cell stands in its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

/// A column before it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    header: &'static str,
    align: Align,
    /// A column may be cut down to so many characters where room is short. `None`: it keeps its width.
    min: Option<usize>,
    /// Where cutting is not enough, the column with the highest number goes first. 0: it always stays.
    droppable: u8,
}

impl Column {
    /// A column of text that stands left.
    #[must_use]
    pub const fn left(header: &'static str) -> Self {
        Self { header, align: Align::Left, min: None, droppable: 0 }
    }

    /// A column of numbers.
    #[must_use]
    pub const fn right(header: &'static str) -> Self {
        Self { header, align: Align::Right, min: None, droppable: 0 }
    }

    /// May be cut down to `min` characters.
    #[must_use]
    pub const fn cut_to(self, min: usize) -> Self {
        Self { min: Some(min), ..self }
    }

    /// May be left out, before the columns with lower numbers are.
    #[must_use]
    pub const fn droppable(self, rank: u8) -> Self {
        Self { droppable: rank, ..self }
    }
}

/// A cell: text that is safe to show, and how.
#[derive(Clone, Debug)]
pub struct Cell<'a> {
    text: Cow<'a, str>,
    style: Style,
}

impl<'a> Cell<'a> {
    /// Text from anywhere; it is escaped here.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text: text::escape(text), style: PLAIN }
    }

    /// Text that was put together here.
    #[must_use]
    pub fn owned(text: String) -> Self {
        let text = match text::escape(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(escaped) => escaped,
        };
        Self { text: Cow::Owned(text), style: PLAIN }
    }

    /// The same text in another style.
    #[must_use]
    pub fn styled(self, style: Style) -> Self {
        Self { style, ..self }
    }
}

/// Measured columns.
#[derive(Clone, Debug)]
pub struct Layout {
    /// For each column its width, or `None` if it was left out.
    columns: Vec<(Column, Option<usize>)>,
    /// Whether a cell that is wider than its column is cut.
    cuts: bool,
}

impl Layout {
    /// Measures `columns` on a sample of their rows, to fit into `width_max` if there is such a limit. The first header
    /// may be another than the column's.
    #[must_use]
    pub fn new(columns: &[Column], first_header: &str, sample: &[Vec<Cell<'_>>], width_max: Option<usize>) -> Self {
        let natural = |index: usize, column: &Column| {
            let header = if index == 0 { first_header } else { column.header };
            let cells = sample.iter().filter_map(|row| row.get(index)).map(|cell| text::width(&cell.text));
            cells.chain([text::width(header)]).max()
        };
        let columns = columns.iter().enumerate().map(|(index, column)| (*column, natural(index, column))).collect();
        let mut layout = Self { columns, cuts: width_max.is_some() };
        if let Some(width_max) = width_max {
            layout.fit(width_max);
        }
        layout
    }

    fn fit(&mut self, width_max: usize) {
        while self.least() > width_max && self.drop_one() {}
        while self.width() > width_max && self.cut_one(|column| column.min) {}
        // Of a name, its beginning is left before anything else is cut: a day without its hour says less.
        while self.width() > width_max && self.cut_one(|column| column.min.map(|min| min.min(NAME_MIN))) {}
        // What was recorded is wider than anybody foresaw: a number of twenty digits, a name where none is expected.
        while self.width() > width_max && (self.cut_one(|_| Some(1)) || self.drop_last()) {}
    }

    /// The width of a full row.
    fn width(&self) -> usize {
        self.sum(|_, width| width)
    }

    /// The width with everything cut as far as it may be.
    fn least(&self) -> usize {
        self.sum(|column, width| column.min.map_or(width, |min| min.min(width)))
    }

    fn sum(&self, of: impl Fn(&Column, usize) -> usize) -> usize {
        let widths = self.columns.iter().filter_map(|(column, width)| width.map(|width| of(column, width)));
        let (columns, total) = widths.fold((0_usize, 0), |(columns, total), width| (columns + 1, total + width));
        total + SPACES * columns.saturating_sub(1)
    }

    fn drop_one(&mut self) -> bool {
        let candidates = self.columns.iter_mut().filter(|(column, width)| column.droppable > 0 && width.is_some());
        match candidates.max_by_key(|(column, _)| column.droppable) {
            Some((_, width)) => {
                *width = None;
                true
            }
            None => false,
        }
    }

    fn drop_last(&mut self) -> bool {
        let last = self.columns.iter_mut().skip(1).rev().find(|(_, width)| width.is_some());
        last.is_some_and(|(_, width)| width.take().is_some())
    }

    /// Takes one character off the widest column that may be cut down to less than it has.
    fn cut_one(&mut self, min: impl Fn(&Column) -> Option<usize>) -> bool {
        let candidates = self.columns.iter_mut().filter_map(|(column, width)| {
            let (min, width) = (min(column)?, width.as_mut()?);
            (*width > min).then_some(width)
        });
        match candidates.max_by_key(|width| **width) {
            Some(width) => {
                *width -= 1;
                true
            }
            None => false,
        }
    }

    /// The line of headers, the first one as given: it may name a section, or the day that a column of times is about.
    #[must_use]
    pub fn header_beginning(&self, first: &str) -> Line {
        let rest = self.columns.iter().skip(1).map(|(column, _)| column.header);
        let cells: Vec<_> = [first].into_iter().chain(rest).map(|header| Cell::new(header).styled(HEADER)).collect();
        self.row(&cells)
    }

    /// One row.
    #[must_use]
    pub fn row(&self, cells: &[Cell<'_>]) -> Line {
        let mut line = Line::new();
        let shown =
            self.columns.iter().zip(cells).filter_map(|((column, width), cell)| Some((column, (*width)?, cell)));
        for (position, (column, width, cell)) in shown.enumerate() {
            let text = if self.cuts { text::fit(&cell.text, width) } else { Cow::Borrowed(&*cell.text) };
            let padding = width.saturating_sub(text::width(&text));
            let (before, after) = if column.align == Align::Right { (padding, 0) } else { (0, padding) };
            line.push_spaces(before + if position > 0 { SPACES } else { 0 });
            line.push(cell.style, text);
            line.push_spaces(after);
        }
        line
    }

    /// In which column of the terminal the column with that number begins, if it is shown.
    #[must_use]
    pub fn start_of(&self, index: usize) -> Option<usize> {
        self.columns.get(index)?.1?;
        Some(self.columns[..index].iter().filter_map(|(_, width)| *width).map(|width| width + SPACES).sum())
    }
}

/// A whole table, headers included, if it has rows. The first header may differ from the column's.
#[must_use]
pub fn table(columns: &[Column], first_header: &str, rows: &[Vec<Cell<'_>>], width_max: Option<usize>) -> Vec<Line> {
    if rows.is_empty() {
        return Vec::new();
    }
    let layout = Layout::new(columns, first_header, rows, width_max);
    [layout.header_beginning(first_header)].into_iter().chain(rows.iter().map(|row| layout.row(row))).collect()
}

/// Writes a whole table.
///
/// # Errors
/// What the writer says.
pub fn write_table(
    out: &mut dyn Write,
    columns: &[Column],
    first_header: &str,
    rows: &[Vec<Cell<'_>>],
    width_max: Option<usize>,
) -> io::Result<()> {
    table(columns, first_header, rows, width_max).iter().try_for_each(|line| writeln!(out, "{line}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::BAD;

    const COLUMNS: [Column; 4] = [
        Column::left("TOOL").cut_to(6),
        Column::right("CALLS"),
        Column::left("NOTE").cut_to(4).droppable(1),
        Column::left("ID").droppable(2),
    ];

    #[test]
    fn names_are_cut_before_a_time_is() {
        let columns = [Column::left("SEEN"), Column::left("CLIENT").cut_to(12), Column::right("CALLS")];
        let rows = [vec![Cell::new("2025-03-01 10:00:00"), Cell::new("claude-desktop"), Cell::new("7")]];
        for (width, expected) in [(42, "claude-desktop"), (40, "claude-desk"), (36, "claude-"), (32, "cla")] {
            let lines = table(&columns, "SEEN", &rows, Some(width));
            let row = lines[1].render(None, false);
            let told = row.starts_with("2025-03-01 10:00:00  ") && row.contains(&format!("  {expected}"));
            assert!(told && text::width(&row) <= width, "{width}: {row}");
        }
    }

    fn rows() -> Vec<Vec<Cell<'static>>> {
        vec![
            vec![Cell::new("search_documents"), Cell::new("7"), Cell::new("a longer note"), Cell::new("0197a1c0")],
            vec![Cell::new("北京"), Cell::new("12345"), Cell::new(""), Cell::new("x")],
        ]
    }

    fn render(width_max: Option<usize>) -> Vec<String> {
        let layout = Layout::new(&COLUMNS, "TOOL", &rows(), width_max);
        let mut lines = vec![layout.header_beginning("TOOL")];
        lines.extend(rows().iter().map(|row| layout.row(row)));
        lines.iter().map(|line| line.render(None, false)).collect()
    }

    #[test]
    fn columns_take_what_they_need_where_there_is_room() {
        let expected = [
            "TOOL              CALLS  NOTE           ID",
            "search_documents      7  a longer note  0197a1c0",
            "北京              12345                 x",
        ];
        assert_eq!(render(None), expected);
        assert_eq!(render(Some(48)), expected);
    }

    #[test]
    fn the_widest_is_cut_first_then_columns_go_by_rank() {
        assert_eq!(render(Some(40))[1], "search_doc…      7  a longer…   0197a1c0");
        assert_eq!(render(Some(26))[1], "search_d…      7  a longe…");
        assert_eq!(render(Some(13))[1], "searc…      7");
    }

    #[test]
    fn no_line_is_wider_than_asked() {
        for width_max in 1..60 {
            for line in render(Some(width_max)) {
                assert!(text::width(&line) <= width_max, "{width_max}: {line}");
                assert!(!line.ends_with(' '), "{line:?}");
            }
        }
        assert_eq!(render(Some(12))[1], "sear…      7");
        assert_eq!(render(Some(8))[1], "se…    7");
        assert_eq!(render(Some(1))[1], "…");
    }

    #[test]
    fn numbers_that_nobody_foresaw_are_cut_before_a_line_gets_too_wide() {
        let row = vec![Cell::new("tool"), Cell::new("9,223,372,036,854,775,807"), Cell::new(""), Cell::new("")];
        for line in table(&COLUMNS, "TOOL", &[row], Some(20)) {
            assert!(line.width() <= 20, "{line}");
        }
    }

    #[test]
    fn a_first_header_that_is_wider_than_its_column_is_shown_whole() {
        let row = vec![Cell::new("10:00:00"), Cell::new("a")];
        let lines = table(&[Column::left("TIME"), Column::left("A")], "2025-03-01", &[row], Some(80));
        let lines: Vec<_> = lines.iter().map(|line| line.render(None, false)).collect();
        assert_eq!(lines, ["2025-03-01  A", "10:00:00    a"]);
    }

    #[test]
    fn a_row_that_was_not_in_the_sample_is_cut_to_the_columns_where_there_is_a_limit() {
        let row = |width_max| {
            let layout = Layout::new(&[Column::left("A"), Column::left("B")], "A", &[], width_max);
            layout.row(&[Cell::new("long"), Cell::new("b")]).render(None, false)
        };
        assert_eq!(row(Some(80)), "…  b");
        assert_eq!(row(None), "long  b", "where there is no limit, nothing is cut");
    }

    #[test]
    fn cells_are_escaped_and_styles_do_not_count_as_width() {
        let layout =
            Layout::new(&[Column::left("TOOL"), Column::left("N")], "TOOL", &[vec![Cell::new("a\u{1b}[2J")]], None);
        let line = layout.row(&[Cell::owned("a\u{1b}[2J".into()).styled(BAD), Cell::new("1")]);
        assert_eq!(line.to_string(), format!("{BAD}a\\u{{1b}}[2J{BAD:#}  1"));
    }

    #[test]
    fn a_column_knows_where_it_starts() {
        let layout = Layout::new(&COLUMNS, "TOOL", &rows(), Some(26));
        assert_eq!([0, 1, 2, 3].map(|index| layout.start_of(index)), [Some(0), Some(11), Some(18), None]);
    }
}
