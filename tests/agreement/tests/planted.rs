//! The judge catches faults that are planted in the answers: wherever one changes an answer, somebody disagrees.

use mcplog_agreement::answers::{Answers, ask};
use mcplog_agreement::bytes::id_from;
use mcplog_agreement::case::{Case, Damaged, Recordings};
use mcplog_agreement::contents::Contents;
use mcplog_agreement::expectation::Expectation;
use mcplog_agreement::judge::judge;
use mcplog_agreement::model_log::Verdict;
use mcplog_agreement::python_reader::PythonReader;
use mcplog_agreement::ranges::Ranges;
use mcplog_agreement::store_image::Place;
use std::path::Path;

/// How many stores each fault is planted into.
const STORES: u64 = 45;
/// In so many of them a fault changes an answer at least. Few stores are refused.
const HITS_MIN: usize = 1;
/// A request that nobody recorded.
const FORGED: &str = "0197a1c0-7b1e-7cc3-98c4-0000000f4240";

/// A fault: changes the answers, and tells whether there was anything to change.
type Plant = fn(&Damaged, &Expectation, &mut Answers) -> bool;

/// What is planted, and the rule that catches it.
const PLANTS: [(&str, &str, Plant); 22] = [
    ("a reader drops the last record of a file", "dump prints what a file holds", |_, expected, answers| {
        let mut read = answers.dumps.iter_mut().filter(|((writer, name), _)| expected.read[writer].files[name].is_read());
        read.any(|(_, dump)| dump.records.pop().is_some())
    }),
    ("a reader drops a record of the logs", "dump prints what counts", |_, _, answers| {
        answers.dump.records.pop().is_some()
    }),
    ("a reader shows a record twice", "dump prints what counts", |_, _, answers| {
        let first = answers.dump.records.first().cloned();
        first.is_some_and(|first| {
            answers.dump.records.push(first);
            true
        })
    }),
    ("a reader takes one record for another", "never a record that was not recorded", |_, _, answers| {
        let requests = answers.dump.records.iter_mut().filter(|(_, record)| !record["request_id"].is_null());
        requests.map(|(_, record)| record["request_id"] = FORGED.into()).count() > 0
    }),
    ("verify sees no damage", "verify's verdicts", |_, expected, answers| match &mut answers.verify {
        Ok(verify) if expected.read.values().any(|log| log.verdict != Verdict::Sound) => {
            "sound".clone_into(&mut verify.verdict);
            verify.logs.values_mut().flat_map(|log| log.files.values_mut()).for_each(|file| {
                "sound".clone_into(&mut file.verdict);
            });
            expected.read.values().flat_map(|log| log.files.values()).any(|file| file.verdict != Verdict::Sound)
        }
        _ => false,
    }),
    ("check sees no damage in a file", "check's verdicts", |_, expected, answers| {
        let Ok(check) = &mut answers.check else { return false };
        let hurt = expected.read.iter().flat_map(|(writer, log)| {
            let files = log.files.iter().filter(|(_, file)| file.verdict == Verdict::Damaged);
            files.map(move |(name, _)| (writer, name))
        });
        let hurt: Vec<_> = hurt.collect();
        for (writer, name) in &hurt {
            if let Some(file) = check.logs.get_mut(*writer).and_then(|log| log.files.get_mut(*name)) {
                "sound".clone_into(&mut file.verdict);
            }
        }
        !hurt.is_empty()
    }),
    ("verify counts no loss", "as many are lost", |damaged, expected, answers| match &mut answers.verify {
        Ok(verify) if damaged.store.database.is_some() && expected.lost() > 0 => {
            verify.lost = 0;
            true
        }
        _ => false,
    }),
    ("verify counts a record too few", "verify counts what a file holds", |_, expected, answers| {
        let Ok(verify) = &mut answers.verify else { return false };
        let is_read = |writer: &str, name: &str| expected.read.get(writer).is_some_and(|log| log.files[name].is_read());
        let files = verify.logs.iter_mut().flat_map(|(writer, log)| {
            log.files.iter_mut().filter(|(name, _)| is_read(writer, name)).map(|(_, file)| file).collect::<Vec<_>>()
        });
        let mut counted = files.filter_map(|file| file.count.as_mut().filter(|count| **count > 0));
        counted.next().map(|count| *count -= 1).is_some()
    }),
    ("list leaves a file out", "list shows what is there", |_, expected, answers| {
        let Ok(list) = &mut answers.list else { return false };
        let place = list.iter().position(|(writer, _)| expected.read.contains_key(writer));
        place.map(|place| list.remove(place)).is_some()
    }),
    ("the reader in Python takes a torn tail for damage", "python reads what the page says", |_, _, answers| {
        let file = answers.python.read.values_mut().flat_map(|log| log.files.values_mut());
        let torn = file.filter(|file| file.verdict == "attention");
        torn.map(|file| "damaged".clone_into(&mut file.verdict)).count() > 0
    }),
    ("a reader writes", "readers change nothing", |_, _, answers| {
        answers.files_read.iter_mut().find(|(path, _)| path.starts_with("wal")).is_some_and(|(_, bytes)| {
            bytes.push(0);
            true
        })
    }),
    ("folding passes over a hole without a row", "what is lost has a row", |_, expected, answers| {
        let is_any_lost = expected.folded.values().any(|log| log.lost.count() > 0);
        contents(answers).is_some_and(|contents| {
            contents.lost.clear();
            is_any_lost
        })
    }),
    ("folding passes over a record", "opening folds what counts", |_, expected, answers| {
        contents(answers).is_some_and(|contents| {
            let is_new = |writer: &str, number: u64| {
                expected.folded.get(writer).is_some_and(|log| log.taken.contains_key(&number))
            };
            let last = contents.requests.keys().rfind(|(writer, number)| is_new(writer, *number)).cloned();
            last.is_some_and(|name| contents.requests.remove(&name).is_some())
        })
    }),
    ("folding gives a record to another writer", "opening folds what counts", |_, _, answers| {
        contents(answers).is_some_and(|contents| {
            let (Some((name, id)), Some(other)) = (contents.requests.pop_last(), contents.requests.first_key_value())
            else {
                return false;
            };
            let other = (other.0.0.clone(), name.1 + 1_000);
            contents.requests.insert(other, id).is_none()
        })
    }),
    ("folding takes a foreign record", "opening folds what counts", |_, _, answers| {
        contents(answers).is_some_and(|contents| {
            contents.requests.insert((String::new(), 1 << 40), FORGED.into()).is_none()
        })
    }),
    ("folding counts a number twice", "each number is accounted for", |_, _, answers| {
        contents(answers).is_some_and(|contents| {
            let runs = contents.runs.values_mut().find(|runs| runs.count() > 1);
            runs.is_some_and(|runs| {
                let (first, last) = runs.0[runs.0.len() - 1];
                runs.0.push((last, last));
                first <= last
            })
        })
    }),
    ("folding forgets who died", "writers are told", |_, _, answers| {
        contents(answers).is_some_and(|contents| {
            let died = contents.writers.values_mut().filter(|row| row.ended.as_deref() == Some("died"));
            died.map(|row| row.ended = None).count() > 0
        })
    }),
    ("folding deletes what it sets aside", "nothing is gone without a copy", |_, _, answers| {
        let before: Vec<_> = answers.files.values().cloned().collect();
        let Ok(left) = &mut answers.opened else { return false };
        let count = left.files.len();
        left.files.retain(|path, bytes| path.starts_with("wal") || !before.contains(bytes) || is_zeros(bytes));
        left.files.len() < count
    }),
    ("folding shortens a file of somebody else", "nothing is gone without a copy", |_, _, answers| {
        let before = answers.files.clone();
        let Ok(left) = &mut answers.opened else { return false };
        let mut files = left.files.iter_mut().filter(|(path, bytes)| {
            let twins = before.iter().filter(|(_, other)| *other == *bytes).count();
            is_segment(path) && !is_zeros(bytes) && twins == 1
        });
        files.next().is_some_and(|(_, bytes)| bytes.pop().is_some())
    }),
    ("a log that waits is folded away", "what waits stays", |_, expected, answers| {
        let Ok(left) = &mut answers.opened else { return false };
        let waiting = expected.folded.iter().flat_map(|(writer, log)| {
            let files = log.files.iter().filter(|(_, file)| file.waits);
            files.map(move |(name, _)| Path::new(Place::Wal.name()).join(writer).join(name))
        });
        let waiting: Vec<_> = waiting.collect();
        !expected.has_foreign_database
            && !expected.is_refused
            && waiting.iter().filter(|path| left.files.remove(*path).is_some()).count() > 0
    }),
    ("a refusal moves a segment", "a refusal touches nothing", |_, _, answers| {
        answers.files_refused.as_mut().is_some_and(|files| {
            let name = files.keys().find(|path| is_segment(path)).cloned();
            name.is_some_and(|name| files.remove(&name).is_some())
        })
    }),
    ("a second rebuild forgets", "rebuild is idempotent", |_, _, answers| match &mut answers.rebuilt_again {
        Some(Ok(left)) => left.contents.as_mut().is_ok_and(|contents| contents.requests.pop_last().is_some()),
        _ => false,
    }),
];

