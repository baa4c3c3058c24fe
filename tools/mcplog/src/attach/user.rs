//! The user at whose clients these commands look: home, environment, project, and where mcplog remembers.
//!
//! Reads the environment, and looks where the project's repository begins.

use super::arguments::FilesArgs;
use super::places::{Platform, Surroundings};
use super::server::Projects;
use crate::error::CliError;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A user, in a directory.
pub(super) struct User {
    home: PathBuf,
    /// The directory in which the client is used.
    project: PathBuf,
    /// The repository that has it, or itself.
    project_root: PathBuf,
    /// Where mcplog remembers what it attached, and keeps copies.
    pub(super) state_dir: PathBuf,
}

impl User {
    /// Whoever runs this command.
    pub(super) fn here(files: &FilesArgs) -> Result<Self, CliError> {
        let home = absolute("HOME").ok_or_else(|| {
            CliError::Failed("HOME is no absolute path: it says where the clients have their files".to_owned())
        })?;
        let project = files.project.as_deref().unwrap_or(Path::new("."));
        let project = project.canonicalize().map_err(|error| {
            CliError::Failed(format!("no such directory of a project: {}: {error}", project.display()))
        })?;
        let state = absolute("XDG_STATE_HOME").unwrap_or_else(|| home.join(".local/state"));
        let root = project.ancestors().find(|directory| directory.join(".git").exists()).unwrap_or(&project).to_owned();
        Ok(Self { home, project, project_root: root, state_dir: state.join("mcplog") })
    }

    /// The project, for files that hold servers of several.
    pub(super) fn projects(&self) -> Projects<'_> {
        Projects::Of { directory: &self.project, root: &self.project_root }
    }

    pub(super) fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            platform: Platform::HERE,
            variable: &variable,
            home: self.home.clone(),
            project: self.project.clone(),
        }
    }

    /// A path as people write it: what is in their home begins with `~`.
    pub(super) fn shown(&self, path: &Path) -> String {
        match path.strip_prefix(&self.home) {
            Ok(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
            Ok(rest) => format!("~/{}", rest.display()),
            Err(_) => path.display().to_string(),
        }
    }
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn absolute(name: &str) -> Option<PathBuf> {
    variable(name).map(PathBuf::from).filter(|path| path.is_absolute())
}
