//! Everybody's answers to one damaged store: what they say of it, and what they make of it.

use crate::bytes::{Id, id_from};
use crate::case::Damaged;
use crate::checking;
use crate::contents::Contents;
use crate::expectation::Expectation;
use crate::inspect_reader::{self, Dump};
use crate::opening::{self, Files, Left};
use crate::python_reader::{PythonReader, Question};
use crate::reading::{LogReading, StoreReading};
use crate::store_image::Place;
use std::collections::BTreeMap;
use std::path::Path;

/// The logs of a store as a reader has them, by the names of their folders.
pub type Logs = BTreeMap<String, LogReading>;

/// The answers.
#[derive(Clone, Debug)]
pub struct Answers {
    /// What the database held before; nothing if there was none.
    pub held: Contents,
    /// The store's files before, the database's too.
    pub files: Files,
    /// The reader in Python, before anything was opened: who knows what is folded, who does not, who folds, and who makes a
    /// new database.
    pub python: PythonAnswers,
    /// `wal-inspect verify`.
    pub verify: Result<StoreReading, String>,
    /// `wal-inspect list`: whose files, and their names.
    pub list: Result<Vec<(String, String)>, String>,
    /// `wal-inspect dump`.
    pub dump: Dump,
    /// `wal-inspect dump` of each file, by writer and name.
    pub dumps: BTreeMap<(String, String), Dump>,
    /// `check`.
    pub check: Result<StoreReading, String>,
    /// The files after they had read.
    pub files_read: Files,
    /// The store opened.
    pub opened: Result<Left, String>,
    /// The files after a refusal.
    pub files_refused: Option<Files>,
    /// The readers, after the opening.
    pub after: Option<After>,
    /// The store opened once more.
    pub opened_again: Option<Result<Left, String>>,
    /// `rebuild --from-log` in place of an opening.
    pub rebuilt: Result<Left, String>,
    /// And once more.
    pub rebuilt_again: Option<Result<Left, String>>,
    /// `rebuild --from-log` after the opening.
    pub rebuilt_after: Option<Result<Left, String>>,
}

/// What the reader in Python says before anything was opened.
#[derive(Clone, Debug)]
pub struct PythonAnswers {
    /// Knowing what is folded.
    pub read: Logs,
    /// Not knowing it.
    pub read_unknowing: Logs,
    /// As who folds.
    pub folded: Logs,
    /// As who makes a new database, from what lies anywhere.
    pub rebuilt: Logs,
}

/// What readers say after an opening.
#[derive(Clone, Debug)]
pub struct After {
    /// The reader in Python.
    pub python: Logs,
    /// `wal-inspect verify`.
    pub verify: Result<StoreReading, String>,
    /// `check`.
    pub check: Result<StoreReading, String>,
}

/// Asks everybody about a store, in a directory that is empty.
///
/// # Panics
/// The system refuses.
pub fn ask(damaged: &Damaged, root: &Path, python: &mut PythonReader) -> Answers {
    let expected = Expectation::of(&damaged.store);
    let (opened_dir, rebuilt_dir) = (root.join("opened"), root.join("rebuilt"));
    let _held = [damaged.store.write(&opened_dir), damaged.store.write(&rebuilt_dir)];
    let files = opening::files(&opened_dir);
    let held = held(damaged, &root.join("held"));
    let store = expected.store.unwrap_or(damaged.store.store);
    let wal: &[Place] = &[Place::Wal];
    let folded = &damaged.store.folded;
    let mut ask = |folded: Option<&BTreeMap<Id, u64>>, places: &[Place], is_folding| {
        python.read(&Question { dir: &opened_dir, store, folded, places, is_folding })
    };
    let python_answers = PythonAnswers {
        read: ask(damaged.store.database.is_some().then_some(folded), wal, false),
        read_unknowing: ask(None, wal, false),
        folded: ask(Some(folded), wal, true),
        rebuilt: ask(None, &[Place::Wal, Place::Kept, Place::Quarantine], true),
    };
    let verify = inspect_reader::verify(&opened_dir);
    let list = inspect_reader::list(&opened_dir);
    let dump = inspect_reader::dump(&opened_dir);
    let names = expected.read.iter().flat_map(|(writer, log)| log.files.keys().map(move |name| (writer, name)));
    let wal_dir = opened_dir.join(Place::Wal.name());
    let dumps = names.map(|(writer, name)| {
        let dump = inspect_reader::dump(&wal_dir.join(writer).join(name));
        ((writer.clone(), name.clone()), dump)
    });
    let dumps = dumps.collect();
    let check = checking::read(&opened_dir);
    let files_read = opening::files(&opened_dir);
    let is_hopeless = expected.has_foreign_database;
    let opened = opening::open(&opened_dir, is_hopeless);
    let files_refused = opened.is_err().then(|| opening::files(&opened_dir));
    let after = opened.as_ref().ok().and_then(|left| left.contents.as_ref().ok()).map(|contents| {
        let folded = contents.folded.iter().filter_map(|(writer, last)| Some((id_from(writer)?, *last))).collect();
        let question =
            Question { dir: &opened_dir, store, folded: Some(&folded), places: &[Place::Wal], is_folding: false };
        After {
            python: python.read(&question),
            verify: inspect_reader::verify(&opened_dir),
            check: checking::read(&opened_dir),
        }
    });
    let opened_again = opened.is_ok().then(|| opening::open(&opened_dir, is_hopeless));
    let rebuilt = opening::rebuild(&rebuilt_dir);
    let rebuilt_again = rebuilt.is_ok().then(|| opening::rebuild(&rebuilt_dir));
    let rebuilt_after = opened.is_ok().then(|| opening::rebuild(&opened_dir));
    Answers {
        held,
        files,
        python: python_answers,
        verify,
        list,
        dump,
        dumps,
        check,
        files_read,
        opened,
        files_refused,
        after,
        opened_again,
        rebuilt,
        rebuilt_again,
        rebuilt_after,
    }
}

/// What the database holds, looked at in a copy.
fn held(damaged: &Damaged, dir: &Path) -> Contents {
    std::fs::create_dir(dir).expect("a directory");
    match &damaged.store.database {
        Some(database) => {
            std::fs::write(dir.join("store.db"), database).expect("a database");
            Contents::read(dir).expect("a database that can be read")
        }
        None => Contents::default(),
    }
}
