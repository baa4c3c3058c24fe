//! The judge's rules for those who only read: `verify`, `dump`, `check`, and the reader in Python. Pure.

use crate::court::{Court, difference};
use crate::log_image::WRITER_ID_NAME;
use crate::ranges::Ranges;
use crate::reading::LogReading;
use std::collections::BTreeSet;

/// Judges the readers, before the store is opened and afterwards.
pub(crate) fn judge(court: &mut Court<'_>) {
    court.readers_agree();
    court.readers_tell_what_was_recorded();
    court.readers_agree_afterwards();
}

impl Court<'_> {
    /// Nobody who reads writes.
    pub(crate) fn readers_change_nothing(&mut self) {
        if let Some(what) = difference(&self.answers.files, &self.answers.files_read) {
            self.say("readers change nothing", what);
        }
    }

    fn readers_agree(&mut self) {
        let answers = self.answers;
        // Without a database, who only looks may say what is known then, or what an opening will make of it.
        let python: Vec<_> = [Some(&answers.python), answers.python_unknowing.as_ref()].into_iter().flatten().collect();
        let mut readings: Vec<_> = python.iter().map(|python| python.log.clone()).collect();
        let log = &self.damaged.log;
        if log.files.contains_key(WRITER_ID_NAME) && log.told_writer_id().is_none() {
            // The Python reader tells of segments only.
            for reading in readings.iter_mut().filter(|reading| reading.verdict == "sound") {
                "attention".clone_into(&mut reading.verdict);
            }
        }
        let readings: Vec<_> = readings.iter().collect();
        // What is another store's as a whole, they may call so or not; it is refused.
        if !self.is_other_stores() || answers.opened.is_ok() {
            self.same_verdicts("before", &readings, &answers.verify, &answers.check);
        }
        let lost = self.lost().count();
        for (who, reading) in [("verify", &answers.verify), ("check", &answers.check)] {
            if let Ok(reading) = reading
                && reading.lost != Some(lost)
                && !(self.is_without_database() && reading.lost == Some(0))
                && answers.opened.is_ok()
            {
                self.say("as many are lost", format!("python {lost}, {who} {:?}", reading.lost));
            }
        }
        for (name, dump) in &answers.dumps {
            let records = answers.python.log.files.get(name).and_then(|file| file.records.clone()).unwrap_or_default();
            if dump.numbers() != records {
                let text = format!("{name}: python reads {records}, dump prints {} {:?}", dump.numbers(), dump.error);
                self.say("dump prints what a file holds", text);
            }
        }
        if let Ok(verify) = &answers.verify {
            for (name, file) in &verify.files {
                let count = answers.python.log.files.get(name).and_then(|file| file.count);
                if count.is_some() && file.count != count {
                    self.say(
                        "verify counts what a file holds",
                        format!("{name}: python {count:?}, verify {:?}", file.count),
                    );
                }
            }
        }
        let taken = answers.python.log.taken.clone().unwrap_or_default();
        let dumped = answers.dump.numbers();
        let is_each_once = dumped.count() == answers.dump.records.len() as u64;
        if answers.opened.is_ok() && (dumped != taken || !is_each_once) {
            let dumped = format!("{dumped}{}", if is_each_once { "" } else { ", some twice" });
            self.say(
                "dump prints what counts",
                format!("python takes {taken}, dump prints {dumped} {:?}", answers.dump.error),
            );
        }
    }

    fn readers_tell_what_was_recorded(&mut self) {
        let answers = self.answers;
        let dumps = answers.dumps.iter().map(|(name, dump)| (name.as_str(), dump));
        // Of a log that is refused because it may be another store's, so may be what is read of it.
        if answers.opened.is_err() && self.is_other_stores() {
            return;
        }
        let whole = answers.opened.is_ok().then_some(("the log", &answers.dump));
        for (what, dump) in whole.into_iter().chain(dumps) {
            let ids = dump.request_ids();
            let wrong = ids.iter().filter(|(number, id)| !self.recorded().may_be_request(**number, id));
            let wrong: Ranges = wrong.map(|(number, _)| *number).collect();
            if wrong.count() > 0 {
                self.say("never a record that was not recorded", format!("dump of {what}: the requests {wrong}"));
            }
        }
    }

    fn readers_agree_afterwards(&mut self) {
        let answers = self.answers;
        let (Some(python), Some(verify), Some(check)) =
            (&answers.python_after, &answers.verify_after, &answers.check_after)
        else {
            return;
        };
        let lost = answers.opened.as_ref().ok().and_then(|left| left.contents.as_ref().ok());
        let lost = lost.map_or(0, |contents| contents.lost.count());
        for (who, reading) in [("verify", verify), ("check", check)] {
            if let Ok(reading) = reading
                && reading.lost != Some(lost)
            {
                self.say("as many are lost afterwards", format!("table gaps {lost}, {who} {:?}", reading.lost));
            }
        }
        // What is lost stands in the database then, which the Python reader does not look at.
        let mut python = python.log.clone();
        if lost > 0 {
            "damaged".clone_into(&mut python.verdict);
        }
        self.same_verdicts("after", &[&python], verify, check);
    }

    /// The Python reader may say one of several things.
    fn same_verdicts(
        &mut self,
        when: &str,
        python: &[&LogReading],
        verify: &Result<LogReading, String>,
        check: &Result<LogReading, String>,
    ) {
        for (rule, who, reading) in [("verify's verdicts", "verify", verify), ("check's verdicts", "check", check)] {
            let reading = match reading {
                Ok(reading) => reading,
                // There is nothing to look at.
                Err(_) if python.iter().all(|python| python.files.is_empty()) => continue,
                Err(error) => {
                    self.say(rule, format!("{when}: {who} fails: {error}"));
                    continue;
                }
            };
            let mut different = Vec::new();
            let words: BTreeSet<_> = python.iter().map(|python| python.verdict.as_str()).collect();
            // What numbers are missing can't be said of a log that is refused.
            if self.answers.opened.is_ok() && !words.contains(reading.verdict.as_str()) {
                different.push(format!("the log is {words:?} for python and {} for {who}", reading.verdict));
            }
            let names: BTreeSet<_> =
                python.iter().flat_map(|python| python.files.keys()).chain(reading.files.keys()).collect();
            for name in names {
                let word =
                    |reading: &LogReading| reading.files.get(name).map_or("absent", |file| &file.verdict).to_owned();
                let words: BTreeSet<_> = python.iter().map(|python| word(python)).collect();
                if !words.contains(&word(reading)) {
                    different.push(format!("{name} is {words:?} for python and {} for {who}", word(reading)));
                }
            }
            if !different.is_empty() {
                self.say(rule, format!("{when}: {}", different.join("; ")));
            }
        }
    }
}
