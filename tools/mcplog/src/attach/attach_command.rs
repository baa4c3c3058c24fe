//! `mcplog attach`: puts `mcplog wrap` before the commands of a client's servers, or a proxy's address in place of theirs.
//!
//! Runs on the main thread. It starts nothing, and opens no store.

use super::arguments::AttachArgs;
use super::found::{Found, found, looked_for};
use super::opened::Opened;
use super::places::Scope;
use super::plan::{Attached, Order, Why, attach};
use super::program::Program;
use super::report::{FileReport, Report, Row, say};
use super::selection::Selection;
use super::server::{Kind, Server};
use super::state::{Addresses, Attachment, State};
use super::user::User;
use super::words::Told;
use super::wrapping::Wrapper;
use super::writing::{Planned, Writing};
use crate::error::CliError;
use mcplog_terminal::output::complain;
use mcplog_terminal::view::View;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

/// Runs the command; returns the exit code.
pub(crate) fn run(args: &AttachArgs, view: &View, out: &mut dyn Write, err: &mut dyn Write) -> Result<u8, CliError> {
    let user = User::here(&args.files)?;
    let program = Program::this().map_err(CliError::failed)?;
    let dir = args.store.for_others().map(|dir| dir.into_os_string().into_string()).transpose();
    let dir = dir.map_err(|_| CliError::failed("the path of the store is no UTF-8, and configuration files are"))?;
    let wrapper = Wrapper { program: program.path, dir };
    let order = Order { wrapper: &wrapper, via: args.via.as_deref(), exists: &|path| Path::new(path).exists() };

    let mut writing = Writing::begin(&user, args.dry_run, args.json).map_err(CliError::failed)?;
    let files = existing(args, &user)?;
    let projects = user.projects();
    let (opened, errors) = Opened::all(args.client, &files, projects);
    writing.report.errors = errors.iter().map(ToString::to_string).collect();
    let selection = Selection { names: &args.servers };
    if errors.is_empty() {
        selection.check(args.client, &opened, [].into_iter())?;
    }
    check_via(args, &opened, selection)?;
    for before in &opened {
        let mut after = before.clone();
        let planned = attach_all(&mut after, selection, &order, &writing.remembered);
        writing.settle(before, &after, planned, projects, out)?;
    }
    let report = &mut writing.report;
    report.files.iter_mut().for_each(remark_on_sharing);
    tell(args, &user, report, view, out)?;
    if let Some(warning) = program.warning.filter(|_| args.via.is_none() && report.is_changed()) {
        writeln!(err, "warning: the client is to start {}, and {warning}", wrapper.program)?;
    }
    Ok(report.exit_code())
}

/// The client's files; an error that says where they were looked for, if there is none.
fn existing(args: &AttachArgs, user: &User) -> Result<Vec<Found>, CliError> {
    let surroundings = user.surroundings();
    let mut files = found(args.client, &surroundings, [].into_iter());
    files.retain(|file| args.files.scope.is_none_or(|scope| file.scope == scope));
    if files.is_empty() {
        let paths: Vec<_> = looked_for(args.client, &surroundings).iter().map(|path| user.shown(path)).collect();
        return Err(CliError::Failed(format!(
            "{} has no configuration file here; looked for {} (those of a project in the directories above, too); \
             --project names another project's directory",
            args.client.title(),
            paths.join(", ")
        )));
    }
    Ok(files)
}

/// One address stands for one server.
fn check_via(args: &AttachArgs, opened: &[Opened], selection: Selection<'_>) -> Result<(), CliError> {
    if args.via.is_none() {
        return Ok(());
    }
    if args.client.facts().url_members.is_empty() {
        return Err(CliError::Failed(format!(
            "{} skips servers with an address in its configuration file, so that --via is of no use there",
            args.client.title()
        )));
    }
    let servers = opened.iter().flat_map(|opened| &opened.servers).filter(|server| selection.has(&server.name));
    let with_address = servers.filter(|server| matches!(server.kind, Kind::Http { .. }));
    let names: BTreeSet<_> = with_address.map(|server| server.name.as_str()).collect();
    if names.len() > 1 {
        let names: Vec<_> = names.into_iter().collect();
        return Err(CliError::Failed(format!(
            "a proxy's address stands for one server, and these have one: {}; name one of them; nothing was changed",
            names.join(", ")
        )));
    }
    Ok(())
}

/// Attaches those of a file's servers that are meant, in its document.
fn attach_all(opened: &mut Opened, selection: Selection<'_>, order: &Order<'_>, remembered: &State) -> Planned {
    let mut planned = Planned::default();
    for server in opened.servers.clone().iter().filter(|server| selection.has(&server.name)) {
        let place = opened.place(server);
        let attached = attach(&mut opened.document, server, order, remembered.get(&place));
        let is_named = selection.is_named(&server.name);
        // Who gives an address and no name wants the server that has one.
        if !is_named && attached == Attached::Not(Why::IsStarted) {
            continue;
        }
        planned.rows.push(Row {
            server: server.name.clone(),
            told: Told::of_attached(opened.client, &server.name, &attached),
            is_disabled: server.is_disabled,
            is_changed: matches!(attached, Attached::Now(..) | Attached::Renewed(..)),
            is_named,
        });
        if let Attached::Now(how, changes) | Attached::Renewed(how, changes) = attached
            && !changes.is_empty()
        {
            let path = opened.path().to_owned();
            let attached_at = jiff::Timestamp::now().as_millisecond();
            let addresses = addresses(server, order, remembered.get(&place));
            let scope = opened.scope;
            planned.memory.attached.push(Attachment { place, path, scope, how, attached_at, addresses, changes });
        }
    }
    planned
}

/// The addresses of a server that a proxy's was just put to: its own is the one that stood there first.
fn addresses(server: &Server, order: &Order<'_>, remembered: Option<&Attachment>) -> Option<Addresses> {
    let (Kind::Http { url, .. }, Some(via)) = (&server.kind, order.via) else { return None };
    let before = remembered.and_then(|remembered| remembered.addresses.as_ref());
    let own = before.filter(|before| before.via == *url).map_or(url, |before| &before.own);
    Some(Addresses { own: own.clone(), via: via.to_owned() })
}

/// Says of a project's file that its repository shares it.
fn remark_on_sharing(file: &mut FileReport) {
    let is_in_repository = || file.path.ancestors().skip(1).any(|directory| directory.join(".git").exists());
    if file.scope == Scope::Project && file.rows.iter().any(|row| row.is_changed) && is_in_repository() {
        file.remarks.push(
            "it lies in a repository: don't commit the change, for others have no mcplog at that path".to_owned(),
        );
    }
}

fn tell(args: &AttachArgs, user: &User, report: &Report, view: &View, out: &mut dyn Write) -> Result<(), CliError> {
    if args.json {
        report.write_json(args.client, out)?;
    } else {
        report.write_words(user, view, out)?;
        if report.is_changed() {
            let restart = args.client.facts().restart;
            say(out, view, 0, &format!("To have it so: {restart}. `mcplog detach {}` undoes it.", args.client.name()))?;
        }
    }
    if !report.is_any_done() && report.errors.is_empty() && args.servers.is_empty() {
        let kind = if args.via.is_some() { "asks over HTTP" } else { "starts" };
        complain(format!("{} has no server here that it {kind}; nothing was changed", args.client.title()));
    }
    report.errors.iter().for_each(complain);
    Ok(())
}
