//! What a rebuild found and is about to do, in words: what the database and the log hold, and what would be lost.
//!
//! Pure.

use crate::error::CliError;
use mcplog::rebuild::{Action, DatabaseHoldings, DatabaseState, Hole, LeftLog, LogHoldings, Loss, RebuildPlan, RowSum};
use mcplog_terminal::text::{escape, wrap};
use mcplog_terminal::units::{count, counted};
use mcplog_terminal::view::View;
use std::io::Write;

/// How wide a line is where nobody says.
const COLUMNS: usize = 80;
/// Columns before what is said of a source.
const INDENT: usize = 12;
/// So many holes are named one by one.
const HOLES_NAMED_MAX: usize = 3;

/// Shows what was found.
pub(super) fn show_plan(plan: &RebuildPlan, view: &View, out: &mut dyn Write) -> Result<(), CliError> {
    let sources = [
        ("database", database(&plan.database, view)),
        ("log", log(&plan.log, plan.database.folded_records.is_some(), view)),
    ];
    for (name, sentences) in sources {
        let mut name = name;
        let width = view.width.unwrap_or(COLUMNS).saturating_sub(INDENT).max(20);
        for row in sentences.iter().flat_map(|sentence| wrap(&escape(sentence), width)) {
            writeln!(out, "  {name:<width$}{row}", width = INDENT - 2)?;
            name = "";
        }
    }
    Ok(())
}

/// What is about to be done.
pub(super) fn intention(plan: &RebuildPlan) -> &'static str {
    match (plan.action, plan.log.waiting_records.rows) {
        (Action::Rows, 0) => "roll-ups and sums would be computed from the rows, which stay",
        (Action::Rows, _) => "waiting records would be folded, and roll-ups and sums computed from the rows",
        (Action::Salvage, _) => "the log, and what can be read of the database, would become a new one",
        _ => "the log would become a new database",
    }
}

/// Why nothing is done, and what to do.
pub(super) fn refusal(plan: &RebuildPlan, from_log: bool, view: &View) -> String {
    let lost: Vec<_> = plan.losses.iter().map(|loss| lost(loss, view)).collect();
    if plan.database.state == DatabaseState::Foreign {
        return format!(
            "nothing was changed, because store.db is another store's, and has {}. Move it to that store, and rebuild then; \
             --accept-loss makes a new one in its place, and keeps a copy of it in quarantine/",
            lost.join("; ")
        );
    }
    let can_be_kept = from_log && plan.losses.iter().any(|loss| !loss.unreadable);
    let instead = if can_be_kept {
        "`mcplog rebuild` without --from-log keeps what the database has; "
    } else {
        "A backup may have them, put back as store.db; "
    };
    format!(
        "nothing was changed, because this would be lost: {}. {instead}--accept-loss goes on without them, and keeps a copy of \
         the database in quarantine/",
        lost.join("; ")
    )
}

fn database(database: &DatabaseHoldings, view: &View) -> Vec<String> {
    let state = match database.state {
        DatabaseState::Missing => "there is none".to_owned(),
        DatabaseState::Sound => "sound".to_owned(),
        DatabaseState::Foreign => "of another store".to_owned(),
        DatabaseState::Unreadable => "damaged, and nothing of it can be read".to_owned(),
        DatabaseState::OtherVersion => "of another version".to_owned(),
        _ => "damaged".to_owned(),
    };
    let mut sentences = vec![match &database.reason {
        Some(reason) => {
            let reason = reason.lines().next().unwrap_or_default();
            let path = format!("{}: ", database.path.display());
            format!("{state}: {}", reason.strip_prefix(&path).unwrap_or(reason))
        }
        None => state,
    }];
    if database.tables.is_empty() {
        return sentences;
    }
    let requests = format!("{}{}", counted(database.requests().rows, "request"), span(database.requests(), view));
    sentences.push(format!("{requests}, {}", counted(database.sessions().rows, "session")));
    for holdings in database.tables.iter().filter(|holdings| holdings.unreadable.rows > 0) {
        sentences.push(format!("{} can't be read", rows(holdings.unreadable, holdings.names, view)));
    }
    if let Some(folded) = database.folded_records {
        sentences.push(format!("{} folded", counted(folded, "record")));
    }
    sentences
}

