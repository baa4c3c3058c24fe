//! The mcplog command.
fn main() {}
