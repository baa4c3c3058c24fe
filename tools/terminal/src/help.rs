//! Help that was broken by hand at 80 columns, broken anew for narrower terminals.
//!
//! Pure but for [`try_parse`], which asks what the terminal is like and what was typed. Clap breaks what is too long, and knows nothing of lines that belong together:
//! a paragraph gets a short line after each long one, and a comment beside an example lands at the margin.

use crate::text::wrap;
use clap::{Command, Parser};

/// For so many columns the texts are written.
const WRITTEN_FOR: usize = 80;
/// Columns before what belongs to an item and has no place beside it.
const BENEATH: usize = 6;
/// Columns before an item.
const BEFORE: usize = 2;

/// Reads the command line, with help that fits the terminal.
///
/// # Errors
/// What clap has to say: wrong usage, or the help that was asked for.
pub fn try_parse<T: Parser>() -> Result<T, clap::Error> {
    let mut command = fitted(T::command(), columns());
    let mut matches = command.try_get_matches_from_mut(std::env::args_os())?;
    T::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// The columns of the terminal on any of the standard streams, as clap asks: also of help that goes through `less`.
fn columns() -> Option<usize> {
    let of_variable = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let of_terminal = || terminal_size::terminal_size().map(|(width, _)| width.0.into());
    of_variable.or_else(of_terminal).filter(|columns| *columns > 0)
}

/// The command with all its subcommands, its texts broken for a terminal of so many columns; `None` is as many as it needs.
#[must_use]
pub fn fitted(mut command: Command, columns: Option<usize>) -> Command {
    let Some(columns) = columns.filter(|columns| *columns < WRITTEN_FOR) else { return command };
    command = command.term_width(columns);
    if let Some(text) = command.get_after_help().map(|text| refill(&text.to_string(), columns)) {
        command = command.after_help(text);
    }
    if let Some(text) = command.get_after_long_help().map(|text| refill(&text.to_string(), columns)) {
        command = command.after_long_help(text);
    }
    let names: Vec<_> = command.get_subcommands().map(|subcommand| subcommand.get_name().to_owned()).collect();
    names
        .into_iter()
        .fold(command, |command, name| command.mut_subcommand(name, |subcommand| fitted(subcommand, Some(columns))))
}

/// Breaks a text anew that has paragraphs, and items that are indented: examples with a comment beside them, words with
/// their meaning. What fits stays as it is.
fn refill(text: &str, columns: usize) -> String {
    let mut filled: Vec<String> = Vec::new();
    for part in parts(text) {
        if part.iter().all(|line| line.chars().count() <= columns) {
            filled.extend(part.iter().map(|line| (*line).to_owned()));
        } else if part[0].starts_with(' ') {
            filled.extend(item(&part, columns));
        } else {
            filled.extend(wrap(&part.join(" "), columns));
        }
    }
    filled.join("\n")
}

/// Lines that belong together: a paragraph, an item with what is indented further beneath it, or a blank line.
fn parts(text: &str) -> Vec<Vec<&str>> {
    let mut parts: Vec<Vec<&str>> = Vec::new();
    for line in text.lines() {
        let goes_on =
            parts.last().and_then(|part| part.last().map(|last| (part[0], *last))).is_some_and(|(first, last)| {
                let is_of_item =
                    indentation(first) > 0 && indentation(line) > indentation(first) && !last.ends_with('\\');
                let is_of_paragraph = indentation(first) == 0 && indentation(line) == 0 && !last.ends_with(':');
                !line.is_empty() && !last.is_empty() && (is_of_item || is_of_paragraph)
            });
        match parts.last_mut().filter(|_| goes_on) {
            Some(part) => part.push(line),
            None => parts.push(vec![line]),
        }
    }
    parts
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// An item anew: what it means stays beside it where half of the columns are left for that, and goes beneath it otherwise.
fn item(part: &[&str], columns: usize) -> Vec<String> {
    let first = part[0].trim_start();
    let (name, beside) = first.split_once("  ").unwrap_or((first, ""));
    let meaning = [&[beside.trim_start()], &part[1..]].concat();
    let meaning = meaning.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let before = " ".repeat(BEFORE.max(indentation(part[0])).min(BENEATH));
    let at = part[0].len() - beside.trim_start().len();
    if !beside.is_empty() && at <= columns / 2 {
        let mut name = format!("{before}{name}");
        let rows = wrap(&meaning, columns - at);
        return rows.iter().map(|row| format!("{:<at$}{row}", std::mem::take(&mut name))).collect();
    }
    let mut lines = Vec::new();
    for (number, row) in wrap(name, columns.saturating_sub(BENEATH)).into_iter().enumerate() {
        lines.push(if number == 0 { format!("{before}{row}") } else { format!("{:BENEATH$}{row}", "") });
    }
    lines.extend(wrap(&meaning, columns.saturating_sub(BENEATH)).iter().map(|row| format!("{:BENEATH$}{row}", "")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Examples:
  mcplog logs                            the newest 50 requests
  mcplog logs --errors --since 2h        what failed in the last two hours
  mcplog check --json \\
    | jq -r '.findings[] | [.verdict] | @tsv'

With --follow, new rows come in the order in which they were recorded, each
once, within a second.

Exit codes:
  0    done
  1    wrong usage, no store, or something that can't be read or written at all
  request         request_id, ts, proxy, method, latency_us,
                  status (ok, error, timeout)";

    #[test]
    fn paragraphs_are_filled_and_what_stands_beside_an_example_goes_beneath_it_where_it_has_to() {
        let expected = "\
Examples:
  mcplog logs
      the newest 50 requests
  mcplog logs --errors --since 2h
      what failed in the last two hours
  mcplog check --json \\
    | jq -r '.findings[] | [.verdict]
      | @tsv'

With --follow, new rows come in the
order in which they were recorded, each
once, within a second.

Exit codes:
  0    done
  1    wrong usage, no store, or
       something that can't be read or
       written at all
  request         request_id, ts, proxy,
                  method, latency_us,
                  status (ok, error,
                  timeout)";
        assert_eq!(refill(TEXT, 40), expected);
    }

    #[test]
    fn nothing_is_lost_nothing_is_too_wide_and_what_fits_stays() {
        assert_eq!(refill(TEXT, 80), TEXT);
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for columns in 30..80 {
            let filled = refill(TEXT, columns);
            assert_eq!(words(&filled), words(TEXT), "{columns}");
            assert!(filled.lines().all(|line| line.chars().count() <= columns), "{columns}: {filled}");
        }
    }
}
