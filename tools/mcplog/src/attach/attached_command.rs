//! `mcplog attached`: what is attached where, and whether anything of it is on record.
//!
//! Runs on the main thread; only reads. A server is attached if its command is wrapped, whoever wrote that, or if the
//! address stands there that `mcplog attach --via` put there.

use super::arguments::AttachedArgs;
use super::client::Client;
use super::found::found;
use super::opened::Opened;
use super::places::Scope;
use super::recorded::{LastSession, Recorded, is_of};
use super::server::{Kind, Projects, Server};
use super::state::{Attachment, How, State};
use super::state_file::read;
use super::user::User;
use crate::error::{CliError, EXIT_IN_PART, EXIT_OK};
use crate::proxy::UpstreamUrl;
use mcplog_terminal::json;
use mcplog_terminal::output::complain;
use mcplog_terminal::style::{DIM, GOOD, NAME, WARNING};
use mcplog_terminal::table::{Cell, Column, write_table};
use mcplog_terminal::units::counted;
use mcplog_terminal::view::View;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const COLUMNS: [Column; 5] = [
    Column::left("CLIENT"),
    Column::left("SERVER").cut_to(8),
    Column::left("HOW"),
    Column::left("LAST SESSION").cut_to(12),
    Column::left("FILE").cut_to(12).droppable(1),
];

/// An attached server.
#[derive(Debug, Serialize)]
struct Shown {
    client: Client,
    file: PathBuf,
    scope: Scope,
    server: String,
    how: How,
    /// The program that the client starts, or the address that it asks.
    through: String,
    /// Whether that program is not there.
    is_missing: bool,
    disabled: bool,
    /// The name that it is recorded under.
    name: String,
    /// The store that it is recorded in.
    dir: PathBuf,
    attached_at: Option<i64>,
    last_session: Option<LastSession>,
    /// Whether a session was recorded since; null where it is not known since when, or whether there is any.
    recorded_since: Option<bool>,
}

/// Runs the command; returns the exit code.
pub(crate) fn run(args: &AttachedArgs, view: &View, out: &mut dyn Write) -> Result<u8, CliError> {
    let user = User::here(&args.files)?;
    let remembered = read(&user.state_dir).map_err(CliError::failed)?;
    let clients: Vec<_> = args.client.map_or(Client::ALL.to_vec(), |client| vec![client]);
    let (mut shown, mut errors) = (Vec::new(), Vec::new());
    for client in clients {
        let mut files = found(client, &user.surroundings(), remembered.files(client).into_iter());
        files.retain(|file| args.files.scope.is_none_or(|scope| file.scope == scope));
        let (opened, failed) = Opened::all(client, &files, Projects::All);
        errors.extend(failed.iter().map(ToString::to_string));
        for opened in &opened {
            let attached =
                opened.servers.iter().filter_map(|server| attached(opened, server, &remembered, &args.store.dir));
            shown.extend(attached);
        }
    }
    ask_stores(&mut shown, &mut errors);
    if args.json {
        shown.iter().try_for_each(|row| json::write_line(out, row))?;
    } else if shown.is_empty() {
        writeln!(out, "nothing is attached; `mcplog attach CLIENT` attaches the servers of a client")?;
    } else {
        let view = View { width: view.width.filter(|_| !args.wide), ..view.clone() };
        write_rows(out, &shown, &user, &view, jiff::Timestamp::now().as_millisecond())?;
    }
    errors.iter().for_each(complain);
    Ok(if errors.is_empty() { EXIT_OK } else { EXIT_IN_PART })
}

/// The server, if it is attached.
fn attached(opened: &Opened, server: &Server, remembered: &State, dir: &Path) -> Option<Shown> {
    let place = opened.place(server);
    let attachment = remembered.get(&place);
    let (how, through, name, own_dir) = match &server.kind {
        Kind::Stdio(started) if started.is_wrapped() => {
            let wrapped = started.wrapped();
            let name = wrapped.as_ref().and_then(|wrapped| wrapped.name).unwrap_or(&server.name);
            let dir = wrapped.as_ref().and_then(|wrapped| wrapped.dir).map(PathBuf::from);
            (How::Wrap, started.command.clone(), name.to_owned(), dir)
        }
        Kind::Http { url, .. } => {
            let attachment = attachment.filter(|attachment| attachment.how == How::Via)?;
            let own = own_address(attachment, url)?;
            // What the proxy before it calls it, unless it was told another name.
            let name = UpstreamUrl::parse(&own).map_or(own, |url| url.authority().to_owned());
            (How::Via, url.clone(), name, None)
        }
        _ => return None,
    };
    let is_missing = how == How::Wrap && Path::new(&through).is_absolute() && !Path::new(&through).exists();
    Some(Shown {
        client: opened.client,
        file: opened.path().to_owned(),
        scope: opened.scope,
        server: server.name.clone(),
        how,
        through,
        is_missing,
        disabled: server.is_disabled,
        name,
        dir: own_dir.unwrap_or_else(|| dir.to_owned()),
        attached_at: attachment.filter(|attachment| attachment.how == how).map(|attachment| attachment.attached_at),
        last_session: None,
        recorded_since: None,
    })
}

