//! `mcplog check`: whether a store is sound, in a few lines or as JSON.
//!
//! Runs on the main thread. It only reads.

use crate::cli::CheckArgs;
use crate::error::{CliError, EXIT_DAMAGED, EXIT_OK, EXIT_UNFINISHED};
use crate::json;
use crate::text::escape;
use crate::units::{bytes, count, counted};
use crate::view::{BAD, DIM, GOOD, HEADER, View, WARNING};
use anstyle::Style;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mcplog::check::{CheckReport, CheckedPart};
use mcplog::store::{Finding, Severity};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// The bar's length: thousandths.
const STEPS: u64 = 1_000;
/// How often the bar moves by itself while SQLite checks, which does not tell how far it is.
const TICK: Duration = Duration::from_millis(120);
/// Columns before the text of a finding.
const INDENT: usize = 4;

/// Runs the command; returns the exit code.
pub(crate) fn run(args: &CheckArgs, view: &View, out: &mut dyn Write) -> Result<u8, CliError> {
    if args.plan {
        super::check_plan::run(args, view, out)?;
        return Ok(EXIT_OK);
    }
    let dir = &args.store.dir;
    let report = with_progress(|tell| mcplog::check(dir, args.quick, tell))
        .map_err(|error| CliError::Failed(format!("{error}; there is no store here, or it is not readable")))?;
    if args.json {
        json::write_line(out, &report)?;
    } else {
        show(&report, dir, view, out)?;
    }
    Ok(match report.verdict {
        Severity::Sound => EXIT_OK,
        Severity::Unfinished => EXIT_UNFINISHED,
        _ => EXIT_DAMAGED,
    })
}

/// Draws a bar on stderr while `work` runs, and only where that is a terminal.
fn with_progress<T>(work: impl FnOnce(&mut dyn FnMut(mcplog::check::CheckProgress)) -> T) -> T {
    let bar = ProgressBar::new(STEPS);
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
    if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} checking {msg} {wide_bar:.cyan/dim}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    let done = work(&mut |progress| {
        bar.set_message(if progress.part == CheckedPart::Log { "the log" } else { "the database" });
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share from 0 to 1")]
        bar.set_position((progress.log_done * STEPS as f64) as u64);
    });
    bar.finish_and_clear();
    done
}

fn show(report: &CheckReport, dir: &Path, view: &View, out: &mut dyn Write) -> Result<(), CliError> {
    let name = escape(&dir.display().to_string()).into_owned();
    let in_use = if report.in_use { ", in use" } else { "" };
    writeln!(out, "{HEADER}{name}{HEADER:#}{DIM}{in_use}{DIM:#}")?;
    let unsigned = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let log = format!(
        "{}, {}; {}, {} to be folded",
        counted(unsigned(report.segments), "segment"),
        bytes(report.log_bytes),
        counted(unsigned(report.records), "record"),
        count(unsigned(report.unfolded_records)),
    );
    line(out, "log", &log)?;
    let database = match (report.requests, report.sessions, report.database_bytes) {
        (Some(requests), Some(sessions), Some(size)) => {
            format!("{}, {}; {}", counted(requests, "request"), counted(sessions, "session"), bytes(size))
        }
        _ => "can't be read".to_owned(),
    };
    line(out, "database", &database)?;
    let losses = [
        (report.dropped_events.unwrap_or(0), "event dropped", "events dropped"),
        (report.quarantined.unwrap_or(0), "entry in table quarantine", "entries in table quarantine"),
        (unsigned(report.quarantine_files), "file in quarantine/", "files in quarantine/"),
    ];
    let losses: Vec<String> = losses
        .iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, one, many)| format!("{} {}", count(*number), if *number == 1 { one } else { many }))
        .collect();
    let none = if report.requests.is_some() { "nothing" } else { "not known" };
    line(out, "lost", &if losses.is_empty() { none.to_owned() } else { losses.join(", ") })?;
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
    for row in wrapped(&escape(&finding.text), view.width.unwrap_or(usize::MAX).saturating_sub(INDENT).max(20)) {
        writeln!(out, "{:INDENT$}{row}", "")?;
    }
    Ok(())
}

fn appearance(severity: Severity) -> (Style, &'static str) {
    match severity {
        Severity::Sound => (GOOD, "sound"),
        Severity::Unfinished => (WARNING, "unfinished"),
        _ => (BAD, "damaged"),
    }
}

/// The text in lines of at most `width` characters, broken at spaces; a longer word has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_spaces() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("extraordinary one", 5), ["extraordinary", "one"]);
        assert_eq!(wrapped("", 5), [""]);
    }
}
