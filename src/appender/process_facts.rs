//! What the first record of a log says of the process that writes it. It is for people; nothing is decided by it.
//!
//! What a process was called with is left out: arguments may hold secrets.

use crate::ground::config::Config;
use crate::record::record::WriterBeganRecord;
use std::ffi::OsStr;
use std::path::Path;

/// Who records here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProcessFacts {
    process_id: u64,
    host: String,
    program: String,
    program_version: String,
    /// When the store was opened: Unix time in milliseconds, UTC.
    started_at: i64,
}

/// The longest text of these that is written, in bytes.
const TEXT_BYTES_MAX: usize = 255;

impl ProcessFacts {
    /// This process, which opened the store at that time.
    pub(super) fn of(config: &Config, started_at: i64) -> Self {
        let executable = || {
            let path = std::env::current_exe().unwrap_or_default();
            path.file_name().map(OsStr::to_string_lossy).unwrap_or_default().into_owned()
        };
        let host = std::fs::read_to_string(Path::new("/proc/sys/kernel/hostname")).unwrap_or_default();
        Self {
            process_id: std::process::id().into(),
            host: cut(host.trim_end().to_owned()),
            program: cut(config.program.clone().unwrap_or_else(executable)),
            program_version: cut(config
                .program_version
                .clone()
                .unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned())),
            started_at,
        }
    }

    /// The record that says so.
    pub(super) fn record(&self) -> WriterBeganRecord<'_> {
        let Self { process_id, host, program, program_version, started_at } = self;
        WriterBeganRecord { process_id: *process_id, host, program, program_version, started_at: *started_at }
    }
}

/// As much of a text as is written.
fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_says_who_it_is_and_not_what_it_was_called_with() {
        let mut config = Config::new("x");
        let facts = ProcessFacts::of(&config, 5);
        let record = facts.record();
        assert_eq!((record.process_id, record.started_at), (u64::from(std::process::id()), 5));
        assert!(!record.host.is_empty() && !record.program.is_empty(), "{record:?}");
        assert_eq!(record.program_version, env!("CARGO_PKG_VERSION"));
        (config.program, config.program_version) = (Some("ä".repeat(200)), Some("2.0".into()));
        let facts = ProcessFacts::of(&config, 5);
        assert_eq!((facts.program.as_str(), facts.program_version.as_str()), (&*"ä".repeat(127), "2.0"));
    }
}
