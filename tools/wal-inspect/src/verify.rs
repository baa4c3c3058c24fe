//! `wal-inspect verify`: reads everything, and says whether it is sound.

use crate::arguments::VerifyArguments;
use crate::continuity::Continuity;
use crate::dump::undecodable_finding;
use crate::escape::escape;
use crate::failure::Failure;
use crate::finding::Finding;
use crate::json::{FindingObject, RecordObject};
use crate::line::{BAD, BOLD, DIM, GOOD, Line, PLAIN, WARNING};
use crate::output::Output;
use crate::presenter::show_finding;
use crate::progress::Progress;
use crate::report::SegmentReport;
use crate::scan::{self, Found};
use crate::severity::Severity;
use crate::source::{self, Opened, Source};
use crate::table::{Align, human_bytes, side_by_side};
use mcplog::record::Record;
use serde::Serialize;
use std::ops::ControlFlow;

/// Columns before a finding.
const FINDING_INDENT: usize = 3;
/// So many undecodable records of a segment are named one by one; the rest is counted.
const UNDECODABLE_NAMED_MAX: u64 = 10;

/// What all segments amount to. The last object of the JSON output.
#[derive(Debug, Default, Serialize)]
struct Summary {
    r#type: &'static str,
    segments: u64,
    records: u64,
    bytes: u64,
    lost_records: u64,
    undecodable_records: u64,
    newer_records: u64,
    missing_records: u64,
    verdict: Severity,
    exit_code: u8,
}

