//! What changes in a file, as a unified diff, without what may be secret.
//!
//! Pure. Both texts are shown with all values covered but those that mcplog changes: `env`, headers, and what other settings
//! of the file say never get into a terminal's history, wherever they stand on their lines.

use super::document::{Document, Step};
use super::secret::{may_be_secret, secret_words};
use super::server::{Kind, Server, Started};
use similar::TextDiff;

/// How many lines around a change are shown.
const CONTEXT: usize = 2;

/// A document's text with everything covered but commands, arguments and addresses of `servers`.
pub(super) fn covered(document: &Document, servers: &[Server]) -> String {
    let shown: Vec<_> = servers.iter().map(|server| (server, Shown::of(server))).collect();
    document.masked(&|at: &[Step]| {
        shown.iter().any(|(server, shown)| within(server, at).is_some_and(|member| shown.has(member)))
    })
}

/// The diff of two texts of one file, with its name; nothing where nothing changed.
pub(super) fn diff(name: &str, before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let mut unified = diff.unified_diff();
    unified.context_radius(CONTEXT).header(name, name).missing_newline_hint(false);
    unified.to_string()
}

/// What of an entry is shown.
enum Shown<'a> {
    Started { started: &'a Started, is_secret: Vec<bool> },
    Address(&'static str),
    Nothing,
}

impl<'a> Shown<'a> {
    fn of(server: &'a Server) -> Self {
        match &server.kind {
            Kind::Stdio(started) => {
                let words: Vec<_> = [&started.command].into_iter().chain(&started.arguments).cloned().collect();
                Self::Started { started, is_secret: secret_words(&words) }
            }
            Kind::Http { member, url } if !may_be_secret(url) => Self::Address(member),
            _ => Self::Nothing,
        }
    }

    /// Whether that member of the entry is shown.
    fn has(&self, member: &[Step]) -> bool {
        let is = |at: &[Step], path: &[&str]| {
            at.len() == path.len()
                && at.iter().zip(path).all(|(step, name)| matches!(step, Step::Key(key) if key == name))
        };
        match self {
            Self::Started { started, is_secret } => match member.split_last() {
                Some((Step::Index(index), list)) => {
                    is(list, started.arguments_at) && is_secret.get(index + 1) == Some(&false)
                }
                _ => is(member, started.command_at) && !is_secret[0],
            },
            Self::Address(name) => is(member, &[name]),
            Self::Nothing => false,
        }
    }
}

/// The rest of the way, if it leads to the entry.
fn within<'a>(server: &Server, at: &'a [Step]) -> Option<&'a [Step]> {
    at.strip_prefix(&server.way(&[])[..])
}
