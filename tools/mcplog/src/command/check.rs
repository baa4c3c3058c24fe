//! `mcplog check`: whether a store is sound, in a few lines or as JSON.
//!
//! Runs on the main thread. It only reads.

use super::limits;
use crate::arguments::CheckArgs;
use crate::error::{CliError, EXIT_OK};
use anstyle::Style;
use mcplog::check::{CheckReport, CheckedPart};
use mcplog::store::{Finding, Severity};
use mcplog_terminal::json;
use mcplog_terminal::progress::Progress;
use mcplog_terminal::style::{BAD, GOOD, HEADER, WARNING};
use mcplog_terminal::text::{self, escape, wrap};
use mcplog_terminal::units::{bytes, count, counted};
use mcplog_terminal::view::View;
use std::io::Write;
use std::path::Path;

/// Columns before the text of a finding.
const INDENT: usize = 4;
/// Columns before what a line of the summary says.
const NAME_COLUMNS: usize = 12;
/// The longest verdict, and two columns.
const VERDICT_COLUMNS: usize = 12;
/// No terminal is narrower than this: there, lines get longer than it.
const NARROWEST: usize = 20;

/// Runs the command; returns the exit code.
pub(crate) fn run(args: &CheckArgs, view: &View, out: &mut dyn Write) -> Result<u8, CliError> {
    if args.plan {
        super::check_plan::run(args, view, out)?;
        return Ok(EXIT_OK);
    }
    let dir = &args.store.dir;
    // SQLite does not tell how far its own check is: the bar then moves by itself.
    let mut progress = Progress::of_share("checking");
    let report = mcplog::check(dir, args.quick, |done| {
        progress.say(if done.part == CheckedPart::Log { "the log" } else { "the database" });
        progress.at_share(done.log_done);
    });
    drop(progress);
    let report = report?;
    if args.json {
        json::write_line(out, &report)?;
    } else {
        show(&report, dir, view, out)?;
    }
    Ok(report.verdict.exit_code())
}

fn show(report: &CheckReport, dir: &Path, view: &View, out: &mut dyn Write) -> Result<(), CliError> {
    let mut page = Page { width: view.width.unwrap_or(usize::MAX), out };
    let in_use = if report.in_use { ", in use" } else { "" };
    for row in rows(&escape(&format!("{}{in_use}", dir.display())), page.width) {
        writeln!(page.out, "{HEADER}{row}{HEADER:#}")?;
    }
    let unfolded = match report.unfolded_records {
        Some(records) => format!("{} to be folded", count(records)),
        None => "nobody knows which are folded".to_owned(),
    };
    page.line(
        "log",
        &format!(
            "{}, {}; {}, {unfolded}",
            counted(report.segments, "segment"),
            bytes(report.log_bytes),
            counted(report.records, "record"),
        ),
    )?;
    let database = match (report.requests, report.sessions, report.database_bytes) {
        (Some(requests), Some(sessions), Some(size)) => {
            format!("{}, {}; {}", counted(requests, "request"), counted(sessions, "session"), bytes(size))
        }
        _ => "can't be read".to_owned(),
    };
    page.line("database", &database)?;
    if let Some(kept) = &report.limits {
        page.line("keeps", &limits::sentence(kept))?;
    }
    page.line("lost", &lost(report))?;
    if let Some(entries) = report.quarantined.filter(|entries| *entries > 0) {
        let noun = if entries == 1 { "entry" } else { "entries" };
        page.line("noted", &format!("{} {noun} in table quarantine", count(entries)))?;
    }
    if let Some(files) = report.unreadable_files.filter(|files| *files > 0) {
        let they = if files == 1 { "it" } else { "they" };
        let files = counted(files, "file");
        page.line("unreadable", &format!("{files} of the log: nobody knows how many records {they} held"))?;
    }
    if report.quarantine_files > 0 {
        page.line("aside", &format!("{} in quarantine/", counted(report.quarantine_files, "file")))?;
    }
    if let Some(steps) = report.clock_steps.filter(|steps| *steps > 0) {
        page.line("clock", &format!("set {}; table clock_steps says when", counted(steps, "time")))?;
    }
    for (place, finding) in report.findings.iter().enumerate() {
        // Of several that want the same, the last one says it.
        let following = report.findings.get(place + 1);
        let is_last = following.is_none_or(|following| following.next_step != finding.next_step);
        page.finding(finding, dir, is_last)?;
    }
    let (style, verdict) = appearance(report.verdict);
    writeln!(page.out, "\n{style}{verdict}{style:#}")?;
    Ok(())
}

/// What is known to be lost.
fn lost(report: &CheckReport) -> String {
    let losses = [
        (i128::from(report.dropped_events.unwrap_or(0)), "event dropped", "events dropped"),
        (report.lost_records.into(), "record of the log", "records of the log"),
    ];
    let mut losses: Vec<String> = losses
        .iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, one, many)| format!("{} {}", count(*number), if *number == 1 { one } else { many }))
        .collect();
    if report.requests.is_none() {
        losses.push("the database can't tell".to_owned());
    }
    if losses.is_empty() { "nothing".to_owned() } else { losses.join(", ") }
}

/// What is shown, and how many columns it may take.
struct Page<'a> {
    width: usize,
    out: &'a mut dyn Write,
}

impl Page<'_> {
    fn line(&mut self, name: &str, text: &str) -> Result<(), CliError> {
        let mut name = name;
        for row in wrap(text, self.width.saturating_sub(NAME_COLUMNS).max(NARROWEST)) {
            writeln!(self.out, "  {:<1$}{row}", std::mem::take(&mut name), NAME_COLUMNS - 2)?;
        }
        Ok(())
    }

    fn finding(&mut self, finding: &Finding, dir: &Path, with_next_step: bool) -> Result<(), CliError> {
        let (style, name) = appearance(finding.severity);
        let path = finding.path.strip_prefix(dir).ok().filter(|path| !path.as_os_str().is_empty());
        let path = escape(&path.unwrap_or(&finding.path).display().to_string()).into_owned();
        let offset = finding.offset.map_or(String::new(), |offset| format!(", offset {offset}"));
        writeln!(self.out)?;
        let mut name = format!("{style}{name}{style:#}  ");
        for row in rows(&format!("{path}{offset}"), self.width.saturating_sub(VERDICT_COLUMNS).max(NARROWEST)) {
            writeln!(self.out, "{name}{row}")?;
            name = " ".repeat(INDENT);
        }
        self.indented(&finding.text)?;
        if with_next_step { self.indented(&format!("Next: {}", finding.next_step)) } else { Ok(()) }
    }

    fn indented(&mut self, text: &str) -> Result<(), CliError> {
        for row in wrap(&escape(text), self.width.saturating_sub(INDENT).max(NARROWEST)) {
            writeln!(self.out, "{:INDENT$}{row}", "")?;
        }
        Ok(())
    }
}

/// A path in lines of at most `columns`. One that fits stays as it is, whatever spaces it has.
fn rows(path: &str, columns: usize) -> Vec<String> {
    if text::width(path) <= columns { vec![path.to_owned()] } else { wrap(path, columns) }
}

fn appearance(severity: Severity) -> (Style, &'static str) {
    let style = match severity {
        Severity::Sound => GOOD,
        Severity::Attention => WARNING,
        _ => BAD,
    };
    (style, severity.name())
}