/// What an opening folded, where something is to be folded.
fn contents(answers: &mut Answers) -> Option<&mut Contents> {
    answers.opened.as_mut().ok()?.contents.as_mut().ok()
}

fn is_segment(path: &Path) -> bool {
    let mut parts = path.iter().map(|part| part.to_string_lossy().into_owned());
    let is_of_writer = parts.nth(1).is_some_and(|name| id_from(&name).is_some());
    is_of_writer && path.extension().is_some_and(|extension| extension == "seg")
}

fn is_zeros(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// A reader's answers are not judged where everything is refused, nor folding where the database is another store's.
fn is_judged(rule: &str, expected: &Expectation) -> bool {
    match rule {
        "a refusal touches nothing" | "readers change nothing" | "python reads what the page says" => true,
        _ => !expected.is_refused && !expected.has_foreign_database,
    }
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
    for seed in 0..STORES {
        let damaged = Case::of(seed).make(&recordings);
        let root = tempfile::tempdir().expect("a directory");
        let answers = ask(&damaged, root.path(), &mut python);
        let expected = Expectation::of(&damaged.store);
        let before: Vec<_> = judge(&damaged, &answers);
        for ((what, rule, plant), hits) in PLANTS.iter().zip(&mut hits) {
            let mut planted = answers.clone();
            // Where a rule is broken without it, a plant proves nothing.
            let is_broken = before.iter().any(|found| found.rule == *rule);
            if is_broken || !is_judged(rule, &expected) || !plant(&damaged, &expected, &mut planted) {
                continue;
            }
            *hits += 1;
            let found = judge(&damaged, &planted);
            assert!(found.iter().any(|found| found.rule == *rule), "seed {seed}: {what}: {found:?}");
        }
    }
    for ((what, ..), hits) in PLANTS.iter().zip(hits) {
        println!("{hits:>3} of {STORES}: {what}");
        assert!(hits >= HITS_MIN, "{what}: only in {hits} of {STORES} stores");
    }
}
