//! `wal-inspect verify` and `wal-inspect dump`, within this process.

use crate::ranges::Ranges;
use crate::reading::{FileReading, LogReading};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// What `dump` prints.
#[derive(Clone, Debug, Default)]
pub struct Dump {
    /// The records: number and what is shown of it.
    pub records: Vec<(u64, Value)>,
    /// What it refuses with.
    pub error: Option<String>,
}

/// What `verify` says of the store in `dir`.
///
/// # Panics
/// What it prints is no JSON.
pub fn verify(dir: &Path) -> Result<LogReading, String> {
    let objects = run("verify", dir)?.1;
    let mut reading = LogReading::default();
    for object in &objects {
        match text(object, "type").as_str() {
            "segment" => {
                let name = Path::new(&text(object, "file")).file_name().map(|name| name.to_string_lossy().into_owned());
                let count = object["records"].as_u64();
                let file = FileReading { verdict: text(object, "verdict"), records: None, count };
                reading.files.insert(name.unwrap_or_default(), file);
            }
            "summary" => {
                reading.verdict = text(object, "verdict");
                reading.lost = object["missing_records"].as_u64();
            }
            _ => {}
        }
    }
    Ok(reading)
}

/// What `dump` prints of a store, or of a file.
///
/// # Panics
/// What it prints is no JSON.
pub fn dump(path: &Path) -> Dump {
    let objects = match run("dump", path) {
        Ok((_, objects)) => objects,
        Err(error) => return Dump { error: Some(error), ..Dump::default() },
    };
    let records = objects.into_iter().filter(|object| object.get("kind_number").is_some());
    Dump { records: records.filter_map(|object| Some((object["sequence"].as_u64()?, object))).collect(), error: None }
}

impl Dump {
    /// The numbers, each once.
    pub fn numbers(&self) -> Ranges {
        self.records.iter().map(|(number, _)| *number).collect()
    }

    /// The request ids, by number.
    pub fn request_ids(&self) -> BTreeMap<u64, &str> {
        self.records.iter().filter_map(|(number, record)| Some((*number, record["request_id"].as_str()?))).collect()
    }
}

fn text(object: &Value, member: &str) -> String {
    object[member].as_str().unwrap_or_default().to_owned()
}

fn run(command: &str, path: &Path) -> Result<(u8, Vec<Value>), String> {
    let printed = Printed::default();
    let path = path.as_os_str();
    let words = ["wal-inspect", command, "--json"].map(std::ffi::OsStr::new);
    let code = wal_inspect::print_into(printed.clone(), None, words.into_iter().chain([path]))?;
    let bytes = printed.0.lock().unwrap_or_else(PoisonError::into_inner);
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Ok((code, lines.map(|line| serde_json::from_slice(line).expect("JSON")).collect()))
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
