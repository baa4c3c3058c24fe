//! A row of `requests`, as far as the wire says what it is, and what else was recorded.
//!
//! Pure data. A row is found by when its request came, by its id and its method: in a script no two requests share these.

use std::collections::{BTreeMap, BTreeSet};

/// A row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// When the request came, in milliseconds.
    pub ts: i64,
    /// The method.
    pub method: String,
    /// The tool, or what the request is about.
    pub about: Option<String>,
    /// The id, as text.
    pub rpc_id: Option<String>,
    /// The session's name. Those that are made up are named by whoever compares.
    pub session: Option<String>,
    /// `ok`, `error`, and so on.
    pub outcome: String,
    /// The three words.
    pub status: String,
    /// The code of a failure.
    pub code: Option<String>,
    /// Its words.
    pub message: Option<String>,
    /// Why.
    pub cause: Option<String>,
    /// The status of HTTP.
    pub http_status: Option<u16>,
    /// The revision.
    pub version: Option<String>,
    /// How long it took, in milliseconds.
    pub latency_ms: u64,
    /// The answer's id had another form.
    pub is_lenient: bool,
    /// The answer came after the client had taken the request back.
    pub is_late: bool,
    /// When the request came that became the task which this one is about.
    pub continues: Option<i64>,
}

/// By what a row is found: when, which id, which method, about what.
pub type Key = (i64, String, String, String);

impl Row {
    /// By what it is found.
    pub fn key(&self) -> Key {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        // What a call is about is in its row, too, when it became a task.
        let about = if self.method == "tools/call" { String::new() } else { text(&self.about) };
        (self.ts, text(&self.rpc_id), self.method.clone(), about)
    }
}

/// A session that was recorded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionRow {
    /// Its name.
    pub id: String,
    /// The client's name.
    pub client: Option<String>,
    /// It was made up.
    pub is_derived: bool,
}

/// All that was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// The rows.
    pub rows: Vec<Row>,
    /// The sessions that began.
    pub sessions: BTreeSet<SessionRow>,
    /// How often each session was closed.
    pub closes: BTreeMap<String, usize>,
}
