//! wal-inspect: shows what is in the log of an mcplog store, and whether it is sound.
//!
//! One thread. It only reads, by plain reads: it never maps a file, takes a lock or repairs anything, and leaves no file
//! behind, so it may look at a store that is running, and at one that is broken. Of the database it asks the library one
//! thing: how far the log is folded. How bad something is, the library says, too.
//!
//! ```text
//! arguments --> command --> read     source, scan (or follow), filter
//!                  |          |
//!                  |          v
//!                  |       report    what there is to say: segments, fields
//!                  v          ^
//!                 show -------+      as text and as JSON lines
//! ```
//!
//! A library only so that fuzzing can have it print into memory; the program is [`main`].

mod arguments;
mod command;
mod failure;
mod read;
mod report;
mod show;

use crate::arguments::{Arguments, Command};
use crate::command::{dump, list, tail, verify};
use crate::failure::Failure;
use crate::show::json;
use crate::show::output::Output;
use clap::Parser;
use mcplog::finding::Severity;
use mcplog_terminal::help;
use mcplog_terminal::output::complain;
use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// The program: does what the command line says, on standard output.
pub fn main() -> ExitCode {
    let arguments = match help::try_parse::<Arguments>() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help into a closed pipe is no error either.
            let is_lost = error.print().is_err_and(|error| error.kind() != ErrorKind::BrokenPipe);
            // clap would exit with 2, which here means a torn tail.
            return ExitCode::from(u8::from(is_lost || error.use_stderr()));
        }
    };
    arguments.color.apply();
    let output = match &arguments.command {
        Command::Verify(_) => Output::leavable(),
        _ => Output::standard(),
    };
    match run(&arguments, output) {
        Ok(severity) => ExitCode::from(severity.exit_code()),
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure);
            ExitCode::from(Severity::Unreadable.exit_code())
        }
    }
}

/// Does what the command line says, on `writer`, as on a terminal of so many columns.
///
/// # Errors
/// What the program would complain of on standard error.
pub fn print_into(
    writer: impl Write + 'static,
    columns: Option<usize>,
    command_line: impl IntoIterator<Item: Into<OsString> + Clone>,
) -> Result<u8, String> {
    let arguments = Arguments::try_parse_from(command_line).map_err(|error| error.to_string())?;
    let output = Output::into_writer(writer, columns, arguments.color);
    run(&arguments, output)
        .map(Severity::exit_code)
        .map_err(|failure| mcplog_terminal::text::escape(&failure.to_string()).into_owned())
}

fn run(arguments: &Arguments, output: Output) -> Result<Severity, Failure> {
    let done = run_on(arguments, output);
    if arguments.command.names_no_log() { done.map_err(Failure::by_default) } else { done }
}

fn run_on(arguments: &Arguments, mut output: Output) -> Result<Severity, Failure> {
    let severity = match &arguments.command {
        Command::List(arguments) => list::run(arguments, &mut output)?,
        Command::Dump(arguments) => return dump::run(arguments, output),
        Command::Verify(arguments) => verify::run(arguments, &mut output)?,
        Command::Tail(arguments) => return tail::run(arguments, output),
        Command::Json => {
            output.text(json::DOCUMENTATION)?;
            Severity::Sound
        }
    };
    output.flush()?;
    Ok(severity)
}
