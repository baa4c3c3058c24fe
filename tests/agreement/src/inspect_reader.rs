//! `wal-inspect verify` and `wal-inspect dump`, within this process.

use crate::contents::Name;
use crate::ranges::Ranges;
use crate::reading::{FileReading, LogReading, StoreReading};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// What `dump` prints.
#[derive(Clone, Debug, Default)]
pub struct Dump {
    /// The records: whose, which number, and what is shown of it.
    pub records: Vec<(Name, Value)>,
    /// What it refuses with.
    pub error: Option<String>,
}

/// What `verify` says of the store in `dir`.
///
/// # Panics
/// What it prints is no JSON.
pub fn verify(dir: &Path) -> Result<StoreReading, String> {
    let objects = run("verify", dir)?;
    let mut reading = StoreReading::default();
    for object in &objects {
        match text(object, "type").as_str() {
            "segment" => {
                let (writer, name) = place_of(object);
                let count = object["records"].as_u64();
                let file = FileReading { verdict: text(object, "verdict"), records: None, count };
                let log: &mut LogReading = reading.logs.entry(writer).or_default();
                log.files.insert(name, file);
            }
            "summary" => {
                reading.verdict = text(object, "verdict");
                reading.lost = object["missing_records"].as_u64().unwrap_or_default();
            }
            _ => {}
        }
    }
    Ok(reading)
}

/// The files that `list` shows of a store: whose, and their names.
///
/// # Panics
/// What it prints is no JSON.
pub fn list(dir: &Path) -> Result<Vec<(String, String)>, String> {
    let objects = run("list", dir)?;
    let segments = objects.iter().filter(|object| text(object, "type") == "segment");
    Ok(segments.map(place_of).collect())
}

/// The names of the folder and of the file that an object is about: a header may say anything.
fn place_of(object: &Value) -> (String, String) {
    let file = text(object, "file");
    let mut parts = Path::new(&file).iter().rev().map(|part| part.to_string_lossy().into_owned());
    let name = parts.next().unwrap_or_default();
    (parts.next().unwrap_or_default(), name)
}

/// What `dump` prints of a store, of a log, or of a file.
///
/// # Panics
/// What it prints is no JSON.
pub fn dump(path: &Path) -> Dump {
    let objects = match run("dump", path) {
        Ok(objects) => objects,
        Err(error) => return Dump { error: Some(error), ..Dump::default() },
    };
    let records = objects.into_iter().filter(|object| object.get("kind_number").is_some());
    let named = |object: Value| Some(((text(&object, "writer_id"), object["sequence"].as_u64()?), object));
    Dump { records: records.filter_map(named).collect(), error: None }
}

impl Dump {
    /// The numbers of each writer, each once.
    pub fn numbers(&self) -> BTreeMap<String, Ranges> {
        let mut numbers: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for ((writer, number), _) in &self.records {
            numbers.entry(writer.clone()).or_default().push(*number);
        }
        numbers.into_iter().map(|(writer, numbers)| (writer, numbers.into_iter().collect())).collect()
    }

    /// How many records are shown that were shown already.
    pub fn repeated(&self) -> u64 {
        self.records.len() as u64 - self.numbers().values().map(Ranges::count).sum::<u64>()
    }

    /// The requests: whose, which number, and the id that is shown.
    pub fn request_ids(&self) -> impl Iterator<Item = (&Name, &str)> {
        self.records.iter().filter_map(|(name, record)| Some((name, record["request_id"].as_str()?)))
    }
}

fn text(object: &Value, member: &str) -> String {
    object[member].as_str().unwrap_or_default().to_owned()
}

fn run(command: &str, path: &Path) -> Result<Vec<Value>, String> {
    let printed = Printed::default();
    let path = path.as_os_str();
    let words = ["wal-inspect", command, "--json"].map(std::ffi::OsStr::new);
    wal_inspect::print_into(printed.clone(), None, words.into_iter().chain([path]))?;
    let bytes = printed.0.lock().unwrap_or_else(PoisonError::into_inner);
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Ok(lines.map(|line| serde_json::from_slice(line).expect("JSON")).collect())
}

#[derive(Clone, Debug, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
