//! The honest stores that are damaged: the lives of their writers, in segments, and the database at several moments.
//!
//! Made once for each recipe and process, from a seed of its own.

use crate::bytes::{Header, Id, LEVEL, VERSION, id_from, id_text};
use crate::life::{Life, Meanings, Recipe};
use crate::opening;
use crate::segment_image::SegmentImage;
use crate::store_image::{Place, StoreImage};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// A store's recipe: its writers, and how long their segments get.
#[derive(Clone, Copy, Debug)]
struct StoreRecipe {
    lives: &'static [Recipe],
    segment_frames_max: usize,
}

const fn small(events: u64) -> Recipe {
    Recipe { events, is_large: false }
}

const fn large(events: u64) -> Recipe {
    Recipe { events, is_large: true }
}

const RECIPES: [StoreRecipe; 8] = [
    StoreRecipe { lives: &[small(60)], segment_frames_max: 20 },
    StoreRecipe { lives: &[small(25), small(31)], segment_frames_max: 14 },
    StoreRecipe { lives: &[large(90), small(10)], segment_frames_max: 60 },
    StoreRecipe { lives: &[small(3), small(0), small(14), small(9)], segment_frames_max: 5 },
    StoreRecipe { lives: &[small(25)], segment_frames_max: 100 },
    StoreRecipe { lives: &[small(21), large(18), small(33)], segment_frames_max: 9 },
    StoreRecipe { lives: &[small(5), small(40)], segment_frames_max: 3 },
    StoreRecipe { lives: &[large(40), large(35)], segment_frames_max: 24 },
];

/// Other stores, whose events have numbers of their own.
const FOREIGN_RECIPES: [StoreRecipe; 2] = [
    StoreRecipe { lives: &[small(34)], segment_frames_max: 10 },
    StoreRecipe { lives: &[small(20), small(22)], segment_frames_max: 16 },
];

/// How many honest stores there are.
pub const RECORDINGS: usize = RECIPES.len();

/// How many other stores there are.
pub const FOREIGN_RECORDINGS: usize = FOREIGN_RECIPES.len();

/// At how many moments there is a database, the one before anything is folded included.
const STAGES: usize = 5;

/// A life in segments: all sealed, all durable.
#[derive(Clone, Debug)]
pub struct Log {
    /// Whose it is.
    pub writer: Id,
    /// The segments.
    pub segments: Vec<SegmentImage>,
}

/// A moment: how far everything is folded.
#[derive(Debug)]
pub struct Stage {
    /// The last number of each writer that is folded.
    pub folded: BTreeMap<Id, u64>,
    /// The store then: what is not folded was not recorded yet.
    store: StoreImage,
    database: OnceLock<(Vec<u8>, BTreeMap<Id, u64>)>,
}

/// An honest store.
#[derive(Debug)]
pub struct Recording {
    /// Which store it is.
    pub store: Id,
    /// The logs of its writers.
    pub logs: Vec<Log>,
    /// What their records mean.
    pub meanings: Meanings,
    /// The database at several moments.
    pub stages: Vec<Stage>,
}

impl Recording {
    /// Records the store with that number.
    ///
    /// # Panics
    /// It can't be folded.
    pub fn honest(number: usize) -> Self {
        Self::of(&RECIPES[number], u8::try_from(number).expect("few recipes"))
    }

    /// Records another store.
    ///
    /// # Panics
    /// As [`Recording::honest`].
    pub fn foreign(number: usize) -> Self {
        Self::of(&FOREIGN_RECIPES[number], u8::try_from(100 + number).expect("few recipes"))
    }

    fn of(recipe: &StoreRecipe, number: u8) -> Self {
        let mut rng = Rng::with_seed(u64::from(number));
        let store = *[&b"store"[..], &[number, 0x40, 0, 0x80, 9, 3, 5, 8, 9, 7, 9]].concat().first_chunk().expect("16");
        let mut meanings = Meanings::new();
        let logs = (0..).zip(recipe.lives).map(|(place, recipe_of_life)| {
            let life = Life::of(*recipe_of_life, number, place, &mut meanings);
            Log::of(store, &life, recipe.segment_frames_max, &mut rng)
        });
        let logs: Vec<_> = logs.collect();
        let mut recording = Self { store, logs, meanings, stages: Vec::new() };
        recording.stages = (0..STAGES).map(|stage| recording.stage(stage, &mut rng)).collect();
        recording
    }

