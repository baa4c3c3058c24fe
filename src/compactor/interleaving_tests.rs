//! Folding is exact, whatever happens in which order: up to four writers that record, lose, write again, end and die; two
//! that fold at once and take over, one with memory that is older than the tables; folders that a power cut brings back.
//!
//! On real files and a real database. The model is a folder that comes when all is over, and folds the same logs once. A
//! planted bug, folding without the fence, has to be found.

use super::folder_task::Role;
use super::folding::Folding;
use super::scene::{Scene, ScriptedWriter};
use crate::query::Query;
use crate::query::RequestFilter;
use std::path::{Path, PathBuf};

const CASES: u64 = 20;
/// `MCPLOG_INTERLEAVINGS=1000-1200` plays those instead.
const CASES_VARIABLE: &str = "MCPLOG_INTERLEAVINGS";
const STEPS: usize = 50;
const LIVING_MAX: usize = 4;

/// Numbers that a seed makes: splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).unwrap()
    }
}

/// What a writer does, in both scenes.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Begin,
    Record(u64),
    Seal,
    Skip(u64),
    Rewrite(usize),
    Drop(u64),
    Die,
    End,
}

/// The writers of a scene, those that live by their place.
struct Writers {
    living: Vec<ScriptedWriter>,
    begun: u8,
}

impl Writers {
    fn new() -> Self {
        Self { living: Vec::new(), begun: 0 }
    }

    fn act(&mut self, scene: &Scene, at: usize, deed: Deed) {
        if matches!(deed, Deed::Begin) {
            self.begun += 1;
            self.living.push(ScriptedWriter::begin(scene, self.begun));
            return;
        }
        let writer = &mut self.living[at];
        match deed {
            Deed::Begin => {}
            Deed::Record(count) => drop(writer.record(count)),
            Deed::Seal => writer.seal(),
            Deed::Skip(count) => writer.skip(count),
            Deed::Rewrite(count) => writer.rewrite(count),
            Deed::Drop(events) => writer.drop_events(events),
            Deed::Die => self.living.swap_remove(at).die(),
            Deed::End => self.living.swap_remove(at).end(),
        }
    }

    fn deed(&self, dice: &mut Dice) -> (usize, Deed) {
        if self.living.is_empty() {
            return (0, Deed::Begin);
        }
        let at = dice.index(self.living.len());
        let deed = match dice.below(20) {
            0..=1 if self.living.len() < LIVING_MAX => Deed::Begin,
            2..=3 => Deed::Seal,
            4 => Deed::Skip(1 + dice.below(9)),
            5..=6 => Deed::Rewrite(1 + dice.index(12)),
            7 => Deed::Drop(1 + dice.below(50)),
            8 => Deed::Die,
            9 => Deed::End,
            _ => Deed::Record(1 + dice.below(700)),
        };
        (at, deed)
    }
}

/// A folder that was there once, to be put back.
struct Aside {
    from: PathBuf,
    copy: PathBuf,
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// Two that fold.
struct Folders<'a> {
    scene: &'a Scene,
    slots: [Option<Folding>; 2],
    without_fence: bool,
}

