//! `mcplog check`: whether a store is sound, in a few lines or as JSON.
//!
//! Runs on the main thread. It only reads.

use super::limits;
use crate::arguments::CheckArgs;
use crate::error::{CliError, EXIT_ATTENTION, EXIT_DAMAGED, EXIT_OK};
use anstyle::Style;
use mcplog::check::{CheckReport, CheckedPart};
use mcplog::store::{Finding, Severity};
use mcplog_terminal::json;
use mcplog_terminal::progress::Progress;
use mcplog_terminal::style::{BAD, DIM, GOOD, HEADER, WARNING};
use mcplog_terminal::text::{escape, wrap};
use mcplog_terminal::units::{bytes, count, counted};
use mcplog_terminal::view::View;
use std::io::Write;
use std::path::Path;

/// Columns before the text of a finding.
const INDENT: usize = 4;

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
    let report =
        report.map_err(|error| CliError::Failed(format!("{error}; there is no store here, or it is not readable")))?;
    if args.json {
        json::write_line(out, &report)?;
    } else {
        show(&report, dir, view, out)?;
    }
    Ok(match report.verdict {
        Severity::Sound => EXIT_OK,
        Severity::Unfinished => EXIT_ATTENTION,
        _ => EXIT_DAMAGED,
    })
}

fn show(report: &CheckReport, dir: &Path, view: &View, out: &mut dyn Write) -> Result<(), CliError> {
    let name = escape(&dir.display().to_string()).into_owned();
    let in_use = if report.in_use { ", in use" } else { "" };
    writeln!(out, "{HEADER}{name}{HEADER:#}{DIM}{in_use}{DIM:#}")?;
    let log = format!(
        "{}, {}; {}, {} to be folded",
        counted(report.segments, "segment"),
        bytes(report.log_bytes),
        counted(report.records, "record"),
        count(report.unfolded_records),
    );
    line(out, "log", &log)?;
    let database = match (report.requests, report.sessions, report.database_bytes) {
        (Some(requests), Some(sessions), Some(size)) => {
            format!("{}, {}; {}", counted(requests, "request"), counted(sessions, "session"), bytes(size))
        }
        _ => "can't be read".to_owned(),
    };
    line(out, "database", &database)?;
    if let Some(kept) = &report.limits {
        line(out, "keeps", &limits::sentence(kept))?;
    }
    let losses = [
        (i128::from(report.dropped_events.unwrap_or(0)), "event dropped", "events dropped"),
        (report.quarantined.unwrap_or(0).into(), "entry in table quarantine", "entries in table quarantine"),
    ];
    let losses: Vec<String> = losses
        .iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, one, many)| format!("{} {}", count(*number), if *number == 1 { one } else { many }))
        .collect();
    let none = if report.requests.is_some() { "nothing" } else { "not known" };
    line(out, "lost", &if losses.is_empty() { none.to_owned() } else { losses.join(", ") })?;
    if report.quarantine_files > 0 {
        line(out, "aside", &format!("{} in quarantine/", counted(report.quarantine_files, "file")))?;
    }
    if let Some(steps) = report.clock_steps.filter(|steps| *steps > 0) {
        line(out, "clock", &format!("set {}; table clock_steps says when", counted(steps, "time")))?;
    }
    for finding in &report.findings {
        writeln!(out)?;
        show_finding(finding, dir, view, out)?;
    }
    let (style, verdict) = appearance(report.verdict);
    writeln!(out, "\n{style}{verdict}{style:#}")?;
    Ok(())
}

fn line(out: &mut dyn Write, name: &str, text: &str) -> Result<(), CliError> {
    writeln!(out, "  {name:<10}{text}")?;
    Ok(())
}

fn show_finding(finding: &Finding, dir: &Path, view: &View, out: &mut dyn Write) -> Result<(), CliError> {
    let (style, name) = appearance(finding.severity);
    let path = finding.path.strip_prefix(dir).ok().filter(|path| !path.as_os_str().is_empty()).unwrap_or(&finding.path);
    let path = escape(&path.display().to_string()).into_owned();
    let offset = finding.offset.map_or(String::new(), |offset| format!(", offset {offset}"));
    writeln!(out, "{style}{name}{style:#}  {path}{offset}")?;
    for row in wrap(&escape(&finding.text), view.width.unwrap_or(usize::MAX).saturating_sub(INDENT).max(20)) {
        writeln!(out, "{:INDENT$}{row}", "")?;
    }
    Ok(())
}

fn appearance(severity: Severity) -> (Style, &'static str) {
    match severity {
        Severity::Sound => (GOOD, "sound"),
        Severity::Unfinished => (WARNING, "attention"),
        _ => (BAD, "damaged"),
    }
}
