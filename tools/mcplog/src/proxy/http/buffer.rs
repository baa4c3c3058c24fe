//! How much of what passes one connection may hold.
//!
//! A constant, for both sides of the proxy.

/// How much a connection reads ahead, and how much waits to be written, in bytes; a head has to fit in. hyper's own limit is six
/// times as high, and a hundred connections that send as fast as they can then make it hold 60 MiB.
pub(super) const BUFFER_BYTES_MAX: usize = 64 * 1024;