impl Folders<'_> {
    fn look(&mut self, at: usize, dice: &mut Dice) -> Result<(), String> {
        if dice.below(8) == 0 {
            self.slots[at] = None;
            return Ok(());
        }
        let (scene, without_fence) = (self.scene, self.without_fence);
        let folding = self.slots[at].get_or_insert_with(|| {
            let role = if dice.below(3) == 0 { Role::StandIn } else { Role::Holder };
            let (folding, _) = scene.folding(role);
            if without_fence { folding.without_fence() } else { folding }
        });
        for _ in 0..=dice.below(3) {
            folding.hurry();
            match folding.work(false) {
                Ok(_) => {}
                Err(error) if error.is_moved() => folding.start_anew(scene.config.wal_dir()),
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }
}

/// Plays a case; what is wrong with it, if anything is.
fn play(seed: u64, without_fence: bool) -> Result<(), String> {
    let (scene, model) = (Scene::new(), Scene::new());
    let (mut writers, mut models) = (Writers::new(), Writers::new());
    let mut dice = Dice(seed);
    let mut folders = Folders { scene: &scene, slots: [None, None], without_fence };
    let mut aside: Option<Aside> = None;
    for step in 0..STEPS {
        match dice.below(10) {
            0..=4 => {
                let (at, deed) = writers.deed(&mut dice);
                writers.act(&scene, at, deed);
                models.act(&model, at, deed);
            }
            5 if aside.is_none() && !writers.living.is_empty() => {
                let from = writers.living[dice.index(writers.living.len())].folder.clone();
                let copy = scene.config.dir.join(format!("aside-{step}"));
                copy_folder(&from, &copy);
                aside = Some(Aside { from, copy });
            }
            5 => {
                if let Some(Aside { from, copy }) = aside.take_if(|aside| !aside.from.exists()) {
                    // A power cut took the folder's removal back.
                    std::fs::rename(copy, from).unwrap();
                }
            }
            at => folders.look(usize::from(at % 2 == 0), &mut dice)?,
        }
    }
    while !writers.living.is_empty() {
        let deed = if dice.below(2) == 0 { Deed::End } else { Deed::Die };
        writers.act(&scene, 0, deed);
        models.act(&model, 0, deed);
        folders.look(dice.index(2), &mut dice)?;
    }
    for _ in 0..8 {
        folders.look(0, &mut dice)?;
        folders.look(1, &mut dice)?;
    }
    drop(folders);
    scene.fold_all();
    model.fold_all();
    let (found, expected) = (tables(&scene), tables(&model));
    for (found, expected) in found.iter().zip(&expected) {
        if found != expected {
            let differs = found.1.iter().find(|line| !expected.1.contains(line));
            let misses = expected.1.iter().find(|line| !found.1.contains(line));
            return Err(format!("{}: {differs:?} is too much, {misses:?} is missing", found.0));
        }
    }
    let left = scene.entries("wal");
    if left.is_empty() { Ok(()) } else { Err(format!("{left:?} are left")) }
}

/// All that was recorded, without the order of folding.
fn tables(scene: &Scene) -> Vec<(&'static str, Vec<String>)> {
    let mut tables: Vec<_> = [
        ("requests", "SELECT request_id, ts, proxy, session_id, method, outcome FROM requests ORDER BY 1"),
        ("sessions", "SELECT session_id, proxy, started_at, last_seen_at, total_calls FROM sessions ORDER BY 1"),
        (
            "gaps",
            "SELECT w.writer, g.sequence, g.events, g.missing FROM gaps AS g JOIN writers AS w ON w.id = g.writer
             ORDER BY 1, 2",
        ),
        (
            "writers",
            "SELECT w.writer, process_id, started_at, ended, c.sequence, c.last_ts
             FROM writers AS w LEFT JOIN checkpoint AS c ON c.writer = w.id ORDER BY 1",
        ),
        // Each number has one id, and each id one number.
        ("ids", "SELECT sum(count), max(first_id + count) FROM fold_runs"),
        ("quarantine", "SELECT count(*) FROM quarantine"),
    ]
    .into_iter()
    .map(|(name, sql)| (name, scene.rows(sql)))
    .collect();
    let query = Query::open(&scene.config.dir).unwrap();
    let stats = query.tool_stats(&RequestFilter::default()).unwrap();
    tables.push(("roll-ups", stats.iter().map(|row| format!("{row:?}")).collect()));
    tables
}

fn cases() -> std::ops::Range<u64> {
    let Ok(told) = std::env::var(CASES_VARIABLE) else { return 0..CASES };
    let (first, end) = told.split_once('-').unwrap();
    first.parse().unwrap()..end.parse().unwrap()
}

#[test]
fn any_interleaving_of_writers_and_of_two_that_fold_gives_the_tables_of_one_that_folds_once() {
    for seed in cases() {
        if let Err(wrong) = play(seed, false) {
            panic!("seed {seed}: {wrong}");
        }
    }
}

#[test]
fn without_the_fence_two_that_fold_are_found_out() {
    let found = (0..CASES).filter_map(|seed| play(seed, true).err()).next();
    assert!(found.is_some(), "the planted bug was not found");
}
