//! `mcplog backup`: a copy of a store, as a store of its own.
//!
//! Runs on the main thread, in any process. It only reads the store.

use crate::arguments::BackupArgs;
use crate::error::{CliError, EXIT_INTERRUPTED, EXIT_OK};
use mcplog::backup::{BackupError, BackupPart, BackupReport, backup};
use mcplog::error::OpenError;
use mcplog_terminal::interrupt::{Interrupt, outlive_terminal};
use mcplog_terminal::json;
use mcplog_terminal::output::complain;
use mcplog_terminal::progress::Progress;
use mcplog_terminal::text::escape;
use mcplog_terminal::units::{bytes, counted};
use std::io::Write;
use std::ops::ControlFlow;

/// Runs the command; returns the exit code.
pub(crate) fn run(args: &BackupArgs, out: &mut dyn Write) -> Result<u8, CliError> {
    let interrupt = outlive_terminal().and_then(|()| Interrupt::catch());
    let interrupt = interrupt.map_err(|error| CliError::Failed(format!("can't listen for signals: {error}")))?;
    let mut progress = Progress::of_share("copying");
    let made = backup(&args.store.dir, &args.target, |at| {
        progress.say(match at.part {
            BackupPart::Log => "the log",
            BackupPart::Database => "the database",
            _ => "checking the copy",
        });
        progress.at_share(at.done);
        if interrupt.is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    drop(progress);
    let report = match made {
        Ok(report) => report,
        Err(BackupError::Stopped) => {
            complain("interrupted; nothing is left of the copy");
            return Ok(EXIT_INTERRUPTED);
        }
        Err(BackupError::Open(OpenError::Index(error))) => return Err(error.into()),
        Err(error) => return Err(CliError::Failed(error.to_string())),
    };
    if args.json {
        json::write_line(out, &report)?;
    } else {
        show(&report, out)?;
    }
    Ok(EXIT_OK)
}

fn show(report: &BackupReport, out: &mut dyn Write) -> Result<(), CliError> {
    let dir = escape(&report.dir.display().to_string()).into_owned();
    let of_rows = [(report.requests, "request"), (report.sessions, "session")];
    let [requests, sessions] = of_rows.map(|(number, noun)| counted(number, noun));
    writeln!(out, "copied to {dir}")?;
    writeln!(out, "  {requests}, {sessions}; {}", bytes(report.database_bytes))?;
    if report.segments > 0 {
        let segments = counted(report.segments, "segment");
        writeln!(
            out,
            "  {segments} of the log, {}: what waits to be folded, and what is kept",
            bytes(report.log_bytes)
        )?;
    }
    Ok(())
}
