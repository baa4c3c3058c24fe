//! `mcplog check --plan`: what a store is about to let go, before it does.
//!
//! Runs on the main thread. It only reads.

use super::limits;
use crate::arguments::CheckArgs;
use crate::error::CliError;
use crate::proxy::{chain, store_settings};
use mcplog::plan::{ExpiryPlan, ExpiryReason, Fate, RetirementPlan};
use mcplog::position::WriterId;
use mcplog_terminal::json;
use mcplog_terminal::style::{BAD, DIM, HEADER, WARNING};
use mcplog_terminal::text::{escape, wrap};
use mcplog_terminal::units::{bytes, count, counted};
use mcplog_terminal::view::View;
use std::io::Write;

/// So much of a writer's id is shown to people.
const WRITER_CHARS: usize = 8;

/// Runs the command.
pub(super) fn run(args: &CheckArgs, view: &View, out: &mut dyn Write) -> Result<(), CliError> {
    let dir = &args.store.dir;
    let config = match &args.config {
        Some(path) => store_settings(path, dir).map_err(|error| CliError::Failed(chain(&error)))?,
        None => {
            let mut config = mcplog::Config::new(dir);
            config.limit_database_by_disk = true;
            config
        }
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
    if let Some(held_back) = plan.held_back {
        writeln!(out)?;
        for row in wrap(&held_back.to_string(), view.width.unwrap_or(usize::MAX)) {
            writeln!(out, "{WARNING}{row}{WARNING:#}")?;
        }
    }
    let from = if args.config.is_some() {
        "With that file the store keeps"
    } else {
        "As mcplog proxy would open it, the store keeps"
    };
    writeln!(out, "\n{DIM}{from} {}.{DIM:#}", limits::sentence(&plan.limits))?;
    Ok(())
}

fn show_retirement(plan: &RetirementPlan, out: &mut dyn Write) -> Result<(), CliError> {
    let gone: Vec<_> = plan.deleted().chain(plan.moved()).collect();
    for (number, planned) in gone.iter().enumerate() {
        if number == 0 {
            writeln!(out)?;
        }
        let (style, what) = match planned.fate {
            Fate::Damaged => (BAD, "moved into quarantine/: damaged"),
            Fate::PassedOver => (BAD, "moved into quarantine/: not folded, its records count as lost"),
            Fate::BeyondAge => (WARNING, "deleted: folded, and too old"),
            Fate::Expired => (WARNING, "deleted: everything in it is expired"),
            _ => (WARNING, "deleted: folded, and not to be kept"),
        };
        let (writer, segment) = (writer_prefix(planned.writer), planned.segment);
        writeln!(out, "{style}segment {segment} of {writer}{style:#}, {}, {what}", bytes(planned.bytes))?;
    }
    let size = bytes(gone.iter().map(|planned| planned.bytes).sum());
    let kept = count(plan.segments.len() as u64 - gone.len() as u64);
    let gone = counted(gone.len() as u64, "folded segment");
    writeln!(out, "\n{DIM}{gone} to leave the log, {size}; {kept} to stay.{DIM:#}")?;
    Ok(())
}

/// Enough of a writer's id for people.
fn writer_prefix(writer: WriterId) -> String {
    writer.to_string().chars().take(WRITER_CHARS).collect()
}

fn show_expiry(plan: &ExpiryPlan, view: &View, out: &mut dyn Write) -> Result<(), CliError> {
    let why = match plan.reason {
        ExpiryReason::Age => "it is too old",
        ExpiryReason::Size => "the database is too large",
        _ => "it has begun to",
    };
    writeln!(out, "\nWhat is from before {} expires: {why}.", view.clock.one_time(plan.kept_since))?;
    for expiring in plan.rows.iter().filter(|expiring| expiring.rows > 0) {
        writeln!(out, "{WARNING}{:>12}{WARNING:#}  {}", count(expiring.rows), expiring.table)?;
    }
    Ok(())
}
