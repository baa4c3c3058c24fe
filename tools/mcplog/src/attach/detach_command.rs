//! `mcplog detach`: takes off what `mcplog attach` put there, and leaves what anybody else changed.
//!
//! Runs on the main thread. It needs nothing that was remembered, but for an address that was replaced.

use super::arguments::DetachArgs;
use super::found::found;
use super::opened::Opened;
use super::plan::{Detached, detach};
use super::report::{Row, say};
use super::selection::Selection;
use super::server::Projects;
use super::state::{Attachment, State};
use super::user::User;
use super::words::Told;
use super::writing::{Planned, Writing};
use crate::error::{CliError, EXIT_OK};
use mcplog_terminal::output::complain;
use mcplog_terminal::view::View;
use std::io::Write;

/// Runs the command; returns the exit code.
pub(crate) fn run(args: &DetachArgs, view: &View, out: &mut dyn Write) -> Result<u8, CliError> {
    let user = User::here(&args.files)?;
    let mut writing = Writing::begin(&user, args.dry_run, args.json).map_err(CliError::failed)?;
    let also = writing.remembered.files(args.client);
    let mut files = found(args.client, &user.surroundings(), also.into_iter());
    files.retain(|file| args.files.scope.is_none_or(|scope| file.scope == scope));
    // What was attached in one project is found from anywhere.
    let (opened, errors) = Opened::all(args.client, &files, Projects::All);
    writing.report.errors = errors.iter().map(ToString::to_string).collect();
    let selection = Selection { names: &args.servers };
    if errors.is_empty() {
        let known = writing.remembered.attached.iter().filter(|attachment| attachment.place.client == args.client);
        selection.check(args.client, &opened, known.map(|attachment| attachment.place.server.as_str()))?;
    }
    for before in &opened {
        let mut after = before.clone();
        let planned = detach_all(&mut after, selection, &writing.remembered);
        writing.settle(before, &after, planned, Projects::All, out)?;
    }
    let report = &writing.report;
    if args.json {
        report.write_json(args.client, out)?;
    } else {
        report.write_words(&user, view, out)?;
        if report.is_changed() {
            say(out, view, 0, &format!("To have it so: {}.", args.client.facts().restart))?;
        } else if report.files.is_empty() && report.errors.is_empty() {
            writeln!(out, "nothing of {} is attached", args.client.title())?;
        }
    }
    report.errors.iter().for_each(complain);
    // Where nothing is attached, all is as it was asked for.
    Ok(if report.files.is_empty() && report.errors.is_empty() { EXIT_OK } else { report.exit_code() })
}

/// Detaches those of a file's servers that are meant, in its document. A server that is not attached is told of only if it
/// was named.
fn detach_all(opened: &mut Opened, selection: Selection<'_>, remembered: &State) -> Planned {
    let mut planned = Planned::default();
    for server in opened.servers.clone().iter().filter(|server| selection.has(&server.name)) {
        let place = opened.place(server);
        let of_server = remembered.get(&place);
        let detached = detach(&mut opened.document, server, of_server);
        if of_server.is_some() && !matches!(detached, Detached::WrapsNothing | Detached::Refused(_)) {
            planned.memory.detached.push(place);
        }
        let is_named = selection.is_named(&server.name);
        if detached == Detached::Not && !is_named {
            continue;
        }
        planned.rows.push(Row {
            server: server.name.clone(),
            told: Told::of_detached(&detached),
            is_disabled: server.is_disabled,
            is_changed: matches!(detached, Detached::Exactly | Detached::Rest),
            is_named,
        });
    }
    let is_gone = |attachment: &&Attachment| {
        attachment.place.client == opened.client
            && attachment.place.file == opened.file.target
            && selection.has(&attachment.place.server)
            && !opened.servers.iter().any(|server| opened.place(server) == attachment.place)
    };
    for attachment in remembered.attached.iter().filter(is_gone) {
        planned.memory.detached.push(attachment.place.clone());
        planned.rows.push(Row {
            server: attachment.place.server.clone(),
            told: Told::of_gone(),
            is_disabled: false,
            is_changed: false,
            is_named: false,
        });
    }
    planned
}
