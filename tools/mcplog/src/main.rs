//! The mcplog command.

#[cfg_attr(not(test), expect(dead_code, reason = "the command line is wired by main"))]
mod proxy;

fn main() {}
