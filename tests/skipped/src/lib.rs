//! What a test says that can't run on this machine: what is skipped, why, and which command would run it.
//!
//! Every test that may be skipped uses this, so that all say it alike and none in silence. The test harness shows no output
//! of tests that pass: the word goes to standard error past it, and to the file that `MCPLOG_SKIPPED` names, from which
//! `tests/run` makes the list at its end. Decides nothing: whether something may be skipped is for the test to say.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// The variable with the path of the list. An absolute path: each package's tests run in a directory of their own.
pub const LIST: &str = "MCPLOG_SKIPPED";

/// Says that `what` is skipped, why, and which command runs it where nothing is missing. One line, whatever the texts hold.
///
/// # Panics
/// There is to be a list, and it can't be written: what was skipped would be missing in it.
pub fn skip(what: &str, why: &str, command: &str) {
    let line = format!("SKIPPED {}: {}. To run it: {}\n", in_a_line(what), in_a_line(why), in_a_line(command));
    // Not by eprintln, which the harness keeps. Nor by the path of standard error: opening a file anew, where it is one,
    // would cut off what it holds. Who can't be told this way has the list.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(list) = std::env::var_os(LIST) {
        append(Path::new(&list), &line);
    }
}

/// In one write, so that the lines of processes that write at once stay whole.
fn append(list: &Path, line: &str) {
    let written =
        OpenOptions::new().append(true).create(true).open(list).and_then(|mut file| file.write_all(line.as_bytes()));
    written.unwrap_or_else(|error| panic!("{} can't be written: {error}", list.display()));
}

fn in_a_line(text: &str) -> String {
    text.trim_end_matches('.').split_whitespace().collect::<Vec<_>>().join(" ")
}
