//! The judge: holds the answers against each other, and against what was recorded. Pure.

use crate::answers::Answers;
use crate::case::{Damaged, NOTHING};
use crate::contents::Contents;
use crate::log_image::WRITER_ID_NAME;
use crate::opening::{Files, Left};
use crate::ranges::Ranges;
use crate::reading::LogReading;
use mcplog::record::{Id, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Two answers that don't go together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Disagreement {
    /// The rule that is broken.
    pub rule: &'static str,
    /// The answers.
    pub text: String,
}

/// Judges the answers; nothing if all agree.
pub fn judge(damaged: &Damaged, answers: &Answers) -> Vec<Disagreement> {
    let mut judge = Judge { damaged, answers, found: Vec::new() };
    judge.readers_change_nothing();
    judge.refusals();
    if answers.opened.is_ok() {
        judge.readers_agree();
        judge.readers_tell_what_was_recorded();
        judge.opening_folds_what_is_there();
        judge.opening_loses_no_file();
        judge.readers_agree_afterwards();
        judge.rebuilding();
    }
    judge.found
}

struct Judge<'a> {
    damaged: &'a Damaged,
    answers: &'a Answers,
    found: Vec<Disagreement>,
}

impl Judge<'_> {
    fn say(&mut self, rule: &'static str, text: impl Into<String>) {
        self.found.push(Disagreement { rule, text: text.into() });
    }

    fn readers_change_nothing(&mut self) {
        if let Some(what) = difference(&self.answers.files, &self.answers.files_read) {
            self.say("readers change nothing", what);
        }
    }

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
        if !is_other_stores && answers.opened.is_err() != answers.rebuilt.is_err() {
            self.say("a refusal is one everywhere", format!("opening: {opened}; rebuild: {rebuilt}"));
        }
        if let Some(what) = answers.files_refused.as_ref().and_then(|after| difference(&answers.files, after)) {
            self.say("a refusal touches nothing", what);
        }
    }

    /// Whether the database, or what says whose log it is, is of a store that has no segment here.
    fn is_other_stores(&self) -> bool {
        self.damaged.story.iter().any(|what| what.starts_with("another store's"))
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

    fn readers_agree(&mut self) {
        let answers = self.answers;
        let mut python = answers.python.log.clone();
        if self.losses().0.count() != answers.python.holes.above(answers.held.folded).count() {
            // Only what is before the first number is missing, and nobody can say whether that is a loss.
            python.verdict = answers.verify.as_ref().map_or(python.verdict, |verify| verify.verdict.clone());
        }
        self.same_verdicts("before", &python, &answers.verify, &answers.check);
        let lost = self.losses().0.count();
        for (who, reading) in [("verify", &answers.verify), ("check", &answers.check)] {
            if let Ok(reading) = reading
                && reading.lost != Some(lost)
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
        if dumped != taken || !is_each_once {
            let dumped = format!("{dumped}{}", if is_each_once { "" } else { ", some twice" });
            self.say(
                "dump prints what counts",
                format!("python takes {taken}, dump prints {dumped} {:?}", answers.dump.error),
            );
        }
    }

    fn same_verdicts(
        &mut self,
        when: &str,
        python: &LogReading,
        verify: &Result<LogReading, String>,
        check: &Result<LogReading, String>,
    ) {
        for (rule, who, reading) in [("verify's verdicts", "verify", verify), ("check's verdicts", "check", check)] {
            let reading = match reading {
                Ok(reading) => reading,
                // There is nothing to look at.
                Err(_) if python.files.is_empty() => continue,
                Err(error) => {
                    self.say(rule, format!("{when}: {who} fails: {error}"));
                    continue;
                }
            };
            let mut different = Vec::new();
            if reading.verdict != python.verdict {
                different.push(format!("the log is {} for python and {} for {who}", python.verdict, reading.verdict));
            }
            let names: BTreeSet<_> = python.files.keys().chain(reading.files.keys()).collect();
            for name in names {
                let of =
                    |reading: &LogReading| reading.files.get(name).map_or("absent", |file| &file.verdict).to_owned();
                let (one, other) = (of(python), of(reading));
                if one != other {
                    different.push(format!("{name} is {one} for python and {other} for {who}"));
                }
            }
            if !different.is_empty() {
                self.say(rule, format!("{when}: {}", different.join("; ")));
            }
        }
    }

    fn readers_tell_what_was_recorded(&mut self) {
        let answers = self.answers;
        let dumps = answers.dumps.iter().map(|(name, dump)| (name.as_str(), dump));
        for (what, dump) in std::iter::once(("the log", &answers.dump)).chain(dumps) {
            let ids = dump.request_ids();
            let wrong = ids.iter().filter(|(number, id)| !self.may_be_request(**number, id));
            let wrong: Ranges = wrong.map(|(number, _)| *number).collect();
            if wrong.count() > 0 {
                self.say("never a record that was not recorded", format!("dump of {what}: the requests {wrong}"));
            }
        }
    }

    fn may_be_request(&self, number: u64, id: &str) -> bool {
        self.damaged
            .log
            .told
            .get(&number)
            .is_some_and(|told| told.iter().any(|payload| request_id(payload).as_deref() == Some(id)))
    }

    fn opening_folds_what_is_there(&mut self) {
        let Ok(left) = &self.answers.opened else { return };
        let contents = match &left.contents {
            Ok(contents) => contents,
            Err(error) => return self.say("the database is sound", error.clone()),
        };
        let held = &self.answers.held;
        let python = &self.answers.python;
        let taken = python.log.taken.clone().unwrap_or_default().above(held.folded);
        self.holds("opening folds what counts", "after the opening", contents, held, &taken);
        let (expected, allowed) = self.losses();
        let within = |lost: &Ranges| lost.numbers().filter(|number| allowed.contains(number)).collect::<Ranges>();
        if within(&contents.lost) != expected {
            self.say("what is lost has a row", format!("python {expected}, table gaps {}", contents.lost));
        }
    }

    /// The numbers that are lost, and between which numbers nothing else may be.
    fn losses(&self) -> (Ranges, RangeInclusive<u64>) {
        let (python, folded) = (&self.answers.python, self.answers.held.folded);
        let taken = python.log.taken.clone().unwrap_or_default();
        // Without a database, nobody can say whether what is before the first number was ever folded.
        let first =
            if self.damaged.log.database.is_none() { taken.0.first().map_or(0, |(first, _)| *first) } else { 0 };
        let lost = python.holes.above(folded.max(first));
        (lost, first..=u64::MAX)
    }

    /// Whether a database has what it held and these records, each as it was recorded, and nothing else.
    fn holds(&mut self, rule: &'static str, when: &str, contents: &Contents, held: &Contents, added: &Ranges) {
        let mut wrong = Vec::new();
        let is_known = |number, id: &String| {
            held.requests.get(&number) == Some(id) || (added.has(number) && self.may_be_request(number, id))
        };
        let strange: Vec<_> = contents.requests.iter().filter(|(number, id)| !is_known(**number, id)).collect();
        if let Some((_, first)) = strange.first() {
            let numbers: Ranges = strange.iter().map(|(number, _)| **number).collect();
            wrong.push(format!("rows {numbers} were not to be there, the first is {first}"));
        }
        let others = [
            ("schema versions", &contents.others, &held.others),
            // What is known to be missing stays known, whatever a database is made from.
            ("gaps", &contents.gaps, &self.answers.held.gaps),
            ("newer", &contents.newer, &held.newer),
            ("undecodable", &contents.undecodable, &held.undecodable),
        ];
        for (table, now, before) in others {
            let strange: Ranges =
                now.iter().copied().filter(|number| !before.contains(number) && !added.has(*number)).collect();
            if strange.count() > 0 {
                wrong.push(format!("{table}: {strange} were not to be there"));
            }
        }
        let missing: Ranges = added.numbers().filter(|number| !self.is_in(*number, contents)).collect();
        if missing.count() > 0 {
            wrong.push(format!("{missing} are not there"));
        }
        let gone: Ranges = held.numbered().numbers().filter(|number| !contents.numbered().has(*number)).collect();
        if gone.count() > 0 {
            wrong.push(format!("{gone} were there before"));
        }
        if !wrong.is_empty() {
            self.say(rule, format!("{when}: {}", wrong.join("; ")));
        }
    }

    /// Whether a database has the record of that number, as anything that it may say.
    fn is_in(&self, number: u64, contents: &Contents) -> bool {
        let Some(told) = self.damaged.log.told.get(&number) else { return false };
        told.iter().any(|payload| match Record::decode(payload) {
            // Of two records of one request, one has the row; that happens where a number was forged.
            Ok(Record::Request(_)) => {
                let id = request_id(payload);
                contents.requests.get(&number) == id.as_ref()
                    || id.is_some_and(|id| contents.requests.values().any(|other| *other == id))
            }
            Ok(Record::Session(session)) => has_session(contents, &session.session_id),
            Ok(Record::SessionClosed(session)) => has_session(contents, &session.session_id),
            Ok(Record::SchemaVersion(_)) => {
                contents.others.contains(&number) || told.len() > 1 || self.is_forged(payload, number)
            }
            Ok(Record::Gap(_)) => contents.gaps.contains(&number),
            Ok(_) => contents.others.contains(&number),
            Err(error) if error.newer().is_some() => contents.newer.contains(&number),
            Err(_) => contents.undecodable.contains(&number),
        })
    }

    /// Whether another number may say the same.
    fn is_forged(&self, payload: &[u8], number: u64) -> bool {
        self.damaged.log.told.iter().any(|(other, told)| *other != number && told.contains(payload))
    }

    fn opening_loses_no_file(&mut self) {
        let Ok(left) = &self.answers.opened else { return };
        let aside = aside(&left.files);
        let mut wrong = Vec::new();
        for (path, bytes) in self.answers.files.iter().filter(|(path, _)| path.starts_with("wal")) {
            let name = name_of(path);
            let Some(file) = self.answers.python.log.files.get(&name) else { continue };
            let records = file.records.clone().unwrap_or_default();
            let is_aside = aside.contains(&bytes);
            let end = self.answers.python.ends.get(&name).and_then(|end| usize::try_from(*end).ok()).unwrap_or(0);
            match left.files.get(path) {
                Some(now) if now == bytes || is_aside => {}
                Some(now) => {
                    let frames = |bytes: &[u8]| bytes.get(4096..end.max(4096)).map(<[u8]>::to_vec);
                    if frames(now) != frames(bytes) {
                        wrong.push(format!("{name} is changed before its end at {end}"));
                    }
                }
                None if is_aside => {}
                None if bytes.iter().all(|byte| *byte == 0) => {}
                None if end >= 4096 && records.numbers().all(|number| self.is_covered(number, left)) => {}
                None => wrong.push(format!("{name} is gone, {} bytes with {records}", bytes.len())),
            }
        }
        for name in self.answers.python.log.behind_hole.iter().flatten() {
            let bytes = self.answers.files.get(&Path::new("wal").join(name));
            let has_records =
                self.answers.python.log.files[name].records.as_ref().is_some_and(|records| records.count() > 0);
            if has_records && bytes.is_some_and(|bytes| !aside.contains(&bytes)) {
                wrong.push(format!("{name} lies behind a hole, and is not aside"));
            }
        }
        if !wrong.is_empty() {
            let quarantined: Vec<_> = left
                .files
                .keys()
                .filter(|path| !path.starts_with("wal"))
                .map(|path| path.display().to_string())
                .collect();
            wrong.push(format!("quarantined: {quarantined:?}"));
            self.say("nothing is gone without a copy", wrong.join("; "));
        }
    }

    /// Whether a record is folded, so that its segment may go.
    fn is_covered(&self, number: u64, left: &Left) -> bool {
        number <= self.answers.held.folded || left.contents.as_ref().is_ok_and(|contents| self.is_in(number, contents))
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
        self.same_verdicts("after", &python, verify, check);
    }

    fn rebuilding(&mut self) {
        let Ok(left) = &self.answers.rebuilt else { return };
        let contents = match &left.contents {
            Ok(contents) => contents,
            Err(error) => return self.say("the database is sound", format!("rebuilt: {error}")),
        };
        // Who makes a new database reads what lies behind a hole as well.
        let all = self.answers.python.log.files.values().filter_map(|file| file.records.as_ref());
        let all: Ranges = all.flat_map(Ranges::numbers).collect();
        self.holds("rebuild folds what is there", "rebuilt", contents, &Contents::default(), &all);
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
                    // What was folded before may have been let go since.
                    let folded = if when == "rebuilt again" { 0 } else { self.answers.held.folded };
                    if let Some(what) = contents_differ(contents, other, folded) {
                        self.say(rule, format!("{when}: {what}"));
                    }
                }
            }
        }
    }
}

