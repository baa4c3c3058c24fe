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

impl Recorded {
    /// The same without times, and without what an upstream's failure is called in the words of whoever noticed: over sockets
    /// these are the machine's. Sessions that are made up are named by their clients.
    #[must_use]
    pub fn timeless(&self) -> Self {
        let is_made_up = |id: &str| ["<", "derived-", "stream-"].iter().any(|begin| id.starts_with(begin));
        let name = |id: &String| {
            let known =
                self.sessions.iter().find(|session| session.id == *id).and_then(|session| session.client.clone());
            if is_made_up(id) { format!("<of {}>", known.unwrap_or_default()) } else { id.clone() }
        };
        let rows = self.rows.iter().map(|row| Row {
            ts: 0,
            latency_ms: 0,
            continues: None,
            session: row.session.as_ref().map(name),
            cause: row.cause.clone().filter(|_| row.code.as_deref() != Some("stream_broken")),
            ..row.clone()
        });
        let sessions = self.sessions.iter().map(|session| SessionRow { id: name(&session.id), ..session.clone() });
        let closes = self.closes.iter().map(|(id, times)| (name(id), *times));
        let mut counted = BTreeMap::new();
        closes.for_each(|(id, times)| *counted.entry(id).or_default() += times);
        Self { rows: rows.collect(), sessions: sessions.collect(), closes: counted }
    }
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
