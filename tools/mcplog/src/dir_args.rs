//! `--dir`, and where a store is looked for without it.
//!
//! Reads the environment; asks the disk only to explain why no store was found.

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};
use mcplog::DefaultDir;
use mcplog_terminal::text::escape;
use std::path::{Path, PathBuf};

/// The option.
const DIR: &str = "dir";
/// Where mcplog recorded before there was a place for all: people have stores there, of the tutorials of those days.
const FORMER_DEFAULT: &str = "./mcplog-data";

/// Where the store is.
#[derive(Clone, Debug)]
pub(crate) struct DirArgs {
    pub(crate) dir: PathBuf,
    /// The environment variable that says so, if no option does.
    variable: Option<&'static str>,
}

impl DirArgs {
    /// Why that is the place, in words for whoever named none; and another place, if a store is there.
    pub(crate) fn why_there(&self) -> Option<String> {
        let why = match self.variable? {
            mcplog::DIR_VARIABLE => "MCPLOG_DIR names that directory".to_owned(),
            variable => format!("that is the default, by {variable}, without --dir and MCPLOG_DIR"),
        };
        let former = Path::new(FORMER_DEFAULT);
        let is_elsewhere = has_store(former) && former.canonicalize().ok() != self.dir.canonicalize().ok();
        let hint = if is_elsewhere {
            format!("; there is a store in {FORMER_DEFAULT}: say --dir {FORMER_DEFAULT}")
        } else {
            String::new()
        };
        Some(why + &hint)
    }

    /// The directory, absolute, if a process that knows nothing of the environment but `HOME` would look elsewhere.
    pub(crate) fn for_others(&self) -> Option<PathBuf> {
        let is_by_home = self.variable == Some("HOME");
        (!is_by_home).then(|| std::path::absolute(&self.dir).unwrap_or_else(|_| self.dir.clone()))
    }

    /// Whether there is a store, or what is left of one.
    pub(crate) fn is_there(&self) -> bool {
        has_store(&self.dir)
    }
}

fn has_store(dir: &Path) -> bool {
    // What can't be looked at may be one.
    ["store.db", "wal"].iter().any(|name| dir.join(name).try_exists().unwrap_or(true))
}

impl FromArgMatches for DirArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        if let Some(dir) = matches.get_one::<PathBuf>(DIR) {
            return Ok(Self { dir: dir.clone(), variable: None });
        }
        let DefaultDir { path, variable } = mcplog::default_dir()
            .map_err(|error| clap::Error::raw(ErrorKind::MissingRequiredArgument, format!("{error}; or say --dir")))?;
        Ok(Self { dir: path, variable: Some(variable) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for DirArgs {
    fn augment_args(command: Command) -> Command {
        let default = match mcplog::default_dir() {
            Ok(DefaultDir { path, variable }) => format!("{}, by {variable}", escape(&path.display().to_string())),
            Err(_) => "none: MCPLOG_DIR is not set, and HOME is no absolute path".to_owned(),
        };
        let help = "The store's directory";
        let dir = Arg::new(DIR)
            .short('d')
            .long(DIR)
            .value_name("DIR")
            .value_parser(value_parser!(PathBuf))
            .help(format!("{help} [default: {default}]"));
        command.arg(dir)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
