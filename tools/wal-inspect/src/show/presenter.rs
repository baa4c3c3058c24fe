//! Shows records and findings in order: as JSON lines, or as text under a heading for each segment and day.

use crate::report::fields::{fields, kind_name, time_ms};
use crate::report::place::Place;
use crate::show::json::{FindingObject, RecordObject};
use crate::show::output::Output;
use crate::show::record_text;
use clap::Args;
use mcplog::finding::{Finding, FindingKind, Severity};
use mcplog::record::{Record, RecordError};
use mcplog::segment::FrameAt;
use mcplog::segment::format::FrameHeader;
use mcplog_terminal::clock::Clock;
use mcplog_terminal::hex;
use mcplog_terminal::line::Line;
use mcplog_terminal::style::{BAD, DIM, HEADER, NAME, PLAIN, WARNING};
use std::io;

/// Columns of a writer's id, where there are several: as many as tell a few apart.
const WRITER_WIDTH: usize = 8;
/// Columns of the sequence number; longer ones push the rest aside.
const SEQUENCE_WIDTH: usize = 6;
/// Columns of the offset: the last one of a segment of the default size has seven digits.
const OFFSET_WIDTH: usize = 8;
/// Columns of a field's name; `protocol_version` has sixteen letters.
const FIELD_WIDTH: usize = 16;

/// How records are shown.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Output")]
pub(crate) struct Presentation {
    /// One JSON object per line, with every field (see `wal-inspect json`)
    #[arg(long, conflicts_with_all = ["full", "hex", "offsets"])]
    json: bool,
    /// Every field of a record, each on a line of its own, nothing cut off
    #[arg(long)]
    full: bool,
    /// The bytes of every frame
    #[arg(long)]
    hex: bool,
    /// Where in its file every frame starts
    #[arg(long)]
    offsets: bool,
}

/// Shows what it is given, in order.
pub(crate) struct Presenter {
    pub(crate) output: Output,
    clock: Clock,
    how: Presentation,
    /// File and day of the last heading.
    heading: Option<(String, String)>,
    /// Records of several writers come by turns: each tells its writer, and headings tell the days only.
    has_several: bool,
}

impl Presenter {
    pub(crate) fn new(output: Output, how: Presentation) -> Self {
        Self { output, clock: Clock::system(), how, heading: None, has_several: false }
    }

    /// From here on, records come from one log, or from several by turns.
    pub(crate) fn show_writers(&mut self, has_several: bool) {
        self.has_several = has_several;
        self.heading = None;
    }

    /// Shows a frame and the record in it.
    pub(crate) fn record(
        &mut self,
        place: &Place,
        frame: &FrameAt<'_>,
        record: &Result<Record<'_>, RecordError>,
    ) -> io::Result<()> {
        if self.how.json {
            return self.output.object(&RecordObject { place, frame, record });
        }
        let date = record.as_ref().ok().map(|record| self.clock.date(time_ms(record)));
        if self.has_several {
            self.day(place, date)?;
        } else {
            self.heading(place, date)?;
        }
        let mut line = Line::new();
        if self.has_several {
            let writer = place.writer().map(|writer| writer.to_string()).unwrap_or_default();
            line.push(NAME, format!("{:WRITER_WIDTH$}  ", &writer[..writer.len().min(WRITER_WIDTH)]));
        }
        line.push(DIM, format!("{:>SEQUENCE_WIDTH$}  ", frame.sequence.0));
        if self.how.offsets {
            line.push(DIM, format!("{:>OFFSET_WIDTH$}  ", frame.offset.0));
        }
        match record {
            Ok(record) => {
                line.extend(record_text::summary(record, &self.clock));
                self.output.line(&line)?;
                if self.how.full {
                    self.fields(record)?;
                }
            }
            Err(error) => {
                let (what, style) = if error.newer().is_some() { ("newer", WARNING) } else { ("undecodable", BAD) };
                let text = format!("{what}, {} bytes: {error}", frame.payload.len());
                self.output.paragraph(&line, style, &text)?;
            }
        }
        if self.how.hex {
            self.frame_bytes(place, frame)?;
        }
        Ok(())
    }

    /// Shows a finding, and the first of the bytes that it is about.
    pub(crate) fn finding(&mut self, place: &Place, finding: &Finding, head: &[u8]) -> io::Result<()> {
        if self.how.json {
            return self.output.object(&FindingObject { place, finding });
        }
        self.heading(place, None)?;
        show_finding(&mut self.output, SEQUENCE_WIDTH, finding)?;
        if self.how.hex && finding.kind == FindingKind::DamagedPlace {
            let offset = finding.offset.and_then(|offset| u32::try_from(offset).ok()).unwrap_or_default();
            self.hex_lines(offset, head)?;
            let more = finding.bytes.unwrap_or(0).saturating_sub(head.len() as u64);
            if more > 0 {
                self.output.whole_line(&Line::of(DIM, format!("  … {more} more bytes")))?;
            }
        }
        Ok(())
    }

