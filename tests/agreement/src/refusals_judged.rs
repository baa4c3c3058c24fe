//! The judge's rules for logs that nobody may touch. Pure.

use crate::case::NOTHING;
use crate::court::{Court, difference};
use crate::log_image::WRITER_ID_NAME;
use crate::opening::Left;

/// Judges who refuses, and what a refusal leaves.
pub(crate) fn judge(court: &mut Court<'_>) {
    court.refusals();
}

impl Court<'_> {
    fn refusals(&mut self) {
        let answers = self.answers;
        let python_refuses = answers.python.log.is_refused == Some(true);
        let says =
            |result: &Result<Left, String>| result.as_ref().err().cloned().unwrap_or_else(|| "no refusal".into());
        let (opened, rebuilt) = (says(&answers.opened), says(&answers.rebuilt));
        let is_other_stores = self.is_other_stores();
        if self.is_to_be_refused() && answers.opened.is_ok() {
            self.say(
                "a refusal is one everywhere",
                "the log is another store's than the database or the file says; opening: no refusal",
            );
        }
        if !is_other_stores && python_refuses != answers.opened.is_err() {
            self.say("a refusal is one everywhere", format!("python refuses: {python_refuses}; opening: {opened}"));
        }
        // Where there is neither a segment nor a database, there is no store to be made anew.
        let is_any = !answers.python.log.files.is_empty() || !self.is_without_database();
        if is_any && !is_other_stores && answers.opened.is_err() != answers.rebuilt.is_err() {
            self.say("a refusal is one everywhere", format!("opening: {opened}; rebuild: {rebuilt}"));
        }
        if let Some(what) = answers.files_refused.as_ref().and_then(|after| difference(&answers.files, after)) {
            self.say("a refusal touches nothing", what);
        }
    }

    /// Whether the database, or what says whose log it is, is of a store that has no segment here.
    pub(crate) fn is_other_stores(&self) -> bool {
        self.answers.python.has_only_foreign
            || self.damaged.story.iter().any(|what| what.starts_with("another store's"))
    }

    /// Whether what says whose log it is leaves no doubt that something here is another store's.
    fn is_to_be_refused(&self) -> bool {
        let log = &self.damaged.log;
        let is_hurt = |what| self.damaged.story.iter().any(|line| line.starts_with(what) && !line.ends_with(NOTHING));
        let reads_any = self.answers.python.log.taken.as_ref().is_some_and(|taken| taken.count() > 0);
        let is_own = self.answers.python.writer_id.as_deref() == Some(log.writer_id.to_string().as_str());
        (is_hurt("another store's database") && log.database.is_some() && is_own && reads_any)
            || (is_hurt("another store's writer id")
                && log.database.is_some()
                && log.files.contains_key(WRITER_ID_NAME)
                && !is_own)
    }
}
