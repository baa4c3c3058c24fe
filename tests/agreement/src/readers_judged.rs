//! The judge's rules for those who only read: `verify`, `list`, `dump`, `check`, and the reader in Python. Pure.

use crate::answers::Logs as ReadLogs;
use crate::bytes::{id_from, id_text};
use crate::court::Court;
use crate::expectation::{Expectation, Logs};
use crate::life::Meaning;
use crate::model_log::LogModel;
use crate::ranges::Ranges;
use crate::reading::{LogReading, StoreReading, worse};
use crate::store_image::Place;
use std::collections::{BTreeMap, BTreeSet};

/// Judges the readers, before the store is opened and afterwards.
pub(crate) fn judge(court: &mut Court<'_>) {
    court.python_reads_what_the_page_says();
    // Of a store that is refused, they may say that, or anything.
    if court.expected.is_refused {
        return;
    }
    if !court.expected.has_foreign_database {
        court.readers_agree();
        court.readers_agree_afterwards();
    }
    court.dumps_agree();
}

impl Court<'_> {
    fn python_reads_what_the_page_says(&mut self) {
        let (expected, python) = (self.expected.clone(), &self.answers.python);
        let questions = [
            ("who knows what is folded", &expected.read, &python.read),
            ("who knows nothing", &expected.read_unknowing, &python.read_unknowing),
            ("who folds", &expected.folded_whole, &python.folded),
        ];
        for (who, expected, python) in questions {
            self.same_logs(&format!("before, {who}"), expected, python);
        }
        for (writer, log) in &expected.rebuilt {
            let python = python.rebuilt.get(writer).and_then(|python| python.taken.clone());
            let taken: Ranges = log.taken.keys().copied().collect();
            if python.as_ref() != Some(&taken) {
                let text = format!("anywhere, {writer}: the page gives {taken}, python {python:?}");
                self.say("python reads what the page says", text);
            }
        }
    }

    fn same_logs(&mut self, when: &str, expected: &Logs, python: &ReadLogs) {
        let expected: ReadLogs = expected.iter().map(|(writer, log)| (writer.clone(), LogReading::of(log))).collect();
        let writers: BTreeSet<_> = expected.keys().chain(python.keys()).collect();
        for writer in writers {
            if let Some(what) = log_differs(expected.get(writer), python.get(writer)) {
                self.say("python reads what the page says", format!("{when}, {writer}: {what}"));
            }
        }
    }

    fn readers_agree(&mut self) {
        let answers = self.answers;
        let lost = self.expected.lost();
        let expected = match self.is_without_database() {
            true => vec![self.expected.read_unknowing.clone(), self.expected.folded.clone()],
            false => vec![self.expected.read.clone()],
        };
        self.same_verdicts("before", &expected, 0, &answers.verify, &answers.check);
        for (who, reading) in [("verify", &answers.verify), ("check", &answers.check)] {
            if let Ok(reading) = reading
                && reading.lost != lost
                && !self.is_without_database()
            {
                self.say("as many are lost", format!("before: expected {lost}, {who} {}", reading.lost));
            }
        }
        if let Ok(verify) = &answers.verify {
            for (writer, log) in &self.expected.read.clone() {
                for (name, file) in log.files.iter().filter(|(_, file)| file.is_read()) {
                    let found = verify.logs.get(writer).and_then(|log| log.files.get(name));
                    let (count, found) = (file.records.count(), found.and_then(|file| file.count));
                    if found != Some(count) {
                        let text = format!("{writer}/{name}: expected {count}, verify {found:?}");
                        self.say("verify counts what a file holds", text);
                    }
                }
            }
        }
        match &answers.list {
            Ok(list) => {
                let files = self.expected.read.iter();
                let files =
                    files.flat_map(|(writer, log)| log.files.keys().map(move |name| (writer.clone(), name.clone())));
                let (expected, listed): (BTreeSet<_>, BTreeSet<_>) = (files.collect(), list.iter().cloned().collect());
                if let Some(file) = expected.symmetric_difference(&listed).next() {
                    self.say("list shows what is there", format!("{file:?}"));
                }
            }
            Err(_) if self.expected.read.is_empty() => {}
            Err(error) => self.say("list shows what is there", error.clone()),
        }
    }

    fn dumps_agree(&mut self) {
        let answers = self.answers;
        for (writer, log) in &self.expected.read.clone() {
            for (name, file) in log.files.iter().filter(|(_, file)| file.is_read()) {
                let dump = &answers.dumps[&(writer.clone(), name.clone())];
                let printed = dump.numbers().into_values().next().unwrap_or_default();
                if printed != file.records || dump.repeated() > 0 {
                    let text = format!("{writer}/{name}: expected {}, dump {printed} {:?}", file.records, dump.error);
                    self.say("dump prints what a file holds", text);
                }
            }
        }
        if self.expected.has_foreign_database {
            return;
        }
        let printed = answers.dump.numbers();
        let mut wrong = Vec::new();
        let writers: BTreeSet<String> = self.expected.read_unknowing.keys().chain(printed.keys()).cloned().collect();
        for writer in writers {
            let taken = |log: &LogModel| log.taken.keys().copied().collect::<Ranges>();
            let expected = self.expected.read_unknowing.get(&writer).map(taken).unwrap_or_default();
            let printed = printed.get(&writer).cloned().unwrap_or_default();
            if expected != printed {
                wrong.push(format!("{writer}: expected {expected}, dump {printed}"));
            }
        }
        if answers.dump.repeated() > 0 {
            wrong.push(format!("{} records are shown again", answers.dump.repeated()));
        }
        let waits_at_once = self.expected.read.is_empty() && answers.dump.error.is_some();
        if !waits_at_once && !wrong.is_empty() {
            self.say("dump prints what counts", format!("{} {:?}", wrong.join("; "), answers.dump.error));
        }
        let strange: Vec<_> = answers
            .dump
            .request_ids()
            .filter(|((writer, number), id)| {
                let taken = self.expected.read_unknowing.get(writer).and_then(|log| log.taken.get(number));
                taken.is_some_and(|taken| taken.meaning != Meaning::Request((*id).to_owned()))
            })
            .collect();
        if let Some((name, id)) = strange.first() {
            self.say("never a record that was not recorded", format!("{name:?} is shown as {id}"));
        }
    }

    fn readers_agree_afterwards(&mut self) {
        let answers = self.answers;
        let (Some(after), Ok(left)) = (&answers.after, &answers.opened) else { return };
        let Ok(contents) = &left.contents else { return };
        // What lies there now, and what is folded by now.
        let mut store = self.damaged.store.clone();
        store.database.get_or_insert_default();
        store.folded = contents.folded.iter().filter_map(|(writer, last)| Some((id_from(writer)?, *last))).collect();
        for ((place, name), folder) in &mut store.folders {
            let path = std::path::Path::new(place.name()).join(name);
            folder.files.retain(|name, _| left.files.contains_key(&path.join(name)));
            for (name, file) in &mut folder.files {
                file.bytes.clone_from(&left.files[&path.join(name)]);
            }
        }
        store.folders.retain(|(place, name), _| *place != Place::Wal || left.folders.contains(name));
        store.store = self.expected.store.unwrap_or(store.store);
        store.others.insert(
            std::path::PathBuf::from(crate::store_image::STORE_ID_NAME),
            format!("{}\n", id_text(store.store)).into_bytes(),
        );
        let expected = Expectation::of(&store);
        self.same_logs("after", &expected.read, &after.python);
        let counted = contents.lost.values().map(Ranges::count).sum::<u64>();
        self.same_verdicts("after", std::slice::from_ref(&expected.read), counted, &after.verify, &after.check);
        // Who looks at the logs sees those holes that their files show, also what the database has counted.
        let lost = expected.lost();
        for (who, reading, most, least) in
            [("verify", &after.verify, lost + counted, lost), ("check", &after.check, lost + counted, lost + counted)]
        {
            if let Ok(reading) = reading
                && !(least..=most).contains(&reading.lost)
            {
                self.say("as many are lost", format!("after: expected {least} to {most}, {who} {}", reading.lost));
            }
        }
    }

    /// Whether both say what one of the expectations says.
    fn same_verdicts(
        &mut self,
        when: &str,
        expected: &[Logs],
        counted: u64,
        verify: &Result<StoreReading, String>,
        check: &Result<StoreReading, String>,
    ) {
        for (rule, who, reading) in [("verify's verdicts", "verify", verify), ("check's verdicts", "check", check)] {
            let reading = match reading {
                Ok(reading) => reading,
                // There is nothing to look at.
                Err(_) if expected.iter().all(BTreeMap::is_empty) => continue,
                Err(error) => {
                    self.say(rule, format!("{when}: {who} fails: {error}"));
                    continue;
                }
            };
            let mut different = Vec::new();
            // What the database counts as lost is nothing that there is to say of the logs.
            let words = expected.iter().flat_map(|logs| [word_of(logs, 0), word_of(logs, counted)]);
            let words: BTreeSet<String> = words.collect();
            // Other names among the logs are named as well.
            if !words.contains(&reading.verdict) && !self.has_strange_names() {
                different.push(format!("the logs are {words:?}, and {} for {who}", reading.verdict));
            }
            let first = expected.first().into_iter().flatten();
            for (writer, name) in first.flat_map(|(writer, log)| log.files.keys().map(move |name| (writer, name))) {
                let words = expected.iter().flat_map(|logs| {
                    let file = &logs[writer].files[name];
                    let is_first =
                        logs[writer].files.iter().find(|(_, file)| file.verdict != file.verdict_but_for_level);
                    let is_said = is_first.is_some_and(|(first, _)| first == name);
                    [file.verdict, if is_said { file.verdict } else { file.verdict_but_for_level }]
                });
                let words: BTreeSet<String> = words.map(|verdict| verdict.word().to_owned()).collect();
                let found = reading.logs.get(writer).and_then(|log| log.files.get(name));
                let found = found.map_or("absent", |file| file.verdict.as_str());
                if !words.contains(found) {
                    different.push(format!("{writer}/{name} is {words:?}, and {found} for {who}"));
                }
            }
            if !different.is_empty() {
                self.say(rule, format!("{when}: {}", different.join("; ")));
            }
        }
    }

    /// Whether something lies among the logs that is none.
    fn has_strange_names(&self) -> bool {
        self.damaged.store.folders.keys().any(|(place, name)| *place == Place::Wal && id_from(name).is_none())
    }
}

/// The page's word for all logs, and for what the database counts as lost.
fn word_of(logs: &Logs, counted: u64) -> String {
    let words = logs.values().map(|log| log.verdict.word()).chain((counted > 0).then_some("damaged"));
    words.fold("sound".to_owned(), |worst, word| worse(&worst, word))
}

/// In what two readings of a log differ.
fn log_differs(expected: Option<&LogReading>, python: Option<&LogReading>) -> Option<String> {
    let (expected, python) = match (expected, python) {
        (Some(expected), Some(python)) if expected != python => (expected, python),
        (Some(_), Some(_)) | (None, None) => return None,
        (Some(_), None) => return Some("python does not see it".to_owned()),
        (None, Some(_)) => return Some("only python sees it".to_owned()),
    };
    let files = expected.files.iter().filter(|(name, file)| python.files.get(*name) != Some(*file));
    let files: Vec<_> = files.map(|(name, file)| format!("{name}: {file:?}, {:?}", python.files.get(name))).collect();
    let log = |log: &LogReading| format!("{:?} {:?} {:?} {:?}", log.verdict, log.taken, log.lost, log.waits);
    Some(format!("expected {}, python {}; {}", log(expected), log(python), files.join("; ")))
}
