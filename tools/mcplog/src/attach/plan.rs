//! What becomes of one server's entry when it is attached, and when it is detached.
//!
//! Pure: the document is changed, and nothing else. Only command, arguments or address of the entry are touched; `env`,
//! headers and all other members stay, and the words of the command stay as their user wrote them.

use super::document::{Document, DocumentError};
use super::member_change::MemberChange;
use super::server::{Kind, Server, Started};
use super::state::{Attachment, How};
use super::wrapping::Wrapper;
use serde_json::Value;
use std::path::Path;

/// How servers are to be attached.
pub(super) struct Order<'a> {
    pub(super) wrapper: &'a Wrapper,
    /// The proxy's address that servers with an address get. `None`: servers that are started are attached.
    pub(super) via: Option<&'a str>,
    /// Whether a file lies at that path.
    pub(super) exists: &'a dyn Fn(&str) -> bool,
}

/// What became of an entry.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Attached {
    /// It was attached, and this was changed.
    Now(How, Vec<MemberChange>),
    /// It was attached, by a program that is not there any more, or to another address; this one stands there now. With all
    /// that was changed since it was not attached; nothing, if that is not remembered.
    Renewed(How, Vec<MemberChange>),
    /// It is attached already, and stays as it is.
    Already(How),
    /// It can't be attached so.
    Not(Why),
}

/// Why a server is not attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It is asked over HTTP, and no address was given.
    NeedsVia,
    /// It is started, and an address was given.
    IsStarted,
    /// Its command may be a line for a shell.
    ShellLine,
    /// `mcplog wrap` stands there, and nothing behind it.
    WrapsNothing,
    /// It can't be told how the client reaches it.
    Unknown(&'static str),
    /// Its entry can't be changed so that all else stays.
    Refused(DocumentError),
}

/// Attaches a server. Where its entry can't be changed, the document stays as it is.
pub(super) fn attach(
    document: &mut Document,
    server: &Server,
    order: &Order<'_>,
    remembered: Option<&Attachment>,
) -> Attached {
    let mut changed = document.clone();
    match try_attach(&mut changed, server, order, remembered) {
        Ok(attached) => {
            *document = changed;
            attached
        }
        Err(error) => Attached::Not(Why::Refused(error)),
    }
}

fn try_attach(
    document: &mut Document,
    server: &Server,
    order: &Order<'_>,
    remembered: Option<&Attachment>,
) -> Result<Attached, DocumentError> {
    match (&server.kind, order.via) {
        (Kind::Unknown(why), _) => Ok(Attached::Not(Why::Unknown(why))),
        (Kind::Http { .. }, None) => Ok(Attached::Not(Why::NeedsVia)),
        (Kind::Stdio(_), Some(_)) => Ok(Attached::Not(Why::IsStarted)),
        (Kind::Http { url, .. }, Some(via)) if url == via => Ok(Attached::Already(How::Via)),
        (Kind::Http { member, .. }, Some(via)) => {
            // Another proxy's address may stand there, and not the server's own: that one is remembered.
            let before = standing(document, server, remembered, How::Via);
            let put = |document: &mut Document, at: &[_]| document.set(at, &Value::from(via));
            let change = MemberChange::make(document, server, &[member], put)?;
            Ok(match before {
                Some(before) => Attached::Renewed(How::Via, [&before.changes[..], &[change]].concat()),
                None => Attached::Now(How::Via, vec![change]),
            })
        }
        (Kind::Stdio(started), None) => attach_started(document, server, started, order, remembered),
    }
}

