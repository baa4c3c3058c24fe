//! `mcplog rebuild`: makes the database anew, from its rows or from the log.
//!
//! Runs on the main thread, as the only writer of the store meanwhile.

use crate::cli::RebuildArgs;
use crate::error::CliError;
use crate::json;
use crate::text::escape;
use crate::units::counted;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mcplog::rebuild::{Rebuilt, RefoldReport, Source};
use std::io::Write;

/// The bar's length: thousandths.
const STEPS: u64 = 1_000;

/// Runs the command.
pub(crate) fn run(args: &RebuildArgs, out: &mut dyn Write) -> Result<(), CliError> {
    // Drawn on stderr, and only where that is a terminal.
    let bar = ProgressBar::new(STEPS);
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
    if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} rebuilding {wide_bar:.cyan/dim} {percent:>3} %") {
        bar.set_style(style);
    }
    let source = if args.from_log { Source::Log } else { Source::BestKept };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share from 0 to 1")]
    let rebuilt = mcplog::rebuild(&args.store.dir, source, |done| bar.set_position((done * STEPS as f64) as u64));
    bar.finish_and_clear();
    let rebuilt = rebuilt.map_err(|error| CliError::Failed(error.to_string()))?;
    if args.json {
        json::write_line(out, &rebuilt)?;
        return Ok(());
    }
    match rebuilt {
        Rebuilt::Log(report) => show_refolded(&report, out),
        Rebuilt::Rows(report) => {
            writeln!(
                out,
                "rebuilt from {} requests: the sums of {} sessions, the roll-ups of {} calls (proxy, method and tool)",
                report.requests, report.sessions, report.calls
            )?;
            Ok(())
        }
        _ => Ok(()),
    }
}

fn show_refolded(report: &RefoldReport, out: &mut dyn Write) -> Result<(), CliError> {
    let unsigned = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    writeln!(
        out,
        "made anew from {} of the log: {}, {}",
        counted(unsigned(report.segments), "segment"),
        counted(report.requests, "request"),
        counted(report.sessions, "session"),
    )?;
    if report.records_before_log > 0 {
        let records = counted(unsigned(report.records_before_log), "older record");
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
