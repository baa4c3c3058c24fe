//! What the demo shows at its end: the tables that a user sees, the store's files, and what to type next.
//!
//! Runs on the main thread. The tables are those of the commands, made by the same functions.

use super::directory::{self, StoreFile};
use crate::command::{schema, sessions, stats};
use crate::error::CliError;
use mcplog::query::{Query, RequestFilter, SchemaFilter, SessionFilter};
use mcplog_terminal::shell::quoted;
use mcplog_terminal::style::{DIM, HEADER, NAME};
use mcplog_terminal::text::escape;
use mcplog_terminal::units::bytes;
use mcplog_terminal::view::View;
use std::io::{self, Write};
use std::path::Path;

/// Shows everything that was recorded in `dir`. `program` is how this program was called.
pub(super) fn write_all(out: &mut dyn Write, dir: &Path, program: &str, view: &View) -> Result<(), CliError> {
    let query = Query::open(dir)?;
    let commands = Commands { program, dir };

    heading(out, "What was called, and how it went", &commands.line("stats", ""))?;
    let mut rows = query.tool_stats(&RequestFilter::default())?;
    rows.sort_by_key(|row| std::cmp::Reverse(row.calls));
    stats::write_tables(out, &rows, view)?;

    heading(out, "Who called", &commands.line("sessions", ""))?;
    sessions::write_sessions(out, &query.sessions(&SessionFilter::default())?, view)?;

    heading(out, "How the server changed", &commands.line("schema", " --changes"))?;
    schema::write_changes(out, &query.schema_changes(&SchemaFilter::default())?, view)?;

    writeln!(out, "\n{HEADER}Where it is{HEADER:#}\n{DIM}{}{DIM:#}\n", escape(&dir.display().to_string()))?;
    let files =
        directory::files(dir).map_err(|error| CliError::Failed(format!("can't list {}: {error}", dir.display())))?;
    write_files(out, &files)?;
    write_next(out, &commands)?;
    Ok(())
}

fn heading(out: &mut dyn Write, title: &str, command: &str) -> io::Result<()> {
    writeln!(out, "\n{HEADER}{title}{HEADER:#}\n{DIM}$ {command}{DIM:#}\n")
}

fn write_files(out: &mut dyn Write, files: &[StoreFile]) -> io::Result<()> {
    let width = files.iter().map(|file| file.name.len()).max().unwrap_or(0);
    for file in files {
        let what = match file.name.as_str() {
            "store.db" => "the tables; sqlite3 opens them too",
            "store-id" => "which store this is",
            "LOCK" => "held by all who record",
            "FOLD" => "held by the one who folds",
            "store.db-shm" | "store.db-wal" => "SQLite's own",
            "wal/" => "the log: wal-inspect reads it",
            "kept/" => "the log that is folded, and kept for a while",
            _ => "",
        };
        writeln!(out, "  {:width$}  {:>8}  {DIM}{what}{DIM:#}", file.name, bytes(file.bytes))?;
    }
    Ok(())
}

fn write_next(out: &mut dyn Write, commands: &Commands<'_>) -> io::Result<()> {
    writeln!(out, "\n{HEADER}Try next{HEADER:#}\n")?;
    let next = [
        ("the latest requests", commands.line("logs", "")),
        ("what failed", commands.line("logs", " --errors")),
        ("one tool, as JSON", commands.line("logs", " --tool place_order --json")),
        ("record your own server", commands.proxy()),
    ];
    for (what, command) in next {
        writeln!(out, "  {DIM}# {what}{DIM:#}\n  {NAME}{command}{NAME:#}")?;
    }
    Ok(())
}

/// Command lines that work where the demo was started.
struct Commands<'a> {
    program: &'a str,
    dir: &'a Path,
}

impl Commands<'_> {
    fn line(&self, command: &str, options: &str) -> String {
        let (program, dir) = (quoted(self.program), quoted(&self.dir.display().to_string()));
        format!("{program} {command}{options} --dir {dir}")
    }

    fn proxy(&self) -> String {
        format!("{} proxy --upstream http://127.0.0.1:9000/mcp", quoted(self.program))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_line_up_and_say_what_they_are() {
        let files = [("LOCK", 0), ("store.db", 131_072), ("kept/", 8 << 20)]
            .map(|(name, bytes)| StoreFile { name: name.to_owned(), bytes });
        let mut out = Vec::new();
        write_files(&mut out, &files).unwrap();
        let text = anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string();
        let expected = "  LOCK           0 B  held by all who record\n  \
                        store.db   128 KiB  the tables; sqlite3 opens them too\n  \
                        kept/      8.0 MiB  the log that is folded, and kept for a while\n";
        assert_eq!(text, expected);
    }
}
