//! What an import did, in numbers.
//!
//! Pure.

use crate::error::{EXIT_BAD_LINES, EXIT_INTERRUPTED, EXIT_OK};
use mcplog::config::Limits;
use mcplog::expired::{Expired, ExpiredRows, ExpiryReason};
use mcplog_terminal::clock::Clock;
use mcplog_terminal::duration;
use mcplog_terminal::style::{DIM, GOOD, WARNING};
use mcplog_terminal::text::escape;
use mcplog_terminal::units::{bytes, count, counted, elapsed};
use serde::Serialize;
use std::time::Duration;

/// The counts and times of one import; the object that `--json` prints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Summary {
    /// Lines read, blank ones included.
    pub(super) lines: u64,
    pub(super) input_bytes: u64,
    pub(super) blank_lines: u64,
    pub(super) bad_lines: u64,
    /// Events handed over.
    pub(super) recorded_events: u64,
    /// Records folded into the database.
    pub(super) folded_records: u64,
    /// Records in the log that are not folded yet; the next start does it.
    pub(super) unfolded_records: u64,
    /// What of the log was found damaged or lost, when the store was opened or folded.
    pub(super) damage: Option<String>,
    /// What was on record and is not any more, because the store does not keep it.
    pub(super) expired: Vec<ExpiredRows>,
    /// Events that were never on record: they are from a time that the store does not keep any more.
    pub(super) late_events: u64,
    /// What the store keeps, for the text.
    #[serde(skip)]
    limits: Option<Limits>,
    /// From the first line to the last hand-over.
    pub(super) record_ms: u64,
    /// From the first line to the end of folding.
    pub(super) fold_ms: u64,
    pub(super) recorded_events_per_s: u64,
    pub(super) folded_records_per_s: u64,
    pub(super) interrupted: bool,
}

impl Summary {
    /// Sets the times and the rates that follow from them.
    pub(super) fn set_times(&mut self, record: Duration, fold: Duration) {
        self.record_ms = whole_ms(record);
        self.fold_ms = whole_ms(fold);
        self.recorded_events_per_s = per_s(self.recorded_events, record);
        self.folded_records_per_s = per_s(self.folded_records, fold);
    }

    /// Says what expired, by these limits.
    pub(super) fn set_expired(&mut self, expired: Expired, limits: Limits) {
        (self.expired, self.late_events, self.limits) = (expired.rows, expired.late_events, Some(limits));
    }

    pub(super) fn exit_code(&self) -> u8 {
        match (self.interrupted, self.bad_lines) {
            (true, _) => EXIT_INTERRUPTED,
            (false, 0) => EXIT_OK,
            (false, _) => EXIT_BAD_LINES,
        }
    }

    /// For people, in lines, with the times that this clock shows.
    pub(super) fn text(&self, clock: &Clock) -> String {
        let rate = |noun: &str, per_s: u64| format!("{DIM}{} {noun}/s{DIM:#}", count(per_s));
        let time = |ms: u64| if ms == 0 { "less than 1 ms".to_owned() } else { elapsed(Duration::from_millis(ms)) };
        let mut lines = vec![
            format!(
                "{GOOD}Recorded{GOOD:#}  {} in {}  {}",
                counted(self.recorded_events, "event"),
                time(self.record_ms),
                rate("events", self.recorded_events_per_s)
            ),
            format!(
                "{GOOD}Folded{GOOD:#}    {} in {}  {}",
                counted(self.folded_records, "record"),
                time(self.fold_ms),
                rate("records", self.folded_records_per_s)
            ),
        ];
        if self.bad_lines > 0 {
            let lines_word = counted(self.bad_lines, "bad line");
            lines.push(format!("{WARNING}Left out{WARNING:#}  {lines_word} of {}; see above", count(self.lines)));
        }
        for rows in &self.expired {
            let requests = counted(rows.requests, "request");
            let sessions = counted(rows.sessions, "session");
            lines.push(format!("{WARNING}Expired{WARNING:#}   {requests} and {sessions}: {}", self.why(rows.reason)));
            let times = rows.from_ts.zip(rows.to_ts);
            lines.extend(times.map(|(from_ts, to_ts)| {
                let [from, to] = clock.first_and_last(from_ts, to_ts);
                format!("          from {from} to {to}")
            }));
        }
        if self.late_events > 0 {
            let events = counted(self.late_events, "event");
            lines.push(format!("{WARNING}Too old{WARNING:#}   {events} of a time that is not kept any more"));
        }
        if let Some(damage) = &self.damage {
            lines.push(format!("{WARNING}Damaged{WARNING:#}   {}; `mcplog check` says what is lost", escape(damage)));
        }
        if self.interrupted {
            lines.push(format!("{WARNING}Interrupted{WARNING:#} after line {}", count(self.lines)));
        }
        if self.unfolded_records > 0 {
            let records = counted(self.unfolded_records, "record");
            lines.push(format!("{records} stay in the log; the next start of the store folds them"));
        }
        lines.join("\n")
    }
}

