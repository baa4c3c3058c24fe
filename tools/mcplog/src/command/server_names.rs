//! How a table names servers: by the whole URL where there is one, else by what tells them apart.
//!
//! Pure.

use super::endpoint_names::EndpointNames;
use mcplog_terminal::style::DIM;
use mcplog_terminal::table::{Cell, Column};

/// The servers of one table.
pub(super) struct ServerNames {
    names: Option<EndpointNames>,
}

impl ServerNames {
    /// Of these URLs.
    pub(super) fn of<'u>(urls: impl Iterator<Item = &'u str> + Clone) -> Self {
        let first = urls.clone().next();
        let are_several = urls.clone().any(|url| Some(url) != first);
        Self { names: are_several.then(|| EndpointNames::of(urls)) }
    }

    /// The columns of callers and servers: where room is short, who was offered something goes before which server it was,
    /// unless there is but one.
    pub(super) fn columns(&self) -> [Column; 2] {
        let (to, server) = if self.names.is_some() { (2, 1) } else { (1, 2) };
        [Column::left("TO").cut_to(12).droppable(to), Column::left("SERVER").cut_to(12).droppable(server)]
    }

    /// The name of one of them.
    pub(super) fn cell(&self, url: &str) -> Cell<'static> {
        Cell::owned(self.names.as_ref().map_or_else(|| url.to_owned(), |names| names.name(url))).styled(DIM)
    }
}
