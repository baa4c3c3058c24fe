//! The tables by a plain reading of the rules, from the set of events: no order, no batches, no state.
//!
//! Shares no code with what it judges.

use std::collections::BTreeSet;

/// A request. The order of the fields is the rule that decides between two with one id: the least counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Request {
    pub(crate) ts: i64,
    /// 0, 1, 2: ok, error, timeout.
    pub(crate) status: usize,
    pub(crate) latency_us: i64,
    pub(crate) id: String,
    pub(crate) session: Option<String>,
    /// Whether it counts as a tool's error: with status ok, what says `isError` does.
    pub(crate) is_tool_error: bool,
    pub(crate) bytes_in: Option<i64>,
    pub(crate) bytes_out: Option<i64>,
    pub(crate) tool_error: Option<bool>,
    pub(crate) error_code: Option<String>,
    pub(crate) error_msg: Option<String>,
    pub(crate) target: Option<String>,
    // Last: in the table they may be those of calls that are too many, which must not decide before the rest does.
    pub(crate) proxy: String,
    pub(crate) method: String,
    pub(crate) tool: Option<String>,
}

/// An announcement of a session. Of several the least counts; their noise counts for itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Session {
    pub(crate) started_at: i64,
    /// Whether it names no client. Follows from `client_name`, and decides before the proxy does.
    pub(crate) is_unnamed: bool,
    pub(crate) proxy: String,
    pub(crate) client_name: Option<String>,
    pub(crate) client_version: Option<String>,
    pub(crate) noise_lines: Option<i64>,
    pub(crate) id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Closed {
    pub(crate) ended_at: i64,
    pub(crate) id: String,
}

/// What a server offers: names of tools, each with a number that stands for everything else about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Schema {
    pub(crate) method: String,
    pub(crate) ts: i64,
    /// Who saw it, and the how many-th of all it was. Of two of one time, that of the lower writer id comes first, and of
    /// one writer the one that was recorded first.
    pub(crate) writer: [u8; 16],
    pub(crate) place: usize,
    pub(crate) payload: String,
    pub(crate) tools: Vec<(char, u8)>,
}

/// Everything that was recorded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events {
    pub(crate) requests: BTreeSet<Request>,
    pub(crate) sessions: BTreeSet<Session>,
    pub(crate) closes: BTreeSet<Closed>,
    pub(crate) schemas: Vec<Schema>,
}

/// A table as text: cells joined by `|`, absent ones as `-`, rows sorted.
pub(crate) type Table = Vec<String>;

const STATUSES: [&str; 3] = ["ok", "error", "timeout"];

/// `requests`, `sessions`, `server_schema` and `schema_changes`, as the queries in `fold.rs` give them.
pub(crate) fn tables(events: &Events) -> [Table; 4] {
    let mut ids = BTreeSet::new();
    // In order, so that the first with an id is the least.
    let counted: Vec<&Request> = events.requests.iter().filter(|request| ids.insert(&request.id)).collect();
    let (schemas, changes) = schemas(events);
    let mut tables =
        [counted.iter().map(|request| request_row(request)).collect(), sessions(events, &counted), schemas, changes];
    tables.iter_mut().for_each(|table| table.sort());
    tables
}

fn request_row(request: &Request) -> String {
    let number = |number: i64| Some(number.to_string());
    row([
        Some(request.id.clone()),
        number(request.ts),
        Some(request.proxy.clone()),
        request.session.clone(),
        Some(request.method.clone()),
        request.tool.clone(),
        number(request.latency_us),
        Some(STATUSES[request.status].to_owned()),
        request.error_code.clone(),
        request.error_msg.clone(),
        request.bytes_in.and_then(number),
        request.bytes_out.and_then(number),
        request.tool_error.and_then(|flag| number(i64::from(flag))),
        request.target.clone(),
        Some(if request.is_tool_error { "tool_error" } else { STATUSES[request.status] }.to_owned()),
    ])
}

fn sessions(events: &Events, counted: &[&Request]) -> Table {
    let mut ids: BTreeSet<&String> = counted.iter().filter_map(|request| request.session.as_ref()).collect();
    ids.extend(events.sessions.iter().map(|session| &session.id));
    ids.extend(events.closes.iter().map(|closed| &closed.id));
    ids.into_iter().map(|id| session_row(id, events, counted)).collect()
}

