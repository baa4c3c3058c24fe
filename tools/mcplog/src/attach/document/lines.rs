//! Members that stand on lines of their own: adding one and taking one away.
//!
//! Pure. YAML's block style, and what stands below a header of TOML. Taking away what was added gives the bytes from before.

use super::place;
use super::splice::Splice;

/// Adds a line behind the one that holds `last`, and behind its comment.
pub(super) fn push(text: &str, last: usize, indentation: &str, member: &str) -> Splice {
    let end = place::line_end(text, last);
    Splice::insert(end, format!("{}{indentation}{member}", place::line_break(text, end)))
}

/// Takes a member away, with its lines where nothing else stands on them: a comment behind it stays. `next` is where the
/// next member begins. `None` where something stands before it on its line, and no member takes its place.
pub(super) fn remove(text: &str, start: usize, end: usize, next: Option<usize>) -> Option<Splice> {
    if !place::is_first_on_line(text, start) {
        let next = next.filter(|next| text[end..*next].trim_ascii().is_empty())?;
        return Some(Splice::cut(start..next));
    }
    if !place::is_last_on_line(text, end) {
        return Some(Splice::cut(start..place::behind_blanks(text, end)));
    }
    let line = place::line_start(text, start);
    match place::break_before(text, line) {
        Some(line_break) => Some(Splice::cut(line_break..end)),
        None => Some(Splice::cut(line..behind_break(text, place::line_end(text, end)))),
    }
}

/// Adds items before the first of a list, whose dash stands there.
pub(super) fn unshift(text: &str, first_dash: usize, items: &[String]) -> Splice {
    let line = line_to(text, first_dash);
    Splice::insert(first_dash, items.iter().map(|item| format!("- {item}{line}")).collect::<String>())
}

/// All items of a list, whose first dash stands there.
pub(super) fn items(text: &str, first_dash: usize, items: &[String]) -> String {
    let items: Vec<_> = items.iter().map(|item| format!("- {item}")).collect();
    items.join(&line_to(text, first_dash))
}

/// A new line up to that byte's column.
fn line_to(text: &str, at: usize) -> String {
    format!("{}{}", place::line_break(text, at), place::blanks_to(text, at))
}

fn behind_break(text: &str, end: usize) -> usize {
    let length = ["\r\n", "\n", "\r"].iter().find(|end_of_line| text[end..].starts_with(**end_of_line));
    end + length.map_or(0, |end_of_line| end_of_line.len())
}
