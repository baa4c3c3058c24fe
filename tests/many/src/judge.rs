//! What a store owes to those who wrote into it. Pure: what they told and what was found go in, what is wrong comes out.
//!
//! The rules, each of which a test breaks on purpose:
//!
//! - everything that reached a map has a row, once; what a writer recorded in order is there from the first one on;
//! - what has no row was dropped, and counted, or had not reached a map when its writer was killed;
//! - each record was folded once: the runs of folding cover each log from 1 to its checkpoint, and no number twice;
//! - a row lies in the run of the process that recorded it, in the order in which it did;
//! - each writer that recorded anything has a row, which says how it ended; nobody else has;
//! - folders and files are gone; nothing is damaged, missing or set aside.

use crate::found::{Found, RequestFound, RunFound, WriterFound};
use crate::life::{Fate, Lived};
use crate::numbers;
use crate::told::Stage;
use std::collections::{BTreeMap, BTreeSet};

/// All that is wrong.
pub fn violations(lives: &[Lived], found: &Found) -> Vec<String> {
    let mut wrong = of_the_store(found);
    wrong.extend(of_folding(found));
    let mut by_life: BTreeMap<u64, Vec<&RequestFound>> = BTreeMap::new();
    for request in &found.requests {
        by_life.entry(numbers::whose(request.number).0).or_default().push(request);
    }
    let known: BTreeSet<_> = lives.iter().map(|life| life.number).collect();
    wrong.extend(
        by_life
            .keys()
            .filter(|life| !known.contains(life))
            .map(|life| format!("rows of life {life}, of which nobody knows")),
    );
    let mut writers = Writers::of(found);
    for life in lives {
        let rows = by_life.get(&life.number).map_or(&[] as &[_], Vec::as_slice);
        wrong.extend(of_a_life(life, rows, found, &mut writers));
    }
    wrong.extend(writers.left());
    wrong
}

/// Whatever befell it.
fn of_the_store(found: &Found) -> Vec<String> {
    let mut wrong = Vec::new();
    if found.integrity != "ok" {
        wrong.push(format!("the database: {}", found.integrity));
    }
    wrong.extend(found.strange.iter().map(|name| format!("nobody recorded request {name} like that")));
    let rows = found.requests.len() as u64;
    if found.session_calls != rows {
        wrong.push(format!("{rows} rows, and sessions with {} calls", found.session_calls));
    }
    for (level, calls) in found.rollup_calls.iter().filter(|(_, calls)| **calls != rows) {
        wrong.push(format!("{rows} rows, and roll-ups of level {level} with {calls} calls"));
    }
    let numbers: BTreeSet<_> = found.requests.iter().map(|request| request.number).collect();
    if numbers.len() < found.requests.len() {
        wrong.push("an event has two rows".to_owned());
    }
    if found.quarantined > 0 {
        wrong.push(format!("{} rows in quarantine", found.quarantined));
    }
    wrong.extend(
        found.missing.iter().map(|(writer, missing)| format!("{missing} records of writer {writer} are missing")),
    );
    wrong.extend(found.left.iter().map(|path| format!("left behind: {}", path.display())));
    wrong
}

/// Each record of each log once.
fn of_folding(found: &Found) -> Vec<String> {
    let mut wrong = Vec::new();
    let overlap = |runs: &[RunFound]| runs[0].first_id + runs[0].count > runs[1].first_id;
    wrong.extend(
        found.runs.windows(2).filter(|runs| overlap(runs)).map(|runs| format!("one id for two records: {runs:?}")),
    );
    for (writer, checkpoint) in &found.checkpoints {
        let mut runs: Vec<_> = found.runs.iter().filter(|run| run.writer == *writer).collect();
        runs.sort_by_key(|run| run.first_sequence);
        let mut due = 1;
        for run in runs {
            if run.first_sequence != due {
                let twice = if run.first_sequence < due { "folded twice" } else { "never folded" };
                wrong.push(format!("writer {writer}: {twice}: due was {due}, and then came {run:?}"));
            }
            due = run.first_sequence + run.count;
        }
        if due != checkpoint + 1 {
            wrong.push(format!("writer {writer}: folded up to {checkpoint}, and runs up to {}", due - 1));
        }
    }
    let strangers = found.runs.iter().filter(|run| !found.checkpoints.contains_key(&run.writer));
    wrong.extend(strangers.map(|run| format!("no checkpoint for {run:?}")));
    wrong
}

