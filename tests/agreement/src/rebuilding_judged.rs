//! The judge's rules for who makes a database anew. Pure.

use crate::contents::Contents;
use crate::court::Court;
use crate::model_log::LogModel;
use crate::opening::Left;
use crate::ranges::Ranges;
use std::collections::BTreeSet;

/// Judges the rebuilds: in place of an opening, once more, and after an opening.
pub(crate) fn judge(court: &mut Court<'_>) {
    court.rebuild_folds_what_is_there();
    court.rebuild_of_what_the_log_has_is_not_refused();
}

impl Court<'_> {
    fn rebuild_folds_what_is_there(&mut self) {
        let Ok(left) = &self.answers.rebuilt else { return };
        let contents = match &left.contents {
            Ok(contents) => contents,
            Err(error) => return self.say("the database is sound", format!("rebuilt: {error}")),
        };
        let logs = self.expected.rebuilt.clone();
        self.holds("rebuild folds what is there", "rebuilt", contents, &Contents::default(), &logs);
        for (writer, log) in &logs {
            let counted = contents.lost.get(writer).cloned().unwrap_or_default();
            // What lies before the first record that is anywhere may be counted, or not be known.
            let known_from = first_of(Some(log));
            let counted = counted.above(known_from.saturating_sub(1));
            let expected = log.lost.above(known_from.saturating_sub(1));
            // The row of a record that tells of dropped events comes into each new database.
            let is_kept = |number: u64| self.answers.held.gaps.contains_key(&(writer.clone(), number));
            let expected: Ranges = expected.numbers().filter(|number| !is_kept(*number)).collect();
            if counted != expected {
                let text = format!("{writer}: expected {expected}, table gaps {counted}");
                self.say("rebuild counts what is lost", text);
            }
        }
        let others = [
            ("rebuild is idempotent", "rebuilt again", &self.answers.rebuilt_again),
            ("rebuild comes to the same", "rebuilt after an opening", &self.answers.rebuilt_after),
        ];
        for (rule, when, other) in others {
            match other {
                None => {}
                Some(Err(error)) => self.say(rule, format!("{when}: {error}")),
                Some(Ok(Left { contents: Err(error), .. })) => self.say(rule, format!("{when}: {error}")),
                Some(Ok(Left { contents: Ok(other), .. })) => {
                    let known_from = |writer: &str| match when {
                        "rebuilt again" => 0,
                        _ => first_of(logs.get(writer)),
                    };
                    if let Some(what) = contents_differ(contents, other, known_from) {
                        self.say(rule, format!("{when}: {what}"));
                    }
                }
            }
        }
    }

    /// A database that was made from the log alone has nothing that the log does not have.
    fn rebuild_of_what_the_log_has_is_not_refused(&mut self) {
        if !self.is_without_database() {
            return;
        }
        let all = [
            ("rebuilt", Some(&self.answers.rebuilt)),
            ("rebuilt again", self.answers.rebuilt_again.as_ref()),
            ("after an opening", self.answers.rebuilt_after.as_ref()),
        ];
        for (when, rebuilt) in all {
            if let Some(Ok(Left { refused: Some(refused), .. })) = rebuilt {
                self.say("rebuild loses nothing that the log has", format!("{when}: {refused}"));
            }
        }
    }
}

/// The first record of a log that is anywhere: whether those before it were ever folded, a new database does not know.
fn first_of(log: Option<&LogModel>) -> u64 {
    log.and_then(|log| log.taken.keys().next().copied()).unwrap_or(u64::MAX)
}

/// In what two databases differ; what is lost of a writer counts from some number on.
fn contents_differ(one: &Contents, other: &Contents, known_from: impl Fn(&str) -> u64) -> Option<String> {
    let mut different = Vec::new();
    let (one_named, other_named) = (one.named(), other.named());
    let only: BTreeSet<_> = one_named.symmetric_difference(&other_named).take(5).collect();
    if !only.is_empty() {
        different.push(format!("only one of them has {only:?}"));
    }
    let lost = |contents: &Contents| -> Vec<(String, Ranges)> {
        let lost = contents.lost.iter();
        let lost = lost.map(|(writer, lost)| (writer.clone(), lost.above(known_from(writer).saturating_sub(1))));
        lost.filter(|(_, lost)| lost.count() > 0).collect()
    };
    if lost(one) != lost(other) {
        different.push(format!("lost {:?} and {:?}", one.lost, other.lost));
    }
    let folded =
        |contents: &Contents| contents.folded.clone().into_iter().filter(|(_, last)| *last > 0).collect::<Vec<_>>();
    if folded(one) != folded(other) {
        different.push(format!("folded {:?} and {:?}", one.folded, other.folded));
    }
    (!different.is_empty()).then(|| different.join("; "))
}
