//! The judge's rules for what becomes of the files when logs are folded. Pure.

use crate::bytes::id_from;
use crate::court::Court;
use crate::model_log::{FileModel, LogModel, Verdict};
use crate::model_segment::FileState;
use crate::opening::Left;
use crate::store_image::{FolderImage, Place};
use std::path::{Path, PathBuf};

/// Judges the files that an opening leaves.
pub(crate) fn judge(court: &mut Court<'_>) {
    let Ok(left) = &court.answers.opened else { return };
    court.nothing_is_gone(left);
    court.what_waits_stays(left);
    court.a_dead_log_goes(left);
    court.what_is_damaged_goes_aside(left);
    court.a_living_log_stays(left);
    court.other_names_stay(left);
}

impl Court<'_> {
    /// The logs with what is expected of them.
    fn logs(&self) -> Vec<(String, FolderImage, LogModel)> {
        let log = |(writer, log): (&String, &LogModel)| {
            let folder = self.damaged.store.folders[&(Place::Wal, writer.clone())].clone();
            (writer.clone(), folder, log.clone())
        };
        self.expected.folded.iter().map(log).collect()
    }

    /// Every file that may hold something is there, to the byte, in its place or aside.
    fn nothing_is_gone(&mut self, left: &Left) {
        let mut wrong = Vec::new();
        for (path, bytes) in &self.answers.files {
            let mut parts = path.iter().map(|part| part.to_string_lossy().into_owned());
            let (Some(place), Some(writer), Some(name)) = (parts.next(), parts.next(), parts.next()) else { continue };
            if id_from(&writer).is_none() || !name.ends_with(".seg") || is_nothing(bytes) {
                continue;
            }
            let is_of_writer = |other: &Path| other.iter().nth(1).is_some_and(|part| part.to_string_lossy() == writer);
            let is_there = left.files.iter().any(|(other, now)| is_of_writer(other) && now == bytes);
            let is_in_place = left.files.get(path) == Some(bytes);
            if !is_there || (place != Place::Wal.name() && !is_in_place) {
                wrong.push(format!("{}", path.display()));
            }
        }
        if !wrong.is_empty() {
            self.say("nothing is gone without a copy", wrong.join(", "));
        }
    }

    fn what_waits_stays(&mut self, left: &Left) {
        for (writer, folder, log) in self.logs() {
            for (name, file) in &folder.files {
                let waits = log.files.get(name).is_some_and(|file| file.waits);
                if waits && left.files.get(&in_wal(&writer, name)) != Some(&file.bytes) {
                    self.say("what waits stays", format!("{writer}/{name}"));
                }
            }
        }
    }

    fn a_dead_log_goes(&mut self, left: &Left) {
        for (writer, folder, log) in self.logs() {
            let is_over = !folder.is_living && !log.files.values().any(|file| file.waits);
            // Who puts other files there keeps the folder there.
            let rest: Vec<_> =
                log.files.keys().filter(|name| left.files.contains_key(&in_wal(&writer, name))).collect();
            if is_over && !rest.is_empty() {
                self.say("a dead log goes", format!("{writer}: {rest:?}"));
            }
        }
    }

    /// What was damaged is kept for people.
    fn what_is_damaged_goes_aside(&mut self, left: &Left) {
        for (writer, folder, log) in self.logs() {
            let before = self.answers.held.folded.get(&writer).copied().unwrap_or(0);
            for (name, file) in &log.files {
                let is_over = !folder.is_living && !file.waits && is_looked_at(&log, name, before);
                let bytes = &folder.files[name].bytes;
                let aside = Path::new(Place::Quarantine.name()).join(&writer);
                let is_aside = left.files.iter().any(|(path, now)| path.starts_with(&aside) && now == bytes);
                if is_over && file.verdict == Verdict::Damaged && !is_aside && !is_nothing(bytes) {
                    self.say("what is damaged goes aside", format!("{writer}/{name}"));
                }
            }
        }
    }

    /// The newest segment of a writer who lives is his, as long as it is not sealed.
    fn a_living_log_stays(&mut self, left: &Left) {
        for (writer, folder, log) in self.logs().into_iter().filter(|(_, folder, _)| folder.is_living) {
            if log.has_ended() || self.was_closed(&writer) {
                continue;
            }
            let is_sealed = |file: &FileModel| match &file.state {
                FileState::Read(reading) => reading.mark.sealed.is_some(),
                _ => false,
            };
            if let Some((name, file)) = log.files.last_key_value()
                && !is_sealed(file)
                && left.files.get(&in_wal(&writer, name)) != Some(&folder.files[name].bytes)
            {
                self.say("a living log stays", format!("{writer}/{name}"));
            }
        }
    }

    /// What is not a log's is nobody's.
    fn other_names_stay(&mut self, left: &Left) {
        for ((place, folder), image) in &self.damaged.store.folders.clone() {
            let is_birth = folder.starts_with(".new-");
            for (name, file) in &image.files {
                let path = PathBuf::from(place.name()).join(folder).join(name);
                let is_others = id_from(folder).is_none() && (!is_birth || image.is_living);
                if is_others && left.files.get(&path) != Some(&file.bytes) {
                    self.say("other names stay", path.display().to_string());
                }
            }
        }
    }
}

/// Whether who goes on behind what is folded comes upon a file: it lies behind all that begin with something folded.
fn is_looked_at(log: &LogModel, name: &str, folded: u64) -> bool {
    let begins_folded = |file: &FileModel| match &file.state {
        FileState::Read(reading) => reading.header.base <= folded,
        _ => false,
    };
    let last = log.files.iter().rfind(|(_, file)| begins_folded(file)).map(|(last, _)| last.as_str());
    last.is_none_or(|last| name > last)
}

fn in_wal(writer: &str, name: &str) -> PathBuf {
    Path::new(Place::Wal.name()).join(writer).join(name)
}

/// Whether there is nothing in a file that anybody could miss: no frames behind its first page, or nothing at all.
fn is_nothing(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
