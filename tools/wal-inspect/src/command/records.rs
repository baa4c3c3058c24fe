//! What `dump` and `tail` share: opening logs to be merged, and showing what comes.

use crate::failure::Failure;
use crate::read::cursor::LogCursor;
use crate::read::filter::Filter;
use crate::read::merge::Merge;
use crate::read::target::{Logs, Target};
use crate::report::entry::{Content, Entry};
use crate::report::place::Place;
use crate::show::presenter::Presenter;
use mcplog::error::{PathError, SegmentError};
use mcplog::finding::{Finding, FindingKind, Severity};
use mcplog::record::Record;
use mcplog::segment::{FrameAt, WriterFolder};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::path::Path;

/// Files that are open beside those of the logs: the streams, the database while it is asked, a segment that is looked into.
const OTHER_FILES: u64 = 64;

/// Shows what passes a filter, and keeps the worst that was found.
pub(crate) struct Shown<'a> {
    pub(crate) presenter: Presenter,
    pub(crate) severity: Severity,
    filter: &'a Filter,
}

impl<'a> Shown<'a> {
    pub(crate) fn new(presenter: Presenter, filter: &'a Filter) -> Self {
        Self { presenter, severity: Severity::Sound, filter }
    }

    /// Shows an entry; `true` if it was a record, and passed.
    pub(crate) fn show(&mut self, entry: &Entry) -> Result<bool, Failure> {
        match &entry.content {
            Content::Record { offset, sequence, payload } => {
                let record = Record::decode(payload);
                let severity = record.as_ref().err().map(|error| error.kind_of_finding().severity());
                self.severity = self.severity.max(severity.unwrap_or_default());
                let passes = self.filter.passes(*sequence, record.as_ref().ok());
                if passes {
                    let frame = FrameAt { offset: *offset, sequence: *sequence, payload };
                    self.presenter.record(&entry.place, &frame, &record)?;
                }
                Ok(passes)
            }
            Content::Finding(finding, head) => {
                self.severity = self.severity.max(finding.severity);
                self.presenter.finding(&entry.place, finding, head)?;
                Ok(false)
            }
        }
    }

    /// Shows why a log can't be looked into.
    pub(crate) fn unreadable(&mut self, finding: &Finding) -> Result<(), Failure> {
        self.severity = self.severity.max(finding.severity);
        Ok(self.presenter.finding(&Place::of_log(&finding.path), finding, &[])?)
    }
}

/// Whether an entry is one that may be shown: every finding, and records that pass.
pub(crate) fn passes(entry: &Entry, filter: &Filter) -> bool {
    match &entry.content {
        Content::Record { sequence, payload, .. } => filter.passes(*sequence, Record::decode(payload).ok().as_ref()),
        Content::Finding(..) => true,
    }
}

/// The logs or the file, merged, each opened by `open`; and why some of them can't be looked into.
pub(crate) fn merged(
    target: &Target,
    open: impl Fn(&WriterFolder) -> Result<LogCursor, Failure>,
    open_file: impl FnOnce(&Path) -> Result<LogCursor, Failure>,
) -> Result<(Merge, Vec<Finding>), Failure> {
    let (mut merge, mut unreadable) = (Merge::default(), Vec::new());
    match target {
        Target::File(path) => merge.add(open_file(path)?)?,
        Target::Logs(Logs { folders, .. }) => {
            allow_files(folders.len());
            for folder in folders {
                unreadable.extend(add(&mut merge, folder, &open)?);
            }
        }
    }
    Ok((merge, unreadable))
}

/// Adds a log; returns why it can't be looked into.
pub(crate) fn add(
    merge: &mut Merge,
    folder: &WriterFolder,
    open: impl Fn(&WriterFolder) -> Result<LogCursor, Failure>,
) -> Result<Option<Finding>, Failure> {
    match open(folder).and_then(|cursor| merge.add(cursor)) {
        Ok(()) => Ok(None),
        // Folded and removed since the directory was listed.
        Err(Failure::Segment(SegmentError::Gone { .. })) => Ok(None),
        Err(Failure::Path(error) | Failure::Segment(SegmentError::Io(error))) => Ok(of_folder(error)),
        Err(failure) => Err(failure),
    }
}

/// Each log that is merged has a file open. Where the process may have fewer files than that, and the system lets it have
/// more, it takes as many as it may. What is refused all the same is told of the log that it is refused for.
fn allow_files(logs: usize) {
    let wanted = logs as u64 + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        // Refused: see above.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

fn of_folder(error: PathError) -> Option<Finding> {
    let PathError { operation, path, source } = error;
    let text = || format!("{operation}: {source}");
    (source.kind() != io::ErrorKind::NotFound).then(|| Finding::new(FindingKind::UnreadableDirectory, &path, text()))
}
