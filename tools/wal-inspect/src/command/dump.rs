//! `wal-inspect dump`: the records in order.

use crate::arguments::DumpArguments;
use crate::failure::Failure;
use crate::read::scan::{self, Found};
use crate::read::source::{self, Opened, Source};
use crate::report::place::Place;
use crate::show::output::Output;
use crate::show::presenter::Presenter;
use mcplog::finding::Severity;
use mcplog::record::{Record, RecordError};
use mcplog_terminal::progress::Progress;
use std::ops::ControlFlow;

/// Prints the records that a store reads from its log; of a file that was picked by hand, all.
pub(crate) fn run(arguments: &DumpArguments, output: Output) -> Result<Severity, Failure> {
    let sources = source::find(&arguments.paths)?;
    let bytes = |source: &Source| std::fs::symlink_metadata(&source.path).map_or(0, |metadata| metadata.len());
    let total_bytes = sources.iter().map(bytes).sum();
    // On a terminal the records themselves show that something happens.
    let mut progress = Progress::of_bytes("reading", Some(total_bytes), output.is_terminal);
    let mut presenter = Presenter::new(output, arguments.presentation);
    let mut severity = Severity::Sound;
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    for source in &sources {
        if left == 0 {
            break;
        }
        for finding in &source.before {
            severity = severity.max(finding.severity);
            presenter.finding(&Place::of_log(&finding.path), finding, &[])?;
        }
        let before_bytes = progress.done();
        let mut reader = match source.open()? {
            Opened::Segment(reader) => reader,
            Opened::Other(finding) => {
                severity = severity.max(finding.severity);
                presenter.finding(&source.place(None), &finding, &[])?;
                continue;
            }
            Opened::Retired => continue,
        };
        let place = source.place(Some(*reader.header()));
        if let Some(finding) = source.part_finding() {
            severity = severity.max(finding.severity);
            presenter.finding(&place, &finding, &[])?;
        }
        let _ = scan::to_end(&mut reader, &mut |found| {
            match found {
                Found::Frame(frame) => {
                    progress.at(before_bytes + u64::from(frame.offset.0));
                    let record = Record::decode(frame.payload);
                    severity = severity.max(severity_of(&record));
                    let passes = arguments.filter.passes(frame.sequence, record.as_ref().ok());
                    if passes && source.is_read(frame.sequence) {
                        presenter.record(&place, &frame, &record)?;
                        left -= 1;
                    }
                }
                Found::Finding(finding, head) => {
                    severity = severity.max(finding.severity);
                    presenter.finding(&place, &source.foresee(finding), head)?;
                }
            }
            Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        progress.at(before_bytes + reader.file_bytes()?);
    }
    presenter.output.flush()?;
    Ok(severity)
}

/// How bad it is if a record can't be decoded.
pub(crate) fn severity_of(record: &Result<Record<'_>, RecordError>) -> Severity {
    record.as_ref().err().map_or(Severity::Sound, |error| error.kind_of_finding().severity())
}
