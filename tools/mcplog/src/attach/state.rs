//! What is remembered of each attached server: what stood there before, byte for byte.
//!
//! Pure. The configuration files are the truth, and this only helps: what is not remembered is recognised by its command.

use super::client::Client;
use super::member_change::MemberChange;
use super::places::Scope;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The version of the file's layout. A newer one is not touched.
pub(super) const VERSION: u32 = 1;

/// All attached servers of a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) version: u32,
    pub(super) attached: Vec<Attachment>,
}

/// How a server is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    /// `mcplog wrap` stands before its command.
    Wrap,
    /// A proxy's address stands in place of its own.
    Via,
}

/// Which server, where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ServerPlace {
    pub(super) client: Client,
    /// The file itself, behind the links that lead to it.
    pub(super) file: PathBuf,
    /// The members that lead to the servers in it.
    pub(super) section: Vec<String>,
    pub(super) server: String,
}

/// An attached server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Attachment {
    #[serde(flatten)]
    pub(super) place: ServerPlace,
    /// Where the file was found.
    pub(super) path: PathBuf,
    pub(super) scope: Scope,
    pub(super) how: How,
    /// When: Unix time in milliseconds, UTC.
    pub(super) attached_at: i64,
    /// Of a server that a proxy's address was put to: that one, and its own.
    #[serde(default)]
    pub(super) addresses: Option<Addresses>,
    /// What was changed in the entry, in this order: undone in the other one.
    pub(super) changes: Vec<MemberChange>,
}

/// The addresses of a server behind a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Addresses {
    pub(super) own: String,
    pub(super) via: String,
}

impl Default for State {
    fn default() -> Self {
        Self { version: VERSION, attached: Vec::new() }
    }
}

impl State {
    /// What is remembered of a server.
    pub(super) fn get(&self, place: &ServerPlace) -> Option<&Attachment> {
        self.attached.iter().find(|attachment| attachment.place == *place)
    }

    /// Remembers a server, in place of what was remembered of it.
    pub(super) fn put(&mut self, attachment: Attachment) {
        self.forget(&attachment.place);
        self.attached.push(attachment);
    }

    /// Forgets a server.
    pub(super) fn forget(&mut self, place: &ServerPlace) {
        self.attached.retain(|attachment| attachment.place != *place);
    }

    /// The files in which servers of a client were attached, where they were found.
    pub(super) fn files(&self, client: Client) -> Vec<(&Path, Scope)> {
        let of_client = self.attached.iter().filter(|attachment| attachment.place.client == client);
        let mut files: Vec<_> = of_client.map(|attachment| (attachment.path.as_path(), attachment.scope)).collect();
        files.sort_unstable();
        files.dedup();
        files
    }
}