fn session_row(id: &String, events: &Events, counted: &[&Request]) -> String {
    let announced = events.sessions.iter().find(|session| session.id == *id);
    let noise = events.sessions.iter().filter(|session| session.id == *id).filter_map(|session| session.noise_lines);
    let closes: BTreeSet<i64> =
        events.closes.iter().filter(|closed| closed.id == *id).map(|closed| closed.ended_at).collect();
    let requests: Vec<_> = counted.iter().filter(|request| request.session.as_ref() == Some(id)).collect();
    let first = requests.iter().map(|request| request.ts).chain(closes.first().copied()).min();
    let started = announced.map(|session| session.started_at).or(first).expect("something named the session");
    let last = requests.iter().map(|request| request.ts).max();
    // Whoever speaks later reopens; of several closes the first and the last are known.
    let closed =
        closes.first().into_iter().chain(closes.last()).find(|closed| last.is_none_or(|last| last <= **closed));
    let proxy = announced.map(|session| &session.proxy).or(requests.iter().map(|request| &request.proxy).min());
    let count = |count: usize| Some(count.to_string());
    let name = announced.and_then(|session| session.client_name.as_deref());
    row([
        Some(id.clone()),
        Some(proxy.cloned().unwrap_or_default()),
        Some(started.to_string()),
        Some(last.unwrap_or(started).to_string()),
        closed.map(|at| at.to_string()),
        name.map(str::to_owned),
        announced.and_then(|session| session.client_version.clone()),
        name.map(|name| if name.contains("cursor") { "cursor" } else { "unknown" }.to_owned()),
        count(requests.len()),
        count(requests.iter().filter(|request| request.status != 0).count()),
        count(requests.iter().filter(|request| request.is_tool_error).count()),
        noise.max().map(|lines| lines.to_string()),
    ])
}

/// The newest version of each method, since it is the newest, and the changes between neighbours in time.
fn schemas(events: &Events) -> (Table, Table) {
    let (mut newest, mut changes) = (Table::new(), Table::new());
    let methods: BTreeSet<&String> = events.schemas.iter().map(|schema| &schema.method).collect();
    for method in methods {
        let mut versions: Vec<&Schema> = events.schemas.iter().filter(|version| version.method == *method).collect();
        versions.sort_by_key(|version| (version.ts, version.writer, version.place));
        // Of those that are alike, the first counts.
        let mut seen = BTreeSet::new();
        versions.retain(|version| seen.insert((version.ts, &version.payload)));
        let mut before: Option<&Schema> = None;
        let mut since = 0;
        for version in versions {
            if before.is_none_or(|old| old.payload != version.payload) {
                since = version.ts;
            }
            for (change, item) in changes_between(before, version) {
                changes.push(row([
                    Some(version.method.clone()),
                    Some(version.ts.to_string()),
                    Some(version.payload.clone()),
                    before.map(|old| old.payload.clone()),
                    Some(change.to_owned()),
                    item.map(String::from),
                ]));
            }
            before = Some(version);
        }
        let last = before.map(|version| version.payload.clone());
        newest.push(row([Some(method.clone()), Some(since.to_string()), last]));
    }
    (newest, changes)
}

fn changes_between(old: Option<&Schema>, new: &Schema) -> Vec<(&'static str, Option<char>)> {
    let Some(old) = old else { return vec![("initial", None)] };
    if old.payload == new.payload {
        return Vec::new();
    }
    if new.method == "initialize" {
        return vec![("updated", None)];
    }
    let x = |version: &Schema, name: char| version.tools.iter().find(|tool| tool.0 == name).map(|tool| tool.1);
    let names: BTreeSet<char> = old.tools.iter().chain(&new.tools).map(|tool| tool.0).collect();
    let change = |name: char| match (x(old, name), x(new, name)) {
        (None, _) => Some(("tool_added", Some(name))),
        (_, None) => Some(("tool_removed", Some(name))),
        (before, after) => (before != after).then_some(("tool_modified", Some(name))),
    };
    names.into_iter().filter_map(change).collect()
}

fn row<const COLUMNS: usize>(cells: [Option<String>; COLUMNS]) -> String {
    cells.map(|cell| cell.map_or("-".to_owned(), |text| format!("{text:?}"))).join("|")
}
