//! What a store says of itself, for people and for monitoring.
//!
//! Pure data.

use mcplog::health::Part;

/// What the store says of itself, as far as it is exported.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreNumbers {
    pub(crate) recorded: u64,
    pub(crate) dropped: u64,
    pub(crate) appended: u64,
    pub(crate) folded: u64,
    /// Events in the channel.
    pub(crate) queued: u64,
    pub(crate) segments: u64,
    pub(crate) log_bytes: u64,
    /// Records appended and not folded, and how long the oldest has waited.
    pub(crate) lag_records: u64,
    pub(crate) lag_ms: u64,
    /// Records of a newer mcplog that wait for it.
    pub(crate) newer_records: u64,
    /// How many times the clock was set.
    pub(crate) clock_steps: u64,
    /// Events that met no store, or one that died.
    pub(crate) missed: u64,
    /// Whether what passes goes to the log, now that it passes.
    pub(crate) recording: bool,
    /// `None` while everything is well, else what is not.
    pub(crate) trouble: Option<String>,
    /// Since when, in Unix milliseconds.
    pub(crate) trouble_since: Option<i64>,
}

impl StoreNumbers {
    /// What there is to say where there is no store.
    pub(crate) fn of_no_store() -> Self {
        Self { trouble: Some("not recording".to_owned()), ..Self::default() }
    }

    /// What there is to say where there should be none.
    pub(crate) fn of_nothing_to_record() -> Self {
        Self { trouble: Some("told not to record".to_owned()), ..Self::default() }
    }
}

impl From<mcplog::Stats> for StoreNumbers {
    fn from(stats: mcplog::Stats) -> Self {
        Self {
            recorded: stats.recorded,
            dropped: stats.dropped,
            appended: stats.appended,
            folded: stats.folded,
            queued: stats.queued,
            segments: stats.segments,
            log_bytes: stats.log_bytes,
            lag_records: stats.lag_records,
            lag_ms: stats.lag_ms,
            newer_records: stats.newer_records,
            clock_steps: stats.clock_steps,
            missed: 0,
            // Whatever else is wrong, the log has what passes.
            recording: ![Part::Segments, Part::Thread].iter().any(|part| stats.health.problems.contains_key(part)),
            trouble: (!stats.health.is_ok()).then(|| stats.health.to_string()),
            trouble_since: None,
        }
    }
}
