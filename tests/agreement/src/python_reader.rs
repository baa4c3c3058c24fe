//! The reader in Python, which was written from the format's page alone: one process for all logs.

use crate::log_image::name_of;
use crate::ranges::Ranges;
use crate::reading::{FileReading, LogReading};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The process.
#[derive(Debug)]
pub struct PythonReader {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// A line of its answer.
#[derive(Debug, Deserialize)]
struct LogLine {
    verdict: String,
    writer_id: Option<String>,
    taken: Vec<(u64, u64, u64)>,
    lost: Vec<(u64, u64)>,
    missing: Vec<(u64, u64)>,
    files: Vec<FileLine>,
}

#[derive(Debug, Deserialize)]
struct FileLine {
    segment: u64,
    verdict: String,
    header: Option<String>,
    counts: Option<String>,
    offset: Option<u64>,
    wrong_mark: Vec<String>,
    frames: Vec<(u64, u64)>,
}

/// What only this reader tells.
#[derive(Clone, Debug, Default)]
pub struct PythonReading {
    /// What all readers tell.
    pub log: LogReading,
    /// Whose log it is.
    pub writer_id: Option<String>,
    /// Files whose mark is wrong: they stay as they are, to the byte.
    pub wrong_marks: Vec<String>,
    /// Files of which nothing is taken, because others have their records.
    pub superseded: Vec<String>,
    /// Whether there are segments, and each of them is another store's.
    pub has_only_foreign: bool,
    /// The numbers of the holes, lost or not.
    pub holes: Ranges,
    /// For each file that is read as a segment: where reading it ends.
    pub ends: BTreeMap<String, u64>,
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

    /// Reads the log in `wal`, of which a database has folded the records up to `folded`; `None`: nobody can say.
    ///
    /// # Panics
    /// The process does not answer.
    pub fn read(&mut self, wal: &Path, folded: Option<u64>) -> PythonReading {
        let question = json!({"wal": wal, "folded": folded});
        writeln!(self.questions.as_mut().expect("a pipe"), "{question}").expect("the Python reader takes a question");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the Python reader answers");
        let line: LogLine = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        line.into_reading()
    }
}

impl Drop for PythonReader {
    fn drop(&mut self) {
        self.questions = None;
        let _ = self.child.wait();
    }
}

impl LogLine {
    fn into_reading(self) -> PythonReading {
        let is_refused = self.files.iter().any(|file| file.header.as_deref() == Some("newer"))
            || (self.writer_id.is_none() && self.files.iter().any(|file| file.counts.as_deref() == Some("unclear")));
        let that = |counts| {
            let files = self.files.iter().filter(move |file| file.counts.as_deref() == Some(counts));
            files.map(|file| name_of(file.segment)).collect()
        };
        let ends = self.files.iter().filter_map(|file| Some((name_of(file.segment), file.offset?)));
        let is_foreign = |file: &FileLine| file.header.as_deref() == Some("foreign");
        let has_only_foreign = self.files.iter().any(is_foreign) && self.files.iter().all(|file| file.offset.is_none());
        let (superseded, behind) = (that("superseded"), that("behind_hole"));
        let wrong_marks = self.files.iter().filter(|file| !file.wrong_mark.is_empty());
        let wrong_marks = wrong_marks.map(|file| name_of(file.segment)).collect();
        PythonReading {
            wrong_marks,
            superseded,
            has_only_foreign,
            ends: ends.collect(),
            writer_id: self.writer_id,
            holes: Ranges(self.lost.iter().chain(&self.missing).copied().collect()),
            log: LogReading {
                verdict: self.verdict,
                taken: Some(self.taken.iter().flat_map(|(first, last, _)| *first..=*last).collect()),
                lost: Some(Ranges(self.lost).count()),
                behind_hole: Some(behind),
                is_refused: Some(is_refused),
                files: self.files.into_iter().map(|file| (name_of(file.segment), file.into_reading())).collect(),
            },
        }
    }
}

impl FileLine {
    fn into_reading(self) -> FileReading {
        let records = Ranges(self.frames);
        // What is not part of the log is not read.
        let count = self.offset.map(|_| records.count());
        FileReading { verdict: self.verdict, records: Some(records), count }
    }
}
