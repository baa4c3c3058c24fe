//! The options of `attach`, `detach` and `attached`.
//!
//! Declarations only.

use super::client::Client;
use super::places::Scope;
use crate::dir_args::DirArgs;
use crate::proxy::UpstreamUrl;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// Whose servers
    #[arg(value_enum, value_name = "CLIENT")]
    pub(super) client: Client,
    /// Which servers, by their names in the client; without one, all that the client starts
    #[arg(value_name = "SERVER")]
    pub(super) servers: Vec<String>,
    /// Give a server that is asked over HTTP this address, of a proxy that is started otherwise
    #[arg(long, value_name = "URL", value_parser = parse_via)]
    pub(super) via: Option<String>,
    #[command(flatten)]
    pub(super) files: FilesArgs,
    #[command(flatten)]
    pub(super) store: DirArgs,
    /// Show what would change, as a diff, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// One JSON object for each server
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DetachArgs {
    /// Whose servers
    #[arg(value_enum, value_name = "CLIENT")]
    pub(super) client: Client,
    /// Which servers, by their names in the client; without one, all that are attached
    #[arg(value_name = "SERVER")]
    pub(super) servers: Vec<String>,
    #[command(flatten)]
    pub(super) files: FilesArgs,
    /// Show what would change, as a diff, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// One JSON object for each server
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AttachedArgs {
    /// Only this client's servers
    #[arg(value_enum, value_name = "CLIENT")]
    pub(super) client: Option<Client>,
    #[command(flatten)]
    pub(super) files: FilesArgs,
    #[command(flatten)]
    pub(super) store: DirArgs,
    /// Show everything in full, however wide the lines get
    #[arg(long, conflicts_with = "json")]
    pub(super) wide: bool,
    /// One JSON object for each server
    #[arg(long)]
    pub(super) json: bool,
}

/// Which files are looked at.
#[derive(Debug, Args)]
pub(super) struct FilesArgs {
    /// Look for the project's files from this directory upwards [default: the current one]
    #[arg(long, value_name = "DIR")]
    pub(super) project: Option<PathBuf>,
    /// Only the files of projects, or only those of the user
    #[arg(long, value_enum, value_name = "SCOPE")]
    pub(super) scope: Option<Scope>,
}

/// Takes a URL that a client can ask, as it was written.
fn parse_via(url: &str) -> Result<String, String> {
    UpstreamUrl::parse(url).map(|_| url.to_owned()).map_err(|error| error.to_string().replacen("upstream ", "", 1))
}
