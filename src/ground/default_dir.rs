//! Where stores lie unless somebody says otherwise: one place for all programs, so that the next one finds what one recorded.
//!
//! Reads the environment and nothing else: what is there on the disk decides nothing, and nothing is created. Crates that do
//! this for all kinds of directories were rejected: they ask the system's list of users where `HOME` is missing, so that
//! a service records where nobody looks, in place of an error that says what to set.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The environment variable that names the directory of a user's store.
pub const DIR_VARIABLE: &str = "MCPLOG_DIR";
/// The one that names the directory for all data of a user, on Linux.
const DATA_VARIABLE: &str = "XDG_DATA_HOME";
/// The one that names a user's home.
const HOME_VARIABLE: &str = "HOME";
/// The store's directory within those.
const NAME: &str = "mcplog";

/// The directory of a store that nobody named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultDir {
    /// The directory. It need not be there.
    pub path: PathBuf,
    /// The environment variable that it comes from: [`DIR_VARIABLE`], `XDG_DATA_HOME` or `HOME`.
    pub variable: &'static str,
}

impl From<DefaultDir> for PathBuf {
    fn from(dir: DefaultDir) -> Self {
        dir.path
    }
}

/// The environment does not say where a store may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no directory for a store: set {DIR_VARIABLE} to one (it is not set, and {}, as in a container or a service)",
    if cfg!(target_os = "macos") { "HOME is no absolute path" } else { "neither XDG_DATA_HOME nor HOME is an absolute path" }
)]
pub struct NoDefaultDir;

/// Where a store lies unless somebody says otherwise: what the environment's `MCPLOG_DIR` names, else `mcplog` in the
/// platform's directory for the data of a user.
///
/// That is `$XDG_DATA_HOME`, or `~/.local/share` without it; on macOS `~/Library/Application Support`. A variable that is
/// empty counts as unset, and so does a relative `XDG_DATA_HOME` or `HOME`: it would be another directory for each
/// program. The commands `mcplog` and `wal-inspect` look there too, so a program that embeds the library and records
/// there needs no `--dir` of them:
///
/// ```no_run
/// let store = mcplog::Store::open(mcplog::Config::new(mcplog::default_dir()?))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// None of these variables is set.
pub fn default_dir() -> Result<DefaultDir, NoDefaultDir> {
    of(|name| std::env::var_os(name), cfg!(target_os = "macos"))
}

fn of(value_of: impl Fn(&str) -> Option<OsString>, is_macos: bool) -> Result<DefaultDir, NoDefaultDir> {
    let set = |name: &str| value_of(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let absolute = |name: &str| set(name).filter(|path| path.is_absolute());
    let in_home = Path::new(if is_macos { "Library/Application Support" } else { ".local/share" });
    let told = || Some(DefaultDir { path: set(DIR_VARIABLE)?, variable: DIR_VARIABLE });
    let data = || {
        let path = absolute(DATA_VARIABLE).filter(|_| !is_macos)?;
        Some(DefaultDir { path: path.join(NAME), variable: DATA_VARIABLE })
    };
    let home = || {
        let path = absolute(HOME_VARIABLE)?.join(in_home).join(NAME);
        Some(DefaultDir { path, variable: HOME_VARIABLE })
    };
    told().or_else(data).or_else(home).ok_or(NoDefaultDir)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the three variables come to, on Linux and on macOS.
    fn found([dir, data, home]: [Option<&str>; 3]) -> [Option<(String, &'static str)>; 2] {
        [false, true].map(|is_macos| {
            let value_of = |name: &str| match name {
                DIR_VARIABLE => dir.map(OsString::from),
                DATA_VARIABLE => data.map(OsString::from),
                HOME_VARIABLE => home.map(OsString::from),
                _ => panic!("{name} is nobody's business"),
            };
            of(value_of, is_macos).ok().map(|dir| (dir.path.display().to_string(), dir.variable))
        })
    }

    #[test]
    fn the_nearest_variable_that_says_something_counts() {
        let (told, data, home) = (DIR_VARIABLE, DATA_VARIABLE, HOME_VARIABLE);
        // `None`, empty and relative values of each.
        for dir in [None, Some(""), Some("here"), Some("/d")] {
            for share in [None, Some(""), Some("share"), Some("/s")] {
                for user in [None, Some(""), Some("u"), Some("/u")] {
                    let at_home = |path: &str| (user == Some("/u")).then(|| (path.to_owned(), home));
                    let expected = match (dir, share) {
                        (Some(dir @ ("here" | "/d")), _) => {
                            [Some((dir.to_owned(), told)), Some((dir.to_owned(), told))]
                        }
                        (_, Some("/s")) => {
                            [Some(("/s/mcplog".to_owned(), data)), at_home("/u/Library/Application Support/mcplog")]
                        }
                        _ => [at_home("/u/.local/share/mcplog"), at_home("/u/Library/Application Support/mcplog")],
                    };
                    assert_eq!(found([dir, share, user]), expected, "{dir:?} {share:?} {user:?}");
                }
            }
        }
    }

    #[test]
    fn who_finds_none_is_told_what_to_set() {
        let error = of(|_| None, false).unwrap_err().to_string();
        assert!(error.contains("set MCPLOG_DIR to one") && error.contains("HOME"), "{error}");
    }
}