    /// A moment at which each log is folded up to somewhere; the last one has folded all.
    fn stage(&self, stage: usize, rng: &mut Rng) -> Stage {
        let (mut image, mut folded) = (StoreImage::empty(self.store, self.meanings.clone()), BTreeMap::new());
        for log in &self.logs {
            let count = match stage {
                0 => 0,
                last if last == STAGES - 1 => log.last_number(),
                _ => rng.u64(..=log.last_number()),
            };
            if count == 0 {
                continue;
            }
            folded.insert(log.writer, count);
            let folder = image.log(log.writer);
            folder.is_living = count < log.last_number() || rng.bool();
            log.up_to(count).into_iter().for_each(|segment| folder.add(segment));
        }
        Stage { folded, store: image, database: OnceLock::new() }
    }
}

impl Stage {
    /// The database of then.
    ///
    /// # Panics
    /// The store can't be folded.
    pub fn database(&self) -> &[u8] {
        &self.made().0
    }

    /// The segment at which folding goes on then, for each writer.
    pub fn places(&self) -> &BTreeMap<Id, u64> {
        &self.made().1
    }

    fn made(&self) -> &(Vec<u8>, BTreeMap<Id, u64>) {
        self.database.get_or_init(|| {
            let root = tempfile::tempdir().expect("a directory");
            let dir = root.path().join("store");
            let _held = self.store.write(&dir);
            let contents = opening::fold(&dir, &self.folded).expect("an honest store is folded");
            let places = contents.places.iter().filter_map(|(writer, segment)| Some((id_from(writer)?, *segment)));
            (opening::database_of(&dir), places.collect())
        })
    }
}

impl Log {
    fn of(store: Id, life: &Life, segment_frames_max: usize, rng: &mut Rng) -> Self {
        let (mut segments, mut base, mut rest) = (Vec::new(), 1, life.payloads.as_slice());
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rng.usize(1..=segment_frames_max).min(rest.len()));
            let header = Header {
                version: VERSION,
                needs: LEVEL,
                salt: rng.u32(..),
                store,
                writer: life.writer,
                segment: segments.len() as u64 + 1,
                base,
                created_at: 1_760_000_000_000,
            };
            segments.push(SegmentImage::sealed(header, now.to_vec()));
            (base, rest) = (base + now.len() as u64, later);
        }
        Self { writer: life.writer, segments }
    }

    /// The number of the last record.
    pub fn last_number(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.numbers().end - 1)
    }

    /// The segments up to that record; the last one is open.
    fn up_to(&self, last: u64) -> Vec<SegmentImage> {
        let begun = self.segments.iter().filter(|segment| segment.numbers().start <= last);
        let mut segments: Vec<_> = begun.cloned().collect();
        if let Some(segment) = segments.last_mut()
            && last < self.last_number()
        {
            segment.leave_open(usize::try_from(last + 1 - segment.header.base).expect("few frames"));
        }
        segments
    }

    /// The writer's id as a name.
    pub fn name(&self) -> String {
        id_text(self.writer)
    }

    /// The folder's name within the store's directory.
    pub fn place(&self) -> (Place, String) {
        (Place::Wal, self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_gives_the_same_segments_again() {
        for number in 0..RECORDINGS {
            let [one, other] = [Recording::honest(number), Recording::honest(number)].map(|recording| {
                let bytes = |log: &Log| log.segments.iter().map(SegmentImage::bytes).collect::<Vec<_>>();
                let stages = recording.stages.iter().map(|stage| stage.folded.clone());
                (recording.logs.iter().map(bytes).collect::<Vec<_>>(), stages.collect::<Vec<_>>())
            });
            assert!(one == other, "recipe {number}");
        }
    }
}
