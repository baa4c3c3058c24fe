//! `check`, and of what it says the log's part.

use crate::reading::{FileReading, LogReading};
use mcplog::check::{CheckReport, check};
use mcplog::store::{Finding, FindingKind, Severity};
use std::path::Path;

/// What `check` says of the log of the store in `dir`.
///
/// # Errors
/// It can't be checked.
pub fn read(dir: &Path) -> Result<(LogReading, CheckReport), String> {
    let report = check(dir, true, |_| ()).map_err(|error| error.to_string())?;
    let wal = dir.join("wal");
    let of_log = |finding: &&Finding| finding.path.starts_with(&wal) && finding.kind != FindingKind::UnfoldedRecords;
    let worst = |findings: &mut dyn Iterator<Item = &Finding>| {
        word(findings.map(|finding| finding.severity).max().unwrap_or_default())
    };
    let mut reading = LogReading {
        verdict: worst(&mut report.findings.iter().filter(of_log)),
        lost: Some(report.lost_records),
        ..LogReading::default()
    };
    for file in mcplog::segment::list(&wal).map_err(|error| error.to_string())? {
        let name = file.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let verdict = worst(&mut report.findings.iter().filter(of_log).filter(|finding| finding.path == file.path));
        reading.files.insert(name, FileReading { verdict, ..FileReading::default() });
    }
    Ok((reading, report))
}

fn word(severity: Severity) -> String {
    let word = match severity {
        Severity::Sound => "sound",
        Severity::Attention => "attention",
        Severity::Unreadable => "unreadable",
        Severity::Damaged => "damaged",
        _ => "a word that the page does not have",
    };
    word.to_owned()
}
