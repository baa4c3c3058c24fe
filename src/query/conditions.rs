//! The part of a statement after WHERE: conditions with their bound values.
//!
//! Pure; values are always bound, never written into the statement.

use rusqlite::types::Value;

/// Conditions that all must hold.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    /// Adds a condition without a value.
    pub(super) fn require(&mut self, condition: &str) {
        self.sql.push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
        self.sql.push_str(condition);
    }

    /// Adds a condition with one `?`, if there is a value for it.
    pub(super) fn require_if(&mut self, condition: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.require(condition);
            self.values.push(value.into());
        }
    }

    /// ` WHERE ...`, or nothing.
    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    /// The values of the `?`, in their order, and behind them the limit: -1, which SQLite takes for no limit, if
    /// absent.
    pub(super) fn values_with_limit(mut self, limit: Option<u64>) -> Vec<Value> {
        self.values.push(limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX)).into());
        self.values
    }

    /// The values of the `?`, in their order.
    pub(super) fn values(self) -> Vec<Value> {
        self.values
    }
}
