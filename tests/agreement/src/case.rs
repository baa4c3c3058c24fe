//! A damaged store by its seed: which honest store it was, and what happened to it.

use crate::damage::{DamageKind, KINDS};
use crate::honest::{self, chance};
use crate::knife::Foreign;
use crate::recording::{FOREIGN_RECORDINGS, RECORDINGS, Recording};
use crate::store_image::StoreImage;
use fastrand::Rng;
use std::sync::{Arc, LazyLock, OnceLock};

/// How many of a hundred stores are left as they are.
const HONEST_PERCENT: u8 = 10;
/// A store is hurt so many times at most.
const DAMAGES_MAX: usize = 3;

/// What is said of a damage that the store has nothing for.
pub const NOTHING: &str = "nothing to hurt";

/// What happens to a store.
#[derive(Clone, Copy, Debug)]
pub struct Damage {
    /// The kind.
    pub kind: DamageKind,
    /// Where and how far, to be had again.
    seed: u64,
}

/// A damaged store, not made yet.
#[derive(Clone, Debug)]
pub struct Case {
    /// The same seed is the same case.
    pub seed: u64,
    recording: usize,
    shape_seed: u64,
    /// What happens to it, in this order.
    pub damages: Vec<Damage>,
}

/// A damaged store.
#[derive(Clone, Debug)]
pub struct Damaged {
    /// The store before.
    pub honest: StoreImage,
    /// The store afterwards.
    pub store: StoreImage,
    /// What it is like and what happened to it, for people.
    pub story: Vec<String>,
}

impl Case {
    /// The case of that seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let recording = rng.usize(..RECORDINGS);
        let shape_seed = rng.u64(..);
        let count = if chance(&mut rng, HONEST_PERCENT) {
            0
        } else {
            1 + rng.usize(..DAMAGES_MAX).min(rng.usize(..DAMAGES_MAX))
        };
        let damages = (0..count).map(|index| {
            let any = rng.usize(..KINDS.len());
            // Each kind comes to its turn.
            let turn = usize::try_from(seed % KINDS.len() as u64).unwrap_or(any);
            Damage { kind: KINDS[if index == 0 { turn } else { any }], seed: rng.u64(..) }
        });
        Self { seed, recording, shape_seed, damages: damages.collect() }
    }

    /// Makes the store.
    pub fn make(&self, recordings: &Recordings) -> Damaged {
        let recording = recordings.honest(self.recording);
        let foreign = recordings.foreign();
        let (honest, words) = honest::store(&recording, &mut Rng::with_seed(self.shape_seed));
        let mut story = vec![format!("store {}: {}", self.recording, words.join("; "))];
        let mut store = honest.clone();
        for damage in &self.damages {
            let mut hurt = store.clone();
            let what = match (damage.kind.hurt)(&mut hurt, &mut Rng::with_seed(damage.seed), foreign) {
                Some(what) => {
                    store = hurt;
                    what
                }
                None => NOTHING.to_owned(),
            };
            story.push(format!("{}: {what}", damage.kind.name));
        }
        Damaged { honest, store, story }
    }
}

/// The honest stores, each recorded when it is first wanted.
#[derive(Debug)]
pub struct Recordings {
    honest: [OnceLock<Arc<Recording>>; RECORDINGS],
    foreign: LazyLock<Foreign>,
}

impl Default for Recordings {
    fn default() -> Self {
        let foreign = || Foreign((0..FOREIGN_RECORDINGS).map(|number| Arc::new(Recording::foreign(number))).collect());
        Self { honest: [const { OnceLock::new() }; RECORDINGS], foreign: LazyLock::new(foreign) }
    }
}

impl Recordings {
    fn honest(&self, number: usize) -> Arc<Recording> {
        Arc::clone(self.honest[number].get_or_init(|| Arc::new(Recording::honest(number))))
    }

    fn foreign(&self) -> &Foreign {
        &self.foreign
    }
}
