//! What every part of the judge has before it: the store, what is expected, the answers, and what was found. Pure.

use crate::answers::Answers;
use crate::case::Damaged;
use crate::expectation::Expectation;
use crate::opening::Files;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Two answers that don't go together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Disagreement {
    /// The rule that is broken.
    pub rule: &'static str,
    /// The answers.
    pub text: String,
}

/// A case that is being judged.
#[derive(Debug)]
pub(crate) struct Court<'a> {
    pub(crate) damaged: &'a Damaged,
    pub(crate) expected: Expectation,
    pub(crate) answers: &'a Answers,
    pub(crate) found: Vec<Disagreement>,
}

impl<'a> Court<'a> {
    pub(crate) fn new(damaged: &'a Damaged, answers: &'a Answers) -> Self {
        Self { damaged, expected: Expectation::of(&damaged.store), answers, found: Vec::new() }
    }

    pub(crate) fn say(&mut self, rule: &'static str, text: impl Into<String>) {
        self.found.push(Disagreement { rule, text: text.into() });
    }

    /// Whether there is no database, so that nobody knows what was folded.
    pub(crate) fn is_without_database(&self) -> bool {
        self.damaged.store.database.is_none()
    }
}

/// The first thing in which two directories differ.
pub(crate) fn difference(before: &Files, after: &Files) -> Option<String> {
    let is_companion = |path: &Path| {
        let name = name_of(path);
        name.starts_with("store.db-") || name == "LOCK" || name.starts_with("FOLD")
    };
    let paths: BTreeSet<&PathBuf> = before.keys().chain(after.keys()).filter(|path| !is_companion(path)).collect();
    paths.into_iter().find_map(|path| match (before.get(path), after.get(path)) {
        (Some(_), None) => Some(format!("{} is gone", path.display())),
        (None, Some(_)) => Some(format!("{} is new", path.display())),
        (one, other) => (one != other).then(|| format!("{} is changed", path.display())),
    })
}

/// The last part of a path.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
