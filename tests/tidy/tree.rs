//! The files that the rules are checked on: those of the repository, or made-up ones with a planted violation.
//!
//! Reads files, and nothing else here does. Never writes.

use std::collections::BTreeMap;
use std::path::Path;

/// Text by path. Paths are relative to the repository, with `/` between their parts.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
}

/// The folders of the repository. Beside them may lie whatever a run left, a store of gigabytes too.
const FOLDERS: [&str; 8] = [".ci", "benches", "docs", "examples", "fuzz", "src", "tests", "tools"];

/// Folders with nothing in them that a rule is about: what was built or installed, and inputs of tests by the hundred.
const NOT_LOOKED_AT: [&str; 8] =
    ["target", "node_modules", "corpus", "found", "artifacts", "coverage", "golden", "__pycache__"];

impl Tree {
    /// The files of the repository at `root`.
    pub(crate) fn read(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut pending: Vec<_> = FOLDERS.iter().map(|folder| root.join(folder)).collect();
        for name in ["Cargo.toml", "README.md", "format.md", "justfile"] {
            let text = std::fs::read_to_string(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            files.insert(name.to_owned(), text);
        }
        while let Some(folder) = pending.pop() {
            for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
                let path = entry.expect("an entry").path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if name.starts_with('.') || NOT_LOOKED_AT.contains(&name.as_str()) {
                    continue;
                }
                if path.is_dir() {
                    pending.push(path);
                } else {
                    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                    let path = path.strip_prefix(root).expect("below the root").display().to_string();
                    files.insert(path, String::from_utf8_lossy(&bytes).into_owned());
                }
            }
        }
        Self { files }
    }

    /// A tree of these files, that never was on a disk.
    pub(crate) fn made_up<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self { files: files.into_iter().map(|(path, text)| (path.into(), text.into())).collect() }
    }

    /// All paths, sorted.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The Rust files, sorted by path, each with its text.
    pub(crate) fn rust_files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter(|(path, _)| path.ends_with(".rs")).map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// A file's text; `None` if there is no such file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// A file's text.
    ///
    /// # Panics
    /// There is no such file.
    pub(crate) fn read_text(&self, path: &str) -> &str {
        self.text(path).unwrap_or_else(|| panic!("there is no {path}"))
    }
}
