//! `wal-inspect dump`: the records in order.

use crate::arguments::DumpArguments;
use crate::failure::Failure;
use crate::read::continuity::Continuity;
use crate::read::scan::{self, Found};
use crate::read::source::{self, Opened, Source};
use crate::report::severity::Severity;
use crate::report::undecodable;
use crate::show::output::Output;
use crate::show::presenter::Presenter;
use mcplog::record::Record;
use mcplog_terminal::progress::Progress;
use std::ops::ControlFlow;

/// Prints the records.
pub(crate) fn run(arguments: &DumpArguments, output: Output) -> Result<Severity, Failure> {
    let sources = source::find(&arguments.paths)?;
    let bytes = |source: &Source| std::fs::symlink_metadata(&source.path).map_or(0, |metadata| metadata.len());
    let total_bytes = sources.iter().map(bytes).sum();
    // On a terminal the records themselves show that something happens.
    let mut progress = Progress::of_bytes("reading", Some(total_bytes), output.is_terminal);
    let mut presenter = Presenter::new(output, arguments.presentation);
    let mut continuity = Continuity::default();
    let mut severity = Severity::Sound;
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    for source in &sources {
        if left == 0 {
            break;
        }
        let before_bytes = progress.done();
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
                    severity = severity.max(record.as_ref().err().map_or(Severity::Sound, undecodable::severity));
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