/// Reads everything.
pub(crate) fn run(arguments: &VerifyArguments, output: &mut Output) -> Result<Severity, Failure> {
    let sources = source::find(&arguments.paths)?;
    let bytes = |source: &Source| std::fs::symlink_metadata(&source.path).map_or(0, |metadata| metadata.len());
    let mut progress = Progress::new(sources.iter().map(bytes).sum(), false);
    let mut continuity = Continuity::default();
    let mut summary = Summary { r#type: "summary", ..Summary::default() };
    for source in &sources {
        let Some(report) = verify(source, &mut continuity, &mut progress, arguments.json, output)? else { continue };
        summary.add(&report);
        progress.suspend(|| {
            if arguments.json {
                output.object(&report)?;
            } else if !arguments.quiet || report.severity() != Severity::Clean {
                show(&report, output)?;
            }
            // A reader of the output sees a segment's verdict when it is known, however long the rest takes.
            output.flush()
        })?;
    }
    drop(progress);
    if arguments.json {
        output.object(&summary)?;
    } else {
        summary.show(output)?;
    }
    Ok(summary.verdict)
}

fn verify(
    source: &Source,
    continuity: &mut Continuity,
    progress: &mut Progress,
    json: bool,
    output: &mut Output,
) -> Result<Option<SegmentReport>, Failure> {
    let before_bytes = progress.done_bytes();
    let opened = source.open()?;
    let mut reader = match opened {
        Opened::Segment(reader) => reader,
        Opened::Other(finding) => {
            let mut report = SegmentReport::new(source.place(None));
            report.bytes = std::fs::symlink_metadata(&source.path).map_or(0, |metadata| metadata.len());
            tell(json, output, &mut report, finding)?;
            return Ok(Some(report));
        }
        Opened::Retired => return Ok(None),
    };
    let header = *reader.header();
    let place = source.place(Some(header));
    let mut report = SegmentReport::new(place.clone());
    for finding in continuity.check(&source.path, source.name_id, &header) {
        tell(json, output, &mut report, finding)?;
    }
    let _ = scan::to_end(&mut reader, &mut |found| {
        match found {
            Found::Frame(frame) => {
                progress.at(before_bytes + u64::from(frame.offset.0));
                let record = Record::decode(frame.payload);
                if let Err(error) = &record {
                    report.note_undecodable(error);
                    let finding = undecodable_finding(frame.sequence.0, frame.offset.0, error);
                    if json {
                        output.object(&RecordObject { place: &place, frame: &frame, record: &record })?;
                    }
                    if report.unread_records() <= UNDECODABLE_NAMED_MAX || finding.severity() > report.severity() {
                        report.add(finding);
                    }
                }
            }
            Found::Finding(finding) => tell(json, output, &mut report, finding)?,
        }
        Ok(ControlFlow::Continue(()))
    })?;
    report.read_to_end(&reader, source.may_be_active)?;
    progress.at(before_bytes + report.bytes);
    continuity.passed(&source.path, &header, reader.next_sequence());
    Ok(Some(report))
}

fn tell(json: bool, output: &mut Output, report: &mut SegmentReport, finding: Finding) -> Result<(), Failure> {
    if json {
        output.object(&FindingObject { place: &report.place, finding: &finding })?;
    }
    report.add(finding);
    Ok(())
}

fn show(report: &SegmentReport, output: &mut Output) -> std::io::Result<()> {
    const COLUMNS: [Align; 5] = [Align::Left, Align::Left, Align::Right, Align::Right, Align::Left];
    let severity = report.severity();
    let state = report.state.map_or("-", |state| state.name());
    let records = match report.state {
        Some(_) => format!("{} records", report.records()),
        None => "-".to_owned(),
    };
    let sequences = report.sequences().map_or_else(String::new, |(first, last)| format!("{first}–{last}"));
    let row = vec![
        Line::of(BOLD, escape(&report.place.file_name())),
        Line::of(style(severity), severity.name()),
        Line::of(PLAIN, state),
        Line::of(PLAIN, records),
        Line::of(DIM, sequences),
    ];
    output.line(&side_by_side(&COLUMNS, &[16, 10, 8, 15, 0], row))?;
    for finding in &report.findings {
        show_finding(output, FINDING_INDENT, finding)?;
    }
    let unnamed = report.unread_records().saturating_sub(UNDECODABLE_NAMED_MAX);
    if unnamed > 0 {
        output
            .line(&Line::of(DIM, format!("{:FINDING_INDENT$}  … {unnamed} more records that can't be decoded", "")))?;
    }
    Ok(())
}

const fn style(severity: Severity) -> anstyle::Style {
    match severity {
        Severity::Clean => GOOD,
        Severity::TornTail => WARNING,
        Severity::Unreadable | Severity::Corrupt => BAD,
    }
}

impl Summary {
    fn add(&mut self, report: &SegmentReport) {
        let missing = |finding: &Finding| match finding {
            Finding::Missing { records, .. } => *records,
            _ => 0,
        };
        self.segments += 1;
        self.records += report.records();
        self.bytes += report.bytes;
        self.lost_records += report.lost_records;
        self.undecodable_records += report.undecodable_records;
        self.newer_records += report.newer_records;
        self.missing_records += report.findings.iter().map(missing).sum::<u64>();
        self.verdict = self.verdict.max(report.severity());
        self.exit_code = self.verdict.exit_code();
    }

    fn show(&self, output: &mut Output) -> std::io::Result<()> {
        let plural = if self.segments == 1 { "" } else { "s" };
        let mut line = Line::of(style(self.verdict), self.verdict.name());
        line.push(
            PLAIN,
            format!(": {} segment{plural}, {} records, {}", self.segments, self.records, human_bytes(self.bytes)),
        );
        for (count, what) in [(self.lost_records, "lost"), (self.undecodable_records, "undecodable")] {
            if count > 0 {
                line.push(BAD, format!(", {count} {what}"));
            }
        }
        if self.newer_records > 0 {
            line.push(WARNING, format!(", {} of a newer mcplog", self.newer_records));
        }
        output.line(&line)?;
        if self.newer_records > 0 {
            let advice =
                "A store keeps records that it does not know until a mcplog opens it that does, and folds them then.";
            output.paragraph(&Line::new(), DIM, advice)?;
        }
        let advice = match self.verdict {
            Severity::Clean => return Ok(()),
            Severity::TornTail => {
                "A crash left this; nothing that was durable is lost. The next start of the store cuts it off."
            }
            Severity::Unreadable => "Nothing can be said of what could not be read; see above.",
            Severity::Corrupt => {
                "Bytes that were safe on disk have changed. Copy the files before anything else, and check the disk. \
                 What is intact stays readable; the store passes over the rest and says so."
            }
        };
        output.paragraph(&Line::new(), DIM, advice)
    }
}
