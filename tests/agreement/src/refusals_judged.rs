//! The judge's rules for stores that nobody may touch. Pure.

use crate::court::{Court, difference};
use crate::opening::Left;

/// Judges who refuses, and what a refusal leaves.
pub(crate) fn judge(court: &mut Court<'_>) {
    court.readers_change_nothing();
    court.refusals();
    court.another_stores_database_stays();
}

impl Court<'_> {
    /// Nobody who reads writes.
    fn readers_change_nothing(&mut self) {
        if let Some(what) = difference(&self.answers.files, &self.answers.files_read) {
            self.say("readers change nothing", what);
        }
    }

    fn refusals(&mut self) {
        let answers = self.answers;
        let expected = self.expected.is_refused;
        let says =
            |result: &Result<Left, String>| result.as_ref().err().cloned().unwrap_or_else(|| "no refusal".into());
        if expected != answers.opened.is_err() {
            self.say("what is to be refused is", format!("expected: {expected}; opening: {}", says(&answers.opened)));
        }
        // Where there is neither a log nor a database, there is no store to be made anew.
        let is_any = !self.expected.rebuilt.is_empty() || !self.is_without_database();
        if is_any && expected != answers.rebuilt.is_err() {
            self.say("what is to be refused is", format!("expected: {expected}; rebuild: {}", says(&answers.rebuilt)));
        }
        // Another store's database is given up only by who accepts that.
        let is_taken = answers.rebuilt.as_ref().is_ok_and(|left| left.refused.is_none());
        if !expected && self.expected.has_foreign_database && is_taken {
            self.say("what is to be refused is", "rebuild replaces another store's database");
        }
        if let Some(what) = answers.files_refused.as_ref().and_then(|after| difference(&answers.files, after)) {
            self.say("a refusal touches nothing", what);
        }
    }

    /// Nothing is folded into another store's database, and nothing is let go.
    fn another_stores_database_stays(&mut self) {
        let (true, Ok(left)) = (self.expected.has_foreign_database, &self.answers.opened) else { return };
        let mut before = self.answers.files.clone();
        before.retain(|path, _| path.components().count() > 1);
        if let Some(what) = difference(&before, &left.files) {
            self.say("another store's database stays", what);
        }
        if left.contents.as_ref() != Ok(&self.answers.held) {
            self.say("another store's database stays", "its contents are changed");
        }
    }
}
