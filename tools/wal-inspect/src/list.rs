//! `wal-inspect list`: one row for each segment. Reads headers, marks, and what lies behind the durable mark.

use crate::arguments::ListArguments;
use crate::clock::Clock;
use crate::continuity::Continuity;
use crate::escape::escape;
use crate::failure::Failure;
use crate::finding::Finding;
use crate::json::FindingObject;
use crate::line::{BAD, BOLD, DIM, GOOD, Line, NAME, PLAIN, WARNING};
use crate::output::Output;
use crate::presenter::show_finding;
use crate::report::{SegmentReport, State};
use crate::scan::{self, Found};
use crate::severity::Severity;
use crate::source::{self, Opened, Source};
use crate::table::{Align, align, human_bytes};
use mcplog::position::WriterId;
use mcplog::segment::SegmentReader;
use std::ops::ControlFlow;

/// Columns before a finding.
const FINDING_INDENT: usize = 7;

/// Shows the segments.
pub(crate) fn run(arguments: &ListArguments, output: &mut Output) -> Result<Severity, Failure> {
    let mut continuity = Continuity::default();
    let mut reports = Vec::new();
    for source in source::find(&arguments.paths)? {
        reports.extend(look_at(&source, &mut continuity)?);
    }
    if arguments.json {
        for report in &reports {
            for finding in &report.findings {
                output.object(&FindingObject { place: &report.place, finding })?;
            }
            output.object(report)?;
        }
    } else {
        show(&reports, output)?;
    }
    Ok(reports.iter().map(SegmentReport::severity).max().unwrap_or_default())
}

fn look_at(source: &Source, continuity: &mut Continuity) -> Result<Option<SegmentReport>, Failure> {
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
    for finding in continuity.check(&source.path, source.name_id, &header) {
        report.add(finding);
    }
    if let Some(finding) = cut_below_the_mark(&reader)? {
        report.add(finding);
    } else {
        let durable = reader.mark().durable;
        reader.seek(durable);
        let _ = scan::to_end(&mut reader, &mut |found| {
            if let Found::Finding(finding) = found {
                report.add(finding);
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    report.read_to_end(&reader, source.may_be_active)?;
    continuity.passed(&source.path, &header, reader.next_sequence());
    Ok(Some(report))
}

fn cut_below_the_mark(reader: &SegmentReader) -> Result<Option<Finding>, Failure> {
    let (bytes, durable) = (reader.file_bytes()?, reader.mark().durable.end);
    // No look at where frames end: a mark is about bytes, and those are not there.
    Ok((bytes < u64::from(durable.0)).then(|| Finding::Contradiction {
        reason: format!(
            "the file ends at {bytes}, below its durable mark at {durable}; `wal-inspect verify` says more"
        ),
        severity: Severity::Corrupt,
    }))
}

fn show(reports: &[SegmentReport], output: &mut Output) -> Result<(), Failure> {
    let writers: Vec<WriterId> = reports.iter().filter_map(|report| Some(report.place.header?.writer_id)).collect();
    let one_writer = writers.windows(2).all(|pair| pair[0] == pair[1]);
    if let (Some(writer), true) = (writers.first(), one_writer) {
        output.line(&Line::of(DIM, format!("writer {writer}")))?;
    }
    let clock = Clock::local();
    let layouts = [
        Layout { file: true, writer: !one_writer, seconds: true },
        Layout { file: false, writer: !one_writer, seconds: true },
        Layout { file: false, writer: !one_writer, seconds: false },
        Layout { file: false, writer: false, seconds: false },
    ];
    let tables = layouts.map(|layout| table(reports, &clock, layout));
    let fits = |table: &Vec<Line>| {
        let width = table.iter().map(Line::width).max().unwrap_or_default();
        output.width().is_none_or(|max| width <= max)
    };
    let [.., narrowest] = &tables;
    let rows = tables.iter().find(|table| fits(table)).unwrap_or(narrowest);
    let Some((heading, rows)) = rows.split_first() else { return Ok(()) };
    output.line(heading)?;
    for (report, row) in reports.iter().zip(rows) {
        output.line(row)?;
        for finding in &report.findings {
            show_finding(output, FINDING_INDENT, finding)?;
        }
    }
    Ok(())
}

/// Which columns there is room for.
#[derive(Clone, Copy)]
struct Layout {
    file: bool,
    writer: bool,
    seconds: bool,
}

fn table(reports: &[SegmentReport], clock: &Clock, layout: Layout) -> Vec<Line> {
    use Align::{Left, Right};
    let mut columns = vec![Right, Left, Left, Right, Left, Right, Left];
    let mut heading = vec!["SEGMENT", "STATE", "CREATED", "RECORDS", "SEQUENCE", "SIZE", "DURABLE"];
    for (wanted, name) in [(layout.file, "FILE"), (layout.writer, "WRITER")] {
        if wanted {
            columns.push(Left);
            heading.push(name);
        }
    }
    let mut rows = vec![heading.into_iter().map(|name| Line::of(DIM, name)).collect()];
    rows.extend(reports.iter().map(|report| row(report, clock, layout)));
    align(&columns, rows)
}

fn row(report: &SegmentReport, clock: &Clock, layout: Layout) -> Vec<Line> {
    let dash = || "-".to_owned();
    let header = report.place.header;
    let created = header.map_or_else(dash, |header| {
        if layout.seconds { clock.seconds(header.created_at) } else { clock.minutes(header.created_at) }
    });
    let (state, style) = match (report.state, report.severity()) {
        (None, severity) => (severity.name(), BAD),
        (Some(state), Severity::Unreadable | Severity::Corrupt) => (state.name(), BAD),
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
    let mut row = vec![
        Line::of(BOLD, report.place.segment.map_or_else(dash, |segment| segment.0.to_string())),
        Line::of(style, state),
        Line::of(PLAIN, created),
        Line::of(PLAIN, report.state.map_or_else(dash, |_| report.records().to_string())),
        Line::of(PLAIN, report.sequences().map_or_else(dash, |(first, last)| format!("{first}–{last}"))),
        Line::of(PLAIN, human_bytes(report.bytes)),
        Line::of(PLAIN, durable),
    ];
    if layout.file {
        row.push(Line::of(DIM, escape(&report.place.file)));
    }
    if layout.writer {
        row.push(Line::of(NAME, header.map_or_else(dash, |header| header.writer_id.to_string())));
    }
    row
}