    /// The heading of a day, where the records of several writers come by turns.
    fn day(&mut self, place: &Place, date: Option<String>) -> io::Result<()> {
        let shown = self.heading.as_ref().filter(|(file, _)| file.is_empty()).map(|(_, day)| day);
        if shown.is_some_and(|shown| date.as_ref().is_none_or(|date| date == shown)) {
            return Ok(());
        }
        // Something undecodable tells the day on which its segment was started.
        let created_at = place.header.map_or(0, |header| header.created_at);
        let date = date.unwrap_or_else(|| self.clock.date(created_at));
        let mut line = Line::of(HEADER, &date);
        line.push(DIM, format!("  {}", self.clock.zone(created_at)));
        line.push(DIM, "  by time, which is no order of cause and effect between writers");
        self.heading = Some((String::new(), date));
        self.output.line(&line)
    }

    fn heading(&mut self, place: &Place, date: Option<String>) -> io::Result<()> {
        let shown = self.heading.as_ref().filter(|(file, _)| *file == place.file);
        let changed = match (shown, &date) {
            (None, _) => true,
            (Some((_, shown)), Some(date)) => shown != date && !shown.is_empty(),
            (Some(_), None) => false,
        };
        if !changed {
            if let (Some((_, shown)), Some(date)) = (&mut self.heading, date) {
                *shown = date;
            }
            return Ok(());
        }
        let mut line = match place.segment {
            Some(segment) => Line::of(HEADER, format!("segment {}", segment.0)),
            None => Line::of(HEADER, place.file_name()),
        };
        // A segment that begins with something undecodable tells the day of its own start.
        let created_at = place.header.map(|header| header.created_at);
        let day = date.clone().or_else(|| created_at.map(|at_ms| self.clock.date(at_ms)));
        if let Some(day) = day {
            line.push(HEADER, format!("  {day}"));
            line.push(DIM, format!("  {}", self.clock.zone(created_at.unwrap_or_default())));
        }
        match place.in_folder() {
            Some(writer) => line.push(DIM, format!("  writer {writer}")),
            None => line.push(DIM, format!("  {}", place.file)),
        }
        self.heading = Some((place.file.clone(), date.unwrap_or_default()));
        self.output.line(&line)
    }

    fn fields(&mut self, record: &Record<'_>) -> io::Result<()> {
        let indent = SEQUENCE_WIDTH + 2;
        let mut all = vec![("kind", kind_name(record.kind()).into())];
        all.extend(fields(record));
        for (name, value) in all {
            let mut first = Line::new();
            first.push_spaces(indent);
            first.push(NAME, format!("{name:FIELD_WIDTH$}  "));
            let text = value.to_string();
            if text.trim_matches(' ').is_empty() {
                // Empty is not absent: absent is a dash.
                first.push(DIM, "(empty)");
                self.output.whole_line(&first)?;
            } else {
                self.output.paragraph(&first, PLAIN, &text)?;
            }
        }
        Ok(())
    }

    /// The frame as it is in the file. Its header is made again from what was read: the checksum says it was the same.
    fn frame_bytes(&mut self, place: &Place, frame: &FrameAt<'_>) -> io::Result<()> {
        let Some(header) = place.header else { return Ok(()) };
        let index = u32::try_from(frame.sequence.0.saturating_sub(header.base_sequence.0)).unwrap_or(u32::MAX);
        let words = FrameHeader::for_payload(header.salt, index, frame.payload);
        let mut bytes = Vec::with_capacity(frame.payload.len() + 16);
        for word in [words.length, words.index, words.crc] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(frame.payload);
        bytes.resize(mcplog::segment::format::frame_bytes(words.length) as usize, 0);
        self.hex_lines(frame.offset.0, &bytes)
    }

    fn hex_lines(&mut self, offset: u32, bytes: &[u8]) -> io::Result<()> {
        for line in hex::lines(offset, bytes) {
            self.output.whole_line(&Line::of(DIM, line))?;
        }
        Ok(())
    }
}

/// Whose segments follow, and where they lie.
pub(crate) fn writer_line(place: &Place) -> Line {
    let mut line = match place.writer() {
        Some(writer) => Line::of(NAME, format!("writer {writer}")),
        None => Line::of(DIM, "no writer that is known"),
    };
    line.push(DIM, format!("  {}", place.directory()));
    line
}

/// A finding as a paragraph, behind a mark in its colour.
pub(crate) fn show_finding(output: &mut Output, indent: usize, finding: &Finding) -> io::Result<()> {
    let (style, sign) = match finding.severity {
        Severity::Sound => (DIM, "-"),
        Severity::Attention => (WARNING, "!"),
        _ => (BAD, "!"),
    };
    let first = Line::of(style, format!("{sign:>indent$}  "));
    let offset = finding.offset.map_or_else(String::new, |offset| format!("offset {offset}: "));
    output.paragraph(&first, style, &format!("{offset}{}", finding.text))
}

/// What to do about it, below the finding.
pub(crate) fn show_next_step(output: &mut Output, indent: usize, finding: &Finding) -> io::Result<()> {
    let mut first = Line::new();
    first.push_spaces(indent + 2);
    output.paragraph(&first, DIM, &format!("Next: {}", finding.next_step))
}
