//! `wal-inspect verify`: reads everything, and says whether it is sound.

use crate::arguments::VerifyArguments;
use crate::failure::Failure;
use crate::read::continuity::Continuity;
use crate::read::scan::{self, Found};
use crate::read::source::{self, Opened, Source};
use crate::report::finding::Finding;
use crate::report::segment::{SegmentReport, State};
use crate::report::severity::Severity;
use crate::report::undecodable;
use crate::show::json::{FindingObject, RecordObject};
use crate::show::output::Output;
use crate::show::presenter::show_finding;
use mcplog::record::Record;
use mcplog_terminal::line::Line;
use mcplog_terminal::progress::Progress;
use mcplog_terminal::style::{BAD, DIM, GOOD, HEADER, PLAIN, WARNING};
use mcplog_terminal::table::{Cell, Column, Layout};
use mcplog_terminal::units::{bytes, count, counted};
use serde::Serialize;
use std::ops::ControlFlow;

/// Columns before a finding.
const FINDING_INDENT: usize = 3;
/// What the column of sequence numbers has room for where the terminal has.
const LONGEST_RANGE: &str = "9999999999–9999999999";
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
}

/// Reads everything.
pub(crate) fn run(arguments: &VerifyArguments, output: &mut Output) -> Result<Severity, Failure> {
    let sources = source::find(&arguments.paths)?;
    let size = |source: &Source| std::fs::symlink_metadata(&source.path).map_or(0, |metadata| metadata.len());
    let mut progress = Progress::of_bytes("reading", Some(sources.iter().map(size).sum()), false);
    let mut continuity = Continuity::default();
    let layout = layout(&sources, output.width());
    if !arguments.json && !arguments.quiet {
        output.line(&layout.header_beginning("FILE"))?;
    }
    let mut summary = Summary { r#type: "summary", ..Summary::default() };
    for source in &sources {
        let Some(report) = verify(source, &mut continuity, &mut progress, arguments.json, output)? else { continue };
        summary.add(&report);
        progress.suspend(|| {
            if arguments.json {
                output.object(&report)?;
            } else if !arguments.quiet || report.severity() != Severity::Sound {
                show(&report, &layout, output)?;
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
    let before_bytes = progress.done();
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
                    let finding = undecodable::finding(frame.sequence.0, frame.offset.0, error);
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

/// The columns, measured before the first segment is read: rows appear as their segments are done.
fn layout(sources: &[Source], width_max: Option<usize>) -> Layout {
    const COLUMNS: [Column; 5] = [
        Column::left("FILE").cut_to(16),
        Column::left("VERDICT"),
        Column::left("STATE"),
        Column::right("RECORDS"),
        Column::left("SEQUENCE").cut_to(10),
    ];
    let sample: Vec<_> = sources
        .iter()
        .map(|source| {
            let [verdict, state] = [Severity::Unreadable.name(), State::Unsealed.name()];
            let name = source.place(None).file_name();
            vec![
                Cell::owned(name),
                Cell::new(verdict),
                Cell::new(state),
                Cell::new("9,999,999"),
                Cell::new(LONGEST_RANGE),
            ]
        })
        .collect();
    Layout::new(&COLUMNS, "FILE", &sample, width_max)
}

fn show(report: &SegmentReport, layout: &Layout, output: &mut Output) -> std::io::Result<()> {
    let severity = report.severity();
    let is_segment = report.state.is_some();
    let sequences = report.sequences().map_or_else(String::new, |(first, last)| format!("{first}–{last}"));
    let row = layout.row(&[
        Cell::owned(report.place.file_name()).styled(HEADER),
        Cell::new(severity.name()).styled(style_of(severity)),
        Cell::new(report.state.map_or("-", State::name)),
        Cell::owned(if is_segment { count(report.records()) } else { "-".to_owned() }),
        Cell::owned(sequences).styled(DIM),
    ]);
    output.line(&row)?;
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

const fn style_of(severity: Severity) -> anstyle::Style {
    match severity {
        Severity::Sound => GOOD,
        Severity::Attention => WARNING,
        Severity::Unreadable | Severity::Damaged => BAD,
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
    }

    fn show(&self, output: &mut Output) -> std::io::Result<()> {
        let mut line = Line::of(style_of(self.verdict), self.verdict.name());
        let (segments, records) = (counted(self.segments, "segment"), counted(self.records, "record"));
        line.push(PLAIN, format!(": {segments}, {records}, {}", bytes(self.bytes)));
        for (records, what) in [(self.lost_records, "lost"), (self.undecodable_records, "undecodable")] {
            if records > 0 {
                line.push(BAD, format!(", {} {what}", count(records)));
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
            Severity::Sound => return Ok(()),
            Severity::Attention => {
                "A crash left this; nothing that was durable is lost. The next start of the store cuts it off."
            }
            Severity::Unreadable => "Nothing can be said of what could not be read; see above.",
            Severity::Damaged => {
                "Bytes that were safe on disk have changed. Copy the files before anything else, and check the disk. \
                 What is intact stays readable; the store passes over the rest and says so."
            }
        };
        output.paragraph(&Line::new(), DIM, advice)
    }
}