/// The server's own address, if the one that stands there is the one that was put there.
fn own_address(attachment: &Attachment, url: &str) -> Option<String> {
    attachment.addresses.as_ref().filter(|addresses| addresses.via == url).map(|addresses| addresses.own.clone())
}

/// Asks the stores for the latest sessions; each is opened once.
fn ask_stores(shown: &mut [Shown], errors: &mut Vec<String>) {
    let mut stores = BTreeMap::new();
    for row in shown {
        let store = stores.entry(row.dir.clone()).or_insert_with(|| {
            Recorded::open(&row.dir).unwrap_or_else(|error| {
                errors.push(error.to_string());
                None
            })
        });
        let session = store.as_ref().map(|store| store.last_session(row.client, &row.name, row.how)).transpose();
        match session {
            Ok(session) => row.last_session = session.flatten(),
            Err(error) => errors.push(error.to_string()),
        }
        let is_since = |at: i64| row.last_session.as_ref().is_some_and(|session| session.last_seen_at >= at);
        row.recorded_since = row.attached_at.map(is_since);
    }
}

fn write_rows(out: &mut dyn Write, shown: &[Shown], user: &User, view: &View, now_ts: i64) -> io::Result<()> {
    let rows: Vec<_> = shown.iter().map(|row| cells(row, user, now_ts)).collect();
    write_table(out, &COLUMNS, "CLIENT", &rows, view.width)
}

fn cells<'a>(row: &'a Shown, user: &User, now_ts: i64) -> Vec<Cell<'a>> {
    let (text, style) = match &row.last_session {
        _ if row.is_missing => ("its mcplog is gone: attach it again".to_owned(), WARNING),
        None => ("never recorded: restart the client".to_owned(), WARNING),
        Some(session) => {
            let style = if row.recorded_since == Some(false) { WARNING } else { GOOD };
            (told(session, row.client, row.recorded_since, now_ts), style)
        }
    };
    let how = match row.how {
        How::Wrap => "wrap",
        How::Via => "via",
    };
    vec![
        Cell::new(row.client.name()),
        Cell::new(&row.server).styled(NAME),
        Cell::new(how),
        Cell::owned(text).styled(style),
        Cell::owned(user.shown(&row.file)).styled(DIM),
    ]
}

/// A session, as people are told of it.
fn told(session: &LastSession, client: Client, recorded_since: Option<bool>, now_ts: i64) -> String {
    let calls = counted(session.calls, "call");
    let mut text = format!("{}, {calls}", ago(now_ts.saturating_sub(session.last_seen_at)));
    if let Some(name) = session.client_name.as_deref().filter(|name| !is_of(client, Some(name))) {
        text.push_str(&format!(", by {name}"));
    }
    if recorded_since == Some(false) {
        text.push_str("; not since attached: restart the client");
    }
    text
}

/// How long ago something was, roughly.
fn ago(passed_ms: i64) -> String {
    let seconds = passed_ms / 1_000;
    let (number, unit) = match seconds {
        ..10 => return "just now".to_owned(),
        10..60 => (seconds, "s"),
        60..3_600 => (seconds / 60, "min"),
        3_600..86_400 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "d"),
    };
    format!("{number} {unit} ago")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_some_time_ago_is_told_in_one_unit() {
        let cases = [
            (-5, "just now"),
            (9_999, "just now"),
            (10_000, "10 s ago"),
            (59_999, "59 s ago"),
            (60_000, "1 min ago"),
            (3_599_999, "59 min ago"),
            (3_600_000, "1 h ago"),
            (86_399_999, "23 h ago"),
            (172_800_000, "2 d ago"),
        ];
        for (passed_ms, expected) in cases {
            assert_eq!(ago(passed_ms), expected);
        }
    }
}
