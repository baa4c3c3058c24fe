//! `wal-inspect dump`: the records in order.

use crate::arguments::DumpArguments;
use crate::command::records::{Shown, merged};
use crate::failure::Failure;
use crate::read::cursor::LogCursor;
use crate::read::target;
use crate::show::output::Output;
use crate::show::presenter::Presenter;
use mcplog::finding::Severity;
use mcplog_terminal::progress::Progress;

/// Prints the records that a store reads from its logs; of a file that was picked by hand, all.
pub(crate) fn run(arguments: &DumpArguments, output: Output) -> Result<Severity, Failure> {
    let targets = target::find(&arguments.paths, arguments.writer.as_ref())?;
    let total_bytes = targets.iter().map(target::Target::bytes).sum();
    // On a terminal the records themselves show that something happens.
    let mut progress = Progress::of_bytes("reading", Some(total_bytes), output.is_terminal);
    let mut shown = Shown::new(Presenter::new(output, arguments.presentation), &arguments.filter);
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    for target in &targets {
        if left == 0 {
            break;
        }
        shown.presenter.show_writers(target.has_several());
        let (mut merge, unreadable) = merged(target, |folder| LogCursor::of_folder(folder, 0), LogCursor::of_file)?;
        unreadable.iter().try_for_each(|finding| shown.unreadable(finding))?;
        let before_bytes = progress.done();
        while left > 0
            && let Some(entry) = merge.next()?
        {
            progress.at(before_bytes + merge.read_bytes());
            left -= u64::from(shown.show(&entry)?);
        }
    }
    shown.presenter.output.flush()?;
    Ok(shown.severity)
}
