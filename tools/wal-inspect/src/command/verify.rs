//! `wal-inspect verify`: reads everything, and says whether it is sound.

use crate::arguments::VerifyArguments;
use crate::failure::Failure;
use crate::read::scan::{self, Found};
use crate::read::source::{self, Opened, Source};
use crate::read::target;
use crate::report::place::Place;
use crate::report::segment::{SegmentReport, State};
use crate::show::json::{FindingObject, RecordObject};
use crate::show::output::Output;
use crate::show::presenter::{show_finding, show_next_step, writer_line};
use mcplog::finding::{Finding, FindingKind, Severity};
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
    logs: u64,
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
    let sources = source::find(&target::find(&arguments.paths, arguments.writer.as_ref())?)?;
    let size = |source: &Source| std::fs::symlink_metadata(&source.path).map_or(0, |metadata| metadata.len());
    let mut progress = Progress::of_bytes("reading", Some(sources.iter().map(size).sum()), false);
    let layout = layout(&sources, output.width());
    if !arguments.json && !arguments.quiet {
        output.line(&layout.header_beginning("FILE"))?;
    }
    let mut summary = Summary { r#type: "summary", ..Summary::default() };
    let mut shown = None;
    for source in &sources {
        for finding in &source.before {
            summary.add_missing(finding);
            progress.suspend(|| match arguments.json {
                true => output.object(&FindingObject { place: &Place::of_log(&finding.path), finding }),
                false if arguments.quiet && finding.severity == Severity::Sound => Ok(()),
                false => show_findings(std::slice::from_ref(finding), output),
            })?;
        }
        let Some(report) = verify(source, &mut progress, arguments.json, output)? else { continue };
        let log = (report.place.writer(), report.place.directory());
        let is_next = shown.as_ref() != Some(&log);
        shown = Some(log);
        summary.logs += u64::from(is_next);
        summary.add(&report);
        progress.suspend(|| {
            if arguments.json {
                output.object(&report)?;
            } else if !arguments.quiet || report.severity() != Severity::Sound {
                if is_next {
                    output.line(&writer_line(&report.place))?;
                }
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
    let place = source.place(Some(*reader.header()));
    let mut report = SegmentReport::new(place.clone());
    for finding in source.part_findings(reader.header()) {
        tell(json, output, &mut report, finding)?;
    }
    let _ = scan::to_end(&mut reader, &mut |found| {
        match found {
            Found::Frame(frame) => {
                progress.at(before_bytes + u64::from(frame.offset.0));
                report.records += 1;
                report.read_records += u64::from(source.is_read(frame.sequence));
                let record = Record::decode(frame.payload);
                if let Err(error) = &record {
                    report.note_undecodable(error);
                    let finding = error.finding(&source.path, frame.offset, frame.sequence);
                    if json {
                        output.object(&RecordObject { place: &place, frame: &frame, record: &record })?;
                    }
                    if report.unread_records() <= UNDECODABLE_NAMED_MAX || finding.severity > report.severity() {
                        report.add(finding);
                    }
                }
            }
            Found::Finding(finding) => {
                report.missing_records += source.lost_with(&finding);
                tell(json, output, &mut report, source.foresee(finding))?;
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    report.read_to_end(&reader, source.may_be_active)?;
    progress.at(before_bytes + report.bytes);
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
        Cell::owned(if is_segment { count(report.records) } else { "-".to_owned() }),
        Cell::owned(sequences).styled(DIM),
    ]);
    output.line(&row)?;
    show_findings(&report.findings, output)?;
    let unnamed = report.unread_records().saturating_sub(UNDECODABLE_NAMED_MAX);
    if unnamed > 0 {
        output
            .line(&Line::of(DIM, format!("{:FINDING_INDENT$}  … {unnamed} more records that can't be decoded", "")))?;
    }
    Ok(())
}

/// Each, and below it what to do about it. Of several that want the same, the last one says it.
fn show_findings(findings: &[Finding], output: &mut Output) -> std::io::Result<()> {
    for (place, finding) in findings.iter().enumerate() {
        show_finding(output, FINDING_INDENT, finding)?;
        if findings.get(place + 1).is_none_or(|following| following.next_step != finding.next_step) {
            show_next_step(output, FINDING_INDENT, finding)?;
        }
    }
    Ok(())
}

const fn style_of(severity: Severity) -> anstyle::Style {
    match severity {
        Severity::Sound => GOOD,
        Severity::Attention => WARNING,
        _ => BAD,
    }
}

impl Summary {
    fn add(&mut self, report: &SegmentReport) {
        self.segments += 1;
        self.records += report.read_records;
        self.bytes += report.bytes;
        self.lost_records += report.lost_records;
        self.missing_records += report.missing_records;
        self.undecodable_records += report.undecodable_records;
        self.newer_records += report.newer_records;
        self.verdict = self.verdict.max(report.severity());
    }

    /// Adds what there is to say of the log as a whole.
    fn add_missing(&mut self, finding: &Finding) {
        if matches!(finding.kind, FindingKind::MissingRecords | FindingKind::UndurableRecordsMissing) {
            self.missing_records += finding.records.unwrap_or(0);
        }
        self.verdict = self.verdict.max(finding.severity);
    }

    fn show(&self, output: &mut Output) -> std::io::Result<()> {
        let mut line = Line::of(style_of(self.verdict), self.verdict.name());
        let (segments, records) = (counted(self.segments, "segment"), counted(self.records, "record"));
        let logs = if self.logs > 1 { format!("{}, ", counted(self.logs, "log")) } else { String::new() };
        line.push(PLAIN, format!(": {logs}{segments}, {records}, {}", bytes(self.bytes)));
        for (records, what) in
            [(self.missing_records, "lost"), (self.lost_records, "damaged"), (self.undecodable_records, "undecodable")]
        {
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
        Ok(())
    }
}