/// What one life is owed.
fn of_a_life(life: &Lived, rows: &[&RequestFound], found: &Found, writers: &mut Writers<'_>) -> Vec<String> {
    let (number, told) = (life.number, life.told);
    let mut wrong = Vec::new();
    let count = rows.len() as u64;
    if count < told.appended {
        wrong.push(format!("life {number}: {} events had reached the map, {count} have a row", told.appended));
    }
    let (own, mut strange) = writers.take(life, rows);
    wrong.append(&mut strange);
    if told.attempted == 0 && !own.is_empty() {
        wrong.push(format!("life {number} recorded nothing, and has a row: {own:?}"));
    }
    let dropped: u64 = own.iter().filter_map(|writer| found.dropped.get(&writer.id)).sum();
    // What was dropped last, while it was killed, is in no gap: the bounds are what it told, and what it tried.
    if life.fate == Fate::Closed
        && (count != told.appended || dropped != told.dropped || count + dropped != told.attempted)
    {
        wrong.push(format!("life {number}: {told:?}, {count} rows, {dropped} in gaps"));
    }
    if count + dropped > told.attempted {
        wrong.push(format!("life {number}: {} tried, {count} rows and {dropped} in gaps", told.attempted));
    }
    let mut places: Vec<_> = rows.iter().map(|row| numbers::whose(row.number).1).collect();
    places.sort_unstable();
    if dropped == 0 && told.dropped == 0 && !places.iter().copied().eq(0..count) {
        wrong.push(format!("life {number}: {count} rows with holes between them, up to {:?}", places.last()));
    }
    wrong
}

/// The rows of writers, until each is claimed by a life.
struct Writers<'a> {
    unclaimed: BTreeMap<u64, &'a WriterFound>,
    runs: &'a [RunFound],
}

impl<'a> Writers<'a> {
    fn of(found: &'a Found) -> Self {
        Self { unclaimed: found.writers.iter().map(|writer| (writer.id, writer)).collect(), runs: &found.runs }
    }

    /// The writers of a life, and what is wrong with them. Whose rows there are says the run that each lies in; a life
    /// without rows may have a writer all the same, with its process id.
    fn take(&mut self, life: &Lived, rows: &[&RequestFound]) -> (Vec<&'a WriterFound>, Vec<String>) {
        let number = life.number;
        let mut wrong = Vec::new();
        let mut placed: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
        for row in rows {
            match self.place(row.id) {
                Some((writer, sequence)) => placed.entry(writer).or_default().push((sequence, row.number)),
                None => wrong.push(format!("life {number}: row {} lies in no run", row.id)),
            }
        }
        for (writer, row) in &mut placed {
            row.sort_unstable();
            if !row.is_sorted_by(|(_, a), (_, b)| a < b) {
                wrong.push(format!(
                    "life {number}: rows of writer {writer} in another order than they were recorded in"
                ));
            }
        }
        if placed.len() > 1 {
            wrong.push(format!("life {number}: rows of writers {:?}", placed.keys()));
        }
        let of_none = rows.is_empty().then(|| self.unclaimed.values().find(|writer| writer.process_id == life.pid));
        let ids: Vec<_> = placed.into_keys().chain(of_none.flatten().map(|writer| writer.id)).collect();
        let mut own = Vec::new();
        for id in ids {
            let Some(writer) = self.unclaimed.remove(&id) else {
                wrong.push(format!("life {number}: no row for writer {id}, or it is another life's"));
                continue;
            };
            if writer.process_id != life.pid {
                wrong.push(format!("life {number} was process {}, and its writer says {writer:?}", life.pid));
            }
            let ended = writer.ended.as_deref();
            let as_told = match (life.fate, ended) {
                (Fate::Closed, Some("closed")) => true,
                // It may have got as far as that.
                (Fate::Killed, Some("closed")) => life.told.stage >= Stage::Ending,
                (Fate::Killed, Some("died")) => true,
                _ => false,
            };
            if !as_told {
                wrong.push(format!("life {number} ended so: {:?}, and its writer: {ended:?}", life.fate));
            }
            own.push(writer);
        }
        (own, wrong)
    }

    /// Whose record that row is, and which.
    fn place(&self, id: u64) -> Option<(u64, u64)> {
        let run = self.runs[..self.runs.partition_point(|run| run.first_id <= id)].last()?;
        let within = id - run.first_id;
        (within < run.count).then(|| (run.writer, run.first_sequence + within))
    }

    /// Those that nobody has claimed.
    fn left(&self) -> Vec<String> {
        self.unclaimed.values().map(|writer| format!("nobody was {writer:?}")).collect()
    }
}
