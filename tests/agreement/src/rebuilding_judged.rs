//! The judge's rules for who makes a database anew. Pure.

use crate::contents::Contents;
use crate::court::Court;
use crate::opening::Left;
use crate::ranges::Ranges;

/// Judges the rebuilds: in place of an opening, once more, and after an opening.
pub(crate) fn judge(court: &mut Court<'_>) {
    court.rebuild_folds_what_is_there();
    court.rebuild_of_what_the_log_has_is_not_refused();
}

impl Court<'_> {
    /// What no file has is lost, and nothing else; `all` is what the files have.
    fn rebuild_counts_what_is_lost(&mut self, contents: &Contents, all: &Ranges) {
        let lost = self.lost();
        let uncounted: Ranges =
            lost.numbers().filter(|number| !all.has(*number) && !contents.lost.has(*number)).collect();
        // What lies behind a hole is read, so that the hole before it counts.
        let last = all.0.last().map_or(0, |(_, last)| *last);
        let is_invented = |number: &u64| *number > last.max(self.answers.held.folded) && !lost.has(*number);
        let invented: Ranges = contents.lost.numbers().filter(is_invented).collect();
        if uncounted.count() + invented.count() > 0 {
            self.say(
                "rebuild counts what is lost",
                format!("python {lost}, not counted {uncounted}, invented {invented}"),
            );
        }
    }

    /// A database that was made from the log alone has nothing that the log does not have.
    fn rebuild_of_what_the_log_has_is_not_refused(&mut self) {
        // Where a forgery makes two records of one number, an opening may have folded the other one.
        let (taken, recorded) = (self.answers.python.log.taken.clone().unwrap_or_default(), self.recorded());
        let is_disputed = taken.numbers().any(|number| recorded.is_disputed(number));
        let after = self.answers.rebuilt_after.as_ref().filter(|_| self.is_without_database() && !is_disputed);
        let first = Some(&self.answers.rebuilt).filter(|_| self.is_without_database());
        let all =
            [("rebuilt", first), ("rebuilt again", self.answers.rebuilt_again.as_ref()), ("after an opening", after)];
        for (when, rebuilt) in all {
            if let Some(Ok(Left { refused: Some(refused), .. })) = rebuilt {
                self.say("rebuild loses nothing that the log has", format!("{when}: {refused}"));
            }
        }
    }

    fn rebuild_folds_what_is_there(&mut self) {
        let Ok(left) = &self.answers.rebuilt else { return };
        let contents = match &left.contents {
            Ok(contents) => contents,
            Err(error) => return self.say("the database is sound", format!("rebuilt: {error}")),
        };
        // Who makes a new database reads what lies behind a hole as well.
        let all = self.answers.python.log.files.values().filter_map(|file| file.records.as_ref());
        let all: Ranges = all.flat_map(Ranges::numbers).collect();
        self.holds("rebuild folds what is there", "rebuilt", contents, &Contents::default(), &all);
        self.rebuild_counts_what_is_lost(contents, &all);
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
                    // What was folded before the opening may have been let go by it. Where a forgery makes
                    // two records of one, or one of two, it does not matter which has the row.
                    let (recorded, folded) = (self.recorded(), self.answers.held.folded);
                    let is_again = when == "rebuilt again";
                    let matters = |number: &u64| is_again || (*number > folded && !recorded.is_disputed(*number));
                    if let Some(what) = contents_differ(contents, other, matters) {
                        self.say(rule, format!("{when}: {what}"));
                    }
                }
            }
        }
    }
}

/// In what two databases differ, as far as a number matters.
fn contents_differ(one: &Contents, other: &Contents, matters: impl Fn(&u64) -> bool) -> Option<String> {
    let that_matter = |numbers: &Ranges| numbers.numbers().filter(&matters).collect::<Ranges>();
    let mut different = Vec::new();
    let [one_numbers, other_numbers] = [one, other].map(|contents| that_matter(&contents.numbered()));
    if one_numbers != other_numbers {
        different.push(format!("records {one_numbers} and {other_numbers}"));
    }
    let [one_lost, other_lost] = [one, other].map(|contents| that_matter(&contents.lost));
    if one_lost != other_lost {
        different.push(format!("lost {one_lost} and {other_lost}"));
    }
    (!different.is_empty()).then(|| different.join("; "))
}
