//! Telling MCP clients to start their servers through mcplog.
//!
//! Their files are edited as documents.

#[cfg_attr(not(test), expect(dead_code, unused_imports, reason = "the commands that edit files come next"))]
mod document;
