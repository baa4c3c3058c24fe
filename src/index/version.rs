//! The versions of `store.db`. Plain constants.

/// Our migrations, counted in `PRAGMA user_version`.
///
/// - 1: never released.
/// - 2: never released.
/// - 3: lean rows, roll-ups of each call and of all together, in pages; session digests; what is too old is removed, and its
///   room given back.
pub(crate) const DATABASE_VERSION: i64 = 3;
/// The version of the five tables that other tools read, as `meta` says it.
pub(super) const TABLES_VERSION: &str = "4";
