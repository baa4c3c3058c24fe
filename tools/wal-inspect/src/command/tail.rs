//! `wal-inspect tail`: the last records, and with `--follow` every new one.

use crate::arguments::TailArguments;
use crate::command::records::{Shown, add, merged, passes};
use crate::failure::Failure;
use crate::read::cursor::LogCursor;
use crate::read::merge::Merge;
use crate::read::target::{self, Logs, Target};
use crate::report::entry::Entry;
use crate::show::output::Output;
use crate::show::presenter::Presenter;
use mcplog::finding::Severity;
use mcplog::position::WriterId;
use mcplog::segment::writer_folders;
use mcplog_terminal::interrupt::Interrupt;
use mcplog_terminal::output::remark;
use mcplog_terminal::text::escape;
use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::time::Duration;

/// How long to wait before looking again: short enough to feel live, long enough to cost nothing.
const POLL: Duration = Duration::from_millis(50);

/// Prints the end of the logs, and what is added to them.
pub(crate) fn run(arguments: &TailArguments, output: Output) -> Result<Severity, Failure> {
    let path = target::named(arguments.path.as_deref())?;
    let mut shown = Shown::new(Presenter::new(output, arguments.presentation), &arguments.filter);
    if arguments.follow {
        return follow(&path, arguments, shown);
    }
    for target in target::find(&[path], arguments.writer.as_ref())? {
        shown.presenter.show_writers(target.has_several());
        begin(&target, arguments, &mut shown)?;
    }
    shown.presenter.output.flush()?;
    Ok(shown.severity)
}

fn follow(path: &Path, arguments: &TailArguments, mut shown: Shown<'_>) -> Result<Severity, Failure> {
    let interrupt = Interrupt::catch().map_err(Failure::Signals)?;
    let target = target::at(path, arguments.writer.as_ref())?;
    let Target::Logs(logs) = &target else { return Err(Failure::FollowFile(path.to_owned())) };
    if logs.folders.is_empty() {
        remark(format_args!("waiting for the first record in {}", escape(&path.to_string_lossy())));
    }
    // Of a directory, others may come.
    shown.presenter.show_writers(logs.parent.is_some());
    let mut known: HashSet<WriterId> = logs.folders.iter().map(|folder| folder.writer).collect();
    let mut merge = begin(&target, arguments, &mut shown)?;
    loop {
        while !interrupt.is_requested()
            && let Some(entry) = merge.next()?
        {
            shown.show(&entry)?;
        }
        shown.presenter.output.flush()?;
        if logs.parent.is_none() && merge.has_ended() {
            remark(format_args!("the writer of this log has ended"));
            break;
        }
        if !interrupt.pause(POLL) {
            break;
        }
        add_new(logs, arguments, &mut known, &mut merge, &mut shown)?;
        merge.look_again()?;
    }
    shown.presenter.output.flush()?;
    Ok(shown.severity)
}

/// Shows the last records; what is returned goes on behind them.
fn begin(target: &Target, arguments: &TailArguments, shown: &mut Shown<'_>) -> Result<Merge, Failure> {
    let passes = |entry: &Entry| passes(entry, &arguments.filter);
    let (mut merge, unreadable) = merged(
        target,
        |folder| LogCursor::of_last(folder, arguments.limit, &passes),
        |path| {
            let mut cursor = LogCursor::of_file(path)?;
            cursor.keep_last(arguments.limit, &passes)?;
            Ok(cursor)
        },
    )?;
    unreadable.iter().try_for_each(|finding| shown.unreadable(finding))?;
    let (mut last, mut records) = (VecDeque::new(), 0);
    while let Some(entry) = merge.next()? {
        records += usize::from(entry.is_record());
        last.push_back(entry);
        while records > arguments.limit {
            records -= usize::from(last.pop_front().is_some_and(|entry: Entry| entry.is_record()));
        }
    }
    last.iter().try_for_each(|entry| shown.show(entry).map(|_| ()))?;
    Ok(merge)
}

/// Adds the logs that began since.
fn add_new(
    logs: &Logs,
    arguments: &TailArguments,
    known: &mut HashSet<WriterId>,
    merge: &mut Merge,
    shown: &mut Shown<'_>,
) -> Result<(), Failure> {
    let Some(parent) = &logs.parent else { return Ok(()) };
    for folder in writer_folders(parent)?.folders {
        let is_wanted = arguments.writer.as_ref().is_none_or(|prefix| prefix.matches(folder.writer));
        if is_wanted && known.insert(folder.writer) {
            let unreadable = add(merge, &folder, |folder| LogCursor::of_folder(folder, 0))?;
            unreadable.iter().try_for_each(|finding| shown.unreadable(finding))?;
        }
    }
    Ok(())
}
