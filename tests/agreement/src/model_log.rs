//! The model's reading of one writer's log: section 4 of the format's page. Pure.
//!
//! What must be said of a log, folded of it, and counted as lost is computed here, from the bytes; nobody else is asked.

use crate::bytes::{Id, LEVEL, NO_FRAMES};
use crate::life::{Meaning, Meanings};
use crate::model_segment::{FileState, Found, Reading, Stop, read};
use crate::ranges::Ranges;
use crate::store_image::{FolderImage, id_of};
use std::collections::{BTreeMap, BTreeSet};

/// The page's words for a file and for a log, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing to say.
    Sound,
    /// What a crash leaves.
    Attention,
    /// Somebody else can read it.
    Unreadable,
    /// What was there is no more.
    Damaged,
}

/// A file of a log.
#[derive(Clone, Debug)]
pub struct FileModel {
    /// What it is, and what is in it.
    pub state: FileState,
    /// What there is to say of it.
    pub verdict: Verdict,
    /// The same, but for its level: that a log is of a newer build is said once, of the first file that says it.
    pub verdict_but_for_level: Verdict,
    /// The numbers of the records in it, whoever has them too.
    pub records: Ranges,
    /// Which of these don't decode.
    pub undecodable: BTreeSet<u64>,
    /// Which of these a newer build wrote.
    pub newer: BTreeSet<u64>,
    /// Nothing is taken from it or from what comes behind it: the log waits.
    pub waits: bool,
}

/// A record that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The segment that has it.
    pub segment: u64,
    /// Where it stands there.
    pub offset: u32,
    /// What it is.
    pub payload: Vec<u8>,
    /// What it means.
    pub meaning: Meaning,
}

/// A writer's log.
#[derive(Clone, Debug)]
pub struct LogModel {
    /// Its files, by name.
    pub files: BTreeMap<String, FileModel>,
    /// The records from the due number on, by number.
    pub taken: BTreeMap<u64, Taken>,
    /// The numbers from the due number on that nobody has.
    pub lost: Ranges,
    /// The first number that is missed if nobody has it: behind what is folded, or the base of the first segment where
    /// nobody can say what is folded.
    pub known_from: u64,
    /// Something in it keeps it waiting, from there on.
    pub waits: bool,
    /// A hole that is not yet one keeps it waiting, from there on.
    pub is_held_up: bool,
    /// What there is to say of it.
    pub verdict: Verdict,
}

impl FileModel {
    /// Whether anybody reads its frames.
    pub const fn is_read(&self) -> bool {
        matches!(self.state, FileState::Read(_)) && !self.waits
    }
}

/// What is asked of a log.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Which store it is in.
    pub store: Id,
    /// Whose it is.
    pub writer: Id,
    /// The last number that is folded; `None`: nobody can say.
    pub folded: Option<u64>,
    /// Segments below that id were folded before, and are not looked at again.
    pub from_segment: u64,
    /// It is to be folded: what a newer build may have written waits. Who only reads goes on.
    pub is_folding: bool,
    /// What each payload means.
    pub meanings: &'a Meanings,
}

impl LogModel {
    /// Reads a log.
    pub fn of(folder: &FolderImage, question: Question<'_>) -> Self {
        let files = folder.files.iter().filter_map(|(name, file)| {
            let id = id_of(name)?;
            Some((id, name.clone(), read(&file.bytes, id, question.store, question.writer)))
        });
        Self::of_files(files.collect(), folder.is_living, question)
    }

