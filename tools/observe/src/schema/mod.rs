//! What a server offers: whether a list or a handshake says something new.
//!
//! Results are taken out of what passes ([`SchemaResult`]) and looked at elsewhere ([`SchemaWatch`]), because parsing and
//! hashing a long list takes milliseconds, and a task that passes bytes on must not spend them. The watch has no thread of
//! its own: whoever owns one calls it.

mod caller;
mod merged;
mod method;
mod pages;
mod result;
mod sightings;
mod subject;
mod watch;

pub(crate) use caller::Caller;
pub use method::SchemaMethod;
pub(crate) use result::{Asked, Scope};
pub use result::{SCHEMA_BYTES_MAX, SchemaQueue, SchemaResult};
pub use sightings::{KNOWN_MAX, Known, KnownVersion};
pub use watch::SchemaWatch;
