//! What an answer lacks, in words.
//!
//! Pure.

use mcplog::completeness::Completeness;
use mcplog::query::GapTotals;
use mcplog_terminal::clock::Clock;
use mcplog_terminal::units::counted;

/// A kind of what may be missing, beside events that were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lack {
    /// Records that are not folded, or may not be.
    Unfolded,
    Missing,
    Quarantined,
    Unreadable,
    Newer,
    Expired,
}

/// What the answer lacks, but for dropped events.
pub(super) fn lacking(found: &Completeness, clock: &Clock) -> Vec<(Lack, String)> {
    let mut lacking = Vec::new();
    if found.is_behind {
        lacking.push((Lack::Unfolded, unfolded(found, clock)));
    }
    if found.missing_records > 0 {
        let (records, they) = records(found.missing_records);
        let note = format!("{records} missing in the log, beyond what is folded: no segment has {they}.");
        lacking.push((Lack::Missing, note));
    }
    if found.quarantined_records > 0 {
        let records = counted(found.quarantined_records, "record");
        let note = format!("{records} could not be folded; table quarantine says where and why.");
        lacking.push((Lack::Quarantined, note));
    }
    if found.unreadable_files > 0 {
        let files = counted(found.unreadable_files, "file");
        let they = if found.unreadable_files == 1 { "it" } else { "they" };
        let note = format!("{files} of the log can't be read: nobody knows how many records {they} held.");
        lacking.push((Lack::Unreadable, note));
    }
    if found.newer_records > 0 {
        let (records, they) = records(found.newer_records.unsigned_abs());
        let note =
            format!("{records} of a newer mcplog not counted: open the store with that one, which folds {they}.");
        lacking.push((Lack::Newer, note));
    }
    if let Some(kept_since) = found.kept_since.filter(|_| found.is_expired) {
        lacking.push((Lack::Expired, format!("What is from before {} has expired.", clock.one_time(kept_since))));
    }
    lacking
}

/// That so many events are lost, from when to when; `None`: none are.
pub(super) fn dropped(gaps: &GapTotals, clock: &Clock) -> Option<String> {
    let [from, to] = clock.first_and_last(gaps.from_ts?, gaps.to_ts?);
    let verb = if gaps.events == 1 { "is" } else { "are" };
    let (events, gaps) = (counted(gaps.events, "event"), counted(gaps.gaps, "gap"));
    Some(format!("{events} {verb} missing: lost in {gaps} between {from} and {to}."))
}

/// That records wait, and what to do about it.
fn unfolded(found: &Completeness, clock: &Clock) -> String {
    let number = found.unfolded_records.filter(|number| *number > 0);
    let Some(number) = number else {
        let why = found.log_problem.as_deref().unwrap_or("the log can't be read");
        return format!("Whether the log holds records that are not counted here is not known: {why}.");
    };
    let (records, they) = records(number);
    let verb = if number == 1 { "is" } else { "are" };
    if !found.in_use {
        return format!("{records} in the log {verb} not counted here, and no process here folds {they}; --fold does.");
    }
    let since = found.unfolded_since.map_or(String::new(), |ts| format!(", from {} on,", clock.one_time(ts)));
    format!("{records} in the log{since} {verb} not counted here: the process that records has not folded {they} yet.")
}

/// So many records, and the word for them afterwards.
fn records(number: u64) -> (String, &'static str) {
    (counted(number, "record"), if number == 1 { "it" } else { "them" })
}
