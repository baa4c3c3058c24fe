//! What a store knows of what servers offer, for the proxy that records into it next.
//!
//! On the keeper's thread (in `mcplog demo`, the main one). It must not write.

use mcplog::error::IndexError;
use mcplog::query::{Query, SchemaHash};
use mcplog_observe::{Counts, KNOWN_MAX, Known, KnownVersion, SchemaMethod, SchemaWatch, Sink};
use std::path::Path;
use std::sync::Arc;

/// What a store knows of what servers offer, behind whichever proxy. The default knows nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownSchemas {
    /// Random text that belongs to the store.
    pub(crate) salt: String,
    /// What each caller was offered last.
    pub(crate) hashes: Vec<SchemaHash>,
}

/// What the store in that directory knows.
pub(crate) fn known_schemas(dir: &Path) -> Result<KnownSchemas, IndexError> {
    let query = Query::open(dir)?;
    Ok(KnownSchemas { salt: query.caller_salt()?, hashes: query.schema_hashes(KNOWN_MAX as u64)? })
}

impl KnownSchemas {
    /// What of that a proxy of this name needs in front of the servers of that origin.
    pub(crate) fn of(&self, proxy: &str, origin: &str) -> Known {
        let version = |hash: &SchemaHash| {
            let path = hash.upstream_url.strip_prefix(origin)?;
            // Where there are no paths, the origin is all.
            let endpoint = if path.is_empty() { None } else { Some(path.strip_prefix('/').map(|_| path.to_owned())?) };
            Some(KnownVersion {
                endpoint,
                method: SchemaMethod::of(&hash.method)?,
                content_hash: hash.schema_hash.clone(),
                caller: hash.caller.clone(),
                since_ts: hash.since_ts,
                last_ts: hash.last_ts,
            })
        };
        let is_own = |hash: &&SchemaHash| hash.proxy == proxy;
        Known { salt: self.salt.clone(), versions: self.hashes.iter().filter(is_own).filter_map(version).collect() }
    }
}

/// Makes what looks at results of this proxy and the servers of that origin, from what is on record of all.
pub(crate) fn new_watch(
    sink: Arc<dyn Sink>,
    counts: Arc<Counts>,
    proxy: Arc<str>,
    origin: Arc<str>,
) -> impl Fn(KnownSchemas) -> SchemaWatch + Send + 'static {
    move |known| {
        let mut watch = SchemaWatch::new(sink.clone(), counts.clone(), proxy.clone(), origin.clone());
        watch.learn(known.of(&proxy, &origin));
        watch
    }
}
