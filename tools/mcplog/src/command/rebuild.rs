//! `mcplog rebuild`: makes the database anew, from its rows or from the log.
//!
//! Runs on the main thread, as the only writer of the store meanwhile.

use super::limits;
use crate::arguments::RebuildArgs;
use crate::error::{CliError, EXIT_OK};
use mcplog::Config;
use mcplog::rebuild::{LimitsFrom, Rebuilt, RefoldReport, Source};
use mcplog_terminal::interrupt::outlive_terminal;
use mcplog_terminal::json;
use mcplog_terminal::progress::Progress;
use mcplog_terminal::text::escape;
use mcplog_terminal::units::counted;
use mcplog_terminal::view::View;
use std::io::Write;

/// What is said where nobody knows what the store was told.
const NOT_KNOWN: &str = "what it was told before is not known; where nothing is told now, all is kept\n\
    (--keep, --max-size and --keep-segments tell it, and so does the proxy)";

/// Runs the command.
pub(crate) fn run(args: &RebuildArgs, view: &View, out: &mut dyn Write) -> Result<u8, CliError> {
    outlive_terminal().map_err(|error| CliError::Failed(format!("can't listen for signals: {error}")))?;
    let source = if args.from_log { Source::Log } else { Source::BestKept };
    let mut progress = Progress::of_share("rebuilding");
    let mut config = Config::new(&args.store.dir);
    args.limits.tell(&mut config);
    let rebuilt = mcplog::rebuild(&config, source, |done| progress.at_share(done));
    drop(progress);
    let rebuilt = rebuilt.map_err(|error| CliError::Failed(error.to_string()))?;
    if args.json {
        json::write_line(out, &rebuilt)?;
        return Ok(EXIT_OK);
    }
    match rebuilt {
        Rebuilt::Log(report) => show_refolded(&report, view, out)?,
        Rebuilt::Rows(report) => {
            writeln!(
                out,
                "rebuilt from {}: the sums of {}, {}",
                counted(report.requests, "request"),
                counted(report.sessions, "session"),
                counted(report.calls, "roll-up"),
            )?;
        }
        _ => {}
    }
    Ok(EXIT_OK)
}

fn show_refolded(report: &RefoldReport, view: &View, out: &mut dyn Write) -> Result<(), CliError> {
    writeln!(
        out,
        "made anew from {} of the log: {}, {}",
        counted(report.segments, "segment"),
        counted(report.requests, "request"),
        counted(report.sessions, "session"),
    )?;
    if report.records_before_log > 0 {
        let records = counted(report.records_before_log, "older record");
        writeln!(out, "{records} had been folded and deleted from the log before")?;
    }
    if report.expired_requests > 0 {
        let requests = counted(report.expired_requests, "request");
        let since = report.kept_since.map_or(String::new(), |ts| format!(" from before {}", view.clock.one_time(ts)));
        writeln!(out, "{requests}{since} had expired, and did not come back")?;
    }
    writeln!(out, "the store keeps {}", limits::sentence(&report.limits))?;
    if report.limits_from == LimitsFrom::Unknown {
        writeln!(out, "{}", NOT_KNOWN)?;
    }
    if let Some(moved_to) = &report.moved_to {
        let path = escape(&moved_to.display().to_string()).into_owned();
        writeln!(out, "the old database is in {path}")?;
        if report.records_before_log > 0 {
            writeln!(out, "`sqlite3 {path} .recover` may get them out of it")?;
        }
    }
    Ok(())
}
