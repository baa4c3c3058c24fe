//! What the commands say of a server, in words and in JSON.
//!
//! Pure.

use super::client::Client;
use super::places::Scope;
use super::plan::{Attached, Detached, Why};
use super::state::How;
use anstyle::Style;
use mcplog_terminal::style::{BAD, DIM, GOOD, WARNING};
use serde::Serialize;
use std::path::Path;

/// What became of a server, as JSON.
#[derive(Debug, Serialize)]
pub(super) struct ServerLine<'a> {
    pub(super) client: Client,
    pub(super) file: &'a Path,
    pub(super) scope: Scope,
    pub(super) server: &'a str,
    pub(super) outcome: &'static str,
    pub(super) how: Option<How>,
    pub(super) reason: Option<&'static str>,
    pub(super) disabled: bool,
    /// Whether the file was changed.
    pub(super) changed: bool,
    pub(super) backup: Option<&'a Path>,
}

/// What became of a server, in words.
pub(super) struct Told {
    /// The word in JSON.
    pub(super) outcome: &'static str,
    /// The word for people.
    pub(super) word: &'static str,
    pub(super) style: Style,
    /// What there is to say besides.
    pub(super) remark: String,
    pub(super) how: Option<How>,
    /// The word in JSON for why not.
    pub(super) reason: Option<&'static str>,
    /// Whether that is what was asked for.
    pub(super) is_done: bool,
}

impl Told {
    /// What became of a server that was to be attached.
    pub(super) fn of_attached(client: Client, server: &str, outcome: &Attached) -> Self {
        let done = |outcome, word, how, remark: &str| Self {
            outcome,
            word,
            style: GOOD,
            remark: remark.to_owned(),
            how: Some(how),
            reason: None,
            is_done: true,
        };
        match outcome {
            Attached::Now(how, _) => done("attached", "attached", *how, ""),
            Attached::Renewed(how @ How::Wrap, _) => {
                done("renewed", "renewed", *how, "the mcplog that stood there is gone; this one stands there now")
            }
            Attached::Renewed(how @ How::Via, _) => done("renewed", "renewed", *how, "another address stood there"),
            Attached::Already(how) => done("already_attached", "already attached", *how, ""),
            Attached::Not(why) => Self {
                outcome: "not_attached",
                word: "not attached",
                style: WARNING,
                remark: remark(client, server, why),
                how: None,
                reason: Some(reason(why)),
                is_done: false,
            },
        }
    }

    /// What became of a server that was to be detached.
    pub(super) fn of_detached(outcome: &Detached) -> Self {
        let told = |outcome, word, style, remark: &str, reason, is_done| Self {
            outcome,
            word,
            style,
            remark: remark.to_owned(),
            how: None,
            reason,
            is_done,
        };
        match outcome {
            Detached::Exactly => told("detached", "detached", GOOD, "", None, true),
            Detached::Rest => {
                let remark = "it was changed by hand since it was attached; what was changed stays";
                told("detached", "detached", GOOD, remark, Some("changed_since"), true)
            }
            Detached::Not => told("not_attached", "not attached", DIM, "", None, true),
            Detached::OtherAddress => {
                let remark = "another address was put there since it was attached, and stays";
                told("forgotten", "forgotten", WARNING, remark, Some("other_address"), true)
            }
            Detached::WrapsNothing => {
                told("not_detached", "not detached", BAD, WRAPS_NOTHING, Some("wraps_nothing"), false)
            }
            Detached::Refused(error) => {
                told("not_detached", "not detached", BAD, &error.to_string(), Some("refused"), false)
            }
        }
    }

    /// A server that was attached, and that is not in its file any more.
    pub(super) fn of_gone() -> Self {
        Self {
            outcome: "forgotten",
            word: "forgotten",
            style: DIM,
            remark: "it is not in the file any more".to_owned(),
            how: None,
            reason: Some("gone"),
            is_done: true,
        }
    }
}

const WRAPS_NOTHING: &str = "`mcplog wrap` stands there, and no command behind its --: somebody has to write one";

fn remark(client: Client, server: &str, why: &Why) -> String {
    match why {
        Why::NeedsVia if client.facts().url_members.is_empty() => format!(
            "it has an address, and {} skips such servers in this file: it reaches remote ones from its vendor's cloud, \
             where no proxy on this machine is seen",
            client.title()
        ),
        Why::NeedsVia => format!(
            "it is asked over HTTP: start `mcplog proxy --upstream ITS-URL`, then `mcplog attach {} {} --via PROXY-URL`",
            client.name(),
            mcplog_terminal::shell::quoted(server)
        ),
        Why::IsStarted => "the client starts it, so that it has no address: attach it without --via".to_owned(),
        Why::ShellLine => "its command is a whole line, and clients differ in how they read one: write the program as \
                           the command and the other words as arguments, then attach it"
            .to_owned(),
        Why::WrapsNothing => WRAPS_NOTHING.to_owned(),
        Why::Unknown(why) => (*why).to_owned(),
        Why::Refused(error) => error.to_string(),
    }
}

fn reason(why: &Why) -> &'static str {
    match why {
        Why::NeedsVia => "needs_via",
        Why::IsStarted => "is_started",
        Why::ShellLine => "shell_line",
        Why::WrapsNothing => "wraps_nothing",
        Why::Unknown(_) => "unknown",
        Why::Refused(_) => "refused",
    }
}
