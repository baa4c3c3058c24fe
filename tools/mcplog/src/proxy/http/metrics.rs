//! What the proxy counts of itself, and the Prometheus text of it.
//!
//! Counters are touched inside the forwarding tasks; the text is made by the admin server. It must not know HTTP.

use crate::recording::StoreNumbers;
use mcplog::Status;
use mcplog::event::{Code, Outcome};
use mcplog_observe::{Counter, Counts, Gauge};
use std::fmt::{Display, Write};
use std::sync::Arc;

/// What one proxy counted since it started.
#[derive(Default)]
pub(crate) struct Metrics {
    /// What observation counts.
    pub(super) observed: Arc<Counts>,
    pub(super) connections: Gauge,
    pub(super) connections_refused: Counter,
    pub(super) request_body_bytes: Counter,
    pub(super) response_body_bytes: Counter,
}

/// The whole exposition, in the text format of Prometheus (version 0.0.4).
pub(super) fn exposition(metrics: &Metrics, store: &StoreNumbers) -> String {
    let mut out = String::with_capacity(4096);
    let observed = &metrics.observed;
    family(&mut out, "mcplog_requests_total", "counter", "JSON-RPC requests of clients that ended, by status.");
    for status in Status::ALL {
        let (status, requests) = (status.as_str(), observed.with_status(*status));
        let _ = writeln!(out, "mcplog_requests_total{{status=\"{status}\"}} {requests}");
    }
    let help = "The same requests, by outcome; error and timeout are failures.";
    family(&mut out, "mcplog_requests_by_outcome_total", "counter", help);
    for outcome in Outcome::ALL {
        let (outcome, requests) = (outcome.as_str(), observed.with_outcome(*outcome));
        let _ = writeln!(out, "mcplog_requests_by_outcome_total{{outcome=\"{outcome}\"}} {requests}");
    }
    let help = "JSON-RPC requests of servers to their clients that ended, by outcome: sampling, elicitation, roots.";
    family(&mut out, "mcplog_server_requests_by_outcome_total", "counter", help);
    for outcome in Outcome::ALL {
        let (outcome, requests) = (outcome.as_str(), observed.asked_with_outcome(*outcome));
        let _ = writeln!(out, "mcplog_server_requests_by_outcome_total{{outcome=\"{outcome}\"}} {requests}");
    }
    let mut one = |name: &str, kind: &str, help: &str, value: &dyn Display| {
        family(&mut out, name, kind, help);
        let _ = writeln!(out, "{name} {value}");
    };
    one(
        "mcplog_tool_errors_total",
        "counter",
        "Results that said isError: outcome tool_error, status ok.",
        &observed.with_outcome(Outcome::ToolError),
    );
    one(
        "mcplog_requests_unrecorded_total",
        "counter",
        "Requests in oversized batches that have no row.",
        &observed.requests_unrecorded.get(),
    );
    one(
        "mcplog_notifications_refused_total",
        "counter",
        "Clients' notifications and responses that the server refused, or that did not get there.",
        &observed.notifications_refused.get(),
    );
    one(
        "mcplog_requests_in_flight",
        "gauge",
        "JSON-RPC requests of clients that wait for their response.",
        &observed.in_flight.get(),
    );
    one(
        "mcplog_server_requests_in_flight",
        "gauge",
        "JSON-RPC requests of servers that wait for their client's response.",
        &observed.asked_in_flight.get(),
    );
    one("mcplog_connections", "gauge", "Open client connections.", &metrics.connections.get());
    one(
        "mcplog_connections_refused_total",
        "counter",
        "Client connections beyond the limit.",
        &metrics.connections_refused.get(),
    );
    one(
        "mcplog_request_body_bytes_total",
        "counter",
        "Bytes of request bodies passed to the upstream.",
        &metrics.request_body_bytes.get(),
    );
    one(
        "mcplog_response_body_bytes_total",
        "counter",
        "Bytes of response bodies passed to clients.",
        &metrics.response_body_bytes.get(),
    );
    one("mcplog_sessions_total", "counter", "Sessions that began.", &observed.sessions.get());
    one(
        "mcplog_schema_versions_total",
        "counter",
        "Changes of what the upstream offers, first sights included.",
        &observed.schema_versions.get(),
    );
    one(
        "mcplog_schema_versions_cut_total",
        "counter",
        "Those of them that were too long to be kept whole.",
        &observed.schema_versions_cut.get(),
    );
    one(
        "mcplog_schema_results_missed_total",
        "counter",
        "Lists and handshakes that were not looked at: no memory, too many at once, or not to be read.",
        &observed.schema_results_missed.get(),
    );
    one("mcplog_events_recorded_total", "counter", "Events handed to the store.", &store.recorded);
    one("mcplog_events_dropped_total", "counter", "Events that are lost: no room, or no store.", &store.dropped);
    one("mcplog_events_missed_total", "counter", "Events that met no open store.", &store.missed);
    one("mcplog_events_appended_total", "counter", "Events written to the log.", &store.appended);
    one("mcplog_events_folded_total", "counter", "Events folded into the database.", &store.folded);
    one("mcplog_log_bytes", "gauge", "Size of the log on disk.", &store.log_bytes);
    one("mcplog_events_queued", "gauge", "Events that wait to be written to the log.", &store.queued);
    one("mcplog_log_segments", "gauge", "Segment files of the log.", &store.segments);
    one("mcplog_lag_records", "gauge", "Records in the log that are not folded yet.", &store.lag_records);
    let lag = format!("{}.{:03}", store.lag_ms / 1000, store.lag_ms % 1000);
    one("mcplog_lag_seconds", "gauge", "How long the oldest record that is not folded has waited.", &lag);
    one("mcplog_newer_records", "gauge", "Records of a newer mcplog that wait for it.", &store.newer_records);
    one("mcplog_clock_steps_total", "counter", "How many times somebody set the clock.", &store.clock_steps);
    one("mcplog_recording", "gauge", "1 while what passes goes to the log.", &u8::from(store.recording));
    one("mcplog_healthy", "gauge", "1 while the store is well.", &u8::from(store.trouble.is_none()));
    out
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcplog::event::Direction;
    use std::collections::HashSet;

    #[test]
    fn every_sample_belongs_to_a_family_that_is_declared_once() {
        let metrics = Metrics::default();
        let count = |direction, outcome| metrics.observed.count(direction, outcome);
        [Outcome::Error, Outcome::Lost, Outcome::Probe].iter().for_each(|outcome| count(Direction::Client, *outcome));
        count(Direction::Server, Outcome::Timeout);
        metrics.observed.in_flight.rise();
        metrics.observed.in_flight.rise();
        let store =
            StoreNumbers { dropped: 7, lag_ms: 1_020, trouble: Some("disk full".into()), ..StoreNumbers::default() };
        let text = exposition(&metrics, &store);
        let mut declared = HashSet::new();
        let mut helped = HashSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(help.ends_with('.'), "{line}");
                assert!(helped.insert(name), "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(declared.insert(name), "{line}");
            } else {
                let (name, value) = line.rsplit_once(' ').unwrap();
                value.parse::<f64>().unwrap();
                assert!(declared.contains(name.split('{').next().unwrap()), "{line}");
            }
        }
        assert_eq!(declared, helped);
        for sample in [
            "mcplog_requests_total{status=\"error\"} 3",
            "mcplog_requests_by_outcome_total{outcome=\"error\"} 1",
            "mcplog_requests_by_outcome_total{outcome=\"timeout\"} 0",
            "mcplog_server_requests_by_outcome_total{outcome=\"error\"} 0",
            "mcplog_server_requests_by_outcome_total{outcome=\"timeout\"} 1",
            "mcplog_requests_in_flight 2",
            "mcplog_server_requests_in_flight 0",
            "mcplog_events_dropped_total 7",
            "mcplog_lag_seconds 1.020",
            "mcplog_recording 0",
            "mcplog_healthy 0",
        ] {
            assert!(text.lines().any(|line| line == sample), "{sample} in\n{text}");
        }
    }
}
