//! What a version is a version of: what one server answers to one method.
//!
//! Pure data.

use super::method::SchemaMethod;
use std::sync::Arc;

/// A server and a method. Several servers may be behind one origin, each with an endpoint of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Subject {
    /// The path, where the transport has paths.
    pub(super) endpoint: Option<Arc<str>>,
    pub(super) method: SchemaMethod,
}
