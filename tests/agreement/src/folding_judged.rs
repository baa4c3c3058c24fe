//! The judge's rules for who folds: each record once, what is lost with a count, what can't be read with its place. Pure.

use crate::bytes::id_from;
use crate::contents::{Contents, Name};
use crate::court::Court;
use crate::expectation::Logs;
use crate::life::{self, Meaning};
use crate::model_log::LogModel;
use crate::model_segment::FileState;
use crate::ranges::Ranges;
use crate::store_image::{Place, id_of};
use std::collections::{BTreeMap, BTreeSet};

/// Judges the opening, and that another one changes nothing.
pub(crate) fn judge(court: &mut Court<'_>) {
    let Ok(left) = &court.answers.opened else { return };
    if let Some(trouble) = &left.trouble {
        court.say("all that can be folded is", trouble.clone());
    }
    match &left.contents {
        Ok(contents) => {
            court.opening_folds_what_counts(contents);
            court.each_number_is_accounted_for(contents);
            court.what_is_lost_has_a_row(contents);
            court.damage_has_a_row(contents);
            court.writers_are_told(contents);
        }
        Err(error) => court.say("the database is sound", error.clone()),
    }
    court.a_second_opening_changes_nothing();
}

impl Court<'_> {
    fn opening_folds_what_counts(&mut self, contents: &Contents) {
        let logs = self.expected.folded.clone();
        let held = self.answers.held.clone();
        self.holds("opening folds what counts", "after the opening", contents, &held, &logs);
        for (writer, log) in &logs {
            let before = held.folded.get(writer).copied().unwrap_or(0);
            let (expected, folded) = (log.last(before), contents.folded.get(writer).copied().unwrap_or(0));
            if expected != folded {
                self.say("opening folds what counts", format!("{writer} to {expected}, but it is folded to {folded}"));
            }
        }
    }

    /// Whether a database has what it held and these records, each as it was recorded, and nothing else.
    pub(crate) fn holds(&mut self, rule: &'static str, when: &str, contents: &Contents, held: &Contents, logs: &Logs) {
        let added = added(logs);
        let mut wrong = Vec::new();
        let requests: BTreeSet<&String> = contents.requests.values().collect();
        // An event that two records tell of has the row of one of them.
        let mut told: BTreeMap<&[u8], usize> = BTreeMap::new();
        for taken in added.values() {
            *told.entry(taken.payload.as_slice()).or_default() += 1;
        }
        let is_there = |name: &Name, payload: &[u8], meaning: &Meaning| match meaning {
            Meaning::Request(id) => match contents.requests.get(name) {
                Some(found) => found == id,
                None => requests.contains(id) && (told[payload] > 1 || held.requests.values().any(|held| held == id)),
            },
            Meaning::Session(id) => contents.sessions.contains(id),
            Meaning::Row => contents.others.contains(name) || told[payload] > 1 || !held.others.is_empty(),
            Meaning::Gap(events) => contents.gaps.get(name) == Some(events),
            Meaning::Newer => contents.newer.contains(name),
            Meaning::Undecodable => contents.undecodable.contains(name),
            Meaning::Began => contents.writers.get(&name.0).is_some_and(|row| {
                id_from(&name.0).is_none_or(|id| name.1 != 1 || row.process_id == Some(life::process_id(id)))
            }),
            Meaning::Ended => contents.writers.get(&name.0).is_some_and(|row| row.ended.as_deref() == Some("closed")),
        };
        let missing: Vec<_> =
            added.iter().filter(|(name, taken)| !is_there(name, &taken.payload, &taken.meaning)).collect();
        if let Some((name, taken)) = missing.first() {
            wrong.push(format!("{} are not there, the first is {name:?}: {:?}", missing.len(), taken.meaning));
        }
        let (before, now) = (held.named(), contents.named());
        // What is known to be missing stays known, whatever a database is made from.
        let is_known = |name: &&Name| before.contains(name) || self.answers.held.gaps.contains_key(name);
        let strange: Vec<_> = now.iter().filter(|name| !is_known(name) && !added.contains_key(name)).collect();
        if !strange.is_empty() {
            wrong.push(format!("{strange:?} were not to be there"));
        }
        let gone: Vec<_> = before.iter().filter(|name| !now.contains(name)).collect();
        if !gone.is_empty() {
            wrong.push(format!("{gone:?} were there before"));
        }
        if !wrong.is_empty() {
            self.say(rule, format!("{when}: {}", wrong.join("; ")));
        }
    }

    /// The numbers that are folded and those that are counted as lost are all of them, and none is both. Without a
    /// database nobody knows those before the first segment.
    fn each_number_is_accounted_for(&mut self, contents: &Contents) {
        for (writer, last) in &contents.folded {
            let runs = contents.runs.get(writer).cloned().unwrap_or_default();
            let lost = contents.lost.get(writer).cloned().unwrap_or_default();
            // A hole has the id of its first number.
            let firsts: BTreeSet<u64> = lost.0.iter().map(|(first, _)| *first).collect();
            let twice = runs.0.windows(2).any(|pair| pair[0].1 >= pair[1].0);
            let folded: BTreeSet<u64> = runs.numbers().collect();
            let all: BTreeSet<u64> = folded.iter().copied().chain(lost.numbers()).collect();
            let both = folded.iter().find(|number| lost.has(**number) && !firsts.contains(number));
            let log = self.expected.folded.get(writer).filter(|_| self.is_without_database());
            let from = log.map_or(1, |log| log.known_from);
            if twice || both.is_some() || !all.iter().copied().eq(from..=*last) {
                let text = format!("{writer}: folded to {last}, runs {runs}, lost {lost}");
                self.say("each number is accounted for", text);
            }
        }
    }

    fn what_is_lost_has_a_row(&mut self, contents: &Contents) {
        for (writer, log) in &self.expected.folded.clone() {
            let before = self.answers.held.lost.get(writer).cloned().unwrap_or_default();
            let expected: Ranges = before.numbers().chain(log.lost.numbers()).collect();
            let counted = contents.lost.get(writer).cloned().unwrap_or_default();
            let counted: Ranges = counted.numbers().collect();
            if expected != counted {
                self.say("what is lost has a row", format!("{writer}: expected {expected}, table gaps {counted}"));
            }
        }
    }

    /// Places below what was folded before may have been looked at then, or not.
    fn damage_has_a_row(&mut self, contents: &Contents) {
        for (writer, log) in &self.expected.folded.clone() {
            let before = self.answers.held.folded.get(writer).copied().unwrap_or(0);
            for (name, file) in log.files.iter().filter(|(_, file)| file.is_read()) {
                let FileState::Read(reading) = &file.state else { continue };
                let is_new = reading.header.base > before && !log.is_held_up;
                let segment = id_of(name).unwrap_or_default();
                let unnamed = reading
                    .damages()
                    .find(|offset| is_new && !contents.damages.contains(&(writer.clone(), segment, *offset)));
                if let Some(offset) = unnamed {
                    self.say("damage has a row", format!("{writer}/{name} at {offset}"));
                }
            }
        }
    }

    fn writers_are_told(&mut self, contents: &Contents) {
        for (writer, log) in &self.expected.folded.clone() {
            let folder = &self.damaged.store.folders[&(Place::Wal, writer.clone())];
            let has_records = !log.taken.is_empty() || self.answers.held.folded.contains_key(writer);
            if log.files.values().any(|file| file.waits) || !has_records {
                continue;
            }
            let ended = contents.writers.get(writer).and_then(|row| row.ended.clone());
            let is_closed = log.has_ended() || self.was_closed(writer);
            let expected: &[Option<&str>] = match (is_closed, folder.is_living) {
                (true, _) => &[Some("closed")],
                (false, true) => &[None],
                (false, false) => &[Some("died")],
            };
            if !expected.contains(&ended.as_deref()) {
                self.say("writers are told", format!("{writer}: expected {expected:?}, found {ended:?}"));
            }
        }
    }

    pub(crate) fn was_closed(&self, writer: &str) -> bool {
        let row = self.answers.held.writers.get(writer);
        row.is_some_and(|row| row.ended.as_deref() == Some("closed"))
    }

    fn a_second_opening_changes_nothing(&mut self) {
        let rule = "a second opening changes nothing";
        let (Ok(first), Some(second)) = (&self.answers.opened, &self.answers.opened_again) else { return };
        match second {
            Err(error) => self.say(rule, error.clone()),
            Ok(second) => {
                if first.contents != second.contents {
                    self.say(rule, "the rows are others");
                }
                if let Some(what) = crate::court::difference(&first.files, &second.files) {
                    self.say(rule, what);
                }
            }
        }
    }
}

/// All records of logs, by writer and number.
fn added(logs: &Logs) -> BTreeMap<Name, &crate::model_log::Taken> {
    let of_log = |(writer, log): (&String, &'_ LogModel)| {
        log.taken.keys().map(|number| (writer.clone(), *number)).collect::<Vec<_>>()
    };
    let names = logs.iter().flat_map(of_log);
    names.filter_map(|name| logs[&name.0].taken.get(&name.1).map(|taken| (name, taken))).collect()
}
