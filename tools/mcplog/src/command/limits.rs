//! What a store keeps, and for how long, in words.
//!
//! Pure.

use mcplog::config::Limits;
use mcplog_terminal::duration;
use mcplog_terminal::units::bytes;
use std::time::Duration;

/// What is kept, and for how long.
pub(super) fn sentence(limits: &Limits) -> String {
    let age = |age_ms: u64| duration::format(Duration::from_millis(age_ms));
    let requests = limits.keep_rows_age_ms.map_or("all requests".to_owned(), |ms| format!("requests of {}", age(ms)));
    let database = limits.database_bytes_max.map_or(String::new(), |max| format!(", in {}", bytes(max)));
    let segments = match limits.keep_segments_bytes {
        Some(0) => "no folded log".to_owned(),
        Some(max) => format!("{} of folded log", bytes(max)),
        None => "all folded log".to_owned(),
    };
    let segments_age = limits.keep_segments_age_ms.filter(|_| limits.keep_segments_bytes != Some(0));
    let segments_age = segments_age.map_or(String::new(), |ms| format!(", of {}", age(ms)));
    format!("{requests}{database}; {segments}{segments_age}")
}