fn attach_started(
    document: &mut Document,
    server: &Server,
    started: &Started,
    order: &Order<'_>,
    remembered: Option<&Attachment>,
) -> Result<Attached, DocumentError> {
    let program = |document: &mut Document, at: &[_]| document.set(at, &Value::from(order.wrapper.program.as_str()));
    if started.is_wrapped() {
        if started.wrapped().is_none() {
            return Ok(Attached::Not(Why::WrapsNothing));
        }
        if !Path::new(&started.command).is_absolute() || (order.exists)(&started.command) {
            return Ok(Attached::Already(How::Wrap));
        }
        let before = standing(document, server, remembered, How::Wrap);
        let change = MemberChange::make(document, server, started.command_at, program)?;
        // What is not remembered is recognised and taken off without that.
        let changes = before.map_or(Vec::new(), |before| [&before.changes[..], &[change]].concat());
        return Ok(Attached::Renewed(How::Wrap, changes));
    }
    if started.is_shell_line(order.exists) {
        return Ok(Attached::Not(Why::ShellLine));
    }
    let words = order.wrapper.arguments(&server.name, &started.command);
    let arguments = |document: &mut Document, at: &[_]| {
        if started.has_arguments { document.prepend(at, &words) } else { document.set(at, &Value::from(words.clone())) }
    };
    let changes = vec![
        MemberChange::make(document, server, started.command_at, program)?,
        MemberChange::make(document, server, started.arguments_at, arguments)?,
    ];
    Ok(Attached::Now(How::Wrap, changes))
}

/// What became of an entry that was to be detached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Detached {
    /// It is as it was.
    Exactly,
    /// What mcplog had put there is gone; somebody had changed the rest, and that stays.
    Rest,
    /// It is not attached.
    Not,
    /// It was attached, and somebody put another address there since, which stays.
    OtherAddress,
    /// `mcplog wrap` stands there, and nothing behind it.
    WrapsNothing,
    /// Its entry can't be changed so that all else stays.
    Refused(DocumentError),
}

/// Detaches a server. Where its entry can't be changed, the document stays as it is.
pub(super) fn detach(document: &mut Document, server: &Server, remembered: Option<&Attachment>) -> Detached {
    let mut changed = document.clone();
    match try_detach(&mut changed, server, remembered) {
        Ok(detached) => {
            *document = changed;
            detached
        }
        Err(error) => Detached::Refused(error),
    }
}

fn try_detach(
    document: &mut Document,
    server: &Server,
    remembered: Option<&Attachment>,
) -> Result<Detached, DocumentError> {
    match &server.kind {
        Kind::Stdio(started) if started.is_wrapped() => {
            let Some(wrapped) = started.wrapped() else { return Ok(Detached::WrapsNothing) };
            let remembered = of_kind(remembered, How::Wrap);
            if let Some(undone) = remembered.and_then(|remembered| undone(document, server, remembered)) {
                *document = undone;
                return Ok(Detached::Exactly);
            }
            document.remove_front(&server.way(started.arguments_at), wrapped.before)?;
            document.set(&server.way(started.command_at), &Value::from(wrapped.command))?;
            Ok(if remembered.is_some() { Detached::Rest } else { Detached::Exactly })
        }
        Kind::Http { .. } => match of_kind(remembered, How::Via) {
            None => Ok(Detached::Not),
            Some(remembered) => match undone(document, server, remembered) {
                None => Ok(Detached::OtherAddress),
                Some(undone) => {
                    *document = undone;
                    Ok(Detached::Exactly)
                }
            },
        },
        _ => Ok(Detached::Not),
    }
}

fn of_kind(remembered: Option<&Attachment>, how: How) -> Option<&Attachment> {
    remembered.filter(|remembered| remembered.how == how)
}

/// The document with all that was changed undone; `None` if any of it was changed again by somebody else, or can't be
/// undone so.
fn undone(document: &Document, server: &Server, remembered: &Attachment) -> Option<Document> {
    let mut copy = document.clone();
    let mut changes = remembered.changes.iter().rev();
    changes.all(|change| change.undo(&mut copy, server) == Ok(true)).then_some(copy)
}

/// What is remembered, if all that was changed stands there as it was changed.
fn standing<'a>(
    document: &Document,
    server: &Server,
    remembered: Option<&'a Attachment>,
    how: How,
) -> Option<&'a Attachment> {
    of_kind(remembered, how).filter(|remembered| undone(document, server, remembered).is_some())
}