/// In what two databases differ, but for records up to `folded`.
fn contents_differ(one: &Contents, other: &Contents, folded: u64) -> Option<String> {
    let mut different = Vec::new();
    let [one_numbers, other_numbers] = [one, other].map(|contents| contents.numbered().above(folded));
    if one_numbers != other_numbers {
        different.push(format!("records {one_numbers} and {other_numbers}"));
    }
    let [one_lost, other_lost] = [one, other].map(|contents| contents.lost.above(folded));
    if one_lost != other_lost {
        different.push(format!("lost {one_lost} and {other_lost}"));
    }
    (!different.is_empty()).then(|| different.join("; "))
}

/// The first thing in which two directories differ.
fn difference(before: &Files, after: &Files) -> Option<String> {
    let is_companion = |path: &Path| {
        let name = name_of(path);
        name.starts_with("store.db-") || name.eq_ignore_ascii_case("lock")
    };
    let paths: BTreeSet<&PathBuf> = before.keys().chain(after.keys()).filter(|path| !is_companion(path)).collect();
    paths.into_iter().find_map(|path| match (before.get(path), after.get(path)) {
        (Some(_), None) => Some(format!("{} is gone", path.display())),
        (None, Some(_)) => Some(format!("{} is new", path.display())),
        (one, other) => (one != other).then(|| format!("{} is changed", path.display())),
    })
}

/// What lies aside.
fn aside(files: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<&Vec<u8>> {
    files.iter().filter(|(path, _)| !path.starts_with("wal")).map(|(_, bytes)| bytes).collect()
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn request_id(payload: &[u8]) -> Option<String> {
    match Record::decode(payload) {
        Ok(Record::Request(request)) => Some(id_text(&request.request_id)),
        _ => None,
    }
}

fn has_session(contents: &Contents, id: &Id<'_>) -> bool {
    contents.sessions.contains(&id_text(id))
}

fn id_text(id: &Id<'_>) -> String {
    id.to_string()
}
