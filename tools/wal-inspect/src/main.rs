//! wal-inspect.
fn main() {}