    /// Reads files that were read one by one: id, name, and what is in it, in the order in which they count.
    pub fn of_files(mut files: Vec<(u64, String, FileState)>, is_living: bool, question: Question<'_>) -> Self {
        files.sort_by_key(|(id, ..)| *id);
        let waiting = files
            .iter()
            .position(|(id, _, state)| *id >= question.from_segment && is_waiting(state, question.is_folding));
        let looked_at = files[..waiting.unwrap_or(files.len())].iter().filter(|(id, ..)| *id >= question.from_segment);
        let read: Vec<(u64, &Reading)> = looked_at
            .clone()
            .filter_map(|(id, _, state)| match state {
                FileState::Read(reading) => Some((*id, reading.as_ref())),
                _ => None,
            })
            .collect();
        let ends = |payload: &[u8]| meaning(payload, question.meanings) == Meaning::Ended;
        let has_ended = read.iter().any(|(_, reading)| reading.frames().any(|(_, payload)| ends(payload)));
        let is_living = is_living && !has_ended;
        let told: Vec<Told> = looked_at.filter_map(|(_, _, state)| Told::of(state, is_living)).collect();
        let first = read.first().map_or(1, |(_, reading)| reading.header.base);
        let due = question.folded.map_or(1, |folded| folded + 1);
        let mut taken = take(&read, due, question.meanings);
        let proved = told.iter().map(|told| told.follows).max().unwrap_or(due);
        // What was folded may be removed: of what lies before the first segment, nobody knows it without a database.
        let known_from = if question.folded.is_some() { due } else { first };
        let mut lost: Ranges = (known_from..proved).filter(|number| !taken.contains_key(number)).collect();
        // Where a segment behind a hole was synced, all that was recorded before it was durable.
        let is_vouched = |first: u64| {
            read.iter().any(|(_, reading)| reading.header.base > first && reading.mark.durable > NO_FRAMES)
        };
        let mut holes = lost.0.iter().map(|(first, _)| *first);
        let not_yet = holes.find(|first| is_living && is_not_yet(&told, *first) && !is_vouched(*first));
        if let Some(not_yet) = not_yet {
            taken.split_off(&not_yet);
            lost.0.retain(|(first, _)| *first < not_yet);
        }
        let hole = match lost.0.iter().any(|(first, _)| question.folded.is_some() && is_vouched(*first)) {
            true => Verdict::Damaged,
            false if lost.count() > 0 => Verdict::Attention,
            false => Verdict::Sound,
        };
        let models = files.into_iter().enumerate().map(|(place, (_, name, state))| {
            let mut file = file_model(state, is_living, question.meanings);
            // What is done with does not wait; but another store's file is not this store's to be done with.
            file.waits = file.state == FileState::OtherStore;
            if let Some(waiting) = waiting.filter(|waiting| place >= *waiting) {
                file.waits = true;
                // Nobody looks behind it.
                if place > waiting || file.state != FileState::OtherStore {
                    file.verdict = Verdict::Unreadable;
                    file.verdict_but_for_level = Verdict::Unreadable;
                }
            }
            (name, file)
        });
        let files: BTreeMap<_, _> = models.collect();
        let verdict = files.values().map(|file| file.verdict).max().unwrap_or(Verdict::Sound).max(hole);
        Self { files, taken, lost, known_from, waits: waiting.is_some(), is_held_up: not_yet.is_some(), verdict }
    }

    /// The last number that is folded once everything of it is folded.
    pub fn last(&self, folded: u64) -> u64 {
        let lost = self.lost.0.last().map_or(0, |(_, last)| *last);
        self.taken.last_key_value().map_or(0, |(number, _)| *number).max(lost).max(folded)
    }

    /// Whether a record that is taken says that the writer ended.
    pub fn has_ended(&self) -> bool {
        self.taken.values().any(|taken| taken.meaning == Meaning::Ended)
    }
}

impl Verdict {
    /// The page's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Attention => "attention",
            Self::Unreadable => "unreadable",
            Self::Damaged => "damaged",
        }
    }
}

fn is_waiting(state: &FileState, is_folding: bool) -> bool {
    match state {
        FileState::Newer | FileState::OtherStore => true,
        FileState::Read(reading) => is_folding && reading.header.needs > LEVEL,
        _ => false,
    }
}

