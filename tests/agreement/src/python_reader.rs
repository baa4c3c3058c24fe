//! The reader in Python, which was written from the format's page alone: one process for all stores.

use crate::bytes::{Id, id_text};
use crate::ranges::Ranges;
use crate::reading::{FileReading, LogReading};
use crate::store_image::Place;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The process.
#[derive(Debug)]
pub struct PythonReader {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// What it is asked.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The store's directory.
    pub dir: &'a Path,
    /// Which store it is, where the file does not say it.
    pub store: Id,
    /// The last number of each writer that is folded; `None`: nobody can say.
    pub folded: Option<&'a BTreeMap<Id, u64>>,
    /// Whose folders are read as one log.
    pub places: &'a [Place],
    /// As for who folds: what may have records of a newer build waits.
    pub is_folding: bool,
}

#[derive(Debug, Deserialize)]
struct Answer {
    logs: Vec<LogLine>,
}

#[derive(Debug, Deserialize)]
struct LogLine {
    writer: String,
    verdict: String,
    taken: Vec<(u64, u64, u64)>,
    lost: Vec<(u64, u64)>,
    missing: Vec<(u64, u64)>,
    waits: Option<u64>,
    files: Vec<FileLine>,
}

#[derive(Debug, Deserialize)]
struct FileLine {
    path: PathBuf,
    verdict: String,
    end: Option<String>,
    frames: Vec<(u64, u64)>,
}

impl PythonReader {
    /// Starts it; `None` where there is no Python.
    ///
    /// # Panics
    /// It is there, and can't be used.
    pub fn start() -> Option<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../format_reader.py");
        let mut child = Command::new("python3")
            .args(["-B", script, "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let questions = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        Some(Self { child, questions, answers })
    }

    /// Reads the logs of a store, by their folders' names.
    ///
    /// # Panics
    /// The process does not answer.
    pub fn read(&mut self, question: &Question<'_>) -> BTreeMap<String, LogReading> {
        let folded = question
            .folded
            .map(|folded| folded.iter().map(|(writer, last)| (id_text(*writer), *last)).collect::<BTreeMap<_, _>>());
        let question = json!({
            "store": question.dir,
            "store_id": id_text(question.store),
            "folded": folded,
            "places": question.places.iter().map(|place| place.name()).collect::<Vec<_>>(),
            "folds": question.is_folding,
        });
        writeln!(self.questions.as_mut().expect("a pipe"), "{question}").expect("the Python reader takes a question");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the Python reader answers");
        let answer: Answer = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        answer.logs.into_iter().map(|log| (log.writer.clone(), log.into_reading())).collect()
    }
}

impl Drop for PythonReader {
    fn drop(&mut self) {
        self.questions = None;
        let _ = self.child.wait();
    }
}

impl LogLine {
    fn into_reading(self) -> LogReading {
        let lost = Ranges(self.lost.into_iter().chain(self.missing).collect());
        LogReading {
            verdict: Some(self.verdict),
            taken: Some(self.taken.iter().flat_map(|(first, last, _)| *first..=*last).collect()),
            lost: Some(lost.count()),
            waits: Some(self.waits.is_some()),
            files: self.files.into_iter().map(FileLine::into_reading).collect(),
        }
    }
}

impl FileLine {
    fn into_reading(self) -> (String, FileReading) {
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let records = self.end.is_some().then_some(Ranges(self.frames));
        let count = records.as_ref().map(Ranges::count);
        (name, FileReading { verdict: self.verdict, records, count })
    }
}
