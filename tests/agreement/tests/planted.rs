//! The judge catches faults that are planted in the answers: wherever one changes an answer, somebody disagrees.

use mcplog_agreement::answers::{Answers, ask};
use mcplog_agreement::case::{Case, Damaged, Recordings};
use mcplog_agreement::contents::Contents;
use mcplog_agreement::judge::judge;
use mcplog_agreement::python_reader::PythonReader;
use mcplog_agreement::ranges::Ranges;
use std::path::Path;

/// How many logs each fault is planted into.
const LOGS: u64 = 45;
/// In so many of them a fault changes an answer at least. Few logs are refused.
const HITS_MIN: usize = 1;

/// A fault: changes the answers, and tells whether there was anything to change.
type Plant = fn(&Damaged, &mut Answers) -> bool;

/// What is planted, and the rule that catches it.
const PLANTS: [(&str, &str, Plant); 15] = [
    ("a reader drops the last record of a file", "dump prints what a file holds", |_, answers| {
        answers.dumps.values_mut().any(|dump| dump.records.pop().is_some())
    }),
    ("a reader drops a record of the log", "dump prints what counts", |_, answers| {
        answers.opened.is_ok() && answers.dump.records.pop().is_some()
    }),
    ("a reader takes one record for another", "never a record that was not recorded", |_, answers| {
        let requests = answers.dump.records.iter_mut().filter(|(_, record)| !record["request_id"].is_null());
        let forged = requests.map(|(_, record)| record["request_id"] = "0197a1c0-7b1e-7cc3-98c4-0000000f4240".into());
        forged.count() > 0 && answers.opened.is_ok()
    }),
    ("verify sees no damage", "verify's verdicts", |_, answers| match &mut answers.verify {
        Ok(verify) if answers.opened.is_ok() && answers.python.log.verdict != "sound" => {
            "sound".clone_into(&mut verify.verdict);
            true
        }
        _ => false,
    }),
    ("check sees no damage in a file", "check's verdicts", |_, answers| {
        let python = &answers.python.log.files;
        let files = answers.check.iter_mut().flat_map(|check| &mut check.files);
        let hurt = files.filter(|(name, _)| python.get(*name).is_some_and(|file| file.verdict != "sound"));
        hurt.map(|(_, file)| "sound".clone_into(&mut file.verdict)).count() > 0
    }),
    ("verify counts no loss", "as many are lost", |_, answers| match &mut answers.verify {
        Ok(verify) if answers.opened.is_ok() && !answers.python.holes.above(answers.held.folded).0.is_empty() => {
            verify.lost = Some(0);
            true
        }
        _ => false,
    }),
    ("a reader writes", "readers change nothing", |_, answers| {
        answers.files_read.iter_mut().find(|(path, _)| path.starts_with("wal")).is_some_and(|(_, bytes)| {
            bytes.push(0);
            true
        })
    }),
    ("folding passes over a hole without a row", "what is lost has a row", |_, answers| {
        let is_any_lost = !answers.python.holes.above(answers.held.folded).0.is_empty();
        contents(answers).is_some_and(|contents| {
            contents.lost = Ranges::default();
            is_any_lost
        })
    }),
    ("folding passes over a record", "opening folds what counts", |_, answers| {
        let folded = answers.held.folded;
        contents(answers).is_some_and(|contents| {
            contents.requests.last_key_value().is_some_and(|(last, _)| *last > folded)
                && contents.requests.pop_last().is_some()
        })
    }),
    ("folding gives a record another number", "opening folds what counts", |_, answers| {
        let folded = answers.held.folded;
        contents(answers).is_some_and(|contents| match contents.requests.last_key_value() {
            Some((last, _)) if *last > folded => {
                let (last, id) = contents.requests.pop_last().unwrap_or_default();
                contents.requests.insert(last + 1_000, id).is_none()
            }
            _ => false,
        })
    }),
    ("folding takes a foreign record", "opening folds what counts", |_, answers| {
        contents(answers).is_some_and(|contents| {
            contents.requests.insert(1 << 40, "0197a1c0-7b1e-7cc3-98c4-0000000f4240".into()).is_none()
        })
    }),
    ("an opening deletes what it sets aside", "nothing is gone without a copy", |_, answers| {
        let before: Vec<_> = answers.files.values().cloned().collect();
        let Ok(left) = &mut answers.opened else { return false };
        let count = left.files.len();
        let is_kept =
            |path: &Path, bytes: &Vec<u8>| path.starts_with("wal") || !before.contains(bytes) || is_zeros(bytes);
        left.files.retain(|path, bytes| is_kept(path, bytes));
        left.files.len() < count
    }),
    ("an opening cuts a frame off", "nothing is gone without a copy", |_, answers| {
        let (ends, before) = (answers.python.ends.clone(), answers.files.clone());
        let Ok(left) = &mut answers.opened else { return false };
        let aside: Vec<_> = left.files.iter().filter(|(path, _)| !path.starts_with("wal")).collect();
        let aside: Vec<_> = aside.into_iter().map(|(_, bytes)| bytes.clone()).collect();
        let files = left.files.iter_mut().filter(|(path, _)| path.starts_with("wal"));
        let mut files = files.filter_map(|(path, bytes)| {
            let end = usize::try_from(*ends.get(path.file_name()?.to_str()?)?).ok()?;
            let is_only_here = before.get(path).is_some_and(|before| !aside.contains(before));
            (is_only_here && end > 4096 && bytes.len() >= end).then(|| bytes.truncate(end - 4))
        });
        files.next().is_some()
    }),
    ("a refusal moves a segment", "a refusal touches nothing", |_, answers| {
        answers.files_refused.as_mut().is_some_and(|files| {
            let name = files.keys().find(|path| path.extension().is_some_and(|extension| extension == "seg")).cloned();
            name.is_some_and(|name| files.remove(&name).is_some())
        })
    }),
    ("a second rebuild forgets", "rebuild is idempotent", |_, answers| match &mut answers.rebuilt_again {
        Some(Ok(left)) => left.contents.as_mut().is_ok_and(|contents| contents.requests.pop_last().is_some()),
        _ => false,
    }),
];

fn contents(answers: &mut Answers) -> Option<&mut Contents> {
    answers.opened.as_mut().ok()?.contents.as_mut().ok()
}

fn is_zeros(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

#[test]
fn a_planted_fault_is_caught_wherever_it_changes_an_answer() {
    let Some(mut python) = PythonReader::start() else {
        assert!(std::env::var_os("CI").is_none(), "python3 is missing");
        let command = "apt-get install python3 and cargo test -p mcplog-agreement";
        return mcplog_skipped::skip("planted faults of readers", "there is no python3", command);
    };
    let recordings = Recordings::default();
    let mut hits = [0; PLANTS.len()];
    for seed in 0..LOGS {
        let damaged = Case::of(seed).make(&recordings);
        let root = tempfile::tempdir().expect("a directory");
        let answers = ask(&damaged, root.path(), &mut python);
        for ((what, rule, plant), hits) in PLANTS.iter().zip(&mut hits) {
            let mut planted = answers.clone();
            if !plant(&damaged, &mut planted) {
                continue;
            }
            *hits += 1;
            let found = judge(&damaged, &planted);
            assert!(found.iter().any(|found| found.rule == *rule), "seed {seed}: {what}: {found:?}");
        }
    }
    for ((what, ..), hits) in PLANTS.iter().zip(hits) {
        println!("{hits:>3} of {LOGS}: {what}");
        assert!(hits >= HITS_MIN, "{what}: only in {hits} of {LOGS} logs");
    }
}
