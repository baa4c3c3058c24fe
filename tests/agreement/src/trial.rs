//! One log on trial: made, shown to everybody, judged; and made smaller if they disagree.

use crate::answers::ask;
use crate::case::{Case, Damaged, Recordings};
use crate::judge::{Disagreement, judge};
use crate::python_reader::PythonReader;
use crate::scale::SEEDS;
use std::fmt;
use std::path::{Path, PathBuf};

/// How a trial ended.
#[derive(Debug)]
pub struct Trial {
    /// The case.
    pub case: Case,
    /// What the log is like and what happened to it.
    pub story: Vec<String>,
    /// What does not go together.
    pub disagreements: Vec<Disagreement>,
    /// The damages that are enough for the first disagreement, by name.
    pub enough: Vec<&'static str>,
    /// Where everything lies, if there is a disagreement.
    pub kept: Option<PathBuf>,
}

impl Trial {
    /// Tries the log of that seed.
    ///
    /// # Panics
    /// The system refuses, or somebody panics who was asked.
    pub fn of(seed: u64, recordings: &Recordings, python: &mut PythonReader) -> Self {
        let case = Case::of(seed);
        let root = tempfile::Builder::new().prefix(&format!("agreement-{seed}-")).tempdir().expect("a directory");
        let (damaged, disagreements) = attempt(&case, recordings, root.path(), python);
        let story = damaged.story;
        let (mut enough, mut kept) = (Vec::new(), None);
        if let Some(first) = disagreements.first() {
            enough = shrink(&case, first.rule, recordings, python);
            kept = Some(root.keep());
        }
        Self { case, story, disagreements, enough, kept }
    }
}

fn attempt(
    case: &Case,
    recordings: &Recordings,
    root: &Path,
    python: &mut PythonReader,
) -> (Damaged, Vec<Disagreement>) {
    let damaged = case.make(recordings);
    let disagreements = judge(&damaged, &ask(&damaged, root, python));
    (damaged, disagreements)
}

/// Leaves out damages as long as the rule stays broken.
fn shrink(case: &Case, rule: &str, recordings: &Recordings, python: &mut PythonReader) -> Vec<&'static str> {
    let mut smallest = case.clone();
    let mut place = 0;
    while place < smallest.damages.len() {
        let mut smaller = smallest.clone();
        smaller.damages.remove(place);
        let root = tempfile::tempdir().expect("a directory");
        let (_, found) = attempt(&smaller, recordings, root.path(), python);
        if found.iter().any(|found| found.rule == rule) {
            smallest = smaller;
        } else {
            place += 1;
        }
    }
    smallest.damages.iter().map(|damage| damage.kind.name).collect()
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.case.seed, self.story.join("\n    "))?;
        for Disagreement { rule, text } in &self.disagreements {
            writeln!(f, "  {rule}: {text}")?;
        }
        if self.enough.len() < self.case.damages.len() {
            writeln!(f, "  enough for the first of these: {:?}", self.enough)?;
        }
        writeln!(f, "  alone: {SEEDS}={} cargo test -p mcplog-agreement --test agreement", self.case.seed)?;
        if let Some(kept) = &self.kept {
            writeln!(f, "  kept: {}", kept.display())?;
        }
        Ok(())
    }
}
