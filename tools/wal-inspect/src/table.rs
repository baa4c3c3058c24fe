//! Aligned columns. Pure; it does not print.

use crate::line::Line;

/// Where a cell's text goes when the column is wider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

const GAP: &str = "  ";

/// Puts cells side by side, as wide as their columns need.
pub(crate) fn align(columns: &[Align], rows: Vec<Vec<Line>>) -> Vec<Line> {
    let mut widths = vec![0; columns.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.width().max(*width);
        }
    }
    rows.into_iter().map(|row| side_by_side(columns, &widths, row)).collect()
}

/// One row, with columns of that width at least.
pub(crate) fn side_by_side(columns: &[Align], widths: &[usize], row: Vec<Line>) -> Line {
    let mut line = Line::new();
    for (index, ((cell, align), width)) in row.into_iter().zip(columns).zip(widths).enumerate() {
        if index > 0 {
            line.push(crate::line::PLAIN, GAP);
        }
        let padding = " ".repeat(width.saturating_sub(cell.width()));
        if *align == Align::Right {
            line.push(crate::line::PLAIN, padding);
            line.extend(cell);
        } else {
            line.extend(cell);
            line.push(crate::line::PLAIN, padding);
        }
    }
    line
}

/// Bytes as people say them: `512 B`, `64.0 KiB`, `8.0 MiB`.
pub(crate) fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut tenths, mut unit) = (bytes.saturating_mul(10) / 1024, 0);
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::PLAIN;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let cell = |text: &str| Line::of(PLAIN, text);
        let rows = vec![vec![cell("name"), cell("n")], vec![cell("日本"), cell("100")]];
        let lines = align(&[Align::Left, Align::Right], rows);
        let lines: Vec<String> = lines.iter().map(|line| line.render(None, false)).collect();
        assert_eq!(lines, ["name    n", "日本  100"]);
    }

    #[test]
    fn bytes_are_said_in_the_unit_that_fits() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (8 << 20, "8.0 MiB"),
            ((1 << 20) - 1, "1023.9 KiB"),
            (u64::MAX, "1638.3 PiB"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(human_bytes(bytes), expected);
        }
    }
}
