//! `mcplog check --plan`: what a store is about to let go, before it does.
//!
//! Runs on the main thread. It only reads.

use crate::cli::CheckArgs;
use crate::error::CliError;
use crate::json;
use crate::proxy::{chain, store_settings};
use crate::text::escape;
use crate::units::{bytes, count, counted};
use crate::view::{BAD, DIM, HEADER, View, WARNING};
use mcplog::plan::{ExpiryPlan, RetirementPlan};
use std::io::Write;

/// Runs the command.
pub(super) fn run(args: &CheckArgs, view: &View, out: &mut dyn Write) -> Result<(), CliError> {
    let dir = &args.store.dir;
    let config = match &args.config {
        Some(path) => store_settings(path, dir).map_err(|error| CliError::Failed(chain(&error)))?,
        None => mcplog::Config::new(dir),
    };
    let plan = mcplog::plan(&config).map_err(|error| CliError::Failed(error.to_string()))?;
    if args.json {
        return Ok(json::write_line(out, &plan)?);
    }
    writeln!(out, "{HEADER}{}{HEADER:#}", escape(&dir.display().to_string()))?;
    show_retirement(&plan.retirement, out)?;
    match &plan.expiry {
        Some(expiry) => show_expiry(expiry, view, out)?,
        None => writeln!(out, "\n{DIM}Nothing in the database expires.{DIM:#}")?,
    }
    if args.config.is_none() {
        writeln!(out, "\n{DIM}By the default limits; --config FILE takes those of a proxy's configuration.{DIM:#}")?;
    }
    Ok(())
}

fn show_retirement(plan: &RetirementPlan, out: &mut dyn Write) -> Result<(), CliError> {
    let unsigned = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let gone: Vec<_> = plan.deleted().chain(plan.moved()).collect();
    if !gone.is_empty() {
        writeln!(out)?;
    }
    for planned in &gone {
        let style = if planned.fate.is_moved() { BAD } else { WARNING };
        let size = bytes(planned.bytes);
        writeln!(out, "{style}segment {}{style:#}, {size}, {}", planned.segment, planned.fate)?;
    }
    let kept = unsigned(plan.segments.len() - gone.len());
    let size = bytes(gone.iter().map(|planned| planned.bytes).sum());
    let gone = counted(unsigned(gone.len()), "folded segment");
    writeln!(out, "\n{DIM}{gone} to leave the log, {size}; {} kept.{DIM:#}", count(kept))?;
    Ok(())
}

fn show_expiry(plan: &ExpiryPlan, view: &View, out: &mut dyn Write) -> Result<(), CliError> {
    writeln!(out, "\nFrom before {}: {}.", view.one_time(plan.kept_since), plan.reason)?;
    for expiring in plan.rows.iter().filter(|expiring| expiring.rows > 0) {
        let rows = count(i64::try_from(expiring.rows).unwrap_or(i64::MAX));
        writeln!(out, "{WARNING}{rows:>12}{WARNING:#}  {}", expiring.table)?;
    }
    Ok(())
}
