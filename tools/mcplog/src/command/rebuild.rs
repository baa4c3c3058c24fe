//! `mcplog rebuild`: makes everything anew that the database derives from its rows.
//!
//! Runs on the main thread, as the only writer of the store meanwhile.

use crate::cli::RebuildArgs;
use crate::error::CliError;
use crate::json;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
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
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share from 0 to 1")]
    let rebuilt = mcplog::rebuild(&args.store.dir, |done| bar.set_position((done * STEPS as f64) as u64));
    bar.finish_and_clear();
    let report = rebuilt.map_err(|error| CliError::Failed(error.to_string()))?;
    if args.json {
        json::write_line(out, &report)?;
    } else {
        writeln!(
            out,
            "rebuilt from {} requests: the sums of {} sessions, the roll-ups of {} calls (proxy, method and tool)",
            report.requests, report.sessions, report.calls
        )?;
    }
    Ok(())
}
