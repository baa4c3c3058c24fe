//! Which servers are meant: those that were named, or all.
//!
//! Pure.

use super::client::Client;
use super::opened::Opened;
use crate::error::CliError;
use mcplog_terminal::text::escape;
use std::collections::BTreeSet;

/// How many names an error lists.
const LISTED_MAX: usize = 20;

/// The servers that were named on the command line; none: all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Selection<'a> {
    pub(super) names: &'a [String],
}

impl Selection<'_> {
    /// Whether that server is meant.
    pub(super) fn has(self, server: &str) -> bool {
        self.names.is_empty() || self.is_named(server)
    }

    /// Whether that server was named.
    pub(super) fn is_named(self, server: &str) -> bool {
        self.names.iter().any(|name| name == server)
    }

    /// Refuses a name that no server has, in `files` or among `also`.
    pub(super) fn check<'a>(
        self,
        client: Client,
        files: &'a [Opened],
        also: impl Iterator<Item = &'a str>,
    ) -> Result<(), CliError> {
        let in_files = files.iter().flat_map(|opened| opened.servers.iter().map(|server| server.name.as_str()));
        let known: BTreeSet<&str> = in_files.chain(also).collect();
        let Some(unknown) = self.names.iter().find(|name| !known.contains(name.as_str())) else { return Ok(()) };
        let listed: Vec<_> = known.iter().take(LISTED_MAX).map(|name| escape(name)).collect();
        let rest = if known.len() > LISTED_MAX { ", ..." } else { "" };
        let there = if listed.is_empty() { "no server".to_owned() } else { listed.join(", ") + rest };
        Err(CliError::Failed(format!(
            "{} has no server {}; there is {there}; nothing was changed",
            client.title(),
            escape(unknown)
        )))
    }
}
