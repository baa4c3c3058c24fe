//! Whose a file is that the system refuses, and who asks.
//!
//! Runs where an error is told, on whichever thread that is. It looks at owners and modes and opens nothing.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A user, by number, and by name where the system knows one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The number.
    pub id: u32,
    /// The name.
    pub name: Option<String>,
}

impl User {
    /// The user with that number.
    pub(crate) fn of(id: u32) -> Self {
        let found = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(id)).ok().flatten();
        Self { id, name: found.map(|user| user.name) }
    }

    /// Who runs this process.
    pub(crate) fn current() -> Self {
        Self::of(rustix::process::geteuid().as_raw())
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "user {name} ({})", self.id),
            None => write!(f, "user {}", self.id),
        }
    }
}

/// Who was refused at `path`, and by whose file or directory: `path` itself, or the directory on the way to it beyond which
/// nobody sees. `None` where there is nothing to say.
pub(crate) fn refusal(path: &Path) -> Option<String> {
    let mut at = path;
    let metadata = loop {
        match std::fs::symlink_metadata(at) {
            Ok(metadata) => break metadata,
            Err(_) if parent_of(at) == at => return None,
            Err(_) => at = parent_of(at),
        }
    };
    let (owner, mode) = (User::of(metadata.uid()), metadata.mode() & 0o7777);
    Some(format!("{} belongs to {owner}, mode {mode:o}, and this is {}", at.display(), User::current()))
}

/// The directory that a name is in.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        None => path,
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_refuses_is_the_file_itself_or_the_directory_before_what_can_t_be_seen() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let (me, owner) = (User::current(), User::of(dir.path().metadata().unwrap().uid()));
        let told = |path: &Path| refusal(path).unwrap();
        assert!(told(&file).starts_with(&format!("{} belongs to {owner}, mode ", file.display())), "{}", told(&file));
        assert!(told(&file).ends_with(&format!("and this is {me}")));
        let beneath = dir.path().join("not/there");
        assert!(told(&beneath).starts_with(&format!("{} belongs to", dir.path().display())), "{}", told(&beneath));
        assert!(told(Path::new("nothing-of-that-name")).starts_with(". belongs to"));
    }
}
