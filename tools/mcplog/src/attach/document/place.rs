//! Where in a text something stands: lines, columns, indentation, ends of lines.
//!
//! Pure. A line ends at CRLF, LF, or a lone CR.

/// What some editors put before a text of UTF-8.
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

const BREAKS: [char; 2] = ['\n', '\r'];

/// Line and column of a byte, both from 1 on, the column in characters. Past the end is the end.
pub(super) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_count = before.matches('\n').count() + before.matches('\r').count() - before.matches("\r\n").count();
    let column = before[line_start(before, before.len())..].chars().count();
    (line_count + 1, column + 1)
}

/// Where the line of a byte begins; a byte order mark belongs to no line.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    let first = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8().min(at) } else { 0 };
    text[..at].rfind(BREAKS).map_or(first, |end| end + 1)
}

/// Where the line of a byte ends, before what breaks it.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    text[at..].find(BREAKS).map_or(text.len(), |end| at + end)
}

/// The blanks that the line of a byte begins with, up to that byte.
pub(super) fn indentation(text: &str, at: usize) -> &str {
    let line = &text[line_start(text, at)..at];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// Whether nothing but blanks stands before it on its line.
pub(super) fn is_first_on_line(text: &str, at: usize) -> bool {
    line_start(text, at) + indentation(text, at).len() == at
}

/// Whether nothing but blanks stands behind it on its line.
pub(super) fn is_last_on_line(text: &str, at: usize) -> bool {
    text[at..line_end(text, at)].bytes().all(is_blank)
}

/// How the line before a byte is broken, else the first line of the text, else as Unix does.
pub(super) fn line_break(text: &str, at: usize) -> &'static str {
    let before = text[..at].rfind(BREAKS);
    match before.or_else(|| text.find(BREAKS)) {
        Some(end) if text[..end].ends_with('\r') || text[end..].starts_with("\r\n") => "\r\n",
        Some(end) if text[end..].starts_with('\r') => "\r",
        _ => "\n",
    }
}

/// Where the break before a line begins, of which `at` is the start; `None` on the first line.
pub(super) fn break_before(text: &str, at: usize) -> Option<usize> {
    let before = &text[..at];
    let length = ["\r\n", "\n", "\r"].iter().find(|end| before.ends_with(**end))?.len();
    Some(at - length)
}

/// The byte behind the blanks that stand there.
pub(super) fn behind_blanks(text: &str, at: usize) -> usize {
    at + text[at..].bytes().take_while(|byte| is_blank(*byte)).count()
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// What the text's first indented line is indented by; two blanks where none is.
pub(super) fn indentation_unit(text: &str) -> &str {
    let lines = text.split(BREAKS).filter(|line| line.starts_with([' ', '\t']));
    let mut indented = lines.filter(|line| !line.trim().is_empty());
    indented.next().map_or("  ", |line| &line[..line.len() - line.trim_start_matches([' ', '\t']).len()])
}

/// Blanks that reach as far as what stands before a byte on its line.
pub(super) fn blanks_to(text: &str, at: usize) -> String {
    text[line_start(text, at)..at].chars().map(|character| if character == '\t' { '\t' } else { ' ' }).collect()
}