impl Summary {
    /// Why rows expired.
    fn why(&self, reason: ExpiryReason) -> String {
        let age = self.limits.and_then(|limits| limits.keep_rows_age_ms);
        let size = self.limits.and_then(|limits| limits.database_bytes_max);
        match (reason, age, size) {
            (ExpiryReason::Age, Some(age_ms), _) => {
                format!("older than {} (keep)", duration::format(Duration::from_millis(age_ms)))
            }
            (ExpiryReason::Size, _, Some(max)) => {
                format!("more than {} (max-size)", bytes(max))
            }
            _ => "of an expired time".to_owned(),
        }
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn per_s(number: u64, duration: Duration) -> u64 {
    // A rate over no time at all says nothing.
    let rate = u128::from(number) * 1_000_000_000 / duration.as_nanos().max(1);
    if duration.is_zero() { 0 } else { u64::try_from(rate).unwrap_or(u64::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        let mut summary =
            Summary { lines: 1_000_000, recorded_events: 999_997, folded_records: 999_997, ..Summary::default() };
        summary.set_times(Duration::from_millis(2_500), Duration::from_millis(5_000));
        summary
    }

    #[test]
    fn rates_follow_from_counts_and_times() {
        assert_eq!((summary().recorded_events_per_s, summary().folded_records_per_s), (399_998, 199_999));
        let mut nothing = Summary::default();
        nothing.set_times(Duration::ZERO, Duration::ZERO);
        assert_eq!(nothing, Summary::default());
    }

    #[test]
    fn the_exit_code_says_how_it_went() {
        assert_eq!(summary().exit_code(), 0);
        assert_eq!(Summary { bad_lines: 1, ..summary() }.exit_code(), 2);
        assert_eq!(Summary { bad_lines: 1, interrupted: true, ..summary() }.exit_code(), 130);
    }

    #[test]
    fn the_text_says_only_what_there_is_to_say() {
        let plain = |summary: Summary| anstream::adapter::strip_str(&summary.text(&Clock::system())).to_string();
        assert_eq!(
            plain(summary()),
            "Recorded  999,997 events in 2.5 s  399,998 events/s\n\
             Folded    999,997 records in 5.0 s  199,999 records/s"
        );
        let damage = Some("segment 3: no header".to_owned());
        let troubled = Summary { bad_lines: 1, interrupted: true, unfolded_records: 1_200, damage, ..summary() };
        assert_eq!(
            plain(troubled).lines().skip(2).collect::<Vec<_>>(),
            [
                "Left out  1 bad line of 1,000,000; see above",
                "Damaged   segment 3: no header; `mcplog check` says what is lost",
                "Interrupted after line 1,000,000",
                "1,200 records stay in the log; the next start of the store folds them",
            ]
        );
    }
}
