//! What lies in `src/`, and what the table in `lib.rs` says of it.
//!
//! Pure.

use crate::floors::floor;
use crate::rules::ROOMS_MAX;
use crate::tree::Tree;
use std::collections::BTreeSet;

/// A message for each entry of `src/` that has no floor, and one if there are too many.
pub(crate) fn entries_without_a_floor(tree: &Tree) -> Vec<String> {
    let entries = entries(tree);
    let strays = entries.iter().filter(|entry| {
        let (room, rest) = entry.split_once(['/', '.']).unwrap_or((entry.as_str(), ""));
        floor(room).is_none() || !matches!(rest, "" | "rs")
    });
    let mut messages: Vec<_> = strays.map(|entry| format!("src/{entry} has no floor in tests/tidy/rules.rs")).collect();
    if entries.len() > ROOMS_MAX {
        messages.push(format!("src/ has {} entries, and at most {ROOMS_MAX} are taken in at a glance", entries.len()));
    }
    messages
}

/// A message for each entry of `src/` that the table in `lib.rs` leaves out, and for each of the table that is not there.
pub(crate) fn differences_from_the_table(tree: &Tree) -> Vec<String> {
    let text = tree.read_text("src/lib.rs");
    let rows = text.lines().filter(|line| line.starts_with("//! |"));
    let named: BTreeSet<&str> = rows
        .flat_map(|row| row.split('`').skip(1).step_by(2))
        .filter(|word| word.ends_with(".rs") || word.ends_with(".sql") || word.contains('/'))
        .collect();
    let entries = entries(tree);
    let missing = entries
        .iter()
        .filter(|entry| entry.as_str() != "lib.rs" && !named.iter().any(|word| word.starts_with(entry.as_str())));
    let mut messages: Vec<_> = missing.map(|entry| format!("src/lib.rs's table does not name {entry}")).collect();
    let exists = |word: &str| {
        let path = format!("src/{word}");
        if word.ends_with('/') { tree.paths().any(|file| file.starts_with(&path)) } else { tree.text(&path).is_some() }
    };
    let gone = named.iter().filter(|word| !exists(word));
    messages.extend(gone.map(|word| format!("src/lib.rs's table names {word}, which is not there")));
    messages
}

/// The entries of `src/`; folders end with a slash.
fn entries(tree: &Tree) -> BTreeSet<String> {
    let below = tree.paths().filter_map(|path| path.strip_prefix("src/"));
    below.map(|rest| rest.split_once('/').map_or(rest.to_owned(), |(folder, _)| format!("{folder}/"))).collect()
}
