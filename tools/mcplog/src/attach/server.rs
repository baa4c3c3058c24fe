//! A server as it stands in a client's file: how it is started, or asked.
//!
//! Pure. What stands in `env` or in headers is never looked at.

use super::client::Client;
use super::document::{Document, Step};
use super::facts::Layout;
use super::wrapping::{Wrapped, is_wrapped, unwrapped};
use serde_json::Value;
use std::path::Path;

/// The member that holds the projects of `~/.claude.json`.
const PROJECTS: &str = "projects";
/// The member in which a list's items say their name.
const NAME: &str = "name";

/// The places of command and arguments in an entry; the first whose command is a text counts.
const COMMANDS: [(&[&str], &[&str]); 2] =
    [(&["command"], &["args"]), /* Zed's first layout */ (&["command", "path"], &["command", "args"])];

/// Whose servers of a file that holds those of several projects are meant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Projects<'a> {
    /// Those of the project in this directory: of the directory itself, and of those above it up to the root of its
    /// repository, where the client looks for what it knows of a project.
    Of {
        directory: &'a Path,
        root: &'a Path,
    },
    All,
}

impl Projects<'_> {
    fn has(self, path: &Path) -> bool {
        match self {
            Self::Of { directory, root } => directory.starts_with(path) && path.starts_with(root),
            Self::All => true,
        }
    }
}

/// A server's entry in a file.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// Its name in the client.
    pub(super) name: String,
    /// The members that lead to the servers.
    pub(super) section: Vec<String>,
    /// Its place among the items, where servers stand in a list.
    pub(super) index: Option<usize>,
    pub(super) kind: Kind,
    /// Whether the client is told to leave it alone.
    pub(super) is_disabled: bool,
}

/// What a client does with a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It starts a process.
    Stdio(Started),
    /// It asks an address.
    Http {
        /// The member that holds the address.
        member: &'static str,
        url: String,
    },
    /// Neither, as far as can be seen, for that reason.
    Unknown(&'static str),
}

/// How a process is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Started {
    pub(super) command_at: &'static [&'static str],
    pub(super) arguments_at: &'static [&'static str],
    pub(super) command: String,
    /// Empty too where the entry has none.
    pub(super) arguments: Vec<String>,
    pub(super) has_arguments: bool,
}

impl Started {
    /// What is wrapped in it, if it is.
    pub(super) fn wrapped(&self) -> Option<Wrapped<'_>> {
        unwrapped(&self.command, &self.arguments)
    }

    /// Whether `mcplog wrap` stands before it, with or without anything behind.
    pub(super) fn is_wrapped(&self) -> bool {
        is_wrapped(&self.command, &self.arguments)
    }

    /// Whether the command reads as a line for a shell: of several words, with no argument beside it. Whether the client
    /// has one read it, or takes it apart itself, nobody says; a program of that name is no such line.
    pub(super) fn is_shell_line(&self, is_program: impl Fn(&str) -> bool) -> bool {
        self.arguments.is_empty() && self.command.trim().contains(char::is_whitespace) && !is_program(&self.command)
    }
}

impl Server {
    /// The servers of a client's file, in their order.
    pub(super) fn all(document: &Document, client: Client, layout: Layout, projects: Projects<'_>) -> Vec<Self> {
        let key = client.facts().key;
        let mut sections = vec![vec![key.to_owned()]];
        if layout == Layout::NamedAndByProject {
            let of_project = document.keys(&keys([PROJECTS])).into_iter().filter(|path| projects.has(Path::new(path)));
            sections.extend(of_project.map(|path| vec![PROJECTS.to_owned(), path, key.to_owned()]));
        }
        let of_section = |section| Self::of_section(document, client, layout, section);
        sections.into_iter().flat_map(of_section).collect()
    }

    fn of_section(document: &Document, client: Client, layout: Layout, section: Vec<String>) -> Vec<Self> {
        let at = keys(section.iter().map(String::as_str));
        let name_of = |index| {
            let at: Vec<_> = at.iter().cloned().chain([Step::Index(index), Step::Key(NAME.to_owned())]).collect();
            document.value(&at)?.as_str().map(str::to_owned)
        };
        let names: Vec<(String, Option<usize>)> = if layout == Layout::Listed {
            (0..document.len(&at)).filter_map(|index| Some((name_of(index)?, Some(index)))).collect()
        } else {
            document.keys(&at).into_iter().map(|name| (name, None)).collect()
        };
        let read = |(name, index)| Self::read(document, client, section.clone(), name, index);
        names.into_iter().map(read).collect()
    }

    fn read(document: &Document, client: Client, section: Vec<String>, name: String, index: Option<usize>) -> Self {
        let mut server = Self { name, section, index, kind: Kind::Unknown(""), is_disabled: false };
        let value = |path: &[&str]| document.value(&server.way(path));
        let is = |member: &str, wanted: bool| value(&[member]) == Some(Value::Bool(wanted));
        let is_disabled = is("disabled", true) || is("enabled", false);
        let kind = kind(client, &value);
        server.is_disabled = is_disabled;
        server.kind = kind;
        server
    }

    /// The way to the entry, or to a member of it.
    pub(super) fn way(&self, member: &[&str]) -> Vec<Step> {
        let mut way = keys(self.section.iter().map(String::as_str));
        way.push(self.index.map_or_else(|| Step::Key(self.name.clone()), Step::Index));
        way.extend(keys(member.iter().copied()));
        way
    }
}

/// What an entry comes to, of which `value` gives the members.
fn kind(client: Client, value: &dyn Fn(&[&str]) -> Option<Value>) -> Kind {
    let facts = client.facts();
    let text = |path: &[&str]| value(path).and_then(|value| value.as_str().map(str::to_owned));
    let command =
        COMMANDS.into_iter().find_map(|(command_at, arguments_at)| Some((text(command_at)?, command_at, arguments_at)));
    // A client that skips addresses is asked for by the usual member.
    let url_members = if facts.url_members.is_empty() { &["url"] } else { facts.url_members };
    let url = url_members.iter().find_map(|member| Some((*member, text(&[member])?)));
    let told = text(&["type"]).unwrap_or_default();
    let is_told_url = matches!(told.as_str(), "http" | "sse" | "streamable-http" | "streamableHttp");
    match (command, url) {
        (Some(_), Some((member, url))) if facts.prefers_url || is_told_url => Kind::Http { member, url },
        (Some((command, command_at, arguments_at)), _) => {
            started(command, command_at, arguments_at, value(arguments_at))
        }
        (None, Some((member, url))) => Kind::Http { member, url },
        (None, None) => Kind::Unknown("it has neither a command nor an address"),
    }
}

fn started(
    command: String,
    command_at: &'static [&'static str],
    arguments_at: &'static [&'static str],
    arguments: Option<Value>,
) -> Kind {
    if command.trim().is_empty() {
        return Kind::Unknown("its command is empty");
    }
    let has_arguments = arguments.is_some();
    let texts = match arguments {
        None => Some(Vec::new()),
        Some(Value::Array(values)) => {
            values.into_iter().map(|value| if let Value::String(text) = value { Some(text) } else { None }).collect()
        }
        Some(_) => None,
    };
    match texts {
        Some(arguments) => Kind::Stdio(Started { command_at, arguments_at, command, arguments, has_arguments }),
        None => Kind::Unknown("its arguments are no list of texts"),
    }
}

/// The steps along members of these names.
fn keys<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Step> {
    names.into_iter().map(|name| Step::Key(name.to_owned())).collect()
}