fn log(log: &LogHoldings, is_folded_known: bool, view: &View) -> Vec<String> {
    let segments = counted(log.segments, "segment");
    let aside = match log.quarantined_segments {
        0 => String::new(),
        aside => format!(" and {} in quarantine/", count(aside)),
    };
    let records = format!("{}{}", counted(log.records.rows, "record"), span(log.records, view));
    let logs = if log.logs > 1 { format!(" of {}", counted(log.logs, "writer")) } else { String::new() };
    let mut sentences = vec![format!("{segments}{logs}{aside}, {records}")];
    if log.waiting_records.rows > 0 && is_folded_known {
        sentences.push(format!("{} of them not folded yet", count(log.waiting_records.rows)));
    }
    if log.records_before_log > 0 {
        let older = counted(log.records_before_log, "older record");
        sentences.push(match is_folded_known {
            true => format!("{older} had been folded, and are not in the log any more"),
            false => format!("{older} are not in the log any more"),
        });
    }
    sentences.extend(holes(&log.holes, true, "that the database has folded"));
    sentences.extend(holes(&log.holes, false, "that nothing has: lost"));
    if log.damaged_places > 0 {
        let (s, are) = if log.damaged_places == 1 { ("", "is") } else { ("s", "are") };
        sentences.push(format!("{} place{s} {are} damaged", count(log.damaged_places)));
    }
    if log.unreadable_files > 0 {
        let files = counted(log.unreadable_files, "file");
        sentences.push(format!("{files} can't be read at all: nobody knows what they hold"));
    }
    sentences.extend(log.left_logs.iter().map(left));
    sentences
}

/// That a log stays as it is, from which file on, and why.
pub(super) fn left(left: &LeftLog) -> String {
    format!("the log of writer {} waits at {}: {}", left.writer, left.file.display(), left.reason)
}

/// That records are missing, which, and what became of them.
fn holes(holes: &[Hole], folded: bool, fate: &str) -> Option<String> {
    let holes: Vec<_> = holes.iter().filter(|hole| hole.folded == folded).collect();
    let named = holes.iter().take(HOLES_NAMED_MAX);
    let named: Vec<_> = named
        .map(|hole| match hole.records() {
            1 => count(hole.first_record),
            _ => format!("{} to {}", count(hole.first_record), count(hole.last_record)),
        })
        .collect();
    let more = if holes.len() > HOLES_NAMED_MAX { ", and others" } else { "" };
    let records = holes.iter().map(|hole| hole.records()).sum::<u64>();
    let (missing, s) = (counted(records, "record"), if records == 1 { "" } else { "s" });
    (!holes.is_empty()).then(|| format!("{missing} missing {fate}: number{s} {}{more}", named.join(", ")))
}

fn lost(loss: &Loss, view: &View) -> String {
    if loss.table == "store.db" && loss.rows.rows == 0 && loss.unreadable {
        return "all that only store.db has, of which nothing can be read".to_owned();
    }
    if loss.table == "store.db" && loss.rows.rows == 0 && !loss.unreadable {
        return "no rows".to_owned();
    }
    let rows = rows(loss.rows, loss.names, view);
    match loss.unreadable {
        true => format!("{rows} that nobody can read and the log does not have"),
        false => format!("{rows} that the log does not have"),
    }
}

fn rows(rows: RowSum, (one, many): (&str, &str), view: &View) -> String {
    let at_most = if rows.at_most { "at most " } else { "" };
    format!("{at_most}{} {}{}", count(rows.rows), if rows.rows == 1 { one } else { many }, span(rows, view))
}

/// From when to when.
fn span(rows: RowSum, view: &View) -> String {
    match (rows.from_ts, rows.to_ts) {
        (Some(from), Some(to)) if from != to => {
            let [from, to] = view.clock.first_and_last(from, to);
            format!(" from {from} to {to}")
        }
        (Some(from), _) => format!(" of {}", view.clock.one_time(from)),
        _ => String::new(),
    }
}
