//! `check`, and of what it says the logs' part.

use crate::bytes::id_from;
use crate::reading::{FileReading, LogReading, StoreReading};
use crate::store_image::id_of;
use mcplog::check::check;
use mcplog::store::{Finding, FindingKind, Severity};
use std::collections::BTreeMap;
use std::path::Path;

/// What `check` says of the logs of the store in `dir`.
///
/// # Errors
/// It can't be checked.
pub fn read(dir: &Path) -> Result<StoreReading, String> {
    let report = check(dir, true, |_| ()).map_err(|error| error.to_string())?;
    let wal = dir.join("wal");
    let of_logs = |finding: &&Finding| finding.path.starts_with(&wal) && finding.kind != FindingKind::UnfoldedRecords;
    let worst = |findings: &mut dyn Iterator<Item = &Finding>| {
        word(findings.map(|finding| finding.severity).max().unwrap_or_default())
    };
    let mut logs = BTreeMap::new();
    for writer in names(&wal).into_iter().filter(|name| id_from(name).is_some()) {
        let folder = wal.join(&writer);
        let segments = names(&folder).into_iter().filter(|name| id_of(name).is_some());
        let file = |name: String| {
            let path = folder.join(&name);
            let verdict = worst(&mut report.findings.iter().filter(of_logs).filter(|finding| finding.path == path));
            (name, FileReading { verdict, ..FileReading::default() })
        };
        logs.insert(writer, LogReading { files: segments.map(file).collect(), ..LogReading::default() });
    }
    Ok(StoreReading { verdict: worst(&mut report.findings.iter().filter(of_logs)), logs, lost: report.lost_records })
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
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
