//! `mcplog rebuild`: makes the database anew, from its rows, or from the log and what can be read of it.
//!
//! Runs on the main thread, as the only one who folds meanwhile. It says what it found before it does anything.

use super::limits;
use super::rebuild_plan::{self, show_plan};
use crate::arguments::RebuildArgs;
use crate::error::{CliError, EXIT_ERROR, EXIT_INTERRUPTED, EXIT_OK};
use mcplog::Config;
use mcplog::rebuild::{
    LeftLog, LimitsFrom, Rebuild, RebuildError, RebuildPlan, RebuildStep, Rebuilt, RefoldReport, Source,
};
use mcplog_terminal::interrupt::{Interrupt, outlive_terminal};
use mcplog_terminal::json;
use mcplog_terminal::output::complain;
use mcplog_terminal::progress::Progress;
use mcplog_terminal::text::escape;
use mcplog_terminal::units::counted;
use mcplog_terminal::view::View;
use serde::Serialize;
use std::io::Write;
use std::ops::ControlFlow;

/// What is said where nobody knows what the store was told.
const NOT_KNOWN: &str = "what it was told before is not known; where nothing is told now, all is kept\n\
    (--keep, --max-size and --keep-segments tell it, and so does the proxy)";

/// What was done, and what was found before.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    rebuilt: &'a Rebuilt,
    found: &'a RebuildPlan,
}

/// Runs the command.
pub(crate) fn run(args: &RebuildArgs, view: &View, out: &mut dyn Write) -> Result<u8, CliError> {
    let listening = outlive_terminal().and_then(|()| Interrupt::catch());
    let interrupt = listening.map_err(|error| CliError::Failed(format!("can't listen for signals: {error}")))?;
    let source = if args.from_log { Source::Log } else { Source::BestKept };
    let mut config = Config::new(&args.store.dir);
    args.limits.tell(&mut config);
    let mut watching = Watching { interrupt, progress: None };
    let planned = if args.dry_run {
        let plan =
            mcplog::rebuild::plan(&config, source, args.accept_loss, &mut |step, done| watching.tell(step, done));
        plan.map(|plan| (plan, None))
    } else {
        Rebuild::prepare(&config, source, args.accept_loss, &mut |step, done| watching.tell(step, done))
            .map(|rebuild| (rebuild.plan().clone(), Some(rebuild)))
    };
    watching.progress = None;
    let (plan, rebuild) = match planned {
        Ok(planned) => planned,
        Err(error) => return ended(&error),
    };
    let is_refused = !plan.losses.is_empty() && !args.accept_loss;
    if args.json && (args.dry_run || is_refused) {
        json::write_line(out, &plan)?;
    } else if !args.json {
        show_plan(&plan, view, out)?;
    }
    if is_refused {
        complain(rebuild_plan::refusal(&plan, args.from_log, view));
        return Ok(EXIT_ERROR);
    }
    let Some(rebuild) = rebuild else {
        if !args.json {
            writeln!(out, "{}\nnothing was changed (--dry-run)", rebuild_plan::intention(&plan))?;
        }
        return Ok(EXIT_OK);
    };
    let rebuilt = rebuild.run(&mut |step, done| watching.tell(step, done));
    watching.progress = None;
    match rebuilt {
        Err(error) => ended(&error),
        Ok(rebuilt) if args.json => {
            json::write_line(out, &Told { rebuilt: &rebuilt, found: &plan })?;
            Ok(EXIT_OK)
        }
        Ok(rebuilt) => {
            show(&rebuilt, view, out)?;
            Ok(EXIT_OK)
        }
    }
}

/// Shows how far a rebuild is, and whether it is still wanted.
struct Watching {
    interrupt: Interrupt,
    progress: Option<Progress>,
}

impl Watching {
    fn tell(&mut self, step: RebuildStep, done: f64) -> ControlFlow<()> {
        let progress = self.progress.get_or_insert_with(|| Progress::of_share("rebuilding"));
        progress.say(match step {
            RebuildStep::Reading => "reading what there is",
            RebuildStep::Folding => "folding the log",
            RebuildStep::Salvaging => "salvaging rows",
            RebuildStep::Copying => "copying the old database",
            _ => "putting the new database in place",
        });
        progress.at_share(done);
        if self.interrupt.is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// A rebuild that did not come to its end.
fn ended(error: &RebuildError) -> Result<u8, CliError> {
    match error {
        RebuildError::Interrupted => {
            complain(error);
            Ok(EXIT_INTERRUPTED)
        }
        error => Err(CliError::Failed(error.to_string())),
    }
}

fn show(rebuilt: &Rebuilt, view: &View, out: &mut dyn Write) -> Result<(), CliError> {
    match rebuilt {
        Rebuilt::Log(report) | Rebuilt::Salvage(report) => show_refolded(report, view, out),
        Rebuilt::Rows(report) => {
            let made = &report.rebuilt;
            let (requests, sessions) = (counted(made.requests, "request"), counted(made.sessions, "session"));
            writeln!(out, "rebuilt from {requests}: the sums of {sessions}, {}", counted(made.calls, "roll-up"))?;
            if report.folded_records > 0 {
                writeln!(out, "folded {} that waited in the log", counted(report.folded_records, "record"))?;
            }
            show_left(&report.left_logs, out)
        }
        _ => Ok(()),
    }
}

fn show_refolded(report: &RefoldReport, view: &View, out: &mut dyn Write) -> Result<(), CliError> {
    writeln!(
        out,
        "made anew from {} of the log: {}, {}",
        counted(report.segments, "segment"),
        counted(report.requests, "request"),
        counted(report.sessions, "session"),
    )?;
    if report.salvaged_requests > 0 {
        writeln!(out, "{} that only the old database had came over", counted(report.salvaged_requests, "request"))?;
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
        writeln!(out, "a copy of the old database is in {path}")?;
        if report.losses.iter().any(|loss| loss.unreadable) {
            writeln!(out, "`sqlite3 {path} .recover` may get more out of it")?;
        }
    }
    show_left(&report.left_logs, out)
}

fn show_left(logs: &[LeftLog], out: &mut dyn Write) -> Result<(), CliError> {
    for log in logs {
        writeln!(out, "{}", escape(&rebuild_plan::left(log)))?;
    }
    Ok(())
}
