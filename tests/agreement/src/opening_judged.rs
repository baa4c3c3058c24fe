//! The judge's rules for who opens a store: what is folded, what is counted as lost, what becomes of the files. Pure.

use crate::contents::Contents;
use crate::court::{Court, name_of};
use crate::opening::{Files, Left};
use crate::ranges::Ranges;
use mcplog::segment::format::HEADER_BYTES;
use std::path::Path;

/// Judges the opening.
pub(crate) fn judge(court: &mut Court<'_>) {
    court.opening_folds_what_is_there();
    court.opening_loses_no_file();
}

impl Court<'_> {
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
        let lost = self.lost();
        // Without a database, who opens the store may count what is before the first number.
        let known_from = if self.is_without_database() { taken.0.first().map_or(0, |(first, _)| *first) } else { 0 };
        if contents.lost.above(known_from) != lost {
            self.say("what is lost has a row", format!("python {lost}, table gaps {}", contents.lost));
        }
    }

    /// Whether a database has what it held and these records, each as it was recorded, and nothing else.
    pub(crate) fn holds(
        &mut self,
        rule: &'static str,
        when: &str,
        contents: &Contents,
        held: &Contents,
        added: &Ranges,
    ) {
        let mut wrong = Vec::new();
        let is_known = |number, id: &String| {
            held.requests.get(&number) == Some(id) || (added.has(number) && self.recorded().may_be_request(number, id))
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
        let missing: Ranges = added.numbers().filter(|number| !self.recorded().is_in(*number, contents)).collect();
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

    fn opening_loses_no_file(&mut self) {
        let Ok(left) = &self.answers.opened else { return };
        let aside = aside(&left.files);
        let mut wrong = Vec::new();
        for (path, bytes) in self.answers.files.iter().filter(|(path, _)| path.starts_with("wal")) {
            let name = name_of(path);
            let Some(file) = self.answers.python.log.files.get(&name) else { continue };
            let records = file.records.clone().unwrap_or_default();
            let end = self.answers.python.ends.get(&name).and_then(|end| usize::try_from(*end).ok()).unwrap_or(0);
            // A segment that was read may have been sealed before it went aside; its records are the same.
            let may_be_sealed = end >= 4096 && !self.answers.python.wrong_marks.contains(&name);
            let is_copy =
                |other: &&Vec<u8>| *other == bytes || (may_be_sealed && is_same_but_for_marks(bytes, other, end));
            let is_aside = aside.iter().any(is_copy);
            match left.files.get(path) {
                Some(now) if now == bytes || is_aside => {}
                Some(_) if !may_be_sealed => wrong.push(format!("{name} is changed")),
                Some(now) => {
                    let frames = |bytes: &[u8]| bytes.get(4096..end.max(4096)).map(<[u8]>::to_vec);
                    if frames(now) != frames(bytes) {
                        wrong.push(format!("{name} is changed before its end at {end}"));
                    }
                }
                None if is_aside => {}
                None if bytes.iter().all(|byte| *byte == 0) => {}
                // What is damaged is kept whole for people, unless others have all of it.
                None if file.verdict == "damaged" && !self.answers.python.superseded.contains(&name) => {
                    wrong.push(format!("{name} is damaged, and gone"));
                }
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
        number <= self.answers.held.folded
            || left.contents.as_ref().is_ok_and(|contents| self.recorded().is_in(number, contents))
    }
}

/// Whether two segments have the same header, and the same bytes from the first frame to the end of what is read.
fn is_same_but_for_marks(one: &[u8], other: &[u8], end: usize) -> bool {
    let frames = |bytes: &[u8]| bytes.get(4096..end.min(bytes.len()).max(4096)).map(<[u8]>::to_vec);
    one.get(..HEADER_BYTES) == other.get(..HEADER_BYTES) && frames(one) == frames(other)
}

/// What lies aside.
fn aside(files: &Files) -> Vec<&Vec<u8>> {
    files.iter().filter(|(path, _)| !path.starts_with("wal")).map(|(_, bytes)| bytes).collect()
}
