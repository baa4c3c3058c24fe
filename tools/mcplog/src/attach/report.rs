//! What `attach` and `detach` print: a file, what became of its servers, and where the copy from before is.
//!
//! Pure but for the writers that it is given.

use super::client::Client;
use super::places::Scope;
use super::user::User;
use super::words::{ServerLine, Told};
use crate::error::{CliError, EXIT_ERROR, EXIT_IN_PART, EXIT_OK};
use mcplog_terminal::json;
use mcplog_terminal::line::Line;
use mcplog_terminal::style::{DIM, HEADER, NAME, PLAIN};
use mcplog_terminal::text::{escape, width, wrap};
use mcplog_terminal::view::View;
use std::io::{self, Write};
use std::path::PathBuf;

/// What stands before the word for what was not done yet.
const WOULD: &str = "would be ";

/// What became of a server.
pub(super) struct Row {
    pub(super) server: String,
    pub(super) told: Told,
    pub(super) is_disabled: bool,
    /// Whether its entry is another one now.
    pub(super) is_changed: bool,
    /// Whether it was asked for by its name.
    pub(super) is_named: bool,
}

/// What became of a file.
pub(super) struct FileReport {
    pub(super) path: PathBuf,
    pub(super) scope: Scope,
    pub(super) rows: Vec<Row>,
    pub(super) backup: Option<PathBuf>,
    /// What there is to say of the file besides.
    pub(super) remarks: Vec<String>,
}

/// What became of all files.
#[derive(Default)]
pub(super) struct Report {
    pub(super) files: Vec<FileReport>,
    /// What went wrong with some of them.
    pub(super) errors: Vec<String>,
    /// Whether nothing was written, so that all this would be.
    pub(super) is_dry_run: bool,
}

impl Report {
    /// Whether any file was changed.
    pub(super) fn is_changed(&self) -> bool {
        !self.is_dry_run && self.rows().any(|row| row.is_changed)
    }

    /// Whether anything is as it was asked for.
    pub(super) fn is_any_done(&self) -> bool {
        self.rows().any(|row| row.told.is_done)
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.files.iter().flat_map(|file| &file.rows)
    }

    /// Everything done, some of it, or nothing.
    pub(super) fn exit_code(&self) -> u8 {
        let is_left = !self.errors.is_empty() || self.rows().any(|row| row.is_named && !row.told.is_done);
        match (is_left, self.is_any_done()) {
            (false, true) => EXIT_OK,
            (true, true) => EXIT_IN_PART,
            (_, false) => EXIT_ERROR,
        }
    }

    /// One object for each server.
    pub(super) fn write_json(&self, client: Client, out: &mut dyn Write) -> io::Result<()> {
        for file in &self.files {
            for row in &file.rows {
                let line = ServerLine {
                    client,
                    file: &file.path,
                    scope: file.scope,
                    server: &row.server,
                    outcome: row.told.outcome,
                    how: row.told.how,
                    reason: row.told.reason,
                    disabled: row.is_disabled,
                    changed: row.is_changed && !self.is_dry_run,
                    backup: file.backup.as_deref(),
                };
                json::write_line(out, &line)?;
            }
        }
        Ok(())
    }

    /// A paragraph for each file.
    pub(super) fn write_words(&self, user: &User, view: &View, out: &mut dyn Write) -> Result<(), CliError> {
        let word =
            |row: &Row| format!("{}{}", if self.is_dry_run && row.is_changed { WOULD } else { "" }, row.told.word);
        let words = self.rows().map(|row| word(row).len()).max().unwrap_or(0);
        for file in &self.files {
            writeln!(out, "{HEADER}{}{HEADER:#}{}", escape(&user.shown(&file.path)), of_project(file.scope))?;
            for row in &file.rows {
                let mut line = Line::new();
                line.push_spaces(2);
                line.push(row.told.style, word(row));
                line.push_spaces(words - word(row).len() + 2);
                line.push(NAME, &row.server);
                if row.is_disabled {
                    line.push(DIM, "  (disabled in the client)");
                }
                writeln!(out, "{line}")?;
                say(out, view, words + 4, &row.told.remark)?;
            }
            for remark in &file.remarks {
                say(out, view, 2, remark)?;
            }
            if let Some(backup) = &file.backup {
                let mut line = Line::new();
                line.push_spaces(2);
                line.push(DIM, format!("as it was before: {}", user.shown(backup)));
                writeln!(out, "{line}")?;
            }
        }
        Ok(())
    }
}

fn of_project(scope: Scope) -> &'static str {
    match scope {
        Scope::Project => "  (project)",
        Scope::User => "",
    }
}

/// A text, broken into lines that fit, each of them indented.
pub(super) fn say(out: &mut dyn Write, view: &View, indent: usize, text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let escaped = escape(text);
    let columns = view.width.unwrap_or_else(|| width(&escaped) + indent);
    for part in wrap(&escaped, columns.saturating_sub(indent).max(20)) {
        let mut line = Line::new();
        line.push_spaces(indent);
        line.push(PLAIN, part);
        writeln!(out, "{line}")?;
    }
    Ok(())
}
