//! `wal-inspect list`: one row for each segment. Reads headers, marks, and what lies behind the durable mark.

use crate::arguments::ListArguments;
use crate::failure::Failure;
use crate::read::scan::{self, Found};
use crate::read::source::{self, Opened, Source};
use crate::read::target;
use crate::report::place::Place;
use crate::report::segment::{SegmentReport, State};
use crate::show::json::FindingObject;
use crate::show::output::Output;
use crate::show::presenter::{show_finding, writer_line};
use mcplog::finding::{Finding, FindingKind, Severity};
use mcplog::segment::SegmentReader;
use mcplog_terminal::clock::Clock;
use mcplog_terminal::clock::TimeStyle;
use mcplog_terminal::line::Line;
use mcplog_terminal::style::{BAD, DIM, GOOD, HEADER, PLAIN, WARNING};
use mcplog_terminal::table::{Cell, Column, table};
use mcplog_terminal::units::{bytes, count};
use std::ops::ControlFlow;

const COLUMNS: [Column; 7] = [
    Column::right("SEGMENT"),
    Column::left("STATE"),
    Column::left("CREATED"),
    Column::right("RECORDS"),
    Column::left("SEQUENCE").cut_to(12),
    Column::right("SIZE"),
    Column::left("DURABLE"),
];
const FILE: Column = Column::left("FILE").droppable(2);
/// Columns before a finding.
const FINDING_INDENT: usize = 7;

/// A row, and what there is to say of the log before it.
struct Row {
    before: Vec<Finding>,
    report: SegmentReport,
}

/// Shows the segments.
pub(crate) fn run(arguments: &ListArguments, output: &mut Output) -> Result<Severity, Failure> {
    let mut rows = Vec::new();
    for source in source::find(&target::find(&arguments.paths, arguments.writer.as_ref())?)? {
        rows.extend(look_at(&source)?.map(|report| Row { before: source.before, report }));
    }
    if arguments.json {
        for Row { before, report } in &rows {
            for finding in before {
                output.object(&FindingObject { place: &Place::of_log(&finding.path), finding })?;
            }
            for finding in &report.findings {
                output.object(&FindingObject { place: &report.place, finding })?;
            }
            output.object(report)?;
        }
    } else {
        show(&rows, output)?;
    }
    let before = rows.iter().flat_map(|row| &row.before).map(|finding| finding.severity).max();
    let segments = rows.iter().map(|row| row.report.severity()).max();
    Ok(before.max(segments).unwrap_or_default())
}

fn look_at(source: &Source) -> Result<Option<SegmentReport>, Failure> {
    let mut reader = match source.open()? {
        Opened::Segment(reader) => reader,
        Opened::Other(finding) => {
            let mut report = SegmentReport::new(source.place(None));
            report.bytes = std::fs::symlink_metadata(&source.path).map_or(0, |metadata| metadata.len());
            report.add(finding);
            return Ok(Some(report));
        }
        Opened::Retired => return Ok(None),
    };
    let header = *reader.header();
    let mut report = SegmentReport::new(source.place(Some(header)));
    report.findings.extend(source.part_findings(&header));
    if let Some(finding) = cut_below_the_mark(&reader)? {
        report.add(source.foresee(finding));
    } else {
        let durable = reader.mark().durable;
        reader.seek(durable);
        let _ = scan::to_end(&mut reader, &mut |found| {
            if let Found::Finding(finding) = found {
                report.add(source.foresee(finding));
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    report.read_to_end(&reader, source.may_be_active)?;
    report.count_believed(|first, last| source.count_read(first, last));
    Ok(Some(report))
}

fn cut_below_the_mark(reader: &SegmentReader) -> Result<Option<Finding>, Failure> {
    let (bytes, durable) = (reader.file_bytes()?, reader.mark().durable.end);
    // No look at where frames end: a mark is about bytes, and those are not there.
    Ok((bytes < u64::from(durable.0)).then(|| {
        let text =
            format!("the file ends at {bytes}, below its durable mark at {durable}; `wal-inspect verify` says more");
        Finding::new(FindingKind::DamagedPlace, reader.path(), text)
    }))
}

fn show(listed: &[Row], output: &mut Output) -> Result<(), Failure> {
    let clock = Clock::system();
    let columns: Vec<_> = COLUMNS.into_iter().chain([FILE]).collect();
    let rows: Vec<_> = listed.iter().map(|listed| row(&listed.report, &clock)).collect();
    let lines = table(&columns, "SEGMENT", &rows, output.width());
    let Some((heading, rows)) = lines.split_first() else {
        return Ok(output.line(&Line::of(DIM, "no log waits: all that was recorded is folded"))?);
    };
    output.line(heading)?;
    let mut shown = None;
    for (Row { before, report }, row) in listed.iter().zip(rows) {
        let log = (report.place.writer(), report.place.directory());
        if shown.as_ref() != Some(&log) {
            output.line(&writer_line(&report.place))?;
            shown = Some(log);
        }
        for finding in before {
            show_finding(output, FINDING_INDENT, finding)?;
        }
        output.line(row)?;
        for finding in &report.findings {
            show_finding(output, FINDING_INDENT, finding)?;
        }
    }
    Ok(())
}

fn row(report: &SegmentReport, clock: &Clock) -> Vec<Cell<'static>> {
    let dash = || "-".to_owned();
    let header = report.place.header;
    let (state, style) = match (report.state, report.severity()) {
        (None, severity) => (severity.name(), BAD),
        (Some(state), Severity::Unreadable | Severity::Damaged) => (state.name(), BAD),
        (Some(State::Active), _) => (State::Active.name(), GOOD),
        (Some(State::Unsealed), _) => (State::Unsealed.name(), WARNING),
        (Some(State::Sealed), _) => (State::Sealed.name(), PLAIN),
    };
    let durable = match report.durable {
        None => dash(),
        Some(_) if report.is_durable() => "all".to_owned(),
        Some((_, sequence)) if header.is_some_and(|header| sequence < header.base_sequence) => "none".to_owned(),
        Some((_, sequence)) => format!("–{sequence}"),
    };
    vec![
        Cell::owned(report.place.segment.map_or_else(dash, |segment| segment.0.to_string())).styled(HEADER),
        Cell::new(state).styled(style),
        Cell::owned(header.map_or_else(dash, |header| clock.time(header.created_at, TimeStyle::FullMinutes))),
        Cell::owned(report.state.map_or_else(dash, |_| count(report.records))),
        Cell::owned(report.sequences().map_or_else(dash, |(first, last)| format!("{first}–{last}"))),
        Cell::owned(bytes(report.bytes)),
        Cell::owned(durable),
        Cell::owned(report.place.file_name()).styled(DIM),
    ]
}
