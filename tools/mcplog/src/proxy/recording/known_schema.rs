//! What a store knows of the schemas that were seen before, so that what did not change is not recorded again.
//!
//! Runs on whichever thread may wait for the database; never in a task that passes bytes on.

use mcplog::Query;
use mcplog::error::IndexError;
use mcplog::query::SchemaHash;
use std::path::Path;

/// The last hash of one method's schema, as the store knows it.
#[derive(Clone, Debug)]
pub(crate) struct KnownSchema {
    /// The proxy that recorded it.
    pub(crate) proxy: String,
    /// The upstream it came from.
    pub(crate) upstream_url: String,
    /// The method, such as `tools/list`.
    pub(crate) method: String,
    /// Its content hash.
    pub(crate) schema_hash: String,
}

impl From<SchemaHash> for KnownSchema {
    fn from(hash: SchemaHash) -> Self {
        Self { proxy: hash.proxy, upstream_url: hash.upstream_url, method: hash.method, schema_hash: hash.schema_hash }
    }
}

/// All of them.
///
/// # Errors
/// The database can't be read.
pub(crate) fn known_schemas(dir: &Path) -> Result<Vec<KnownSchema>, IndexError> {
    Ok(Query::open(dir)?.schema_hashes()?.into_iter().map(KnownSchema::from).collect())
}
