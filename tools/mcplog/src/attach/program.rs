//! Which path of this program is written into configuration files: one that stays.
//!
//! The decision is pure; asking the system is at the end.

use super::wrapping::is_wrapped;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

/// This program, as others are told to start it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// Its absolute path.
    pub(super) path: String,
    /// Why that path may not stay, if it does not look as if it would.
    pub(super) warning: Option<&'static str>,
}

/// Why no path of this program can be written down.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProgramError {
    #[error("can't tell where this program lies: {0}")]
    Unknown(#[from] std::io::Error),
    #[error("the path of this program is no UTF-8, and configuration files are: {}", .0.display())]
    NotUtf8(PathBuf),
    #[error(
        "this program is called {}, and what it attaches is recognised by the name mcplog: start it by a path that ends in mcplog",
        .0.display()
    )]
    OtherName(PathBuf),
}

impl Program {
    /// This program.
    pub(super) fn this() -> Result<Self, ProgramError> {
        let real = std::env::current_exe()?;
        let is_same = |path: &Path| path.canonicalize().is_ok_and(|path| Some(path) == real.canonicalize().ok());
        let typed = std::env::args_os().next().unwrap_or_default();
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let directory = std::env::current_dir().unwrap_or_default();
        let called = called(&typed, &directory, std::env::split_paths(&paths));
        let path = called.into_iter().find(|path| is_named_mcplog(path) && is_same(path)).unwrap_or(real);
        Self::at(path, &std::env::temp_dir())
    }

    fn at(path: PathBuf, temporary: &Path) -> Result<Self, ProgramError> {
        let warning = warning(&path, temporary);
        let path = path.into_os_string().into_string().map_err(|path| ProgramError::NotUtf8(path.into()))?;
        if !is_named_mcplog(Path::new(&path)) {
            return Err(ProgramError::OtherName(path.into()));
        }
        Ok(Self { path, warning })
    }
}

/// The paths by which this program may have been called, the likeliest first. A link on the `PATH` stays when a version is
/// replaced by the next one; where it leads to does not.
fn called(typed: &OsStr, directory: &Path, paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let typed = Path::new(typed);
    let on_path = paths.filter(|path| path.is_absolute());
    match typed.components().count() {
        0 => Vec::new(),
        1 if !typed.is_absolute() => on_path.map(|path| path.join(typed)).collect(),
        _ => vec![without_dots(&directory.join(typed))],
    }
}

/// The path without `.` and `..`, as it reads.
fn without_dots(path: &Path) -> PathBuf {
    let mut short = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                short.pop();
            }
            other => short.push(other),
        }
    }
    short
}

fn is_named_mcplog(path: &Path) -> bool {
    let wrap = ["wrap", "--"].map(str::to_owned);
    path.to_str().is_some_and(|path| is_wrapped(path, &wrap))
}

fn warning(path: &Path, temporary: &Path) -> Option<&'static str> {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str()).collect();
    let is_build = parts.windows(2).any(|pair| pair[0] == "target" && (pair[1] == "debug" || pair[1] == "release"));
    if is_build {
        return Some("it lies where cargo builds, and is gone after `cargo clean`: copy it to a directory of the PATH");
    }
    let temporary = [temporary, Path::new("/tmp"), Path::new("/var/tmp"), Path::new("/dev/shm")];
    temporary
        .iter()
        .any(|directory| path.starts_with(directory))
        .then_some("it lies in a temporary directory: copy it to a directory of the PATH")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_on_the_path_and_a_path_is_made_absolute_without_following_links() {
        let paths = || ["/home/u/bin", "relative", "/usr/bin"].iter().map(PathBuf::from);
        let cases: [(&str, &[&str]); 4] = [
            ("mcplog", &["/home/u/bin/mcplog", "/usr/bin/mcplog"]),
            ("./mcplog", &["/work/mcplog"]),
            ("../a/./mcplog", &["/a/mcplog"]),
            ("/opt/bin/mcplog", &["/opt/bin/mcplog"]),
        ];
        for (typed, expected) in cases {
            let expected: Vec<_> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(called(OsStr::new(typed), Path::new("/work"), paths()), expected, "{typed}");
        }
        assert!(called(OsStr::new(""), Path::new("/work"), paths()).is_empty());
    }

    #[test]
    fn a_place_that_does_not_last_is_warned_of() {
        let warned = |path: &str| Program::at(path.into(), Path::new("/scratch")).unwrap().warning;
        for path in ["/home/u/mcplog/target/debug/mcplog", "/b/target/release/mcplog"] {
            assert!(warned(path).unwrap().contains("cargo"), "{path}");
        }
        for path in ["/tmp/mcplog", "/scratch/a/mcplog", "/var/tmp/mcplog"] {
            assert!(warned(path).unwrap().contains("temporary"), "{path}");
        }
        for path in ["/usr/local/bin/mcplog", "/home/u/target/mcplog", "/tmpfiles/mcplog"] {
            assert_eq!(warned(path), None, "{path}");
        }
    }

    #[test]
    fn a_program_of_another_name_would_not_be_recognised() {
        let error = Program::at("/usr/bin/mcplog-0.1".into(), Path::new("/tmp")).unwrap_err().to_string();
        assert!(error.contains("mcplog-0.1") && error.contains("ends in mcplog"), "{error}");
    }
}
