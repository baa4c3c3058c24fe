//! `wal-inspect dump`: the records in order.

use crate::arguments::DumpArguments;
use crate::continuity::Continuity;
use crate::failure::Failure;
use crate::finding::Finding;
use crate::output::Output;
use crate::presenter::Presenter;
use crate::progress::Progress;
use crate::scan::{self, Found};
use crate::severity::Severity;
use crate::source::{self, Opened, Source};
use mcplog::record::{Record, RecordError};
use std::ops::ControlFlow;

/// Prints the records.
pub(crate) fn run(arguments: &DumpArguments, output: Output) -> Result<Severity, Failure> {
    let sources = source::find(&arguments.paths)?;
    let bytes = |source: &Source| std::fs::symlink_metadata(&source.path).map_or(0, |metadata| metadata.len());
    let total_bytes = sources.iter().map(bytes).sum();
    // On a terminal the records themselves show that something happens.
    let mut progress = Progress::new(total_bytes, output.is_terminal);
    let mut presenter = Presenter::new(output, arguments.presentation);
    let mut continuity = Continuity::default();
    let mut severity = Severity::Clean;
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    for source in &sources {
        if left == 0 {
            break;
        }
        let before_bytes = progress.done_bytes();
        let mut reader = match source.open()? {
            Opened::Segment(reader) => reader,
            Opened::Other(finding) => {
                severity = severity.max(finding.severity());
                presenter.finding(&source.place(None), &finding)?;
                continue;
            }
            Opened::Retired => continue,
        };
        let header = *reader.header();
        let place = source.place(Some(header));
        for finding in continuity.check(&source.path, source.name_id, &header) {
            severity = severity.max(finding.severity());
            if arguments.filter.reaches(header.base_sequence) {
                presenter.finding(&place, &finding)?;
            }
        }
        let _ = scan::to_end(&mut reader, &mut |found| {
            match found {
                Found::Frame(frame) => {
                    progress.at(before_bytes + u64::from(frame.offset.0));
                    let record = Record::decode(frame.payload);
                    severity = severity.max(record.as_ref().err().map_or(Severity::Clean, undecodable));
                    if arguments.filter.passes(frame.sequence, record.as_ref().ok()) {
                        presenter.record(&place, &frame, &record)?;
                        left -= 1;
                    }
                }
                Found::Finding(finding) => {
                    severity = severity.max(finding.severity());
                    presenter.finding(&place, &finding)?;
                }
            }
            Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        progress.at(before_bytes + reader.file_bytes()?);
        continuity.passed(&source.path, &header, reader.next_sequence());
    }
    presenter.output.flush()?;
    Ok(severity)
}

/// How bad an intact frame with an undecodable record is: a kind or version of a newer build is nothing wrong; a record
/// that is not what its kind and version promise was written by a bug.
pub(crate) const fn undecodable(error: &RecordError) -> Severity {
    if error.newer().is_some() { Severity::Clean } else { Severity::Corrupt }
}

/// The same as a finding.
pub(crate) fn undecodable_finding(sequence: u64, offset: u32, error: &RecordError) -> Finding {
    let reason = format!("record {sequence} at offset {offset}: {error}");
    match undecodable(error) {
        Severity::Clean => Finding::Note { reason },
        severity => Finding::Contradiction { reason, severity },
    }
}
