//! What a command does with each file, once it is planned: write it, or show what would change.
//!
//! Runs on the main thread. One command at a time is at it, but for those that change nothing.

use super::change::{Memory, write};
use super::diff::{covered, diff};
use super::opened::Opened;
use super::report::{FileReport, Report, Row};
use super::server::{Projects, Server};
use super::state::State;
use super::state_file::{StateError, StateFile, read};
use super::user::User;
use mcplog_terminal::text::escape_lines;
use std::io::{self, Write};

/// What became of a file's servers, in its document, and what is to be remembered of that.
#[derive(Default)]
pub(super) struct Planned {
    pub(super) rows: Vec<Row>,
    pub(super) memory: Memory,
}

/// The files of a command, as they are written.
pub(super) struct Writing<'a> {
    user: &'a User,
    /// `None`: nothing is written.
    state_file: Option<StateFile>,
    /// What was remembered when the command began.
    pub(super) remembered: State,
    /// Whether diffs are shown.
    shows_diff: bool,
    pub(super) report: Report,
}

impl<'a> Writing<'a> {
    /// Waits for other commands, unless nothing is to be written.
    pub(super) fn begin(user: &'a User, is_dry_run: bool, is_json: bool) -> Result<Self, StateError> {
        let state_file = if is_dry_run { None } else { Some(StateFile::lock(&user.state_dir)?) };
        let remembered = match &state_file {
            Some(file) => file.state.clone(),
            None => read(&user.state_dir)?,
        };
        let shows_diff = is_dry_run && !is_json;
        Ok(Self { user, state_file, remembered, shows_diff, report: Report { is_dry_run, ..Report::default() } })
    }

    /// Writes a file whose document was changed, or shows the difference.
    pub(super) fn settle(
        &mut self,
        before: &Opened,
        after: &Opened,
        planned: Planned,
        projects: Projects<'_>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let Planned { rows, memory } = planned;
        let mut file =
            FileReport { path: after.path().to_owned(), scope: after.scope, rows, remarks: Vec::new(), backup: None };
        if let Some(state_file) = &mut self.state_file {
            match write(after, memory, &self.user.state_dir, state_file) {
                Ok(backup) => file.backup = backup,
                Err(error) => {
                    self.report.errors.push(error.to_string());
                    return Ok(());
                }
            }
        }
        if self.shows_diff {
            let servers = Server::all(&after.document, after.client, after.layout, projects);
            let [old, new] = [covered(&before.document, &before.servers), covered(&after.document, &servers)];
            out.write_all(escape_lines(&diff(&self.user.shown(after.path()), &old, &new)).as_bytes())?;
        }
        if !file.rows.is_empty() {
            file.remarks = remarks(after, &file);
            self.report.files.push(file);
        }
        Ok(())
    }
}

/// What there is to say of a file that is changed.
fn remarks(opened: &Opened, file: &FileReport) -> Vec<String> {
    let mut remarks = Vec::new();
    if file.rows.iter().any(|row| row.is_changed) && opened.file.has_other_names() {
        remarks.push("the file has other names (hard links), which go on to name the one from before".to_owned());
    }
    remarks
}
