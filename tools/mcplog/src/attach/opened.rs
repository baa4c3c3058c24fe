//! A client's file, opened: its text as a document, and the servers in it.
//!
//! Runs on the main thread; reads files.

use super::client::Client;
use super::config_file::{ConfigFile, FileError};
use super::document::{Document, DocumentError, Format};
use super::facts::{FileFormat, Layout};
use super::found::Found;
use super::places::Scope;
use super::server::{Projects, Server};
use super::state::ServerPlace;
use std::path::{Path, PathBuf};

/// A file that could be read.
#[derive(Clone)]
pub(super) struct Opened {
    pub(super) client: Client,
    pub(super) scope: Scope,
    pub(super) layout: Layout,
    pub(super) file: ConfigFile,
    pub(super) document: Document,
    pub(super) servers: Vec<Server>,
}

/// Why a file can't be read as a configuration, or changed as one.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenedError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{}: {source}", path.display())]
    Document { path: PathBuf, source: DocumentError },
}

impl Opened {
    /// Opens a file; `None` if it went away.
    pub(super) fn open(client: Client, found: &Found, projects: Projects<'_>) -> Result<Option<Self>, OpenedError> {
        let Some(file) = ConfigFile::read(&found.path)? else { return Ok(None) };
        let format = match found.format {
            FileFormat::Json => Format::Json,
            FileFormat::Toml => Format::Toml,
            FileFormat::Yaml => Format::Yaml,
        };
        let document = Document::parse(format, &file.text)
            .map_err(|source| OpenedError::Document { path: found.path.clone(), source })?;
        let servers = Server::all(&document, client, found.layout, projects);
        Ok(Some(Self { client, scope: found.scope, layout: found.layout, file, document, servers }))
    }

    /// Opens all files that can be opened, and says which can't.
    pub(super) fn all(client: Client, found: &[Found], projects: Projects<'_>) -> (Vec<Self>, Vec<OpenedError>) {
        let mut all = (Vec::new(), Vec::new());
        for found in found {
            match Self::open(client, found, projects) {
                Ok(opened) => all.0.extend(opened),
                Err(error) => all.1.push(error),
            }
        }
        all
    }

    /// Which server that is.
    pub(super) fn place(&self, server: &Server) -> ServerPlace {
        let (file, section) = (self.file.target.clone(), server.section.clone());
        ServerPlace { client: self.client, file, section, server: server.name.clone() }
    }

    /// Where the file was found.
    pub(super) fn path(&self) -> &Path {
        &self.file.path
    }
}
