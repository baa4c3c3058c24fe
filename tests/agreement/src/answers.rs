//! Everybody's answers to one damaged log: what they say of it, and what they make of it.

use crate::case::Damaged;
use crate::checking;
use crate::contents::Contents;
use crate::inspect_reader::{self, Dump};
use crate::log_image::WRITER_ID_NAME;
use crate::opening::{self, Files, Left};
use crate::python_reader::{PythonReader, PythonReading};
use crate::reading::LogReading;
use std::collections::BTreeMap;
use std::path::Path;

/// The answers.
#[derive(Clone, Debug)]
pub struct Answers {
    /// What the database held before; nothing if there was none.
    pub held: Contents,
    /// The store's files before, the database's too.
    pub files: Files,
    /// The readers, before anything was opened.
    pub python: PythonReading,
    /// The Python reader, where nobody knows what is folded; `None` with a database.
    pub python_unknowing: Option<PythonReading>,
    /// `wal-inspect verify`.
    pub verify: Result<LogReading, String>,
    /// `wal-inspect dump`.
    pub dump: Dump,
    /// `wal-inspect dump` of each file that is part of the log, by name.
    pub dumps: BTreeMap<String, Dump>,
    /// `check`.
    pub check: Result<LogReading, String>,
    /// The files after they had read.
    pub files_read: Files,
    /// The store opened.
    pub opened: Result<Left, String>,
    /// The files after a refusal.
    pub files_refused: Option<Files>,
    /// The readers, after the opening.
    pub python_after: Option<PythonReading>,
    /// `wal-inspect verify` after the opening.
    pub verify_after: Option<Result<LogReading, String>>,
    /// `check` after the opening.
    pub check_after: Option<Result<LogReading, String>>,
    /// `rebuild --from-log` in place of an opening.
    pub rebuilt: Result<Left, String>,
    /// And once more.
    pub rebuilt_again: Option<Result<Left, String>>,
    /// `rebuild --from-log` after the opening.
    pub rebuilt_after: Option<Result<Left, String>>,
}

/// Asks everybody about a log, in a directory that is empty.
///
/// # Panics
/// The system refuses.
pub fn ask(damaged: &Damaged, root: &Path, python: &mut PythonReader) -> Answers {
    let (opened_dir, rebuilt_dir) = (root.join("opened"), root.join("rebuilt"));
    damaged.log.write(&opened_dir);
    damaged.log.write(&rebuilt_dir);
    let files = opening::files(&opened_dir);
    let held_dir = root.join("held");
    std::fs::create_dir(&held_dir).expect("a directory");
    let held = match &damaged.log.database {
        Some(database) => {
            std::fs::write(held_dir.join("store.db"), database).expect("a database");
            Contents::read(&held_dir).expect("a database that can be read")
        }
        None => Contents::default(),
    };
    let wal = opened_dir.join("wal");
    // The database says whose log it is where no file does. The Python reader knows files only.
    let told_dir = root.join("told");
    let told = match held.writer_id.filter(|_| damaged.log.told_writer_id().is_none()) {
        Some(writer_id) => {
            damaged.log.write(&told_dir);
            let told = told_dir.join("wal");
            std::fs::write(told.join(WRITER_ID_NAME), format!("{writer_id}\n")).expect("a file");
            told
        }
        None => wal.clone(),
    };
    // Without a database, nothing is folded.
    let python_before = python.read(&told, Some(damaged.log.folded));
    let python_unknowing = damaged.log.database.is_none().then(|| python.read(&wal, None));
    let verify = inspect_reader::verify(&opened_dir);
    let dump = inspect_reader::dump(&opened_dir);
    let names = python_before.ends.keys();
    let dumps = names.map(|name| (name.clone(), inspect_reader::dump(&wal.join(name)))).collect();
    let check = checking::read(&opened_dir).map(|(reading, _)| reading);
    let files_read = opening::files(&opened_dir);
    let opened = opening::open(&opened_dir);
    let files_refused = opened.is_err().then(|| opening::files(&opened_dir));
    let after = opened.as_ref().ok().and_then(|left| left.contents.as_ref().ok()).map(|contents| contents.folded);
    let python_after = after.map(|folded| python.read(&wal, Some(folded)));
    let verify_after = after.map(|_| inspect_reader::verify(&opened_dir));
    let check_after = after.map(|_| checking::read(&opened_dir).map(|(reading, _)| reading));
    let rebuilt = opening::rebuild(&rebuilt_dir);
    let rebuilt_again = rebuilt.is_ok().then(|| opening::rebuild(&rebuilt_dir));
    let rebuilt_after = opened.is_ok().then(|| opening::rebuild(&opened_dir));
    Answers {
        held,
        files,
        python: python_before,
        python_unknowing,
        verify,
        dump,
        dumps,
        check,
        files_read,
        opened,
        files_refused,
        python_after,
        verify_after,
        check_after,
        rebuilt,
        rebuilt_again,
        rebuilt_after,
    }
}
