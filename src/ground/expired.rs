//! What expired since a store was opened: how many rows, from when to when, and why. Plain data.

use serde::Serialize;
use std::fmt;

/// Why something expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExpiryReason {
    /// It is older than [`keep_rows_age_ms`](crate::Config::keep_rows_age_ms).
    Age,
    /// The database is larger than [`database_bytes_max`](crate::Config::database_bytes_max).
    Size,
    /// An earlier decision, whose rows are not all gone yet.
    UnderWay,
}

impl fmt::Display for ExpiryReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Age => "older than keep_rows_age_ms",
            Self::Size => "the database is larger than database_bytes_max",
            Self::UnderWay => "under way",
        })
    }
}

/// What expired since the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Expired {
    /// What was on record and is not any more, for each reason that there was, in the order in which they came.
    pub rows: Vec<ExpiredRows>,
    /// Requests and sightings of schemas that were never on record, because they are from a time that had expired when they
    /// were folded.
    pub late_events: u64,
}

/// What expired for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExpiredRows {
    /// The reason.
    pub reason: ExpiryReason,
    /// How many requests.
    pub requests: u64,
    /// When the earliest of them arrived, in Unix milliseconds, UTC; `None` if there is none.
    pub from_ts: Option<i64>,
    /// When the latest of them arrived.
    pub to_ts: Option<i64>,
    /// How many sessions.
    pub sessions: u64,
}

impl ExpiredRows {
    /// Nothing, for that reason.
    pub(crate) fn none(reason: ExpiryReason) -> Self {
        Self { reason, requests: 0, from_ts: None, to_ts: None, sessions: 0 }
    }

    /// A request of that time.
    pub(crate) fn add_request(&mut self, ts: i64) {
        self.requests += 1;
        self.from_ts = Some(self.from_ts.map_or(ts, |from_ts| from_ts.min(ts)));
        self.to_ts = Some(self.to_ts.map_or(ts, |to_ts| to_ts.max(ts)));
    }

    fn add(&mut self, more: &Self) {
        self.requests += more.requests;
        self.sessions += more.sessions;
        self.from_ts = self.from_ts.into_iter().chain(more.from_ts).min();
        self.to_ts = self.to_ts.max(more.to_ts);
    }
}

impl Expired {
    /// These rows are gone too.
    pub(crate) fn add(&mut self, more: &ExpiredRows) {
        if more.requests == 0 && more.sessions == 0 {
            return;
        }
        match self.rows.iter_mut().find(|rows| rows.reason == more.reason) {
            Some(rows) => rows.add(more),
            None => self.rows.push(more.clone()),
        }
    }

    /// How many requests, for whatever reason.
    pub fn requests(&self) -> u64 {
        self.rows.iter().map(|rows| rows.requests).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_add_up_for_each_reason_and_times_reach_from_the_earliest_to_the_latest() {
        let mut expired = Expired::default();
        expired.add(&ExpiredRows::none(ExpiryReason::Age));
        assert_eq!(expired, Expired::default(), "nothing is no reason");
        for (reason, times) in [(ExpiryReason::Age, [7, 3]), (ExpiryReason::Size, [4, 4]), (ExpiryReason::Age, [9, 5])]
        {
            let mut rows = ExpiredRows::none(reason);
            times.into_iter().for_each(|ts| rows.add_request(ts));
            expired.add(&rows);
        }
        expired.add(&ExpiredRows { sessions: 2, ..ExpiredRows::none(ExpiryReason::Size) });
        let rows = |reason, requests, times: [i64; 2], sessions| ExpiredRows {
            reason,
            requests,
            from_ts: Some(times[0]),
            to_ts: Some(times[1]),
            sessions,
        };
        assert_eq!(expired.rows, [rows(ExpiryReason::Age, 4, [3, 9], 0), rows(ExpiryReason::Size, 2, [4, 4], 2)]);
        assert_eq!(expired.requests(), 6);
    }
}
