//! `mcplog rebuild`: makes the database anew, from its rows or from the log.
//!
//! Runs on the main thread, as the only writer of the store meanwhile.

use crate::arguments::RebuildArgs;
use crate::error::{CliError, EXIT_OK};
use mcplog::rebuild::{Rebuilt, RefoldReport, Source};
use mcplog_terminal::interrupt::outlive_terminal;
use mcplog_terminal::json;
use mcplog_terminal::progress::Progress;
use mcplog_terminal::text::escape;
use mcplog_terminal::units::counted;
use std::io::Write;

/// Runs the command.
pub(crate) fn run(args: &RebuildArgs, out: &mut dyn Write) -> Result<u8, CliError> {
    outlive_terminal().map_err(|error| CliError::Failed(format!("can't listen for signals: {error}")))?;
    let source = if args.from_log { Source::Log } else { Source::BestKept };
    let mut progress = Progress::of_share("rebuilding");
    let rebuilt = mcplog::rebuild(&args.store.dir, source, |done| progress.at_share(done));
    drop(progress);
    let rebuilt = rebuilt.map_err(|error| CliError::Failed(error.to_string()))?;
    if args.json {
        json::write_line(out, &rebuilt)?;
        return Ok(EXIT_OK);
    }
    match rebuilt {
        Rebuilt::Log(report) => show_refolded(&report, out)?,
        Rebuilt::Rows(report) => {
            writeln!(
                out,
                "rebuilt from {}: the sums of {}, {} (one for each proxy, method and tool)",
                counted(report.requests, "request"),
                counted(report.sessions, "session"),
                counted(report.calls, "roll-up"),
            )?;
        }
        _ => {}
    }
    Ok(EXIT_OK)
}

fn show_refolded(report: &RefoldReport, out: &mut dyn Write) -> Result<(), CliError> {
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
    if let Some(moved_to) = &report.moved_to {
        let path = escape(&moved_to.display().to_string()).into_owned();
        writeln!(out, "the old database is in {path}")?;
        if report.records_before_log > 0 {
            writeln!(out, "`sqlite3 {path} .recover` may get them out of it")?;
        }
    }
    Ok(())
}