/// Takes each number from the first segment that has it.
fn take(read: &[(u64, &Reading)], due: u64, meanings: &Meanings) -> BTreeMap<u64, Taken> {
    let mut taken = BTreeMap::new();
    for (segment, reading) in read {
        for found in &reading.found {
            if let Found::Frame { number, offset, payload } = found
                && *number >= due
            {
                taken.entry(*number).or_insert_with(|| Taken {
                    segment: *segment,
                    offset: *offset,
                    payload: payload.clone(),
                    meaning: meaning(payload, meanings),
                });
            }
        }
    }
    taken
}

/// What a file tells of the numbers of its log.
struct Told {
    /// What lies before this was recorded before the file was begun; `None` if nothing is taken from it.
    base: Option<u64>,
    /// The number that would follow.
    follows: u64,
    /// The writer was done with it.
    is_sealed: bool,
}

impl Told {
    /// What only a mark tells counts once a log is read to its end, which that of a living writer never is.
    fn of(state: &FileState, is_living: bool) -> Option<Self> {
        match state {
            FileState::Read(reading) => Some(Self {
                base: Some(reading.header.base),
                follows: if is_living { reading.follows } else { reading.told() },
                is_sealed: reading.mark.sealed.is_some(),
            }),
            FileState::Misplaced(Some(follows)) if !is_living => {
                Some(Self { base: None, follows: *follows, is_sealed: false })
            }
            _ => None,
        }
    }
}

/// Whether a second writing may bring the numbers of a hole: the segment that is read last before it is not sealed.
fn is_not_yet(told: &[Told], first: u64) -> bool {
    let Some(behind) = told.iter().position(|told| told.follows > first) else { return false };
    let before = told[..behind].iter().rev().find(|told| told.base.is_some());
    told[behind].base.is_none_or(|base| base > first) && before.is_some_and(|before| !before.is_sealed)
}

fn file_model(state: FileState, is_living: bool, meanings: &Meanings) -> FileModel {
    let (mut undecodable, mut newer) = (BTreeSet::new(), BTreeSet::new());
    let mut records = Ranges::default();
    if let FileState::Read(reading) = &state {
        records = reading.frames().map(|(number, _)| number).collect();
        for (number, payload) in reading.frames() {
            match meaning(payload, meanings) {
                Meaning::Undecodable => undecodable.insert(number),
                Meaning::Newer => newer.insert(number),
                _ => false,
            };
        }
    }
    let has_undecodable = !undecodable.is_empty();
    let verdict_but_for_level = verdict(&state, is_living, has_undecodable, u16::MAX);
    let verdict = verdict(&state, is_living, has_undecodable, LEVEL);
    FileModel { state, verdict, verdict_but_for_level, records, undecodable, newer, waits: false }
}

/// What a payload means.
fn meaning(payload: &[u8], meanings: &Meanings) -> Meaning {
    meanings.get(payload).cloned().unwrap_or_else(|| panic!("nobody wrote {payload:02x?}"))
}

/// What there is to say of a file. A tail of a writer who lives is not there yet.
fn verdict(state: &FileState, is_living: bool, has_undecodable: bool, level: u16) -> Verdict {
    match state {
        FileState::Newer => Verdict::Unreadable,
        FileState::NeverStarted | FileState::Blank => Verdict::Attention,
        FileState::CutShort | FileState::Damaged | FileState::Misplaced(_) | FileState::OtherStore => Verdict::Damaged,
        FileState::Read(reading) => {
            let is_hurt = reading.damages().next().is_some() || !reading.wrong_mark.is_empty();
            let is_torn = reading.stop == Stop::Torn && !is_living;
            if is_hurt || has_undecodable || reading.damaged_marks == 2 {
                Verdict::Damaged
            } else if reading.header.needs > level {
                Verdict::Unreadable
            } else if is_torn || reading.damaged_marks == 1 {
                Verdict::Attention
            } else {
                Verdict::Sound
            }
        }
    }
}
